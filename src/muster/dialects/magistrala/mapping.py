"""One call that provisions a gateway: `/mapping`, with a domain in the path or without (spec C.3)."""

from dataclasses import replace

import msgspec
from litestar import delete, get, post
from litestar.openapi.datastructures import ResponseSpec

from muster.core import access, planning, provision, tenancy, unprovision
from muster.core.access import Caller, Evidence
from muster.core.errors import Malformed
from muster.core.keyholders import Signer
from muster.core.model import Channel, Connection, Device, Flow, Json, Secret, TenantId
from muster.core.names import check_name
from muster.core.planning import Plan
from muster.core.ports import Tx
from muster.core.provision import Provisioned
from muster.core.unprovision import Removed
from muster.dialects.magistrala import wire
from muster.dialects.magistrala.bootstrap import MAX_EXTERNAL
from muster.dialects.magistrala.options import Options
from muster.web import auth
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.issuing import issuing
from muster.web.wire import flag


class Mapping(wire.In, kw_only=True):
    """What a gateway is provisioned from. *metadata* is ours: it goes to every client of the layout."""

    external_id: str | None = None
    external_key: str | None = None
    name: str | None = None
    metadata: dict[str, Json] | None = None
    csr: str | None = None
    """Ours too: the gateway's signing request (PEM or DER in Base64) where the layout makes certificates."""


class MappedClient(wire.Out, kw_only=True):
    """A client as the provision service shows it."""

    id: str
    name: str = ""
    domain_id: str
    credentials: wire.Credentials
    metadata: dict[str, Json] = {}


class MappedChannel(wire.Out, kw_only=True):
    """A channel as the provision service shows it."""

    id: str
    name: str = ""
    domain_id: str
    metadata: dict[str, Json] = {}


class Mapped(wire.Out, kw_only=True):
    """What one call made."""

    clients: list[MappedClient] | msgspec.UnsetType = msgspec.UNSET
    channels: list[MappedChannel] | msgspec.UnsetType = msgspec.UNSET
    client_cert: dict[str, str] = {}
    client_key: dict[str, str] = {}
    ca_cert: str = ""
    whitelisted: dict[str, bool] = {}


class PlannedConnection(wire.Out, kw_only=True):
    """A connection that a call would make."""

    client_id: str
    channel_id: str
    types: list[str]


class Planned(wire.Out, kw_only=True):
    """What a call would make; ids and secrets are made when it really happens."""

    dry_run: bool
    clients: list[MappedClient]
    channels: list[MappedChannel]
    connections: list[PlannedConnection]
    bootstrap: dict[str, Json] = {}


class Unmapped(msgspec.Struct, kw_only=True):
    """What taking a mapping back deleted; *kept*: reason by id of what stays."""

    clients: list[str]
    channels: list[str]
    kept: dict[str, str]


def read(data: Mapping, options: Options) -> planning.Request:
    """Read the request; Malformed with upstream's texts."""
    if not data.external_id:
        raise Malformed("missing entity id")
    if not data.external_key:
        raise Malformed("missing or invalid bearer entity key")
    if max(len(data.external_id.encode()), len(data.external_key.encode())) > MAX_EXTERNAL:
        raise Malformed(f"external id and key have at most {MAX_EXTERNAL} bytes")
    return planning.Request(
        external_id=data.external_id,
        external_key=Secret(data.external_key),
        name=check_name(data.name or ""),
        metadata=options.metadata(data.metadata),
        csr=data.csr or "",
    )


def _client(device: Device, *, shows_secret: bool = True) -> MappedClient:
    secret = device.secret.reveal() if device.secret is not None and shows_secret else ""
    return MappedClient(
        id=device.id,
        name=device.name,
        domain_id=device.tenant_id,
        credentials=wire.Credentials(secret=secret),
        metadata=dict(device.metadata),
    )


def _channel(channel: Channel) -> MappedChannel:
    return MappedChannel(
        id=channel.id,
        name=channel.name,
        domain_id=channel.tenant_id,
        metadata=dict(channel.metadata),
    )


def _mapped(made: Provisioned) -> Reply:
    body = Mapped(
        clients=[_client(d) for d in made.devices],
        channels=[_channel(c) for c in made.channels],
        client_cert=dict(made.client_cert),
        client_key=dict(made.client_key),
        ca_cert=made.ca_cert,
        whitelisted=dict.fromkeys(made.whitelisted, True),
    )
    return Reply(status=201, body=body)


def _connection(made: Connection) -> PlannedConnection:
    types = [str(f.name).lower() for f in (Flow.PUBLISH, Flow.SUBSCRIBE) if f & made.flow]
    return PlannedConnection(client_id=made.device_id, channel_id=made.channel_id, types=types)


def _planned(plan: Plan) -> Reply:
    config = plan.config
    body = Planned(
        dry_run=True,
        clients=[_client(d, shows_secret=False) for d in plan.devices],
        channels=[_channel(c) for c in plan.channels],
        connections=[_connection(c) for c in plan.connections],
        bootstrap={}
        if config is None
        else {"client_id": config.device_id, "external_id": config.external_id, "channels": config.channels},
    )
    return Reply(body=body)


