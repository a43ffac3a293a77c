"""A house for each test, on a fresh SQLite database: the journeys use PostgreSQL too."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from muster.ca.secrets import Keyring
from muster.store import upkeep
from muster.store.engine import open_store
from tests.conftest import TestClock
from tests.dialects.mainflux.house import House

NewHouse = Callable[..., House]


@pytest.fixture
def new_house(tmp_path: Path, keyring: Keyring, clock: TestClock) -> Iterator[NewHouse]:
    """Give a function that opens a house on the one database of the test, with these variables set."""
    url = f"sqlite:///{tmp_path / 'muster.db'}"
    upkeep.upgrade(url)
    store = open_store(url, keyring, clock)
    opened: list[House] = []

    def open_house(**environ: str) -> House:
        opened.append(House(store, keyring, clock, tmp_path, environ))
        return opened[-1]

    yield open_house
    for each in opened:
        each.close()
    store.close()


@pytest.fixture
def house(new_house: NewHouse) -> House:
    """Give a house as it is without any setting."""
    return new_house()
