"""Certificates as the core knows them: records and values. X.509 itself stays in the room that signs."""

from dataclasses import dataclass

from muster.core.layout import KeyType
from muster.core.model import NEVER, DeviceId, Instant, Secret, TenantId
from muster.core.quick import quick


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
    intent_id: str = ""
    """The SigningIntent that this fulfils, where a remote CA signed."""


@quick
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
class Revocation:
    """One entry of a revocation list, in a row as narrow as can be. *id* is the serial."""

    id: str
    issuer_id: str
    revoked_at: Instant
    reason: int = 0
    not_after: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityRecord:
    """A CA of our own, its key sealed. The newest issuing one signs; older ones still verify."""

    id: str
    role: str
    """`root`, `issuing`; `crossed`: the certificate of a new root, signed by an old one;
    `remote`: one that signs elsewhere."""
    certificate: str
    """PEM; of a remote one with those above it."""
    material: Secret
    """Key and chain, PEM; of a crossed and a remote one empty."""
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


# --- what is shown and what is missing -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A certificate somebody showed, its chain verified up to our own CA; its record decides the rest."""

    serial: str
    fingerprint: bytes


class KeyWanted(Exception):
    """A signature needs something that takes long and was not prepared: prepare it, then run again."""

    def __init__(self, tenant_id: str, device_id: str, asked: CertificateRequest) -> None:
        super().__init__("not prepared")
        self.tenant_id = tenant_id
        self.device_id = device_id
        self.asked = asked


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationList:
    """A signed revocation list."""

    der: bytes
    etag: str
    """With its quotes."""
    this_update: Instant
    next_update: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityView:
    """A CA as its operator sees it; the key stays where it is."""

    id: str
    role: str
    certificate: str
    subject: str
    not_before: Instant
    not_after: Instant
    is_current: bool
    """Whether it signs what is issued now."""
