"""Certificate revocation lists (RFC 5280, 5), written so that half a million entries take seconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
from cryptography.hazmat.primitives.hashes import SHA256

from muster.ca.authority import Authority, moment
from muster.ca.der import BIT_STRING, ENUMERATED, SEQUENCE, content_of, elements, tlv
from muster.ca.keys import PrivateKey, signing_hash
from muster.core.errors import Malformed
from muster.core.model import Instant

CRL_LIFETIME = timedelta(days=7)
_INTEGER, _OCTETS, _EXTENSIONS = 0x02, 0x04, 0xA0
_REASON_OID = bytes.fromhex("0603551d15")


class RevocationReason(IntEnum):
    """Why a certificate was revoked (RFC 5280, 5.3.1)."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    PRIVILEGE_WITHDRAWN = 9


@dataclass(frozen=True, slots=True)
class Revoked:
    """One entry. Leave certificates out that have expired since: a list shrinks by that."""

    serial: str
    """Hex, as in Leaf."""
    at: Instant
    reason: RevocationReason = RevocationReason.UNSPECIFIED


def crl_entry(revoked: Revoked) -> bytes:
    """Encode one entry. Entries may be kept and joined again: the same one never changes."""
    try:
        serial = int(revoked.serial, 16)
        octets = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    except (ValueError, OverflowError):
        raise Malformed("a serial is hexadecimal and positive") from None
    number = bytes((_INTEGER, len(octets))) + octets
    day, second = divmod(revoked.at // 1_000_000, 86400)
    head, clock = _date(day), _CLOCK % (second // 3600, second // 60 % 60, second % 60)
    return tlv(SEQUENCE, number + head + clock + _REASONS[revoked.reason])


_CLOCK = b"%02d%02d%02dZ"


@lru_cache(maxsize=8192)
def _date(day: int) -> bytes:
    """Give tag, length and date: UTCTime until 2049, GeneralizedTime from then on (RFC 5280, 4.1.2.5)."""
    date = datetime.fromtimestamp(day * 86400, UTC)
    return (
        b"\x17\x0d" + f"{date:%y%m%d}".encode()
        if date.year < 2050
        else b"\x18\x0f" + f"{date:%Y%m%d}".encode()
    )


def _reason(reason: RevocationReason) -> bytes:
    if reason is RevocationReason.UNSPECIFIED:
        return b""  # RFC 5280 5.3.1: absent instead of unspecified
    value = tlv(_OCTETS, tlv(ENUMERATED, bytes((reason,))))
    return tlv(SEQUENCE, tlv(SEQUENCE, _REASON_OID, value))


_REASONS = {reason: _reason(reason) for reason in RevocationReason}


def build_crl(
    ca: Authority,
    entries: Iterable[bytes],
    *,
    number: int,
    now: Instant,
    lifetime: timedelta = CRL_LIFETIME,
    url: str | None = None,
) -> bytes:
    """Sign a complete list (DER) of encoded entries, as crl_entry gives them.

    *number* must grow from list to list of one CA. *url* is where the list lies, if it covers only the
    certificates that name this address (a partition; RFC 5280, 5.2.5).

    The library writes and signs an empty list; the entries are put into its signed part, which is signed
    again. Through the library alone, 500,000 entries take three times as long (3.5 s).
    """
    empty = _empty_crl(ca, number=number, now=now, lifetime=lifetime, url=url)
    before, extensions = _split(content_of(empty.tbs_certlist_bytes, SEQUENCE))
    joined = b"".join(entries)
    revoked = tlv(SEQUENCE, joined) if joined else b""
    tbs = tlv(SEQUENCE, before, revoked, extensions)
    algorithm = list(elements(before))[1][2]
    return tlv(SEQUENCE, tbs, algorithm, tlv(BIT_STRING, b"\0", _sign(ca.key, tbs)))


def _empty_crl(
    ca: Authority, *, number: int, now: Instant, lifetime: timedelta, url: str | None
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(moment(now))
        .next_update(moment(now) + lifetime)
        .add_extension(ca.authority_key_identifier, critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    if url:
        builder = builder.add_extension(_partition(url), critical=True)
    return builder.sign(ca.key, signing_hash(ca.key))


def _partition(url: str) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )


def _split(tbs: bytes) -> tuple[bytes, bytes]:
    """Give what stands before the place of the entries, and the extensions after it."""
    parts = list(elements(tbs))
    before = b"".join(whole for tag, _, whole in parts if tag != _EXTENSIONS)
    return before, parts[-1][2]


def _sign(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    function = signing_hash(key) or SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(function))
    return key.sign(data, padding.PKCS1v15(), function)
