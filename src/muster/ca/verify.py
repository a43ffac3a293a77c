"""Is this chain one of a trusted CA? OpenSSL builds and checks the path, we check what it leaves open.

Revocation is not decided here: it depends on rows. Verify first, then look up the serial.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA224, SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from muster.ca.authority import Authority, moment, serial_text
from muster.ca.dn import dn_key, dn_text
from muster.ca.keys import UNREADABLE, WeakKey, check_public_key, spki_der, spki_sha256
from muster.ca.names import read_device_uri
from muster.core.errors import Malformed, Unauthenticated
from muster.core.model import Instant

MAX_CERTIFICATE = 16 * 1024
MAX_INTERMEDIATES = 4
X = TypeVar("X", bound=x509.ExtensionType)


class Reason(StrEnum):
    """Why a chain is refused; the value is for logs and answers."""

    MALFORMED = "the certificate cannot be read"
    TOO_LONG = "the chain is too long"
    EXPIRED = "the certificate, or one above it, has expired"
    NOT_YET_VALID = "the certificate, or one above it, is not valid yet"
    SELF_SIGNED = "the certificate is signed by itself"
    UNKNOWN_CA = "no trusted CA issued the certificate, or an intermediate is missing"
    BAD_SIGNATURE = "the signature of the certificate is wrong"
    WRONG_USAGE = "the certificate is not for clients"
    NOT_A_CA = "a certificate in the chain was issued by one that is not a CA"
    WEAK = "the certificate uses a weak key or signature"
    RESTRICTED = "the CA may not issue such a certificate"
    UNTRUSTED = "the chain does not lead to a trusted CA"


class ChainRefused(Unauthenticated):
    """The certificate is not accepted."""

    def __init__(self, reason: Reason) -> None:
        """Tell why."""
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """A CA that is trusted: a certificate, or only a name and a key (Hono's `trusted-ca`)."""

    tag: str
    """Whatever the caller knows it by: a tenant's CA id, an Authority's id."""
    subject_der: bytes
    spki_der: bytes
    certificate: bytes = b""
    """DER; empty if only name and key are known."""
    not_before: Instant | None = None
    not_after: Instant | None = None
    """None: no limit is known. With a certificate its own validity counts."""
    is_own: bool = False
    """Ours: only then does a SAN URI `https://muster.internal/…` name a device."""


def own_anchor(ca: Authority) -> Anchor:
    """Trust an authority of our own, a root or an issuing CA."""
    return anchor(ca.der, tag=ca.id, is_own=True)


def anchor(certificate: bytes, *, tag: str, is_own: bool = False) -> Anchor:
    """Trust a CA certificate (DER); Malformed or WeakKey if it cannot be one."""
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        constraints = _extension(parsed, x509.BasicConstraints)
        found = Anchor(
            tag=tag,
            subject_der=parsed.subject.public_bytes(),
            spki_der=spki_der(check_public_key(parsed.public_key())),
            certificate=certificate,
            not_before=_instant(parsed.not_valid_before_utc),
            not_after=_instant(parsed.not_valid_after_utc),
            is_own=is_own,
        )
    except UNREADABLE:
        raise Malformed("the CA certificate cannot be read") from None
    if constraints is None or not constraints.ca:
        raise Malformed("the certificate is not one of a CA")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate:
    """A certificate whose chain leads to *anchor*."""

    subject_dn: str
    """As Java writes RFC 2253: see ca/dn."""
    issuer_dn: str
    subject_der: bytes
    issuer_der: bytes
    common_name: str
    """Empty if there is none."""
    serial: str
    fingerprint: bytes
    """SHA-256 of the DER."""
    spki_sha256: bytes
    uris: tuple[str, ...]
    dns_names: tuple[str, ...]
    not_before: Instant
    not_after: Instant
    anchor: Anchor
    device: tuple[str, str] | None
    """The tenant and device it was issued to, if our own CA issued it."""


def verify_chain(
    leaf: bytes, intermediates: Sequence[bytes], anchors: Iterable[Anchor], now: Instant
) -> ClientCertificate:
    """Verify a client's certificate (DER) and those it sent along against trusted CAs (RFC 5280, 6.1).

    Signatures, validity at *now* of all, basicConstraints, path length, key usage, extendedKeyUsage
    clientAuth (absent means any use), name constraints, unknown critical extensions, key and hash strength.
    At most 4 intermediates, 16 KiB each. Anchors of one name and different keys are tried in turn.
    ChainRefused with the reason.
    """
    with _malformed():
        certificate, *others = _parse_all(leaf, intermediates)
        _check_leaf(certificate, moment(now))
        for each in (certificate, *others):
            _check_strength(each)
        found = _find_anchor(certificate, others, anchors, moment(now))
        return _describe(certificate, leaf, found)


def _find_anchor(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], anchors: Iterable[Anchor], now: datetime
) -> Anchor:
    """Give the first anchor that a valid path leads to; else raise what spoke against the last."""
    refusal = ChainRefused(Reason.SELF_SIGNED if leaf.subject == leaf.issuer else Reason.UNKNOWN_CA)
    for candidate, issued in _candidates((leaf, *others), anchors):
        try:
            _verify_path(leaf, others, _trusted(candidate, issued), now)
        except ChainRefused as refused:
            refusal = refused
        else:
            return candidate
    raise refusal


