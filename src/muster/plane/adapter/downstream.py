"""From Hono's adapters into the broker: telemetry passes by, events stay, commands come back."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError

from muster.core.errors import Conflict, Malformed, MusterError, TooLarge, Unavailable
from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.ports import Command, CommandSubscription, Deliver, Delivery
from muster.plane.link import Link

_log = structlog.get_logger("muster.plane.adapter")

EVENTS = "HONO_EVENTS"
_HEADER_BYTES = 60_000
"""What is said about a message; JetStream takes no more than 64 KiB."""
_FRAME_BYTES = 128
"""What else goes with the headers."""
_WAIT = 3.0
_PAUSE = 0.25
_ROUTES = 100_000
_TAKEN, _HANDED = 2.0, 12.0
"""Seconds until somebody has the command's device, and until the device has it: longer than adapters wait."""
_INBOX = "_INBOX."
Gateways = Callable[[TenantId, DeviceId], Awaitable[Sequence[str]]]
"""Names the gateways that may speak for a device, the likeliest first."""


def token(tenant: str) -> str:
    """Write a tenant's id as one token of a subject: a dot is what separates tokens."""
    return tenant.replace("%", "%25").replace(".", "%2E")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message as an application reads it; *number* counts events, 0 for what is not kept."""

    kind: str
    headers: Mapping[str, str]
    payload: bytes
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A device's answer to a command."""

    status: int
    payload: bytes
    content_type: str = ""


