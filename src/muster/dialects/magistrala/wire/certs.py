"""Certificates on the wire (spec A.8): what is asked for, what is shown, the receipt of a revocation."""

import msgspec

from muster.core.certificates import Certificate, CertificateRequest
from muster.core.errors import Malformed
from muster.core.layout import KeyType
from muster.core.model import Instant
from muster.core.pki import Receipt
from muster.dialects.magistrala.options import Options
from muster.dialects.magistrala.wire.common import In
from muster.web.wire import rfc3339, seconds

LIST_DAYS = 7
"""How long a revocation list that somebody fetched before may still be used by them."""
ANSWER_HOURS = 1
"""The same of an answer about one certificate (OCSP)."""


class NewCertificate(In, kw_only=True):
    """A certificate to be issued; kind of key and signing request are ours."""

    client_id: str | None = None
    ttl: str | None = None
    key_type: str | None = None
    key_bits: int | None = None
    csr: str | None = None


class Names(In, kw_only=True):
    """Names of the newer form. Ours are the device's; only DNS names are taken, the rest is ignored."""

    common_name: str | None = None
    dns_names: list[str] | None = None


class Issue(In, kw_only=True):
    """What the newer form asks for."""

    ttl: str | None = None
    ip_addresses: list[str] | None = None
    options: Names | None = None
    key_type: str | None = None
    key_bits: int | None = None
    csr: str | None = None


class Sign(In, kw_only=True):
    """A signing request to be answered: PEM, DER in Base64, or PEM in Base64."""

    csr: str | None = None
    ttl: str | None = None


class Renew(In, kw_only=True):
    """How a successor shall be; with a signing request for the key in it."""

    ttl: str | None = None
    key_type: str | None = None
    key_bits: int | None = None
    csr: str | None = None


class CertificateOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A certificate. The key is shown only where it was made here."""

    client_id: str
    entity_id: str
    certificate: str = ""
    ca_chain: str = ""
    serial_number: str
    key: str = ""
    expiry_time: str
    revoked: bool | msgspec.UnsetType = msgspec.UNSET
    revocation_time: str = ""


class CertificatePage(msgspec.Struct, kw_only=True):
    """A window of a domain's certificates, the first to expire first."""

    total: int
    offset: int
    limit: int
    certificates: list[CertificateOut]


class SerialPage(msgspec.Struct, kw_only=True):
    """A window of a client's certificates, the oldest first."""

    total: int
    offset: int
    limit: int
    certs: list[CertificateOut]


class Surface(msgspec.Struct, kw_only=True):
    """From when on a revoked certificate is refused in one place."""

    surface: str
    takes_effect: str
    note: str = ""


class Revoked(msgspec.Struct, kw_only=True):
    """The receipt of a revocation."""

    revocation_time: str
    client_id: str
    serial_numbers: list[str]
    surfaces: list[Surface]


def asked_for(
    options: Options,
    *,
    ttl: str | None,
    key_type: str | None = None,
    key_bits: int | None = None,
    csr: str | None = None,
    names: tuple[str, ...] = (),
) -> CertificateRequest:
    """Read what a certificate shall be; Malformed for a lifetime or a kind of key that there is not."""
    default = int(options.layout.certificate_ttl_hours * 3600)
    kind = _kind(key_type, key_bits)
    bits = key_bits or (2048 if kind is KeyType.RSA else 256)
    lifetime = seconds(ttl) if ttl else default
    return CertificateRequest(ttl_seconds=lifetime, key_type=kind, key_bits=bits, csr=csr or "", names=names)


def _kind(key_type: str | None, key_bits: int | None) -> KeyType:
    name = (key_type or ("rsa" if (key_bits or 0) >= 1024 else "ec")).lower()
    try:
        return KeyType("ec" if name == "ecdsa" else name)
    except ValueError:
        raise Malformed("there is no such kind of key; known are ec, rsa and ed25519") from None


def out(found: Certificate, *, shows_key: bool = False, is_short: bool = False) -> CertificateOut:
    """Show a certificate."""
    return CertificateOut(
        client_id=found.device_id,
        entity_id=found.device_id,
        certificate="" if is_short else found.certificate,
        ca_chain="" if is_short else found.chain,
        serial_number=found.id,
        key=found.key.reveal() if shows_key and found.key is not None else "",
        expiry_time=rfc3339(found.not_after),
        revoked=bool(found.revoked_at),
        revocation_time=rfc3339(found.revoked_at) if found.revoked_at else "",
    )


def receipt(done: Receipt) -> Revoked:
    """Show what a revocation did, and from when on it is true where."""
    at = rfc3339(done.revoked_at)
    end_of_lists = rfc3339(Instant(done.revoked_at + LIST_DAYS * 86_400_000_000))
    end_of_answers = rfc3339(Instant(done.revoked_at + ANSWER_HOURS * 3_600_000_000))
    in_one_second = rfc3339(Instant(done.revoked_at + 1_000_000))
    barred = "" if done.is_last else "the client has another certificate that is good"
    return Revoked(
        revocation_time=at,
        client_id=done.device_id,
        serial_numbers=list(done.serials),
        surfaces=[
            Surface(surface="mqtt_login", takes_effect=at),
            Surface(surface="http_login", takes_effect=at),
            Surface(surface="live_sessions", takes_effect=in_one_second, note="at the latest"),
            Surface(surface="bootstrap", takes_effect=at, note=barred),
            Surface(surface="renewal", takes_effect=at),
            Surface(surface="ocsp", takes_effect=at),
            Surface(surface="crl", takes_effect=at),
            Surface(surface="ocsp_cached", takes_effect=end_of_answers, note="where it was fetched before"),
            Surface(surface="crl_cached", takes_effect=end_of_lists, note="where it was fetched before"),
        ],
    )
