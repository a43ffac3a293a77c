"""The rules of Hono's MQTT adapter (spec/hono C.1, C.3) for one connection: events in, actions out.

No sockets, tasks or clocks: the server carries out the actions and hands back what came of them. Time is an
argument, in seconds of a monotonic clock.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from muster.plane.adapter.actions import (
    Action,
    Authenticate,
    Close,
    CloseReason,
    Delivered,
    Forward,
    Register,
    Rules,
    Send,
    Unregister,
)
from muster.plane.adapter.decoder import Decoder
from muster.plane.adapter.flights import Flight, Flights
from muster.plane.adapter.mailbox import Listening, Mailbox, wanted_by
from muster.plane.adapter.messages import (
    Rejected,
    named_by,
    notification,
    read_login,
    read_message,
    read_origin,
    read_token,
)
from muster.plane.adapter.packets import (
    MAX_FIELD,
    REFUSED,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    UnsupportedProtocol,
    encode,
)
from muster.plane.adapter.ports import (
    AdapterDevice,
    AdapterRefusal,
    Command,
    CommandSubscription,
    Delivery,
    Evidence,
    Failure,
)
from muster.plane.adapter.reports import Reports
from muster.plane.adapter.topics import OnError, read_filter

_KEEP_ALIVE_GRACE: Final = 1.5  # [MQTT-3.1.2-24]


class _State(Enum):
    NEW = "awaiting CONNECT"
    AUTHENTICATING = "authenticating"
    OPEN = "open"
    CLOSED = "closed"


@dataclass(slots=True)
class _Subscribing:
    """A SUBSCRIBE whose command filters are registered one after the other."""

    packet_id: int
    codes: list[int]
    waiting: deque[tuple[int, CommandSubscription, Listening]] = field(default_factory=deque)
    granted: list[CommandSubscription] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end, as far as the socket knows."""

    source: str
    chain_der: tuple[bytes, ...] = ()
    sni: str | None = None


