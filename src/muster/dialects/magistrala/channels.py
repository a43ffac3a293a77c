"""Channels, and the connections of clients to them (spec A.5)."""

from dataclasses import replace

from litestar import delete, get, patch, post, put

from muster.core import access, connections, registry
from muster.core.access import Caller
from muster.core.errors import Malformed, NotFound, TenantClosed
from muster.core.model import Channel, Device, Flow, GroupId, Kind, Status, TenantId
from muster.core.names import check_name
from muster.core.ports import ANYWHERE, Connected, Is, Tx
from muster.core.rights import own_roles
from muster.dialects.magistrala import queries, wire
from muster.dialects.magistrala.clients import UUID, flow, in_group, itself
from muster.dialects.magistrala.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.reply import segment
from muster.web.wire import text, window

FILTERS: queries.Schemas = {
    **queries.listed(queries.ENTITY_ORDERS, "name", "id", "group"),
    **queries.RIGHTS,
    "user": queries.TEXT,
    "connection_type": wire.CONNECTION_TYPE,
}


_WORDS = ("bulk", "connect", "disconnect")


def draft(data: wire.NewChannel, options: Options) -> registry.NewChannel:
    """Read a channel to be created; any id is good that is not blank nor a word of the paths (spec A.0)."""
    if data.id in _WORDS:
        raise Malformed("invalid id format provided")
    if data.id is not None and (not data.id.strip() or len(data.id) > 256 or "/" in data.id):
        raise Malformed("invalid id format provided")
    return registry.NewChannel(
        id=data.id or None,
        name=check_name(data.name or ""),
        route=data.route or None,
        status=wire.status_of(data.status),
        tags=tuple(data.tags or ()),
        metadata=options.metadata(data.metadata),
        group_id=GroupId(data.parent_group_id) if data.parent_group_id else None,
    )


def _created(made: list[Channel]) -> Reply:
    location = {"Location": f"/channels/{segment(made[0].id)}"}
    return Reply(status=201, body=wire.channel(made[0]), headers=location)


@post("/{domain:str}/channels", operation_id="createChannel", status_code=201)
async def create_channel(
    request: AnyRequest, domain: str, data: wire.NewChannel, desk: Desk, options: Options
) -> Rendered[wire.ChannelOut]:
    """Create a channel."""
    new = [draft(data, options)]
    return await desk.run(request, registry.create_channels, TenantId(domain), new, reply=_created)


@post("/{domain:str}/channels/bulk", operation_id="createChannels", status_code=200)
async def create_channels(
    request: AnyRequest, domain: str, data: list[wire.NewChannel], desk: Desk, options: Options
) -> Rendered[wire.ChannelsMade]:
    """Create all of the channels or none."""
    if not data:
        raise Malformed("empty list provided")
    if len(data) > options.max_bulk:
        raise Malformed(f"at most {options.max_bulk} at once")

    def made(channels: list[Channel]) -> Reply:
        shown = [wire.channel(c) for c in channels]
        return Reply(body=wire.ChannelsMade(total=len(shown), channels=shown))

    new = [draft(each, options) for each in data]
    return await desk.run(request, registry.create_channels, TenantId(domain), new, reply=made)


@get(
    "/{domain:str}/channels", operation_id="listChannels", opt={"query": {**FILTERS, "client": queries.TEXT}}
)
async def list_channels(request: AnyRequest, domain: str, desk: Desk) -> Rendered[wire.ChannelPage]:
    """List the channels the caller may read."""
    return await _listed(request, desk, TenantId(domain), text(request, "client"), must_exist=False)


async def _listed(
    request: AnyRequest, desk: Desk, domain: TenantId | None, client: str | None, *, must_exist: bool
) -> Rendered[wire.ChannelPage]:
    conditions = [*in_group(request), *queries.filters(request, "name", "id")]
    kinds = flow(request)
    if client is not None:
        conditions.append(Connected(client, kinds))
    order, asked, rights = queries.order(request), window(request), queries.rights(request)

    def listed(tx: Tx, caller: Caller) -> Reply:
        tenant = domain if domain is not None else _tenant_of(tx, caller, client or "")
        if must_exist and client is not None:
            registry.get_device(tx, caller, tenant, client)
        page = registry.list_channels(
            tx, caller, tenant, *conditions, asked=rights, order=order, window=asked
        )
        flows = connections.flows_of(tx, tenant, client) if client else {}
        roles = own_roles(tx, caller, tenant, Kind.CHANNEL, page.items) if rights else {}
        shown = [wire.channel(c, flow=flows.get(c.id), role=roles.get(c.id)) for c in page.items]
        body = wire.ChannelPage(limit=asked.limit or 0, offset=asked.offset, total=page.total, channels=shown)
        return Reply(body=body)

    return await desk.read(request, listed, reply=itself)


