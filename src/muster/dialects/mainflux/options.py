"""What the operator decided that changes how this door answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from muster.core.access import Evidence
from muster.core.layout import Layout
from muster.core.model import TenantId
from muster.core.ports import Pki
from muster.core.throttle import Throttle


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Given by assembly; handlers get it as the dependency named `options`."""

    layout: Layout
    layout_digest: bytes
    provisioner: Callable[[], Awaitable[Evidence | None]]
    """Who calls `/mapping` when the request does not say: the configured key or user (spec C.3)."""
    throttle: Throttle
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
    max_bulk: int = 10_000
    has_mapping: bool = False
    """Whether a `/mapping` without Authorization speaks this dialect: its layout or settings do."""
    version: str = "0"
    """What `/version` says."""
    send_recovery: Callable[[str, str, str], Awaitable[None]] | None = None
    """Sends an email address a recovery token, with the page the request came from; None: nobody can."""
    pki: Pki | None = None
    """Signs certificates; None: there are none."""
