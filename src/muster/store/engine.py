"""Opens the store that a URL names."""

import contextlib
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from muster.core import errors, keyholders
from muster.core.model import Instant
from muster.store.location import File, Server, locate
from muster.store.migrations import HEAD
from muster.store.sqlite import SqliteStore
from muster.store.sqlite import connect as connect_file

if TYPE_CHECKING:
    from muster.store.postgres import PostgresStore

AnyStore: TypeAlias = "SqliteStore | PostgresStore"
_VERSION = "SELECT version_num FROM alembic_version"


def open_store(url: str, sealer: keyholders.Sealer, clock: Callable[[], Instant]) -> AnyStore:
    """Open a database whose schema is up to date (see upkeep.upgrade); close() it at the end.

    Unavailable when it does not answer, has another schema or, for a SQLite file, when another server has it
    open. Malformed for a URL that is neither SQLite's nor PostgreSQL's.
    """
    place = locate(url)
    if isinstance(place, File):
        _require_head(_version_of_file(place))
        return SqliteStore(place.path, sealer, clock)
    from muster.store.postgres import PostgresStore  # noqa: PLC0415 its driver takes 9 MiB

    _require_head(_version_of_server(place))
    return PostgresStore(place, sealer, clock)


def _version_of_file(place: File) -> str:
    if not place.path.exists():
        raise errors.Unavailable(f"there is no database file {place.path}: run `muster db upgrade`")
    with contextlib.closing(connect_file(place.path)) as connection:
        try:
            ((version,),) = connection.execute(_VERSION).fetchall()
        except sqlite3.DatabaseError:
            return "none"
    return str(version)


def _version_of_server(place: Server) -> str:
    import psycopg  # noqa: PLC0415

    from muster.store.lines import connect as connect_server  # noqa: PLC0415

    with contextlib.closing(connect_server(place)) as connection:
        try:
            ((version,),) = connection.execute(_VERSION).fetchall()
        except psycopg.errors.UndefinedTable:
            return "none"
    return str(version)


def _require_head(version: str) -> None:
    if version != HEAD:
        raise errors.Unavailable(
            f"the schema has version {version}, expected is {HEAD}: run `muster db upgrade`"
        )
