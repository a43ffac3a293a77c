"""Optimistic concurrency: what version something has, and whether a change may still be made to it."""

from collections.abc import Collection
from hashlib import sha256
from uuid import UUID

from muster.core.errors import Stale
from muster.core.identity import CredentialSet
from muster.core.model import Device, Tenant
from muster.core.ports import Tx

ANY = "*"
Expected = Collection[str] | None
"""The versions a change is meant for; None: whichever there is."""


def tenant_version(tenant: Tenant) -> str:
    """Give the version of a tenant; another one after each change, and after deletion and creation."""
    return _version("tenant", tenant.id, tenant.created_at, tenant.revision)


def device_version(device: Device) -> str:
    """Give the version of a device."""
    return _version("device", device.tenant_id, device.id, device.created_at, device.revision)


def credentials_version(tx: Tx, device: Device) -> str:
    """Give the version of a device's set of credentials; independent of the device's own."""
    known = tx.find(CredentialSet, device.tenant_id, device_id=device.id)
    revision = known.revision if known is not None else 0
    return _version("credentials", device.tenant_id, device.id, device.created_at, revision)


def _version(*parts: object) -> str:
    return str(UUID(bytes=sha256("\0".join(map(str, parts)).encode()).digest()[:16]))


def expect(expected: Expected, version: str) -> None:
    """Raise Stale unless *version* is one of those expected."""
    if expected is not None and version not in expected and ANY not in expected:
        raise Stale
