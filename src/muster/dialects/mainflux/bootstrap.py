"""Bootstrap configurations, and the fetch of a thing (spec B.5, D.1)."""

from collections.abc import Callable

import msgspec
from litestar import delete, get, patch, post, put
from msgspec.structs import replace

from muster.core import bootstrap
from muster.core.access import Caller
from muster.core.bootstrap import ConfigChange, ConfigView, NewConfig, Served
from muster.core.errors import Malformed, NotFound, Unauthenticated
from muster.core.model import BootstrapConfig, Channel, Device, Secret
from muster.core.names import check_name
from muster.core.planning import NO_CONTENT
from muster.core.ports import Active, Condition, Has, Is, Page, Tx, Window
from muster.dialects.mainflux import queries, wire
from muster.dialects.mainflux.options import Options
from muster.dialects.mainflux.places import home, tenant_of
from muster.dialects.mainflux.problems import fetch_problem
from muster.web import fetching
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.fetching import Fetch
from muster.web.reply import JSON
from muster.web.wire import number, text, window

MAX_EXTERNAL = 1024
"""Bytes of an external id or key."""


class NewConfigIn(wire.In, kw_only=True):
    """A configuration to be created; without a thing one is created too."""

    thing_id: str | None = None
    external_id: str | None = None
    external_key: str | None = None
    channels: list[str] | None = None
    name: str | None = None
    content: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ca_cert: str | None = None


class Config(wire.Out, kw_only=True):
    """A configuration as operators see it."""

    mainflux_id: str
    mainflux_key: str = ""
    mainflux_channels: list[wire.ChannelOut] | msgspec.UnsetType = msgspec.UNSET
    external_id: str
    external_key: str = ""
    content: str = ""
    name: str = ""
    state: int | msgspec.UnsetType = msgspec.UNSET


class ConfigPage(msgspec.Struct, kw_only=True):
    """A window of configurations."""

    total: int
    offset: int
    limit: int
    configs: list[Config]


class Update(wire.In, kw_only=True):
    """A new name or content."""

    name: str | None = None
    content: str | None = None


class Certificates(wire.In, kw_only=True):
    """Certificates for the thing to fetch, PEM."""

    client_cert: str | None = None
    client_key: str | None = None
    ca_cert: str | None = None


class ChannelIds(wire.In, kw_only=True):
    """Other channels for the configuration."""

    channels: list[str] | None = None


class State(wire.In, kw_only=True):
    """0: silent, 1: connected to all channels of the configuration."""

    state: int | None = None


class Fetched(wire.Out, kw_only=True):
    """What a thing fetches, in the words of all agents there are (spec D.1)."""

    mainflux_id: str
    mainflux_key: str = ""
    mainflux_channels: list[wire.ChannelOut] | msgspec.UnsetType = msgspec.UNSET
    content: str
    client_cert: str = ""
    client_key: str = ""
    ca_cert: str = ""
    client_id: str
    client_secret: str = ""
    channels: list[wire.ChannelOut] | msgspec.UnsetType = msgspec.UNSET


def _plain(secret: Secret | None) -> str:
    return secret.reveal() if secret is not None else ""


def config(view: ConfigView) -> Config:
    """Show a configuration to an operator; certificates are for the thing only."""
    return Config(
        mainflux_id=view.device.id,
        mainflux_key=_plain(view.device.secret),
        mainflux_channels=[wire.channel(c) for c in view.channels],
        external_id=view.config.external_id,
        external_key=view.config.external_key.reveal(),
        content=view.config.content,
        name=view.config.name,
        state=int(view.is_active),
    )


def fetched(view: Served, ca_bundle: str = "") -> Fetched:
    """Show a configuration to its thing. Agents parse the content, so it is never empty."""
    client_cert, client_key, ca_cert = view.credentials(ca_bundle)
    channels, key = [wire.channel(c) for c in view.channels], _plain(view.device.secret)
    return Fetched(
        mainflux_id=view.device.id,
        mainflux_key=key,
        mainflux_channels=channels,
        content=view.config.content or NO_CONTENT,
        client_cert=client_cert,
        client_key=client_key,
        ca_cert=ca_cert,
        client_id=view.device.id,
        client_secret=key,
        channels=channels,
    )


# --- the operator's side -------------------------------------------------------------------------------


