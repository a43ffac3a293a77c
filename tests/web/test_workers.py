"""Several processes answer behind one socket; the parent keeps them alive and takes them along at the end."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest

from muster.web.serve import bind
from muster.web.workers import StartFailed, supervise
from tests.web import crew

pytestmark = pytest.mark.anyio

PATIENCE = 30.0


class Crew:
    """A supervisor in this process, and the port its workers serve."""

    def __init__(self) -> None:
        self.socket = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        self.heard = asyncio.Event()
        self.said: list[dict[str, object]] = []

    def error(self, event: str, **fields: object) -> None:
        self.said.append({"event": event, **fields})
        self.heard.set()

    async def pid(self, path: str = "/") -> int:
        async with httpx.AsyncClient() as client:
            return int((await client.get(self.url + path, timeout=PATIENCE)).text)

    async def pids(self, count: int) -> set[int]:
        """Ask until as many processes have answered."""
        async with asyncio.timeout(PATIENCE):
            seen: set[int] = set()
            while len(seen) < count:
                try:
                    seen.update(await asyncio.gather(*(self.pid("/slow") for _ in range(4))))
                except httpx.TransportError:
                    # Whoever was connected to a process that was killed asks again.
                    seen.clear()
            return seen


@asynccontextmanager
async def running(count: int, work: Callable[..., None] = crew.work, grace: float = 5) -> AsyncIterator[Crew]:
    made = Crew()
    options = {"stop": made.stop, "on_ready": made.ready.set, "grace": grace, "log": made}
    task = asyncio.create_task(supervise(work, [made.socket], count, **options))
    try:
        async with asyncio.timeout(PATIENCE):
            await made.ready.wait()
        yield made
    finally:
        made.stop.set()
        await task
        made.socket.close()


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_all_workers_answer_on_the_parents_socket():
    """They are processes of their own, and gone after the stop."""
    async with running(2) as made:
        pids = await made.pids(2)
        assert os.getpid() not in pids
    assert not any(is_alive(pid) for pid in pids)
    assert made.said == []


async def test_a_killed_worker_is_replaced():
    """Whatever ends it; the other goes on answering, and the log says what happened."""
    async with running(2) as made:
        before = await made.pids(2)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        async with asyncio.timeout(PATIENCE):
            await made.heard.wait()
        after = await made.pids(2)
    assert victim not in after
    assert len(after & before) == 1
    assert [(one["event"], one["exit_code"]) for one in made.said] == [("worker ended", -signal.SIGKILL)]


async def test_a_stop_lets_workers_finish_what_they_accepted():
    """The answer to a request that was under way arrives whole."""
    async with running(1) as made, httpx.AsyncClient(timeout=PATIENCE) as client:
        worker = await made.pid()
        async with client.stream("GET", made.url + "/parts") as answer:
            parts = answer.aiter_text()
            begun = await anext(parts)
            made.stop.set()
            rest = [part async for part in parts]
    assert str(worker) == "".join([begun, *rest])


async def test_a_worker_that_does_not_end_is_killed():
    """After the time it is given."""
    async with running(1, crew.stubborn, grace=0.3) as made:
        children = {child.pid for child in psutil.Process().children()}
        started = time.monotonic()
        made.stop.set()
    assert time.monotonic() - started < PATIENCE
    assert children
    left = [_command(pid) for pid in children if is_alive(pid) and "spawn_main" in _command(pid)]
    assert [] == left


def _command(pid: int) -> str:
    return " ".join(psutil.Process(pid).cmdline()) if psutil.pid_exists(pid) else ""


async def test_workers_that_cannot_start_end_the_start():
    """With their exit code, and none is tried again."""
    listening = bind("127.0.0.1", 0)
    with pytest.raises(StartFailed) as caught:
        await supervise(crew.refuse, [listening], 2, args=(7,), stop=asyncio.Event())
    assert caught.value.exit_code == 7
    listening.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_workers_end_with_their_parent(number: signal.Signals):
    """Asked to end it takes them along; killed, it leaves none behind."""
    command = [sys.executable, "-c", "from tests.web.crew import parent; parent()"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    async with asyncio.timeout(PATIENCE):
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert await process.wait() == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    gone, alive = await asyncio.to_thread(psutil.wait_procs, workers, PATIENCE)
    assert (len(gone), alive) == (len(workers), [])
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(f"http://127.0.0.1:{port}/")
