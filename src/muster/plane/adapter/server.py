"""The only sockets of the MQTT adapter: they carry out what sessions ask, and cut them when rights change."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, TypeVar

import structlog

from muster.core.model import DeviceId, TenantId
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
from muster.plane.adapter.cuts import Cuts
from muster.plane.adapter.packets import ConnackCode
from muster.plane.adapter.ports import (
    AdapterDevice,
    AdapterPorts,
    AdapterRefusal,
    Command,
    CommandSubscription,
    Deliver,
    Delivery,
    Evidence,
    Failure,
)
from muster.plane.adapter.roll import Roll
from muster.plane.adapter.session import Peer, Session
from muster.plane.listener import Line, Listener, Seat, SocketLimits
from muster.web.tls import ServerTls, client_tls

_log = structlog.get_logger("muster.plane.adapter")

_UNAVAILABLE: Final = AdapterRefusal(
    code=ConnackCode.SERVER_UNAVAILABLE, reason="the registry does not answer"
)
_UNDELIVERED: Final = Failure(status=503, text="service unavailable")
_ATTEMPTS: Final = 3
_CUT_MEANWHILE: Final = AdapterRefusal(code=ConnackCode.SERVER_UNAVAILABLE, reason="rights changed meanwhile")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLimits:
    """Of one adapter, all its listeners together, unless said otherwise."""

    sessions: int = 20_000
    """Devices let in; the next gets CONNACK 3."""
    port_timeout: float = 10.0
    """Seconds that registry and broker have for one answer."""
    sockets: SocketLimits = field(default_factory=SocketLimits)
    """Of each listener."""


class Adapter:
    """Hono's MQTT adapter on any number of addresses. *closes* counts why connections ended."""

    def __init__(self, *, ports: AdapterPorts, rules: Rules, limits: AdapterLimits) -> None:
        self.ports = ports
        self.rules = rules
        self.limits = limits
        self.closes: Counter[CloseReason] = Counter()
        self._listeners: list[Listener] = []
        self.roll: Roll[_Connection] = Roll()
        self._connections: set[_Connection] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._cuts = Cuts()

    @property
    def sockets(self) -> int:
        """Connections of any kind, half-open and closing ones included."""
        return sum(listener.open for listener in self._listeners)

    @property
    def is_full(self) -> bool:
        """Whether the next device must wait."""
        return self.roll.count >= self.limits.sessions

    async def listen(self, host: str, port: int, tls: ServerTls | None = None) -> int:
        """Listen, with TLS if *tls* is given; the port in use. Raises OSError as bind does."""
        listener = Listener(self._enter, limits=self.limits.sockets, tls=tls)
        bound = await listener.start(host, port)
        self._listeners.append(listener)
        return bound

    def cut(self, tenant_id: TenantId, device_id: DeviceId | None = None) -> int:
        """End the connections of a device, or of a whole tenant; how many there were.

        A device whose authentication is under way is refused as well: it may have been judged by old rights.
        """
        self._cuts.strike(tenant_id, device_id)
        struck = self.roll.of(tenant_id, device_id)
        for connection in struck:
            connection.cut()
        return len(struck)

    async def refresh(self, tenant_id: TenantId, device_id: DeviceId) -> int:
        """End the connections of a device whose rights changed, but those by its rights of now; how many.

        Who came right behind the change is not sent away for it, however late the word of it comes.
        """
        self._cuts.strike(tenant_id, device_id)
        struck = [c for c in self.roll.of(tenant_id, device_id) if not await self._stands(c.device)]
        for connection in struck:
            connection.cut()
        return len(struck)

    async def _stands(self, device: AdapterDevice | None) -> bool:
        if device is None or device.admission is None:
            return False
        return await self.ask(self.ports.stands(device), False)

    async def stop(self, grace: float = 5.0) -> None:
        """Accept nobody more, end every connection, give messages under way *grace* seconds to arrive."""
        for listener in self._listeners:
            listener.stop()
        for connection in tuple(self._connections):
            connection.cut()
        for listener in self._listeners:
            await listener.emptied()
        if self._work:
            await asyncio.wait(self._work, timeout=grace)
        for task in self._work:
            task.cancel()

    # --- for connections -----------------------------------------------------------------------------------

    def _enter(self, seat: Seat) -> asyncio.Protocol:
        return _Connection(self, seat)

    def came(self, connection: "_Connection") -> None:
        # Not before the TLS handshake is done: a connection that never gets that far is the listener's.
        self._connections.add(connection)

    def gone(self, connection: "_Connection", reason: CloseReason) -> None:
        self.closes[reason] += 1
        self._connections.discard(connection)

    def start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        return task

    async def authenticate(self, evidence: Evidence) -> AdapterDevice | AdapterRefusal:
        """Judge a device; again when its rights change meanwhile, for the word may be of before it came."""
        for _ in range(_ATTEMPTS):
            answer = await self._judge(evidence)
            if answer is not _CUT_MEANWHILE:
                break
        return answer

    async def _judge(self, evidence: Evidence) -> AdapterDevice | AdapterRefusal:
        watch = self._cuts.begin()
        try:
            answer = await self.ask(self.ports.authenticate(evidence), _UNAVAILABLE)
            is_struck = isinstance(answer, AdapterDevice) and self._cuts.hit(watch, answer)
            return _CUT_MEANWHILE if is_struck else answer
        finally:
            self._cuts.end(watch)

    async def ask(self, question: Awaitable[_T], otherwise: _T) -> _T:
        """The port's answer, or *otherwise* when it fails or takes too long."""
        try:
            async with asyncio.timeout(self.limits.port_timeout):
                return await question
        except TimeoutError:
            _log.warning("no answer in time")
        except Exception:  # noqa: BLE001 - whatever a port raises, the device is told to come back
            _log.exception("no answer")
        return otherwise


