"""Messages over HTTP (spec E.1 to E.4): publish to a channel, read its last messages, see who was there."""

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Router, get, post
from litestar.di import Provide

from muster.core import messaging, pki, presence
from muster.core.access import Caller
from muster.core.certificates import Shown
from muster.core.errors import Malformed, NotFound, TooMany, Unauthenticated
from muster.core.keyholders import Pki
from muster.core.messaging import Passage, Whereabouts
from muster.core.model import Flow, Instant, Presence, Secret, TenantId
from muster.core.ports import Page, Tx
from muster.plane.guesses import Guesses
from muster.plane.passages import Passages
from muster.plane.publish import Message, Publisher
from muster.plane.subjects import Address, subtopic
from muster.web import auth
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.request import incoming
from muster.web.wire import number, rfc3339, window

PORTS = frozenset({8008, 8185, 8186})
"""Where upstream's HTTP and WebSocket adapters listen (spec 0)."""
PROTOCOL = "http"
MOST_READ = 100


@dataclass(frozen=True, slots=True)
class Door:
    """Given by assembly; handlers get it as the dependency named `door`."""

    publisher: Publisher
    passages: Passages
    guesses: Guesses
    pki: Pki | None = None
    """Verifies the certificates that devices show instead of a secret."""


# --- publishing ----------------------------------------------------------------------------------------


async def passage(
    request: AnyRequest, desk: Desk, door: Door, channel: str, tenant: str | None, flow: Flow
) -> tuple[Passage, Address]:
    """Let a device (by secret or certificate) or a user (by a token after `Bearer`) through to a channel.

    Unauthenticated, Forbidden or NotFound as core/messaging says; Malformed without any secret, TooMany
    after too many wrong ones.
    """
    if auth.is_bearer(request):
        evidence = auth.evidence(request, desk.tokens, desk.clock)
        return await desk.store.read(_of_user, evidence, channel, tenant, flow)
    chain = incoming(request).client_chain
    if chain and door.pki is not None and not auth.has_token(request):
        shown = await door.pki.verify(chain)
        return await desk.store.read(_of_certificate, shown, channel, tenant, flow)
    secret = auth.device_key(request)
    if secret is None:
        raise Unauthenticated
    if not secret:
        raise Malformed("missing or invalid bearer entity key")
    name = door.passages.name(secret, channel, tenant)
    known = door.passages.find(name) if flow is Flow.PUBLISH else None
    if known is not None:
        return known
    watch = door.passages.watch()
    source = request.client.host if request.client else ""
    with door.guesses.counted(secret, channel, source, desk.clock()):
        found = await desk.store.read(_of_device, Secret(secret), channel, tenant, flow)
    if flow is Flow.PUBLISH:
        door.passages.keep(watch, name, *found)
    return found


def _of_device(
    tx: Tx, secret: Secret, channel: str, tenant: str | None, flow: Flow
) -> tuple[Passage, Address]:
    passed = messaging.may_pass(
        tx, channel_id=channel, tenant_name=tenant, secret=secret, device_id=None, flow=flow
    )
    return passed, _address(passed.where)


def _of_certificate(
    tx: Tx, shown: Shown, channel: str, tenant: str | None, flow: Flow
) -> tuple[Passage, Address]:
    passed = pki.may_pass(tx, shown, channel_id=channel, tenant_name=tenant, flow=flow)
    return passed, _address(passed.where)


def _of_user(
    tx: Tx, evidence: auth.Evidence, channel: str, tenant: str | None, flow: Flow
) -> tuple[Passage, Address]:
    caller = auth.authenticate(tx, evidence)
    passed = messaging.may_user_pass(tx, caller, channel_id=channel, tenant_name=tenant, flow=flow)
    return passed, _address(passed.where)


def _address(found: Whereabouts) -> Address:
    return Address(found.channel_id, found.tenant_id, found.route, found.tenant_alias)


async def _publish(
    request: AnyRequest, desk: Desk, door: Door, channel: str, tenant: str | None, rest: str, payload: bytes
) -> Rendered[None]:
    levels = subtopic(rest)
    passed, address = await passage(request, desk, door, channel, tenant, Flow.PUBLISH)
    await door.publisher.publish(address, levels, payload, publisher=passed.publisher, protocol=PROTOCOL)
    return desk.answer(Reply(status=202))


_ANY = {"content_type": "any", "public": True}


@post(
    ["/channels/{channel:str}/messages", "/http/channels/{channel:str}/messages"],
    operation_id="publish",
    status_code=202,
    opt=_ANY,
)
async def publish(request: AnyRequest, channel: str, data: bytes, desk: Desk, door: Door) -> Rendered[None]:
    """Publish to a channel; any content type."""
    return await _publish(request, desk, door, channel, None, "", data)


@post(
    ["/channels/{channel:str}/messages/{rest:path}", "/http/channels/{channel:str}/messages/{rest:path}"],
    operation_id="publishBelow",
    status_code=202,
    opt=_ANY,
)
async def publish_below(
    request: AnyRequest, channel: str, rest: str, data: bytes, desk: Desk, door: Door
) -> Rendered[None]:
    """Publish to a sub-topic of a channel."""
    return await _publish(request, desk, door, channel, None, rest, data)


@post(
    ["/m/{domain:str}/c/{channel:str}", "/http/m/{domain:str}/c/{channel:str}"],
    operation_id="publishInDomain",
    status_code=202,
    opt=_ANY,
)
async def publish_in_domain(
    request: AnyRequest, domain: str, channel: str, data: bytes, desk: Desk, door: Door
) -> Rendered[None]:
    """Publish to a channel, by the ids or the routes of domain and channel."""
    return await _publish(request, desk, door, channel, domain, "", data)


