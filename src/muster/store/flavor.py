"""Where the two databases speak different SQL. Everything else is said once, in SQLAlchemy Core."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    TableValuedAlias,
    Text,
    and_,
    case,
    cast,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from muster.store.rows import to_json

MOST_TEXTS = 8
"""Members of a part that are looked for as text: each number of them is a statement of its own."""
LONGEST_PATTERN = 50_000
"""Bytes that SQLite's LIKE and GLOB take (its SQLITE_MAX_LIKE_PATTERN_LENGTH)."""
Term = ColumnElement[Any]
Bind = Callable[[], BindParameter[Any]]
"""Gives the parameter of the next value."""


class Search(NamedTuple):
    """How to look into a column: its SQL depends on *variant* alone."""

    variant: Hashable
    values: tuple[Any, ...]
    build: Callable[[Term, Bind], Term]


class Flavor(Protocol):
    """One database's way to say what SQL leaves open."""

    dialect: Dialect
    has_row_versions: bool
    """Whether rows carry a version, because several transactions write at the same time."""

    def any_of(self, column: Term, values: Term) -> Term:
        """The column equals a member of the list."""

    def members(self, values: Sequence[Any]) -> Any:
        """Give the parameter for any_of."""

    def elements(self, column: Term) -> TableValuedAlias:
        """Give the members of a JSON array of strings as a table with the column `value`."""

    def has(self, text: str) -> Search:
        """The column contains the text, whatever the case."""

    def contains(self, part: Mapping[str, Any]) -> Search:
        """The JSON object contains the part."""

    def unindexed(self, column: Term) -> Term:
        """Give the column so that no index of it is chosen where the planner has no way to know better."""

    def at(self, column: Term, path: Term) -> Term:
        """Give the value at the path inside the JSON column, in a form that sorts; NULL if there is none."""

    def equals_at(self, column: Term, path: Term, value: Term) -> Term:
        """The value at the path equals the value."""

    def number_at(self, column: Term, path: Term, value: Term) -> Term:
        """The value at the path is the number, however either is written: 1 is 1.0."""

    def path(self, path: Sequence[str]) -> Any:
        """Give the parameter for at, equals_at and number_at."""

    def fits(self, text: Term, pattern: Term) -> Term:
        """The text fits the pattern."""

    def text_at(self, column: Term, path: Term) -> Term:
        """Give the text at the path; NULL for what is no text."""

    def wildcard(self, pattern: str) -> str:
        """Give the parameter for fits."""

    def is_filled(self, column: Term) -> Term:
        """The JSON array has members."""

    def has_groups(self, extensions: Term) -> Term:
        """The device is in a group of gateways."""


def _like(text: str) -> str:
    """Give the pattern for LIKE; what it gives a meaning to is quoted."""
    return f"%{_quoted(text)}%"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class SqliteFlavor:
    """SQLite. A connection must offer FUNCTIONS."""

    dialect: Dialect = SQLiteDialect_pysqlite(paramstyle="qmark")
    has_row_versions = False

    def any_of(self, column: Term, values: Term) -> Term:
        return column.in_(select(func.json_each(values).table_valued("value").c.value))

    def members(self, values: Sequence[Any]) -> Any:
        return to_json(list(values))

    def elements(self, column: Term) -> TableValuedAlias:
        return func.json_each(column).table_valued("value")

    def has(self, text: str) -> Search:
        # LIKE is five times as fast as a function of ours, but knows the case of ASCII letters only.
        if text.isascii() and len(_like(text)) <= LONGEST_PATTERN:
            return Search("like", (_like(text),), lambda column, bind: column.like(bind(), escape="\\"))
        return Search("has", (text.casefold(),), lambda column, bind: func.muster_has(column, bind()) == 1)

    def contains(self, part: Mapping[str, Any]) -> Search:
        # First what the text must hold, as it was written by the same encoder: no call of ours for most rows.
        texts = [_member(name, value) for name, value in part.items()][:MOST_TEXTS]

        def build(column: Term, bind: Bind) -> Term:
            in_text = [func.instr(column, bind()) > 0 for _ in texts]
            return and_(*in_text, func.muster_contains(column, bind()) == 1)

        return Search(("contains", len(texts)), (*texts, to_json(part)), build)

    def unindexed(self, column: Term) -> Term:
        return UnaryExpression(column, operator=custom_op("+"))

    def at(self, column: Term, path: Term) -> Term:
        return func.json_extract(column, path)

    def equals_at(self, column: Term, path: Term, value: Term) -> Term:
        return column.op("->", is_comparison=False)(path) == value

    def number_at(self, column: Term, path: Term, value: Term) -> Term:
        kind, found = func.json_type(column, path), func.json_extract(column, path)
        is_number = or_(kind == "integer", kind == "real")
        return case((is_number, found == func.json_extract(value, "$")))

    def path(self, path: Sequence[str]) -> Any:
        return "$" + "".join(f"[{s}]" if s.isascii() and s.isdigit() else f".{to_json(s)}" for s in path)

    def fits(self, text: Term, pattern: Term) -> Term:
        return text.op("GLOB", is_comparison=True)(pattern)

    def text_at(self, column: Term, path: Term) -> Term:
        return case((func.json_type(column, path) == "text", func.json_extract(column, path)))

    def wildcard(self, pattern: str) -> str:
        return pattern.replace("[", "[[]")

    def is_filled(self, column: Term) -> Term:
        return column != literal_column("'[]'")

    def has_groups(self, extensions: Term) -> Term:
        return func.coalesce(
            func.json_array_length(extensions, literal_column("'$.hono.memberOf'")), literal_column("0")
        ) > literal_column("0")


