"""What names and ids may hold. An alias or a route is never what another tenant or channel is called already.

What is taken is answered in the words of an ordinary conflict, so that it tells nobody whose id it is.
"""

import re
from collections.abc import Sequence

from muster.core.errors import Conflict, Malformed
from muster.core.model import Channel, Tenant, TenantId
from muster.core.ports import ANYWHERE, OneOf, Tx

LONGEST_KEY = 1024
"""Bytes of what is looked up by a value of the caller's: every database can index as much."""
LONGEST_NAME = 1024
"""Bytes (spec A.0)."""
_UNSPEAKABLE = frozenset("/+#*>%")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_size(name: str, limit: int = LONGEST_NAME) -> str:
    """Give the name, or raise Malformed beyond *limit* bytes."""
    if len(name.encode()) > limit:
        raise Malformed("invalid name size")
    return name


def check_name(name: str, limit: int = LONGEST_NAME) -> str:
    """Give the name; Malformed beyond *limit* bytes, or with a control character (C0, DEL, C1) in it.

    Names are shown in terminals, logs and CSV files, where such a character is no letter but an order.
    """
    if _CONTROL.search(name):
        raise Malformed("a name may hold no control characters")
    return check_size(name, limit)


def check_key(field: str, value: str) -> str:
    """Give an id, route or the like; Malformed, with the name of the *field*, beyond LONGEST_KEY bytes.

    Also for control characters (C0, DEL, C1), and for `.` and `..`: clients take them out of a path
    (RFC 3986, 5.2.4), so nobody could ask for it.
    """
    if _CONTROL.search(value):
        raise Malformed(f"{field} may hold no control characters")
    if value in {".", ".."}:
        raise Malformed(f"{field} can be neither . nor ..")
    if len(value.encode()) > LONGEST_KEY:
        raise Malformed(f"{field} has at most {LONGEST_KEY} bytes")
    return value


def check_tenant_id(tenant_id: str) -> None:
    """Raise Malformed for an id too long, or one that no level of a topic can hold, in MQTT or at the broker.

    That is one with white space, control characters, or any of `/`, `+`, `#`, `*`, `>`, `%`.
    """
    check_key("id", tenant_id)
    if any(c in _UNSPEAKABLE or c.isspace() for c in tenant_id):
        raise Malformed("a tenant's id may hold no white space and none of / + # * > %")


def claim_tenant(tx: Tx, tenant: Tenant) -> None:
    """Raise Conflict when its id is another's alias, or its alias another's id; exact under concurrency."""
    _hold(tx, "tenant", [tenant.id, tenant.alias])
    alias = TenantId(tenant.alias or "")
    if alias not in {"", tenant.id} and tx.get(Tenant, ANYWHERE, alias) is not None:
        raise Conflict("a tenant with this alias exists already")
    namesake = tx.find(Tenant, ANYWHERE, alias=tenant.id)
    if namesake is not None and namesake.id != tenant.id:
        raise Conflict("a tenant with this id exists already")


def claim_channels(
    tx: Tx, tenant_id: TenantId, channels: Sequence[Channel], *, chosen: Sequence[str]
) -> None:
    """Raise Conflict when a route is another channel's id, or a *chosen* id another's route, in the tenant.

    Ids that Muster makes are nobody's route: they need not be asked for. Exact under concurrency.
    """
    routes = {channel.route: channel.id for channel in channels if channel.route}
    _hold(tx, f"channel:{tenant_id}", [*routes, *chosen])
    if routes:
        named = {c.id for c in tx.select(Channel, tenant_id, OneOf("id", list(routes)))}
        named |= {channel.id for channel in channels}
        if any(route in named and route != owner for route, owner in routes.items()):
            raise Conflict("a channel with this route exists already")
    if chosen and any(c.route != c.id for c in tx.select(Channel, tenant_id, OneOf("route", list(chosen)))):
        raise Conflict("a channel with this id exists already")


def _hold(tx: Tx, what: str, names: Sequence[str | None]) -> None:
    # In one order, so that two who want the same names never wait for each other.
    for name in sorted({name for name in names if name}):
        tx.lock(f"{what}:{name}")
