"""Rows of clients, channels and connections: read from a file, checked before anything is sent."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from muster.cli.files import Entry, Flaw, Unreadable, entries
from muster.client import BOTH, Json, Row

UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MOST_NAME: Final = 1024
"""Bytes (spec A.0)."""
_SHOWN_ONLY: Final = frozenset(
    {
        "domain_id",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "connection_types",
        "line",
        "reason",
    }
)
"""What lists show and creating ignores: a list that was saved can be created again."""


@dataclass(frozen=True, slots=True)
class Item:
    """A row as it is sent."""

    line: int
    body: Row


class Wrong(Exception):
    """A row cannot be sent."""


# --- reading ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Noun:
    """What a file of clients or channels may say."""

    name: str
    columns: Mapping[str, str]
    """Place in the body by CSV heading."""
    check: Callable[[Row], None]


def read(text: str, form: str, noun: Noun) -> tuple[list[Item], list[Flaw]]:
    """Give the rows that can be sent, and what is wrong with the others."""
    try:
        found = entries(text, form)
    except Unreadable as error:
        return [], [error.flaw]
    if form == "csv":
        found = _bodies(found, noun)
    items: list[Item] = []
    flaws: list[Flaw] = []
    for entry in found:
        try:
            items.append(Item(entry.line, _body(entry.value, noun)))
        except Wrong as error:
            flaws.append(Flaw(entry.line, str(error)))
    return items, [*flaws, *_repeated(items)]


def _bodies(found: Sequence[Entry], noun: Noun) -> list[Entry]:
    """Turn CSV records into objects: by headings if the first cell is `name`, else column 1 is the name."""
    headings = [cell.strip().lower() for cell in found[0].value] if found else [""]
    if "name" in headings[1:]:
        # Else the headings would become a client, and whatever stands first the names of all others.
        return [Entry(found[0].line, Wrong("the first of the headings must be 'name'"))]
    if headings[0] != "name":
        return [Entry(entry.line, {"name": entry.value[0]}) for entry in found]
    return [Entry(entry.line, _record(headings, entry.value, noun)) for entry in found[1:]]


def _record(headings: Sequence[str], cells: Sequence[str], noun: Noun) -> Json:
    if len(cells) > len(headings):
        return Wrong(f"has {len(cells)} cells under {len(headings)} headings")
    body: Row = {}
    for heading, cell in zip(headings, cells, strict=False):
        if not cell or heading in _SHOWN_ONLY:
            continue
        place = noun.columns.get(heading)
        if place is None:
            return Wrong(f"nothing is known of a column {heading!r}; known are {', '.join(noun.columns)}")
        try:
            _put(body, place, cell)
        except ValueError:
            return Wrong(f"column {heading!r} holds no JSON object")
    return body


def _put(body: Row, place: str, cell: str) -> None:
    value: Json = cell
    if place == "tags":
        value = [tag.strip() for tag in cell.split(";") if tag.strip()]
    elif place == "metadata":
        value = json.loads(cell)
    outer, _, last = place.rpartition(".")
    (body.setdefault(outer, {}) if outer else body)[last] = value


def _body(value: Json, noun: Noun) -> Row:
    if isinstance(value, Wrong):
        raise value
    if not isinstance(value, dict):
        raise Wrong("must be an object")
    body = {key: each for key, each in value.items() if key not in _SHOWN_ONLY and each not in (None, "")}
    places = {place.partition(".")[0] for place in noun.columns.values()}
    for key in body:
        if key not in places:
            raise Wrong(f"nothing is known of {key!r}; known are {', '.join(sorted(places))}")
    noun.check(body)
    return body


def _repeated(items: Iterable[Item]) -> list[Flaw]:
    """Find ids and secrets that stand in the file twice."""
    first: dict[tuple[str, str], int] = {}
    flaws: list[Flaw] = []
    for item in items:
        for what, value in (("id", item.body.get("id")), ("secret", _secret(item.body))):
            if value:
                line = first.setdefault((what, value), item.line)
                if line != item.line:
                    flaws.append(Flaw(item.line, f"has the {what} of line {line}"))
    return flaws


def _secret(body: Row) -> str:
    credentials = body.get("credentials")
    return str(credentials.get("secret", "")) if isinstance(credentials, dict) else ""


# --- checking --------------------------------------------------------------------------------------------


def _is(body: Row, key: str, kind: type, said: str) -> Any:
    value = body.get(key)
    if value is not None and not isinstance(value, kind):
        raise Wrong(f"{key} must be {said}")
    return value


def _check_common(body: Row) -> None:
    name = _is(body, "name", str, "a text")
    if name is not None and len(name.encode(errors="surrogatepass")) > MOST_NAME:
        raise Wrong(f"the name has more than {MOST_NAME} bytes")
    for key in ("id", "parent_group_id", "route"):
        _is(body, key, str, "a text")
    tags = _is(body, "tags", list, "a list of texts")
    if tags and not all(isinstance(tag, str) for tag in tags):
        raise Wrong("tags must be a list of texts")
    _is(body, "metadata", dict, "an object")
    if body.get("status", "enabled") not in ("enabled", "disabled"):
        raise Wrong("status must be enabled or disabled")


def check_client(body: Row) -> None:
    """Check a client as the server will (spec A.0, A.4). Wrong says what is not right."""
    _check_common(body)
    if body.get("id") and not UUID.fullmatch(body["id"]):
        raise Wrong(f"id {body['id']!r} is no UUID in lower case")
    credentials = _is(body, "credentials", dict, "an object") or {}
    for key in credentials:
        if key not in ("identity", "secret"):
            raise Wrong(f"nothing is known of 'credentials.{key}'; known are identity, secret")
        _is(credentials, key, str, "a text")


def check_channel(body: Row) -> None:
    """Check a channel as the server will (spec A.0, A.5)."""
    _check_common(body)
    id_ = body.get("id")
    if id_ is not None and (not id_.strip() or len(id_) > 256 or "/" in id_):
        raise Wrong("an id has 1 to 256 characters and no slash")


CLIENTS: Final = Noun(
    "clients",
    {
        "name": "name",
        "id": "id",
        "identity": "credentials.identity",
        "secret": "credentials.secret",
        "tags": "tags",
        "metadata": "metadata",
        "status": "status",
        "group": "parent_group_id",
    },
    check_client,
)
CHANNELS: Final = Noun(
    "channels",
    {
        "name": "name",
        "id": "id",
        "route": "route",
        "tags": "tags",
        "metadata": "metadata",
        "status": "status",
        "group": "parent_group_id",
    },
    check_channel,
)

# --- connections -----------------------------------------------------------------------------------------

_TYPES: Final = {"publish": ("publish",), "subscribe": ("subscribe",), "": BOTH, "both": BOTH}


def read_connections(text: str, form: str) -> tuple[list[Item], list[Flaw]]:
    """Read `client_id,channel_id[,types]` records, or objects of client_ids, channel_ids, types (spec F.3).

    Mainflux's `thing_ids` are read too. Each item is a set: every client of it to every channel of it.
    """
    try:
        found = entries(text, form)
    except Unreadable as error:
        return [], [error.flaw]
    items: list[Item] = []
    flaws: list[Flaw] = []
    for entry in found:
        try:
            value = _pair(entry.value) if form == "csv" else entry.value
            items.append(Item(entry.line, connection(value)))
        except Wrong as error:
            flaws.append(Flaw(entry.line, str(error)))
    return items, flaws


def _pair(cells: Sequence[str]) -> Row:
    if len(cells) not in (2, 3):
        raise Wrong("must be client_id,channel_id or client_id,channel_id,types")
    said = cells[2].lower() if len(cells) == 3 else ""
    kinds = _TYPES.get(said) or tuple(kind.strip() for kind in said.split("+"))
    return {"client_ids": [cells[0]], "channel_ids": [cells[1]], "types": list(kinds)}


def connection(value: Json) -> Row:
    """Check a set of connections."""
    if not isinstance(value, dict):
        raise Wrong("must be an object")
    for key in value:
        if key not in ("client_ids", "thing_ids", "channel_ids", "types"):
            raise Wrong(f"nothing is known of {key!r}; known are client_ids, channel_ids, types")
    clients = _ids(value.get("client_ids", value.get("thing_ids")), "client")
    channels = _ids(value.get("channel_ids"), "channel")
    for id_ in clients:
        if not UUID.fullmatch(id_):
            raise Wrong(f"client id {id_!r} is no UUID in lower case")
    kinds = value.get("types") or list(BOTH)
    if not isinstance(kinds, list) or not all(isinstance(k, str) and k.lower() in BOTH for k in kinds):
        raise Wrong("types must be publish, subscribe, or both")
    return {"client_ids": clients, "channel_ids": channels, "types": [kind.lower() for kind in kinds]}


def _ids(value: Json, what: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
        raise Wrong(f"{what}_ids must be a list of ids")
    return list(dict.fromkeys(value))


def merged(items: Iterable[Item]) -> list[Item]:
    """Join single pairs into as few sets as possible: clients that share channels and kinds go together."""
    wanted: dict[tuple[str, str], set[str]] = {}
    lines: dict[str, int] = {}
    for item in items:
        for client in item.body["client_ids"]:
            lines.setdefault(client, item.line)
            for channel in item.body["channel_ids"]:
                wanted.setdefault((client, channel), set()).update(item.body["types"])
    of_client: dict[tuple[str, str], list[str]] = {}
    for (client, channel), kinds in wanted.items():
        of_client.setdefault((client, "+".join(sorted(kinds))), []).append(channel)
    sets: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (client, kinds_), channels in of_client.items():
        sets.setdefault((kinds_, tuple(sorted(channels))), []).append(client)
    return [
        Item(
            lines[clients[0]],
            {"client_ids": clients, "channel_ids": list(channels), "types": kinds_.split("+")},
        )
        for (kinds_, channels), clients in sets.items()
    ]
