"""Gateways: who may speak for whom, and the devices that they announce."""

import re
from dataclasses import dataclass, replace

from muster.core import registry
from muster.core.contacts import AUTHORITY, DEVICE_ID, new_device, welcome
from muster.core.errors import (
    Forbidden,
    NotFound,
)
from muster.core.identity import (
    Denial,
    FirstContact,
    denied_device,
    hono,
)
from muster.core.model import Device, Status, Tenant, TenantId
from muster.core.ports import Contains, Tx
from muster.core.southbound import find_tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Unannounced:
    """Nobody knows the device, and the gateway may announce it."""


def assert_device(
    tx: Tx, tenant: Tenant, device_id: str, gateway_id: str | None = None
) -> Device | Unannounced:
    """Give the enabled device on whose behalf *gateway_id* (None or its own id: itself) speaks (spec B.3).

    NotFound when it is unknown or disabled; Forbidden when the gateway is, or may not act for it.
    """
    device = tx.get(Device, tenant.id, device_id)
    if gateway_id in (None, device_id):
        return _enabled(device)
    gateway = tx.get(Device, tenant.id, gateway_id or "")
    if device is None:
        if gateway is None or gateway.status is not Status.ENABLED or not may_announce(gateway):
            raise NotFound("there is no such device")
        _check_announceable(tx, tenant.id, device_id)
        return Unannounced()
    enabled = _enabled(device)
    if gateway is None or gateway.status is not Status.ENABLED or not may_act_for(gateway, device):
        raise Forbidden("the gateway may not act for the device")
    return enabled


def _check_announceable(tx: Tx, tenant_id: TenantId, device_id: str) -> None:
    if tx.find(Denial, tenant_id, key=denied_device(device_id)) is not None:
        raise NotFound("there is no such device")


def _enabled(device: Device | None) -> Device:
    if device is None or device.status is not Status.ENABLED:
        raise NotFound("there is no such device, or it is disabled")
    return device


def may_announce(gateway: Device) -> bool:
    """Say whether the gateway may announce devices that nobody registered."""
    return AUTHORITY in (hono(gateway.extensions).get("authorities") or ())


def may_act_for(gateway: Device, device: Device) -> bool:
    """Say whether the gateway may speak for the device: by its id, or by a group."""
    groups = hono(gateway.extensions).get("memberOf") or ()
    return gateway.id in device.via or not set(groups).isdisjoint(via_groups(device))


def via_groups(device: Device) -> tuple[str, ...]:
    """Name the groups of gateways that may speak for the device."""
    return tuple(hono(device.extensions).get("viaGroups") or ())


def announce(
    tx: Tx,
    tenant_id: TenantId,
    device_id: str,
    gateway_id: str,
    *,
    source: str = "",
    device_ids: re.Pattern[str] = DEVICE_ID,
) -> tuple[Device, bool]:
    """Provision the device a gateway announces, or give it if it is there by now (the bool: new).

    Raises as assert_device does; Forbidden when it belongs to another gateway, LimitReached, Malformed.
    """
    tx.lock(f"announce:{tenant_id}:{device_id}")
    tenant = find_tenant(tx, tenant_id)
    known = assert_device(tx, tenant, device_id, gateway_id)
    if isinstance(known, Device):
        return known, False
    registry.keep_limit_of(tx, tenant, 1)
    gateway = tx.get(Device, tenant.id, gateway_id)
    groups = (hono(gateway.extensions).get("memberOf") or []) if gateway is not None else []
    device = new_device(tx, tenant, device_id, device_ids, ca=None, via=gateway_id)
    if groups:
        kept = {**hono(device.extensions), "viaGroups": list(groups)}
        device = replace(device, extensions={"hono": kept})
    contact = FirstContact(
        tenant_id=tenant.id,
        device_id=device.id,
        gateway_id=gateway_id,
        source=source,
        created_at=tx.now,
    )
    welcome(tx, tenant, device, contact)
    return device, True


def announced(tx: Tx, tenant_id: TenantId, device_id: str) -> None:
    """Note that the world was told of the device."""
    contact = tx.find(FirstContact, tenant_id, device_id=device_id)
    if contact is not None and not contact.is_announced:
        tx.change(replace(contact, is_announced=True))


def gateways_of(tx: Tx, device: Device) -> tuple[str, ...]:
    """Name all gateways that may speak for the device, members of its groups included (spec B.3)."""
    from_groups: list[str] = []
    for group in via_groups(device):
        members = Contains("extensions", {"hono": {"memberOf": [group]}})
        from_groups += [each.id for each in tx.select(Device, device.tenant_id, members)]
    return tuple(dict.fromkeys([*device.via, *from_groups]))
