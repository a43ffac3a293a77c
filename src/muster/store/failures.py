"""A database's errors become the core's. A Conflict names the field that is taken, never its value."""

import re
import sqlite3
from typing import Any

from sqlalchemy import UniqueConstraint

from muster.core import errors
from muster.store.nouns import SCHEMA, SHAPES

_WORDS = {
    shape.name: re.sub(r"(?<!^)(?=[A-Z])", " ", noun.__name__).lower() for noun, shape in SHAPES.items()
}

_PLACES = {"tenant_id", "entity_kind", "entity_id"}


def _fields(columns: list[str]) -> str:
    """Name what a caller gave: where it belongs goes without saying, a digest stands for its secret."""
    given = [name.removesuffix("_digest") for name in columns if name not in _PLACES] or columns
    return " and ".join("auth-id" if name == "auth_key" else name for name in given)


def _by_constraint() -> dict[str, tuple[str, list[str]]]:
    """Give table and columns of every unique constraint and index, by its name."""
    known: dict[str, tuple[str, list[str]]] = {}
    for table in SCHEMA.tables.values():
        known[str(table.primary_key.name or f"{table.name}_pk")] = (
            table.name,
            [*table.primary_key.columns.keys()],
        )
        for one in table.constraints:
            if isinstance(one, UniqueConstraint):
                known[str(one.name)] = (table.name, [*one.columns.keys()])
        for index in table.indexes:
            columns = [column.name for column in index.columns] or [
                str(index.name).removeprefix(f"{table.name}_")
            ]
            known[str(index.name)] = (table.name, columns)
    return known


_CONSTRAINTS = _by_constraint()


def taken(table: str, columns: list[str]) -> errors.Conflict:
    """Say that a unique value is in use."""
    word = _WORDS.get(table, "row")
    return errors.Conflict(f"a {word} with this {_fields(columns)} exists already")


def of_sqlite(error: Exception) -> Exception:
    """Translate an error of sqlite3, or give it back when it is a fault of ours."""
    code = getattr(error, "sqlite_errorcode", 0)
    if isinstance(error, sqlite3.IntegrityError):
        return _sqlite_conflict(str(error))
    if isinstance(error, UnicodeEncodeError):
        return errors.Malformed("text must be valid Unicode")
    if isinstance(error, OverflowError):
        return errors.Malformed("a number is too large to be stored")
    if code & 0xFF in (
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
    ):
        return errors.Unavailable("the database cannot write at the moment")
    return error


def _sqlite_conflict(text: str) -> Exception:
    # SQLite tells the columns in its message alone: "UNIQUE constraint failed: devices.tenant_id, devices.id"
    # or "… index 'users_email'" for an index of an expression.
    _, _, names = text.partition(" constraint failed: ")
    if names.startswith("index "):
        return taken(*_CONSTRAINTS[names.removeprefix("index ").strip("'")])
    if text.startswith("UNIQUE"):
        places = [name.split(".") for name in names.split(", ")]
        return taken(places[0][0], [column for _, column in places])
    return dangling()


def dangling() -> errors.Conflict:
    """Say that a reference leads nowhere, or that something still refers to what was to be deleted."""
    return errors.Conflict("it refers to something that does not exist, or something still refers to it")


def of_postgres(error: Exception) -> Exception:
    """Translate an error of psycopg, or give it back when it is a fault of ours."""
    import psycopg  # noqa: PLC0415 SQLite needs none of it, and it takes 9 MiB

    match error:
        case psycopg.errors.UniqueViolation():
            return taken(*_CONSTRAINTS[error.diag.constraint_name or ""])
        case psycopg.errors.ForeignKeyViolation():
            return dangling()
        case psycopg.errors.NumericValueOutOfRange():
            return errors.Malformed("a number is too large to be stored")
        case psycopg.DataError() | UnicodeEncodeError():
            return errors.Malformed("text must be valid Unicode without the character NUL")
        case psycopg.errors.ProgramLimitExceeded():
            return errors.Malformed("a value is too long to be stored")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return errors.Unavailable("the database does not answer at the moment")
    return error


def is_transient(error: Any) -> bool:
    """Say whether PostgreSQL asks to run the transaction again."""
    import psycopg  # noqa: PLC0415

    return isinstance(error, psycopg.errors.SerializationFailure | psycopg.errors.DeadlockDetected)
