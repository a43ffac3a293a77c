"""A load generator that costs little: requests as ready bytes, one in flight on each connection."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import uvloop

Requests = Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Load:
    """What came of it; latencies in seconds, sorted."""

    seconds: float
    latencies: list[float]
    wrong: int
    """Answers of another status than was expected."""
    last_wrong: bytes = b""

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, part: float) -> float:
        """Give a quantile of the latencies in milliseconds."""
        return self.latencies[min(int(len(self.latencies) * part), len(self.latencies) - 1)] * 1000


class _Connection(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._received = b""
        self._expected = 0
        self._started = 0.0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        request = next(self._run.requests, None)
        if request is None or self._run.is_over():
            self.transport.close()
            return
        self._started = perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        if not self._expected:
            end = received.find(b"\r\n\r\n")
            if end < 0:
                self._received = received
                return
            head = received[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 : at + 30].split(b"\r\n")[0]) if at >= 0 else 0
            self._expected = end + 4 + length
        if len(received) < self._expected:
            self._received = received
            return
        self._run.answered(perf_counter() - self._started, received)
        self._received, self._expected = b"", 0
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 the protocol's signature
        self._run.left()


class _Run:
    def __init__(self, requests: Requests, connections: int, seconds: float, status: bytes) -> None:
        self.requests = requests
        self._status = b"HTTP/1.1 " + status
        self._open = connections
        self._end = perf_counter() + seconds
        self.latencies: list[float] = []
        self.wrong = 0
        self.last_wrong = b""
        self.finished = asyncio.get_running_loop().create_future()

    def is_over(self) -> bool:
        return perf_counter() >= self._end

    def answered(self, latency: float, answer: bytes) -> None:
        self.latencies.append(latency)
        if not answer.startswith(self._status):
            self.wrong += 1
            self.last_wrong = answer

    def left(self) -> None:
        self._open -= 1
        if not self._open:
            self.finished.set_result(None)


async def _drive(
    host: str, port: int, requests: Requests, connections: int, seconds: float, status: bytes
) -> Load:
    run = _Run(requests, connections, seconds, status)
    loop = asyncio.get_running_loop()
    started = perf_counter()
    await asyncio.gather(
        *(loop.create_connection(lambda: _Connection(run), host, port) for _ in range(connections))
    )
    await run.finished
    return Load(perf_counter() - started, sorted(run.latencies), run.wrong, run.last_wrong)


def drive(
    port: int,
    requests: Requests,
    *,
    connections: int = 64,
    seconds: float = 4.0,
    status: int = 200,
    best_of: int = 1,
    host: str = "127.0.0.1",
) -> Load:
    """Send requests until the time is over; give the best of several tries.

    AssertionError when an answer had another status: then the numbers would say nothing.
    """
    best: Load | None = None
    for _ in range(best_of):
        load = uvloop.run(_drive(host, port, requests, connections, seconds, str(status).encode()))
        assert load.latencies, "nothing was answered"
        assert not load.wrong, f"{load.wrong} of {len(load.latencies)} answers: {load.last_wrong[:600]!r}"
        if best is None or load.rate > best.rate:
            best = load
    assert best is not None
    return best


# --- requests --------------------------------------------------------------------------------------------


def request(
    method: str, path: str, authorization: str, body: Any = None, kind: str = "application/json"
) -> bytes:
    """Give one request as bytes."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: muster\r\n"
    if authorization:
        head += f"Authorization: {authorization}\r\n"
    if body is not None:
        head += f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n"
    return f"{head}\r\n".encode() + content


def same(one: bytes) -> Requests:
    """Give the same request for ever."""
    return itertools.repeat(one)


def each(make: Callable[[int], bytes]) -> Requests:
    """Give the request of 0, 1, 2 …"""
    return map(make, itertools.count())


# --- what the generator itself can do ----------------------------------------------------------------------


class _Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 the protocol's signature
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


async def serve_nothing(port: int) -> None:
    """Answer every request with two bytes, reading nothing: the ceiling of this generator."""
    server = await asyncio.get_running_loop().create_server(_Echo, "127.0.0.1", port)
    await server.serve_forever()
