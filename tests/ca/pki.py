"""Authorities and certificates the tests share, and foreign ones made with the library alone."""

import subprocess
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from muster.ca.authority import Authority, make_issuing, make_root
from muster.ca.keys import KeyKind, make_key
from muster.ca.leaf import NOWHERE, Leaf, issue_leaf
from muster.core.model import Instant

NOW = Instant(1_800_000_000_000_000)
TODAY = datetime.fromtimestamp(1_800_000_000, UTC)
YEAR = timedelta(days=365)
KEY = make_key()
_serials = count(1000)


def crl_pem(der: bytes) -> str:
    """Write a revocation list as openssl reads it."""
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM).decode()


def days(number):
    return Instant(NOW + number * 86_400_000_000)


@cache
def root() -> Authority:
    return make_root(NOW)


@cache
def issuing() -> Authority:
    return make_issuing(root(), NOW)


@cache
def rsa_key(kind: KeyKind = KeyKind.RSA2048) -> rsa.RSAPrivateKey:
    return make_key(kind)


def leaf(
    ca=None, key=KEY, *, tenant="acme", device="pump-1", ttl=YEAR, now=NOW, urls=NOWHERE, names=()
) -> Leaf:
    return issue_leaf(
        ca or issuing(), key, tenant_id=tenant, device_id=device, ttl=ttl, now=now, urls=urls, names=names
    )


def parsed(pem: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem.encode())


def der(certificate) -> bytes:
    certificate = parsed(certificate) if isinstance(certificate, str) else certificate
    return certificate.public_bytes(Encoding.DER)


def subject(common_name: str, **more: str) -> x509.Name:
    oids = {"o": NameOID.ORGANIZATION_NAME, "ou": NameOID.ORGANIZATIONAL_UNIT_NAME}
    parts = [x509.NameAttribute(oids[kind], value) for kind, value in more.items()]
    return x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


CLIENT, SERVER = (ExtendedKeyUsageOID.CLIENT_AUTH,), (ExtendedKeyUsageOID.SERVER_AUTH,)


_USAGES = (
    "digital_signature content_commitment key_encipherment data_encipherment key_agreement "
    "key_cert_sign crl_sign encipher_only decipher_only"
)


def usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in allowed for name in _USAGES.split(" ")})


class Foreign:
    """Someone else's CA: every field of what it signs can be chosen."""

    def __init__(self, name="Foreign CA", key=None, *, above=None, **options):
        self.key = key or make_key()
        self.name = subject(name)
        self.above = above
        signer = above or self
        options = {"ca": True, "purposes": None, **options}
        self.certificate = signer.sign(self.key.public_key(), self.name, **options)
        self.der = der(self.certificate)

    def sign(
        self,
        public_key=None,
        name=None,
        *,
        ca=False,
        depth=None,
        purposes=CLIENT,
        key_usage=None,
        start=-YEAR,
        end=YEAR,
        function=None,
        extensions=(),
        by=None,
        serial=None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(
                subject(name) if isinstance(name, str) else subject("device") if name is None else name
            )
            .issuer_name(self.name)
            .public_key(public_key or KEY.public_key())
            .serial_number(serial or next(_serials))
            .not_valid_before(TODAY + start)
            .not_valid_after(TODAY + end)
        )
        if ca is not None:
            builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=depth), critical=True)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if key_usage:
            builder = builder.add_extension(key_usage, critical=True)
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        key = by or self.key
        is_plain = isinstance(key, ed25519.Ed25519PrivateKey)
        return builder.sign(key, None if is_plain else function or SHA256())


def csr(key=KEY, *, name="whatever", extensions=(), function=None) -> x509.CertificateSigningRequest:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject(name))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    is_plain = isinstance(key, ed25519.Ed25519PrivateKey)
    return builder.sign(key, None if is_plain else function or SHA256())


def openssl(*arguments, given=b"", fails=False) -> str:
    """Run openssl; give what it printed. A wrong exit status is an assertion."""
    command = ["openssl", *map(str, arguments)]
    done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
    text = (done.stdout + done.stderr).decode(errors="replace")
    assert (done.returncode != 0) == fails, text
    return text


def weak_curve_key():
    return ec.generate_private_key(ec.SECP192R1())
