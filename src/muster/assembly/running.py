"""A running Muster: listeners, broker, outbox and upkeep, from start to SIGTERM."""

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from socket import socket

from prometheus_client import Gauge

from muster import __version__
from muster.assembly import meters
from muster.assembly.doors import app_of, upstream_ports
from muster.assembly.hono import HonoAdapter
from muster.assembly.hono import running as adapter_running
from muster.assembly.identity import Identity
from muster.assembly.keeper import Keeper
from muster.assembly.mail import mailing
from muster.assembly.messages import Delivery, Leader, Messages, Place, following, messages_of
from muster.assembly.parts import Parts, first_admin, open_parts, prepare
from muster.assembly.webhooks import Webhooks
from muster.core import pki, validity
from muster.core.errors import MusterError, Unavailable
from muster.core.model import Instant
from muster.plane.broker import NeverUp
from muster.plane.doors import Doors
from muster.plane.front import Front, FrontLimits
from muster.plane.listener import SocketLimits
from muster.settings import Configuration, Settings
from muster.store.outbox import Outbox
from muster.web import idempotency
from muster.web.outgoing import Outgoing
from muster.web.serve import Listener, bind, serve, stop_on_signals
from muster.web.workers import StartFailed, supervise

Say = Callable[[str], None]
UPKEEP_SECONDS = 60
_MMAP_THRESHOLD, _LARGE = -3, 1024 * 1024  # M_MMAP_THRESHOLD of malloc.h
EXPIRING_DAYS = 30
"""How long before its end a certificate is announced to expire, once."""


def run(configuration: Configuration, say: Say) -> None:
    """Serve until SIGTERM; what a person should read goes to *say*, the log to standard output.

    MusterError when it cannot start.
    """
    _give_memory_back()
    import uvloop  # noqa: PLC0415 only the server needs it

    try:
        uvloop.run(_run(configuration, say))
    except StartFailed as error:
        raise Unavailable(str(error)) from None


