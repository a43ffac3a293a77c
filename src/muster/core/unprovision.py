"""Taking a provisioning call back: exactly what it made, and nothing that someone works with since."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from muster.core import access, connections, registry
from muster.core.access import Caller, record
from muster.core.errors import NotFound
from muster.core.mappings import lock_name
from muster.core.model import (
    BootstrapConfig,
    Channel,
    ChannelId,
    Device,
    DeviceId,
    Kind,
    Member,
    Metadata,
    ProvisionRecord,
    Role,
    TenantId,
)
from muster.core.ports import Is, Not, OneOf, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What taking a mapping back deleted, and what it left alone and why."""

    devices: tuple[DeviceId, ...]
    channels: tuple[ChannelId, ...]
    kept: Metadata = field(default_factory=dict)
    """Reason by id: `changed` or `shared` since it was made."""


def unprovision(
    tx: Tx, caller: Caller, tenant_id: TenantId, external_id: str, *, is_forced: bool = False
) -> Removed:
    """Delete exactly what one call made. What was changed or shared since stays, unless forced.

    While something stays, the record of it stays too, so that a second, forced call finds it.
    """
    tx.lock(lock_name(tenant_id, external_id))
    standing = access.enter(tx, caller, tenant_id)
    made = tx.find(ProvisionRecord, tenant_id, external_id=external_id)
    if made is None:
        raise NotFound
    devices = tx.select(Device, tenant_id, OneOf("id", made.device_ids))
    channels = tx.select(Channel, tenant_id, OneOf("id", made.channel_ids))
    for device in devices:
        access.require(tx, standing, Kind.DEVICE, device, "delete")
    for channel in channels:
        access.require(tx, standing, Kind.CHANNEL, channel, "delete")
    kept = {} if is_forced else _touched(tx, made, devices, channels)
    gone = tuple(d for d in devices if d.id not in kept)
    dropped = tuple(c for c in channels if c.id not in kept)
    if kept:
        left = tuple(d.id for d in devices if d.id in kept), tuple(c.id for c in channels if c.id in kept)
        tx.change(replace(made, device_ids=left[0], channel_ids=left[1], answer=None))
    else:
        tx.remove(ProvisionRecord, tenant_id, external_id=external_id)
    registry.remove_devices(tx, caller, tenant_id, gone)
    registry.remove_channels(tx, caller, tenant_id, dropped)
    record(tx, caller, tenant_id, "mapping.delete", [external_id], {"kept": kept})
    return Removed(devices=tuple(d.id for d in gone), channels=tuple(c.id for c in dropped), kept=kept)


def _touched(
    tx: Tx, made: ProvisionRecord, devices: Sequence[Device], channels: Sequence[Channel]
) -> dict[str, str]:
    """Say which of them were changed by hand, or shared with users, devices or channels of other origin."""
    tenant_id = made.tenant_id
    reasons: dict[str, str] = {}
    ids = [*made.device_ids, *made.channel_ids]
    shared = {
        r.entity_id for r in tx.select(Role, tenant_id, OneOf("entity_id", ids)) if _is_shared(tx, made, r)
    }
    entities: list[Device | Channel] = [*devices, *channels]
    for entity in entities:
        if entity.updated_at:
            reasons[entity.id] = "changed"
        elif entity.id in shared or _is_joined(tx, made, entity):
            reasons[entity.id] = "shared"
    config = tx.find(BootstrapConfig, tenant_id, external_id=made.external_id)
    if config is not None and config.updated_at and config.device_id in made.device_ids:
        reasons[config.device_id] = "changed"
    return reasons


def _is_shared(tx: Tx, made: ProvisionRecord, role: Role) -> bool:
    """Say whether somebody other than the creator holds the role."""
    others = Not("user_id", made.created_by)
    return tx.count(Member, role.tenant_id, Is("role_id", role.id), others) > 0


def _is_joined(tx: Tx, made: ProvisionRecord, entity: Device | Channel) -> bool:
    if isinstance(entity, Device):
        return not set(connections.flows_of(tx, made.tenant_id, entity.id)) <= set(made.channel_ids)
    return not set(connections.devices_of(tx, made.tenant_id, entity.id)) <= set(made.device_ids)