_FLAG = {"type": "boolean", "default": False}


def _tenant(tx: Tx, caller: Caller, domain: str | None, options: Options) -> TenantId:
    return TenantId(domain) if domain is not None else tenancy.tenant_for(tx, caller, options.domain_id)


def _provision(
    tx: Tx,
    caller: Caller,
    domain: str | None,
    options: Options,
    asked: planning.Request,
    signer: Signer | None = None,
) -> Provisioned:
    tenant = _tenant(tx, caller, domain, options)
    return provision.provision(tx, caller, tenant, options.layout, options.layout_digest, asked, signer)


async def _with_certificates(
    request: AnyRequest,
    domain: str | None,
    asked: planning.Request,
    desk: Desk,
    options: Options,
    known: Evidence | None,
) -> Rendered[Mapped]:
    """Provision where the layout makes certificates: whatever takes long is got between two attempts."""
    if options.pki is not None and options.pki.is_remote:
        ids = await desk.store.read(provision.new_ids, options.layout)
        asked = replace(asked, device_ids=ids)

    async def attempt(signer: Signer) -> Rendered[Mapped]:
        args = (domain, options, asked, signer)
        return await desk.run(request, _provision, *args, evidence=known, reply=_mapped)

    return await issuing(options.pki, attempt)


def _preview(tx: Tx, caller: Caller, domain: str | None, options: Options, asked: planning.Request) -> Plan:
    tenant = _tenant(tx, caller, domain, options)
    return provision.preview(tx, caller, tenant, options.layout, options.layout_digest, asked)


async def _post(
    request: AnyRequest, domain: str | None, data: Mapping, desk: Desk, options: Options
) -> Rendered[Mapped]:
    asked, known = read(data, options), await auth.unless_said(request, options.provisioner)
    if flag(request, "dry_run"):
        return await desk.read(request, _preview, domain, options, asked, evidence=known, reply=_planned)
    if options.layout.makes_certificates:
        return await _with_certificates(request, domain, asked, desk, options, known)
    return await desk.run(request, _provision, domain, options, asked, evidence=known, reply=_mapped)


_DRY = {200: ResponseSpec(Planned, description="What a call would make (`dry_run=true`).")}
_MAPPING = {"content_type": "exact", "query": {"dry_run": _FLAG}, "token": "optional"}


@post("/mapping", operation_id="provision", status_code=201, opt=_MAPPING, responses=_DRY)
async def post_mapping(request: AnyRequest, data: Mapping, desk: Desk, options: Options) -> Rendered[Mapped]:
    """Provision a gateway in the configured or the caller's own domain: all of it or nothing."""
    return await _post(request, None, data, desk, options)


@post(
    "/{domain:str}/mapping", operation_id="provisionInDomain", status_code=201, opt=_MAPPING, responses=_DRY
)
async def post_mapping_in(
    request: AnyRequest, domain: str, data: Mapping, desk: Desk, options: Options
) -> Rendered[Mapped]:
    """Provision a gateway: clients, channels, connections and bootstrap configuration, or nothing."""
    return await _post(request, domain, data, desk, options)


def _content(tx: Tx, caller: Caller, domain: str | None, options: Options) -> Json:
    access.enter(tx, caller, _tenant(tx, caller, domain, options))
    return options.layout.content


def _shown(content: Json) -> Reply:
    # As bytes, because no body at all is not `null`.
    return Reply(body=msgspec.json.encode(content) + b"\n")


@get("/mapping", operation_id="getLayoutContent", opt={"token": "optional"})
async def get_mapping(request: AnyRequest, desk: Desk, options: Options) -> Rendered[Json]:
    """Show the content that provisioned gateways fetch; `null` without one."""
    known = await auth.unless_said(request, options.provisioner)
    return await desk.read(request, _content, None, options, evidence=known, reply=_shown)


@get("/{domain:str}/mapping", operation_id="getLayoutContentInDomain", opt={"token": "optional"})
async def get_mapping_in(request: AnyRequest, domain: str, desk: Desk, options: Options) -> Rendered[Json]:
    """Show the content that provisioned gateways fetch; `null` without one."""
    known = await auth.unless_said(request, options.provisioner)
    return await desk.read(request, _content, domain, options, evidence=known, reply=_shown)


def _removed(removed: Removed) -> Reply:
    body = Unmapped(clients=list(removed.devices), channels=list(removed.channels), kept=dict(removed.kept))
    return Reply(body=body)


@delete(
    "/{domain:str}/mapping/{external_id:path}",
    operation_id="unprovision",
    status_code=200,
    opt={"query": {"force": _FLAG}},
)
async def delete_mapping(
    request: AnyRequest, domain: str, external_id: str, desk: Desk
) -> Rendered[Unmapped]:
    """Delete exactly what a mapping made; what was changed or shared since stays unless `force=true`."""
    args = (TenantId(domain), external_id.removeprefix("/"))
    is_forced = bool(flag(request, "force"))
    return await desk.run(request, unprovision.unprovision, *args, is_forced=is_forced, reply=_removed)


HANDLERS = [post_mapping, post_mapping_in, get_mapping, get_mapping_in, delete_mapping]
