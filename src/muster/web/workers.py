"""Several processes behind the same sockets: the parent owns these and keeps the others alive."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from socket import socket
from typing import Any

_SPAWN = multiprocessing.get_context("spawn")
_SHORT_LIFE = 10.0
"""A worker that ends sooner, in seconds, is started again only after a pause."""
_PAUSES = (0.0, 0.2, 1.0, 5.0)


class StartFailed(Exception):
    """A worker ended before it was ready."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(f"a worker process ended with code {exit_code} before it was ready")
        self.exit_code = exit_code


async def supervise(
    work: Callable[..., None],
    sockets: Sequence[socket],
    count: int,
    *,
    args: tuple[Any, ...] = (),
    stop: asyncio.Event,
    on_ready: Callable[[], None] = lambda: None,
    grace: float = 15.0,
    log: Any = None,
) -> None:
    """Run `work(sockets, ready, *args)` in *count* processes until *stop* is set.

    *work* is a function of a module, *args* can be pickled; it calls `ready()` once it serves, and ends on
    SIGTERM, which it also gets if the parent dies. One that ends is started again; a pause grows if it does
    so soon. *on_ready* is called when all serve. After *stop* they have *grace* seconds, then are killed.
    StartFailed when one ends before it was ready the first time.
    """
    crew = [_Worker(number, work, sockets, args, log) for number in range(count)]
    keeping = [asyncio.create_task(worker.keep(stop)) for worker in crew]
    try:
        await _until([asyncio.create_task(_all_ready(crew)), asyncio.create_task(stop.wait())], keeping)
        if not stop.is_set():
            on_ready()
            await _until([asyncio.create_task(stop.wait())], keeping)
    finally:
        stop.set()
        await asyncio.gather(*(worker.end(grace) for worker in crew))
        await asyncio.gather(*keeping, return_exceptions=True)


async def _all_ready(crew: Sequence["_Worker"]) -> None:
    for worker in crew:
        await worker.is_ready.wait()


async def _until(goals: list[asyncio.Task[Any]], keeping: list[asyncio.Task[None]]) -> None:
    """Wait for the first of *goals*; raise what ends one of *keeping* before."""
    done, _ = await asyncio.wait([*goals, *keeping], return_when=asyncio.FIRST_COMPLETED)
    for goal in goals:
        goal.cancel()
    for task in done:
        if task in keeping:
            task.result()


class _Worker:
    """One place in the crew, and the process that fills it now."""

    def __init__(
        self,
        number: int,
        work: Callable[..., None],
        sockets: Sequence[socket],
        args: tuple[Any, ...],
        log: Any,
    ) -> None:
        self.is_ready = asyncio.Event()
        self._number = number
        self._work = work
        self._sockets = list(sockets)
        self._args = args
        self._log = log
        self._process: SpawnProcess | None = None
        self._ended = asyncio.Event()

    async def keep(self, stop: asyncio.Event) -> None:
        """Start the process, and again whenever it ends, until *stop*."""
        loop, short = asyncio.get_running_loop(), 0
        while not stop.is_set():
            started = loop.time()
            exit_code = await self._one_life()
            if stop.is_set():
                return
            if not self.is_ready.is_set():
                raise StartFailed(exit_code)
            if self._log is not None:
                self._log.error("worker ended", worker=self._number, exit_code=exit_code)
            short = short + 1 if loop.time() - started < _SHORT_LIFE else 0
            await _pause(stop, _PAUSES[min(short, len(_PAUSES) - 1)])

    async def _one_life(self) -> int | None:
        loop = asyncio.get_running_loop()
        ready, tell_ready = _SPAWN.Pipe(duplex=False)
        life, our_life = _SPAWN.Pipe(duplex=False)
        self._ended.clear()
        process = _SPAWN.Process(
            target=_run, args=(self._work, self._sockets, tell_ready, life, self._args), name="muster worker"
        )
        process.start()
        self._process = process
        tell_ready.close()
        life.close()
        loop.add_reader(ready.fileno(), self._heard, ready)
        loop.add_reader(process.sentinel, self._ended.set)
        await self._ended.wait()
        loop.remove_reader(process.sentinel)
        loop.remove_reader(ready.fileno())
        if ready.poll():
            self._heard(ready)
        process.join()
        ready.close()
        our_life.close()
        return process.exitcode

    def _heard(self, ready: Connection) -> None:
        try:
            ready.recv_bytes()
            self.is_ready.set()
        except EOFError:
            asyncio.get_running_loop().remove_reader(ready.fileno())

    async def end(self, grace: float) -> None:
        """Ask the process to end; kill it after *grace* seconds."""
        process = self._process
        if process is None or not process.is_alive():
            return
        process.terminate()
        try:
            await asyncio.wait_for(self._ended.wait(), grace)
        except TimeoutError:
            process.kill()
            await self._ended.wait()


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


def _run(
    work: Callable[..., None],
    sockets: list[socket],
    tell_ready: Connection,
    life: Connection,
    args: tuple[Any, ...],
) -> None:
    """Run in the new process."""
    threading.Thread(target=_end_with_parent, args=(life,), daemon=True).start()
    for listening in sockets:
        listening.setblocking(False)
    work(sockets, lambda: tell_ready.send_bytes(b"ready"), *args)


def _end_with_parent(life: Connection) -> None:
    """Ask this process to end when the parent is gone: its end of the pipe closes whatever ends it."""
    try:
        life.recv_bytes()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
