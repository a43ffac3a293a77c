"""Certificate authorities of our own: made, taken over, kept as bytes to seal, rolled over."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cached_property
from hashlib import sha256
from secrets import randbits
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from muster.ca.keys import (
    UNREADABLE,
    KeyKind,
    PrivateKey,
    PublicKey,
    WeakKey,
    check_public_key,
    key_pem,
    make_key,
    read_key,
    signing_hash,
)
from muster.core.errors import Malformed
from muster.core.model import Instant

ROOT_LIFETIME = timedelta(days=25 * 365)
ISSUING_LIFETIME = timedelta(days=10 * 365)
BACKDATE = timedelta(minutes=5)
"""How much earlier than now our certificates begin, for devices whose clocks are behind."""

X = TypeVar("X", bound=x509.ExtensionType)

_MAX_PEM = 256 * 1024
_MAX_CHAIN = 5


class CaRefused(Malformed):
    """The certificate and key cannot be used as a certificate authority."""


class Use(Enum):
    """What a self-made authority signs."""

    ROOT = "Root"
    ISSUING = "Issuing"


class Authority:
    """A CA certificate with its private key and the certificates above it. Safe to share between threads."""

    def __init__(
        self, certificate: x509.Certificate, key: PrivateKey, above: Sequence[x509.Certificate] = ()
    ) -> None:
        self.certificate = certificate
        self.key = key
        self.above = tuple(above)
        """Its issuer, the issuer's issuer, …; the last may be a root or not. None for a root."""

    @cached_property
    def der(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def id(self) -> str:
        """The subject key identifier in hex: names the CA in URLs and records, the same after renewal."""
        return self.key_identifier.hex()

    @cached_property
    def key_identifier(self) -> bytes:
        """The subject key identifier that certificates under this CA name as their authority's."""
        return _key_identifier(self.certificate)

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate."""
        return sha256(self.der).digest()

    @cached_property
    def not_before(self) -> datetime:
        """Valid from this time on."""
        return self.certificate.not_valid_before_utc

    @cached_property
    def not_after(self) -> datetime:
        """The end of the earliest to end, of this certificate and those above it."""
        return min(each.not_valid_after_utc for each in (self.certificate, *self.above))

    @cached_property
    def is_root(self) -> bool:
        """Whether it signed itself."""
        return self.certificate.subject == self.certificate.issuer

    @cached_property
    def chain_pem(self) -> str:
        """What a holder of a certificate sends along: this CA and those above it, without the root."""
        return bundle(each for each in (self.certificate, *self.above) if each.subject != each.issuer)

    @cached_property
    def bundle_pem(self) -> str:
        """What one who must trust our certificates installs: the root if known, and the CAs below it."""
        return bundle(reversed((self.certificate, *self.above)))

    @cached_property
    def authority_key_identifier(self) -> x509.AuthorityKeyIdentifier:
        """The extension that certificates under this CA carry."""
        return x509.AuthorityKeyIdentifier(self.key_identifier, None, None)

    def to_bytes(self) -> bytes:
        """Give key and certificates as PEM. Seal it: the key is not encrypted."""
        return (key_pem(self.key) + bundle((self.certificate, *self.above))).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Authority":
        """Read what to_bytes gave."""
        certificate, *above = x509.load_pem_x509_certificates(data)
        return cls(certificate, read_key(data), above)

    def __repr__(self) -> str:
        return f"Authority({self.id})"


def bundle(certificates: Iterable[x509.Certificate]) -> str:
    """Give certificates as one PEM text, in this order."""
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def moment(instant: Instant) -> datetime:
    """Give microseconds since 1970 as UTC date, cut to the second, as certificates hold it."""
    return datetime.fromtimestamp(instant // 1_000_000, UTC)


def new_serial() -> int:
    """Give a positive serial of always 16 octets with 126 random bits (RFC 5280, 4.1.2.2)."""
    return 1 << 126 | randbits(126)


def serial_text(serial: int) -> str:
    """Give a serial as lower-case hex of an even number of digits: the spelling in records and URLs."""
    text = f"{serial:x}"
    return text.zfill(len(text) + len(text) % 2)


# --- making ----------------------------------------------------------------------------------------


def make_root(
    now: Instant, *, kind: KeyKind = KeyKind.P256, lifetime: timedelta = ROOT_LIFETIME
) -> Authority:
    """Make a self-signed root. Its name carries the key's beginning, so that no two CAs share a name."""
    key = make_key(kind)
    name = _name(Use.ROOT, key.public_key())
    builder = _ca_builder(name, name, key.public_key(), now, lifetime, depth=None)
    return Authority(builder.sign(key, signing_hash(key)), key)


def make_issuing(
    parent: Authority, now: Instant, *, kind: KeyKind = KeyKind.P256, lifetime: timedelta = ISSUING_LIFETIME
) -> Authority:
    """Make an issuing CA under *parent*: no CA may be below it."""
    key = make_key(kind)
    builder = _ca_builder(
        _name(Use.ISSUING, key.public_key()),
        parent.certificate.subject,
        key.public_key(),
        now,
        min(lifetime, parent.not_after - moment(now)),
        depth=0,
    )
    certificate = _sign_below(builder, parent)
    return Authority(certificate, key, (parent.certificate, *parent.above))


def cross_sign(old: Authority, new: Authority, now: Instant) -> x509.Certificate:
    """Certify the new root by the old one: who trusts only the old one then trusts what is below the new."""
    subject = new.certificate.subject
    lifetime = min(new.not_after, old.not_after) - moment(now)
    builder = _ca_builder(subject, old.certificate.subject, new.key.public_key(), now, lifetime, depth=None)
    return _sign_below(builder, old)


def _sign_below(builder: x509.CertificateBuilder, parent: Authority) -> x509.Certificate:
    builder = builder.add_extension(parent.authority_key_identifier, critical=False)
    return builder.sign(parent.key, signing_hash(parent.key))


def _name(use: Use, key: PublicKey) -> x509.Name:
    digest = x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Muster"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Muster {use.value} CA {digest[:12]}"),
        ]
    )


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,  # it signs OCSP responses itself
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _ca_builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    now: Instant,
    lifetime: timedelta,
    *,
    depth: int | None,
) -> x509.CertificateBuilder:
    if lifetime <= timedelta():
        raise CaRefused("the CA would have no lifetime left")
    start = moment(now)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(new_serial())
        .not_valid_before(start - BACKDATE)
        .not_valid_after(start + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=depth), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


