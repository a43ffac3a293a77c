"""Listening sockets that stay bounded: adapter and TLS front accept through here, and nobody else listens."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import structlog

from muster.web.tls import ServerTls

_log = structlog.get_logger("muster.plane.listener")

_ACCEPTS_PER_TURN: Final = 64  # a storm of connections must not starve the sessions that run
_PAUSE_WITHOUT_DESCRIPTORS: Final = 0.5  # seconds
_SOCKET_OPTIONS: Final = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    # A device that vanished without a word, and without a keep alive, is noticed after about four minutes.
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", 0x101), 30),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", 0x102), 4),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0x10)), 120),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketLimits:
    """How many sockets, and how long a handshake and a goodbye may take, in seconds."""

    connections: int = 50_000
    """Sockets in all; one more is closed at once."""
    handshakes: int = 1_000
    """Sockets whose TLS handshake or first packet is not done; one more is closed at once."""
    handshake_timeout: float = 10.0
    goodbye_timeout: float = 2.0
    backlog: int = 1_024


class Seat:
    """A connection's place in the count: taken at accept, known after its first packet, left once."""

    __slots__ = ("_listener", "_new", "_taken")

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener
        self._new = self._taken = True
        listener.open += 1
        listener.new += 1

    def known(self) -> None:
        """The connection is past its handshake and first packet."""
        if self._new:
            self._new = False
            self._listener.new -= 1

    def leave(self) -> None:
        """The connection is gone. Only the first call counts."""
        if self._taken:
            self._taken = False
            self.known()
            self._listener.left()


class Line(asyncio.Protocol):
    """A connection that ends politely: what is buffered is sent, and nobody waits for ever."""

    __slots__ = ("_goodbye", "_is_leaving", "_loop", "_transport")

    def __init__(self, goodbye: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._goodbye = goodbye
        self._transport: asyncio.Transport | None = None
        self._is_leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None

    @property
    def is_leaving(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._is_leaving or self._transport is None

    def write(self, data: bytes) -> None:
        """Send, unless the connection is ending."""
        if self._transport is not None and not self._is_leaving:
            self._transport.write(data)

    def read(self, is_wanted: bool) -> None:
        """Read from the peer or let it wait."""
        if self._transport is None or self._is_leaving or self._transport.is_closing():
            return
        if is_wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    def leave(self) -> None:
        """Send what is buffered, say goodbye and close; a peer that does not answer in time is cut.

        A plain socket is closed by halves: closing it with bytes unread would reset the connection, and the
        peer might lose what was sent before.
        """
        transport = self._transport
        if transport is None or self._is_leaving or transport.is_closing():
            return
        self._is_leaving = True
        self._loop.call_later(self._goodbye, self.abort)
        if not transport.can_write_eof():
            transport.close()
            return
        try:
            transport.write_eof()
            transport.resume_reading()
        except OSError:  # the peer is gone already, nobody told us yet
            transport.abort()

    def abort(self) -> None:
        """Close now, whatever is lost."""
        if self._transport is not None:
            self._transport.abort()


class Listener:
    """One listening address, TCP or TLS.

    *factory* makes a protocol for each connection, with its Seat: the protocol calls `known()` when the peer
    has proven to be more than an open socket, and `leave()` in connection_lost.
    """

    def __init__(
        self,
        factory: Callable[[Seat], asyncio.Protocol],
        *,
        limits: SocketLimits,
        tls: ServerTls | None = None,
    ) -> None:
        self.open = 0
        self.new = 0
        self.refused = 0
        self.failed_handshakes = 0
        self._factory = factory
        self._limits = limits
        self._tls = tls
        self._socket: socket.socket | None = None
        self._starting: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()

    async def start(self, host: str, port: int) -> int:
        """Listen; the port in use (also for port 0). Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        (family, _, _, _, address), *_ = await loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            listening = socket.create_server(address[:2], family=family, backlog=self._limits.backlog)
        except OSError as error:  # its own words name the address, which whoever asked knows
            raise OSError(error.errno, os.strerror(error.errno or 0)) from None
        listening.setblocking(False)
        self._socket = listening
        loop.add_reader(listening, self._accept)
        bound: int = listening.getsockname()[1]
        return bound

    def stop(self) -> None:
        """Accept nobody more; open connections go on."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        for task in self._starting:
            task.cancel()

    async def emptied(self) -> None:
        """Wait until the last connection is gone."""
        await self._empty.wait()

    def left(self) -> None:
        self.open -= 1
        if not self.open:
            self._empty.set()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            if self._socket is None:
                return
            try:
                peer, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._admit(peer)

    def _pause(self, error: OSError) -> None:
        """Out of file descriptors or memory: accepting at once again would only spin."""
        _log.error("accept failed", error=error.strerror)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)  # type: ignore[arg-type]
        loop.call_later(_PAUSE_WITHOUT_DESCRIPTORS, self._resume)

    def _resume(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _admit(self, peer: socket.socket) -> None:
        if self.open >= self._limits.connections or self.new >= self._limits.handshakes:
            self.refused += 1
            peer.close()
            return
        peer.setblocking(False)
        with contextlib.suppress(OSError):  # the peer may be gone already
            for level, option, value in _SOCKET_OPTIONS:
                peer.setsockopt(level, option, value)
        self._empty.clear()
        task = asyncio.get_running_loop().create_task(self._begin(peer, Seat(self)))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _begin(self, peer: socket.socket, seat: Seat) -> None:
        begun = False
        try:
            await self._connect(peer, seat)
            begun = True
        except OSError:  # ssl.SSLError is one; so is a handshake that takes too long
            self.failed_handshakes += 1
        finally:
            if not begun:
                seat.leave()
                peer.close()

    async def _connect(self, peer: socket.socket, seat: Seat) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            await loop.connect_accepted_socket(lambda: self._factory(seat), peer)
            return
        await loop.connect_accepted_socket(
            lambda: self._factory(seat),
            peer,
            ssl=self._tls,
            ssl_handshake_timeout=self._limits.handshake_timeout,
            ssl_shutdown_timeout=self._limits.goodbye_timeout,
        )
