"""Slows down whoever tries one secret after the other on a channel."""

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from muster.core.errors import Unauthenticated
from muster.core.model import Instant
from muster.core.throttle import Throttle

_MOST = 65_536


class Guesses:
    """Counts wrong secrets per channel and source, each secret once.

    A device that goes on with the one wrong secret it has guesses nothing, and holds up no other behind its
    address.
    """

    def __init__(self, throttle: Throttle) -> None:
        """Prepare; *throttle* says how many are too many."""
        self._throttle = throttle
        self._key = secrets.token_bytes(32)
        self._wrong: OrderedDict[bytes, None] = OrderedDict()

    @contextmanager
    def counted(self, secret: str, channel: str, source: str, now: Instant) -> Iterator[None]:
        """Have what is done inside count as a guess if it ends Unauthenticated; TooMany after too many."""
        text = f"{len(channel)}:{channel}{len(source)}:{source}{secret}"
        mark = hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")
        key = ("messages", channel, source)
        if mark not in self._wrong:
            self._throttle.check(key, now)
        try:
            yield
        except Unauthenticated:
            if mark not in self._wrong:
                self._throttle.failed(key, now)
            self._note(mark)
            raise

    def _note(self, mark: bytes) -> None:
        self._wrong[mark] = None
        self._wrong.move_to_end(mark)
        if len(self._wrong) > _MOST:
            self._wrong.popitem(last=False)
