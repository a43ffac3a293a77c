"""The WebSocket door `/ws/…` (spec E.1, E.2): an ASGI app; one connection is one place of a channel."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from litestar.types import Receive, Scope, Send

from muster.core import messaging
from muster.core.access import Evidence, authenticate
from muster.core.errors import (
    Forbidden,
    Malformed,
    MusterError,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from muster.core.messaging import Seat
from muster.core.model import Flow, Secret
from muster.core.ports import Tx
from muster.plane.guesses import Guesses
from muster.plane.sockets import Socket, Sockets
from muster.plane.subjects import Address, subtopic
from muster.web import auth
from muster.web.desk import Desk, Request

log = structlog.get_logger("muster.websocket")
_STATUS = {
    Malformed: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    TooMany: 429,
    Unavailable: 503,
}
_POLICY_VIOLATION, _TOO_BIG, _GOING_AWAY, _TRY_LATER = 1008, 1009, 1001, 1013


class WebSockets:
    """Accepts connections, lets messages pass, hangs up when rights change."""

    def __init__(self, sockets: Sockets, guesses: Guesses, desk: Desk) -> None:
        self._sockets = sockets
        self._guesses = guesses
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection from its handshake to its end."""
        await receive()
        try:
            seat, rest = await self._seat(scope)
            if not self._sockets.is_up:
                raise Unavailable("the broker is away")
        except MusterError as error:
            status = next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 400)
            log.info("websocket refused", status=status, reason=error.message, source=_source(scope))
            await _refuse(scope, send, status)
            return

        async def is_still_so() -> bool:
            try:
                return await self._seat(scope) == (seat, rest)
            except MusterError:
                return False

        await _Connection(self._sockets, seat, rest, receive, send).run(is_still_so)

    async def _seat(self, scope: Any) -> tuple[Seat, str]:
        channel, tenant, path = _place(scope["path"])
        rest = subtopic(path, is_filter=True)
        as_http: Any = {**scope, "type": "http", "method": "GET"}
        request = Request(as_http, _nothing, _no_answer)
        if auth.is_bearer(request):
            evidence = auth.evidence(request, self._desk.tokens, self._desk.clock)
            return await self._desk.store.read(_of_user, evidence, channel, tenant), rest
        secret = auth.device_key(request) or request.query.get("authorization", [""])[0]
        if not secret:
            raise Unauthenticated
        with self._guesses.counted(secret, channel, _source(scope), self._desk.clock()):
            return await self._desk.store.read(_of_device, Secret(secret), channel, tenant), rest


def _of_user(tx: Tx, evidence: Evidence, channel: str, tenant: str | None) -> Seat:
    caller = authenticate(tx, evidence)
    return messaging.seat_of_user(tx, caller, channel_id=channel, tenant_name=tenant)


def _of_device(tx: Tx, secret: Secret, channel: str, tenant: str | None) -> Seat:
    return messaging.seat_of_device(tx, channel_id=channel, tenant_name=tenant, secret=secret)


def _place(path: str) -> tuple[str, str | None, str]:
    """Take `/ws/channels/<id>/messages/…` or `/ws/m/<domain>/c/<channel>/…` apart; NotFound for others."""
    match path.removeprefix("/ws").strip("/").split("/"):
        case ["channels", channel, "messages", *rest] if channel:
            return channel, None, "/".join(rest)
        case ["m", domain, "c", channel, *rest] if domain and channel:
            return channel, domain, "/".join(rest)
    raise NotFound


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _no_answer(_: Any) -> None:
    return None


def _source(scope: Any) -> str:
    return str((scope.get("client") or ("",))[0])


async def _refuse(scope: Any, send: Send, status: int) -> None:
    if "websocket.http.response" in (scope.get("extensions") or {}):
        start: Any = {"type": "websocket.http.response.start", "status": status, "headers": []}
        body: Any = {"type": "websocket.http.response.body", "body": b"", "more_body": False}
        await send(start)
        await send(body)
        return
    refusal: Any = {"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""}
    await send(refusal)


class _Connection:
    def __init__(self, sockets: Sockets, seat: Seat, rest: str, receive: Receive, send: Send) -> None:
        where = seat.channel
        self._sockets = sockets
        self._receive = receive
        self._send = send
        self._is_closed = asyncio.Event()
        self._may_subscribe = bool(seat.flow & Flow.SUBSCRIBE)
        self._socket = Socket(
            session=seat.session,
            address=Address(where.channel_id, where.tenant_id, where.route, where.tenant_alias),
            rest=rest,
            publisher=seat.publisher,
            # A place with wildcards can be listened at only.
            may_publish=bool(seat.flow & Flow.PUBLISH) and not {"*", ">"} & set(rest.split(".")),
            send=self._pass_on,
            hang_up=self._hang_up,
        )

    async def run(self, is_still_so: Callable[[], Awaitable[bool]]) -> None:
        """Serve it. What changed before it could be told here *is_still_so* finds out."""
        accept: Any = {"type": "websocket.accept", "subprotocol": None, "headers": []}
        try:
            await self._sockets.open(self._socket, may_subscribe=self._may_subscribe)
        except Unavailable:
            await self._close(_TRY_LATER)
            return
        try:
            await self._send(accept)
            if not await is_still_so():
                await self._hang_up()
            await self._listen()
        finally:
            await self._sockets.close(self._socket)

    async def _listen(self) -> None:
        while not self._is_closed.is_set():
            message: Any = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            payload = message.get("bytes")
            if payload is None:
                payload = (message.get("text") or "").encode()
            try:
                await self._sockets.receive(self._socket, payload)
            except Forbidden:
                await self._close(_POLICY_VIOLATION)
            except Unavailable:
                await self._close(_TRY_LATER)
            except MusterError:
                await self._close(_TOO_BIG)

    async def _pass_on(self, payload: bytes) -> None:
        message: Any = {"type": "websocket.send", "bytes": payload}
        await self._send(message)

    async def _hang_up(self) -> None:
        await self._close(_GOING_AWAY)

    async def _close(self, code: int) -> None:
        if not self._is_closed.is_set():
            self._is_closed.set()
            message: Any = {"type": "websocket.close", "code": code, "reason": ""}
            await self._send(message)
