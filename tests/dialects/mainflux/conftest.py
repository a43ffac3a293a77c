"""One database for all tests of the room, each with names of its own; the journeys use PostgreSQL too."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from muster.ca.secrets import Keyring
from muster.store import upkeep
from muster.store.engine import open_store
from tests.conftest import TestClock
from tests.dialects.mainflux.house import Door, House

NewHouse = Callable[..., Awaitable[House]]
MINUTES = 120_000_000
"""In microseconds; whoever was slowed down by one test is not in the next."""


@pytest.fixture(scope="session")
def clock() -> TestClock:
    return TestClock()


@pytest.fixture(scope="session")
def open_door(
    tmp_path_factory: pytest.TempPathFactory, keyring: Keyring, clock: TestClock
) -> Iterator[Callable[..., Door]]:
    """Give a function that opens a door to the one database, with these variables set."""
    url = f"sqlite:///{tmp_path_factory.mktemp('mainflux') / 'muster.db'}"
    upkeep.upgrade(url)
    store = open_store(url, keyring, clock)
    opened: list[Door] = []

    def open_one(folder: Path, **environ: str) -> Door:
        opened.append(Door(store, keyring, clock, folder, environ))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()
    store.close()


@pytest.fixture(scope="session")
def plain_door(open_door: Callable[..., Door], tmp_path_factory: pytest.TempPathFactory) -> Door:
    """Give the door as it is without any setting."""
    return asyncio.run(open_door(tmp_path_factory.mktemp("plain")).open())


@pytest.fixture
def house(plain_door: Door, clock: TestClock) -> House:
    """Give a house of the test's own behind the plain door."""
    clock.micros += MINUTES
    return House(plain_door)


@pytest.fixture
def new_house(open_door: Callable[..., Door], tmp_path: Path) -> NewHouse:
    """Give a function that builds a house behind a door of its own, with these variables set."""

    async def build(**environ: str) -> House:
        return House(await open_door(tmp_path, **environ).open())

    return build
