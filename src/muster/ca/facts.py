"""What somebody else's certificate says, for those who upload one: nothing is trusted because of it."""

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from muster.ca.authority import serial_text
from muster.ca.dn import dn_text
from muster.ca.keys import UNREADABLE, PublicKey, check_public_key, spki_der
from muster.ca.verify import MAX_CERTIFICATE
from muster.core.errors import Malformed
from muster.core.model import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """A certificate, taken apart. Names as in ca/dn."""

    der: bytes
    subject_dn: str
    subject_der: bytes
    issuer_dn: str
    serial: str
    fingerprint: bytes
    spki_der: bytes
    algorithm: str
    """Of the key, as Java names it: `RSA`, `EC`, `EdDSA`."""
    not_before: Instant
    not_after: Instant
    is_ca: bool


def read_certificate(data: bytes | str) -> CertificateFacts:
    """Read PEM, DER, or Base64 of DER, at most 16 KiB.

    Malformed if it cannot be read; WeakKey (which is one) if its key is weak.
    """
    try:
        found = _load(data.encode("utf-8", "replace") if isinstance(data, str) else data)
        constraints = [
            each.value for each in found.extensions if isinstance(each.value, x509.BasicConstraints)
        ]
        key, der = check_public_key(found.public_key()), found.public_bytes(Encoding.DER)
        subject = found.subject.public_bytes()
        return CertificateFacts(
            der=der,
            subject_dn=dn_text(subject),
            subject_der=subject,
            issuer_dn=dn_text(found.issuer.public_bytes()),
            serial=serial_text(abs(found.serial_number)),
            fingerprint=sha256(der).digest(),
            spki_der=spki_der(key),
            algorithm=key_algorithm(key),
            not_before=_instant(found.not_valid_before_utc.timestamp()),
            not_after=_instant(found.not_valid_after_utc.timestamp()),
            is_ca=any(each.ca for each in constraints),
        )
    except (*UNREADABLE, Base64Error):
        raise Malformed("the certificate cannot be read") from None


def identity_of(der: bytes) -> tuple[str, bytes]:
    """Give serial and SHA-256 fingerprint of a certificate (DER) that was verified before. Malformed."""
    try:
        return serial_text(abs(x509.load_der_x509_certificate(der).serial_number)), sha256(der).digest()
    except UNREADABLE:
        raise Malformed("the certificate cannot be read") from None


def _load(data: bytes) -> x509.Certificate:
    if not 0 < len(data) <= 2 * MAX_CERTIFICATE:
        raise ValueError("too large")
    if b"-----BEGIN" in data:
        return x509.load_pem_x509_certificate(data)
    is_der = data.startswith(b"\x30")
    return x509.load_der_x509_certificate(
        data if is_der else b64decode(b"".join(data.split()), validate=True)
    )


def read_public_key(der: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo; Malformed if it is none, WeakKey (which is one) if it is weak."""
    try:
        return check_public_key(load_der_public_key(der))
    except UNREADABLE:
        raise Malformed("the public key cannot be read") from None


def key_algorithm(key: PublicKey) -> str:
    """Name the kind of key as Java does: `RSA`, `EC`, `EdDSA`."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC"
    return "EdDSA" if isinstance(key, ed25519.Ed25519PublicKey) else "RSA"


def _instant(seconds: float) -> Instant:
    return Instant(int(seconds) * 1_000_000)
