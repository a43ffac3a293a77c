"""Slows guessing down: failures are counted per key, and beyond a limit the key has to wait."""

from collections import OrderedDict
from collections.abc import Hashable

from muster.core.errors import TooMany
from muster.core.model import Instant

SECOND = 1_000_000


class Throttle:
    """Allows *limit* failures in *period* seconds for each key; remembers at most *most* keys.

    Kept in the memory of one process: several workers allow that many each (docs/security.md). A key that
    is right from elsewhere is another key, so nobody can lock a device out from another address.
    """

    def __init__(self, *, limit: int = 10, period: int = 60, most: int = 100_000) -> None:
        self._limit = limit
        self._period = period * SECOND
        self._most = most
        self._failed: OrderedDict[Hashable, tuple[int, Instant]] = OrderedDict()

    def check(self, key: Hashable, now: Instant) -> None:
        """Raise TooMany while the key has failed too often."""
        count, since = self._failed.get(key, (0, now))
        if count >= self._limit and now < since + self._period:
            raise TooMany(max(1, -(-(since + self._period - now) // SECOND)))

    def failed(self, key: Hashable, now: Instant) -> None:
        """Count a failure; the period begins with the first one."""
        count, since = self._failed.pop(key, (0, now))
        if now >= since + self._period:
            count, since = 0, now
        self._failed[key] = (count + 1, since)
        while len(self._failed) > self._most:
            self._failed.popitem(last=False)
