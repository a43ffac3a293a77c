"""Commands from declarations: most verbs of most nouns differ only in path, options and columns."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from string import Formatter
from typing import Any, Final

import rich_click as click

from muster.cli.failures import USAGE, Stop
from muster.cli.session import Session, secret, speaks, text_of
from muster.client import Json, Row, path


class Kind(Enum):
    """How an option's text is read."""

    TEXT = "TEXT"
    TEXTS = "TEXT,…"
    """May be given several times."""
    NUMBER = "NUMBER"
    JSON = "JSON|@FILE"
    """An object, or @ and the file (or - for standard input) it stands in."""
    SECRET = "FILE|-"  # noqa: S105 a place, not a secret
    """The file, or standard input, in whose first line it stands."""
    SECONDS = "DURATION"
    """90s, 720h, 1h30m or 30d; sent as seconds."""
    FILE = "FILE"
    """The file, or - for standard input, whose whole text it is."""


@dataclass(frozen=True, slots=True)
class Field:
    """A part of the request: an option when its name begins with dashes, else an argument."""

    name: str
    place: str
    """Where in the body, dotted, or which query parameter."""
    help: str = ""
    kind: Kind = Kind.TEXT
    is_required: bool = False
    choices: tuple[str, ...] = ()
    values: Mapping[str, Json] = field(default_factory=dict)
    """Choices that are sent as something else."""

    @property
    def variable(self) -> str:
        """The name click hands it over under."""
        return "field_" + self.name.lstrip("-").replace("-", "_").lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One command. A `{domain}` that begins the path is the option --domain, any other part an argument."""

    name: str
    method: str
    path: str
    help: str
    fields: tuple[Field, ...] = ()
    query: tuple[Field, ...] = ()
    columns: tuple[str, ...] = ()
    is_list: bool = False
    takes_file: bool = False
    """Whether --file gives a whole body."""
    said: str = ""
    """What is printed when the answer is empty; may name the path's parts."""
    is_open: bool = False
    """Whether nobody need be logged in."""
    more: Mapping[str, Json] = field(default_factory=dict)
    """What the body always has."""

    @property
    def is_in_domain(self) -> bool:
        """Whether it takes --domain."""
        return self.path.startswith("/{domain}/")

    @property
    def arguments(self) -> list[str]:
        """The parts of the path that are arguments."""
        names = [name for _, name, _, _ in Formatter().parse(self.path) if name]
        return names[1:] if self.is_in_domain else names


NAME: Final = Field("--name", "name", "Part of the name.")
STATUSES: Final = ("enabled", "disabled", "all")
LIST: Final = (
    NAME,
    Field("--tag", "tag", "Part of a tag."),
    Field("--metadata", "metadata", "Object the metadata must contain.", Kind.JSON),
    Field("--status", "status", "Which of them; enabled without it.", choices=STATUSES),
    Field("--order", "order", "Field to sort by."),
    Field("--dir", "dir", "Direction to sort in.", choices=("asc", "desc")),
)


def lists(where: str, help_: str, *query: Field, columns: tuple[str, ...], name: str = "list") -> Verb:
    """Declare a list with the filters that all lists have; *query* comes first and replaces equal names."""
    taken = {each.name for each in query}
    filters = (*query, *(each for each in LIST if each.name not in taken))
    return Verb(name=name, method="GET", path=where, help=help_, query=filters, columns=columns, is_list=True)


def group(name: str, help_: str, *verbs: Verb | click.Command) -> click.RichGroup:
    """Make a group of declared and other commands, in this order."""
    made = click.RichGroup(name=name, help=help_)
    for verb in verbs:
        made.add_command(command(verb) if isinstance(verb, Verb) else verb)
    return made


def command(verb: Verb) -> click.Command:
    """Make the command of a declaration."""

    def run(session: Session, **given: Any) -> None:
        perform(verb, session, given)

    called = speaks(run, in_domain=verb.is_in_domain)
    for option in reversed(list(_parameters(verb))):
        called = option(called)
    return click.command(verb.name, help=verb.help)(called)


def _parameters(verb: Verb) -> Iterator[Any]:
    for name in verb.arguments:
        yield click.argument(f"part_{name}", metavar=name.upper())
    for each in (*verb.fields, *verb.query):
        yield _parameter(each)
    if verb.takes_file:
        yield click.option(
            "--file", "-f", metavar="FILE|-", help="JSON object with the whole body; options win."
        )
    if verb.is_list:
        yield click.option("--limit", type=click.IntRange(1, 100), default=None, help="Rows, at most 100.")
        yield click.option("--offset", type=click.IntRange(0), default=None, help="Rows to skip.")
        yield click.option("--all", "everything", is_flag=True, help="All rows, however many.")
    if verb.method == "POST" and (verb.fields or verb.takes_file):
        yield click.option("--once", metavar="KEY", help="Idempotency key: the same key has its effect once.")


