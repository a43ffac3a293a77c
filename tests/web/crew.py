"""What the processes of test_workers.py do: functions of a module, since processes are spawned."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from muster.web.serve import Listener, bind, serve, stop_on_signals
from muster.web.workers import supervise


async def tell_pid(scope, receive, send):
    """Answer with the process id; below /slow only after half a second, below /parts its end."""
    if scope["path"] == "/slow":
        await asyncio.sleep(0.5)
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/parts":
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        await asyncio.sleep(0.5)
        body = body[1:]
    await send({"type": "http.response.body", "body": body})


def work(sockets: list[socket.socket], ready: Callable[[], None]) -> None:
    """Serve until SIGTERM."""
    asyncio.run(_work(sockets, ready))


async def _work(sockets: list[socket.socket], ready: Callable[[], None]) -> None:
    listeners = [Listener(socket=one) for one in sockets]
    await serve(tell_pid, listeners, stop=stop_on_signals(), on_ready=ready)


def refuse(sockets: list[socket.socket], ready: Callable[[], None], code: int) -> None:
    """End at once, as a worker does that cannot start."""
    sys.exit(code)


def stubborn(sockets: list[socket.socket], ready: Callable[[], None]) -> None:
    """Serve nobody, and do not end when asked to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ready()
    while True:
        time.sleep(1)


def parent() -> None:
    """Be a parent of two workers until SIGTERM; print the port once they are ready."""
    asyncio.run(_parent())


async def _parent() -> None:
    listening = bind("127.0.0.1", 0)
    port = listening.getsockname()[1]
    await supervise(
        work, [listening], 2, stop=stop_on_signals(), on_ready=lambda: print(port, flush=True), grace=5
    )