class Downstream:
    """To `hono.telemetry.<tenant>`, `hono.event.<tenant>` (JetStream), `hono.command_response.<tenant>`.

    Commands are taken from `hono.command.<tenant>`; headers say which device, name and request.
    """

    def __init__(
        self,
        link: Link,
        *,
        message_bytes: int,
        seconds: float = 7 * 86_400,
        bytes_: int = 1024 * 1024 * 1024,
    ) -> None:
        """Prepare; events are kept for *seconds*, at most *bytes_* of them. Say so before the link starts.

        A message may have *message_bytes*, with what is said about it; TooLarge for more.
        """
        self._link = link
        self._message_bytes = message_bytes
        self._seconds = seconds
        self._bytes = bytes_
        self._stream = link.client.jetstream(timeout=_WAIT)
        self._commands: dict[tuple[str, str], tuple[CommandSubscription, Deliver]] = {}
        self._gateways: Gateways | None = None
        link.on_up(self._keep_events)
        link.on_message("hono.command.*", self._command)

    async def telemetry(
        self, tenant: TenantId, payload: bytes, headers: Mapping[str, str], *, is_sure: bool
    ) -> None:
        """Publish; with *is_sure* the broker has it when this returns. Unavailable while it is away."""
        await self._publish("telemetry", tenant, payload, headers, is_sure=is_sure)

    async def response(self, tenant: TenantId, payload: bytes, headers: Mapping[str, str]) -> None:
        """Publish a device's answer to a command. Unavailable while the broker is away."""
        await self._publish("command_response", tenant, payload, headers, is_sure=True)

    async def _publish(
        self, kind: str, tenant: TenantId, payload: bytes, headers: Mapping[str, str], *, is_sure: bool
    ) -> None:
        self._check_size(payload, headers)
        await self._link.publish(f"hono.{kind}.{token(tenant)}", payload, headers=dict(headers))
        if is_sure:
            try:
                await self._link.client.flush(timeout=_WAIT)  # type: ignore[arg-type]  # parts of seconds work
            except (NatsError, TimeoutError) as error:
                raise Unavailable("the broker does not answer") from error

    async def event(self, tenant: TenantId, payload: bytes, headers: Mapping[str, str]) -> None:
        """Store an event: it is the broker's when this returns. Unavailable when it cannot be."""
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        self._check_size(payload, headers)
        try:
            subject = f"hono.event.{token(tenant)}"
            await self._stream.publish(subject, payload, stream=EVENTS, headers=dict(headers))
        except (NatsError, TimeoutError) as error:
            raise Unavailable("the broker does not take events") from error

    def _check_size(self, payload: bytes, headers: Mapping[str, str]) -> None:
        """Refuse what the broker would hang up for: headers count as payload, and are bounded themselves."""
        said = sum(len(f"{name}: {value}\r\n".encode()) for name, value in headers.items())
        if said > _HEADER_BYTES or said + len(payload) + _FRAME_BYTES > self._message_bytes:
            raise TooLarge("the message is too large with what is said about it")

    async def take(self, tenant: TenantId, *, after: int, limit: int, wait: float) -> list[Taken]:
        """Give up to *limit* events after number *after*, and telemetry that passes meanwhile.

        Waits *wait* seconds for the first. Unavailable while the broker is away.
        """
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        passed: asyncio.Queue[Taken] = asyncio.Queue(limit)
        client, name = self._link.client, token(tenant)

        async def pass_on(message: Msg) -> None:
            kind = message.subject.split(".")[1]
            said = {k: v for k, v in (message.headers or {}).items() if not k.startswith("Nats-")}
            taken = Taken(kind=kind, headers=said, payload=message.data, number=_number(message))
            with contextlib.suppress(asyncio.QueueFull):
                passed.put_nowait(taken)

        try:
            telemetry = await client.subscribe(f"hono.telemetry.{name}", cb=pass_on)
            events = await self._stream.subscribe(
                f"hono.event.{name}",
                stream=EVENTS,
                cb=pass_on,
                ordered_consumer=True,
                config=api.ConsumerConfig(
                    deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1
                ),
            )
        except (NatsError, TimeoutError) as error:
            raise Unavailable("the broker does not give events") from error
        try:
            return await _gathered(passed, wait)
        finally:
            for each in (telemetry, events):
                with contextlib.suppress(NatsError):
                    await each.unsubscribe()

    async def _keep_events(self) -> None:
        stream = self._stream
        wanted = api.StreamConfig(
            name=EVENTS,
            subjects=["hono.event.*"],
            max_age=self._seconds,
            max_bytes=self._bytes,
            discard=api.DiscardPolicy.OLD,
        )
        while True:
            try:
                try:
                    await stream.update_stream(wanted)
                except NotFoundError:
                    await stream.add_stream(wanted)
            except (NatsError, TimeoutError) as error:
                _log.warning("no stream for events yet", says=str(error))
                await asyncio.sleep(1)
            else:
                return

    # --- commands -----------------------------------------------------------------------------------------

    def register(self, wanted: CommandSubscription, deliver: Deliver) -> bool:
        """Route commands to *deliver*; the last one wins. False when there are too many already."""
        if len(self._commands) >= _ROUTES:
            return False
        self._commands[_key(wanted)] = (wanted, deliver)
        return True

    def unregister(self, wanted: CommandSubscription, deliver: Deliver) -> None:
        """Undo register, unless someone else has taken over."""
        known = self._commands.get(_key(wanted))
        if known is not None and known[1] is deliver:
            del self._commands[_key(wanted)]

    def route_by(self, gateways: Gateways) -> None:
        """Have commands for devices that do not listen themselves go to a gateway that does."""
        self._gateways = gateways

    async def command(
        self, tenant: TenantId, device: str, name: str, payload: bytes, *, content_type: str, wait: float
    ) -> Answer | None:
        """Send a command as an application does; with *wait* give the device's answer.

        Unavailable while the broker is away; Conflict when nobody takes the command, or no answer comes in
        time; Malformed when no topic can hold it.
        """
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        request_id = secrets.token_hex(8) if wait else ""
        headers = {"tenant_id": tenant, "device_id": device, "subject": name}
        headers |= {"request_id": request_id} if request_id else {}
        headers |= {"content-type": content_type} if content_type else {}
        async with contextlib.AsyncExitStack() as listening:
            inbox, taken = (self._link.client.new_inbox() for _ in range(2))
            outcome = await listening.enter_async_context(self._first(inbox))
            taking = await listening.enter_async_context(self._first(taken))
            answer = await listening.enter_async_context(
                self._first(f"hono.command_response.{token(tenant)}", request_id=request_id, device_id=device)
            )
            headers["taken"] = taken
            self._check_size(payload, headers)
            subject = f"hono.command.{token(tenant)}"
            await self._link.publish(subject, payload, reply=inbox, headers=headers)
            await _within(taking, _TAKEN, "nobody listens for the device's commands")
            _check((await _within(outcome, _HANDED, "the device did not take the command")).data)
            return _answer(await _within(answer, wait, "the device does not answer")) if wait else None

    @contextlib.asynccontextmanager
    async def _first(self, subject: str, **wanted: str) -> AsyncIterator["asyncio.Future[Msg]"]:
        """Give the first message of a subject that has these headers, when it comes."""
        found: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()

        async def take(message: Msg) -> None:
            said = message.headers or {}
            if not found.done() and all(said.get(name) == value for name, value in wanted.items()):
                found.set_result(message)

        try:
            subscription = await self._link.client.subscribe(subject, cb=take)
        except NatsError as error:
            raise Unavailable("the broker is away") from error
        try:
            yield found
        finally:
            with contextlib.suppress(NatsError):
                await subscription.unsubscribe()

    async def _command(self, message: Msg) -> None:
        said = message.headers or {}
        tenant, device = said.get("tenant_id", ""), said.get("device_id", "")
        for receiver in (device, said.get("via", "")):
            known = self._commands.get((tenant, receiver))
            if known is not None and (receiver == device or known[0].for_all):
                self._hand(message, known[1], device)
                return
        # Where no gateway takes it another process may; if nobody answers, the application hears so.
        if self._gateways is not None and any(each.for_all for each, _ in self._of(tenant)):
            self._link.spawn(self._by_gateway(message, TenantId(tenant), device))

    def _of(self, tenant: str) -> list[tuple[CommandSubscription, Deliver]]:
        return [known for (owner, _), known in self._commands.items() if owner == tenant]

    async def _by_gateway(self, message: Msg, tenant: TenantId, device: str) -> None:
        assert self._gateways is not None
        with contextlib.suppress(MusterError):
            for gateway in await self._gateways(tenant, DeviceId(device)):
                known = self._commands.get((tenant, gateway))
                if known is not None and known[0].for_all:
                    self._hand(message, known[1], device)
                    return

    def _hand(self, message: Msg, deliver: Deliver, device: str) -> None:
        said = message.headers or {}
        taken = said.get("taken", "")
        if taken.startswith(_INBOX):
            self._link.spawn(self._link.publish(taken, b""))
        command = Command(
            device_id=DeviceId(device),
            name=said.get("subject", "command"),
            payload=message.data,
            request_id=said.get("request_id", ""),
            content_type=said.get("content-type", ""),
        )
        self._link.spawn(self._deliver(message, deliver, command))

    async def _deliver(self, message: Msg, deliver: Deliver, command: Command) -> None:
        outcome = await deliver(command)
        if message.reply:
            await self._link.publish(message.reply, _OUTCOMES[outcome])


