"""Listening: one app behind several sockets, plain and TLS, in one process and one event loop."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn

from muster.web.tls import ServerTls, TlsHttpProtocol, TlsWebSocketProtocol

_BACKLOG = 2048
_HANDSHAKE_SECONDS = 10.0
_HEAD_BYTES = 64 * 1024
"""How long a request may be before its body: longer than any of ours, shorter than an attack."""
_TICKS = 10
"""Of a tenth of a second: how often slow heads are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A bound socket, and how TLS is spoken on it; without, it is plain HTTP."""

    socket: socket.socket
    tls: ServerTls | None = None


def bind(host: str, port: int) -> socket.socket:
    """Give a listening socket; port 0 is any free one. OSError when the address cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def stop_on_signals() -> asyncio.Event:
    """Give an event that SIGTERM, SIGINT or SIGHUP (its terminal is gone) sets from now on, in this loop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop


async def serve(
    app: Any,
    listeners: Sequence[Listener],
    *,
    stop: asyncio.Event,
    on_ready: Callable[[], None] = lambda: None,
    trusted_proxies: Sequence[str] = (),
    grace: int = 10,
    keep_alive: int = 75,
    head_seconds: float = 30.0,
    max_message: int = 1024 * 1024,
    log: Any = None,
) -> None:
    """Serve the ASGI app until *stop* is set, then finish the accepted requests within *grace* seconds.

    X-Forwarded-For and -Proto count only from *trusted_proxies* (addresses or networks). *keep_alive*:
    seconds an idle connection stays open; *head_seconds*: how long a client may take to send the head of a
    request. *log*, a structlog logger, gets what the HTTP server has to say. The sockets are closed at the
    end.
    """
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws=TlsWebSocketProtocol,
        ws_max_size=max_message,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=grace,
    )
    server = _Server(config, listeners, on_ready, head_seconds)
    with _forwarded_log(log):
        stopping = asyncio.create_task(server.stop_with(stop))
        try:
            await server.serve()
            await server.last_words()
        finally:
            stopping.cancel()
            for listener in listeners:
                listener.socket.close()


class _Server(uvicorn.Server):
    """uvicorn's server, with TLS per socket, and leaving signals to whoever runs the loop."""

    def __init__(
        self,
        config: uvicorn.Config,
        listeners: Sequence[Listener],
        on_ready: Callable[[], None],
        head_seconds: float,
    ) -> None:
        super().__init__(config)
        self._listeners = listeners
        self._on_ready = on_ready
        self._head_seconds = head_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 ours are known
        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                self._protocol,
                sock=listener.socket,
                ssl=listener.tls,
                ssl_handshake_timeout=_HANDSHAKE_SECONDS if listener.tls else None,
                backlog=_BACKLOG,
            )
            for listener in self._listeners
        ]
        self.started = True
        self._on_ready()

    def _protocol(self) -> asyncio.Protocol:
        return _Protocol(self.config, self.server_state, {})

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            began_before = asyncio.get_running_loop().time() - self._head_seconds
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Protocol):
                    connection.close_if_slow(began_before)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def last_words(self) -> None:
        """Let the requests that ran out of time say so."""
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=1.0)

    async def stop_with(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.should_exit = True


class _Protocol(TlsHttpProtocol):
    """HTTP/1.1; over TLS the scope has the extension `tls` with what the client showed.

    The head of a request is limited in size and time, which neither uvicorn nor its parser does.
    """

    _head_began: float | None = None
    """When the head began that is not complete yet."""
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_began = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_began = self.loop.time()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        self._head_began = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_began is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def close_if_slow(self, began_before: float) -> None:
        """Close the connection if the head it waits for began before this time."""
        if self._head_began is not None and self._head_began < began_before:
            self.transport.close()


class _Forward(logging.Handler):
    def __init__(self, log: Any) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning("http server", detail=record.getMessage(), source=record.name)


@contextlib.contextmanager
def _forwarded_log(log: Any) -> Iterator[None]:
    logger = logging.getLogger("uvicorn")
    handler = _Forward(log) if log is not None else logging.NullHandler()
    was = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = was
