"""Lists: which filters, orders and windows a Magistrala request asks for (spec A.0)."""

from collections.abc import Mapping, Sequence

from muster.core.errors import Malformed
from muster.core.model import Status
from muster.core.ports import Condition, Contains, Has, Is, Not, Order, Tagged
from muster.web.desk import AnyRequest
from muster.web.wire import document, raw, text

ENTITY_ORDERS = ("name", "created_at", "updated_at")
PAGE = ("offset", "limit")
LISTED = (*PAGE, "name", "id", "tag", "metadata", "status", "order", "dir")
"""The query parameters of the lists of clients, channels, groups and domains."""

_STATUSES: Mapping[str, tuple[Condition, ...]] = {
    "enabled": (Is("status", Status.ENABLED),),
    "disabled": (Is("status", Status.DISABLED),),
    "freezed": (Is("status", Status.FROZEN),),
    "deleted": (Is("status", Status.DELETED),),
    "all": (Not("status", Status.DELETED),),
}


def filters(request: AnyRequest, *texts: str, **renamed: str) -> list[Condition]:
    """Read the filters every list has, and the *texts* it has besides; *renamed*: core field by parameter."""
    conditions: list[Condition] = [*status(request)]
    for parameter, name in {**{t: t for t in texts}, **renamed}.items():
        wanted = text(request, parameter)
        if wanted is not None:
            conditions.append(Has(name, wanted))
    tag = text(request, "tag")
    if tag is not None:
        conditions.append(Tagged(tag))
    part = document(request, "metadata")
    if part:
        conditions.append(Contains("metadata", part))
    return conditions


def status(request: AnyRequest) -> tuple[Condition, ...]:
    """Read the filter by status; enabled without one."""
    wanted = text(request, "status") or "enabled"
    if wanted not in _STATUSES:
        raise Malformed("invalid status")
    return _STATUSES[wanted]


def order(request: AnyRequest, allowed: Sequence[str] = ENTITY_ORDERS, *, is_strict: bool = False) -> Order:
    """Read the order; an unknown one falls back to the default silently, a bad direction if not strict."""
    wanted, direction = raw(request, "order") or "", raw(request, "dir") or "asc"
    if is_strict and direction not in ("asc", "desc"):
        raise Malformed("invalid list direction provided")
    return Order(wanted if wanted in allowed else "updated_at", is_descending=direction == "desc")
