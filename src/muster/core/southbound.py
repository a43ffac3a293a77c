"""What adapters ask when a device speaks: whose it is, whether it may; the first time it comes into being."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from muster.core import events, registry, templates, webhooks
from muster.core.access import record
from muster.core.errors import (
    Conflict,
    Forbidden,
    LimitReached,
    Malformed,
    NotFound,
    Unauthenticated,
)
from muster.core.identity import (
    CERTIFICATE,
    Credential,
    Denial,
    FirstContact,
    Proof,
    Reissue,
    Shown,
    TrustedCa,
    denied_device,
    denied_subject,
    hono,
    sealable,
)
from muster.core.model import Device, DeviceId, Instant, Json, Status, Tenant, TenantId
from muster.core.ports import ANYWHERE, Contains, Is, OneOf, Tx
from muster.core.webhooks import Topic

AUTHORITY = "auto-provisioning-enabled"
"""What lets a gateway announce devices that nobody registered."""
DEVICE_ID = re.compile(r"[a-zA-Z0-9\-_.:=]{1,256}")
"""The ids a device may get, unless told otherwise (spec A.2)."""


# --- tenants ------------------------------------------------------------------------------------------


def find_tenant(tx: Tx, name: str) -> Tenant:
    """Give the tenant of that id or alias; NotFound when there is none."""
    tenant = tx.get(Tenant, ANYWHERE, TenantId(name)) or tx.find(Tenant, ANYWHERE, alias=name)
    if tenant is None or tenant.status is Status.DELETED:
        raise NotFound("there is no such tenant")
    return tenant


def tenant_of_ca(tx: Tx, subject_key: str) -> Tenant:
    """Give the one tenant that trusts a CA of that name; NotFound when none does or several (spec B.2)."""
    owners = {ca.tenant_id for ca in tx.select(TrustedCa, ANYWHERE, Is("subject_key", subject_key))}
    if len(owners) != 1:
        raise NotFound("no tenant, or more than one, trusts a CA of that name")
    return find_tenant(tx, owners.pop())


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Which CAs may vouch for a chain, and for whose devices."""

    tenant: Tenant
    cas: tuple[TrustedCa, ...]


def anchors(tx: Tx, issuer_keys: Sequence[str], sni: str | None) -> Anchors:
    """Find the tenant of a chain that is not verified yet: by its issuers; where tenants share them, by SNI.

    The first label of *sni* is a tenant's id or alias. Unauthenticated when no tenant is certain.
    """
    fitting = tx.select(TrustedCa, ANYWHERE, OneOf("subject_key", list(dict.fromkeys(issuer_keys))))
    owners = {ca.tenant_id for ca in fitting}
    try:
        if len(owners) == 1:
            tenant = find_tenant(tx, owners.pop())
        else:
            label, dot, _ = (sni or "").partition(".")
            tenant = find_tenant(tx, label if dot and owners else "")
    except NotFound:
        raise Unauthenticated("no tenant trusts the certificate") from None
    mine = tuple(ca for ca in fitting if ca.tenant_id == tenant.id and ca.is_valid(tx.now))
    return Anchors(tenant=tenant, cas=mine)


def has_adapter(tenant: Tenant, adapter: str) -> bool:
    """Say whether the tenant's devices may use an adapter of that type; without a list, any."""
    adapters = hono(tenant.extensions).get("adapters")
    if adapters is None:
        return True
    return any(each["type"] == adapter and each.get("enabled", False) for each in adapters)


def needs_authentication(tenant: Tenant, adapter: str) -> bool:
    """Say whether devices must log in to the adapter."""
    adapters = hono(tenant.extensions).get("adapters") or []
    return all(a.get("device-authentication-required", True) for a in adapters if a["type"] == adapter)


# --- logging in ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Whom an auth id names, before anything is proven."""

    tenant: Tenant
    device: Device
    credential: Credential


def find_login(
    tx: Tx,
    tenant_name: str,
    type_: str,
    auth_key: str,
    context: Mapping[str, Json] | None = None,
) -> Login:
    """Find an enabled credential. Unauthenticated when tenant, credential or device is not there.

    What *context* shares with the credential's extensions must be equal (spec B.4).
    """
    try:
        tenant = find_tenant(tx, tenant_name)
    except NotFound:
        raise Unauthenticated("no such tenant") from None
    credential = tx.find(Credential, tenant.id, type=type_, auth_key=auth_key)
    if credential is None:
        raise Unauthenticated("no such credential")
    return _login(tx, tenant, credential, context or {})


def _login(tx: Tx, tenant: Tenant, credential: Credential, context: Mapping[str, Json]) -> Login:
    if not credential.is_enabled:
        raise Unauthenticated("the credential is disabled")
    if any(credential.extensions.get(name, value) != value for name, value in context.items()):
        raise Unauthenticated("the credential is for another context")
    device = tx.get(Device, tenant.id, credential.device_id)
    if device is None:
        raise Unauthenticated("no such device")
    return Login(tenant=tenant, device=device, credential=credential)


