"""Lists: which filters, order and window a Mainflux request asks for (spec B.0)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from muster.core.names import check_size
from muster.core.ports import Condition, Contains, Has, Order, Window
from muster.dialects.mainflux.wire import Listed
from muster.web.desk import AnyRequest, Reply
from muster.web.errors import BadQuery
from muster.web.wire import Rules, document, flag, raw, text, window

LIST = Rules(zero_is_default=True)
RELATIONS = Rules()
"""Lists of what is connected refuse a limit of 0."""
Schemas = Mapping[str, Any]
"""Of query parameters, by name, for the OpenAPI document; None: a text, or one that the document knows."""
COUNT = {"type": "integer", "minimum": 0}
FLAG = {"type": "boolean"}
DOCUMENT = {"type": "string", "contentMediaType": "application/json"}
PAGE: Schemas = {"offset": None, "limit": {**COUNT, "maximum": 100, "default": 10}}
_SORTED: Schemas = {
    "order": {"type": "string", "enum": ["name", "id"]},
    "dir": {"type": "string", "enum": ["asc", "desc"]},
}
LISTED: Schemas = {**PAGE, "name": None, "metadata": DOCUMENT, **_SORTED}
"""The query parameters of the lists of things and channels."""
RELATED: Schemas = {**LISTED, "limit": None, "connected": FLAG, "disconnected": FLAG}
ORDERS = ("name", "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which part of a list is asked for, and in which order; what was not said is empty."""

    window: Window
    order: str = ""
    direction: str = ""

    @property
    def sorting(self) -> Order:
        """The order for the store."""
        return Order(self.order or Order().field, is_descending=self.direction == "desc")


P = TypeVar("P", bound=Listed)


def page(kind: type[P], part: Asked, total: int, **rows: Any) -> Reply:
    """Answer with a page."""
    window = part.window
    body = kind(
        total=total,
        offset=window.offset,
        limit=window.limit or 0,
        order=part.order,
        direction=part.direction,
        **rows,
    )
    return Reply(body=body)


def asked(request: AnyRequest, rules: Rules = LIST) -> Asked:
    """Read window and order from the query. BadQuery for an order or direction that there is not."""
    direction = raw(request, "dir") or raw(request, "direction")
    return checked(window(request, rules), raw(request, "order"), direction)


def checked(part: Window, order: str | None, direction: str | None) -> Asked:
    """Check what was asked for."""
    if order and order not in ORDERS:
        raise BadQuery("invalid list order provided")
    if direction and direction not in ("asc", "desc"):
        raise BadQuery("invalid list direction provided")
    return Asked(window=part, order=order or "", direction=direction or "")


def filters(request: AnyRequest) -> list[Condition]:
    """Read the filters by name and metadata."""
    return conditions(text(request, "name"), document(request, "metadata"))


def conditions(name: str | None, metadata: dict[str, object] | None) -> list[Condition]:
    """Give the conditions of both filters: a part of the name, a part of the metadata."""
    found: list[Condition] = [Has("name", check_size(name))] if name else []
    return [*found, Contains("metadata", metadata)] if metadata else found


def is_connected(request: AnyRequest) -> bool:
    """Read whether those connected are wanted or the others, in both spellings there were (spec B.3)."""
    connected, disconnected = flag(request, "connected"), flag(request, "disconnected")
    return connected if connected is not None else not disconnected


def unique(ids: Sequence[str]) -> list[str]:
    """Give the ids without repetitions."""
    return list(dict.fromkeys(ids))
