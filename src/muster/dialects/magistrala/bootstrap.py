"""Bootstrap configurations, and the device's fetch (spec A.9, D.1)."""

from collections.abc import Callable

import msgspec
from litestar import delete, get, patch, post, put

from muster.core import bootstrap
from muster.core.bootstrap import ConfigChange, ConfigView, NewConfig, Served
from muster.core.errors import Malformed, NotFound
from muster.core.model import BootstrapConfig, Json, Secret, TenantId
from muster.core.names import check_name
from muster.core.ports import Active, Condition, Has, Is, Page
from muster.dialects.magistrala import queries, wire
from muster.dialects.magistrala.options import Options
from muster.web import fetching
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.fetching import Fetch
from muster.web.reply import segment
from muster.web.wire import number, text, window

MAX_EXTERNAL = 1024
"""Bytes of an external id or key."""


class NewConfigIn(wire.In, kw_only=True):
    """A configuration to be created."""

    external_id: str | None = None
    external_key: str | None = None
    channels: list[str] | None = None
    client_id: str | None = None
    name: str | None = None
    content: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ca_cert: str | None = None


class ConfigChannel(wire.Out, kw_only=True):
    """A channel in a configuration."""

    id: str
    name: str = ""
    metadata: dict[str, Json] = {}


class Config(wire.Out, kw_only=True):
    """A configuration as operators see it."""

    client_id: str
    client_secret: str = ""
    channels: list[ConfigChannel] | msgspec.UnsetType = msgspec.UNSET
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
    """Certificates for the device to fetch, PEM."""

    client_cert: str | None = None
    client_key: str | None = None
    ca_cert: str | None = None


class CertificatesOut(wire.Out, kw_only=True):
    """The certificates just stored."""

    client_id: str
    ca_cert: str = ""
    client_cert: str = ""
    client_key: str = ""


class Channels(wire.In, kw_only=True):
    """Other channels for the configuration."""

    channels: list[str] | None = None


class State(wire.In, kw_only=True):
    """0: silent, 1: connected to all channels of the configuration."""

    state: int | None = None


class Fetched(wire.Out, kw_only=True):
    """What a device fetches, in the words of all agents there are (spec D.1)."""

    client_id: str
    client_secret: str = ""
    channels: list[ConfigChannel] | msgspec.UnsetType = msgspec.UNSET
    mainflux_id: str
    mainflux_key: str = ""
    mainflux_channels: list[ConfigChannel] | msgspec.UnsetType = msgspec.UNSET
    content: str = ""
    client_cert: str = ""
    client_key: str = ""
    ca_cert: str = ""


def _channels(view: ConfigView | Served) -> list[ConfigChannel]:
    return [ConfigChannel(id=c.id, name=c.name, metadata=dict(c.metadata)) for c in view.channels]


def config(view: ConfigView) -> Config:
    """Show a configuration to an operator; certificates are for the device only."""
    secret = view.device.secret
    return Config(
        client_id=view.device.id,
        client_secret=secret.reveal() if secret is not None else "",
        channels=_channels(view),
        external_id=view.config.external_id,
        external_key=view.config.external_key.reveal(),
        content=view.config.content,
        name=view.config.name,
        state=int(view.is_active),
    )


def fetched(view: Served, ca_bundle: str = "") -> Fetched:
    """Show a configuration to its device; certificates an operator put in go before those issued here."""
    secret = view.device.secret.reveal() if view.device.secret is not None else ""
    channels = _channels(view)
    certificate, key, ca_cert = view.credentials(ca_bundle)
    return Fetched(
        client_id=view.device.id,
        client_secret=secret,
        channels=channels,
        mainflux_id=view.device.id,
        mainflux_key=secret,
        mainflux_channels=channels,
        content=view.config.content,
        client_cert=certificate,
        client_key=key,
        ca_cert=ca_cert,
    )


# --- the operator's side -----------------------------------------------------------------------------


