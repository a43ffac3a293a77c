"""What the operator decided that changes how this door answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from muster.core.access import Evidence
from muster.core.errors import Malformed
from muster.core.keyholders import Pki
from muster.core.layout import Layout
from muster.core.model import Json, Metadata, TenantId
from muster.core.throttle import Throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Given by assembly; handlers get it as the dependency named `options`."""

    layout: Layout
    layout_digest: bytes
    provisioner: Callable[[], Awaitable[Evidence | None]]
    """Who calls `/mapping` when the request does not say: the configured key or user (spec C.3)."""
    throttle: Throttle
    recoveries: Throttle
    """How often a recovery of a password may be asked for, per email and per source."""
    domain_id: TenantId | None = None
    """The tenant of requests that name none; None: the caller's own."""
    self_register: bool = True
    password: re.Pattern[str] = re.compile(".{8,}", re.DOTALL)
    """What a password must match as a whole."""
    access_lifetime: int = 3600
    refresh_lifetime: int = 24 * 3600
    bootstrap_seal: Callable[[bytes], bytes] | None = None
    """Seals a reply of the secure bootstrap (spec A.9); None: no key is configured, the route is closed."""
    bootstrap_open: Callable[[str], str] | None = None
    """Opens the key of a secure bootstrap request; raises Forbidden for what it cannot open."""
    max_bulk: int = 100_000
    """The most entities, or connections, of one request."""
    max_metadata: int = 64 * 1024
    """Bytes of one entity's metadata as JSON."""
    max_content: int = 2 * 1024 * 1024
    """Bytes of the content of a bootstrap configuration."""
    recovery_lifetime: int = 3600
    """Seconds a recovery token is good for."""
    sends_mail: bool = False
    """Whether a mail server is configured."""
    pki: Pki | None = None
    """Signs certificates; None: there are none."""

    def metadata(self, given: dict[str, Json] | None) -> dict[str, Json]:
        """Give the metadata, empty if absent. Malformed when it is too large."""
        if given and len(msgspec.json.encode(given)) > self.max_metadata:
            raise Malformed(f"metadata takes more than {self.max_metadata:d} bytes")
        return given or {}

    def changed_metadata(self, given: dict[str, Json] | None, old: Metadata) -> Metadata:
        """Give the metadata that takes the place of the old, or the old if none is given."""
        return old if given is None else self.metadata(given)
