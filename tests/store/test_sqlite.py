"""What only the SQLite store promises: groups, one server a file, full disks, restarts."""

import asyncio
import os
import resource
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from muster.core import model as m
from muster.core.errors import Conflict, Unavailable
from muster.core.ports import ANYWHERE
from muster.store.engine import open_store
from muster.store.sqlite import connect
from tests.store.nouns import T1, channel, device, event

pytestmark = pytest.mark.anyio


@pytest.fixture
def kind() -> str:
    return "sqlite"


@pytest.fixture
def path(url: str) -> Path:
    return Path(url.removeprefix("sqlite:///"))


async def test_commits_are_observed(store):
    """Each with the number of use cases that shared it."""
    seen = []
    store.on_commit(lambda count, seconds: seen.append((count, seconds)))
    await asyncio.gather(*(store.run(lambda tx: tx.now) for _ in range(20)))
    await store.run(lambda tx: tx.now)
    await asyncio.to_thread(store.close)
    assert sum(count for count, _ in seen) == 21
    assert len(seen) < 21
    assert all(0 <= seconds < 10 for _, seconds in seen)


async def test_many_use_cases_share_a_commit(store, path):
    """What waits together is committed together; each still succeeds or fails alone."""
    await store.run(lambda tx: tx.add(channel("taken")))
    before = path.with_name(f"{path.name}-wal").stat().st_size

    def add(tx, number):
        tx.add(device(f"d{number}"))
        if number % 10 == 0:
            tx.add(channel("taken"))
        if number % 10 == 1:
            raise KeyError(number)
        return number

    answers = await asyncio.gather(*(store.run(add, number) for number in range(200)), return_exceptions=True)
    for number, answer in enumerate(answers):
        expected = {0: Conflict, 1: KeyError}.get(number % 10, int)
        assert isinstance(answer, expected)
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 160
    assert len(await store.read(lambda tx: tx.select(m.Device, T1))) == 160
    # One commit each would have written every page of the indexes 200 times.
    assert path.with_name(f"{path.name}-wal").stat().st_size - before < 200 * 8 * 4096


async def test_a_second_server_on_the_file_is_refused(store, url, keyring, clock):
    """With a message that says who has it."""
    with pytest.raises(Unavailable, match=f"in use by another server .process {os.getpid()}"):
        open_store(url, keyring, clock)
    store.close()
    open_store(url, keyring, clock).close()


