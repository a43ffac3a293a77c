"""Asking a tenant's CA whether a certificate is revoked (OCSP, RFC 6960): the question, the judged answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_bytes

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.hashes import MD5, SHA1, Hash, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from muster.ca.authority import moment
from muster.ca.der import BIT_STRING, SEQUENCE, content_of, elements
from muster.ca.facts import read_public_key
from muster.ca.keys import UNREADABLE, PublicKey, spki_der
from muster.core.errors import Malformed, Unauthenticated
from muster.core.model import Instant

GRACE = timedelta(minutes=5)
"""How far the responder's clock may be off."""
OLDEST = timedelta(hours=24)
"""Of an answer that does not say when the next one comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and what its answer is judged by."""

    uri: str
    body: bytes
    number: int
    name_hash: bytes
    key_hash: bytes
    nonce: bytes | None
    issuer: PublicKey
    issuer_name: x509.Name


def question(
    chain: Sequence[bytes], ca_spki: bytes, *, uri: str | None = None, has_nonce: bool = False
) -> Question:
    """Ask about the first certificate of a verified chain. Its issuer is in the chain, or the trusted CA.

    Without *uri* the certificate names the responder. Unauthenticated when it does not, or by another scheme
    than http and https.
    """
    try:
        leaf, *others = [x509.load_der_x509_certificate(each) for each in chain]
        above = next((each for each in others if _is_issuer(each, leaf)), None)
        issuer = read_public_key(ca_spki if above is None else spki_der(_public(above)))
        place = uri or _responder(leaf)
    except (*UNREADABLE, Malformed):
        raise Unauthenticated("the certificate cannot be read") from None
    if not place.startswith(("http://", "https://")):
        raise Unauthenticated("nobody says where to ask whether the certificate is revoked")
    # SHA-1 names the CA and protects nothing; every responder knows it (RFC 5019, 2.1.1).
    name_hash, key_hash = _digest(leaf.issuer.public_bytes()), _digest(_key_bits(issuer))
    builder = ocsp.OCSPRequestBuilder().add_certificate_by_hash(
        name_hash,
        key_hash,
        leaf.serial_number,
        SHA1(),  # noqa: S303
    )
    nonce = token_bytes(16) if has_nonce else None
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return Question(
        uri=place,
        body=builder.build().public_bytes(Encoding.DER),
        number=leaf.serial_number,
        name_hash=name_hash,
        key_hash=key_hash,
        nonce=nonce,
        issuer=issuer,
        issuer_name=leaf.issuer,
    )


def _is_issuer(above: x509.Certificate, leaf: x509.Certificate) -> bool:
    """A device may send what it likes along: only who really signed is its issuer."""
    try:
        leaf.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _public(certificate: x509.Certificate) -> PublicKey:
    key: PublicKey = certificate.public_key()  # type: ignore[assignment]  # read_public_key checks its kind
    return key


def _responder(leaf: x509.Certificate) -> str:
    try:
        named = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ""
    found = [
        str(each.access_location.value)
        for each in named
        if each.access_method == AuthorityInformationAccessOID.OCSP
    ]
    return found[0] if found else ""


def _digest(data: bytes) -> bytes:
    digest = Hash(SHA1())  # noqa: S303
    digest.update(data)
    return digest.finalize()


def _key_bits(key: PublicKey) -> bytes:
    parts = elements(content_of(spki_der(key), SEQUENCE))
    return next(content for tag, content, _ in parts if tag == BIT_STRING)[1:]


# --- the answer ---------------------------------------------------------------------------------------


def judge(asked: Question, answer: bytes, responder: bytes | None, now: Instant) -> None:
    """Return when a signed answer says that the certificate is good; Unauthenticated with the reason else.

    It may be signed by the issuer, by the *responder* (a certificate's DER) that the tenant trusts, or by one
    the issuer made for that (RFC 6960, 4.2.2.2).
    """
    try:
        response = ocsp.load_der_ocsp_response(answer)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise Unauthenticated(f"the OCSP responder says {response.response_status.name.lower()}")
        if not any(_is_signed(response, key) for key in _signers(asked, response, responder, moment(now))):
            raise Unauthenticated("the OCSP answer is signed by nobody who may")
        _check_nonce(asked, response)
        single = next(each for each in response.responses if _is_about(asked, each))
    except StopIteration:
        raise Unauthenticated("the OCSP answer is about another certificate") from None
    except (*UNREADABLE, Malformed):
        raise Unauthenticated("the OCSP answer cannot be read") from None
    _check_time(single, moment(now))
    if single.certificate_status is not ocsp.OCSPCertStatus.GOOD:
        raise Unauthenticated(f"the certificate is {single.certificate_status.name.lower()}")


def _signers(
    asked: Question, response: ocsp.OCSPResponse, responder: bytes | None, now: datetime
) -> Iterator[PublicKey]:
    yield asked.issuer
    if responder is not None:
        yield read_public_key(spki_der(_public(x509.load_der_x509_certificate(responder))))
    for each in response.certificates:
        if _is_delegate(asked, each, now):
            yield read_public_key(spki_der(_public(each)))


def _is_delegate(asked: Question, certificate: x509.Certificate, now: datetime) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    is_valid = certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    is_meant = ExtendedKeyUsageOID.OCSP_SIGNING in purposes and certificate.issuer == asked.issuer_name
    function = certificate.signature_hash_algorithm
    signed = certificate.tbs_certificate_bytes
    return is_valid and is_meant and _fits(asked.issuer, certificate.signature, signed, function)


def _is_signed(response: ocsp.OCSPResponse, key: PublicKey) -> bool:
    signed, function = response.tbs_response_bytes, response.signature_hash_algorithm
    return _fits(key, response.signature, signed, function)


def _fits(key: PublicKey, signature: bytes, signed: bytes, function: HashAlgorithm | None) -> bool:
    if isinstance(function, MD5 | SHA1):
        return False
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif function is None:
            return False
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(function))
        else:
            key.verify(signature, signed, padding.PKCS1v15(), function)
    except InvalidSignature:
        return False
    return True


def _check_nonce(asked: Question, response: ocsp.OCSPResponse) -> None:
    if asked.nonce is None:
        return
    try:
        given = response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except x509.ExtensionNotFound:
        given = b""
    if given != asked.nonce:
        raise Unauthenticated("the OCSP answer is to another question")


def _is_about(asked: Question, single: ocsp.OCSPSingleResponse) -> bool:
    named = (single.serial_number, single.issuer_name_hash, single.issuer_key_hash)
    return named == (asked.number, asked.name_hash, asked.key_hash)


def _check_time(single: ocsp.OCSPSingleResponse, now: datetime) -> None:
    until = single.next_update_utc or single.this_update_utc + OLDEST
    if not single.this_update_utc - GRACE <= now <= until + GRACE:
        raise Unauthenticated("the OCSP answer is not of now")