async def _gathered(passed: asyncio.Queue[Taken], wait: float) -> list[Taken]:
    """Give what there is: wait for the first, then as long as one follows the other closely."""
    taken: list[Taken] = []
    with contextlib.suppress(TimeoutError):
        taken.append(await asyncio.wait_for(passed.get(), max(wait, _PAUSE)))
        while len(taken) < passed.maxsize:
            taken.append(await asyncio.wait_for(passed.get(), _PAUSE))
    return taken


def _check(said: bytes) -> None:
    if said == _OUTCOMES[Delivery.REJECTED]:
        raise Malformed("the command's name fits into no topic")
    if said != _OUTCOMES[Delivery.ACCEPTED]:
        raise Conflict("the device did not take the command")


async def _within(awaited: "asyncio.Future[Msg]", seconds: float, otherwise: str) -> Msg:
    try:
        return await asyncio.wait_for(awaited, seconds)
    except TimeoutError:
        raise Conflict(otherwise) from None


def _answer(message: Msg) -> Answer:
    said = message.headers or {}
    status = said.get("status", "")
    return Answer(
        status=int(status) if status.isdigit() else 0,
        payload=message.data,
        content_type=said.get("content-type", ""),
    )


def _number(message: Msg) -> int:
    """Give the number of an event; 0 for a message that is not of a stream."""
    return message.metadata.sequence.stream if message.reply.startswith("$JS.ACK.") else 0


_OUTCOMES = {Delivery.ACCEPTED: b"accepted", Delivery.RELEASED: b"released", Delivery.REJECTED: b"rejected"}


def _key(wanted: CommandSubscription) -> tuple[str, str]:
    return wanted.tenant_id, wanted.gateway_id if wanted.for_all and wanted.gateway_id else wanted.device_id