def admit(login: Login, adapter: str) -> Device:
    """Let a device that proved who it is in. Forbidden or NotFound when tenant, adapter or device is off."""
    open_tenant(login.tenant, adapter)
    if login.device.status is not Status.ENABLED:
        raise NotFound("the device is disabled")
    return login.device


def open_tenant(tenant: Tenant, adapter: str) -> None:
    """Raise Forbidden when the tenant or the adapter for it is disabled."""
    if tenant.status is not Status.ENABLED:
        raise Forbidden("the tenant is disabled")
    if not has_adapter(tenant, adapter):
        raise Forbidden("the adapter is disabled for the tenant")


# --- certificates -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Unregistered:
    """The certificate is good, nobody knows the device, and it may provision itself."""


def auth_of(ca: TrustedCa, shown: Shown) -> tuple[str, str]:
    """Give the auth id a verified certificate of the CA stands for, and its key."""
    if ca.auth_id_template and shown.stands_for is not None:
        return shown.stands_for
    return shown.subject.text, shown.subject.key


def certificate_login(
    tx: Tx, tenant_id: TenantId, shown: Shown, context: Mapping[str, Json] | None = None
) -> Login | Unregistered:
    """Find whom a verified certificate names. Unauthenticated for nobody, when it may not provision itself.

    The stored secret's validity holds, and the CA's rule for other certificates of the same subject.
    """
    tenant, ca = _vouching(tx, tenant_id, shown)
    _, auth_key = auth_of(ca, shown)
    credential = tx.find(Credential, tenant.id, type=CERTIFICATE, auth_key=auth_key)
    if credential is None:
        if not ca.is_open(tx.now):
            raise Unauthenticated("nobody knows the device")
        _check_not_denied(tx, tenant.id, denied_subject(auth_key))
        return Unregistered()
    login = _login(tx, tenant, credential, context or {})
    if not any(proof.is_valid(tx.now) for proof in credential.proofs):
        raise Unauthenticated("the credential's secret is not valid now")
    _check_reissue(tx, ca, login.device, shown)
    return login


def _vouching(tx: Tx, tenant_id: TenantId, shown: Shown) -> tuple[Tenant, TrustedCa]:
    tenant, ca = tx.get(Tenant, ANYWHERE, tenant_id), tx.get(TrustedCa, tenant_id, shown.ca_id)
    if tenant is None or ca is None or not ca.is_valid(tx.now):
        raise Unauthenticated("nobody vouches for the certificate")
    if not (shown.subject.text or ca.auth_id_template):
        # All certificates without a subject would be one device; a name in a SAN counts by a template alone.
        raise Unauthenticated("the certificate's subject is empty, and the CA has no auth-id-template")
    if hono(ca.extensions).get("ocsp-revocation-enabled") and not shown.is_checked:
        raise Unauthenticated("nobody asked the CA's OCSP responder whether the certificate is revoked")
    return tenant, ca


def _check_reissue(tx: Tx, ca: TrustedCa, device: Device, shown: Shown) -> None:
    first = tx.find(FirstContact, device.tenant_id, device_id=device.id)
    if first is None or first.gateway_id or ca.reissue is Reissue.ANY:
        return
    is_same = first.fingerprint == shown.fingerprint
    if not is_same and (ca.reissue is Reissue.NONE or first.ca_key != ca.subject_key):
        raise Unauthenticated("the device provisioned itself with another certificate")


def _check_not_denied(tx: Tx, tenant_id: TenantId, key: str) -> None:
    if tx.find(Denial, tenant_id, key=key) is not None:
        raise Unauthenticated("the device may not provision itself")


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
    tenant, ca = _vouching(tx, tenant_id, shown)
    auth_id, auth_key = auth_of(ca, shown)
    tx.lock(f"first-contact:{tenant_id}:{auth_key}")
    known = certificate_login(tx, tenant_id, shown)
    if isinstance(known, Login):
        return known, False
    _keep_quota(tx, tenant, ca)
    device = _new_device(tx, tenant, _device_id(tx, ca, shown), device_ids, ca=ca)
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
    _provision(tx, tenant, device, contact, credential)
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


def _new_device(
    tx: Tx,
    tenant: Tenant,
    device_id: str,
    device_ids: re.Pattern[str],
    *,
    ca: TrustedCa | None,
    via: str = "",
) -> Device:
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


def _provision(tx: Tx, tenant: Tenant, device: Device, contact: FirstContact, *more: Credential) -> None:
    data = {"gateway-id": contact.gateway_id} if contact.gateway_id else {"auth-id": contact.auth_id}
    told = webhooks.notices(tx, tenant, Topic.PROVISIONED, [device.id], data)
    tx.add(device, contact, *more, *told)
    events.device_provisioned(tx, device.tenant_id, device.id, contact.gateway_id)
    record(tx, f"device:{contact.gateway_id or device.id}", device.tenant_id, "device.create", [device.id])


# --- asserting a registration -------------------------------------------------------------------------


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
    device = _new_device(tx, tenant, device_id, device_ids, ca=None, via=gateway_id)
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
    _provision(tx, tenant, device, contact)
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