class Session:
    """One connection. Every method that takes an event returns the actions it leads to, in order.

    *started_at* is the wall clock at *now*, for dating error reports. When *is_full*, the device is told, by
    CONNACK 3, that there is no place for it.
    """

    def __init__(
        self, *, rules: Rules, peer: Peer, now: float, started_at: datetime, is_full: bool = False
    ) -> None:
        self.device: AdapterDevice | None = None
        self._rules = rules
        self._peer = peer
        self._epoch = started_at - timedelta(seconds=now)
        self._is_full = is_full
        self._state = _State.NEW
        self._decoder = Decoder(limit=rules.connect_size)
        self._heard = now
        self._connect_before = now + rules.connect_timeout
        self._patience: float | None = None
        self._actions: list[Action] = []
        self._flights = Flights()
        self._subscribing: _Subscribing | None = None
        self._reports = Reports()
        self._mailbox = Mailbox(rules)

    # --- what the server looks at ------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the device is let in and the connection is not closing."""
        return self._state is _State.OPEN

    @property
    def is_reading(self) -> bool:
        """Whether more bytes are wanted now; if not, the socket should wait."""
        if self._state is _State.OPEN:
            return self._subscribing is None and len(self._flights) < self._rules.in_flight
        return self._state is _State.NEW

    @property
    def deadline(self) -> float | None:
        """When tick() is due, unless something happens before."""
        if self._state is _State.CLOSED:
            return None
        if self._state is not _State.OPEN:
            return self._connect_before
        ends = (self._mailbox.deadline, self._silent_from)
        return min((end for end in ends if end is not None), default=None)

    @property
    def _silent_from(self) -> float | None:
        return None if self._patience is None or not self.is_reading else self._heard + self._patience

    # --- events ------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now: float) -> list[Action]:
        """Take bytes of the device."""
        if self._state is not _State.CLOSED:
            self._decoder.feed(data)
        return self._read(now)

    def authenticated(self, device: AdapterDevice, now: float) -> list[Action]:
        """Take the answer to Authenticate: the device is let in."""
        if self._state is not _State.AUTHENTICATING:
            return []
        self._open(device)
        return self._resume(now)

    def refused(self, refusal: AdapterRefusal) -> list[Action]:
        """Take the answer to Authenticate: the device is not let in."""
        if self._state is _State.AUTHENTICATING:
            self._refuse(refusal.code, refusal.reason)
        return self._take()

    def forwarded(self, ticket: int, failure: Failure | None, now: float) -> list[Action]:
        """Take the answer to Forward."""
        flight = self._flights.landed(ticket)
        if flight is None or self._state is not _State.OPEN:
            return []
        if failure is None:
            flight.is_settled = flight.is_acked = True
        else:
            self._fail(flight, failure, now)
        self._acknowledge()
        return self._resume(now)

    def registered(self, is_granted: bool, now: float) -> list[Action]:
        """Take the answer to Register; a session closed meanwhile undoes it."""
        work = self._subscribing
        if work is None:
            return []
        index, wanted, listening = work.waiting.popleft()
        if self._state is not _State.OPEN:
            self._subscribing = None
            return [Unregister(wanted)] if is_granted else []
        if is_granted:
            self._mailbox.grant(wanted, listening)
            work.granted.append(wanted)
        else:
            work.codes[index] = REFUSED
        self._subscribe_on(work)
        return self._resume(now)

    def deliver(self, command: Command, wanted: CommandSubscription, ticket: int, now: float) -> list[Action]:
        """Take a command for a registered subscription; Delivered follows, at once or later."""
        if self._state is not _State.OPEN:
            return [Delivered(ticket, Delivery.RELEASED)]
        return self._mailbox.deliver(command, wanted, ticket, now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed: end what waited too long."""
        self._actions += self._mailbox.expire(now)
        if self._state is _State.NEW and self._connect_before <= now:
            self._close(CloseReason.SLOW)
        elif self._state is _State.AUTHENTICATING and self._connect_before <= now:
            self._refuse(ConnackCode.SERVER_UNAVAILABLE, "authentication takes too long")
        elif self._state is _State.OPEN and self._silent_from is not None and self._silent_from <= now:
            self._close(CloseReason.SILENT)
        return self._take()

    def cut(self) -> list[Action]:
        """End it now: the device lost its rights, or the adapter stops. Nothing more is read."""
        self._close(CloseReason.CUT)
        return self._take()

    def closed(self) -> list[Action]:
        """The connection is gone, whoever ended it: release commands, tell the applications."""
        self._state = _State.CLOSED
        self._flights.clear()
        return self._mailbox.close()

    # --- reading -----------------------------------------------------------------------------------------

    def _take(self) -> list[Action]:
        actions, self._actions = self._actions, []
        return actions

    def _resume(self, now: float) -> list[Action]:
        """Go on after a wait, which does not count as the device's silence."""
        self._heard = now
        return self._read(now)

    def _read(self, now: float) -> list[Action]:
        try:
            while self.is_reading and (packet := self._decoder.next()) is not None:
                self._heard = now
                self._handle(packet, now)
        except UnsupportedProtocol as error:
            self._refuse(ConnackCode.UNACCEPTABLE_PROTOCOL, str(error))
        except MalformedPacket as error:
            self._close(CloseReason.PROTOCOL, str(error))
        return self._take()

    def _handle(self, packet: Packet, now: float) -> None:
        if isinstance(packet, Connect) is not (self._state is _State.NEW):
            self._close(CloseReason.PROTOCOL, "CONNECT comes first and once")  # [MQTT-3.1.0-1, -2]
            return
        match packet:
            case Publish():
                self._publish(packet, now)
            case Puback():
                self._actions += self._mailbox.acked(packet.packet_id)
            case Pingreq():
                self._send(Pingresp())
            case Subscribe():
                self._subscribe(packet)
            case Unsubscribe():
                self._unsubscribe(packet)
            case Connect():
                self._connect(packet)
            case Disconnect():
                self._close(CloseReason.DISCONNECTED)
            case _:
                self._close(CloseReason.PROTOCOL, f"unexpected {type(packet).__name__}")

    def _send(self, packet: Packet) -> None:
        self._actions.append(Send(encode(packet)))

    def _close(self, reason: CloseReason, detail: str = "") -> None:
        if self._state is not _State.CLOSED:
            self._state = _State.CLOSED
            self._actions.append(Close(reason, detail))

    def _refuse(self, code: ConnackCode, detail: str) -> None:
        if self._state in (_State.NEW, _State.AUTHENTICATING):
            self._send(Connack(code=code))
        self._close(CloseReason.REFUSED, detail)

    # --- CONNECT -----------------------------------------------------------------------------------------

    def _connect(self, packet: Connect) -> None:
        self._patience = packet.keep_alive * _KEEP_ALIVE_GRACE or None
        password, token, peer = read_login(packet), read_token(packet), self._peer
        if self._is_full:
            self._refuse(ConnackCode.SERVER_UNAVAILABLE, "too many connections")
        elif not packet.client_id and not packet.clean_session:
            self._refuse(ConnackCode.IDENTIFIER_REJECTED, "a session to keep has no name")  # [MQTT-3.1.3-8]
        elif password is not None or token or peer.chain_der:
            evidence = Evidence(
                chain_der=peer.chain_der,
                sni=peer.sni,
                password=password,
                client_id=packet.client_id,
                source=peer.source,
                token=token,
                named=named_by(packet.client_id) if token else None,
            )
            self._state = _State.AUTHENTICATING
            self._actions.append(Authenticate(evidence))
        elif self._rules.authentication_required or packet.username is not None:
            self._refuse(ConnackCode.BAD_CREDENTIALS, "no credentials")
        else:
            self._open(None)

    def _open(self, device: AdapterDevice | None) -> None:
        self.device = device
        self._reports.device = device
        self._state = _State.OPEN
        # A payload over the limit is answered as the device wishes; far over it, nothing is read any more.
        self._decoder.limit = self._rules.payload_size + 2 * MAX_FIELD
        self._send(Connack())

    # --- PUBLISH -----------------------------------------------------------------------------------------

    def _publish(self, packet: Publish, now: float) -> None:
        origin, rejected = read_origin(packet)
        flight = self._flights.begin(origin)
        try:
            if rejected is not None:
                raise rejected
            message = read_message(packet, origin, self.device, payload_size=self._rules.payload_size)
        except Rejected as error:
            self._fail(flight, error.failure, now)
            self._acknowledge()
            return
        self._actions.append(Forward(message, self._flights.ticket(flight)))

    def _acknowledge(self) -> None:
        for packet_id in self._flights.acknowledge():
            if self._state is _State.OPEN:
                self._send(Puback(packet_id=packet_id))

    def _fail(self, flight: Flight, failure: Failure, now: float) -> None:
        """Hono's table of error handling: on-error times error subscription; terminal errors always close."""
        report = self._reports.spell(flight.origin, failure, self._epoch + timedelta(seconds=now))
        if report is not None:
            self._send(report)
        wish = flight.origin.bag.on_error
        if wish is OnError.DEFAULT:
            wish = OnError.IGNORE if report is not None else OnError.DISCONNECT
        flight.is_settled = True
        flight.is_acked = wish is OnError.IGNORE
        if failure.is_terminal or wish is OnError.DISCONNECT:
            self._close(CloseReason.FAILED, f"{failure.status} {failure.text}")

    # --- SUBSCRIBE ---------------------------------------------------------------------------------------

    def _subscribe(self, packet: Subscribe) -> None:
        work = _Subscribing(packet.packet_id, [REFUSED] * len(packet.filters))
        for index, (text, qos) in enumerate(packet.filters):
            wish = read_filter(text)
            wanted = wanted_by(self.device, wish) if wish is not None else None
            if wish is None or wanted is None or not self._has_room(work):
                continue
            if wish.for_commands:
                listening = Listening(text=text, filter=wish, qos=min(qos, 1), reader=self.device)
                work.codes[index] = listening.qos
                work.waiting.append((index, wanted, listening))
            else:
                work.codes[index] = 0
                self._reports.add(text, wish)
        self._subscribing = work
        self._subscribe_on(work)

    def _has_room(self, work: _Subscribing) -> bool:
        return len(self._mailbox) + len(self._reports) + len(work.waiting) < self._rules.subscriptions

    def _subscribe_on(self, work: _Subscribing) -> None:
        if work.waiting:
            self._actions.append(Register(work.waiting[0][1]))
            return
        self._subscribing = None
        self._send(Suback(packet_id=work.packet_id, codes=tuple(work.codes)))
        self._actions += [Forward(notification(wanted, ttd=-1)) for wanted in work.granted]

    def _unsubscribe(self, packet: Unsubscribe) -> None:
        for text in packet.filters:
            self._reports.drop(text)
            self._actions += self._mailbox.drop(text)
        self._send(Unsuback(packet_id=packet.packet_id))
