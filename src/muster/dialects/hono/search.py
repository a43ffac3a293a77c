"""Searches: filters, sorting and paging by page number (spec A.6)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from muster.core.errors import Malformed
from muster.core.identity import Certificates
from muster.core.model import Json, Status
from muster.core.ports import At, Condition, Is, Like, Not, OneOf, Order, SpeaksForOthers, Trusts, Window
from muster.web.body import check
from muster.web.desk import AnyRequest
from muster.web.request import incoming
from muster.web.wire import number, raw

PARAMETERS = ("pageSize", "pageOffset", "filterJson", "sortJson")
Place = tuple[str, tuple[str, ...]]
"""The core's field, and the path inside it."""
_MOST_TERMS = 8


class Filter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One filter."""

    field: str
    value: bool | int | float | str
    op: Literal["eq"] = "eq"


class Sort(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One sort order."""

    field: str
    direction: Literal["asc", "desc"] = "asc"


def window(request: AnyRequest) -> Window:
    """Read pageSize (1 to 200, 30 without) and pageOffset, the number of the page."""
    size, page = number(request, "pageSize"), number(request, "pageOffset") or 0
    size = 30 if size is None else size
    if not 1 <= size <= 200 or page > 2**31:
        raise Malformed("pageSize is 1 to 200, pageOffset a page number from 0 on")
    return Window(page * size, size)


def _documents(request: AnyRequest, name: str, kind: Any) -> list[Any]:
    sent = incoming(request).query.get(name, [])
    if len(sent) > _MOST_TERMS:
        raise Malformed(f"{name} may be given {_MOST_TERMS} times")
    try:
        found = [msgspec.json.decode(each.encode(), type=kind) for each in sent]
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        raise Malformed(f"{name} cannot be understood") from None
    for each in sent:
        check(each.encode())
    return found


def pointer(text: str) -> tuple[str, ...]:
    """Read a JSON pointer (RFC 6901); Malformed for none, or the whole document."""
    if not text.startswith("/") or len(text) < 2 or len(text) > 512:
        raise Malformed("a field is a JSON pointer such as /ext/brand")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/"))


_DEVICE: Mapping[tuple[str, ...], str] = {
    ("id",): "id",
    ("status", "created"): "created_at",
    ("status", "updated"): "updated_at",
}
_TENANT: Mapping[tuple[str, ...], str] = {
    ("id",): "id",
    ("alias",): "alias",
    ("registration-limits", "max-devices"): "max_devices",
}
_TEXTS = ("id", "alias")


def device_place(path: tuple[str, ...]) -> Place:
    """Say where a pointer into a device leads."""
    if path in _DEVICE:
        return _DEVICE[path], ()
    if path[0] == "via" and len(path) > 1:
        return "via", path[1:]
    if path[0] == "status":
        path = path[1:]
        if path != ("auto-provisioned",):
            raise Malformed("there is no such field to search by")
    return "extensions", ("hono", *path)


def tenant_place(path: tuple[str, ...]) -> Place:
    """Say where a pointer into a tenant leads."""
    if path in _TENANT:
        return _TENANT[path], ()
    if path[0] == "trusted-ca":
        raise Malformed("tenants cannot be sorted by their trusted CAs")
    return "extensions", ("hono", *path)


def conditions(
    request: AnyRequest, place: Callable[[tuple[str, ...]], Place], certificates: Certificates | None = None
) -> list[Condition]:
    """Read the filters, all of which must hold; for tenants, whose CAs are searched, with *certificates*."""
    asked = _documents(request, "filterJson", Filter)
    return [_condition(each, place, certificates) for each in asked]


def _condition(
    asked: Filter, place: Callable[[tuple[str, ...]], Place], certificates: Certificates | None
) -> Condition:
    path, value = pointer(asked.field), asked.value
    if path == ("enabled",):
        return _enabled(value)
    if path[0] == "trusted-ca" and certificates is not None:
        return _trusts(path[1:], value, certificates)
    field, inside = place(path)
    if isinstance(value, str) and ("*" in value or "?" in value):
        if not inside and field not in _TEXTS:
            raise Malformed("only texts are compared with * and ?")
        return Like(field, inside, value)
    return At(field, inside, value) if inside else _plain(field, value)


_CA_TEXTS = {"id": "id", "subject-dn": "subject_dn", "algorithm": "algorithm"}
_CA_FLAGS = {
    "auto-provisioning-enabled": "is_provisioning",
    "auto-provision-as-gateway": "makes_gateways",
}


def _trusts(path: tuple[str, ...], value: Json, certificates: Certificates) -> Condition:
    """Read a filter by any trusted CA, or with a number before the member by the one at that place."""
    place = None
    if len(path) == 2 and path[0].isascii() and path[0].isdigit() and len(path[0]) < 5:
        place, path = int(path[0]), path[1:]
    member = path[0] if len(path) == 1 else ""
    if member not in _CA_TEXTS | _CA_FLAGS:
        raise Malformed(f"trusted CAs are searched by {', '.join(_CA_TEXTS | _CA_FLAGS)}")
    if member in _CA_FLAGS:
        return Trusts(_CA_FLAGS[member], value, place=place) if isinstance(value, bool) else OneOf("id", [])
    if not isinstance(value, str):
        return OneOf("id", [])
    if "*" in value or "?" in value:
        return Trusts(_CA_TEXTS[member], value, is_pattern=True, place=place)
    if member == "subject-dn":
        return Trusts("subject_key", certificates.name(value).key, place=place)
    return Trusts(_CA_TEXTS[member], value, place=place)


def _enabled(value: Json) -> Condition:
    if value is True:
        return Is("status", Status.ENABLED)
    return Not("status", Status.ENABLED) if value is False else OneOf("status", [])


def _plain(field: str, value: Json) -> Condition:
    if field.endswith("_at"):
        raise Malformed("times can be sorted by, not filtered")
    is_text = field in _TEXTS
    return Is(field, value) if isinstance(value, str) is is_text and value is not True else OneOf(field, [])


def order(request: AnyRequest, place: Callable[[tuple[str, ...]], Place]) -> Order:
    """Read the sort orders; by id without."""
    return _chained(_documents(request, "sortJson", Sort), place)


def _chained(asked: Sequence[Sort], place: Callable[[tuple[str, ...]], Place]) -> Order:
    if not asked:
        return Order("id")
    path = pointer(asked[0].field)
    field, inside = ("status", ()) if path == ("enabled",) else place(path)
    rest = _chained(asked[1:], place)
    return Order(field, is_descending=asked[0].direction == "desc", path=inside, then=rest)


def gateways(request: AnyRequest) -> list[Condition]:
    """Read isGateway."""
    asked = raw(request, "isGateway")
    if asked is None:
        return []
    if asked not in ("true", "false"):
        raise Malformed("isGateway is true or false")
    return [SpeaksForOthers(asked == "true")]
