"""Bootstrap: what a device fetches with its external id and key, and how operators prepare it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from muster.core import access, connections, names, pki, registry, validity
from muster.core.access import Caller, record, require
from muster.core.certificates import Certificate, Shown
from muster.core.errors import Conflict, Forbidden, NotFound
from muster.core.mappings import spoil_answers
from muster.core.model import (
    BootstrapConfig,
    Channel,
    ChannelId,
    Device,
    Flow,
    Kind,
    Secret,
    Status,
    Tenant,
    TenantId,
)
from muster.core.ports import ANYWHERE, Condition, Is, OneOf, Order, Page, Tx, Window
from muster.core.registry import NewDevice

_PLACES = {"control": 0, "data": 1, "export": 2}


def in_order(channels: Iterable[Channel]) -> list[Channel]:
    """Order channels as devices expect them: control, data, export, then as they came (spec D.1)."""
    return sorted(channels, key=lambda c: _PLACES.get(str(c.metadata.get("type")), len(_PLACES)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigView:
    """A bootstrap configuration with what is true of its device and channels now."""

    config: BootstrapConfig
    device: Device
    channels: tuple[Channel, ...]
    is_active: bool
    """Connected, both ways, to every channel it lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a device is given when it fetches its configuration."""

    config: BootstrapConfig
    device: Device
    channels: tuple[Channel, ...]
    certificate: Certificate | None
    """The device's newest good one."""

    def credentials(self, ca_bundle: str) -> tuple[str, str, str]:
        """Give certificate, key and CA for the device, PEM; what an operator put in goes first."""
        config, issued = self.config, self.certificate
        if config.client_cert or issued is None:
            key = config.client_key.reveal() if config.client_key is not None else ""
            return config.client_cert, key, config.ca_cert
        key = issued.key.reveal() if issued.key is not None else ""
        return issued.certificate, key, config.ca_cert or ca_bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConfig:
    """What a bootstrap configuration is created from; without a device one is created too."""

    external_id: str
    external_key: Secret
    channels: Sequence[str] = ()
    device_id: str | None = None
    name: str = ""
    content: str = ""
    client_cert: str = ""
    client_key: Secret | None = None
    ca_cert: str = ""


class UnknownExternalId(NotFound):
    """No bootstrap configuration has this external id."""


class WrongExternalKey(Forbidden):
    """The external key is wrong, or the device may not take part."""


# --- the device's side -------------------------------------------------------------------------------


def fetch(tx: Tx, external_id: str, external_key: Secret | None) -> Served:
    """Give the configuration to the device that knows its key.

    It names no tenant: the pair of id and key is unique in the installation. UnknownExternalId for an unknown
    id, WrongExternalKey for a wrong key or when device or tenant are disabled; both after the same work.
    """
    plain = external_key or Secret("")
    found = tx.find(BootstrapConfig, ANYWHERE, external_id=external_id, external_key=plain)
    if found is None or found.external_key != plain:
        # Counted, not read: to unseal what is found would tell by the time it takes.
        known = tx.count(BootstrapConfig, ANYWHERE, Is("external_id", external_id))
        raise WrongExternalKey if known else UnknownExternalId
    return _fetched(tx, found)


def fetch_by_certificate(tx: Tx, external_id: str, shown: Shown) -> Served:
    """Give the configuration to the device that shows its certificate instead of its key; errors as fetch."""
    device = pki.identify(tx, shown)
    if not isinstance(device, Device):
        raise WrongExternalKey
    found = tx.find(BootstrapConfig, device.tenant_id, device_id=device.id)
    if found is None or found.external_id != external_id:
        raise WrongExternalKey
    return _fetched(tx, found)


def _fetched(tx: Tx, config: BootstrapConfig) -> Served:
    tenant, device = tx.get(Tenant, ANYWHERE, config.tenant_id), _device(tx, config)
    if tenant is None or tenant.status is not Status.ENABLED or device.status is not Status.ENABLED:
        raise WrongExternalKey
    certificate, is_barred = validity.standing_of(tx, config.tenant_id, config.device_id)
    if is_barred:
        raise WrongExternalKey
    return Served(config=config, device=device, channels=_listed(tx, config), certificate=certificate)


def _device(tx: Tx, config: BootstrapConfig) -> Device:
    device = tx.get(Device, config.tenant_id, config.device_id)
    if device is None:
        raise NotFound
    return device


def _listed(tx: Tx, config: BootstrapConfig) -> tuple[Channel, ...]:
    found = {c.id: c for c in tx.select(Channel, config.tenant_id, OneOf("id", config.channels))}
    return tuple(found[i] for i in config.channels if i in found)


def _viewed(tx: Tx, config: BootstrapConfig, device: Device) -> ConfigView:
    listed = _listed(tx, config)
    flows = connections.flows_of(tx, config.tenant_id, config.device_id)
    is_active = bool(listed) and all(flows.get(c.id) == Flow.BOTH for c in listed)
    return ConfigView(config=config, device=device, channels=listed, is_active=is_active)


# --- the operator's side -----------------------------------------------------------------------------


