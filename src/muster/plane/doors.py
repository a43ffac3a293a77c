"""The broker's MQTT addresses: any of them will do, and one that did not answer is tried last for a while."""

import time
from collections.abc import Callable, Sequence

Address = tuple[str, int]
REST_SECONDS = 5.0


class Doors:
    """Addresses to be tried in turn."""

    def __init__(self, addresses: Sequence[Address], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Prepare; *addresses* are (host, port)."""
        self._addresses = list(addresses)
        self._clock = clock
        self._next = 0
        self._failed: dict[Address, float] = {}

    def __len__(self) -> int:
        return len(self._addresses)

    def in_turn(self) -> list[Address]:
        """Give all of them, each time beginning with the next; those that failed lately come last."""
        if not self._addresses:
            return []
        at, self._next = self._next, (self._next + 1) % len(self._addresses)
        turned = self._addresses[at:] + self._addresses[:at]
        return sorted(turned, key=self._is_resting)

    def failed(self, address: Address) -> None:
        """It does not answer: others first, until it had some rest."""
        self._failed[address] = self._clock() + REST_SECONDS

    def works(self, address: Address) -> None:
        """It answers again."""
        self._failed.pop(address, None)

    def _is_resting(self, address: Address) -> bool:
        return self._clock() < self._failed.get(address, 0.0)
