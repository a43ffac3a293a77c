"""Bodies of Enrollment over Secure Transport (EST, RFC 7030). Who may enrol is decided elsewhere."""

from base64 import encodebytes
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates

from muster.ca.der import SEQUENCE, SET, tlv

_EC_PUBLIC_KEY = bytes.fromhex("06072a8648ce3d0201")
_P256 = bytes.fromhex("06082a8648ce3d030107")
_ECDSA_SHA256 = bytes.fromhex("06082a8648ce3d040302")


def certs_only(certificates: Sequence[x509.Certificate]) -> bytes:
    """Give certificates as a degenerate PKCS #7 (RFC 5652), Base64, as `cacerts` and enrolments answer.

    Send it with `Content-Transfer-Encoding: base64`, as clients of RFC 7030 expect.
    """
    return encodebytes(serialize_certificates(list(certificates), Encoding.DER))


def csr_attributes() -> bytes:
    """Give the body of `csrattrs` (RFC 7030, 4.5.2): a P-256 key, signed with ECDSA and SHA-256."""
    key = tlv(SEQUENCE, _EC_PUBLIC_KEY, tlv(SET, _P256))
    return encodebytes(tlv(SEQUENCE, key, _ECDSA_SHA256))
