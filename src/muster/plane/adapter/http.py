"""Hono's HTTP adapter (spec C.2): the same ports as over MQTT, one request at a time."""

import asyncio
import contextlib
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from litestar import Router, post, put
from litestar.di import Provide
from litestar.openapi.datastructures import ResponseSpec

from muster.core.errors import (
    Forbidden,
    Malformed,
    MusterError,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from muster.core.model import DeviceId, TenantId
from muster.core.southbound import Login
from muster.plane.adapter.messages import split_login, token_in
from muster.plane.adapter.ports import (
    EMPTY_NOTIFICATION,
    AdapterDevice,
    AdapterPorts,
    Command,
    CommandSubscription,
    Delivery,
    Evidence,
    Failure,
    Message,
    MessageKind,
    Password,
)
from muster.web.auth import scheme_and_rest
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.reply import field_value
from muster.web.request import Request, incoming

MOST_TTD: Final = 60
"""Seconds a request may wait for a command."""


class HttpPorts(AdapterPorts, Protocol):
    """What the adapter needs from the rest of Muster."""

    async def log_in(self, evidence: Evidence) -> Login:
        """Do as authenticate; any of the core's errors for a refusal, for HTTP has a status for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the routes are given."""

    ports: HttpPorts
    payload_bytes: int


_FAILED: dict[int, type[MusterError]] = {
    400: Malformed,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    413: TooLarge,
    503: Unavailable,
}


def routes(ports: HttpPorts, payload_bytes: int) -> Router:
    """Give the adapter's routes."""
    entry = Entry(ports=ports, payload_bytes=payload_bytes)

    def given() -> Entry:
        return entry

    return Router("/", route_handlers=HANDLERS, dependencies={"entry": Provide(given, sync_to_thread=False)})


# --- who it is ------------------------------------------------------------------------------------------


def evidence(request: Request, named: tuple[str, str] | None = None) -> Evidence:
    """Read what a device shows: certificate, token, and `auth-id@tenant` with a password.

    *named* are the tenant and device of the path, which a token may leave to it.
    """
    extensions: Any = request.scope.get("extensions") or {}
    shown = extensions.get("tls", {})
    return Evidence(
        chain_der=tuple(shown.get("client_chain_der", ())),
        sni=shown.get("sni"),
        password=_password(request),
        client_id="",
        source=request.source,
        token=_token(request),
        named=named,
    )


def _token(request: Request) -> str:
    scheme, rest = scheme_and_rest(request.field(b"authorization"))
    return token_in(rest) if scheme == "bearer" else ""


def _password(request: Request) -> Password | None:
    scheme, encoded = scheme_and_rest(request.field(b"authorization"))
    if scheme != "basic":
        return None
    try:
        name, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return None
    return split_login(name, secret.encode())


async def _sender(request: AnyRequest, entry: Entry, named: tuple[str, str] | None = None) -> AdapterDevice:
    try:
        login = await entry.ports.log_in(evidence(incoming(request), named))
    except Unauthenticated:
        raise Unauthenticated from None  # why is not said
    return AdapterDevice(tenant_id=login.tenant.id, device_id=login.device.id)


# --- what it says ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Of which device a request tells, and who sends it."""

    tenant: TenantId
    device: DeviceId
    via: DeviceId | None
    is_authenticated: bool = True


def _own(sender: AdapterDevice) -> Target:
    return Target(tenant=sender.tenant_id, device=sender.device_id, via=None)


async def _named(request: AnyRequest, entry: Entry, tenant: str, device: str) -> Target:
    """Give the target of a request that names it: a gateway's, or where none must log in, anybody's."""
    if not device:
        raise NotFound
    shown = evidence(incoming(request))
    if shown.password is None and not shown.chain_der and not incoming(request).field(b"authorization"):
        if not tenant:
            raise Unauthenticated
        return Target(tenant=TenantId(tenant), device=DeviceId(device), via=None, is_authenticated=False)
    try:
        sender = await _sender(request, entry, (tenant, device) if tenant else None)
    except NotFound as error:
        raise Forbidden(error.message) from None  # of a gateway that is disabled (spec C.2)
    if tenant and tenant != sender.tenant_id:
        raise Forbidden("a gateway acts for devices of its own tenant only")
    via = None if device == sender.device_id else sender.device_id
    return Target(tenant=sender.tenant_id, device=DeviceId(device), via=via)


def _message(request: Request, entry: Entry, kind: MessageKind, target: Target, payload: bytes) -> Message:
    content_type = request.field(b"content-type") or None
    if len(payload) > entry.payload_bytes:
        raise TooLarge(f"a message may have {entry.payload_bytes:d} bytes")
    if kind is not MessageKind.COMMAND_RESPONSE:
        if not payload and content_type is None:
            raise Malformed("an empty body needs a content type")
        if payload and content_type == EMPTY_NOTIFICATION:
            raise Malformed("an empty notification has no body")
    level = request.field(b"qos-level") or "0"
    if level not in ("0", "1"):
        raise Malformed("qos-level is 0 or 1")
    return Message(
        kind=kind,
        tenant_id=target.tenant,
        device_id=target.device,
        via=target.via,
        qos=1 if kind is not MessageKind.TELEMETRY else int(level),
        payload=payload,
        content_type=content_type,
        ttl=_seconds(request, "hono-ttl"),
        ttd=_ttd(request) if kind is not MessageKind.COMMAND_RESPONSE else None,
        is_authenticated=target.is_authenticated,
        topic=request.scope["path"].lstrip("/"),
    )


def _either(request: Request, name: str) -> str:
    """Give a value that may stand in a header or in the query."""
    return request.field(name.encode()) or (request.query.get(name) or [""])[0]


def _seconds(request: Request, name: str) -> int | None:
    text = _either(request, name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Malformed(f"{name} is a number of seconds")
    return int(text)


def _ttd(request: Request) -> int | None:
    ttd = _seconds(request, "hono-ttd")
    return None if ttd is None else min(ttd, MOST_TTD)


async def _forward(entry: Entry, message: Message) -> None:
    failure = await entry.ports.forward(message)
    if failure is not None:
        raise _error(failure)


class _UsedUp(TooMany):
    """What the tenant's devices may use in this period is used up."""


def _error(failure: Failure) -> MusterError:
    if failure.status == 429:
        return _UsedUp(retry_after=60)
    kind = _FAILED.get(failure.status, Forbidden)
    return kind(None if kind is Unauthenticated else failure.text)


async def _say(
    request: AnyRequest, desk: Desk, entry: Entry, kind: MessageKind, target: Target, payload: bytes
) -> Rendered[Any]:
    """Forward a message, and wait for a command as long as the device said it would."""
    message = _message(incoming(request), entry, kind, target, payload)
    if not message.ttd:
        await _forward(entry, message)
        return desk.answer(Reply(status=202))
    waiting = _Waiting(entry.ports, target)
    await waiting.open()
    try:
        await _forward(entry, message)
        command = await waiting.command(message.ttd)
    finally:
        await waiting.close()
    if command is None:
        return desk.answer(Reply(status=202))
    answer = desk.answer(_commanded(command, target))
    if command.content_type:
        # The application's own word: no media type that we would know.
        others = [field for field in answer.fields if field[0] != b"content-type"]
        answer.fields[:] = [*others, (b"content-type", field_value(command.content_type))]
    return answer


def _commanded(command: Command, target: Target) -> Reply:
    headers = {"hono-command": command.name}
    if command.request_id:
        headers["hono-cmd-req-id"] = command.request_id
    if target.via is not None:
        headers["hono-cmd-target-device"] = command.device_id
    return Reply(body=command.payload, headers=headers, media_type="application/octet-stream")


class _Waiting:
    """One request that waits for one command."""

    def __init__(self, ports: AdapterPorts, target: Target) -> None:
        self._ports = ports
        self._wanted = CommandSubscription(
            tenant_id=target.tenant, device_id=target.device, gateway_id=target.via
        )
        self._found: asyncio.Future[Command] = asyncio.get_running_loop().create_future()
        self._deliver = self._take

    async def open(self) -> None:
        await self._ports.register_commands(self._wanted, self._deliver)

    async def close(self) -> None:
        await self._ports.unregister_commands(self._wanted, self._deliver)

    async def command(self, seconds: int) -> Command | None:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._found, seconds)
        return None

    async def _take(self, command: Command) -> Delivery:
        if self._found.done():
            return Delivery.RELEASED
        self._found.set_result(command)
        return Delivery.ACCEPTED


_OPT: Mapping[str, Any] = {
    "content_type": "any",
    "public": True,
    "errors": (Forbidden, NotFound),
}


def _split(target: str) -> tuple[str, str]:
    """Read `{tenant}/{device}`, or `/{device}` without a tenant. NotFound for anything else."""
    tenant, slash, device = target.partition("/")
    if not slash or "/" in device:
        raise NotFound
    return tenant, device


@post("/telemetry", operation_id="postTelemetry", status_code=202, opt=dict(_OPT))
async def post_telemetry(request: AnyRequest, data: bytes, desk: Desk, entry: Entry) -> Rendered[None]:
    """Take telemetry of the device that logs in."""
    target = _own(await _sender(request, entry))
    return await _say(request, desk, entry, MessageKind.TELEMETRY, target, data)


@post("/event", operation_id="postEvent", status_code=202, opt=dict(_OPT))
async def post_event(request: AnyRequest, data: bytes, desk: Desk, entry: Entry) -> Rendered[None]:
    """Take an event of the device that logs in."""
    target = _own(await _sender(request, entry))
    return await _say(request, desk, entry, MessageKind.EVENT, target, data)


@put("/telemetry/{target:path}", operation_id="putTelemetry", status_code=202, opt=dict(_OPT))
async def put_telemetry(
    request: AnyRequest, target: str, data: bytes, desk: Desk, entry: Entry
) -> Rendered[None]:
    """Take telemetry that names tenant (or nothing) and device, mostly of a gateway."""
    named = await _named(request, entry, *_split(target))
    return await _say(request, desk, entry, MessageKind.TELEMETRY, named, data)


@put("/event/{target:path}", operation_id="putEvent", status_code=202, opt=dict(_OPT))
async def put_event(
    request: AnyRequest, target: str, data: bytes, desk: Desk, entry: Entry
) -> Rendered[None]:
    """Take an event that names tenant (or nothing) and device, mostly of a gateway."""
    named = await _named(request, entry, *_split(target))
    return await _say(request, desk, entry, MessageKind.EVENT, named, data)


@post("/command/res/{command:str}", operation_id="postCommandResponse", status_code=202, opt=dict(_OPT))
async def post_response(
    request: AnyRequest, command: str, data: bytes, desk: Desk, entry: Entry
) -> Rendered[None]:
    """Take the answer to a command of the device that logs in."""
    target = _own(await _sender(request, entry))
    return await _respond(request, desk, entry, target, command, data)


_ONE_SEGMENT = {405: ResponseSpec(None, description="One segment alone is the path of a POST.")}


@put(
    "/command/res/{target:path}",
    operation_id="putCommandResponse",
    status_code=202,
    opt=dict(_OPT),
    responses=_ONE_SEGMENT,
)
async def put_response(
    request: AnyRequest, target: str, data: bytes, desk: Desk, entry: Entry
) -> Rendered[None]:
    """Take the answer to a command, `{tenant}/{device}/{request}`, mostly of a gateway."""
    head, slash, command = target.rpartition("/")
    if not slash or not command:
        raise NotFound
    named = await _named(request, entry, *_split(head))
    return await _respond(request, desk, entry, named, command, data)


async def _respond(
    request: AnyRequest, desk: Desk, entry: Entry, target: Target, command: str, payload: bytes
) -> Rendered[Any]:
    mine = incoming(request)
    status = _either(mine, "hono-cmd-status")
    if not (status.isascii() and status.isdigit() and len(status) == 3 and 200 <= int(status) < 600):
        raise Malformed("hono-cmd-status is a status from 200 to 599")
    message = _message(mine, entry, MessageKind.COMMAND_RESPONSE, target, payload)
    await _forward(entry, _answering(message, command, int(status)))
    return desk.answer(Reply(status=202))


def _answering(message: Message, command: str, status: int) -> Message:
    return replace(message, request_id=command, status=status)


HANDLERS = [post_telemetry, post_event, put_telemetry, put_event, post_response, put_response]
