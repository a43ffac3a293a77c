"""A door of two small dialects. On SQLite one store serves all tests: each has users of its own."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from muster.ca.secrets import Keyring
from muster.store.engine import AnyStore
from tests.conftest import TestClock, shared_store
from tests.web.toys import Door


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[AnyStore]:
    """Give an open store on SQLite: what a door does is the same on both databases."""
    with shared_store(tmp_path_factory.mktemp("web"), keyring, TestClock()) as opened:
        yield opened


@pytest.fixture
def door(sqlite_store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    """Give the door."""
    made = Door(sqlite_store, keyring, clock)
    with closing(made.passwords):
        yield made


@pytest.fixture
def door_on_each(store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    """Give the door on SQLite, then on PostgreSQL."""
    made = Door(store, keyring, clock)
    with closing(made.passwords):
        yield made