def _draft(data: NewConfigIn, options: Options) -> NewConfig:
    if not data.external_id:
        raise Malformed("missing entity id")
    if not data.external_key:
        raise Malformed("missing or invalid bearer entity key")
    if not data.channels:
        raise Malformed("empty list provided")
    if max(len(data.external_id.encode()), len(data.external_key.encode())) > MAX_EXTERNAL:
        raise Malformed(f"external id and key have at most {MAX_EXTERNAL} bytes")
    return NewConfig(
        external_id=data.external_id,
        external_key=Secret(data.external_key),
        channels=data.channels,
        device_id=data.client_id or None,
        name=check_name(data.name or ""),
        content=_content(data.content, options) or "",
        client_cert=data.client_cert or "",
        client_key=Secret(data.client_key) if data.client_key else None,
        ca_cert=data.ca_cert or "",
    )


def _content(content: str | None, options: Options) -> str | None:
    if content and len(content.encode()) > options.max_content:
        raise Malformed(f"content takes more than {options.max_content:d} bytes")
    return content


def _created(made: BootstrapConfig) -> Reply:
    return Reply(status=201, headers={"Location": f"/clients/configs/{segment(made.device_id)}"})


@post("/{domain:str}/clients/configs", operation_id="createConfig", status_code=201)
async def create_config(
    request: AnyRequest, domain: str, data: NewConfigIn, desk: Desk, options: Options
) -> Rendered[None]:
    """Prepare a device's first fetch; without `client_id` a client is made."""
    args = (TenantId(domain), _draft(data, options))
    return await desk.run(request, bootstrap.create_config, *args, reply=_created)


_STATE = {"type": "integer", "enum": [0, 1]}
_FILTERS: queries.Schemas = {
    **queries.PAGE,
    "state": _STATE,
    **dict.fromkeys(("external_id", "client_id", "client_key", "name"), queries.TEXT),
}


@get("/{domain:str}/clients/configs", operation_id="listConfigs", opt={"query": _FILTERS})
async def list_configs(request: AnyRequest, domain: str, desk: Desk) -> Rendered[ConfigPage]:
    """List configurations."""
    asked = window(request)
    conditions: list[Condition] = []
    state, name = number(request, "state"), text(request, "name")
    if state is not None:
        conditions.append(Active(_is_active(state)))
    if name is not None:
        conditions.append(Has("name", name))
    for parameter, field in (("external_id", "external_id"), ("client_id", "device_id")):
        wanted = text(request, parameter)
        if wanted is not None:
            conditions.append(Is(field, wanted))
    secret = text(request, "client_key")

    def shown(page: Page[ConfigView]) -> Reply:
        configs = [config(v) for v in page.items]
        body = ConfigPage(total=page.total, offset=asked.offset, limit=asked.limit or 0, configs=configs)
        return Reply(body=body)

    return await desk.read(
        request,
        bootstrap.list_configs,
        TenantId(domain),
        *conditions,
        device_secret=Secret(secret) if secret else None,
        window=asked,
        reply=shown,
    )


def _is_active(state: int | None) -> bool:
    if state not in (0, 1):
        raise Malformed("invalid state")
    return state == 1


