"""What adapters ask when a device logs in: whose it is, and whether it may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muster.core.errors import (
    Forbidden,
    NotFound,
    Unauthenticated,
)
from muster.core.identity import (
    CERTIFICATE,
    Credential,
    Denial,
    FirstContact,
    Reissue,
    Shown,
    TrustedCa,
    denied_subject,
    hono,
)
from muster.core.model import Device, Json, Status, Tenant, TenantId
from muster.core.ports import ANYWHERE, Is, OneOf, Tx

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
    tenant, ca = vouching(tx, tenant_id, shown)
    _, auth_key = auth_of(ca, shown)
    credential = tx.find(Credential, tenant.id, type=CERTIFICATE, auth_key=auth_key)
    if credential is None:
        if not ca.is_open(tx.now):
            raise Unauthenticated("nobody knows the device")
        for key in sorted({auth_key, shown.subject.key}):
            _check_not_denied(tx, tenant.id, denied_subject(key))
        return Unregistered()
    login = _login(tx, tenant, credential, context or {})
    if not any(proof.is_valid(tx.now) for proof in credential.proofs):
        raise Unauthenticated("the credential's secret is not valid now")
    _check_reissue(tx, ca, login.device, shown)
    return login


def vouching(tx: Tx, tenant_id: TenantId, shown: Shown) -> tuple[Tenant, TrustedCa]:
    """Give the tenant, and the CA of it that vouches for a verified certificate; Unauthenticated else."""
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
