"""The journal: who did what to which entity, when. Upstream's two forms, and one for all of a domain."""

from collections.abc import Callable

from litestar import get

from muster.core import journal
from muster.core.errors import Malformed
from muster.core.model import Instant, JournalEntry, Kind, TenantId
from muster.core.ports import After, Before, Condition, Is, Order, Page
from muster.dialects.magistrala import queries, wire
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import flag, number, raw, rfc3339, text, window

_WORDS = {Kind.DEVICE: "client", Kind.TENANT: "domain"}
_TYPES = {_WORDS.get(kind, kind.value): kind for kind in Kind} | {"thing": Kind.DEVICE}
_LAST = 253_402_300_799
"""The last second of the year 9999."""
_SECOND = {"type": "integer", "minimum": 0, "maximum": _LAST}
_QUERY: queries.Schemas = {
    **queries.PAGE,
    "operation": queries.TEXT,
    "from": _SECOND,
    "to": _SECOND,
    "dir": {**queries.BOTH_WAYS, "default": "desc"},
    "with_attributes": {"type": "boolean", "default": True},
}
_FILTERS: queries.Schemas = {
    "entity_type": {"type": "string", "enum": [*_TYPES]},
    "entity_id": queries.TEXT,
    "actor": queries.TEXT,
}


def kind_of(word: str) -> Kind:
    """Read the kind of an entity; Malformed for another word."""
    if word not in _TYPES:
        raise Malformed("invalid entity type")
    return _TYPES[word]


def _operation_in(operation: str) -> str:
    word, dot, verb = operation.partition(".")
    return f"{_TYPES[word].value}{dot}{verb}" if word in _TYPES else operation


def _second(request: AnyRequest, name: str) -> int | None:
    value = number(request, name)
    if value is not None and value > _LAST:
        raise Malformed("invalid time format")
    return value or None


def _conditions(request: AnyRequest) -> list[Condition]:
    conditions: list[Condition] = []
    operation, start, end = text(request, "operation"), _second(request, "from"), _second(request, "to")
    if operation is not None:
        conditions.append(Is("operation", _operation_in(operation)))
    if start is not None:
        conditions.append(After("at", Instant(start * 1_000_000 - 1)))
    if end is not None:
        conditions.append(Before("at", Instant((end + 1) * 1_000_000)))
    return conditions


def _order(request: AnyRequest) -> Order:
    direction = raw(request, "dir") or "desc"
    if direction not in ("asc", "desc"):
        raise Malformed("invalid list direction provided")
    return Order("at", is_descending=direction == "desc")


def _shown(request: AnyRequest) -> Callable[[Page[JournalEntry]], Reply]:
    asked, is_full = window(request), flag(request, "with_attributes") is not False

    def shown(page: Page[JournalEntry]) -> Reply:
        entries = [_entry(each, is_full=is_full) for each in page.items]
        body = wire.JournalPage(
            total=page.total, offset=asked.offset, limit=asked.limit or 0, journals=entries
        )
        return Reply(body=body)

    return shown


def _entry(found: JournalEntry, *, is_full: bool) -> wire.JournalOut:
    word = _WORDS.get(found.entity_kind, found.entity_kind.value)
    verb = found.operation.partition(".")[2]
    attributes = {"id": found.entity_id, "entity_type": word, "actor": found.actor}
    if found.details is not None:
        attributes["details"] = found.details
    return wire.JournalOut(
        operation=f"{word}.{verb}",
        occurred_at=rfc3339(found.at),
        attributes=attributes if is_full else {},
    )


@get("/{domain:str}/journal", operation_id="listJournal", opt={"query": {**_QUERY, **_FILTERS}})
async def list_journal(request: AnyRequest, domain: str, desk: Desk) -> Rendered[wire.JournalPage]:
    """List what happened in a domain, the newest first."""
    conditions = _conditions(request)
    word, entity, actor = (text(request, name) for name in _FILTERS)
    if word is not None:
        conditions.append(Is("entity_kind", kind_of(word)))
    if entity is not None:
        conditions.append(Is("entity_id", entity))
    if actor is not None:
        conditions.append(Is("actor", actor))
    return await desk.read(
        request,
        journal.list_entries,
        TenantId(domain),
        *conditions,
        order=_order(request),
        window=window(request),
        reply=_shown(request),
    )


@get(
    "/{domain:str}/journal/{entity_type:str}/{entity_id:str}",
    operation_id="listEntityJournal",
    opt={"query": _QUERY},
)
async def list_of_entity(
    request: AnyRequest, domain: str, entity_type: str, entity_id: str, desk: Desk
) -> Rendered[wire.JournalPage]:
    """List what happened to an entity; of a user, what she did in the domain."""
    kind, conditions = kind_of(entity_type), _conditions(request)
    order, asked, reply, tenant = _order(request), window(request), _shown(request), TenantId(domain)
    if kind is Kind.USER:
        conditions.append(Is("actor", entity_id))
        return await desk.read(
            request, journal.list_entries, tenant, *conditions, order=order, window=asked, reply=reply
        )
    args = (tenant, kind, entity_id, *conditions)
    return await desk.read(request, journal.list_of_entity, *args, order=order, window=asked, reply=reply)


@get("/journal/user/{user_id:str}", operation_id="listUserJournal", opt={"query": _QUERY})
async def list_of_user(request: AnyRequest, user_id: str, desk: Desk) -> Rendered[wire.JournalPage]:
    """List what happened to a user, for the user and admins."""
    return await desk.read(
        request,
        journal.list_of_user,
        user_id,
        *_conditions(request),
        order=_order(request),
        window=window(request),
        reply=_shown(request),
    )


HANDLERS = [list_journal, list_of_entity, list_of_user]
