"""What may be issued, renewed and revoked, and for whom; what a revocation reaches."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from muster.core import access, events, messaging, validity
from muster.core.access import Caller, record, require
from muster.core.certificates import (
    AuthorityView,
    Certificate,
    CertificateRequest,
    Issued,
    Shown,
    SigningIntent,
)
from muster.core.errors import Conflict, Forbidden, Malformed, NotFound, SameStatus, Unauthenticated
from muster.core.keyholders import Signer
from muster.core.mappings import spoil_answers
from muster.core.messaging import Passage, Reason, Refusal, Rights
from muster.core.model import (
    BootstrapConfig,
    Device,
    DeviceId,
    Flow,
    Instant,
    Kind,
    Secret,
    Status,
    TenantId,
)
from muster.core.ports import ANYWHERE, After, Before, Condition, Is, Order, Page, Tx, Window

UNSPECIFIED = 0
REASONS = frozenset({0, 1, 3, 4, 5, 9})
"""Why an operator may revoke (RFC 5280, 5.3.1); the others are about CAs, or can be taken back."""


# --- issuing -------------------------------------------------------------------------------------------


def issue(
    tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, asked: CertificateRequest, signer: Signer
) -> Certificate:
    """Issue a certificate for a device. Its record is committed before it leaves.

    NotFound for a device that is not there or disabled, Conflict when another device uses the key.
    """
    device = _device(tx, caller, tenant_id, device_id, "update")
    return add(tx, caller.id, device, signer.issue(tenant_id, device.id, asked, tx.now))


def _device(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, action: str) -> Device:
    standing = access.enter(tx, caller, tenant_id)
    device = tx.get(Device, tenant_id, device_id)
    require(tx, standing, Kind.DEVICE, device, action)
    if device is None or device.status is not Status.ENABLED:
        raise NotFound
    return device


def add(tx: Tx, actor: str, device: Device, issued: Issued) -> Certificate:
    """Record what was signed, the key with it where it was made here."""
    made = recorded(tx, actor, device, issued)
    tx.add(made)
    record(tx, actor, device.tenant_id, "certificate.issue", [made.id], {"device": device.id})
    return made


def recorded(tx: Tx, actor: str, device: Device, issued: Issued) -> Certificate:
    """Give the record of what was signed. Conflict when another device uses the key, or it was revoked."""
    if issued.key is None:
        _check_key(tx, device, issued)
    if issued.intent_id:
        tx.remove(SigningIntent, device.tenant_id, id=issued.intent_id)
    return Certificate(
        id=issued.serial,
        tenant_id=device.tenant_id,
        device_id=device.id,
        certificate=issued.certificate,
        chain=issued.chain,
        key=issued.key,
        key_digest=issued.key_digest,
        fingerprint=issued.fingerprint,
        issuer_id=issued.issuer_id,
        not_before=issued.not_before,
        not_after=issued.not_after,
        created_by=actor,
        created_at=tx.now,
    )


def _check_key(tx: Tx, device: Device, issued: Issued) -> None:
    """A key that its holder made is good for one device, and for none once it is compromised."""
    for other in tx.select(Certificate, ANYWHERE, Is("key_digest", issued.key_digest)):
        if (other.tenant_id, other.device_id) != (device.tenant_id, device.id):
            raise Conflict("the key is in use by another device")
        if other.revoked_at and other.reason != validity.SUPERSEDED:
            raise Conflict("a certificate of this key was revoked; make a new key")


def renew(
    tx: Tx, caller: Caller, tenant_id: TenantId, serial: str, asked: CertificateRequest, signer: Signer
) -> Certificate:
    """Issue a successor. Both work until the old one expires or is revoked; a revoked one has none."""
    old = view(tx, caller, tenant_id, serial, "update")
    if old.revoked_at:
        raise Conflict("the certificate is revoked")
    return issue(tx, caller, tenant_id, old.device_id, asked, signer)


def renew_by_device(
    tx: Tx, tenant_id: TenantId, device_id: DeviceId, asked: CertificateRequest, signer: Signer
) -> Certificate:
    """Issue a certificate to a device that has proved who it is (EST). Forbidden for one that is barred."""
    device = tx.get(Device, tenant_id, device_id)
    if device is None or device.status is not Status.ENABLED:
        raise NotFound
    if isinstance(messaging.admit(tx, device), Refusal) or validity.standing_of(tx, tenant_id, device_id)[1]:
        raise Forbidden
    return add(tx, f"device:{device.id}", device, signer.issue(tenant_id, device.id, asked, tx.now))


def require_admin(_tx: Tx, caller: Caller) -> None:
    """Forbidden for all but the installation's admins: the CAs are everybody's."""
    if not caller.is_admin:
        raise Forbidden


def change_authorities(
    tx: Tx, caller: Caller, operation: str, change: Callable[[Tx], list[AuthorityView]]
) -> list[AuthorityView]:
    """Change the CAs for an admin, and write it into the journal; both or neither."""
    require_admin(tx, caller)
    record(tx, caller, caller.user.personal_tenant, operation, ["authorities"])
    return change(tx)


# --- reading -------------------------------------------------------------------------------------------


def view(tx: Tx, caller: Caller, tenant_id: TenantId, serial: str, action: str = "read") -> Certificate:
    """Give a certificate of a device the caller may read; NotFound else."""
    standing = access.enter(tx, caller, tenant_id)
    found = tx.get(Certificate, tenant_id, serial)
    if found is None:
        raise NotFound
    require(tx, standing, Kind.DEVICE, tx.get(Device, tenant_id, found.device_id), action)
    return found


def view_whole(tx: Tx, caller: Caller, tenant_id: TenantId, serial: str) -> Certificate:
    """Give a certificate; with its key, if that was made here, to whoever may change the device."""
    found = view(tx, caller, tenant_id, serial)
    try:
        return view(tx, caller, tenant_id, serial, "update")
    except Forbidden:
        return replace(found, key=None)


def list_certificates(
    tx: Tx, caller: Caller, tenant_id: TenantId, *conditions: Condition, window: Window
) -> Page[Certificate]:
    """List the tenant's certificates, the first to expire first; needs the right to read devices."""
    access.enter(tx, caller, tenant_id).require("device_read")
    return tx.page(Certificate, tenant_id, *conditions, order=Order("not_after"), window=window)