@contextmanager
def _malformed() -> Iterator[None]:
    """The libraries read lazily and raise several things for what is no certificate."""
    try:
        yield
    except (*UNREADABLE, crypto.Error, Malformed):
        raise ChainRefused(Reason.MALFORMED) from None
    finally:
        Binding.lib.ERR_clear_error()  # what OpenSSL leaves behind would be blamed on the next TLS call


def issuer_keys(leaf: bytes, intermediates: Sequence[bytes]) -> tuple[str, ...]:
    """Give the issuers of a chain that is not verified yet, as names are compared: which anchors may fit."""
    with _malformed():
        return tuple(_comparable(each.issuer.public_bytes()) for each in _parse_all(leaf, intermediates))


# --- the certificates one by one -------------------------------------------------------------------


def _parse_all(leaf: bytes, intermediates: Sequence[bytes]) -> list[x509.Certificate]:
    if len(intermediates) > MAX_INTERMEDIATES:
        raise ChainRefused(Reason.TOO_LONG)
    return [_parse(each) for each in (leaf, *intermediates)]


def _parse(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE:
        raise ChainRefused(Reason.MALFORMED)
    certificate = x509.load_der_x509_certificate(der)
    if certificate.serial_number <= 0:
        raise ChainRefused(Reason.MALFORMED)
    return certificate


def _extension(certificate: x509.Certificate, kind: type[X]) -> X | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _check_leaf(certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        raise ChainRefused(Reason.NOT_YET_VALID)
    if now > certificate.not_valid_after_utc:
        raise ChainRefused(Reason.EXPIRED)
    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    is_ca = constraints is not None and constraints.ca
    may_sign = usage is None or usage.digital_signature or usage.key_agreement
    if is_ca or not may_sign or not _is_for_clients(certificate):
        raise ChainRefused(Reason.WRONG_USAGE)


_CLIENT_PURPOSES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


def _is_for_clients(certificate: x509.Certificate) -> bool:
    purposes = _extension(certificate, x509.ExtendedKeyUsage)
    return purposes is None or not _CLIENT_PURPOSES.isdisjoint(purposes)


def _check_strength(certificate: x509.Certificate) -> None:
    try:
        check_public_key(certificate.public_key())
        function = certificate.signature_hash_algorithm
    except (WeakKey, *UNREADABLE):
        raise ChainRefused(Reason.WEAK) from None
    if isinstance(function, MD5 | SHA1 | SHA224):
        raise ChainRefused(Reason.WEAK)


# --- the path --------------------------------------------------------------------------------------


def _candidates(
    chain: Sequence[x509.Certificate], anchors: Iterable[Anchor]
) -> Iterator[tuple[Anchor, x509.Certificate]]:
    """Give each anchor whose name is an issuer's in the chain, with a certificate issued under that name."""
    issued = {_comparable(each.issuer.public_bytes()): each for each in chain}
    for each in anchors:
        below = issued.get(_comparable(each.subject_der))
        if below is not None:
            yield each, below


def _trusted(found: Anchor, below: x509.Certificate) -> x509.Certificate:
    """Give the certificate to trust for an anchor under which *below* was issued."""
    if found.certificate:
        return x509.load_der_x509_certificate(found.certificate)
    # Some CAs name their own certificate's issuer and serial in what they sign (easy-rsa does).
    named = _extension(below, x509.AuthorityKeyIdentifier)
    issuers = [
        name.value.public_bytes()
        for name in (named and named.authority_cert_issuer) or ()
        if isinstance(name, x509.DirectoryName)
    ]
    subject = below.issuer.public_bytes()
    serial = (named and named.authority_cert_serial_number) or 1
    return _stand_in(found, subject, issuers[0] if issuers else subject, serial)


@lru_cache(maxsize=4096)
def _comparable(name: bytes) -> str:
    """Names are equal whatever their case, blanks and string types (RFC 5280, 7.1)."""
    return dn_key(name)


_ALWAYS = (datetime(1970, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 the builder takes UTC
_STAND_IN_KEY = ec.derive_private_key(1, ec.SECP256R1())
"""Signs stand-ins. No secret: the signature of a trust anchor is never looked at."""


@lru_cache(maxsize=4096)
def _stand_in(trusted: Anchor, subject: bytes, issuer: bytes, serial: int) -> x509.Certificate:
    """OpenSSL trusts certificates, not keys: wrap the key in one with the name its holder issues under."""
    try:
        key = check_public_key(load_der_public_key(trusted.spki_der))
    except (WeakKey, *UNREADABLE):
        raise ChainRefused(Reason.WEAK) from None
    start = moment(trusted.not_before) if trusted.not_before else _ALWAYS[0]
    end = moment(trusted.not_after) if trusted.not_after else _ALWAYS[1]
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_bytes(subject))
        .issuer_name(x509.Name.from_bytes(issuer))
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(_STAND_IN_KEY, SHA256())
    )


_REASONS = {
    2: Reason.UNKNOWN_CA,
    7: Reason.BAD_SIGNATURE,
    9: Reason.NOT_YET_VALID,
    10: Reason.EXPIRED,
    18: Reason.SELF_SIGNED,
    19: Reason.UNKNOWN_CA,
    20: Reason.UNKNOWN_CA,
    21: Reason.UNKNOWN_CA,
    22: Reason.TOO_LONG,
    24: Reason.NOT_A_CA,
    25: Reason.TOO_LONG,
    26: Reason.WRONG_USAGE,
    30: Reason.UNKNOWN_CA,
    32: Reason.NOT_A_CA,
    34: Reason.RESTRICTED,
    47: Reason.RESTRICTED,
    48: Reason.RESTRICTED,
    79: Reason.NOT_A_CA,
}
"""Of OpenSSL's X509_V_ERR_* numbers (openssl/x509_vfy.h); any other one is UNTRUSTED."""


@lru_cache(maxsize=4096)
def _openssl(trusted: x509.Certificate) -> crypto.X509:
    return crypto.X509.from_cryptography(trusted)


def _verify_path(
    leaf: x509.Certificate, others: Sequence[x509.Certificate], trusted: x509.Certificate, now: datetime
) -> None:
    store = crypto.X509Store()
    store.add_cert(_openssl(trusted))
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    store.set_time(now)
    sent = [crypto.X509.from_cryptography(each) for each in others]
    try:
        path = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), sent).get_verified_chain()
    except crypto.X509StoreContextError as error:
        raise ChainRefused(_REASONS.get(error.errors[0], Reason.UNTRUSTED)) from None
    _check_issuers([each.to_cryptography() for each in path[1:]])


