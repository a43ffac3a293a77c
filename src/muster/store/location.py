"""Where a database is: a SQLite file or a PostgreSQL server, said as a URL."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from muster.core import errors


@dataclass(frozen=True, slots=True)
class File:
    """A SQLite database."""

    path: Path


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL database; *conninfo* is libpq's, and may hold a password: never show it."""

    conninfo: str
    name: str
    """Host and database, to show."""
    application: str = "muster"
    """As what connections introduce themselves to the server."""


def locate(url: str) -> File | Server:
    """Read `sqlite:///relative.db`, `sqlite:////absolute.db` or `postgresql://…`; Malformed otherwise."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise errors.Malformed("the database URL cannot be read; it has the form scheme://…") from None
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return File(Path(str(parsed.database)))
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        conninfo = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        return Server(conninfo, f"{parsed.host or 'localhost'}/{parsed.database or ''}")
    raise errors.Malformed(
        f"databases of the kind {parsed.drivername!r} are not served: use sqlite:///FILE or postgresql://HOST/NAME"
    )


def sqlalchemy_url(place: File | Server) -> URL:
    """Give the URL for migrations."""
    if isinstance(place, File):
        return URL.create("sqlite", database=str(place.path))
    return make_url(place.conninfo).set(drivername="postgresql+psycopg")