def of_device(
    tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, *conditions: Condition, window: Window
) -> Page[Certificate]:
    """List a device's certificates, the oldest first."""
    standing = access.enter(tx, caller, tenant_id)
    require(tx, standing, Kind.DEVICE, tx.get(Device, tenant_id, device_id), "read")
    own = Is("device_id", device_id)
    return tx.page(Certificate, tenant_id, own, *conditions, order=Order("created_at"), window=window)


def expiring(tx: Tx, before: Instant, *, most: int = 1000) -> list[Certificate]:
    """Give certificates of all tenants that expire soon, are not revoked and were not announced yet."""
    conditions = (
        Before("not_after", before),
        After("not_after", tx.now),
        Is("revoked_at", 0),
        Is("warned_at", 0),
    )
    found = tx.select(Certificate, ANYWHERE, *conditions, order=Order("not_after"), window=Window(0, most))
    for certificate in found:
        tx.change(replace(certificate, warned_at=tx.now))
        events.certificate_expiring(tx, certificate.tenant_id, certificate.device_id, certificate.id)
    return found


# --- revoking ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a revocation did, and the serials it was done to."""

    serials: tuple[str, ...]
    revoked_at: Instant
    device_id: DeviceId
    is_last: bool
    """Whether the device has no valid certificate left."""


def revoke(tx: Tx, caller: Caller, tenant_id: TenantId, serial: str, reason: int = UNSPECIFIED) -> Receipt:
    """Revoke one certificate: from the commit on it is good for nothing. SameStatus if it was."""
    found = view(tx, caller, tenant_id, serial, "update")
    if found.revoked_at:
        raise SameStatus("the certificate is revoked already")
    return _revoke(tx, caller, tenant_id, found.device_id, [found], reason)


