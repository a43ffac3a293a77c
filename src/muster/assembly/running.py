"""A running Muster: listeners, broker, outbox and upkeep, from start to SIGTERM."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from socket import socket

from muster import __version__
from muster.assembly.doors import app_of, upstream_ports
from muster.assembly.messages import Delivery, Leader, Messages, Place, following, messages_of
from muster.assembly.parts import Parts, first_admin, open_parts, prepare
from muster.core.errors import MusterError, Unavailable
from muster.settings import Configuration, Settings
from muster.store.outbox import Outbox
from muster.web import idempotency
from muster.web.serve import Listener, bind, serve, stop_on_signals
from muster.web.workers import StartFailed, supervise

Say = Callable[[str], None]
UPKEEP_SECONDS = 60


def run(configuration: Configuration, say: Say) -> None:
    """Serve until SIGTERM; what a person should read goes to *say*, the log to standard output.

    MusterError when it cannot start.
    """
    import uvloop  # noqa: PLC0415 only the server needs it

    try:
        uvloop.run(_run(configuration, say))
    except StartFailed as error:
        raise Unavailable(str(error)) from None


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
        sockets = _sockets(settings)
        ready = partial(say, f"Muster {__version__} answers at {settings.base_url}")
        async with _leading(parts) as messages:
            if settings.workers > 1:
                place = messages.place if messages is not None else None
                crew = partial(supervise, work, sockets, settings.workers, args=(configuration, place))
                await crew(stop=stop, on_ready=ready, log=parts.log)
            else:
                await _serve(parts, messages, sockets, stop, ready)
    finally:
        parts.close()


async def _serve(
    parts: Parts,
    messages: Messages | None,
    sockets: Sequence[socket],
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> None:
    listeners = [Listener(socket=each) for each in sockets]
    await serve(app_of(parts, messages), listeners, stop=stop, on_ready=ready, log=parts.log)


# --- one of several workers ------------------------------------------------------------------------------


def work(
    sockets: Sequence[socket], ready: Callable[[], None], configuration: Configuration, place: Place | None
) -> None:
    """Answer HTTP in a process of its own; the parent has the broker and the outbox."""
    import uvloop  # noqa: PLC0415

    uvloop.run(_work(sockets, ready, configuration, place))


async def _work(
    sockets: Sequence[socket], ready: Callable[[], None], configuration: Configuration, place: Place | None
) -> None:
    stop = stop_on_signals()
    parts = await asyncio.to_thread(open_parts, configuration)
    messages = following(parts, place) if place is not None else None
    try:
        if messages is not None:
            await _start(parts, messages)
        await _serve(parts, messages, sockets, stop, ready)
    finally:
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


def _sockets(settings: Settings) -> list[socket]:
    places = [] if settings.http is None else [(settings.http.host, settings.http.port)]
    if settings.upstream_ports and settings.http is not None:
        places += [(settings.http.host, port) for port in sorted(upstream_ports())]
    return [_bound(host, port) for host, port in places]


def _bound(host: str, port: int) -> socket:
    try:
        return bind(host, port)
    except OSError as error:
        raise Unavailable(f"cannot listen on {host}:{port}: {error.strerror}") from None


@asynccontextmanager
async def _leading(parts: Parts) -> AsyncIterator[Messages | None]:
    """Run what one process of the installation does for all: broker, outbox, upkeep."""
    messages = messages_of(parts)
    leader = Leader(parts, messages) if messages is not None else None
    work = [Outbox(parts.store, parts.clock).run(Delivery(parts, leader)), _upkeep(parts)]
    if leader is not None:
        work.append(leader.run())
    tasks = [asyncio.create_task(each) for each in work]
    try:
        if messages is not None:
            await _start(parts, messages)
        yield messages
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if leader is not None and messages is not None:
            await leader.stop()
            await messages.stop()


async def _start(parts: Parts, messages: Messages) -> None:
    try:
        await messages.start()
    except Unavailable as error:
        # It is tried again for ever; provisioning works without it.
        parts.log.warning("broker not there yet", says=error.message)
        messages.plane.start()


async def _upkeep(parts: Parts) -> None:
    """Forget what is over: the replies kept for idempotency keys."""
    while True:
        with contextlib.suppress(MusterError):
            await parts.store.run(idempotency.forget)
        await asyncio.sleep(UPKEEP_SECONDS)