def _member(name: str, value: Any) -> str:
    """Give what the text of an object with this member holds; a number may be written in several ways."""
    is_written_one_way = value is None or isinstance(value, str | bool)
    return to_json({name: value})[1:-1] if is_written_one_way else f"{to_json(name)}:"


class PostgresFlavor:
    """PostgreSQL through psycopg; JSON comes and goes as text."""

    dialect: Dialect = PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]
    has_row_versions = True

    def any_of(self, column: Term, values: Term) -> Term:
        return column == func.any(values)

    def members(self, values: Sequence[Any]) -> Any:
        return list(values)

    def elements(self, column: Term) -> TableValuedAlias:
        return func.jsonb_array_elements_text(column).table_valued("value")

    def has(self, text: str) -> Search:
        return Search("ilike", (_like(text),), lambda column, bind: column.ilike(cast(bind(), Text)))

    def contains(self, part: Mapping[str, Any]) -> Search:
        contained = "@>"
        return Search(
            contained,
            (to_json(part),),
            lambda column, bind: column.op(contained, is_comparison=True)(cast(bind(), JSONB)),
        )

    def unindexed(self, column: Term) -> Term:
        return column

    def at(self, column: Term, path: Term) -> Term:
        return column.op("#>")(cast(path, ARRAY(Text)))

    def equals_at(self, column: Term, path: Term, value: Term) -> Term:
        return column.op("#>")(cast(path, ARRAY(Text))) == cast(value, JSONB)

    def number_at(self, column: Term, path: Term, value: Term) -> Term:
        return self.equals_at(column, path, value)

    def path(self, path: Sequence[str]) -> Any:
        return list(path)

    def fits(self, text: Term, pattern: Term) -> Term:
        return text.like(cast(pattern, Text))

    def text_at(self, column: Term, path: Term) -> Term:
        where = cast(path, ARRAY(Text))
        return case((func.jsonb_typeof(column.op("#>")(where)) == "string", column.op("#>>")(where)))

    def wildcard(self, pattern: str) -> str:
        return _quoted(pattern).replace("*", "%").replace("?", "_")

    def is_filled(self, column: Term) -> Term:
        return column != literal_column("'[]'::jsonb")

    def has_groups(self, extensions: Term) -> Term:
        return extensions.op("#>")(literal_column("'{hono,memberOf,0}'::text[]")).is_not(None)


def has_text(column: str | None, folded: str) -> bool:
    """Say whether the column contains the case-folded text; SQLite calls this as muster_has."""
    return column is not None and folded in column.casefold()


def contains_json(column: str | None, part: str) -> bool:
    """Say whether the JSON column contains the part, as PostgreSQL's @> does; called as muster_contains."""
    return column is not None and _contains(msgspec.json.decode(column), msgspec.json.decode(part))


def _contains(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and _contains(whole[k], v) for k, v in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and all(any(_contains(one, v) for one in whole) for v in part)
    # True == 1 in Python, but not in JSON.
    return isinstance(whole, bool) == isinstance(part, bool) and bool(whole == part)


SQLITE = SqliteFlavor()
POSTGRES = PostgresFlavor()
FUNCTIONS = {"muster_has": has_text, "muster_contains": contains_json}
"""What a SQLite connection must offer: name to a deterministic function of two arguments."""
