"""Whether what let a device in still does: for sessions that outlive the look-up that opened them."""

from dataclasses import dataclass
from hashlib import sha256

from muster.core.identity import CERTIFICATE, Credential
from muster.core.model import Device, DeviceId, Status, Tenant, TenantId
from muster.core.ports import ANYWHERE, Tx
from muster.core.southbound import Login


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """By which credential a device was let in, and what that was worth then."""

    type: str
    auth_key: str
    mark: bytes
    """A digest of the credential and its secrets: equal as long as nothing was changed."""


def admission_of(login: Login) -> Admission | None:
    """Give by what a device is let in; None for a certificate, which also others than Muster can revoke."""
    credential = login.credential
    if credential.type == CERTIFICATE:
        return None
    return Admission(type=credential.type, auth_key=credential.auth_key, mark=_mark(credential))


def stands(tx: Tx, tenant_id: TenantId, device_id: DeviceId, admission: Admission) -> bool:
    """Say whether the device would be let in again just as it was: nothing of it was changed or disabled."""
    tenant, device = tx.get(Tenant, ANYWHERE, tenant_id), tx.get(Device, tenant_id, device_id)
    if tenant is None or device is None or {tenant.status, device.status} != {Status.ENABLED}:
        return False
    credential = tx.find(Credential, tenant_id, type=admission.type, auth_key=admission.auth_key)
    return (
        credential is not None and credential.device_id == device_id and _mark(credential) == admission.mark
    )


def _mark(credential: Credential) -> bytes:
    what = (
        credential.device_id,
        credential.is_enabled,
        credential.extensions,
        credential.created_at,
        credential.secrets.reveal(),
    )
    return sha256(repr(what).encode("utf-8", "surrogatepass")).digest()
