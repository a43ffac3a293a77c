"""Certificate signing requests (RFC 2986): the key is taken, everything else the requester wrote is not."""

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from muster.ca.keys import UNREADABLE, PublicKey, WeakKey, check_public_key, spki_sha256
from muster.core.errors import Malformed

MAX_CSR = 16 * 1024
_PEM = b"-----BEGIN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Csr:
    """A key whose private half the requester holds, as the signature proves."""

    public_key: PublicKey
    spki_sha256: bytes
    subject_der: bytes
    """What the requester calls itself. For logs and comparisons only; no certificate gets this name."""
    pem: str
    """The request itself, whatever form it came in."""


def read_csr(data: str | bytes) -> Csr:
    """Read PEM, DER, or Base64 of either, at most 16 KiB; check the proof of possession and the key.

    Malformed with the reason; WeakKey (which is one) if the key is weak.
    """
    request = _load(data.encode("utf-8", "replace") if isinstance(data, str) else data)
    try:
        public_key = check_public_key(request.public_key())
        is_proven, subject = request.is_signature_valid, request.subject.public_bytes()
    except UnsupportedAlgorithm:
        raise WeakKey("the request is signed by, or for, an unknown kind of key") from None
    except UNREADABLE:
        raise Malformed("the signing request cannot be read") from None
    if not is_proven:
        raise Malformed("the signing request is not signed by its own key")
    return Csr(
        public_key=public_key,
        spki_sha256=spki_sha256(public_key),
        subject_der=subject,
        pem=request.public_bytes(Encoding.PEM).decode(),
    )


def _load(data: bytes) -> x509.CertificateSigningRequest:
    if not 0 < len(data) <= MAX_CSR:
        raise Malformed("a signing request has up to 16 KiB")
    try:
        is_plain = data.startswith(b"\x30") or _PEM in data
        return _load_plain(data if is_plain else b64decode(b"".join(data.split()), validate=True))
    except (*UNREADABLE, Base64Error):
        raise Malformed("the signing request is neither PEM nor DER nor Base64 of them") from None


def _load_plain(data: bytes) -> x509.CertificateSigningRequest:
    if _PEM in data:
        return x509.load_pem_x509_csr(data)
    return x509.load_der_x509_csr(data)
