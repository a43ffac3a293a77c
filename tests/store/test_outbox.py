"""What leaves the database: after the commit, at least once, in order per key."""

import asyncio

import pytest

from muster.core import model as m
from muster.core.events import RECOVERY_ASKED
from muster.core.ports import ANYWHERE
from muster.store.engine import open_store
from muster.store.outbox import FIRST_WAIT, Outbox
from tests.store.nouns import T2, event

pytestmark = pytest.mark.anyio


class Recorder:
    """Delivers into a list; fails for the keys it is told to."""

    def __init__(self) -> None:
        self.got: list[tuple[str, int]] = []
        self.failing: set[str] = set()
        self.tried = 0
        self.enough = asyncio.Event()
        self.expected = 0

    async def __call__(self, event: m.Event) -> None:
        self.tried += 1
        await asyncio.sleep(0)
        if event.key in self.failing:
            raise ConnectionError("not there")
        self.got.append((event.key, event.payload["n"]))
        if len(self.got) == self.expected:
            self.enough.set()

    async def wait_for(self, count: int) -> None:
        self.expected = count
        self.enough.clear()
        if len(self.got) < count:
            await asyncio.wait_for(self.enough.wait(), 20)


async def left(store) -> int:
    return len(await store.read(lambda tx: tx.select(m.Event, ANYWHERE)))


async def test_what_is_delivered_is_gone(store, clock):
    """Events arrive as they were emitted, in order per key, and are deleted."""
    for number in range(30):
        await store.run(lambda tx, n=number: tx.emit(event(f"d{n % 3}", payload={"n": n})))
    outbox, recorder = Outbox(store, clock), Recorder()
    assert await outbox.drain(recorder, batch=20) == 20
    assert await left(store) == 10
    assert await outbox.drain(recorder, batch=20) == 10
    assert await outbox.drain(recorder) == 0
    for key in ("d0", "d1", "d2"):
        numbers = [n for k, n in recorder.got if k == key]
        assert numbers == sorted(numbers)
    assert await left(store) == 0


async def test_an_event_has_what_was_emitted(store, clock):
    """And its number."""
    emitted = event("d1", "session.cut", payload={"a": ["ü", None]}, tenant_id=T2)
    await store.run(lambda tx: tx.emit(emitted))
    got = []

    async def deliver(one):
        got.append(one)

    await Outbox(store, clock).drain(deliver)
    assert [(one.topic, one.tenant_id, one.key, one.payload) for one in got] == [
        ("session.cut", T2, "d1", {"a": ["ü", None]})
    ]
    assert got[0].id > 0


async def test_a_failure_holds_back_its_key_and_no_other(store, clock):
    """Order is kept per key; what fails waits longer each time, and arrives in the end."""
    await store.run(
        lambda tx: tx.emit(*(event(key, payload={"n": n}) for n in range(3) for key in ("bad", "ok")))
    )
    outbox, recorder = Outbox(store, clock), Recorder()
    recorder.failing = {"bad"}
    assert await outbox.drain(recorder) == 3
    assert recorder.tried == 4
    await store.run(lambda tx: tx.emit(event("bad", payload={"n": 3}), event("ok", payload={"n": 3})))
    assert await outbox.drain(recorder) == 1
    assert recorder.tried == 5
    clock.micros += FIRST_WAIT
    assert await outbox.drain(recorder) == 0
    assert recorder.tried == 6
    clock.micros += FIRST_WAIT
    assert await outbox.drain(recorder) == 0
    assert recorder.tried == 6
    recorder.failing = set()
    clock.micros += FIRST_WAIT
    assert await outbox.drain(recorder) == 4
    assert [n for key, n in recorder.got if key == "bad"] == [0, 1, 2, 3]


async def test_what_waits_for_others_servers_keeps_nobody_waiting(store, clock):
    """Slow topics have an outbox of their own: neither takes what is the other's."""
    slow = event("jane@example.com", RECOVERY_ASKED, payload={"n": 0})
    await store.run(lambda tx: tx.emit(slow, event("d1", payload={"n": 1})))
    quick, patient = Recorder(), Recorder()
    assert await Outbox(store, clock).drain(quick) == 1
    assert await Outbox(store, clock, is_slow=True).drain(patient) == 1
    assert (quick.got, patient.got) == ([("d1", 1)], [("jane@example.com", 0)])


async def test_keys_of_different_tenants_are_different(store, clock):
    """One tenant's failing device holds up nobody else's of the same id."""
    await store.run(
        lambda tx: tx.emit(event("d1", payload={"n": 1}), event("d1", payload={"n": 2}, tenant_id=T2))
    )
    outbox, got = Outbox(store, clock), []

    async def deliver(one):
        if one.tenant_id != T2:
            raise ConnectionError
        got.append(one.payload["n"])

    await outbox.drain(deliver)
    assert got == [2]


async def test_a_running_outbox_wakes_up(store, clock):
    """Nobody waits for a poll."""
    recorder = Recorder()
    running = asyncio.create_task(Outbox(store, clock).run(recorder))
    try:
        for number in range(5):
            await store.run(lambda tx, n=number: tx.emit(event("d1", payload={"n": n})))
            await recorder.wait_for(number + 1)
    finally:
        running.cancel()
    assert [n for _, n in recorder.got] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["postgresql"])
async def test_one_process_at_a_time_delivers(store, url, keyring, clock):
    """Another takes over when it ends, and is told of events that this one emits."""
    other = open_store(url, keyring, clock)
    recorder, second = Recorder(), Recorder()
    first_task = asyncio.create_task(Outbox(store, clock).run(recorder))
    await store.run(lambda tx: tx.emit(event("d1", payload={"n": 0})))
    await recorder.wait_for(1)
    second_task = asyncio.create_task(Outbox(other, clock).run(second))
    await other.run(lambda tx: tx.emit(event("d1", payload={"n": 1})))
    await recorder.wait_for(2)
    assert (store.delivers, other.delivers, second.got) == (True, False, [])
    first_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first_task
    await asyncio.to_thread(store.close)
    await other.run(lambda tx: tx.emit(event("d1", payload={"n": 2})))
    await second.wait_for(1)
    assert second.got == [("d1", 2)]
    second_task.cancel()
    await asyncio.to_thread(other.close)