def _tenant_of(tx: Tx, caller: Caller, device_id: str) -> TenantId:
    """Find the tenant of a client in a path without one: of those the caller may enter (spec I, row 2)."""
    for device in tx.select(Device, ANYWHERE, Is("id", device_id)):
        try:
            standing = access.enter(tx, caller, device.tenant_id)
        except TenantClosed:
            continue
        if "read" in access.allowed(tx, standing, Kind.DEVICE, device):
            return device.tenant_id
    raise NotFound


@get(
    "/{domain:str}/clients/{client:str}/channels", operation_id="listChannelsOfClient", opt={"query": FILTERS}
)
async def list_channels_of_client(
    request: AnyRequest, domain: str, client: str, desk: Desk
) -> Rendered[wire.ChannelPage]:
    """List the channels a client is connected to."""
    return await _listed(request, desk, TenantId(domain), client, must_exist=True)


@get("/clients/{client:str}/channels", operation_id="listChannelsOfClientAnywhere", opt={"query": FILTERS})
async def list_channels_of_client_anywhere(
    request: AnyRequest, client: str, desk: Desk
) -> Rendered[wire.ChannelPage]:
    """List the channels a client is connected to, without naming the domain (seed)."""
    return await _listed(request, desk, None, client, must_exist=True)


def _shown(channel: Channel) -> Reply:
    return Reply(body=wire.channel(channel))


@get("/{domain:str}/channels/{channel:str}", operation_id="getChannel")
async def get_channel(
    request: AnyRequest, domain: str, channel: str, desk: Desk
) -> Rendered[wire.ChannelOut]:
    """Show a channel."""
    return await desk.read(request, registry.get_channel, TenantId(domain), channel, reply=_shown)


@patch("/{domain:str}/channels/{channel:str}", operation_id="updateChannel")
async def update_channel(
    request: AnyRequest, domain: str, channel: str, data: wire.Change, desk: Desk, options: Options
) -> Rendered[wire.ChannelOut]:
    """Change name or metadata; metadata is replaced as a whole."""

    def change(found: Channel) -> Channel:
        return replace(
            found,
            name=found.name if data.name is None else check_name(data.name),
            metadata=options.changed_metadata(data.metadata, found.metadata),
        )

    return await desk.run(request, registry.update, TenantId(domain), Channel, channel, change, reply=_shown)


@patch("/{domain:str}/channels/{channel:str}/tags", operation_id="updateChannelTags")
async def update_channel_tags(
    request: AnyRequest, domain: str, channel: str, data: wire.Tags, desk: Desk
) -> Rendered[wire.ChannelOut]:
    """Put other tags in the place of the old."""

    def change(found: Channel) -> Channel:
        return replace(found, tags=tuple(data.tags))

    return await desk.run(request, registry.update, TenantId(domain), Channel, channel, change, reply=_shown)


@post("/{domain:str}/channels/{channel:str}/enable", operation_id="enableChannel", status_code=200)
async def enable_channel(
    request: AnyRequest, domain: str, channel: str, desk: Desk
) -> Rendered[wire.ChannelOut]:
    """Let messages pass again."""
    args = (TenantId(domain), Channel, channel, Status.ENABLED)
    return await desk.run(request, registry.set_status, *args, reply=_shown)


@post("/{domain:str}/channels/{channel:str}/disable", operation_id="disableChannel", status_code=200)
async def disable_channel(
    request: AnyRequest, domain: str, channel: str, desk: Desk
) -> Rendered[wire.ChannelOut]:
    """Let no message pass."""
    args = (TenantId(domain), Channel, channel, Status.DISABLED)
    return await desk.run(request, registry.set_status, *args, reply=_shown)


@post("/{domain:str}/channels/{channel:str}/parent", operation_id="setChannelParent", status_code=200)
async def set_channel_parent(
    request: AnyRequest, domain: str, channel: str, data: wire.Parent, desk: Desk
) -> Rendered[None]:
    """Put a channel into a group."""
    if not data.parent_group_id:
        raise Malformed("missing parent group id")
    args = (TenantId(domain), Channel, channel, data.parent_group_id)
    return await desk.run(request, registry.set_group, *args, reply=lambda _: Reply())


@delete("/{domain:str}/channels/{channel:str}/parent", operation_id="removeChannelParent", status_code=204)
async def remove_channel_parent(request: AnyRequest, domain: str, channel: str, desk: Desk) -> Rendered[None]:
    """Take a channel out of its group."""
    args = (TenantId(domain), Channel, channel, None)
    return await desk.run(request, registry.set_group, *args, reply=lambda _: Reply(status=204))


@delete("/{domain:str}/channels/{channel:str}", operation_id="deleteChannel", status_code=204)
async def delete_channel(request: AnyRequest, domain: str, channel: str, desk: Desk) -> Rendered[None]:
    """Delete a channel and its connections."""
    tenant = TenantId(domain)
    return await desk.run(
        request, registry.delete_channel, tenant, channel, reply=lambda _: Reply(status=204)
    )


