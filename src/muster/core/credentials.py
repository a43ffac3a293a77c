"""Credentials of a device: shown, and replaced as a set, in which secrets stay that the caller cannot see."""

from collections.abc import Sequence
from dataclasses import replace

from muster.core import events, versions, webhooks
from muster.core.access import Caller, record
from muster.core.errors import LimitReached, Malformed
from muster.core.identity import (
    CERTIFICATE,
    PASSWORD,
    RAW_KEY,
    SHARED_KEY,
    Credential,
    CredentialSet,
    Proof,
    hono,
    sealable,
)
from muster.core.model import NEVER, Device, DeviceId, Tenant, TenantId
from muster.core.ports import ANYWHERE, Is, Order, Tx
from muster.core.registry import fetch
from muster.core.versions import Expected
from muster.core.webhooks import Topic

Held = tuple[tuple[Credential, ...], str]
"""A device's credentials in order, and the version of the set."""


def get_credentials(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str) -> Held:
    """Give the credentials of a device the caller may read; NotFound else."""
    device = fetch(tx, caller, tenant_id, Device, device_id)
    return of_device(tx, tenant_id, device.id), versions.credentials_version(tx, device)


def of_device(tx: Tx, tenant_id: TenantId, device_id: str) -> tuple[Credential, ...]:
    """Give a device's credentials in the order they were given."""
    return tuple(tx.select(Credential, tenant_id, Is("device_id", device_id), order=Order("place")))


def replace_credentials(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    device_id: str,
    wanted: Sequence[Credential],
    expected: Expected = None,
) -> Held:
    """Put *wanted* in the place of all credentials of the device (spec A.7).

    A proof that names the id of a stored one and brings no secret keeps that one's. LimitReached, Conflict
    when another device has the same type and auth id, Malformed, Stale unless of an *expected* version.
    """
    device = fetch(tx, caller, tenant_id, Device, device_id, "update")
    tx.lock(f"credentials:{tenant_id}:{device_id}")
    versions.expect(expected, versions.credentials_version(tx, device))
    _check_count(tx, tenant_id, len(wanted))
    had = of_device(tx, tenant_id, device_id)
    made = [_complete(tx, had, each, place) for place, each in enumerate(wanted)]
    if len({(each.type, each.auth_key) for each in made}) < len(made):
        raise Malformed("type and auth-id of the credentials must differ")
    _write(tx, device, made)
    webhooks.tell(tx, tenant_id, Topic.CREDENTIALS, [device_id])
    record(tx, caller, tenant_id, "credential.update", [device_id])
    return tuple(made), versions.credentials_version(tx, device)


def _check_count(tx: Tx, tenant_id: TenantId, count: int) -> None:
    tenant = tx.get(Tenant, ANYWHERE, tenant_id)
    limits = hono(tenant.extensions).get("registration-limits", {}) if tenant is not None else {}
    most = limits.get("max-credentials-per-device", -1)
    if 0 <= most < count:
        raise LimitReached(f"a device of the tenant may have {most} credentials")


def _write(tx: Tx, device: Device, made: Sequence[Credential]) -> None:
    tx.remove(Credential, device.tenant_id, device_id=device.id)
    if made:
        tx.add(*made)
    known = tx.find(CredentialSet, device.tenant_id, device_id=device.id)
    if known is None:
        tx.add(CredentialSet(tenant_id=device.tenant_id, device_id=device.id, revision=1))
    else:
        tx.change(replace(known, revision=known.revision + 1))
    events.rights_changed(tx, device.tenant_id, [device.id])


# --- one credential -----------------------------------------------------------------------------------


def _complete(tx: Tx, had: Sequence[Credential], wanted: Credential, place: int) -> Credential:
    """Give the credential as it is stored: secrets kept, ids made, nothing missing."""
    ids = [proof.id for proof in wanted.proofs if proof.id]
    if len(set(ids)) < len(ids):
        raise Malformed("the ids of the secrets of a credential must differ")
    if ids and not had:
        raise Malformed("the device has no secret of that id")
    before = next((c for c in had if (c.type, c.auth_key) == (wanted.type, wanted.auth_key)), None)
    proofs = [_kept(proof, before) for proof in wanted.proofs]
    for proof in proofs:
        _check(wanted.type, proof)
    made = [replace(proof, id=proof.id or tx.new_secret()) for proof in proofs]
    return replace(wanted, secrets=sealable(made), place=place, created_at=tx.now)


def _kept(proof: Proof, before: Credential | None) -> Proof:
    if not proof.id or before is None:
        return proof
    stored = {each.id: each for each in before.proofs}.get(proof.id)
    if stored is None:
        raise Malformed("the credential has no secret of that id")
    if proof.verifier or proof.key:
        return proof
    return replace(
        proof,
        function=stored.function,
        verifier=stored.verifier,
        salt=stored.salt,
        key=stored.key,
        algorithm=proof.algorithm or stored.algorithm,
        others={**stored.others, **proof.others},
    )


_NEEDED = {PASSWORD: "verifier", SHARED_KEY: "key", RAW_KEY: "key"}
_LACKING = {
    PASSWORD: "a hashed-password secret needs pwd-plain, or pwd-hash and hash-function",
    SHARED_KEY: "a psk secret needs a key",
    RAW_KEY: "an rpk secret needs a key and its algorithm, or a certificate",
}


def _check(type_: str, proof: Proof) -> None:
    needed = _NEEDED.get(type_)
    if needed is not None and not getattr(proof, needed):
        raise Malformed(_LACKING[type_])
    if proof.not_after and proof.not_before > proof.not_after:
        raise Malformed("a secret's not-before lies after its not-after")


def draft(
    tenant_id: TenantId,
    device_id: str,
    *,
    type: str,  # noqa: A002 the field's name
    auth_id: str,
    auth_key: str,
    proofs: Sequence[Proof],
    **more: object,
) -> Credential:
    """Give a credential that replace_credentials can complete. Malformed for too few or many secrets."""
    if not proofs or (type == CERTIFICATE and len(proofs) != 1):
        raise Malformed("x509-cert has exactly one secret" if proofs else "a credential needs secrets")
    return Credential(
        tenant_id=tenant_id,
        device_id=DeviceId(device_id),
        type=type,
        auth_id=auth_id,
        auth_key=auth_key,
        secrets=sealable(proofs),
        created_at=NEVER,
        **more,  # type: ignore[arg-type]  # the door gives what it read: is_enabled, extensions, comment
    )