def create_config(tx: Tx, caller: Caller, tenant_id: TenantId, new: NewConfig) -> BootstrapConfig:
    """Prepare a device's first fetch. Conflict when the external id is taken in the tenant."""
    standing = access.enter(tx, caller, tenant_id)
    names.check_key("external_id", new.external_id)
    if new.device_id is None:
        # Upstream names the client it makes so (spec A.9).
        device_id = tx.new_id()
        new_device = NewDevice(id=device_id, name=f"Bootstrapped Client {device_id}")
        device = registry.create_devices(tx, caller, tenant_id, [new_device])[0]
    else:
        found = tx.get(Device, tenant_id, new.device_id)
        require(tx, standing, Kind.DEVICE, found, "update")
        if found is None:
            raise NotFound
        device = found
        if tx.find(BootstrapConfig, tenant_id, device_id=device.id) is not None:
            raise Conflict("the device has a bootstrap configuration already")
    channels = _channels(tx, standing, new.channels)
    config = BootstrapConfig(
        tenant_id=tenant_id,
        device_id=device.id,
        external_id=new.external_id,
        external_key=new.external_key,
        name=new.name,
        content=new.content,
        channels=tuple(c.id for c in in_order(channels)),
        client_cert=new.client_cert,
        client_key=new.client_key,
        ca_cert=new.ca_cert,
        created_by=caller.id,
        created_at=tx.now,
    )
    tx.add(config)
    record(tx, caller, tenant_id, "bootstrap.create", [device.id])
    return config


def _channels(tx: Tx, standing: access.Standing, ids: Sequence[str]) -> list[Channel]:
    found = {c.id: c for c in tx.select(Channel, standing.tenant.id, OneOf("id", list(ids)))}
    for channel_id in ids:
        require(tx, standing, Kind.CHANNEL, found.get(ChannelId(channel_id)), "connect_to_device")
    return [found[ChannelId(i)] for i in dict.fromkeys(ids)]


def _own(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, action: str) -> ConfigView:
    standing = access.enter(tx, caller, tenant_id)
    config = tx.find(BootstrapConfig, tenant_id, device_id=device_id)
    if config is None:
        raise NotFound
    view = _viewed(tx, config, _device(tx, config))
    require(tx, standing, Kind.DEVICE, view.device, action)
    return view


def get_config(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str) -> ConfigView:
    """Give a device's configuration."""
    return _own(tx, caller, tenant_id, device_id, "read")


def list_configs(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    *conditions: Condition,
    device_secret: Secret | None = None,
    window: Window,
) -> Page[ConfigView]:
    """List the configurations of the devices the caller may read; *device_secret* narrows it to one."""
    standing = access.enter(tx, caller, tenant_id)
    if device_secret is not None:
        owner = tx.find(Device, tenant_id, secret=device_secret)
        conditions = (*conditions, Is("device_id", owner.id if owner is not None else None))
    if standing.visible(Kind.DEVICE):
        readable = tx.select(Device, tenant_id, *standing.visible(Kind.DEVICE))
        conditions = (*conditions, OneOf("device_id", [d.id for d in readable]))
    page = tx.page(BootstrapConfig, tenant_id, *conditions, order=Order("created_at"), window=window)
    devices = {d.id: d for d in tx.select(Device, tenant_id, OneOf("id", [c.device_id for c in page.items]))}
    return Page([_viewed(tx, c, devices[c.device_id]) for c in page.items], page.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange:
    """What to change of a configuration; None leaves it."""

    name: str | None = None
    content: str | None = None
    client_cert: str | None = None
    client_key: Secret | None = None
    ca_cert: str | None = None


def update_config(
    tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, change: ConfigChange
) -> BootstrapConfig:
    """Change name, content or certificates of a configuration."""
    config = _own(tx, caller, tenant_id, device_id, "update").config
    given = {name: getattr(change, name) for name in change.__slots__ if getattr(change, name) is not None}
    changed = replace(config, updated_at=tx.now, **given)
    tx.change(changed)
    record(tx, caller, tenant_id, "bootstrap.update", [device_id])
    return changed


def set_channels(
    tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, channel_ids: Sequence[str]
) -> BootstrapConfig:
    """Put other channels into the configuration; an active device is connected and disconnected to match."""
    view = _own(tx, caller, tenant_id, device_id, "update")
    channels = in_order(_channels(tx, access.enter(tx, caller, tenant_id), channel_ids))
    ids = tuple(c.id for c in channels)
    if view.is_active:
        connections.unlink(
            tx, tenant_id, [c for c in view.config.channels if c not in ids], [view.device.id], Flow.BOTH
        )
        connections.link(tx, tenant_id, ids, [view.device.id], Flow.BOTH)
        spoil_answers(tx, tenant_id, [view.device])
    changed = replace(view.config, channels=ids, updated_at=tx.now)
    tx.change(changed)
    record(tx, caller, tenant_id, "bootstrap.channels", [device_id], {"channels": list(ids)})
    return changed


def set_active(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, *, is_active: bool) -> None:
    """Let the device speak on all its channels, or on none of them; safe to repeat.

    Needs the right to connect on the device and on each channel.
    """
    view = _own(tx, caller, tenant_id, device_id, "connect_to_channel")
    channels = _channels(tx, access.enter(tx, caller, tenant_id), [c.id for c in view.channels])
    change = connections.link if is_active else connections.unlink
    change(tx, tenant_id, [c.id for c in channels], [view.device.id], Flow.BOTH)
    spoil_answers(tx, tenant_id, [view.device])
    operation = "bootstrap.activate" if is_active else "bootstrap.deactivate"
    record(tx, caller, tenant_id, operation, [device_id])


def delete_config(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str) -> None:
    """Delete a configuration, if there is one; the device stays. NotFound without a device."""
    standing = access.enter(tx, caller, tenant_id)
    require(tx, standing, Kind.DEVICE, tx.get(Device, tenant_id, device_id), "update")
    if tx.find(BootstrapConfig, tenant_id, device_id=device_id) is None:
        return
    tx.remove(BootstrapConfig, tenant_id, device_id=device_id)
    record(tx, caller, tenant_id, "bootstrap.delete", [device_id])
