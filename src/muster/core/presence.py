"""Presence: when devices were last seen coming and going, how and from where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muster.core import access
from muster.core.model import NEVER, Device, DeviceId, Instant, Kind, Presence, TenantId
from muster.core.ports import Condition, OneOf, Order, Page, Tx, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A device was seen connecting or disconnecting."""

    tenant_id: TenantId
    device_id: DeviceId
    is_connected: bool
    at: Instant
    protocol: str
    source: str


def note_seen(tx: Tx, sightings: Sequence[Sighting]) -> None:
    """Note when devices were seen, in this order; what is said of devices deleted meanwhile is ignored."""
    by_tenant: dict[TenantId, dict[DeviceId, list[Sighting]]] = {}
    for sighting in sightings:
        by_tenant.setdefault(sighting.tenant_id, {}).setdefault(sighting.device_id, []).append(sighting)
    for tenant_id, seen in by_tenant.items():
        _note_within(tx, tenant_id, seen)


def _note_within(tx: Tx, tenant_id: TenantId, seen: Mapping[DeviceId, Sequence[Sighting]]) -> None:
    known = {p.device_id: p for p in tx.select(Presence, tenant_id, OneOf("device_id", list(seen)))}
    new = [device_id for device_id in seen if device_id not in known]
    devices = tx.select(Device, tenant_id, OneOf("id", new)) if new else []
    tx.add(*(_noted(seen[device.id], None) for device in devices))
    for device_id, presence in known.items():
        tx.change(_noted(seen[device_id], presence))


def _noted(seen: Sequence[Sighting], known: Presence | None) -> Presence:
    came, went = (known.connected_at, known.disconnected_at) if known is not None else (NEVER, NEVER)
    for sighting in seen:
        came, went = (sighting.at, went) if sighting.is_connected else (came, sighting.at)
    last = seen[-1]
    return Presence(
        tenant_id=last.tenant_id,
        device_id=last.device_id,
        connected_at=came,
        disconnected_at=went,
        protocol=last.protocol,
        source=last.source,
    )


def presence_of(tx: Tx, caller: access.Caller, tenant_id: TenantId, device_ids: list[str]) -> list[Presence]:
    """Give when these devices of the tenant were seen last, as far as the caller may read them."""
    standing = access.enter(tx, caller, tenant_id)
    readable = tx.select(Device, tenant_id, *standing.visible(Kind.DEVICE), OneOf("id", device_ids))
    return tx.select(Presence, tenant_id, OneOf("device_id", [d.id for d in readable]))


def list_presence(tx: Tx, caller: access.Caller, tenant_id: TenantId, *, window: Window) -> Page[Presence]:
    """List when the tenant's devices were seen, those that came last first, as far as the caller may read."""
    visible = access.enter(tx, caller, tenant_id).visible(Kind.DEVICE)
    conditions: list[Condition] = []
    if visible:
        readable = tx.select(Device, tenant_id, *visible)
        conditions.append(OneOf("device_id", [d.id for d in readable]))
    latest = Order("connected_at", is_descending=True)
    return tx.page(Presence, tenant_id, *conditions, order=latest, window=window)
