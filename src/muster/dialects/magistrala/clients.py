"""Clients (spec A.4); a client is a device."""

import re
from collections.abc import Callable
from dataclasses import replace

from litestar import delete, get, patch, post

from muster.core import connections, registry
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import Device, Flow, GroupId, Kind, Secret, Status, TenantId
from muster.core.names import check_name
from muster.core.ports import Condition, Connected, Is, Tx
from muster.core.rights import own_roles
from muster.dialects.magistrala import queries, wire
from muster.dialects.magistrala.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import text, window

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
ORDERS = ("name", "identity", "created_at", "updated_at")
FILTERS: queries.Schemas = {
    **queries.listed(ORDERS, "name", "id", "identity", "group"),
    **queries.RIGHTS,
    "user": queries.TEXT,
    "connection_type": wire.CONNECTION_TYPE,
}
MAX_SECRET = 1024


def draft(data: wire.NewClient, options: Options) -> registry.NewDevice:
    """Read a client to be created; Malformed says what is wrong."""
    if data.id and not UUID.fullmatch(data.id):
        raise Malformed("invalid id format provided")
    credentials = data.credentials or wire.NewCredentials()
    return registry.NewDevice(
        id=data.id or None,
        name=check_name(data.name or ""),
        identity=credentials.identity or "",
        secret=secret_of(credentials.secret) if credentials.secret else None,
        status=wire.status_of(data.status),
        tags=tuple(data.tags or ()),
        metadata=options.metadata(data.metadata),
        group_id=GroupId(data.parent_group_id) if data.parent_group_id else None,
    )


def secret_of(plain: str | None) -> Secret:
    """Read a secret the operator chose."""
    if not plain:
        raise Malformed("missing secret")
    if len(plain.encode()) > MAX_SECRET:
        raise Malformed("secret too long")
    return Secret(plain)


def drafts(data: list[wire.NewClient], options: Options) -> list[registry.NewDevice]:
    """Read the clients of a bulk request."""
    if not data:
        raise Malformed("empty list provided")
    if len(data) > options.max_bulk:
        raise Malformed(f"at most {options.max_bulk} at once")
    return [draft(each, options) for each in data]


def _created(made: list[Device]) -> Reply:
    location = {"Location": f"/clients/{made[0].id}"}
    return Reply(status=201, body=wire.client(made[0]), headers=location)


@post("/{domain:str}/clients", operation_id="createClient", status_code=201)
async def create_client(
    request: AnyRequest, domain: str, data: wire.NewClient, desk: Desk, options: Options
) -> Rendered[wire.Client]:
    """Create a client; a secret is made unless one is given."""
    new = [draft(data, options)]
    return await desk.run(request, registry.create_devices, TenantId(domain), new, reply=_created)


@post("/{domain:str}/clients/bulk", operation_id="createClients", status_code=200)
async def create_clients(
    request: AnyRequest, domain: str, data: list[wire.NewClient], desk: Desk, options: Options
) -> Rendered[wire.ClientsMade]:
    """Create all of the clients or none."""

    def made(devices: list[Device]) -> Reply:
        clients = [wire.client(d) for d in devices]
        return Reply(body=wire.ClientsMade(total=len(clients), clients=clients))

    new = drafts(data, options)
    return await desk.run(request, registry.create_devices, TenantId(domain), new, reply=made)


def flow(request: AnyRequest) -> Flow:
    """Read the filter by kind of connection; both without one."""
    kind = text(request, "connection_type")
    return wire.flow_of([kind]) if kind else Flow.BOTH


def in_group(request: AnyRequest) -> list[Condition]:
    """Read the filter by group."""
    group = text(request, "group")
    return [] if group is None else [Is("group_id", group)]


@get("/{domain:str}/clients", operation_id="listClients", opt={"query": {**FILTERS, "channel": queries.TEXT}})
async def list_clients(request: AnyRequest, domain: str, desk: Desk) -> Rendered[wire.ClientPage]:
    """List the clients the caller may read, their secrets with them."""
    return await _listed(request, TenantId(domain), desk, text(request, "channel"), must_exist=False)


@get(
    "/{domain:str}/channels/{channel:str}/clients",
    operation_id="listClientsOfChannel",
    opt={"query": FILTERS},
)
async def list_clients_of_channel(
    request: AnyRequest, domain: str, channel: str, desk: Desk
) -> Rendered[wire.ClientPage]:
    """List the clients connected to a channel."""
    return await _listed(request, TenantId(domain), desk, channel, must_exist=True)