# --- connections -----------------------------------------------------------------------------------------


def _ids(ids: list[str] | None, missing: str) -> list[str]:
    if not ids:
        raise Malformed(missing)
    return list(dict.fromkeys(ids))


def _clients(ids: list[str] | None) -> list[str]:
    wanted = _ids(ids, "missing cient id")  # sic: upstream's spelling (spec A.0)
    if not all(UUID.fullmatch(each) for each in wanted):
        raise Malformed("invalid id format provided")
    return wanted


def _ends(data: wire.Connect, options: Options) -> tuple[list[str], list[str], Flow]:
    channels = _ids(data.channel_ids, "missing channel id")
    clients = _ids(data.client_ids, "missing cient id")
    if len(channels) * len(clients) > options.max_bulk:
        raise Malformed(f"at most {options.max_bulk} connections at once")
    return channels, clients, wire.flow_of(data.types or [])


@post("/{domain:str}/channels/connect", operation_id="connect", status_code=201)
async def connect(
    request: AnyRequest, domain: str, data: wire.Connect, desk: Desk, options: Options
) -> Rendered[None]:
    """Connect each client to each channel, all or nothing."""
    args = (TenantId(domain), *_ends(data, options))
    return await desk.run(request, connections.connect, *args, reply=lambda _: Reply(status=201))


@post("/{domain:str}/channels/disconnect", operation_id="disconnect", status_code=204)
async def disconnect(
    request: AnyRequest, domain: str, data: wire.Connect, desk: Desk, options: Options
) -> Rendered[None]:
    """Disconnect each client from each channel; what is not connected stays so."""
    args = (TenantId(domain), *_ends(data, options))
    return await desk.run(request, connections.disconnect, *args, reply=lambda _: Reply(status=204))


# The seed sends these bodies without a JSON content type (spec I, row 3), and with PUT and DELETE (row 1).
_LENIENT = {"content_type": "any"}


async def _connect_one(
    request: AnyRequest, domain: str, channel: str, data: wire.ConnectClients, desk: Desk
) -> Rendered[None]:
    args = (TenantId(domain), [channel], _clients(data.client_ids), wire.flow_of(data.types or []))
    return await desk.run(request, connections.connect, *args, reply=lambda _: Reply(status=201))


async def _disconnect_one(
    request: AnyRequest, domain: str, channel: str, data: wire.ConnectClients, desk: Desk
) -> Rendered[None]:
    args = (TenantId(domain), [channel], _clients(data.client_ids), wire.flow_of(data.types or []))
    return await desk.run(request, connections.disconnect, *args, reply=lambda _: Reply(status=204))


@post(
    "/{domain:str}/channels/{channel:str}/connect",
    operation_id="connectClients",
    status_code=201,
    opt=_LENIENT,
)
async def connect_clients(
    request: AnyRequest, domain: str, channel: str, data: wire.ConnectClients, desk: Desk
) -> Rendered[None]:
    """Connect clients to the channel."""
    return await _connect_one(request, domain, channel, data, desk)


@put("/{domain:str}/channels/{channel:str}/connect", operation_id="putClients", status_code=201, opt=_LENIENT)
async def put_clients(
    request: AnyRequest, domain: str, channel: str, data: wire.ConnectClients, desk: Desk
) -> Rendered[None]:
    """Connect clients to the channel, as the seed prints it."""
    return await _connect_one(request, domain, channel, data, desk)


@post(
    "/{domain:str}/channels/{channel:str}/disconnect",
    operation_id="disconnectClients",
    status_code=204,
    opt=_LENIENT,
)
async def disconnect_clients(
    request: AnyRequest, domain: str, channel: str, data: wire.ConnectClients, desk: Desk
) -> Rendered[None]:
    """Disconnect clients from the channel."""
    return await _disconnect_one(request, domain, channel, data, desk)


@delete(
    "/{domain:str}/channels/{channel:str}/disconnect",
    operation_id="deleteClients",
    status_code=204,
    opt=_LENIENT,
)
async def delete_clients(
    request: AnyRequest, domain: str, channel: str, data: wire.ConnectClients, desk: Desk
) -> Rendered[None]:
    """Disconnect clients from the channel, as the seed prints it."""
    return await _disconnect_one(request, domain, channel, data, desk)


HANDLERS = [
    create_channel,
    create_channels,
    list_channels,
    list_channels_of_client,
    list_channels_of_client_anywhere,
    get_channel,
    update_channel,
    update_channel_tags,
    enable_channel,
    disable_channel,
    set_channel_parent,
    remove_channel_parent,
    delete_channel,
    connect,
    disconnect,
    connect_clients,
    put_clients,
    disconnect_clients,
    delete_clients,
]
