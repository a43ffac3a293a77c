"""The Hono door on each database, and on one shared by tests for which the database makes no difference."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from muster.ca.secrets import Keyring
from muster.store.engine import AnyStore
from tests.ca.pki import NOW
from tests.conftest import TestClock, shared_store
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
    with shared_store(tmp_path_factory.mktemp("hono"), keyring, clock_of_certificates()) as opened:
        yield opened


@pytest.fixture
def door(sqlite_store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    made = Door(sqlite_store, keyring, clock)
    with closing(made.passwords):
        yield made


@pytest.fixture
def door_on_each(store: AnyStore, keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    made = Door(store, keyring, clock)
    with closing(made.passwords):
        yield made
