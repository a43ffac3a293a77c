"""Devices as a whole: replaced and deleted under a precondition, whatever their status."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from muster.core import access, events, registry, versions, webhooks
from muster.core.access import Caller, record
from muster.core.errors import NotFound
from muster.core.identity import Denial
from muster.core.model import Device, Status, TenantId
from muster.core.ports import Order, Tx
from muster.core.versions import Expected
from muster.core.webhooks import Topic


def replace_device(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    device_id: str,
    change: Callable[[Device], Device],
    expected: Expected = None,
) -> Device:
    """Put another description in the place of the device's. Stale unless it has an *expected* version.

    Whoever disables it ends its sessions.
    """
    device = registry.fetch(tx, caller, tenant_id, Device, device_id, "update")
    versions.expect(expected, versions.device_version(device))
    changed = change(device)
    changed = replace(changed, revision=device.revision + 1, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    if changed.status is not Status.ENABLED:
        events.access_ended(tx, tenant_id, [device.id])
    elif changed.via != device.via or changed.extensions != device.extensions:
        events.rights_changed(tx, tenant_id, [device.id])
    webhooks.tell(tx, tenant_id, Topic.UPDATED, [device.id])
    record(tx, caller, tenant_id, "device.update", [device.id])
    return changed


def delete_device(
    tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, expected: Expected = None
) -> None:
    """Delete a device and all that hangs on it. Stale unless it has an *expected* version.

    One that provisioned itself is denied to do so again.
    """
    device = registry.fetch(tx, caller, tenant_id, Device, device_id, "delete")
    versions.expect(expected, versions.device_version(device))
    registry.remove_devices(tx, caller, tenant_id, [device])


def list_denials(tx: Tx, caller: Caller, tenant_id: TenantId) -> Sequence[Denial]:
    """Give what may not provision itself in the tenant."""
    access.enter(tx, caller, tenant_id).require("device_read")
    return tx.select(Denial, tenant_id, order=Order("key"))


def add_denial(tx: Tx, caller: Caller, tenant_id: TenantId, key: str, name: str, comment: str) -> Denial:
    """Keep something from provisioning itself. Conflict when it is denied already."""
    access.enter(tx, caller, tenant_id).require("device_delete")
    denial = Denial(
        tenant_id=tenant_id, key=key, name=name, comment=comment, created_by=caller.id, created_at=tx.now
    )
    tx.add(denial)
    record(tx, caller, tenant_id, "credential.deny", [key])
    return denial


def remove_denial(tx: Tx, caller: Caller, tenant_id: TenantId, key: str) -> None:
    """Let something provision itself again; NotFound when it is not denied."""
    access.enter(tx, caller, tenant_id).require("device_create")
    if not tx.remove(Denial, tenant_id, key=key):
        raise NotFound
    record(tx, caller, tenant_id, "credential.allow", [key])
