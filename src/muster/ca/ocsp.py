"""Answers about single certificates (OCSP, RFC 6960), signed by the issuing CA itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from muster.ca.authority import Authority, moment, serial_text
from muster.ca.der import BIT_STRING, SEQUENCE, content_of, elements
from muster.ca.keys import UNREADABLE, signing_hash, spki_der
from muster.ca.revocation import RevocationReason, Revoked
from muster.core.errors import Malformed, NotFound
from muster.core.model import Instant

MAX_REQUEST = 4 * 1024
MAX_NONCE = 128
"""Octets; RFC 9654, 2.1."""
RESPONSE_LIFETIME = timedelta(hours=1)

_FUNCTIONS = (SHA1, SHA256, SHA384, SHA512)
_FLAGS = {
    RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    RevocationReason.CA_COMPROMISE: x509.ReasonFlags.ca_compromise,
    RevocationReason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    RevocationReason.SUPERSEDED: x509.ReasonFlags.superseded,
    RevocationReason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    RevocationReason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
    RevocationReason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which certificate is asked about."""

    ca: Authority
    serial: str
    """Hex, as in Leaf; may be of no certificate."""
    number: int
    function: HashAlgorithm
    name_hash: bytes
    key_hash: bytes
    nonce: bytes | None


Answer = Revoked | Literal["good", "unknown"]


def read_question(data: bytes, authorities: Iterable[Authority]) -> Question:
    """Read a DER request of at most 4 KiB about one certificate of one of *authorities*.

    Malformed if it cannot be read (answer refuse("malformed")); NotFound if none of our CAs is meant
    (answer refuse("unauthorized"); RFC 5019, 2.2.3).
    """
    if len(data) > MAX_REQUEST:
        raise Malformed("an OCSP request has up to 4 KiB")
    try:
        request = ocsp.load_der_ocsp_request(data)
        function, nonce = request.hash_algorithm, _nonce(request)
        name_hash, key_hash, number = request.issuer_name_hash, request.issuer_key_hash, request.serial_number
    except (*UNREADABLE, NotImplementedError):  # the latter is the library's for more than one question
        raise Malformed("the OCSP request cannot be read") from None
    if not isinstance(function, _FUNCTIONS) or number <= 0:
        raise Malformed("the OCSP request cannot be read")
    for ca in authorities:
        if _hashes(ca, type(function)) == (name_hash, key_hash):
            return Question(
                ca=ca,
                serial=serial_text(number),
                number=number,
                function=function,
                name_hash=name_hash,
                key_hash=key_hash,
                nonce=nonce,
            )
    raise NotFound("no CA of ours is meant")


def question_about(ca: Authority, serial: str) -> Question:
    """Give the question a plain client would ask about a serial (hex) of this CA."""
    name_hash, key_hash = _hashes(ca, SHA1)
    return Question(
        ca=ca,
        serial=serial,
        number=int(serial, 16),
        function=SHA1(),  # noqa: S303 it names the CA and protects nothing (RFC 5019, 2.1.1)
        name_hash=name_hash,
        key_hash=key_hash,
        nonce=None,
    )


def _nonce(request: ocsp.OCSPRequest) -> bytes | None:
    try:
        nonce = request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        return None
    if not 0 < len(nonce) <= MAX_NONCE:
        raise ValueError("the nonce has 1 to 128 octets")
    return nonce


@lru_cache(maxsize=256)
def _hashes(ca: Authority, function: type[HashAlgorithm]) -> tuple[bytes, bytes]:
    """Hash the CA's name and key as a request names them (RFC 6960, 4.1.1)."""
    spki = spki_der(ca.key.public_key())
    bits = next(content for tag, content, _ in elements(content_of(spki, SEQUENCE)) if tag == BIT_STRING)
    return _digest(function, ca.certificate.subject.public_bytes()), _digest(function, bits[1:])


def _digest(function: type[HashAlgorithm], data: bytes) -> bytes:
    digest = Hash(function())
    digest.update(data)
    return digest.finalize()


def answer(
    question: Question, status: Answer, now: Instant, *, lifetime: timedelta = RESPONSE_LIFETIME
) -> bytes:
    """Sign a DER response: good, unknown (never issued by us) or revoked; the nonce comes back."""
    revoked = status if isinstance(status, Revoked) else None
    found = {"good": ocsp.OCSPCertStatus.GOOD, "unknown": ocsp.OCSPCertStatus.UNKNOWN}
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response_by_hash(
            issuer_name_hash=question.name_hash,
            issuer_key_hash=question.key_hash,
            serial_number=question.number,
            algorithm=question.function,
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else found[str(status)],
            this_update=moment(now),
            next_update=moment(now) + lifetime,
            revocation_time=moment(revoked.at) if revoked else None,
            revocation_reason=_FLAGS.get(revoked.reason) if revoked else None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, question.ca.certificate)
    )
    if question.nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(question.nonce), critical=False)
    response = builder.sign(question.ca.key, signing_hash(question.ca.key))
    return response.public_bytes(Encoding.DER)


_REFUSALS = {
    "malformed": ocsp.OCSPResponseStatus.MALFORMED_REQUEST,
    "internal": ocsp.OCSPResponseStatus.INTERNAL_ERROR,
    "later": ocsp.OCSPResponseStatus.TRY_LATER,
    "unauthorized": ocsp.OCSPResponseStatus.UNAUTHORIZED,
}


def refuse(why: Literal["malformed", "internal", "later", "unauthorized"]) -> bytes:
    """Give the unsigned DER response that says why there is no answer (RFC 6960, 2.3)."""
    return ocsp.OCSPResponseBuilder.build_unsuccessful(_REFUSALS[why]).public_bytes(Encoding.DER)
