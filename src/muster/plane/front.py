"""MQTT over TLS for a broker that cannot ask for certificates.

The front ends TLS, reads the CONNECT packet and nothing more, exchanges its login for a one-time one, and
splices bytes to the broker's plain port.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from muster.plane.adapter.decoder import Decoder
from muster.plane.adapter.packets import (
    Connack,
    ConnackCode,
    Connect,
    MalformedPacket,
    UnsupportedProtocol,
    encode,
)
from muster.plane.arrivals import Arrival, Doorkeeper, Refusal
from muster.plane.doors import Doors
from muster.plane.listener import Line, Listener, Seat, SocketLimits
from muster.web.tls import ClientTls, ServerTls, client_tls

_log = structlog.get_logger("muster.plane.front")

_NO_TLS: Final = ClientTls(chain_der=(), sni=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontLimits:
    """Sockets, and how long (seconds) and how large (bytes) a CONNECT may be."""

    sockets: SocketLimits = field(default_factory=SocketLimits)
    connect_timeout: float = 10.0
    """From the finished handshake to the whole CONNECT, and again from there to the broker's connection."""
    door_timeout: float = 2.0
    """For how long one of several doors is tried."""
    connect_size: int = 16_384
    """Includes the will; a longer CONNECT closes the connection."""


class Front:
    """One TLS address before the doors of one broker. *refusals* counts what was not let through, by kind."""

    def __init__(self, *, doorkeeper: Doorkeeper, doors: Doors, tls: ServerTls, limits: FrontLimits) -> None:
        self.doorkeeper = doorkeeper
        self.doors = doors
        self.limits = limits
        self.refusals: Counter[str] = Counter()
        self._sides: set[_DeviceSide] = set()
        self._listener = Listener(self._enter, limits=limits.sockets, tls=tls)

    @property
    def open(self) -> int:
        """Connections now, handshakes included."""
        return self._listener.open

    async def start(self, host: str, port: int) -> int:
        """Listen; the port in use. Raises OSError when the address cannot be had."""
        return await self._listener.start(host, port)

    async def stop(self) -> None:
        """Accept nobody more, close every connection with close_notify and wait for the last to go."""
        self._listener.stop()
        for side in tuple(self._sides):
            side.leave()
        await self._listener.emptied()

    def _enter(self, seat: Seat) -> asyncio.Protocol:
        side = _DeviceSide(self, seat)
        self._sides.add(side)
        return side

    def gone(self, side: "_DeviceSide") -> None:
        self._sides.discard(side)


class _Side(Line):
    """One end of the splice: what arrives goes to the other end, and a full end stops the other one."""

    __slots__ = ("_other",)

    def __init__(self, goodbye: float) -> None:
        super().__init__(goodbye)
        self._other: _Side | None = None

    def data_received(self, data: bytes) -> None:
        if self._other is not None and not self._is_leaving:
            self._other.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        super().connection_lost(_exc)
        other, self._other = self._other, None
        if other is not None:
            other.leave()

    def pause_writing(self) -> None:
        if self._other is not None:
            self._other.read(False)

    def resume_writing(self) -> None:
        if self._other is not None:
            self._other.read(True)


class _BrokerSide(_Side):
    __slots__ = ()

    def __init__(self, device: "_DeviceSide", goodbye: float) -> None:
        super().__init__(goodbye)
        self._other = device