def _draft(data: NewConfigIn, options: Options) -> NewConfig:
    if not data.external_id or not data.external_key:
        raise Malformed("missing external id or key")
    if max(len(data.external_id.encode()), len(data.external_key.encode())) > MAX_EXTERNAL:
        raise Malformed(f"external id and key have at most {MAX_EXTERNAL} bytes")
    return NewConfig(
        external_id=data.external_id,
        external_key=Secret(data.external_key),
        channels=data.channels or (),
        device_id=data.thing_id or None,
        name=check_name(data.name or ""),
        content=options.content(data.content),
        client_cert=data.client_cert or "",
        client_key=Secret(data.client_key) if data.client_key else None,
        ca_cert=data.ca_cert or "",
    )


def _create(tx: Tx, caller: Caller, new: NewConfig) -> BootstrapConfig:
    tenant = home(caller)
    if new.device_id is not None:
        tenant = tenant_of(tx, caller, Device, new.device_id)
    elif new.channels:
        tenant = tenant_of(tx, caller, Channel, new.channels[0])
    return bootstrap.create_config(tx, caller, tenant, new)


def _created(made: BootstrapConfig) -> Reply:
    return wire.empty(201, Location=f"/things/configs/{made.device_id}")


@post("/things/configs", operation_id="createConfig", status_code=201, opt={"errors": (NotFound,)})
async def create_config(
    request: AnyRequest, data: NewConfigIn, desk: Desk, options: Options
) -> Rendered[None]:
    """Prepare the first fetch of a thing."""
    return await desk.run(request, _create, _draft(data, options), reply=_created)


_FILTERS = {
    **queries.PAGE,
    "state": {"type": "integer", "enum": [0, 1]},
    **dict.fromkeys(("external_id", "mainflux_id", "mainflux_key", "name")),
}


def _filters(request: AnyRequest) -> list[Condition]:
    conditions: list[Condition] = []
    state, name = number(request, "state"), text(request, "name")
    if state is not None:
        conditions.append(Active(is_active=_is_active(state)))
    if name is not None:
        conditions.append(Has("name", name))
    for parameter, field in {"external_id": "external_id", "mainflux_id": "device_id"}.items():
        wanted = text(request, parameter)
        if wanted is not None:
            conditions.append(Is(field, wanted))
    return conditions


def _is_active(state: int | None) -> bool:
    if state not in (0, 1):
        raise Malformed("invalid state")
    return state == 1


def _listed(
    tx: Tx, caller: Caller, conditions: list[Condition], key: str | None, part: Window
) -> Page[ConfigView]:
    if key is not None:
        holder = tx.find(Device, home(caller), secret=Secret(key))
        conditions = [*conditions, Is("device_id", holder.id if holder is not None else "")]
    return bootstrap.list_configs(tx, caller, home(caller), *conditions, window=part)


@get("/things/configs", operation_id="listConfigs", opt={"query": _FILTERS})
async def list_configs(request: AnyRequest, desk: Desk) -> Rendered[ConfigPage]:
    """List the configurations of the caller's things."""
    part = window(request, queries.LIST)

    def shown(page: Page[ConfigView]) -> Reply:
        configs, limit = [config(view) for view in page.items], part.limit or 0
        return Reply(body=ConfigPage(total=page.total, offset=part.offset, limit=limit, configs=configs))

    args = (_filters(request), text(request, "mainflux_key"), part)
    return await desk.read(request, _listed, *args, reply=shown)


def _get(tx: Tx, caller: Caller, thing: str) -> ConfigView:
    return bootstrap.get_config(tx, caller, tenant_of(tx, caller, Device, thing), thing)


@get("/things/configs/{thing:str}", operation_id="getConfig")
async def get_config(request: AnyRequest, thing: str, desk: Desk) -> Rendered[Config]:
    """Show a configuration."""
    return await desk.read(request, _get, thing, reply=lambda view: Reply(body=config(view)))


def _update(tx: Tx, caller: Caller, thing: str, change: ConfigChange) -> BootstrapConfig:
    return bootstrap.update_config(tx, caller, tenant_of(tx, caller, Device, thing), thing, change)


@put("/things/configs/{thing:str}", operation_id="updateConfig")
async def update_config(
    request: AnyRequest, thing: str, data: Update, desk: Desk, options: Options
) -> Rendered[None]:
    """Put name and content in place of the old ones."""
    change = ConfigChange(name=check_name(data.name or ""), content=options.content(data.content))
    return await desk.run(request, _update, thing, change, reply=lambda _: wire.empty())


