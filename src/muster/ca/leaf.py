"""Certificates of devices and of our own servers. Who may have one is decided in the core, not here."""

from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from muster.ca.authority import BACKDATE, Authority, moment, new_serial, serial_text
from muster.ca.keys import PrivateKey, PublicKey, key_pem, signing_hash, spki_sha256
from muster.ca.names import alternative_names, device_subject, device_uri, short
from muster.core.errors import Malformed, Unavailable
from muster.core.model import Instant, Secret

MAX_TTL = timedelta(days=100 * 365)
MIN_TTL = timedelta(seconds=1)
SERVER_TTL = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Urls:
    """Where others find out about certificates of one CA; None is left out of the certificate."""

    crl: str | None = None
    ocsp: str | None = None
    ca: str | None = None
    """Where the CA's certificate lies, as DER."""


NOWHERE = Urls()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """An issued certificate."""

    certificate: str
    """PEM."""
    chain: str
    """PEM of the CAs above it up to, but without, the root; empty if the root itself signed."""
    key: Secret | None
    """PKCS #8 PEM; None if the holder made the key."""
    serial: str
    """Lower-case hex."""
    spki_sha256: bytes
    fingerprint: bytes
    """SHA-256 of the DER."""
    issuer_id: str
    """The id of the Authority that signed."""
    not_before: Instant
    not_after: Instant


def issue_leaf(  # one parameter for each thing that differs between two certificates
    ca: Authority,
    key: PrivateKey | PublicKey,
    *,
    tenant_id: str,
    device_id: str,
    ttl: timedelta,
    now: Instant,
    urls: Urls = NOWHERE,
    names: Sequence[str] = (),
    serial: int | None = None,
) -> Leaf:
    """Issue a device's certificate: clientAuth only, its SAN URI the device's identity.

    *key* is the private key if we made it, else the public key of a checked CSR. It begins five minutes
    before *now* and never outlives the CA, however long *ttl* is. *names* are DNS names and IP addresses the
    operator gave, never the requester. Malformed if ttl is below a second or above 100 years or a name is
    none; Unavailable if the CA is not valid at *now*.
    """
    alternatives = [x509.UniformResourceIdentifier(device_uri(tenant_id, device_id))]
    return _issue(
        ca,
        key,
        _client_builder(ca, urls)
        .subject_name(device_subject(tenant_id, device_id))
        .add_extension(
            x509.SubjectAlternativeName([*alternatives, *alternative_names(names)]), critical=False
        ),
        ttl=ttl,
        now=now,
        serial=serial,
    )


LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def issue_server(
    ca: Authority,
    key: PrivateKey,
    names: Sequence[str] = (),
    *,
    now: Instant,
    ttl: timedelta = SERVER_TTL,
    urls: Urls = NOWHERE,
) -> Leaf:
    """Issue the certificate of our own HTTPS and MQTTS for this machine's local names and *names*."""
    alternatives = alternative_names((*LOCAL_NAMES, *names))
    first = short(names[0] if names else LOCAL_NAMES[0])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, first)])
    builder = x509.CertificateBuilder().issuer_name(ca.certificate.subject).subject_name(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    for value, is_critical in _common_extensions(ca, urls, ExtendedKeyUsageOID.SERVER_AUTH):
        builder = builder.add_extension(value, critical=is_critical)
    return _issue(ca, key, builder, ttl=ttl, now=now, serial=None)


def validity(ca: Authority, ttl: timedelta, now: Instant) -> tuple[datetime, datetime]:
    """Give when a certificate issued now begins and ends; errors as issue_leaf."""
    if not MIN_TTL <= ttl <= MAX_TTL:
        raise Malformed("a certificate lives between one second and 100 years")
    start = moment(now)
    if not ca.not_before <= start < ca.not_after:
        raise Unavailable("the issuing CA is not valid at this time")
    return max(start - BACKDATE, ca.not_before), min(start + ttl, ca.not_after)


def _issue(
    ca: Authority,
    key: PrivateKey | PublicKey,
    builder: x509.CertificateBuilder,
    *,
    ttl: timedelta,
    now: Instant,
    serial: int | None,
) -> Leaf:
    public_key = key.public_key() if isinstance(key, PrivateKey) else key
    number = serial or new_serial()
    start, end = validity(ca, ttl, now)
    certificate = (
        builder.public_key(public_key)
        .serial_number(number)
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(ca.key, signing_hash(ca.key))
    )
    der = certificate.public_bytes(Encoding.DER)
    return Leaf(
        certificate=pem(der),
        chain=ca.chain_pem,
        key=Secret(key_pem(key)) if isinstance(key, PrivateKey) else None,
        serial=serial_text(number),
        spki_sha256=spki_sha256(public_key),
        fingerprint=sha256(der).digest(),
        issuer_id=ca.id,
        not_before=_instant(start),
        not_after=_instant(end),
    )


def pem(der: bytes) -> str:
    """Give a certificate as PEM text (RFC 7468), 64 characters to a line."""
    text = b2a_base64(der, newline=False).decode()
    lines = "\n".join([text[place : place + 64] for place in range(0, len(text), 64)])
    return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"


def _instant(at: datetime) -> Instant:
    return Instant(int(at.timestamp()) * 1_000_000)


@lru_cache(maxsize=16)
def _client_builder(ca: Authority, urls: Urls) -> x509.CertificateBuilder:
    """Everything that is the same in all devices' certificates of a CA; builders are immutable.

    The extensions are encoded once, here: encoding them for each certificate is a sixth of its cost.
    """
    builder = x509.CertificateBuilder().issuer_name(ca.certificate.subject)
    for value, is_critical in _common_extensions(ca, urls, ExtendedKeyUsageOID.CLIENT_AUTH):
        encoded = x509.UnrecognizedExtension(value.oid, value.public_bytes())
        builder = builder.add_extension(encoded, critical=is_critical)
    return builder


_LEAF_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _common_extensions(
    ca: Authority, urls: Urls, purpose: x509.ObjectIdentifier
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """Give each extension that does not depend on the subject, and whether it is critical."""
    yield x509.BasicConstraints(ca=False, path_length=None), True
    yield _LEAF_USAGE, True
    yield x509.ExtendedKeyUsage([purpose]), False
    yield ca.authority_key_identifier, False
    if urls.crl:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(urls.crl)], None, None, None)
        yield x509.CRLDistributionPoints([point]), False
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, url in (
            (AuthorityInformationAccessOID.OCSP, urls.ocsp),
            (AuthorityInformationAccessOID.CA_ISSUERS, urls.ca),
        )
        if url
    ]
    if access:
        yield x509.AuthorityInformationAccess(access), False
