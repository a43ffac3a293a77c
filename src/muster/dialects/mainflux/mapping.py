"""One call that provisions a gateway: `/mapping` (spec C.3), in the words of 2021."""

from dataclasses import replace

import msgspec
from litestar import get, post

from muster.core import access, planning, provision, tenancy
from muster.core.access import Caller, Evidence
from muster.core.errors import Malformed
from muster.core.keyholders import Signer
from muster.core.model import Json, Secret, TenantId
from muster.core.names import check_name
from muster.core.ports import Tx
from muster.core.provision import Provisioned
from muster.dialects.mainflux import wire
from muster.dialects.mainflux.bootstrap import MAX_EXTERNAL
from muster.dialects.mainflux.options import Options
from muster.web import auth
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.issuing import issuing


class Mapping(wire.In, kw_only=True):
    """What a gateway is provisioned from."""

    external_id: str | None = None
    external_key: str | None = None
    name: str | None = None
    csr: str | None = None
    """Ours: the gateway's signing request, where the layout makes certificates."""


class Mapped(wire.Out, kw_only=True):
    """What one call made."""

    things: list[wire.Thing]
    channels: list[wire.ChannelOut]
    client_cert: dict[str, str] = {}
    client_key: dict[str, str] = {}
    ca_cert: str = ""
    whitelisted: dict[str, bool] = {}


def _read(data: Mapping) -> planning.Request:
    if not data.external_id or not data.external_key:
        raise Malformed("missing external id or key")
    if max(len(data.external_id.encode()), len(data.external_key.encode())) > MAX_EXTERNAL:
        raise Malformed(f"external id and key have at most {MAX_EXTERNAL} bytes")
    return planning.Request(
        external_id=data.external_id,
        external_key=Secret(data.external_key),
        name=check_name(data.name or ""),
        csr=data.csr or "",
    )


def _tenant(tx: Tx, caller: Caller, options: Options) -> TenantId:
    return tenancy.tenant_for(tx, caller, options.domain_id)


def _provision(
    tx: Tx, caller: Caller, options: Options, asked: planning.Request, signer: Signer | None = None
) -> Provisioned:
    tenant = _tenant(tx, caller, options)
    return provision.provision(tx, caller, tenant, options.layout, options.layout_digest, asked, signer)


async def _with_certificates(
    request: AnyRequest, asked: planning.Request, desk: Desk, options: Options, known: Evidence | None
) -> Rendered[Mapped]:
    """Provision where the layout makes certificates: whatever takes long is got between two attempts."""
    if options.pki is not None and options.pki.is_remote:
        ids = await desk.store.read(provision.new_ids, options.layout)
        asked = replace(asked, device_ids=ids)

    async def attempt(signer: Signer) -> Rendered[Mapped]:
        return await desk.run(request, _provision, options, asked, signer, evidence=known, reply=_mapped)

    return await issuing(options.pki, attempt)


def _mapped(made: Provisioned) -> Reply:
    body = Mapped(
        things=[wire.thing(d) for d in made.devices],
        channels=[wire.channel(c) for c in made.channels],
        client_cert=dict(made.client_cert),
        client_key=dict(made.client_key),
        ca_cert=made.ca_cert,
        whitelisted=dict.fromkeys(made.whitelisted, True),
    )
    return Reply(status=201, body=body)


@post(
    "/mapping",
    operation_id="provision",
    status_code=201,
    opt={"content_type": "exact", "token": "optional"},
)
async def post_mapping(request: AnyRequest, data: Mapping, desk: Desk, options: Options) -> Rendered[Mapped]:
    """Provision a gateway: things, channels, connections and bootstrap configuration, or nothing."""
    asked, known = _read(data), await auth.unless_said(request, options.provisioner)
    if options.layout.makes_certificates:
        return await _with_certificates(request, asked, desk, options, known)
    return await desk.run(request, _provision, options, asked, evidence=known, reply=_mapped)


def _content(tx: Tx, caller: Caller, options: Options) -> Json:
    access.enter(tx, caller, _tenant(tx, caller, options))
    return options.layout.content


@get("/mapping", operation_id="getLayoutContent", opt={"token": "optional"})
async def get_mapping(request: AnyRequest, desk: Desk, options: Options) -> Rendered[Json]:
    """Show the content that provisioned gateways fetch; `null` without one."""
    known = await auth.unless_said(request, options.provisioner)

    def shown(content: Json) -> Reply:
        return Reply(body=msgspec.json.encode(content))

    return await desk.read(request, _content, options, evidence=known, reply=shown)


HANDLERS = [post_mapping, get_mapping]
