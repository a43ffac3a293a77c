"""How devices prove who they are where they name themselves: credentials, CAs, first contacts. Nouns only."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NewType, Protocol

from muster.core.model import NEVER, DeviceId, Instant, Metadata, Secret, TenantId

CaId = NewType("CaId", str)

PASSWORD = "hashed-password"  # noqa: S105 the name of a type
CERTIFICATE = "x509-cert"
SHARED_KEY = "psk"
RAW_KEY = "rpk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One secret of a credential: a salted verifier, a shared key, a public key, or only a span of time."""

    id: str = ""
    is_enabled: bool = True
    not_before: Instant = NEVER
    not_after: Instant = NEVER
    comment: str = ""
    function: str = ""
    """How *verifier* was made from the password."""
    verifier: str = ""
    salt: str = ""
    key: str = ""
    """Base64: a shared key, or the DER of a public key."""
    algorithm: str = ""
    others: Metadata = field(default_factory=dict)
    """What a type of credential that means nothing to the core brings along."""

    def is_valid(self, now: Instant) -> bool:
        """Say whether it may be used at *now*."""
        return self.is_enabled and self.not_before <= now and (not self.not_after or now <= self.not_after)


_FRESH = asdict(Proof())


def sealable(proofs: Sequence[Proof]) -> Secret:
    """Write the proofs as the text that is stored sealed."""
    kept = [{k: v for k, v in asdict(proof).items() if v != _FRESH[k]} for proof in proofs]
    return Secret(json.dumps(kept, separators=(",", ":")))


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One way in which a device logs in. (type, auth_key) is unique in the tenant."""

    tenant_id: TenantId
    type: str
    auth_key: str
    """The auth id in the form in which two of them are compared: see Name.key."""
    auth_id: str
    device_id: DeviceId
    is_enabled: bool = True
    extensions: Metadata = field(default_factory=dict)
    comment: str = ""
    secrets: Secret
    """What sealable gives; sealed at rest."""
    place: int = 0
    """Where it stands among the device's credentials."""
    created_at: Instant

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """Give its secrets, opened."""
        return tuple(Proof(**each) for each in json.loads(self.secrets.reveal()))


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSet:
    """Counts the changes of a device's credentials; no row: never changed."""

    tenant_id: TenantId
    device_id: DeviceId
    revision: int


class Reissue(StrEnum):
    """Which certificate lets in a device that provisioned itself with another one of the same subject."""

    ANY = "any"
    SAME_CA = "same-ca"
    """One of a CA with the same name: renewal, and a CA's change of key."""
    NONE = "none"
    """The first one only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedCa:
    """A CA whose certificates a tenant accepts of its devices. Muster does not hold its key."""

    tenant_id: TenantId
    id: CaId
    subject_dn: str
    subject_key: str
    subject_der: bytes
    spki_der: bytes
    algorithm: str
    not_before: Instant
    not_after: Instant
    is_provisioning: bool = False
    """Devices that nobody registered come into being when they show a certificate of it."""
    makes_gateways: bool = False
    device_id_template: str = ""
    auth_id_template: str = ""
    needs_approval: bool = False
    """What provisions itself is disabled until someone enables it."""
    max_devices: int = -1
    """How many devices may provision themselves with it; -1: any number."""
    opens_at: Instant = NEVER
    closes_at: Instant = NEVER
    """When devices may provision themselves; NEVER: no limit on that side."""
    reissue: Reissue = Reissue.SAME_CA
    anchor_group: str | None = None
    """Tenants of one group may trust the same CA."""
    extensions: Metadata = field(default_factory=dict)
    place: int = 0
    created_at: Instant

    def is_valid(self, now: Instant) -> bool:
        """Say whether it may vouch for anybody at *now*."""
        return self.not_before <= now <= self.not_after

    def is_open(self, now: Instant) -> bool:
        """Say whether devices may provision themselves at *now*."""
        is_begun = self.opens_at <= now and (not self.closes_at or now < self.closes_at)
        return self.is_provisioning and is_begun and self.is_valid(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstContact:
    """That a device provisioned itself: by which certificate or gateway, and whether that was announced."""

    tenant_id: TenantId
    device_id: DeviceId
    ca_id: str = ""
    """Empty when a gateway announced it."""
    ca_key: str = ""
    gateway_id: str = ""
    auth_id: str = ""
    auth_key: str = ""
    serial: str = ""
    fingerprint: str = ""
    """SHA-256 of the certificate, hex."""
    not_before: Instant = NEVER
    not_after: Instant = NEVER
    source: str = ""
    is_announced: bool = False
    created_at: Instant

    @property
    def denial(self) -> tuple[str, str]:
        """Give key and name of the Denial that keeps such a device from provisioning itself again."""
        if self.gateway_id:
            return denied_device(self.device_id), self.device_id
        return denied_subject(self.auth_key), self.auth_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """What may not provision itself (again): a subject of certificates, or a device id of a gateway."""

    tenant_id: TenantId
    key: str
    """The type of the evidence, a colon, and what is compared."""
    name: str
    """As shown to people."""
    comment: str = ""
    created_by: str = ""
    created_at: Instant


def denied_subject(auth_key: str) -> str:
    """Give the key of a Denial of certificates."""
    return f"{CERTIFICATE}:{auth_key}"


def denied_device(device_id: str) -> str:
    """Give the key of a Denial of what gateways announce."""
    return f"device:{device_id}"


# --- names and certificates, taken apart by the room that knows them ----------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A distinguished name."""

    text: str
    """In the one spelling Hono compares."""
    der: bytes
    key: str
    """Equal for names that are equal, whatever their case, blanks and string types (RFC 5280, 7.1)."""
    attributes: Mapping[str, str]
    """By keyword; of repeated ones the most significant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A certificate, taken apart. Nothing is trusted because of it unless *ca_id* says who vouches."""

    subject: Name
    issuer: Name
    serial: str
    fingerprint: str
    spki_der: bytes
    algorithm: str
    """Of its key: `RSA`, `EC`, `EdDSA`."""
    not_before: Instant
    not_after: Instant
    alternative_names: Mapping[str, str] = field(default_factory=dict)
    """The first of each kind in its SAN: `uri`, `dns`."""
    ca_id: str = ""
    stands_for: tuple[str, str] | None = None
    """Auth id, and its key, by the template of the CA that vouches; None: the subject is the auth id."""
    is_checked: bool = False
    """Its CA's OCSP responder said that it is not revoked; asked where the tenant wants that."""


class Certificates(Protocol):
    """Reads names, keys and certificates, and verifies chains."""

    def name(self, text: str) -> Name:
        """Read a name typed as text; Malformed if it is none."""

    def name_of(self, der: bytes) -> Name:
        """Read a name in DER; Malformed if it is none."""

    def read(self, data: bytes | str) -> Shown:
        """Read a certificate: PEM, DER, or Base64 of DER. Malformed if it cannot be read."""

    def check_key(self, spki_der: bytes) -> str:
        """Give the algorithm of a public key. Malformed if it cannot be read or is weak."""

    def issuers(self, chain: Sequence[bytes]) -> tuple[str, ...]:
        """Give the keys of the issuers' names in a chain that is not verified yet, the leaf's first.

        Unauthenticated if it cannot be read.
        """

    def verify(self, chain: Sequence[bytes], cas: Sequence[TrustedCa], now: Instant) -> Shown:
        """Verify a client's chain (leaf first). Unauthenticated, with the reason, if nobody vouches."""


def hono(extensions: Metadata) -> dict[str, Any]:
    """Give what the Hono door keeps with a noun."""
    return dict(extensions.get("hono") or {})
