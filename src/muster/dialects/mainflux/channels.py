"""Channels, and the connections of things to them (spec B.3)."""

from litestar import delete, get, post, put

from muster.core import connections, registry
from muster.core.access import Caller
from muster.core.errors import Malformed, NotFound
from muster.core.model import Channel, Device, Flow
from muster.core.names import check_name
from muster.core.ports import Connected, Page, Tx
from muster.dialects.mainflux import queries, wire
from muster.dialects.mainflux.options import Options
from muster.dialects.mainflux.places import describe, home, tenant_of
from muster.dialects.mainflux.queries import Asked
from muster.web.desk import AnyRequest, Desk, Rendered, Reply


def _draft(data: wire.NewChannel, options: Options) -> registry.NewChannel:
    if data.id is not None and (not data.id.strip() or len(data.id) > 256 or "/" in data.id):
        raise Malformed("invalid id format provided")
    name = check_name(data.name or "")
    return registry.NewChannel(id=data.id, name=name, metadata=options.metadata(data.metadata))


def _create(tx: Tx, caller: Caller, new: list[registry.NewChannel]) -> list[Channel]:
    return registry.create_channels(tx, caller, home(caller), new)


def _created(made: list[Channel]) -> Reply:
    by = wire.superseded("currently found at /channels/bulk")
    return wire.empty(201, Location=f"/channels/{made[0].id}", Warning_Deprecated=by)


@post("/channels", operation_id="createChannel", status_code=201)
async def create_channel(
    request: AnyRequest, data: wire.NewChannel, desk: Desk, options: Options
) -> Rendered[None]:
    """Create a channel."""
    return await desk.run(request, _create, [_draft(data, options)], reply=_created)


@post("/channels/bulk", operation_id="createChannels", status_code=201)
async def create_channels(
    request: AnyRequest, data: list[wire.NewChannel], desk: Desk, options: Options
) -> Rendered[wire.Channels]:
    """Create all of the channels or none."""
    if not data:
        raise Malformed("empty list provided")
    if len(data) > options.max_bulk:
        raise Malformed(f"at most {options.max_bulk} at once")

    def made(channels: list[Channel]) -> Reply:
        return Reply(status=201, body=wire.Channels(channels=[wire.channel(c) for c in channels]))

    return await desk.run(request, _create, [_draft(each, options) for each in data], reply=made)


# --- lists ---------------------------------------------------------------------------------------------


def _page(page: Page[Channel], part: Asked) -> Reply:
    return queries.page(wire.ChannelPage, part, page.total, channels=[wire.channel(c) for c in page.items])


@get("/channels", operation_id="listChannels", opt={"query": queries.LISTED})
async def list_channels(request: AnyRequest, desk: Desk) -> Rendered[wire.ChannelPage]:
    """List the caller's own channels."""
    conditions, part = queries.filters(request), queries.asked(request)

    def listed(tx: Tx, caller: Caller) -> Page[Channel]:
        return registry.list_channels(
            tx, caller, home(caller), *conditions, order=part.sorting, window=part.window
        )

    return await desk.read(request, listed, reply=lambda page: _page(page, part))


@get("/things/{thing:str}/channels", operation_id="listChannelsOfThing", opt={"query": queries.RELATED})
async def list_channels_of_thing(request: AnyRequest, thing: str, desk: Desk) -> Rendered[wire.ChannelPage]:
    """List the channels a thing is connected to, or those it is not."""
    related = Connected(thing, is_connected=queries.is_connected(request))
    conditions, part = queries.filters(request), queries.asked(request, queries.RELATIONS)

    def found(tx: Tx, caller: Caller) -> Page[Channel]:
        tenant = tenant_of(tx, caller, Device, thing)
        registry.get_device(tx, caller, tenant, thing)
        return registry.list_channels(
            tx, caller, tenant, related, *conditions, order=part.sorting, window=part.window
        )

    return await desk.read(request, found, reply=lambda page: _page(page, part))


# --- one channel ---------------------------------------------------------------------------------------


def _get(tx: Tx, caller: Caller, channel: str) -> Channel:
    return registry.get_channel(tx, caller, tenant_of(tx, caller, Channel, channel), channel)


