"""What the operator decided that changes how this door answers."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from muster.core.access import Evidence
from muster.core.layout import Layout
from muster.core.model import TenantId
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
    """The tenant of requests that name none; None: the caller's own."""
    self_register: bool = True
    password: re.Pattern[str] = re.compile(r"^.{8,}$", re.DOTALL)
    access_lifetime: int = 3600
    refresh_lifetime: int = 24 * 3600
    bootstrap_seal: Callable[[bytes], bytes] | None = None
    """Seals a reply of the secure bootstrap (spec A.9); None: no key is configured, the route is closed."""
    bootstrap_open: Callable[[str], str] | None = None
    """Opens the key of a secure bootstrap request; raises Forbidden for what it cannot open."""
    max_bulk: int = 10_000
