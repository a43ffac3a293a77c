"""A door of two small dialects. On SQLite one store serves all tests: each has users of its own."""

from collections.abc import Iterator

import pytest

from muster.ca.secrets import Keyring
from muster.store import upkeep
from muster.store.engine import AnyStore, open_store
from tests.conftest import TestClock
from tests.web.toys import Door


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[AnyStore]:
    """Give an open store on SQLite: what a door does is the same on both databases."""
    url = f"sqlite:///{tmp_path_factory.mktemp('web') / 'muster.db'}"
    upkeep.upgrade(url)
    opened = open_store(url, keyring, TestClock())
    yield opened
    opened.close()


@pytest.fixture
def door(sqlite_store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    """Give the door."""
    opened = Door(sqlite_store, keyring, clock)
    yield opened
    opened.passwords.close()


@pytest.fixture
def door_on_each(store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    """Give the door on SQLite, then on PostgreSQL."""
    opened = Door(store, keyring, clock)
    yield opened
    opened.passwords.close()
