"""Key pairs: which kinds there are, and which public keys nobody should trust."""

from enum import Enum
from hashlib import sha256
from math import isqrt

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.utils import CryptographyDeprecationWarning

from muster.core.errors import Malformed

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,  # where warnings are made errors: of a serial that is not positive
)
"""What the library raises, at once or when a part is first looked at, for what is no certificate or key."""


class WeakKey(Malformed):
    """The key is too weak, of an unknown kind, or known to be broken."""


class KeyKind(Enum):
    """The kinds of keys that Muster makes."""

    P256 = "ec-256"
    P384 = "ec-384"
    P521 = "ec-521"
    ED25519 = "ed25519"
    RSA2048 = "rsa-2048"
    RSA3072 = "rsa-3072"
    RSA4096 = "rsa-4096"

    @property
    def is_slow(self) -> bool:
        """Whether making one takes so long (RSA-2048: 30 ms, RSA-4096: 0.5 s) that it belongs in a pool."""
        return self.value.startswith("rsa")


_DEFAULT_BITS = {"ec": 256, "rsa": 2048}
_CURVES: dict[KeyKind, ec.EllipticCurve] = {
    KeyKind.P256: ec.SECP256R1(),
    KeyKind.P384: ec.SECP384R1(),
    KeyKind.P521: ec.SECP521R1(),
}
_CURVE_NAMES = frozenset(curve.name for curve in _CURVES.values())


def key_kind(key_type: str = "", bits: int | None = None) -> KeyKind:
    """Read a request's key type (`rsa`, `ec`, `ecdsa`, `ed25519`, any case) and bits; none: the usual ones.

    Without a type, bits of 1024 and more mean RSA. Malformed if there is no such kind.
    """
    name = key_type.lower() or ("rsa" if bits and bits >= 1024 else "ec")
    name = "ec" if name == "ecdsa" else name
    if name == "ed25519" and bits in (None, 0, 256):
        return KeyKind.ED25519
    try:
        return KeyKind(f"{name}-{bits or _DEFAULT_BITS.get(name)}")
    except ValueError:
        known = ", ".join(kind.value for kind in KeyKind)
        raise Malformed(f"there is no such kind of key; known are {known}") from None


def make_key(kind: KeyKind = KeyKind.P256) -> PrivateKey:
    """Make a key pair. RSA takes its time: see keypool."""
    if kind is KeyKind.ED25519:
        return ed25519.Ed25519PrivateKey.generate()
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    return rsa.generate_private_key(65537, int(kind.value.partition("-")[2]))


def key_pem(key: PrivateKey) -> str:
    """Give the private key as PKCS #8 PEM (RFC 5958), unencrypted."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def read_key(pem: str | bytes, password: bytes | None = None) -> PrivateKey:
    """Read a private key; Malformed if it cannot be read, WeakKey if it is not worth using."""
    data = pem.encode("utf-8", "replace") if isinstance(pem, str) else pem
    try:
        key = load_pem_private_key(data, password)
    except UnsupportedAlgorithm:
        raise WeakKey("the private key is of an unknown kind") from None
    except (ValueError, TypeError):
        raise Malformed("the private key cannot be read, or its password is wrong") from None
    if not isinstance(key, PrivateKey):
        raise WeakKey("the private key is of an unknown kind")
    check_public_key(key.public_key())
    return key


def spki_der(key: PublicKey) -> bytes:
    """Give the SubjectPublicKeyInfo (RFC 5280, 4.1)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_sha256(key: PublicKey) -> bytes:
    """Give the hash by which a key is known again, whatever certificate it is in."""
    return sha256(spki_der(key)).digest()


def signing_hash(key: PrivateKey | PublicKey) -> SHA256 | SHA384 | SHA512 | None:
    """Give the hash that a signature by this key uses; None: the algorithm brings its own."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey):
        return None
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey) or key.key_size <= 256:
        return SHA256()
    return SHA384() if key.key_size <= 384 else SHA512()


def check_public_key(key: object) -> PublicKey:
    """Give the key back if it is strong; WeakKey with the reason if not.

    Refused: RSA below 2048 or above 8192 bits, exponents below 65537 or absurd, moduli with a small factor,
    with the ROCA fingerprint (CVE-2017-15361) or with two close primes; any curve but P-256, P-384, P-521.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _CURVE_NAMES:
            raise WeakKey(f"the curve {key.curve.name} is not accepted; use P-256, P-384 or P-521")
        return key
    if isinstance(key, rsa.RSAPublicKey):
        return _check_rsa(key)
    raise WeakKey("the key is of an unknown kind; use EC P-256, Ed25519 or RSA")


def _check_rsa(key: rsa.RSAPublicKey) -> rsa.RSAPublicKey:
    if not 2048 <= key.key_size <= 8192:
        raise WeakKey(f"RSA keys have 2048 to 8192 bits; this one has {key.key_size}")
    numbers = key.public_numbers()
    if not 65537 <= numbers.e < 2**32 or numbers.e % 2 == 0:
        raise WeakKey("the exponent of the RSA key must be 65537")
    if any(numbers.n % prime == 0 for prime in _SMALL_PRIMES):
        raise WeakKey("the modulus of the RSA key has a small factor")
    if has_roca_fingerprint(numbers.n):
        raise WeakKey("the RSA key comes from a generator known to be broken (ROCA)")
    if _has_close_primes(numbers.n):
        raise WeakKey("the primes of the RSA key are too close to each other")
    return key


_SMALL_PRIMES = tuple(n for n in range(2, 752) if all(n % d for d in range(2, isqrt(n) + 1)))
_ROCA_PRIMES = tuple(prime for prime in _SMALL_PRIMES if 3 <= prime <= 167)
_ROCA_REMAINDERS = {
    prime: frozenset(pow(65537, power, prime) for power in range(prime - 1)) for prime in _ROCA_PRIMES
}


def has_roca_fingerprint(modulus: int) -> bool:
    """Say whether the modulus is a power of 65537 modulo every small prime (Nemec et al., CCS 2017, 3.3).

    That holds for all keys of the broken generator, and for fewer than one in 2**27 others.
    """
    return all(modulus % prime in _ROCA_REMAINDERS[prime] for prime in _ROCA_PRIMES)


_FERMAT_ROUNDS = 100


def _has_close_primes(modulus: int) -> bool:
    """Try Fermat's factorization for a few rounds; it succeeds only if the primes nearly agree."""
    middle = isqrt(modulus - 1) + 1
    for a in range(middle, middle + _FERMAT_ROUNDS):
        square = a * a - modulus
        if isqrt(square) ** 2 == square:
            return True
    return False