def _parameter(each: Field) -> Any:
    choices = each.choices or tuple(each.values)
    kind: Any = click.Choice(choices) if choices else int if each.kind is Kind.NUMBER else str
    many = each.kind is Kind.TEXTS
    if not each.name.startswith("-"):
        arity = -1 if many else 1
        required = each.is_required or not many
        shown = "|".join(choices) or each.name + ("…" if many else "")
        return click.argument(each.variable, metavar=shown, nargs=arity, type=kind, required=required)
    return click.option(
        each.name,
        each.variable,
        help=each.help,
        type=kind,
        metavar=None if choices else each.kind.value.removesuffix(",…"),
        multiple=many,
        # A missing secret is asked for at a terminal.
        required=each.is_required and each.kind is not Kind.SECRET,
    )


def perform(verb: Verb, session: Session, given: Row) -> None:
    """Do what a declared command does."""
    parts = {name: str(given[f"part_{name}"]) for name in verb.arguments}
    if verb.is_in_domain:
        parts["domain"] = session.domain
    elif "domain" in parts:
        parts["domain"] = session.domain_id(parts["domain"])
    where = path(verb.path, **parts)
    query = dict(_values(verb.query, given))
    if verb.is_list:
        session.show(_listed(session, where, query, given), verb.columns)
        return
    body = _body(verb, given)
    key = given.get("once")
    if verb.method == "POST":
        answer = session.api.create(where, body, key=key)
    else:
        answer = session.api.request(verb.method, where, body=body, query=_texts(query)).body
    session.show(answer, verb.columns, verb.said.format_map(parts))


def _listed(session: Session, where: str, query: Row, given: Row) -> Json:
    if not given["everything"]:
        window = {"limit": given["limit"], "offset": given["offset"]}
        return session.api.get(where, **_texts(query), **window)
    rows = list(session.api.every(where, **_texts(query)))
    return {"offset": 0, "total": len(rows), where.rpartition("/")[2]: rows}


def _texts(query: Row) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}


def _body(verb: Verb, given: Row) -> Row | None:
    body: Row = dict(verb.more)
    if verb.takes_file and given.get("file"):
        body |= json_object(text_of(given["file"]), given["file"])
    for place, value in _values(verb.fields, given):
        _put(body, place, value)
    if not body and verb.fields:
        options = ", ".join(each.name for each in verb.fields)
        raise Stop(f"nothing to send: give at least one of {options}", code=USAGE)
    return body or None


def _values(fields: tuple[Field, ...], given: Row) -> Iterator[tuple[str, Json]]:
    for each in fields:
        value = given[each.variable]
        if each.kind is Kind.SECRET and (value is not None or each.is_required):
            what = each.name.lstrip("-").replace("-", " ")
            yield each.place, secret(value, what, option=each.name)
        elif each.kind is Kind.JSON and value is not None:
            yield each.place, json_argument(value, each.name)
        elif each.kind is Kind.TEXTS:
            if value:
                yield each.place, list(value)
        elif each.kind is Kind.SECONDS and value is not None:
            yield each.place, seconds(value)
        elif each.kind is Kind.FILE and value is not None:
            yield each.place, text_of(value)
        elif value is not None:
            yield each.place, each.values.get(value, value)


def _put(body: Row, place: str, value: Json) -> None:
    *outer, last = place.split(".")
    for name in outer:
        body = body.setdefault(name, {})
    body[last] = value


_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> int:
    """Read `90s`, `720h`, `1h30m` or `30d` as seconds."""
    terms = re.findall(r"(\d{1,9})([smhd])", text, re.ASCII)
    if not terms or "".join(number + unit for number, unit in terms) != text:
        raise Stop(f"{text!r} is no duration: 90s, 720h, 1h30m and 30d are", code=USAGE)
    return sum(int(number) * _UNITS[unit] for number, unit in terms)


def json_argument(text: str, what: str) -> Row:
    """Read a JSON object from the command line, or from the file after an @."""
    return json_object(text_of(text[1:]) if text.startswith("@") else text, what)


def json_object(text: str, what: str) -> Row:
    """Read a JSON object. Stop says where it is none."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Stop(
            f"{what}: no JSON in line {error.lineno}, column {error.colno}: {error.msg}", code=USAGE
        ) from None
    except (ValueError, RecursionError):
        raise Stop(f"{what}: no JSON that can be read", code=USAGE) from None
    if not isinstance(value, dict):
        raise Stop(f'{what}: it must be a JSON object, as in {{"site": "north"}}', code=USAGE)
    return value
