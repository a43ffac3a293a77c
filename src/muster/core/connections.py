"""Connections: which device may publish to and subscribe on which channel."""

from collections.abc import Iterable, Sequence

from muster.core import access, events
from muster.core.access import Caller, Standing, record, require
from muster.core.errors import AlreadyConnected, Malformed, NotFound
from muster.core.mappings import spoil_answers
from muster.core.model import Channel, ChannelId, Connection, Device, DeviceId, Flow, Kind, Status, TenantId
from muster.core.ports import Is, OneOf, Tx


def connect(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    channel_ids: Sequence[str],
    device_ids: Sequence[str],
    flow: Flow,
) -> None:
    """Connect each device to each channel. AlreadyConnected when any of it is so already: nothing is done.

    Needs the right to connect on every channel and device; all must be enabled and of the tenant.
    """
    found = _ends(tx, caller, tenant_id, channel_ids, device_ids)
    channels, devices = [c.id for c in found[0]], [d.id for d in found[1]]
    existing = _existing(tx, tenant_id, channels, devices)
    if any(held & flow for held in existing.values()):
        raise AlreadyConnected
    link(tx, tenant_id, channels, devices, flow)
    _recorded(tx, caller, tenant_id, "channel.connect", channels, devices, flow)


def link(
    tx: Tx, tenant_id: TenantId, channels: Iterable[ChannelId], devices: Sequence[DeviceId], flow: Flow
) -> None:
    """Make the connections, leaving alone what is connected already; sessions are refreshed."""
    wanted = list(dict.fromkeys(channels))
    existing = _existing(tx, tenant_id, wanted, devices)
    fresh: list[Connection] = []
    for channel in wanted:
        for device in dict.fromkeys(devices):
            held = existing.get((channel, device))
            made = Connection(
                tenant_id=tenant_id, channel_id=channel, device_id=device, flow=flow | (held or Flow(0))
            )
            if held is None:
                fresh.append(made)
            elif made.flow != held:
                tx.change(made)
    tx.add(*fresh)
    events.rights_changed(tx, tenant_id, devices)


def disconnect(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    channel_ids: Sequence[str],
    device_ids: Sequence[str],
    flow: Flow,
) -> None:
    """Take these kinds of connection away; what is not connected stays so, without complaint."""
    standing = access.enter(tx, caller, tenant_id)
    found = _checked_channels(tx, standing, channel_ids), _checked_devices(tx, standing, device_ids)
    channels, devices = [c.id for c in found[0]], [d.id for d in found[1]]
    unlink(tx, tenant_id, channels, devices, flow)
    # A mapping answers which devices are whitelisted: connected to all of its own channels.
    own = {c.mapping_id for c in found[0]}
    spoil_answers(tx, tenant_id, [d for d in found[1] if d.mapping_id in own])
    _recorded(tx, caller, tenant_id, "channel.disconnect", channels, devices, flow)


def unlink(
    tx: Tx, tenant_id: TenantId, channels: Sequence[ChannelId], devices: Sequence[DeviceId], flow: Flow
) -> None:
    """Take the kinds of connection away; sessions are refreshed."""
    for (channel, device), held in _existing(tx, tenant_id, channels, devices).items():
        left = held & ~flow
        if left:
            tx.change(Connection(tenant_id=tenant_id, channel_id=channel, device_id=device, flow=left))
        else:
            tx.remove(Connection, tenant_id, channel_id=channel, device_id=device)
    events.rights_changed(tx, tenant_id, devices)


def devices_of(tx: Tx, tenant_id: TenantId, channel_id: str) -> list[DeviceId]:
    """Give the devices connected to the channel, in any way."""
    return [c.device_id for c in tx.select(Connection, tenant_id, Is("channel_id", channel_id))]


def flows_of(tx: Tx, tenant_id: TenantId, device_id: str) -> dict[ChannelId, Flow]:
    """Give the channels the device is connected to, and how."""
    found = tx.select(Connection, tenant_id, Is("device_id", device_id))
    return {c.channel_id: c.flow for c in found}


def flows_on(tx: Tx, tenant_id: TenantId, channel_id: str, device_ids: Sequence[str]) -> dict[DeviceId, Flow]:
    """Give how these devices are connected to the channel, those that are."""
    on_it = (Is("channel_id", channel_id), OneOf("device_id", device_ids))
    return {c.device_id: c.flow for c in tx.select(Connection, tenant_id, *on_it)}


def _ends(
    tx: Tx, caller: Caller, tenant_id: TenantId, channel_ids: Sequence[str], device_ids: Sequence[str]
) -> tuple[list[Channel], list[Device]]:
    standing = access.enter(tx, caller, tenant_id)
    if not channel_ids or not device_ids:
        raise Malformed("empty list provided")
    channels = _checked_channels(tx, standing, channel_ids)
    devices = _checked_devices(tx, standing, device_ids)
    if {e.status for e in channels} | {e.status for e in devices} != {Status.ENABLED}:
        raise NotFound("a disabled device or channel cannot be connected")
    return channels, devices


def _checked_channels(tx: Tx, standing: Standing, ids: Sequence[str]) -> list[Channel]:
    found = {c.id: c for c in tx.select(Channel, standing.tenant.id, OneOf("id", list(ids)))}
    for channel_id in ids:
        require(tx, standing, Kind.CHANNEL, found.get(ChannelId(channel_id)), "connect_to_device")
    return list(found.values())


def _checked_devices(tx: Tx, standing: Standing, ids: Sequence[str]) -> list[Device]:
    found = {d.id: d for d in tx.select(Device, standing.tenant.id, OneOf("id", list(ids)))}
    for device_id in ids:
        require(tx, standing, Kind.DEVICE, found.get(DeviceId(device_id)), "connect_to_channel")
    return list(found.values())


def _existing(
    tx: Tx, tenant_id: TenantId, channels: Sequence[ChannelId], devices: Sequence[DeviceId]
) -> dict[tuple[ChannelId, DeviceId], Flow]:
    found = tx.select(Connection, tenant_id, OneOf("channel_id", channels), OneOf("device_id", devices))
    return {(c.channel_id, c.device_id): c.flow for c in found}


def _recorded(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    operation: str,
    channels: Sequence[ChannelId],
    devices: Sequence[DeviceId],
    flow: Flow,
) -> None:
    kinds = [part.name for part in (Flow.PUBLISH, Flow.SUBSCRIBE) if part in flow]
    record(tx, caller, tenant_id, operation, channels, {"devices": list(devices), "kinds": kinds})