# --- taking over -----------------------------------------------------------------------------------


def import_authority(
    certificates_pem: str, private_key_pem: str, now: Instant, *, password: bytes | None = None
) -> Authority:
    """Take over an existing CA: its certificate, those above it in any order, and its private key.

    CaRefused with the reason unless the certificate belongs to the key, is valid at *now*, is a CA that may
    sign certificates and CRLs, and everything else in the PEM is a chain above it. Malformed or WeakKey if
    the key cannot be used.
    """
    key = read_key(private_key_pem, password)
    certificates = read_certificates(certificates_pem)
    own = [each for each in certificates if _belongs(each, key)]
    if len(own) != 1:
        raise CaRefused("the private key belongs to none, or several, of the certificates")
    certificate = own[0]
    above = _chain_above(certificate, [each for each in certificates if each is not certificate])
    for each in (certificate, *above):
        _check_ca(each, moment(now))
    return Authority(certificate, key, above)


def read_certificates(pem: str | bytes) -> list[x509.Certificate]:
    """Read one or more PEM certificates, at most 256 KiB; Malformed if there is none or one is damaged."""
    data = pem.encode("utf-8", "replace") if isinstance(pem, str) else pem
    if len(data) > _MAX_PEM:
        raise Malformed("the certificates are larger than 256 KiB")
    try:
        certificates = x509.load_pem_x509_certificates(data)
        for each in certificates:
            _ = each.subject, each.issuer, each.extensions  # they are parsed when first looked at
    except UNREADABLE:
        raise Malformed("there is no readable PEM certificate") from None
    return certificates


def public_key_of(certificate: x509.Certificate) -> PublicKey:
    """Give the certified key; WeakKey if it is weak or of an unknown kind."""
    try:
        return check_public_key(certificate.public_key())
    except UNREADABLE:
        raise WeakKey from None


def _belongs(certificate: x509.Certificate, key: PrivateKey) -> bool:
    try:
        return certificate.public_key() == key.public_key()
    except UNREADABLE:
        return False


def _chain_above(certificate: x509.Certificate, others: list[x509.Certificate]) -> list[x509.Certificate]:
    chain = [certificate]
    while others and len(chain) <= _MAX_CHAIN:
        issuer = next((each for each in others if _is_issued_by(chain[-1], each)), None)
        if issuer is None:
            break
        others.remove(issuer)
        chain.append(issuer)
    if others:
        raise CaRefused("a certificate is not part of the chain above the CA")
    return chain[1:]


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def _check_ca(certificate: x509.Certificate, now: datetime) -> None:
    public_key_of(certificate)
    if certificate.subject == certificate.issuer and not _is_issued_by(certificate, certificate):
        raise CaRefused("the root's signature is wrong; the certificate is damaged")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise CaRefused("the CA certificate is not valid at this time")
    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise CaRefused("the certificate is not one of a CA (basicConstraints)")
    usage = _extension(certificate, x509.KeyUsage)
    if usage is None or not (usage.key_cert_sign and usage.crl_sign):
        raise CaRefused("the CA may not sign certificates and CRLs (keyUsage)")
    if _extension(certificate, x509.NameConstraints):
        raise CaRefused("the CA is limited to names that devices do not have (nameConstraints)")
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    if purposes and not {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(
        purposes
    ):
        raise CaRefused("the CA may not certify clients (extendedKeyUsage)")


def _extension(certificate: x509.Certificate, kind: type[X]) -> X | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE:
        raise CaRefused("the extensions of the CA certificate cannot be read") from None


def _key_identifier(certificate: x509.Certificate) -> bytes:
    found = _extension(certificate, x509.SubjectKeyIdentifier)
    return (found or x509.SubjectKeyIdentifier.from_public_key(public_key_of(certificate))).digest
