"""What only the PostgreSQL store promises: several processes, lost connections, colliding transactions."""

import asyncio
import threading
from dataclasses import replace

import psycopg
import pytest

from muster.core import model as m
from muster.core.errors import Malformed, Unavailable
from muster.core.ports import ANYWHERE, Is
from muster.store.engine import open_store
from muster.store.lines import Line
from muster.store.location import Server
from muster.store.postgres import FOLD_AFTER
from tests.store.nouns import T1, channel, device

pytestmark = pytest.mark.anyio


@pytest.fixture
def kind() -> str:
    return "postgresql"


@pytest.fixture
def other(url, keyring, clock):
    """Give a second process's store on the same database; here it is but another set of connections."""
    opened = open_store(url, keyring, clock)
    yield opened
    opened.close()


def cut(url: str) -> int:
    """End all connections of stores, as a restart of the server does; say how many."""
    with psycopg.connect(url, autocommit=True) as connection:
        ((count,),) = connection.execute(
            "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity"
            " WHERE application_name LIKE 'muster%' AND datname = current_database()"
        ).fetchall()
    return count


async def test_no_server_is_unavailable(keyring, clock):
    """With a message that names the place and not the password."""
    with pytest.raises(Unavailable) as caught:
        open_store("postgresql://me:hush@127.0.0.1:1/muster", keyring, clock)
    assert "127.0.0.1/muster" in caught.value.message
    assert "hush" not in caught.value.message


async def test_idle_connections_that_broke_are_made_again(store, url):
    """Nobody notices that the server was restarted in between."""
    await store.run(lambda tx: tx.add(device("d1")))
    await store.read(lambda tx: tx.count(m.Device, T1))
    assert cut(url) >= 2
    for number in range(2, 10):
        await store.run(lambda tx, n=number: tx.add(device(f"d{n}")))
        assert await store.read(lambda tx: tx.count(m.Device, T1)) == number


async def test_a_connection_lost_on_the_way_is_unavailable(store, url):
    """Once it is tried again; then nothing is left of it, and the next use case works."""
    tried = []

    def interrupted(tx):
        tried.append(tx.now)
        tx.add(device("d1"))
        assert tx.get(m.Device, T1, "d1") is not None
        assert cut(url) >= 1
        tx.get(m.Device, T1, "d1")

    with pytest.raises(Unavailable):
        await store.run(interrupted)
    assert len(tried) == 2
    assert await store.read(lambda tx: tx.select(m.Device, T1)) == []
    await store.run(lambda tx: tx.add(device("d3")))


async def test_transactions_that_lock_each_other_run_again(store):
    """A deadlock is solved by running one of them once more."""
    await store.run(lambda tx: tx.add(device("d1"), device("d2")))
    both = threading.Barrier(2)
    runs = []

    def swap(tx, first, second):
        runs.append(first)
        one = tx.get(m.Device, T1, first)
        tx.change(replace(one, revision=one.revision + 1))
        if len(runs) <= 2:
            both.wait(30)
        other = tx.get(m.Device, T1, second)
        tx.change(replace(other, revision=other.revision + 1))

    await asyncio.gather(store.run(swap, "d1", "d2"), store.run(swap, "d2", "d1"))
    assert len(runs) > 2
    assert [one.revision for one in await store.read(lambda tx: tx.select(m.Device, T1))] == [2, 2]


async def test_a_change_between_read_and_change_is_not_lost(store, other):
    """Also when another process made it."""
    await store.run(lambda tx: tx.add(device("d1")))
    has_read, has_changed = threading.Event(), threading.Event()
    seen = []

    def rename(tx):
        found = tx.get(m.Device, T1, "d1")
        seen.append(found.revision)
        has_read.set()
        has_changed.wait(30)
        tx.change(replace(found, name="renamed"))

    waiting = asyncio.ensure_future(store.run(rename))
    await asyncio.to_thread(has_read.wait, 10)
    await other.run(lambda tx: tx.change(device("d1", revision=5)))
    has_changed.set()
    await waiting
    found = await store.read(lambda tx: tx.get(m.Device, T1, "d1"))
    assert (found.name, found.revision, seen) == ("renamed", 5, [0, 5])


async def test_processes_share_locks(store, other):
    """A name held in one is held in the other."""

    def limited(tx):
        tx.lock("devices")
        if tx.count(m.Device, T1) < 3:
            tx.add(device(tx.new_id()))

    await asyncio.gather(*(one.run(limited) for one in (store, other) * 10))
    assert await other.read(lambda tx: tx.count(m.Device, T1)) == 3


async def test_tallies_are_folded(store, url):
    """What transactions append does not pile up, and the counts stay right all along."""
    for number in range(FOLD_AFTER):
        await store.run(lambda tx, n=number: tx.add(device(f"d{n}"), channel(f"c{n}")))
    for number in range(0, 100, 2):
        await store.run(lambda tx, n=number: tx.remove(m.Device, T1, id=f"d{n}"))
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == FOLD_AFTER - 50
    assert await store.read(lambda tx: tx.count(m.Channel, T1, Is("status", m.Status.ENABLED))) == FOLD_AFTER
    with psycopg.connect(url) as connection:
        ((left,),) = connection.execute("SELECT count(*) FROM tally_deltas").fetchall()
    assert left <= FOLD_AFTER + 8


async def test_readers_cannot_write(store):
    """The server itself refuses."""
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await store.read(lambda tx: tx._session.rows("DELETE FROM devices RETURNING 1"))


async def test_closing_finishes_what_was_accepted(store, url, keyring, clock):
    """And refuses what comes later."""
    waiting = [asyncio.ensure_future(store.run(lambda tx, n=n: tx.add(device(f"d{n}")))) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    await asyncio.gather(*waiting)
    with pytest.raises(Unavailable):
        await store.run(lambda tx: None)
    again = open_store(url, keyring, clock)
    assert await again.read(lambda tx: tx.count(m.Device, ANYWHERE)) == 50
    again.close()


async def test_a_statement_that_never_came_to_run_is_prepared_again(postgres_server):
    """What stood behind a failure in a pipeline works in the next transaction of that connection."""
    line = Line(Server(postgres_server, "here"), is_reader=False)
    connection = line.ready()

    def fails(behind):
        with connection.pipeline():
            connection.execute(b"BEGIN")
            connection.execute(b"SELECT 1 / (random() * 0)::int FROM pg_sleep(0.1)")
            connection.execute(behind)  # is sent before that fails

    for behind in (b"SELECT 'early'", b"SELECT 'late'"):
        connection.execute(b"SELECT 'late'")
        with pytest.raises(psycopg.errors.DivisionByZero):
            fails(behind)
        line.roll_back()
    assert line.ready() is connection
    assert [("late",)] == connection.execute(b"SELECT 'late'").fetchall()
    line.drop()


async def test_what_no_index_can_hold_is_malformed(store):
    """A value longer than PostgreSQL indexes is the caller's mistake, not an outage."""
    with pytest.raises(Malformed):
        await store.run(lambda tx: tx.add(channel("".join(map(chr, range(256, 20_000))))))