def _give_memory_back() -> None:
    """Have glibc return large blocks when they are freed: else each thread keeps what one password took."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)


async def _run(configuration: Configuration, say: Say) -> None:
    for notice in configuration.notices:
        say(f"notice: {notice}")
    settings = configuration.settings
    if settings.workers > 1 and settings.database_url is None:
        raise Unavailable("SQLite has one writer: more than one worker needs PostgreSQL, MUSTER_DATABASE_URL")
    stop = stop_on_signals()
    parts = await asyncio.to_thread(prepare, configuration)
    try:
        await _greet(parts, say)
        identity = await _identity(parts)
        ready = partial(say, f"Muster {__version__} answers at {settings.base_url}")
        with _sockets(settings) as sockets:
            async with _leading(parts, identity) as messages:
                if settings.workers > 1:
                    place = messages.place if messages is not None else None
                    crew = partial(supervise, work, sockets, settings.workers, args=(configuration, place))
                    await crew(stop=stop, on_ready=ready, log=parts.log)
                else:
                    await _serve(parts, messages, identity, sockets, stop, ready)
    finally:
        parts.close()


async def _serve(
    parts: Parts,
    messages: Messages | None,
    identity: Identity | None,
    sockets: Sequence[socket],
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    app, listeners = app_of(parts, messages), _listeners(parts, identity, sockets)
    # What stands now stays until the end: without this every full collection walks through all of it again,
    # and all requests wait for that, 0.1 s and more.
    gc.collect()
    gc.freeze()
    await serve(app, listeners, stop=stop, on_ready=ready, log=parts.log)


def _listeners(parts: Parts, identity: Identity | None, sockets: Sequence[socket]) -> list[Listener]:
    """Say how each socket speaks; with HTTPS it is the last one."""
    if parts.configuration.settings.https is None:
        return [Listener(socket=each) for each in sockets]
    plain = [Listener(socket=each) for each in sockets[:-1]]
    if identity is None:
        sockets[-1].close()
        return plain
    return [*plain, Listener(socket=sockets[-1], tls=identity.tls)]


# --- one of several workers ------------------------------------------------------------------------------


def work(
    sockets: Sequence[socket], ready: Callable[[], None], configuration: Configuration, place: Place | None
) -> None:
    """Answer HTTP in a process of its own; the parent has the broker and the outbox."""
    _give_memory_back()
    import uvloop  # noqa: PLC0415

    uvloop.run(_work(sockets, ready, configuration, place))


async def _work(
    sockets: Sequence[socket], ready: Callable[[], None], configuration: Configuration, place: Place | None
) -> None:
    stop = stop_on_signals()
    parts = await asyncio.to_thread(open_parts, configuration)
    messages = following(parts, place) if place is not None else None
    identity = await _identity(parts)
    keeping = asyncio.create_task(_keep(identity))
    try:
        if messages is not None:
            await _start(parts, messages)
        await _serve(parts, messages, identity, sockets, stop, ready)
    finally:
        keeping.cancel()
        if messages is not None:
            await messages.stop()
        parts.close()


# --- what a start needs ----------------------------------------------------------------------------------


async def _greet(parts: Parts, say: Say) -> None:
    password = await first_admin(parts)
    if password is not None:
        name = parts.configuration.settings.admin_username
        say(f"first start: log in as {name!r} with password {password}")
        say("this password is not shown again")


async def _identity(parts: Parts) -> Identity | None:
    """Get the CA ready and what our TLS ports show; None without TLS ports, or when there is no CA now."""
    settings = parts.configuration.settings
    try:
        await parts.pki.load()
    except Unavailable as error:
        # Reading works all the same; nothing can be issued.
        parts.log.warning("no CA", says=error.message)
    if not (settings.https or settings.mqtts or settings.adapter_mqtts):
        return None
    try:
        return Identity(settings, parts.pki)
    except Unavailable as error:
        if settings.tls_certificate is not None:
            raise
        parts.log.warning("no TLS", says=error.message)
        return None


async def _keep(identity: Identity | None) -> None:
    if identity is not None:
        await identity.keep()


@contextlib.contextmanager
def _sockets(settings: Settings) -> Iterator[list[socket]]:
    """Bind what is to be listened on; that of HTTPS comes last. At the end all are closed."""
    places = [] if settings.http is None else [(settings.http.host, settings.http.port)]
    if settings.upstream_ports and settings.http is not None:
        places += [(settings.http.host, port) for port in sorted(upstream_ports())]
    places += [] if settings.https is None else [(settings.https.host, settings.https.port)]
    with contextlib.ExitStack() as open_:
        yield [open_.enter_context(_bound(host, port)) for host, port in places]


def _bound(host: str, port: int) -> socket:
    try:
        return bind(host, port)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}") from None


@asynccontextmanager
async def _leading(parts: Parts, identity: Identity | None) -> AsyncIterator[Messages | None]:
    """Run what one process of the installation does for all: broker, outbox, upkeep."""
    messages = messages_of(parts)
    leader = Leader(parts, messages) if messages is not None else None
    hono = HonoAdapter(parts, messages) if messages is not None else None
    more = [hono.deliver] if hono is not None else []
    work: list[Coroutine[None, None, None]] = [
        Outbox(parts.store, parts.clock).run(Delivery(parts, leader, more)),
        mailing(parts),
        _webhooks(parts).run(),
        _upkeep(parts),
        _keep(identity),
    ]
    if leader is not None:
        work.append(leader.run())
    if parts.configuration.settings.workers == 1:
        work.append(meters.count(parts.store, parts.registry))
    tasks = [asyncio.create_task(each) for each in work]
    front = _front(parts, messages, identity)
    try:
        if messages is not None:
            await _start(parts, messages)
        await _open(parts, front)
        async with adapter_running(hono, identity.tls if identity is not None else None):
            yield messages
    finally:
        if front is not None:
            await front.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if leader is not None and messages is not None:
            await leader.stop()
            await messages.stop()


def _webhooks(parts: Parts) -> Webhooks:
    outgoing = Outgoing(allows_private=parts.configuration.settings.calls_private)
    return Webhooks(parts.store, outgoing, parts.clock, parts.registry, parts.log)


def _front(parts: Parts, messages: Messages | None, identity: Identity | None) -> Front | None:
    """Give the port for MQTT over TLS, before the broker's plain one."""
    if messages is None or identity is None or parts.configuration.settings.mqtts is None:
        return None
    if not messages.place.doors:
        parts.log.warning("no MQTT over TLS", says="nats_mqtt does not say where the cluster takes MQTT")
        return None
    keeper = Keeper(parts.pki, messages.plane.tickets)
    most = parts.configuration.settings.mqtt_max_connections
    limits = FrontLimits(sockets=SocketLimits(connections=most))
    return Front(doorkeeper=keeper, doors=Doors(messages.place.doors), tls=identity.tls, limits=limits)


async def _open(parts: Parts, front: Front | None) -> None:
    place = parts.configuration.settings.mqtts
    if front is None or place is None:
        return
    try:
        await front.start(place.host, place.port)
    except OSError as error:
        raise Unavailable(f"cannot listen on {place}: {error.strerror}") from None


async def _start(parts: Parts, messages: Messages) -> None:
    try:
        await messages.start()
    except NeverUp:
        raise
    except Unavailable as error:
        # It is tried again for ever; provisioning works without it.
        parts.log.warning("broker not there yet", says=error.message)
        messages.plane.start()


async def _upkeep(parts: Parts) -> None:
    """Forget what is over: the replies kept for idempotency keys. Announce certificates about to expire."""
    expiring = Gauge(
        "muster_certificates_expiring",
        "Certificates in use that end within thirty days.",
        registry=parts.registry,
        multiprocess_mode="mostrecent",
    )
    while True:
        with contextlib.suppress(MusterError):
            await parts.store.run(idempotency.forget)
        with contextlib.suppress(MusterError):
            soon = Instant(parts.clock() + EXPIRING_DAYS * 86_400_000_000)
            await parts.store.run(pki.expiring, soon)
            expiring.set(await parts.store.read(validity.count_expiring, soon))
        with contextlib.suppress(MusterError):
            await parts.pki.upkeep()
        await asyncio.sleep(UPKEEP_SECONDS)
