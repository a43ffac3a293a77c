"""What must leave the database leaves it here: after the commit, at least once, in order per key."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import bindparam, exists, literal_column, not_, select, update

from muster.core.errors import Unavailable
from muster.core.model import Event, Instant, TenantId
from muster.core.ports import ANYWHERE, Deliver, Tx
from muster.store.columns import is_slow
from muster.store.engine import AnyStore
from muster.store.nouns import SHAPES
from muster.store.tables import events
from muster.store.tx import Transaction

POLL = 1.0
"""Seconds after which the outbox looks for what is due again though nothing woke it."""
DELIVERY_SECONDS = 30.0
"""How long one delivery may take before it counts as failed."""
MOST_AT_ONCE = {True: 4, False: 256}
"""Events that are on their way at the same time, of slow topics and of others."""
FIRST_WAIT, LONGEST_WAIT = 200_000, 60_000_000
"""Microseconds before a failed delivery is tried again: doubled with each failure."""

_blocked = events.alias()
# What waits for another try holds back the later events of its key.
_DUE = (
    select(*(events.c[name] for name in SHAPES[Event].columns), events.c.attempts)
    .where(
        ~exists(
            select(1)
            .select_from(_blocked)
            .where(
                _blocked.c.next_at > literal_column("0"),  # in the text, as in the index for it
                _blocked.c.tenant_id == events.c.tenant_id,
                _blocked.c.key == events.c.key,
                _blocked.c.next_at > bindparam("v0"),
            )
        )
    )
    .order_by(events.c.id)
    .limit(bindparam("v1"))
)
_DUE_OF = {True: _DUE.where(is_slow(events.c.topic)), False: _DUE.where(not_(is_slow(events.c.topic)))}
_FAILED = (
    update(events)
    .where(events.c.id == bindparam("v2"))
    .values(attempts=bindparam("v0"), next_at=bindparam("v1"))
    .returning(events.c.id)
)


class _Due(NamedTuple):
    event: Event
    attempts: int


class Outbox:
    """Takes the events of one store to where they belong. Of many processes, one does at a time.

    One that is *slow* takes those of the topics in core's SLOW, a few at a time, and the other all others.
    """

    def __init__(self, store: AnyStore, clock: Callable[[], Instant], *, is_slow: bool = False) -> None:
        self._store = store
        self._clock = clock
        self._is_slow = is_slow
        self._one_at_a_time = asyncio.Lock()

    async def run(self, deliver: Deliver) -> None:
        """Deliver all that comes, until cancelled; what *deliver* raises, it has to log itself."""
        loop, wake = asyncio.get_running_loop(), asyncio.Event()
        self._store.on_events(lambda: _call_from_thread(loop, wake.set))
        while True:
            wake.clear()
            delivered = 0
            with contextlib.suppress(Unavailable):
                delivered = await self.drain(deliver) if self._store.delivers else 0
            if not delivered:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(wake.wait(), POLL)

    async def drain(self, deliver: Deliver, *, batch: int | None = None) -> int:
        """Deliver up to *batch* of the events that are due, MOST_AT_ONCE if not said; say how many were.

        An event is deleted when *deliver* returned. When it raised, or took longer than DELIVERY_SECONDS, the
        event and all later ones of its key wait, longer with each failure.
        """
        async with self._one_at_a_time:
            most = batch or MOST_AT_ONCE[self._is_slow]
            due = await self._store.read(_read_due, self._is_slow, self._clock(), most)
            by_key: dict[tuple[TenantId, str], list[_Due]] = {}
            for one in due:
                by_key.setdefault((one.event.tenant_id, one.event.key), []).append(one)
            delivered: list[int] = []
            failed: list[_Due] = []
            try:
                await asyncio.gather(
                    *(_deliver(deliver, each, delivered, failed) for each in by_key.values())
                )
            finally:
                # Also when cancelled: what was delivered shall not be delivered again.
                if delivered or failed:
                    await asyncio.shield(self._store.run(_note, delivered, failed, self._clock()))
            return len(delivered)


def _call_from_thread(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody delivers any more
        loop.call_soon_threadsafe(call)


async def _deliver(deliver: Deliver, due: list[_Due], delivered: list[int], failed: list[_Due]) -> None:
    """Deliver the events of one key, until one fails."""
    for one in due:
        try:
            await asyncio.wait_for(deliver(one.event), DELIVERY_SECONDS)
        except Exception:  # noqa: BLE001 whatever it was, the event stays
            failed.append(one)
            return
        delivered.append(one.event.id)


def _read_due(tx: Tx, is_slow: bool, now: Instant, most: int) -> list[_Due]:
    assert isinstance(tx, Transaction)
    rows = tx.execute(f"events due {is_slow}", _DUE_OF[is_slow], (now, most))
    return [_Due(SHAPES[Event].decode(row, tx.seals), row[-1]) for row in rows]


def _note(tx: Tx, delivered: list[int], failed: list[_Due], now: Instant) -> None:
    assert isinstance(tx, Transaction)
    tx.remove(Event, ANYWHERE, id=delivered)
    for event, attempts in failed:
        wait = min(FIRST_WAIT << min(attempts, 16), LONGEST_WAIT)
        tx.execute("event failed", _FAILED, (attempts + 1, now + wait, event.id))
