"""From Hono's adapters into the broker: telemetry passes by, events stay, commands come back."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import NotFoundError

from muster.core.errors import Unavailable
from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.ports import Command, CommandSubscription, Deliver, Delivery
from muster.plane.link import Link

_log = structlog.get_logger("muster.plane.adapter")

EVENTS = "HONO_EVENTS"
_WAIT = 3.0
_PAUSE = 0.25
_ROUTES = 100_000


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


class Downstream:
    """To `hono.telemetry.<tenant>`, `hono.event.<tenant>` (JetStream), `hono.command_response.<tenant>`.

    Commands are taken from `hono.command.<tenant>`; headers say which device, name and request.
    """

    def __init__(self, link: Link, *, seconds: float = 7 * 86_400, bytes_: int = 1024 * 1024 * 1024) -> None:
        """Prepare; events are kept for *seconds*, at most *bytes_* of them. Say so before the link starts."""
        self._link = link
        self._seconds = seconds
        self._bytes = bytes_
        self._stream = link.client.jetstream(timeout=_WAIT)
        self._commands: dict[tuple[str, str], tuple[CommandSubscription, Deliver]] = {}
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
        try:
            subject = f"hono.event.{token(tenant)}"
            await self._stream.publish(subject, payload, stream=EVENTS, headers=dict(headers))
        except (NatsError, TimeoutError) as error:
            raise Unavailable("the broker does not take events") from error

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
            taken = Taken(
                kind=kind, headers=message.headers or {}, payload=message.data, number=_number(message)
            )
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

    async def _command(self, message: Msg) -> None:
        said = message.headers or {}
        tenant, device = said.get("tenant_id", ""), said.get("device_id", "")
        for receiver in (device, said.get("via", "")):
            known = self._commands.get((tenant, receiver))
            if known is not None and (receiver == device or known[0].for_all):
                break
        else:
            return  # another process may have the device; nobody answers, and the application hears so
        command = Command(
            device_id=DeviceId(device),
            name=said.get("subject", "command"),
            payload=message.data,
            request_id=said.get("request_id", ""),
        )
        self._link.spawn(self._deliver(message, known[1], command))

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


def _number(message: Msg) -> int:
    """Give the number of an event; 0 for a message that is not of a stream."""
    return message.metadata.sequence.stream if message.reply.startswith("$JS.ACK.") else 0


_OUTCOMES = {Delivery.ACCEPTED: b"accepted", Delivery.RELEASED: b"released", Delivery.REJECTED: b"rejected"}


def _key(wanted: CommandSubscription) -> tuple[str, str]:
    return wanted.tenant_id, wanted.gateway_id if wanted.for_all and wanted.gateway_id else wanted.device_id