@get("/{domain:str}/clients/configs/{client:str}", operation_id="getConfig")
async def get_config(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[Config]:
    """Show a configuration."""

    def shown(view: ConfigView) -> Reply:
        return Reply(body=config(view))

    return await desk.read(request, bootstrap.get_config, TenantId(domain), client, reply=shown)


def _nothing(_: object) -> Reply:
    return Reply()


@put("/{domain:str}/clients/configs/{client:str}", operation_id="updateConfig")
async def update_config(
    request: AnyRequest, domain: str, client: str, data: Update, desk: Desk, options: Options
) -> Rendered[None]:
    """Change name or content."""
    name = None if data.name is None else check_name(data.name)
    change = ConfigChange(name=name, content=_content(data.content, options))
    return await desk.run(request, bootstrap.update_config, TenantId(domain), client, change, reply=_nothing)


@delete("/{domain:str}/clients/configs/{client:str}", operation_id="deleteConfig", status_code=204)
async def delete_config(request: AnyRequest, domain: str, client: str, desk: Desk) -> Rendered[None]:
    """Delete a configuration; the client stays."""
    args = (TenantId(domain), client)
    return await desk.run(request, bootstrap.delete_config, *args, reply=lambda _: Reply(status=204))


@patch("/{domain:str}/clients/configs/certs/{client:str}", operation_id="updateConfigCertificates")
async def update_certificates(
    request: AnyRequest, domain: str, client: str, data: Certificates, desk: Desk
) -> Rendered[CertificatesOut]:
    """Put other certificates into a configuration."""
    change = ConfigChange(
        client_cert=data.client_cert,
        client_key=Secret(data.client_key) if data.client_key else None,
        ca_cert=data.ca_cert,
    )

    def shown(changed: BootstrapConfig) -> Reply:
        key = changed.client_key
        body = CertificatesOut(
            client_id=changed.device_id,
            ca_cert=changed.ca_cert,
            client_cert=changed.client_cert,
            client_key=key.reveal() if key is not None else "",
        )
        return Reply(body=body)

    return await desk.run(request, bootstrap.update_config, TenantId(domain), client, change, reply=shown)


@put("/{domain:str}/clients/configs/connections/{client:str}", operation_id="updateConfigConnections")
async def update_connections(
    request: AnyRequest, domain: str, client: str, data: Channels, desk: Desk
) -> Rendered[None]:
    """Put other channels into a configuration; an active client is connected accordingly."""
    args = (TenantId(domain), client, data.channels or [])
    return await desk.run(request, bootstrap.set_channels, *args, reply=_nothing)


@put("/{domain:str}/clients/state/{client:str}", operation_id="setState")
async def set_state(request: AnyRequest, domain: str, client: str, data: State, desk: Desk) -> Rendered[None]:
    """Whitelist a client (1: connect it to all channels of its configuration) or silence it (0)."""
    is_active = _is_active(data.state)
    args = (TenantId(domain), client)
    return await desk.run(request, bootstrap.set_active, *args, is_active=is_active, reply=_nothing)


# --- the device's side -------------------------------------------------------------------------------


def _how(options: Options, reads_key: Callable[[str], str] = str) -> Fetch:
    missing = Malformed("missing or invalid bearer entity key")
    return Fetch(throttle=options.throttle, pki=options.pki, missing=missing, reads_key=reads_key)


@get(
    "/clients/bootstrap/{external_id:path}",
    operation_id="bootstrap",
    opt={"public": True, "content_type": "any"},
)
async def fetch(request: AnyRequest, external_id: str, desk: Desk, options: Options) -> Rendered[Fetched]:
    """Give a device its configuration for its external id and key."""

    def answer(view: Served, bundle: str) -> Reply:
        return Reply(body=fetched(view, bundle))

    return await fetching.fetch(request, external_id, desk, _how(options), answer)


@get(
    "/clients/bootstrap/secure/{external_id:path}",
    operation_id="bootstrapSecure",
    opt={"public": True, "content_type": "any"},
)
async def fetch_secure(
    request: AnyRequest, external_id: str, desk: Desk, options: Options
) -> Rendered[Fetched]:
    """Do the same with key and reply encrypted with the installation's bootstrap key (spec A.9)."""
    opened, sealed = options.bootstrap_open, options.bootstrap_seal
    if opened is None or sealed is None:
        raise NotFound("no bootstrap encryption key is configured")

    def answer(view: Served, bundle: str) -> Reply:
        body = sealed(msgspec.json.encode(fetched(view, bundle)))
        return Reply(body=body, media_type="application/octet-stream")

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