def _check_issuers(issuers: Sequence[x509.Certificate]) -> None:
    """OpenSSL lets some CAs pass without basicConstraints, and is told no purpose here."""
    if not issuers:
        raise ChainRefused(Reason.WRONG_USAGE)
    for each in issuers:
        constraints = _extension(each, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            raise ChainRefused(Reason.NOT_A_CA)
        if not _is_for_clients(each):
            raise ChainRefused(Reason.RESTRICTED)


# --- the result ------------------------------------------------------------------------------------


def _describe(certificate: x509.Certificate, der: bytes, found: Anchor) -> ClientCertificate:
    subject, issuer = certificate.subject.public_bytes(), certificate.issuer.public_bytes()
    names = _extension(certificate, x509.SubjectAlternativeName)
    uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names else ()
    common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return ClientCertificate(
        subject_dn=dn_text(subject),
        issuer_dn=_issuer_text(issuer),
        subject_der=subject,
        issuer_der=issuer,
        common_name=str(common_names[-1].value) if common_names else "",
        serial=serial_text(certificate.serial_number),
        fingerprint=sha256(der).digest(),
        spki_sha256=spki_sha256(check_public_key(certificate.public_key())),
        uris=uris,
        dns_names=tuple(names.get_values_for_type(x509.DNSName)) if names else (),
        not_before=_instant(certificate.not_valid_before_utc),
        not_after=_instant(certificate.not_valid_after_utc),
        anchor=found,
        device=_device(uris) if found.is_own else None,
    )


@lru_cache(maxsize=4096)
def _issuer_text(name: bytes) -> str:
    return dn_text(name)


def _device(uris: Sequence[str]) -> tuple[str, str] | None:
    found = [device for uri in uris if (device := read_device_uri(uri))]
    return found[0] if len(found) == 1 else None


def _instant(at: datetime) -> Instant:
    return Instant(int(at.timestamp()) * 1_000_000)
