"""The first time a device speaks: it provisions itself by certificate, or a gateway announces it."""

import re
from datetime import UTC, datetime

from muster.core import events, registry, templates, webhooks
from muster.core.access import record
from muster.core.errors import (
    Conflict,
    LimitReached,
    Malformed,
)
from muster.core.identity import (
    CERTIFICATE,
    Credential,
    FirstContact,
    Proof,
    Shown,
    TrustedCa,
    sealable,
)
from muster.core.model import Device, DeviceId, Instant, Json, Status, Tenant, TenantId
from muster.core.ports import Is, Tx
from muster.core.southbound import Login, auth_of, certificate_login, vouching
from muster.core.webhooks import Topic

AUTHORITY = "auto-provisioning-enabled"
"""What lets a gateway announce devices that nobody registered."""
DEVICE_ID = re.compile(r"[a-zA-Z0-9\-_.:=]{1,256}")
"""The ids a device may get, unless told otherwise (spec A.2)."""


def first_contact(
    tx: Tx,
    tenant_id: TenantId,
    shown: Shown,
    *,
    source: str = "",
    device_ids: re.Pattern[str] = DEVICE_ID,
) -> tuple[Login, bool]:
    """Provision the device of a verified certificate, or give it if someone else just did (the bool: new).

    Unauthenticated when it may not, LimitReached beyond a limit, Malformed for an id that breaks the rule,
    Conflict when the id is another device's.
    """
    tenant, ca = vouching(tx, tenant_id, shown)
    auth_id, auth_key = auth_of(ca, shown)
    tx.lock(f"first-contact:{tenant_id}:{auth_key}")
    known = certificate_login(tx, tenant_id, shown)
    if isinstance(known, Login):
        return known, False
    _keep_quota(tx, tenant, ca)
    device = new_device(tx, tenant, _device_id(tx, ca, shown), device_ids, ca=ca)
    credential = Credential(
        tenant_id=tenant.id,
        type=CERTIFICATE,
        auth_id=auth_id,
        auth_key=auth_key,
        device_id=device.id,
        comment=_comment(tx.now),
        secrets=sealable([Proof(id=tx.new_secret())]),
        created_at=tx.now,
    )
    contact = FirstContact(
        tenant_id=tenant.id,
        device_id=device.id,
        ca_id=ca.id,
        ca_key=ca.subject_key,
        auth_id=auth_id,
        auth_key=auth_key,
        serial=shown.serial,
        fingerprint=shown.fingerprint,
        not_before=shown.not_before,
        not_after=shown.not_after,
        source=source,
        created_at=tx.now,
    )
    welcome(tx, tenant, device, contact, credential)
    return Login(tenant=tenant, device=device, credential=credential), True


def _keep_quota(tx: Tx, tenant: Tenant, ca: TrustedCa) -> None:
    registry.keep_limit_of(tx, tenant, 1)
    if ca.max_devices < 0:
        return
    tx.lock(f"quota:{tenant.id}:{ca.id}")
    if tx.count(FirstContact, tenant.id, Is("ca_id", ca.id)) >= ca.max_devices:
        raise LimitReached(f"{ca.max_devices} devices may provision themselves with this CA")


def _device_id(tx: Tx, ca: TrustedCa, shown: Shown) -> str:
    if not ca.device_id_template:
        return tx.new_id()
    return templates.fill(ca.device_id_template, shown)


def new_device(
    tx: Tx,
    tenant: Tenant,
    device_id: str,
    device_ids: re.Pattern[str],
    *,
    ca: TrustedCa | None,
    via: str = "",
) -> Device:
    """Make up a device, announced by *via* or vouched for by *ca*; Malformed or Conflict for its id."""
    if not device_ids.fullmatch(device_id):
        raise Malformed("the device id breaks the rule for ids")
    if tx.get(Device, tenant.id, device_id) is not None:
        raise Conflict("another device has this id")
    kept: dict[str, Json] = {"auto-provisioned": True, "ext": {"comment": _comment(tx.now)}}
    if ca is not None and ca.makes_gateways:
        kept["authorities"] = [AUTHORITY]
    is_waiting = ca is not None and ca.needs_approval
    return Device(
        id=DeviceId(device_id),
        tenant_id=tenant.id,
        status=Status.DISABLED if is_waiting else Status.ENABLED,
        via=(via,) if via else (),
        extensions={"hono": kept},
        created_by="muster",
        created_at=tx.now,
    )


def _comment(now: Instant) -> str:
    return f"Auto-provisioned at {datetime.fromtimestamp(now // 1_000_000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def welcome(tx: Tx, tenant: Tenant, device: Device, contact: FirstContact, *more: Credential) -> None:
    """Write the device that came into being, and tell of it."""
    data = {"gateway-id": contact.gateway_id} if contact.gateway_id else {"auth-id": contact.auth_id}
    told = webhooks.notices(tx, tenant, Topic.PROVISIONED, [device.id], data)
    tx.add(device, contact, *more, *told)
    events.device_provisioned(tx, device.tenant_id, device.id, contact.gateway_id)
    record(tx, f"device:{contact.gateway_id or device.id}", device.tenant_id, "device.create", [device.id])