@post(
    ["/m/{domain:str}/c/{channel:str}/{rest:path}", "/http/m/{domain:str}/c/{channel:str}/{rest:path}"],
    operation_id="publishInDomainBelow",
    status_code=202,
    opt=_ANY,
)
async def publish_in_domain_below(
    request: AnyRequest, domain: str, channel: str, rest: str, data: bytes, desk: Desk, door: Door
) -> Rendered[None]:
    """Publish to a sub-topic of a channel, by the ids or the routes of domain and channel."""
    return await _publish(request, desk, door, channel, domain, rest, data)


# --- reading back ----------------------------------------------------------------------------------------


class MessageOut(msgspec.Struct, omit_defaults=True, kw_only=True):
    """A message that was kept; a payload that is no text comes as Base64."""

    topic: str
    payload: str = ""
    payload_base64: str = ""
    publisher: str = ""
    protocol: str
    created: str


class MessagePage(msgspec.Struct, kw_only=True):
    """The last messages of a channel, the newest first."""

    limit: int
    total: int
    messages: list[MessageOut]


def _shown(message: Message) -> MessageOut:
    created = rfc3339(Instant(message.created // 1000))
    about: dict[str, Any] = {
        "topic": message.topic,
        "publisher": message.publisher,
        "protocol": message.protocol or "mqtt",
        "created": created,
    }
    try:
        return MessageOut(payload=message.payload.decode(), **about)
    except UnicodeDecodeError:
        return MessageOut(payload_base64=b64encode(message.payload).decode(), **about)


async def _last(
    request: AnyRequest, desk: Desk, door: Door, channel: str, tenant: str | None
) -> Rendered[MessagePage]:
    limit = number(request, "limit")
    limit = 10 if limit is None else limit
    if not 1 <= limit <= MOST_READ:
        raise Malformed("invalid limit size")
    _, address = await passage(request, desk, door, channel, tenant, Flow.SUBSCRIBE)
    found = [_shown(m) for m in await door.publisher.last(address, limit)]
    return desk.answer(Reply(body=MessagePage(limit=limit, total=len(found), messages=found)))


@get(
    "/{domain:str}/channels/{channel:str}/messages",
    operation_id="lastMessages",
    opt={"query": ("limit",), "errors": (TooMany,)},
)
async def last_messages(
    request: AnyRequest, domain: str, channel: str, desk: Desk, door: Door
) -> Rendered[MessagePage]:
    """Read the last messages of a channel; empty where messages are not kept."""
    return await _last(request, desk, door, channel, domain)


# --- presence --------------------------------------------------------------------------------------------


class PresenceOut(msgspec.Struct, omit_defaults=True, kw_only=True):
    """When a client was last seen coming and going, how and from where."""

    client_id: str
    is_connected: bool
    connected_at: str = ""
    disconnected_at: str = ""
    protocol: str = ""
    source: str = ""


class PresencePage(msgspec.Struct, kw_only=True):
    """A window of clients that were ever seen, the latest first."""

    limit: int
    offset: int
    total: int
    presence: list[PresenceOut]


def presence_out(seen: Presence) -> PresenceOut:
    """Show when a device was seen."""
    return PresenceOut(
        client_id=seen.device_id,
        is_connected=seen.connected_at > seen.disconnected_at,
        connected_at=rfc3339(seen.connected_at) if seen.connected_at else "",
        disconnected_at=rfc3339(seen.disconnected_at) if seen.disconnected_at else "",
        protocol=seen.protocol,
        source=seen.source,
    )


@get("/{domain:str}/clients/presence", operation_id="listPresence", opt={"query": ("offset", "limit")})
async def list_presence(request: AnyRequest, domain: str, desk: Desk) -> Rendered[PresencePage]:
    """List when the clients of the domain were last seen."""
    asked = window(request)

    def shown(page: Page[Presence]) -> Reply:
        found = [presence_out(p) for p in page.items]
        limit, offset = asked.limit or 0, asked.offset
        return Reply(body=PresencePage(limit=limit, offset=offset, total=page.total, presence=found))

    return await desk.read(request, presence.list_presence, TenantId(domain), window=asked, reply=shown)


def _one(tx: Tx, caller: Caller, tenant: TenantId, client: str) -> Presence:
    found = presence.presence_of(tx, caller, tenant, [client])
    if not found:
        raise NotFound
    return found[0]


@get("/{domain:str}/clients/{client:str}/presence", operation_id="getPresence")
async def get_presence(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[PresenceOut]:
    """Say when a client was last seen; 404 when it never was."""

    def shown(found: Presence) -> Reply:
        return Reply(body=presence_out(found))

    return await desk.read(request, _one, TenantId(domain), client, reply=shown)


_ADAPTER = [publish, publish_below, publish_in_domain, publish_in_domain_below]
_IN_DOMAINS = [last_messages, list_presence, get_presence]


def adapter_routes(door: Door) -> Router:
    """Give the routes by which devices publish; they belong to no dialect."""
    return _router(door, _ADAPTER)


def domain_routes(door: Door) -> Router:
    """Give the routes by which users look at messages and devices; they go with the Magistrala door."""
    return _router(door, _IN_DOMAINS)


def _router(door: Door, handlers: list[Any]) -> Router:
    def given() -> Door:
        return door

    return Router("/", route_handlers=handlers, dependencies={"door": Provide(given, sync_to_thread=False)})