class _Connection(Line):
    """One socket and its session. What needs an answer from elsewhere is done one after the other."""

    __slots__ = (
        "_adapter",
        "_closing",
        "_delivers",
        "_is_choked",
        "_is_in",
        "_is_paused",
        "_outcomes",
        "_queue",
        "_seat",
        "_session",
        "_source",
        "_ticket",
        "_timer",
        "_worker",
    )

    def __init__(self, adapter: Adapter, seat: Seat) -> None:
        super().__init__(adapter.limits.sockets.goodbye_timeout)
        self._adapter = adapter
        self._seat = seat
        self._session: Session
        self._source = ""
        self._closing = CloseReason.LOST
        self._is_choked = self._is_paused = self._is_in = False
        self._queue: deque[Action] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ticket = 0
        self._outcomes: dict[int, asyncio.Future[Delivery]] = {}
        self._delivers: dict[CommandSubscription, Deliver] = {}

    # --- what the loop tells -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._adapter.came(self)
        self._source = (transport.get_extra_info("peername") or ("",))[0]
        shown = client_tls(transport)
        peer = Peer(source=self._source)
        if shown is not None:
            peer = Peer(source=self._source, chain_der=shown.chain_der, sni=shown.sni)
        self._session = Session(
            rules=self._adapter.rules,
            peer=peer,
            now=self._loop.time(),
            started_at=datetime.now(UTC),
            is_full=self._adapter.is_full,
        )
        self._arm()

    def data_received(self, data: bytes) -> None:
        if not self._is_leaving:
            self._do(self._session.feed(data, self._loop.time()))

    def connection_lost(self, _exc: Exception | None) -> None:
        super().connection_lost(_exc)
        if self._timer is not None:
            self._timer.cancel()
        self._do(self._session.closed())
        self._adapter.gone(self, self._closing)
        self._seat.leave()

    def pause_writing(self) -> None:
        self._is_choked = True
        self._steer()

    def resume_writing(self) -> None:
        self._is_choked = False
        self._steer()

    # --- what the session asks -----------------------------------------------------------------------------

    @property
    def device(self) -> AdapterDevice | None:
        return self._session.device

    def cut(self) -> None:
        self._do(self._session.cut())

    def _do(self, actions: list[Action]) -> None:
        out = b"".join(action.data for action in actions if isinstance(action, Send))
        if out:
            self.write(out)
        self._count()
        for action in actions:
            match action:
                case Send():
                    continue
                case Delivered():
                    self._settle(action)
                case Close():
                    self._end(action)
                case _:
                    self._queue.append(action)
        if self._queue and self._worker is None:
            self._worker = self._adapter.start(self._work())
        self._steer()
        self._arm()

    def _count(self) -> None:
        """A device counts from its CONNACK to its end, however long the socket takes to close."""
        if self._session.is_open is self._is_in:
            return
        self._is_in = not self._is_in
        if self._is_in:
            self._seat.known()
            self._adapter.roll.enter(self, self._session.device)
        else:
            self._adapter.roll.leave(self, self._session.device)

    def _settle(self, action: Delivered) -> None:
        outcome = self._outcomes.pop(action.ticket, None)
        if outcome is not None and not outcome.done():
            outcome.set_result(action.delivery)

    def _end(self, action: Close) -> None:
        self._closing = action.reason
        if action.reason is not CloseReason.DISCONNECTED:
            device = self._session.device
            _log.info(
                "closed",
                source=self._source,
                tenant=device and device.tenant_id,
                device=device and device.device_id,
                reason=action.reason.value,
                detail=action.detail,
            )
        self.leave()

    def _steer(self) -> None:
        """Read only what can be handled: neither the session nor the way back may be full."""
        is_paused = self._is_choked or not self._session.is_reading
        if is_paused is not self._is_paused:
            self._is_paused = is_paused
            self.read(not is_paused)

    def _arm(self) -> None:
        """Wake up at the session's deadline; one that moved away is noticed when the old one comes."""
        deadline = self._session.deadline
        if deadline is None or self.is_leaving:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._do(self._session.tick(self._loop.time()))

    # --- what needs answers --------------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._ask(self._queue.popleft())
        finally:
            self._worker = None

    async def _ask(self, action: Action) -> None:
        adapter, session = self._adapter, self._session
        match action:
            case Forward():
                failure = await adapter.ask(adapter.ports.forward(action.message), _UNDELIVERED)
                if action.ticket is not None:
                    self._do(session.forwarded(action.ticket, failure, self._loop.time()))
            case Authenticate():
                answer = await adapter.authenticate(action.evidence)
                if isinstance(answer, AdapterRefusal):
                    self._do(session.refused(answer))
                else:
                    self._do(session.authenticated(answer, self._loop.time()))
            case Register():
                await self._register(action.wanted)
            case Unregister():
                deliver = self._delivers.pop(action.wanted, None)
                if deliver is not None:
                    await adapter.ask(adapter.ports.unregister_commands(action.wanted, deliver), None)

    async def _register(self, wanted: CommandSubscription) -> None:
        adapter = self._adapter
        deliver = self._delivers.get(wanted) or partial(self._deliver, wanted)
        is_granted = await adapter.ask(adapter.ports.register_commands(wanted, deliver), False)
        if is_granted:
            self._delivers[wanted] = deliver
        self._do(self._session.registered(is_granted, self._loop.time()))

    async def _deliver(self, wanted: CommandSubscription, command: Command) -> Delivery:
        if self._is_choked or self.is_leaving:
            return Delivery.RELEASED
        self._ticket += 1
        outcome: asyncio.Future[Delivery] = self._loop.create_future()
        self._outcomes[self._ticket] = outcome
        self._do(self._session.deliver(command, wanted, self._ticket, self._loop.time()))
        return await outcome
