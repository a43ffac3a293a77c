"""Where the two databases speak different SQL. Everything else is said once, in SQLAlchemy Core."""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from sqlalchemy import ColumnElement, TableValuedAlias, Text, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect

from muster.store.rows import to_json

Term = ColumnElement[Any]


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

    def has(self, column: Term, text: Term) -> Term:
        """The column contains the text, whatever the case."""

    def pattern(self, text: str) -> str:
        """Give the parameter for has."""

    def contains(self, column: Term, part: Term) -> Term:
        """The JSON object contains the part."""


def _literal(text: str) -> str:
    """Quote what LIKE gives a meaning to."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


class SqliteFlavor:
    """SQLite. Functions of ours are registered on each connection: see functions()."""

    dialect: Dialect = SQLiteDialect_pysqlite(paramstyle="qmark")
    has_row_versions = False

    def any_of(self, column: Term, values: Term) -> Term:
        return column.in_(select(func.json_each(values).table_valued("value").c.value))

    def members(self, values: Sequence[Any]) -> Any:
        return to_json(list(values))

    def elements(self, column: Term) -> TableValuedAlias:
        return func.json_each(column).table_valued("value")

    def has(self, column: Term, text: Term) -> Term:
        return func.muster_has(column, text) == 1

    def pattern(self, text: str) -> str:
        return text.casefold()

    def contains(self, column: Term, part: Term) -> Term:
        return func.muster_contains(column, part) == 1


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

    def has(self, column: Term, text: Term) -> Term:
        return column.ilike(cast(text, Text))

    def pattern(self, text: str) -> str:
        return f"%{_literal(text)}%"

    def contains(self, column: Term, part: Term) -> Term:
        return column.op("@>", is_comparison=True)(cast(part, JSONB))


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
