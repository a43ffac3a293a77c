"""The Hono door on each database, and on one shared by tests for which the database makes no difference."""

from collections.abc import Iterator

import pytest

from muster.ca.secrets import Keyring
from muster.store import upkeep
from muster.store.engine import AnyStore, open_store
from tests.ca.pki import NOW
from tests.conftest import TestClock
from tests.dialects.hono.desk import Door


def clock_of_certificates() -> TestClock:
    """Give a clock at the time for which tests/ca/pki.py makes certificates."""
    clock = TestClock()
    clock.micros = int(NOW)
    return clock


@pytest.fixture
def clock() -> TestClock:
    return clock_of_certificates()


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Iterator[AnyStore]:
    url = f"sqlite:///{tmp_path_factory.mktemp('hono') / 'muster.db'}"
    upkeep.upgrade(url)
    opened = open_store(url, keyring, clock_of_certificates())
    yield opened
    opened.close()


@pytest.fixture
def door(sqlite_store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    opened = Door(sqlite_store, keyring, clock)
    yield opened
    opened.passwords.close()


@pytest.fixture
def door_on_each(store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    opened = Door(store, keyring, clock)
    yield opened
    opened.passwords.close()
