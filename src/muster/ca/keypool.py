"""RSA keys are made ahead of need, by threads of low priority, so that making them slows nothing else."""

import os
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic

from muster.ca.keys import KeyKind, PrivateKey, make_key
from muster.core.errors import Unavailable

DEFAULT_STOCK: Mapping[KeyKind, int] = {KeyKind.RSA2048: 16, KeyKind.RSA3072: 4, KeyKind.RSA4096: 4}
_NICENESS = 10
_PATIENCE = 10.0


class KeyPool:
    """Keys of any kind; the slow ones from a stock.

    A kind's stock is begun when the first key of it is asked for, so who never uses RSA never pays for it.
    OpenSSL makes keys outside the interpreter lock, and on Linux the threads give way to all others.
    """

    def __init__(
        self, stock: Mapping[KeyKind, int] = DEFAULT_STOCK, *, workers: int = 1, most_waiting: int = 64
    ) -> None:
        """Keep up to *stock* keys of each slow kind; let at most *most_waiting* callers wait at a time."""
        self._limits = dict(stock)
        self._most_waiting = most_waiting
        self._ready: dict[KeyKind, deque[PrivateKey]] = {}
        self._waiting: dict[KeyKind, int] = {}
        self._making: dict[KeyKind, int] = {}
        self._made_last: dict[KeyKind, int] = {}
        self._made = 0
        self._is_closed = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"keys-{number}", daemon=True)
            for number in range(workers)
        ]
        self._is_started = False

    def take(self, kind: KeyKind, *, wait: float = 10.0) -> PrivateKey:
        """Give a key nobody else gets. Fast kinds at once; slow ones from the stock or within *wait* seconds.

        Unavailable if it took longer, too many wait already, or the pool is closed. May block: call it on a
        thread of its own, before the transaction.
        """
        if not kind.is_slow:
            return make_key(kind)
        until = monotonic() + wait
        with self._changed:
            self._start()
            stock = self._ready.setdefault(kind, deque())
            if not stock and sum(self._waiting.values()) >= self._most_waiting:
                raise Unavailable("too many requests wait for RSA keys; use EC keys or a signing request")
            self._waiting[kind] = self._waiting.get(kind, 0) + 1
            self._changed.notify_all()
            try:
                while not stock and not self._is_closed and monotonic() < until:
                    self._changed.wait(until - monotonic())
            finally:
                self._waiting[kind] -= 1
            if not stock or self._is_closed:
                raise Unavailable("no RSA key is ready; use EC keys, a signing request, or try again")
            self._changed.notify_all()
            return stock.popleft()

    def ready(self, kind: KeyKind) -> int:
        """Say how many keys of this kind are in stock."""
        with self._changed:
            return len(self._ready.get(kind, ()))

    def close(self) -> None:
        """Wake who waits, forget the stock, and wait a few seconds for the threads to finish their key."""
        with self._changed:
            self._is_closed = True
            self._ready.clear()
            self._changed.notify_all()
        for thread in self._threads if self._is_started else ():
            thread.join(_PATIENCE)

    def _start(self) -> None:
        if not self._is_started and not self._is_closed:
            self._is_started = True
            for thread in self._threads:
                thread.start()

    def _work(self) -> None:
        _give_way()
        while (kind := self._next()) is not None:
            key = make_key(kind)
            with self._changed:
                self._making[kind] -= 1
                if not self._is_closed:
                    self._ready[kind].append(key)
                self._changed.notify_all()

    def _next(self) -> KeyKind | None:
        """Wait for something to make; None when the pool is closed."""
        with self._changed:
            while not self._is_closed:
                kind = self._most_wanted()
                if kind is not None:
                    self._making[kind] = self._making.get(kind, 0) + 1
                    self._made += 1
                    self._made_last[kind] = self._made
                    return kind
                self._changed.wait()
        return None

    def _most_wanted(self) -> KeyKind | None:
        """Whoever waits comes before any stock; among equals the kind that was made longest ago."""
        lacking = [
            (self._waiting.get(kind, 0) == 0, self._made_last.get(kind, 0), kind.value, kind)
            for kind, ready in self._ready.items()
            if len(ready) + self._making.get(kind, 0) < self._limits.get(kind, 0) + self._waiting.get(kind, 0)
        ]
        return min(lacking)[3] if lacking else None


def _give_way() -> None:
    """Lower the priority of this thread. Only Linux has priorities of threads."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