@patch("/things/configs/certs/{thing:str}", operation_id="updateConfigCertificates")
async def update_certificates(
    request: AnyRequest, thing: str, data: Certificates, desk: Desk
) -> Rendered[None]:
    """Put other certificates into a configuration."""
    change = ConfigChange(
        client_cert=data.client_cert,
        client_key=Secret(data.client_key) if data.client_key else None,
        ca_cert=data.ca_cert,
    )
    return await desk.run(request, _update, thing, change, reply=lambda _: wire.empty())


def _set_channels(tx: Tx, caller: Caller, thing: str, channels: list[str]) -> BootstrapConfig:
    return bootstrap.set_channels(tx, caller, tenant_of(tx, caller, Device, thing), thing, channels)


@put("/things/configs/connections/{thing:str}", operation_id="updateConfigConnections")
async def update_connections(request: AnyRequest, thing: str, data: ChannelIds, desk: Desk) -> Rendered[None]:
    """Put other channels into a configuration; an active thing is connected accordingly."""
    args = (thing, data.channels or [])
    return await desk.run(request, _set_channels, *args, reply=lambda _: wire.empty())


def _delete(tx: Tx, caller: Caller, thing: str) -> None:
    bootstrap.delete_config(tx, caller, tenant_of(tx, caller, Device, thing), thing)


@delete("/things/configs/{thing:str}", operation_id="deleteConfig", status_code=204)
async def delete_config(request: AnyRequest, thing: str, desk: Desk) -> Rendered[None]:
    """Delete a configuration; the thing stays."""
    return await desk.run(request, _delete, thing, reply=lambda _: wire.empty(204))


def _set_state(tx: Tx, caller: Caller, thing: str, *, is_active: bool) -> None:
    tenant = tenant_of(tx, caller, Device, thing)
    bootstrap.set_active(tx, caller, tenant, thing, is_active=is_active)


@put("/things/state/{thing:str}", operation_id="setState")
async def set_state(request: AnyRequest, thing: str, data: State, desk: Desk) -> Rendered[None]:
    """Whitelist a thing (1: connect it to all channels of its configuration) or silence it (0)."""
    is_active = _is_active(data.state)
    return await desk.run(request, _set_state, thing, is_active=is_active, reply=lambda _: wire.empty())


# --- the thing's side ----------------------------------------------------------------------------------


def _how(options: Options, reads_key: Callable[[str], str] = str) -> Fetch:
    missing = Unauthenticated()
    return Fetch(throttle=options.throttle, pki=options.pki, missing=missing, reads_key=reads_key)


_FETCH = {"public": True, "problem": fetch_problem}


def _reads_ids(request: AnyRequest) -> bool:
    """Say whether it is upstream's own SDK, which stops at `channels` that are more than ids.

    It is told from the Agent, written in Go as well, by the content type it gives a request without a body.
    """
    agent, kind = request.headers.get("user-agent", ""), request.headers.get("content-type", "")
    return agent.startswith("Go-http-client") and kind == JSON


@get("/things/bootstrap/{external_id:path}", operation_id="bootstrap", opt=_FETCH)
async def fetch(request: AnyRequest, external_id: str, desk: Desk, options: Options) -> Rendered[Fetched]:
    """Give a thing its configuration for its external id and key."""

    def answer(view: Served, bundle: str) -> Reply:
        body = fetched(view, bundle)
        return Reply(body=replace(body, channels=msgspec.UNSET) if _reads_ids(request) else body)

    return await fetching.fetch(request, external_id, desk, _how(options), answer)


@get("/things/bootstrap/secure/{external_id:path}", operation_id="bootstrapSecure", opt=_FETCH)
async def fetch_secure(
    request: AnyRequest, external_id: str, desk: Desk, options: Options
) -> Rendered[Fetched]:
    """Do the same with key and reply encrypted with the installation's bootstrap key (spec A.9).

    Upstream of this time calls the sealed bytes JSON.
    """
    opened, sealed = options.bootstrap_open, options.bootstrap_seal
    if opened is None or sealed is None:
        raise NotFound

    def answer(view: Served, bundle: str) -> Reply:
        return Reply(body=sealed(msgspec.json.encode(fetched(view, bundle))))

    return await fetching.fetch(request, external_id, desk, _how(options, opened), answer)


HANDLERS = [
    create_config,
    list_configs,
    get_config,
    update_config,
    delete_config,
    update_certificates,
    update_connections,
    set_state,
    fetch,
    fetch_secure,
]
