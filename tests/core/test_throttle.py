"""Guessing is slowed down per key, and memory stays bounded."""

import pytest

from muster.core.errors import TooMany
from muster.core.model import Instant
from muster.core.throttle import SECOND, Throttle


def at(second: float) -> Instant:
    return Instant(int(second * SECOND))


def test_a_key_waits_after_its_failures_until_the_period_is_over():
    """Retry-After is what is left of it, in whole seconds."""
    throttle = Throttle(limit=3, period=60)
    for second in range(3):
        throttle.check("key", at(second))
        throttle.failed("key", at(second))
    with pytest.raises(TooMany) as refused:
        throttle.check("key", at(10.5))
    assert 50 == refused.value.retry_after
    throttle.check("another key", at(10))
    throttle.check("key", at(60))


def test_failures_of_an_earlier_period_do_not_count():
    """The period begins with the first failure."""
    throttle = Throttle(limit=2, period=60)
    throttle.failed("key", at(0))
    throttle.failed("key", at(61))
    throttle.check("key", at(62))


def test_only_so_many_keys_are_remembered():
    """The one that failed longest ago is forgotten first."""
    throttle = Throttle(limit=1, period=60, most=3)
    for name in ("a", "b", "a", "c", "d"):
        throttle.failed(name, at(0))
    throttle.check("b", at(1))
    for name in ("a", "c", "d"):
        with pytest.raises(TooMany):
            throttle.check(name, at(1))
