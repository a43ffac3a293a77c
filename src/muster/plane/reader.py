"""Messages as upstream's reader gave them in 2021 (port 8905): SenML records, or JSON of one format.

What is kept is what `plane/http` reads back too; upstream's writers kept nothing but these two.
"""

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Router, get
from litestar.di import Provide

from muster.core.errors import Forbidden
from muster.core.model import Flow
from muster.core.ports import Window
from muster.plane.http import Door, passage
from muster.plane.publish import Message
from muster.plane.senml import Record, records
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.errors import BadQuery
from muster.web.wire import Rules, flag, raw, window

SENML = "messages"
"""The format that is meant without one."""
_MOST_KEPT = 100_000
_RULES = Rules(most=1000, zero_is_default=True)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "eq": operator.eq,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}


class ReadOut(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A SenML record with its *name*, or a JSON message with *created* (ns since 1970) and *payload*."""

    channel: str
    created: int = 0
    subtopic: str = ""
    publisher: str = ""
    protocol: str
    payload: dict[str, Any] | None = None
    name: str = ""
    unit: str = ""
    time: float = 0.0
    update_time: float | None = None
    value: float | None = None
    string_value: str | None = None
    data_value: str | None = None
    bool_value: bool | None = None
    sum: float | None = None


class ReadPage(msgspec.Struct, kw_only=True):
    """A window of messages, the newest first."""

    offset: int
    limit: int
    total: int
    messages: list[ReadOut]


# --- what is asked for -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The filters of a request; None: any."""

    format: str
    equal: dict[str, Any]
    """By field of ReadOut, the value it must have."""
    value: float | None
    compare: Callable[[float, float], bool]
    start: float
    end: float

    def takes(self, message: ReadOut) -> bool:
        """Say whether the message passes all filters."""
        at = message.time if self.format == SENML else message.created / 1e9
        return (
            self.start <= at < self.end
            and all(getattr(message, name) == value for name, value in self.equal.items())
            and (self.value is None or self._is_value(message.value))
        )

    def _is_value(self, found: float | None) -> bool:
        return found is not None and self.value is not None and self.compare(found, self.value)


_EQUAL = {"subtopic": "subtopic", "publisher": "publisher", "protocol": "protocol", "name": "name"}
_VALUES = {"vs": "string_value", "vd": "data_value"}


def _wanted(request: AnyRequest) -> Wanted:
    given = {field: raw(request, parameter) for parameter, field in {**_EQUAL, **_VALUES}.items()}
    equal: dict[str, Any] = {field: value for field, value in given.items() if value}
    boolean = flag(request, "vb")
    if boolean is not None:
        equal["bool_value"] = boolean
    comparator = raw(request, "comparator") or "eq"
    if comparator not in _COMPARE:
        raise BadQuery("invalid comparator")
    start, end = _real(request, "from"), _real(request, "to")
    return Wanted(
        format=raw(request, "format") or SENML,
        equal=equal,
        value=_real(request, "v"),
        compare=_COMPARE[comparator],
        start=-math.inf if start is None else start,
        end=end or math.inf,
    )


def _real(request: AnyRequest, name: str) -> float | None:
    text = raw(request, name)
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        raise BadQuery(f"{name} is a number") from None
    if not math.isfinite(value):
        raise BadQuery(f"{name} is a number")
    return value


# --- what is there ---------------------------------------------------------------------------------------


def read(message: Message, channel: str, wanted: str) -> Iterator[ReadOut]:
    """Give the records of a message in the format *wanted*: none when it is of another."""
    levels = _levels(message.topic)
    about: dict[str, Any] = {
        "channel": channel,
        "subtopic": ".".join(levels),
        "publisher": message.publisher,
        "protocol": message.protocol or "mqtt",
    }
    if wanted == SENML:
        for record in reversed(records(message.payload, message.created / 1e9)):
            yield _record(record, about)
    elif levels[-1:] == [wanted]:
        for payload in _objects(message.payload):
            yield ReadOut(**about, created=message.created, payload=payload)


def _record(record: Record, about: dict[str, Any]) -> ReadOut:
    return ReadOut(
        **about,
        name=record.name,
        unit=record.unit,
        time=record.time,
        update_time=record.update_time or None,
        value=record.value,
        string_value=record.string,
        data_value=record.data,
        bool_value=record.boolean,
        sum=record.sum,
    )


def _levels(topic: str) -> list[str]:
    """Give the levels of the sub-topic, in either address form."""
    levels = topic.split("/")
    return levels[3:] if levels[0] == "channels" else levels[4:]


def _objects(payload: bytes) -> list[dict[str, Any]]:
    try:
        found = msgspec.json.decode(payload, type=dict[str, Any] | list[dict[str, Any]])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return found if isinstance(found, list) else [found]


def page(kept: list[Message], channel: str, wanted: Wanted, part: Window) -> ReadPage:
    """Give the window of what is wanted of the messages, which come newest first."""
    every = (each for message in kept for each in read(message, channel, wanted.format))
    found = [each for each in every if wanted.takes(each)]
    if wanted.format == SENML:
        found.sort(key=lambda each: each.time, reverse=True)
    limit = part.limit or 0
    shown = found[part.offset : part.offset + limit]
    return ReadPage(offset=part.offset, limit=limit, total=len(found), messages=shown)


_REAL = {"type": "number"}
_QUERY = {
    "offset": {"type": "integer", "minimum": 0, "default": 0},
    "limit": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 10},
    **dict.fromkeys(("format", "subtopic", "publisher", "protocol", "name", "vs", "vd")),
    **dict.fromkeys(("v", "from", "to"), _REAL),
    "vb": {"type": "boolean"},
    "comparator": {"type": "string", "enum": [*_COMPARE]},
}


@get(
    "/channels/{channel:str}/messages",
    operation_id="readMessages",
    opt={"public": True, "query": _QUERY, "errors": (Forbidden,)},
)
async def read_messages(request: AnyRequest, channel: str, desk: Desk, door: Door) -> Rendered[ReadPage]:
    """Read the messages of a channel that were kept, by a thing's key or after `Bearer` a user's token."""
    _, address = await passage(request, desk, door, channel, None, Flow.SUBSCRIBE)
    wanted, part = _wanted(request), window(request, _RULES)
    kept = await door.publisher.last(address, _MOST_KEPT)
    return desk.answer(Reply(body=page(kept, channel, wanted, part)))


def legacy_routes(door: Door) -> Router:
    """Give the reader's route, which goes with the Mainflux door."""

    def given() -> Door:
        return door

    return Router(
        "/", route_handlers=[read_messages], dependencies={"door": Provide(given, sync_to_thread=False)}
    )
