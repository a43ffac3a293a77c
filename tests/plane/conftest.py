"""Fixtures of the room: one broker for most tests, because each test uses devices and channels of its own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from plane_station import Station


@pytest.fixture
def when_done() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Give what has an act done after the test."""
    with ExitStack() as stack:
        yield lambda act: stack.callback(act) and None


@pytest.fixture(scope="session")
def shared_station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    station = Station(tmp_path_factory.mktemp("broker")).start()
    yield station
    station.stop()


@pytest.fixture
def station(shared_station: Station) -> Station:
    """A running station with an empty fleet; the names in a test need be unique in the whole run."""
    return shared_station