def test_another_process_is_refused_too(store, url):
    """The claim is the kernel's, and ends with the process however it ends."""
    code = (
        "import sys; from muster.store.engine import open_store; from muster.ca.secrets import Keyring\n"
        "open_store(sys.argv[1], Keyring(b'k' * 32), lambda: 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=False)
    assert "in use by another server" in done.stderr


async def test_a_file_that_is_no_database_is_refused(tmp_path, keyring, clock):
    """A clear message at the start, not later."""
    (tmp_path / "x.db").write_text("not a database " * 100)
    with pytest.raises(Unavailable, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/x.db", keyring, clock)
    with pytest.raises(Unavailable, match="muster db upgrade"):
        open_store(f"sqlite:///{tmp_path}/none.db", keyring, clock)


async def test_what_was_acknowledged_is_there_after_a_restart(store, url, keyring, clock):
    """Rows, tallies and events."""
    await store.run(lambda tx: (tx.add(device("d1")), tx.emit(event("d1"))))
    store.close()
    again = open_store(url, keyring, clock)
    assert await again.read(lambda tx: (tx.count(m.Device, T1), len(tx.select(m.Event, ANYWHERE)))) == (1, 1)
    again.close()


async def test_closing_finishes_what_was_accepted(store, url, keyring, clock):
    """And refuses what comes later."""
    waiting = [asyncio.ensure_future(store.run(lambda tx, n=n: tx.add(device(f"d{n}")))) for n in range(100)]
    await asyncio.sleep(0)
    await asyncio.to_thread(store.close)
    await asyncio.gather(*waiting)
    with pytest.raises(Unavailable):
        await store.run(lambda tx: None)
    with pytest.raises(Unavailable):
        await store.read(lambda tx: None)
    again = open_store(url, keyring, clock)
    assert await again.read(lambda tx: tx.count(m.Device, T1)) == 100
    again.close()


async def fill(store, count: int, size: int = 20_000) -> list[object]:
    """Ask for more at once than there is room for."""
    wide = {"x": "y" * size}
    add = [
        store.run(lambda tx, n=n: tx.add(device(tx.new_id(), name=f"{n}", metadata=wide)))
        for n in range(count)
    ]
    return await asyncio.gather(*add, return_exceptions=True)


async def test_a_full_disk_loses_nothing_that_was_acknowledged(store, path):
    """SQLite gives up whole transactions when there is no room; then none of the group was acknowledged."""
    await store.run(lambda tx: tx.add(device("before")))
    pages = store._writer.connection.execute("PRAGMA page_count").fetchone()[0]
    store._writer.connection.execute(f"PRAGMA max_page_count = {pages + 60}")
    answers = await fill(store, 100)
    failed = [answer for answer in answers if answer is not None]
    assert failed
    assert {type(answer) for answer in failed} == {Unavailable}
    done = answers.count(None)
    assert len(await store.read(lambda tx: tx.select(m.Device, T1))) == done + 1
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == done + 1
    store._writer.connection.execute("PRAGMA max_page_count = 100000")
    assert set(await fill(store, 10)) == {None}
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == done + 11


async def test_a_failing_commit_fails_its_whole_group(store, path):
    """The log cannot grow, so nothing was acknowledged; when it can again, the store goes on."""
    await store.run(lambda tx: tx.add(device("before")))
    wal = path.with_name(f"{path.name}-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + 2048, hard))
    try:
        answers = await fill(store, 20, 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {type(answer) for answer in answers} == {Unavailable}
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 1
    assert set(await fill(store, 20, 10)) == {None}
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 21


async def test_a_lost_transaction_is_not_gone_on_with(store):
    """A use case that overlooks a full disk cannot commit the rest of itself."""
    await store.run(lambda tx: tx.add(device("before")))
    connection = store._writer.connection

    def overlook(tx):
        tx.add(device("first"))
        connection.rollback()  # what SQLite does by itself when the disk is full
        tx.add(device("second"))

    with pytest.raises(Unavailable):
        await store.run(overlook)
    assert [one.id for one in await store.read(lambda tx: tx.select(m.Device, T1))] == ["before"]


async def test_a_reader_cannot_write(path):
    """Whatever a use case tries."""
    reader = connect(path, is_reader=True)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM devices")
    reader.close()


async def test_commits_reach_the_disk(path):
    """WAL with synchronous=FULL: an acknowledged commit survives a power cut."""
    connection = connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    connection.close()


async def test_a_slow_read_does_not_hold_up_others(store):
    """There is more than one reader."""
    release = threading.Event()
    slow = asyncio.ensure_future(store.read(lambda tx: release.wait(30)))
    await store.read(lambda tx: None)
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 0
    release.set()
    assert await slow


async def test_a_cancelled_caller_harms_nobody(store):
    """What it asked for happens or not; the thread and the others go on."""
    waiting = asyncio.ensure_future(store.run(lambda tx: tx.add(device("d1"))))
    await asyncio.sleep(0)
    waiting.cancel()
    await store.run(lambda tx: tx.add(device("d2")))
    assert await store.read(lambda tx: tx.get(m.Device, T1, "d2")) is not None


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt, RecursionError])
async def test_no_exception_ends_the_threads(store, error):
    """Whatever a use case raises, the store answers the next one."""

    def fail(tx):
        raise error

    with pytest.raises(BaseException):  # noqa: B017 whatever becomes of it
        await store.run(fail)
    with pytest.raises(BaseException):  # noqa: B017
        await store.read(fail)
    await store.run(lambda tx: tx.add(device("d1")))
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 1