def revoke_device(
    tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, reason: int = UNSPECIFIED
) -> Receipt:
    """Revoke all certificates of a device; safe to repeat."""
    standing = access.enter(tx, caller, tenant_id)
    device = tx.get(Device, tenant_id, device_id)
    require(tx, standing, Kind.DEVICE, device, "update")
    valid = (Is("device_id", device_id), Is("revoked_at", 0))
    found = tx.select(Certificate, tenant_id, *valid)
    return _revoke(tx, caller, tenant_id, DeviceId(device_id), found, reason)


def _revoke(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    device_id: DeviceId,
    found: Sequence[Certificate],
    reason: int,
) -> Receipt:
    if reason not in REASONS:
        raise Malformed("there is no such reason for a revocation")
    validity.end(tx, found, reason)
    device = tx.get(Device, tenant_id, device_id)
    if device is not None:
        spoil_answers(tx, tenant_id, [device])
    _forget_in_bootstrap(tx, tenant_id, device_id, found)
    events.access_ended(tx, tenant_id, [device_id])
    serials = tuple(c.id for c in found)
    record(tx, caller, tenant_id, "certificate.revoke", serials, {"device": device_id, "reason": reason})
    is_last = not validity.valid(tx, tenant_id, device_id)
    return Receipt(serials=serials, revoked_at=tx.now, device_id=device_id, is_last=is_last)


def _forget_in_bootstrap(
    tx: Tx, tenant_id: TenantId, device_id: DeviceId, found: Sequence[Certificate]
) -> None:
    """A device never fetches a revoked certificate."""
    config = tx.find(BootstrapConfig, tenant_id, device_id=device_id)
    if config is not None and any(c.certificate == config.client_cert for c in found):
        # No change by hand: taking the mapping back must not stop at it.
        tx.change(replace(config, client_cert="", client_key=None))


# --- devices that show a certificate ---------------------------------------------------------------------


def identify(tx: Tx, shown: Shown) -> Device | Refusal:
    """Give the device a certificate of our own CA belongs to; its chain was verified already.

    The record decides: unknown, revoked, expired, or of a device that is gone is out.
    """
    found = validity.by_serial(tx, shown.serial)
    if (
        found is None
        or found.fingerprint != shown.fingerprint
        or found.revoked_at
        or found.not_after <= tx.now
    ):
        return Refusal(Reason.CERTIFICATE)
    return tx.get(Device, found.tenant_id, found.device_id) or Refusal(Reason.UNKNOWN)


def login(tx: Tx, shown: Shown, username: str = "", client_id: str = "") -> Rights | Refusal:
    """Let a device in by its certificate, until the certificate ends; a user name, if any, must be its id.

    The MQTT client id as for messaging.login.
    """
    device = identify(tx, shown)
    if isinstance(device, Refusal):
        return device
    if username and username != device.id:
        return Refusal(Reason.CERTIFICATE)
    rights = messaging.admit(tx, device)
    found = validity.by_serial(tx, shown.serial)
    if isinstance(rights, Refusal) or found is None:
        return rights
    return messaging.as_client(tx, replace(rights, proof=found.id, expires_at=found.not_after), client_id)


def may_pass(tx: Tx, shown: Shown, *, channel_id: str, tenant_name: str | None, flow: Flow) -> Passage:
    """Let a device publish to or read a channel by its certificate; errors as messaging.may_pass."""
    device = identify(tx, shown)
    if isinstance(device, Refusal):
        raise Unauthenticated
    return messaging.let_pass(tx, device, channel_id=channel_id, tenant_name=tenant_name, flow=flow)


def enrolled(tx: Tx, shown: Shown) -> Device:
    """Give the device behind a certificate that asks for its successor; Unauthenticated."""
    device = identify(tx, shown)
    if isinstance(device, Refusal):
        raise Unauthenticated
    return device


def enrolling(tx: Tx, candidates: Iterable[tuple[str, Secret]]) -> Device:
    """Give the device that a factory's id and key belong to; Unauthenticated, whatever is wrong."""
    for external_id, key in candidates:
        config = tx.find(BootstrapConfig, ANYWHERE, external_id=external_id, external_key=key)
        device = tx.get(Device, config.tenant_id, config.device_id) if config is not None else None
        if config is not None and device is not None and config.external_key == key:
            return device
    raise Unauthenticated