@get("/channels/{channel:str}", operation_id="getChannel")
async def get_channel(request: AnyRequest, channel: str, desk: Desk) -> Rendered[wire.ChannelOut]:
    """Show a channel."""
    return await desk.read(request, _get, channel, reply=lambda found: Reply(body=wire.channel(found)))


@put("/channels/{channel:str}", operation_id="updateChannel")
async def update_channel(
    request: AnyRequest, channel: str, data: wire.Replacement, desk: Desk, options: Options
) -> Rendered[None]:
    """Put name and metadata in place of the old ones."""
    args = (Channel, channel, check_name(data.name or ""), options.metadata(data.metadata))
    return await desk.run(request, describe, *args, reply=lambda _: wire.empty())


def _delete(tx: Tx, caller: Caller, channel: str) -> None:
    try:
        registry.delete_channel(tx, caller, tenant_of(tx, caller, Channel, channel), channel)
    except NotFound:
        return  # upstream does not say that there was none


@delete("/channels/{channel:str}", operation_id="deleteChannel", status_code=204)
async def delete_channel(request: AnyRequest, channel: str, desk: Desk) -> Rendered[None]:
    """Delete a channel and its connections; nothing happens when there is none."""
    return await desk.run(request, _delete, channel, reply=lambda _: wire.empty(204))


# --- connections ---------------------------------------------------------------------------------------


def _connect(tx: Tx, caller: Caller, channels: list[str], things: list[str]) -> None:
    tenant = tenant_of(tx, caller, Channel, channels[0])
    connections.connect(tx, caller, tenant, channels, things, Flow.BOTH)


def _disconnect(tx: Tx, caller: Caller, channels: list[str], things: list[str]) -> None:
    tenant = tenant_of(tx, caller, Channel, channels[0])
    connections.disconnect(tx, caller, tenant, channels, things, Flow.BOTH)


def _ends(data: wire.Connect, options: Options) -> tuple[list[str], list[str]]:
    if not data.channel_ids or not data.thing_ids:
        raise Malformed("empty list provided")
    channels, things = queries.unique(data.channel_ids), queries.unique(data.thing_ids)
    if len(channels) * len(things) > options.max_bulk:
        raise Malformed(f"at most {options.max_bulk} connections at once")
    return channels, things


@post("/connect", operation_id="connect", status_code=200, opt={"errors": (NotFound,)})
async def connect(request: AnyRequest, data: wire.Connect, desk: Desk, options: Options) -> Rendered[None]:
    """Connect each thing to each channel, all or nothing."""
    return await desk.run(request, _connect, *_ends(data, options), reply=lambda _: wire.empty())


@put("/disconnect", operation_id="disconnect", opt={"errors": (NotFound,)})
async def disconnect(request: AnyRequest, data: wire.Connect, desk: Desk, options: Options) -> Rendered[None]:
    """Disconnect each thing from each channel; what is not connected stays so."""
    return await desk.run(request, _disconnect, *_ends(data, options), reply=lambda _: wire.empty())


@put("/channels/{channel:str}/things/{thing:str}", operation_id="connectThing")
async def connect_thing(request: AnyRequest, channel: str, thing: str, desk: Desk) -> Rendered[None]:
    """Connect a thing to a channel."""
    by = wire.superseded("found at /connect")
    return await desk.run(
        request, _connect, [channel], [thing], reply=lambda _: wire.empty(Warning_Deprecated=by)
    )


@delete("/channels/{channel:str}/things/{thing:str}", operation_id="disconnectThing", status_code=204)
async def disconnect_thing(request: AnyRequest, channel: str, thing: str, desk: Desk) -> Rendered[None]:
    """Disconnect a thing from a channel."""
    return await desk.run(request, _disconnect, [channel], [thing], reply=lambda _: wire.empty(204))


HANDLERS = [
    create_channel,
    create_channels,
    list_channels,
    list_channels_of_thing,
    get_channel,
    update_channel,
    delete_channel,
    connect,
    disconnect,
    connect_thing,
    disconnect_thing,
]