class _DeviceSide(_Side):
    """A device: first its CONNECT, then, once it may log in, the splice."""

    __slots__ = ("_admission", "_decoder", "_front", "_impatience", "_seat", "_shown", "_source")

    def __init__(self, front: Front, seat: Seat) -> None:
        super().__init__(front.limits.sockets.goodbye_timeout)
        self._front = front
        self._seat = seat
        self._decoder = Decoder(limit=front.limits.connect_size)
        self._admission: asyncio.Task[None] | None = None
        self._impatience: asyncio.TimerHandle | None = None
        self._source = ""
        self._shown = _NO_TLS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._source = (transport.get_extra_info("peername") or ("",))[0]
        self._shown = client_tls(transport) or _NO_TLS
        self._impatience = self._loop.call_later(self._front.limits.connect_timeout, self._too_slow)

    def connection_lost(self, _exc: Exception | None) -> None:
        super().connection_lost(_exc)
        self._stop_waiting()
        if self._admission is not None:
            self._admission.cancel()
        self._front.gone(self)
        self._seat.leave()

    def data_received(self, data: bytes) -> None:
        if self._other is not None or self._is_leaving:
            super().data_received(data)
            return
        self._decoder.feed(data)
        if self._admission is None:
            self._look_for_connect()

    def _look_for_connect(self) -> None:
        try:
            packet = self._decoder.next()
        except UnsupportedProtocol as error:
            self._refuse(Refusal(code=ConnackCode.UNACCEPTABLE_PROTOCOL, reason=str(error)))
        except MalformedPacket as error:
            self._drop("malformed", str(error))
        else:
            if isinstance(packet, Connect):
                self._stop_waiting()
                self.read(False)
                self._admission = self._loop.create_task(self._admit(packet))
            elif packet is not None:
                self._drop("malformed", "the first packet is no CONNECT")

    def _too_slow(self) -> None:
        self._drop("slow", "no CONNECT in time")

    def _stop_waiting(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    async def _admit(self, connect: Connect) -> None:
        try:
            async with asyncio.timeout(self._front.limits.connect_timeout):
                refusal = await self._try_to_admit(connect)
        except (OSError, TimeoutError) as error:
            reason = f"the broker or the registry does not answer ({type(error).__name__})"
            refusal = Refusal(code=ConnackCode.SERVER_UNAVAILABLE, reason=reason)
        except Exception:  # noqa: BLE001 - whatever a port raises, the device gets an answer and the log the cause
            _log.exception("admission failed", source=self._source)
            refusal = Refusal(code=ConnackCode.SERVER_UNAVAILABLE, reason="internal error")
        if refusal is not None:
            self._refuse(refusal)

    async def _try_to_admit(self, connect: Connect) -> Refusal | None:
        keeper, shown = self._front.doorkeeper, self._shown
        identity = await keeper.verify(shown.chain_der, shown.sni) if shown.chain_der else None
        if isinstance(identity, Refusal):
            return identity
        arrival = Arrival(source=self._source, sni=shown.sni, connect=connect, identity=identity)
        login = await keeper.login_for(arrival)
        if isinstance(login, Refusal):
            return login
        rewritten = replace(connect, username=login.username, password=login.password)
        await self._splice(encode(rewritten) + self._decoder.rest())
        return None

    async def _splice(self, first: bytes) -> None:
        broker = await self._find_broker()
        if self.is_leaving:
            broker.leave()  # the device left meanwhile
            return
        self._other = broker
        self._seat.known()
        broker.write(first)
        self.read(True)

    async def _find_broker(self) -> _BrokerSide:
        doors, error = self._front.doors, OSError("no door")
        for door in doors.in_turn():
            try:
                async with asyncio.timeout(self._front.limits.door_timeout if len(doors) > 1 else None):
                    _, broker = await self._loop.create_connection(
                        lambda: _BrokerSide(self, self._goodbye), *door
                    )
            except OSError as failure:
                doors.failed(door)
                error = failure
            else:
                doors.works(door)
                return broker
        raise error

    def _refuse(self, refusal: Refusal) -> None:
        self.write(encode(Connack(code=refusal.code)))
        self._drop(refusal.code.name.lower(), refusal.reason)

    def _drop(self, kind: str, reason: str) -> None:
        self._stop_waiting()
        self._front.refusals[kind] += 1
        _log.info("refused", source=self._source, kind=kind, reason=reason)
        self.leave()
