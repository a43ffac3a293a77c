"""Certificates as the core knows them: records and values. X.509 itself stays in the room that signs."""

from dataclasses import dataclass

from muster.core.layout import KeyType
from muster.core.model import NEVER, DeviceId, Instant, Secret, TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRequest:
    """What a certificate is asked to be. Names and usage are never the requester's to choose."""

    ttl_seconds: int
    key_type: KeyType = KeyType.EC
    key_bits: int = 256
    csr: str = ""
    """PEM, DER in Base64, or empty: then a key is made and given out with the certificate."""
    key: object | None = None
    """A key pair that the signer made beforehand, because making it takes long."""
    names: tuple[str, ...] = ()
    """DNS names and IP addresses that the operator wants in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate that was just signed."""

    serial: str
    """Lower-case hex."""
    certificate: str
    """PEM."""
    chain: str
    """PEM of the CAs above it, without the root."""
    key: Secret | None
    """PEM; None: the holder made the key."""
    key_digest: bytes
    """SHA-256 of the public key (SubjectPublicKeyInfo)."""
    fingerprint: bytes
    """SHA-256 of the certificate (DER)."""
    issuer_id: str
    not_before: Instant
    not_after: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate of a device, known before it leaves. *id* is its serial in lower-case hex."""

    id: str
    tenant_id: TenantId
    device_id: DeviceId
    certificate: str
    chain: str = ""
    key: Secret | None = None
    """Kept only where a dialect shows it again."""
    key_digest: bytes
    fingerprint: bytes
    issuer_id: str
    not_before: Instant
    not_after: Instant
    created_by: str = ""
    created_at: Instant
    revoked_at: Instant = NEVER
    reason: int = 0
    """Of the revocation (RFC 5280, 5.3.1)."""
    warned_at: Instant = NEVER
    """When it was announced that it is about to expire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityRecord:
    """A CA of our own, its key sealed. The newest issuing one signs; older ones still verify."""

    id: str
    role: str
    """`root` or `issuing`."""
    certificate: str
    material: Secret
    """Key and chain, PEM."""
    not_after: Instant
    created_at: Instant
    retired_at: Instant = NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningIntent:
    """A certificate is about to be asked of a remote CA. What it makes without our record is revoked."""

    id: str
    tenant_id: TenantId
    device_id: DeviceId
    key_digest: bytes
    created_at: Instant
