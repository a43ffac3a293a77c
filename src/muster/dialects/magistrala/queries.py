"""Lists: which filters, orders and windows a Magistrala request asks for (spec A.0)."""

from collections.abc import Mapping, Sequence
from typing import Any

from muster.core.errors import Malformed
from muster.core.model import Status
from muster.core.ports import Condition, Contains, Has, Is, Not, Order, Tagged
from muster.core.rights import Rights
from muster.dialects.magistrala import wire
from muster.web.desk import AnyRequest
from muster.web.wire import document, raw, text

Schemas = Mapping[str, Any]
"""Of query parameters, by name, for the OpenAPI document; None: the document knows it."""

TEXT = {"type": "string"}
BOTH_WAYS = {"type": "string", "enum": ["asc", "desc"], "default": "asc"}
STATUSES: Mapping[str, tuple[Condition, ...]] = {
    "enabled": (Is("status", Status.ENABLED),),
    "disabled": (Is("status", Status.DISABLED),),
    "freezed": (Is("status", Status.FROZEN),),
    "deleted": (Is("status", Status.DELETED),),
    "all": (Not("status", Status.DELETED),),
}
ENTITY_ORDERS = ("name", "created_at", "updated_at")
PAGE: Schemas = {"offset": None, "limit": None}
RIGHTS: Schemas = {"role_id": TEXT, "role_name": TEXT, "actions": TEXT}
_FILTERS: Schemas = {
    "tag": TEXT,
    "metadata": {"type": "string", "contentMediaType": "application/json"},
    "status": {"type": "string", "enum": [*STATUSES], "default": "enabled"},
}


def listed(orders: Sequence[str], *texts: str) -> Schemas:
    """Describe the query of a list with these orders and text filters."""
    sorting = {"order": {"type": "string", "enum": [*orders], "default": "updated_at"}, "dir": BOTH_WAYS}
    return {**PAGE, **dict.fromkeys(texts, TEXT), **_FILTERS, **sorting}


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
    if wanted not in STATUSES:
        raise Malformed("invalid status")
    return STATUSES[wanted]


def order(request: AnyRequest, allowed: Sequence[str] = ENTITY_ORDERS, *, is_strict: bool = False) -> Order:
    """Read the order; an unknown one falls back to the default silently, a bad direction if not strict."""
    wanted, direction = raw(request, "order") or "", raw(request, "dir") or "asc"
    if is_strict and direction not in ("asc", "desc"):
        raise Malformed("invalid list direction provided")
    return Order(wanted if wanted in allowed else "updated_at", is_descending=direction == "desc")


def rights(request: AnyRequest) -> Rights | None:
    """Read by which rights a list is narrowed: the caller's, or with `user` another's; None: by none."""
    user, role_id, role_name = (text(request, name) for name in ("user", "role_id", "role_name"))
    listed_actions = (text(request, "actions") or "").split(",")
    actions = tuple(wire.action_in(each.strip()) for each in listed_actions if each.strip())
    if user is role_id is role_name is None and not actions:
        return None
    return Rights(user_id=user, role_id=role_id, role_name=role_name, actions=actions)
