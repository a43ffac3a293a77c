"""What may be issued, renewed and revoked, and for whom; what a revocation reaches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from muster.core import access, events, messaging
from muster.core.access import Caller, record, require
from muster.core.certificates import Certificate, CertificateRequest, Issued
from muster.core.errors import Conflict, NotFound, SameStatus
from muster.core.mappings import spoil_answers
from muster.core.messaging import Reason, Refusal, Rights
from muster.core.model import BootstrapConfig, Device, DeviceId, Instant, Kind, Status, TenantId
from muster.core.ports import ANYWHERE, After, Before, Condition, Is, Order, Page, Signer, Tx, Window

SUPERSEDED = 4
UNSPECIFIED = 0


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
    other = tx.find(Certificate, ANYWHERE, key_digest=issued.key_digest)
    if other is not None and (other.tenant_id, other.device_id) != (device.tenant_id, device.id):
        raise Conflict("the key is in use by another device")
    made = Certificate(
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
    tx.add(made)
    record(tx, actor, device.tenant_id, "certificate.issue", [made.id], {"device": device.id})
    return made


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
    """Issue a certificate to a device that has proved who it is (EST)."""
    device = tx.get(Device, tenant_id, device_id)
    if device is None or device.status is not Status.ENABLED:
        raise NotFound
    return add(tx, f"device:{device.id}", device, signer.issue(tenant_id, device.id, asked, tx.now))


# --- reading -------------------------------------------------------------------------------------------


def view(tx: Tx, caller: Caller, tenant_id: TenantId, serial: str, action: str = "read") -> Certificate:
    """Give a certificate of a device the caller may read; NotFound else."""
    standing = access.enter(tx, caller, tenant_id)
    found = tx.get(Certificate, tenant_id, serial)
    if found is None:
        raise NotFound
    require(tx, standing, Kind.DEVICE, tx.get(Device, tenant_id, found.device_id), action)
    return found


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
    for certificate in found:
        tx.change(replace(certificate, revoked_at=tx.now, reason=reason))
    device = tx.get(Device, tenant_id, device_id)
    if device is not None:
        spoil_answers(tx, tenant_id, [device])
    _forget_in_bootstrap(tx, tenant_id, device_id, found)
    events.access_ended(tx, tenant_id, [device_id])
    serials = tuple(c.id for c in found)
    record(tx, caller, tenant_id, "certificate.revoke", serials, {"device": device_id, "reason": reason})
    left = (Is("device_id", device_id), Is("revoked_at", 0), After("not_after", tx.now))
    is_last = not tx.select(Certificate, tenant_id, *left, window=Window(limit=1))
    return Receipt(serials=serials, revoked_at=tx.now, device_id=device_id, is_last=is_last)


def _forget_in_bootstrap(
    tx: Tx, tenant_id: TenantId, device_id: DeviceId, found: Sequence[Certificate]
) -> None:
    """A device never fetches a revoked certificate."""
    config = tx.find(BootstrapConfig, tenant_id, device_id=device_id)
    if config is not None and any(c.certificate == config.client_cert for c in found):
        # No change by hand: taking the mapping back must not stop at it.
        tx.change(replace(config, client_cert="", client_key=None))


def revoked(tx: Tx, issuer_id: str) -> list[Certificate]:
    """Give the revoked certificates of a CA that have not expired, for its revocation list."""
    conditions = (Is("issuer_id", issuer_id), After("revoked_at", 0), After("not_after", tx.now))
    return tx.select(Certificate, ANYWHERE, *conditions, order=Order("revoked_at"))


def status_of(tx: Tx, serial: str) -> Certificate | None:
    """Give the record behind a serial, whatever the tenant, for OCSP."""
    return tx.get(Certificate, ANYWHERE, serial)


# --- devices that show a certificate ---------------------------------------------------------------------


def login(tx: Tx, serial: str, fingerprint: bytes) -> Rights | Refusal:
    """Let a device in by a certificate of our own CA whose chain was verified already.

    The record decides: unknown, revoked, expired, or of a device that is gone or disabled is out.
    """
    found = tx.get(Certificate, ANYWHERE, serial)
    if found is None or found.fingerprint != fingerprint or found.revoked_at or found.not_after <= tx.now:
        return Refusal(Reason.CERTIFICATE)
    device = tx.get(Device, found.tenant_id, found.device_id)
    return Refusal(Reason.UNKNOWN) if device is None else messaging.admit(tx, device)
