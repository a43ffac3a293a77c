"""Which certificates of a device are good, and how one stops being so; who may ask is decided in pki."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from muster.core import events
from muster.core.certificates import Certificate, Revocation
from muster.core.model import DeviceId, Instant, TenantId
from muster.core.ports import ANYWHERE, After, Before, Is, OneOf, Order, Tx, Window

CESSATION = 5
SUPERSEDED = 4


def valid(tx: Tx, tenant_id: TenantId, device_id: str) -> list[Certificate]:
    """Give the device's certificates that are neither revoked nor expired, the newest first."""
    conditions = (Is("device_id", device_id), Is("revoked_at", 0), After("not_after", tx.now))
    newest = Order("created_at", is_descending=True)
    return tx.select(Certificate, tenant_id, *conditions, order=newest)


def newest_of(tx: Tx, tenant_id: TenantId, device_ids: Sequence[str]) -> dict[str, Certificate]:
    """Give by device the newest certificate that is good."""
    conditions = (OneOf("device_id", device_ids), Is("revoked_at", 0), After("not_after", tx.now))
    found = tx.select(Certificate, tenant_id, *conditions, order=Order("created_at"))
    return {certificate.device_id: certificate for certificate in found}


def standing_of(tx: Tx, tenant_id: TenantId, device_id: str) -> tuple[Certificate | None, bool]:
    """Give the newest good certificate of a device, and whether the device is barred.

    A device is barred when its certificates were revoked and it has none left: until an operator issues it
    another one it may neither bootstrap nor enrol with what the factory gave it.
    """
    newest = Order("created_at", is_descending=True)
    found = tx.select(Certificate, tenant_id, Is("device_id", device_id), order=newest, window=Window(0, 32))
    good = next((c for c in found if not c.revoked_at and c.not_after > tx.now), None)
    is_barred = good is None and any(c.revoked_at and c.reason != SUPERSEDED for c in found)
    return good, is_barred


def end(tx: Tx, found: Iterable[Certificate], reason: int) -> list[Certificate]:
    """Revoke them: in their records, and on the lists of their CAs."""
    ended = [replace(each, revoked_at=tx.now, reason=reason) for each in found if not each.revoked_at]
    for certificate in ended:
        tx.change(certificate)
        events.certificate_revoked(tx, certificate.tenant_id, certificate.id, certificate.issuer_id)
    tx.add(
        *(
            Revocation(
                id=each.id,
                issuer_id=each.issuer_id,
                revoked_at=tx.now,
                reason=reason,
                not_after=each.not_after,
            )
            for each in ended
        )
    )
    return ended


def end_with_devices(tx: Tx, tenant_id: TenantId, device_ids: Sequence[DeviceId]) -> None:
    """Revoke the certificates of devices that are deleted: another device may get the same id."""
    left = (OneOf("device_id", device_ids), Is("revoked_at", 0), After("not_after", tx.now))
    end(tx, tx.select(Certificate, tenant_id, *left), CESSATION)


def end_with_tenant(tx: Tx, tenant_id: TenantId) -> None:
    """Revoke the certificates of all devices of a tenant: they are deleted together."""
    left = (Is("revoked_at", 0), After("not_after", tx.now))
    end(tx, tx.select(Certificate, tenant_id, *left), CESSATION)


def by_serial(tx: Tx, serial: str) -> Certificate | None:
    """Give the record of a certificate, whatever the tenant."""
    return tx.get(Certificate, ANYWHERE, serial)


def listed(tx: Tx, issuer_id: str, *, after: str, most: int) -> list[Revocation]:
    """Give what a CA's list holds, in the order of the serials, from the one that follows *after*."""
    conditions = (Is("issuer_id", issuer_id), After("id", after))
    return tx.select(Revocation, ANYWHERE, *conditions, order=Order("id"), window=Window(0, most))


def listed_since(tx: Tx, issuer_id: str, at: Instant) -> list[Revocation]:
    """Give what was put on a CA's list after *at*."""
    conditions = (Is("issuer_id", issuer_id), After("revoked_at", at))
    return tx.select(Revocation, ANYWHERE, *conditions, order=Order("revoked_at"))


def count_expiring(tx: Tx, before: Instant) -> int:
    """Count the certificates of all tenants that are good and end before that time."""
    ending = (Before("not_after", before), After("not_after", tx.now), Is("revoked_at", 0))
    return tx.count(Certificate, ANYWHERE, *ending)
