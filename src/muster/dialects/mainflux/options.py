"""What the operator decided that changes how this door answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from muster.core.access import Evidence
from muster.core.errors import Malformed
from muster.core.keyholders import Pki
from muster.core.layout import Layout
from muster.core.model import Json, TenantId
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
    """The tenant where `/mapping` makes things; None: the caller's own."""
    self_register: bool = True
    password: re.Pattern[str] = re.compile(r".{8,}", re.DOTALL)
    """What a password must match as a whole."""
    token_lifetime: int = 10 * 3600
    """Seconds; such a token cannot be refreshed."""
    bootstrap_seal: Callable[[bytes], bytes] | None = None
    """Seals a reply of the secure bootstrap (spec A.9); None: no key is configured, the route is closed."""
    bootstrap_open: Callable[[str], str] | None = None
    """Opens the key of a secure bootstrap request; raises Forbidden for what it cannot open."""
    max_bulk: int = 100_000
    """The most entities, or connections, of one request."""
    has_mapping: bool = False
    """Whether a `/mapping` without Authorization speaks this dialect: its layout or settings do."""
    version: str = "0"
    """What `/version` says."""
    pki: Pki | None = None
    """Signs certificates; None: there are none."""
    max_metadata: int = 64 * 1024
    """Bytes of one entity's metadata as JSON."""
    max_content: int = 2 * 1024 * 1024
    """Bytes of the content of a bootstrap configuration."""
    sends_mail: bool = False
    """Whether a mail server is configured."""

    def metadata(self, given: dict[str, Json] | None) -> dict[str, Json]:
        """Give the metadata, empty if absent. Malformed when it is too large."""
        if given and len(msgspec.json.encode(given)) > self.max_metadata:
            raise Malformed(f"metadata takes more than {self.max_metadata:d} bytes")
        return given or {}

    def content(self, given: str | None) -> str:
        """Give the content of a bootstrap configuration, empty if absent. Malformed when it is too large."""
        if given and len(given.encode()) > self.max_content:
            raise Malformed(f"content takes more than {self.max_content:d} bytes")
        return given or ""
