"""Opens the store that a URL names."""

import contextlib
import sqlite3
from collections.abc import Callable

import psycopg

from muster.core import errors, ports
from muster.core.model import Instant
from muster.store.lines import connect as connect_server
from muster.store.location import File, Server, locate
from muster.store.migrations import HEAD
from muster.store.postgres import PostgresStore
from muster.store.sqlite import SqliteStore
from muster.store.sqlite import connect as connect_file

AnyStore = SqliteStore | PostgresStore


def open_store(url: str, sealer: ports.Sealer, clock: Callable[[], Instant]) -> AnyStore:
    """Open a database whose schema is up to date (see upkeep.upgrade); close() it at the end.

    Unavailable when it does not answer, has another schema or, for a SQLite file, when another server has it
    open. Malformed for a URL that is neither SQLite's nor PostgreSQL's.
    """
    place = locate(url)
    _require_schema(place)
    if isinstance(place, File):
        return SqliteStore(place.path, sealer, clock)
    return PostgresStore(place, sealer, clock)


def _require_schema(place: File | Server) -> None:
    if isinstance(place, File) and not place.path.exists():
        raise errors.Unavailable(f"there is no database file {place.path}: run `muster db upgrade`")
    connection = connect_file(place.path) if isinstance(place, File) else connect_server(place)
    with contextlib.closing(connection):
        try:
            ((version,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        except (sqlite3.DatabaseError, psycopg.errors.UndefinedTable):
            version = "none"
    if version != HEAD:
        raise errors.Unavailable(
            f"the schema has version {version}, expected is {HEAD}: run `muster db upgrade`"
        )