async def _listed(
    request: AnyRequest, tenant: TenantId, desk: Desk, channel: str | None, *, must_exist: bool
) -> Rendered[wire.ClientPage]:
    conditions = [*in_group(request), *queries.filters(request, "name", "id", "identity")]
    kinds = flow(request)
    if channel is not None:
        conditions.append(Connected(channel, kinds))
    order, asked, rights = queries.order(request, ORDERS), window(request), queries.rights(request)

    def listed(tx: Tx, caller: Caller) -> Reply:
        if must_exist and channel is not None:
            registry.get_channel(tx, caller, tenant, channel)
        page = registry.list_devices(tx, caller, tenant, *conditions, asked=rights, order=order, window=asked)
        flows = connections.flows_on(tx, tenant, channel, [d.id for d in page.items]) if channel else {}
        roles = own_roles(tx, caller, tenant, Kind.DEVICE, page.items) if rights else {}
        clients = [wire.client(d, flow=flows.get(d.id), role=roles.get(d.id)) for d in page.items]
        body = wire.ClientPage(limit=asked.limit or 0, offset=asked.offset, total=page.total, clients=clients)
        return Reply(body=body)

    return await desk.read(request, listed, reply=itself)


def itself(reply: Reply) -> Reply:
    """Answer with what the use case has made already."""
    return reply


def shown(device: Device) -> Reply:
    """Answer with a client."""
    return Reply(body=wire.client(device))


def without_credentials(device: Device) -> Reply:
    """Answer with a client as enable and disable show it: `"credentials":{}` (seed)."""
    return Reply(body=wire.client(device, shows_secret=False))


@get("/{domain:str}/clients/{client:str}", operation_id="getClient")
async def get_client(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[wire.Client]:
    """Show a client."""
    return await desk.read(request, registry.get_device, TenantId(domain), client, reply=shown)


def _change(data: wire.Change, options: Options) -> Callable[[Device], Device]:
    def change(device: Device) -> Device:
        return replace(
            device,
            name=device.name if data.name is None else check_name(data.name),
            metadata=options.changed_metadata(data.metadata, device.metadata),
        )

    return change


@patch("/{domain:str}/clients/{client:str}", operation_id="updateClient")
async def update_client(
    request: AnyRequest, domain: str, client: str, data: wire.Change, desk: Desk, options: Options
) -> Rendered[wire.Client]:
    """Change name or metadata; metadata is replaced as a whole."""
    args = (TenantId(domain), Device, client, _change(data, options))
    return await desk.run(request, registry.update, *args, reply=shown)


@patch("/{domain:str}/clients/{client:str}/tags", operation_id="updateClientTags")
async def update_client_tags(
    request: AnyRequest, domain: str, client: str, data: wire.Tags, desk: Desk
) -> Rendered[wire.Client]:
    """Put other tags in the place of the old."""

    def change(device: Device) -> Device:
        return replace(device, tags=tuple(data.tags))

    return await desk.run(request, registry.update, TenantId(domain), Device, client, change, reply=shown)


@patch("/{domain:str}/clients/{client:str}/secret", operation_id="updateClientSecret")
async def update_client_secret(
    request: AnyRequest, domain: str, client: str, data: wire.NewSecret, desk: Desk
) -> Rendered[wire.Client]:
    """Give a client another secret; the old one ends at once everywhere."""
    secret = secret_of(data.secret)
    return await desk.run(request, registry.rotate_secret, TenantId(domain), client, secret, reply=shown)


@post("/{domain:str}/clients/{client:str}/enable", operation_id="enableClient", status_code=200)
async def enable_client(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[wire.Client]:
    """Let a client in again."""
    args = (TenantId(domain), Device, client, Status.ENABLED)
    return await desk.run(request, registry.set_status, *args, reply=without_credentials)


@post("/{domain:str}/clients/{client:str}/disable", operation_id="disableClient", status_code=200)
async def disable_client(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[wire.Client]:
    """Keep a client out, everywhere and at once."""
    args = (TenantId(domain), Device, client, Status.DISABLED)
    return await desk.run(request, registry.set_status, *args, reply=without_credentials)


@post("/{domain:str}/clients/{client:str}/parent", operation_id="setClientParent", status_code=200)
async def set_client_parent(
    request: AnyRequest, domain: str, client: str, data: wire.Parent, desk: Desk
) -> Rendered[None]:
    """Put a client into a group."""
    if not data.parent_group_id:
        raise Malformed("missing parent group id")
    args = (TenantId(domain), Device, client, data.parent_group_id)
    return await desk.run(request, registry.set_group, *args, reply=lambda _: Reply())


@delete("/{domain:str}/clients/{client:str}/parent", operation_id="removeClientParent", status_code=204)
async def remove_client_parent(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[None]:
    """Take a client out of its group."""
    args = (TenantId(domain), Device, client, None)
    return await desk.run(request, registry.set_group, *args, reply=lambda _: Reply(status=204))


@delete("/{domain:str}/clients/{client:str}", operation_id="deleteClient", status_code=204)
async def delete_client(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[None]:
    """Delete a client and all that hangs on it."""
    tenant = TenantId(domain)
    return await desk.run(request, registry.delete_device, tenant, client, reply=lambda _: Reply(status=204))


HANDLERS = [
    create_client,
    create_clients,
    list_clients,
    list_clients_of_channel,
    get_client,
    update_client,
    update_client_tags,
    update_client_secret,
    enable_client,
    disable_client,
    set_client_parent,
    remove_client_parent,
    delete_client,
]
