"""The WebSocket door `/ws/…` (spec E.1): one connection is one place of a channel. Knows no web framework.

The web side accepts the connection, asks the core whether it may pass, opens a Socket, hands it what comes in
and sends what it is given. When rights change, the Socket tells the web side to hang up.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from muster.core.errors import Forbidden, Unavailable
from muster.plane.cut import CUT, channel_name, is_meant, read_cut
from muster.plane.link import FAILURES, Link
from muster.plane.publish import COPY, Publisher
from muster.plane.subjects import Address


@dataclass(slots=True, eq=False)
class Socket:
    """An open connection. *send* passes a message to the client, *hang_up* ends the connection."""

    session: str
    address: Address
    rest: str
    publisher: str
    may_publish: bool
    send: Callable[[bytes], Awaitable[None]]
    hang_up: Callable[[], Awaitable[None]]
    subscriptions: list[Subscription] = field(default_factory=list)


class Sockets:
    """The open WebSocket connections of this process."""

    def __init__(self, link: Link, callout: Link, publisher: Publisher) -> None:
        """Prepare. The links are of the DEVICES and the CALLOUT account."""
        self._link = link
        self._publisher = publisher
        self._open: set[Socket] = set()
        callout.on_message(CUT, self._cut)

    @property
    def is_up(self) -> bool:
        """Whether the broker is there at the moment."""
        return self._link.is_up

    async def open(self, socket: Socket, *, may_subscribe: bool) -> None:
        """Begin to pass messages; none to one that may not subscribe. Unavailable without a broker."""
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        self._open.add(socket)
        for root in socket.address.roots() if may_subscribe else ():
            socket.subscriptions.append(await self._link.subscribe(root + socket.rest, _passing(socket)))
        await self._link.flush()

    async def receive(self, socket: Socket, payload: bytes) -> None:
        """Publish what the client sent. Forbidden without the right; else as Publisher.publish."""
        if not socket.may_publish:
            raise Forbidden("not connected to the channel for publishing")
        await self._publisher.publish(
            socket.address, socket.rest, payload, publisher=socket.publisher, protocol="ws"
        )

    async def close(self, socket: Socket) -> None:
        """Stop passing messages; to be called however the connection ended."""
        self._open.discard(socket)
        for subscription in socket.subscriptions:
            try:
                await subscription.unsubscribe()
            except FAILURES:
                continue

    async def _cut(self, message: Msg) -> None:
        name = read_cut(message.data)
        for socket in [s for s in self._open if _is_cut(s, name)]:
            await socket.hang_up()


def _is_cut(socket: Socket, name: str) -> bool:
    """Say whether it is about the one who holds it, or the place: users are not of the channel's tenant."""
    address = socket.address
    return is_meant(socket.session, name) or name in {
        f"{address.tenant_id}/",
        channel_name(address.channel_id),
    }


def _passing(socket: Socket) -> Callable[[Msg], Awaitable[None]]:
    async def take(message: Msg) -> None:
        # It reads every name of the channel itself, so copies from one to another are not for it.
        if COPY not in (message.headers or {}):
            await socket.send(message.data)

    return take
