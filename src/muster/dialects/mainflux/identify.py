"""Who has a key, and may it speak on a channel: what upstream's adapters ask (spec B.4).

Nobody has to say who asks, so whoever guesses is slowed down: by source, because a guess names nothing else.
"""

from collections.abc import Callable
from typing import Any

from litestar import post

from muster.core import messaging
from muster.core.errors import Forbidden, NotFound, Unauthenticated
from muster.core.model import Device, Secret
from muster.dialects.mainflux import wire
from muster.dialects.mainflux.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply


class KeyToken(wire.In, kw_only=True):
    """The key of a thing."""

    token: str | None = None


class ThingId(wire.In, kw_only=True):
    """The id of a thing."""

    thing_id: str | None = None


class Identity(wire.Out, kw_only=True):
    """Whose key it is."""

    id: str


async def _ask(
    request: AnyRequest,
    desk: Desk,
    options: Options,
    use_case: Callable[..., Any],
    *args: Any,
    reply: Callable[[Any], Reply],
) -> Rendered[Any]:
    key = ("identify", request.client.host if request.client else "")
    options.throttle.check(key, desk.clock())
    try:
        return await desk.read_open(request, use_case, *args, reply=reply)
    except (NotFound, Forbidden):
        options.throttle.failed(key, desk.clock())
        raise


def _secret(data: KeyToken) -> Secret:
    if not data.token:
        raise Unauthenticated
    return Secret(data.token)


def _identified(found: Device) -> Reply:
    return Reply(body=Identity(id=found.id))


@post("/identify", operation_id="identify", status_code=200, opt={"errors": (NotFound,)})
async def identify(request: AnyRequest, data: KeyToken, desk: Desk, options: Options) -> Rendered[Identity]:
    """Say whose key it is."""
    return await _ask(request, desk, options, messaging.identify, _secret(data), reply=_identified)


@post(
    "/identify/channels/{channel:str}/access-by-key",
    operation_id="accessByKey",
    status_code=200,
    opt={"errors": (Forbidden,)},
)
async def access_by_key(
    request: AnyRequest, channel: str, data: KeyToken, desk: Desk, options: Options
) -> Rendered[Identity]:
    """Say whose key it is, if it is connected to the channel."""

    def shown(thing: str) -> Reply:
        return Reply(body=Identity(id=thing))

    args = (channel, _secret(data))
    return await _ask(request, desk, options, messaging.identify_on, *args, reply=shown)


@post(
    "/identify/channels/{channel:str}/access-by-id",
    operation_id="accessById",
    status_code=200,
    opt={"errors": (Forbidden,)},
)
async def access_by_id(
    request: AnyRequest, channel: str, data: ThingId, desk: Desk, options: Options
) -> Rendered[None]:
    """Say whether a thing is connected to the channel."""
    if not data.thing_id:
        raise Unauthenticated
    args = (channel, data.thing_id)
    return await _ask(request, desk, options, messaging.check_on, *args, reply=lambda _: wire.empty())


HANDLERS = [identify, access_by_key, access_by_id]
