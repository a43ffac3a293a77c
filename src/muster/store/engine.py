"""Opens the store that a URL names."""

from collections.abc import Callable

from muster.core import ports
from muster.core.model import Instant
from muster.store.location import File, locate
from muster.store.postgres import PostgresStore
from muster.store.sqlite import SqliteStore

AnyStore = SqliteStore | PostgresStore


def open_store(url: str, sealer: ports.Sealer, clock: Callable[[], Instant]) -> AnyStore:
    """Open a database whose schema is up to date (see upkeep.upgrade); close() it at the end.

    Unavailable when it does not answer or when another server has the SQLite file open; Malformed for a
    URL that is neither SQLite's nor PostgreSQL's.
    """
    place = locate(url)
    if isinstance(place, File):
        return SqliteStore(place.path, sealer, clock)
    return PostgresStore(place, sealer, clock)
