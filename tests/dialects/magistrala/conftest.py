"""One application for the tests of a module; each test makes people and domains of its own."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.dialects.magistrala.harness import Muster, Person


@pytest.fixture(scope="module")
def muster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Muster]:
    with Muster(tmp_path_factory.mktemp("muster"), MUSTER_THROTTLE_ATTEMPTS="1000") as running:
        yield running


_count = itertools.count()


@pytest.fixture(scope="module")
def person(muster: Muster) -> Callable[[], Person]:
    """Give a function that registers a user nobody else in the module is."""
    return lambda: muster.register(f"user{next(_count)}")


@pytest.fixture(scope="module")
def owner(person: Callable[[], Person]) -> Person:
    return person()


@pytest.fixture(scope="module")
def stranger(person: Callable[[], Person]) -> Person:
    return person()


@pytest.fixture
def domain(muster: Muster, owner: Person) -> str:
    return muster.domain(owner, f"plant{next(_count)}")
