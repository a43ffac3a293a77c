"""Strong keys are made, weak ones are refused."""

import time
from math import isqrt

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from muster.ca.keypool import KeyPool
from muster.ca.keys import (
    KeyKind,
    WeakKey,
    check_public_key,
    has_roca_fingerprint,
    key_kind,
    key_pem,
    make_key,
    read_key,
    spki_sha256,
)
from muster.core.errors import Malformed, Unavailable
from tests.ca.pki import rsa_key, weak_curve_key

KINDS = [
    ("", None, KeyKind.P256),
    ("ec", None, KeyKind.P256),
    ("ecdsa", 384, KeyKind.P384),
    ("EC", 521, KeyKind.P521),
    ("", 256, KeyKind.P256),
    ("", 2048, KeyKind.RSA2048),
    ("RSA", None, KeyKind.RSA2048),
    ("rsa", 4096, KeyKind.RSA4096),
    ("rsa", 0, KeyKind.RSA2048),
    ("ed25519", None, KeyKind.ED25519),
]


@pytest.mark.parametrize(("key_type", "bits", "kind"), KINDS)
def test_key_types_are_read(key_type, bits, kind):
    """As upstream's requests spell them."""
    assert key_kind(key_type, bits) is kind


@pytest.mark.parametrize(
    ("key_type", "bits"), [("rsa", 1024), ("ec", 224), ("dsa", None), ("rsa", -1), ("ec", 2048)]
)
def test_other_key_types_are_refused(key_type, bits):
    """Weak or unknown kinds are never made."""
    with pytest.raises(Malformed, match="known are"):
        key_kind(key_type, bits)


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.P384, KeyKind.P521, KeyKind.ED25519, KeyKind.RSA2048])
def test_a_key_is_read_back(kind):
    """PKCS #8 PEM out, the same strong key in."""
    key = make_key(kind)
    again = read_key(key_pem(key))
    assert spki_sha256(again.public_key()) == spki_sha256(key.public_key())
    assert check_public_key(key.public_key())


def test_an_encrypted_key_needs_its_password():
    """With it the key is read, without it there is a clear refusal."""
    key = make_key()
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pw"))
    assert spki_sha256(read_key(sealed, b"pw").public_key()) == spki_sha256(key.public_key())
    for password in (None, b"wrong"):
        with pytest.raises(Malformed):
            read_key(sealed, password)


@pytest.mark.parametrize("pem", ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(pem):
    """A refusal, never a traceback."""
    with pytest.raises(Malformed):
        read_key(pem)


PRIME = 2**1023 + 1155
"""Not checked for primality; the tests below need the shape only."""


def public(modulus, exponent=65537):
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def odd_product(step):
    """Two close odd numbers without small factors: what Fermat finds."""
    small = [n for n in range(3, 752) if all(n % d for d in range(2, isqrt(n) + 1))]
    number = 2**1024 + 1
    found = []
    while len(found) < 2:
        if all(number % prime for prime in small):
            found.append(number)
            number += step
        number += 2
    return found[0] * found[1]


def roca_modulus():
    """A modulus of the broken generator's form: p = k·M + 65537**a mod M."""
    primes = [n for n in range(2, 168) if all(n % d for d in range(2, isqrt(n) + 1))]
    product = 1
    for prime in primes:
        product *= prime

    def factor(k, power):
        return k * product + pow(65537, power, product)

    size = 2**1024 // product
    return factor(size + 7, 12345) * factor(size + 11**9, 67890)


WEAK = {
    "RSA 1024": lambda: rsa.generate_private_key(65537, 1024).public_key(),
    "RSA 16384": lambda: public(2**16383 + 12345),
    "exponent 3": lambda: rsa.generate_private_key(3, 2048).public_key(),
    "exponent 17": lambda: public(rsa_key().public_key().public_numbers().n, 17),
    "absurd exponent": lambda: public(rsa_key().public_key().public_numbers().n, 2**33 + 1),
    "small factor": lambda: public(3 * (2**2047 + 1)),
    "close primes": lambda: public(odd_product(2)),
    "ROCA": lambda: public(roca_modulus()),
    "P-192": lambda: weak_curve_key().public_key(),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()).public_key(),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()).public_key(),
    "DSA": lambda: dsa.generate_private_key(2048).public_key(),
    "Ed448": lambda: ed448.Ed448PrivateKey.generate().public_key(),
    "no key": lambda: None,
}


@pytest.mark.parametrize("name", WEAK)
def test_weak_keys_are_refused(name):
    """Short, broken, unusual: each with its own reason."""
    with pytest.raises(WeakKey) as refusal:
        check_public_key(WEAK[name]())
    expected = {
        "close primes": "too close",
        "ROCA": "ROCA",
        "small factor": "small factor",
        "P-192": "secp192r1",
    }
    assert expected.get(name, "") in refusal.value.message


def test_ordinary_keys_have_no_roca_fingerprint():
    """The check refuses no honest key."""
    assert not has_roca_fingerprint(rsa_key().public_key().public_numbers().n)


def test_the_pool_gives_each_key_once():
    """Fast kinds at once, slow ones from the stock, never one twice."""
    pool = KeyPool({KeyKind.RSA2048: 2})
    try:
        keys = [pool.take(KeyKind.RSA2048, wait=30) for _ in range(3)]
        assert len({spki_sha256(key.public_key()) for key in keys}) == 3
        assert {key.key_size for key in keys} == {2048}
        assert pool.take(KeyKind.P256).curve.name == "secp256r1"
    finally:
        pool.close()


def test_the_pool_refills_up_to_its_stock():
    """Keys are made ahead, and no more than the stock."""
    pool = KeyPool({KeyKind.RSA2048: 2})
    try:
        assert pool.ready(KeyKind.RSA2048) == 0
        pool.take(KeyKind.RSA2048, wait=30)
        deadline = time.monotonic() + 30
        while pool.ready(KeyKind.RSA2048) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert pool.ready(KeyKind.RSA2048) == 2
    finally:
        pool.close()


def test_the_pool_refuses_rather_than_queues_without_end():
    """Too long a wait, too many waiting, or closed: Unavailable."""
    pool = KeyPool({}, most_waiting=0)
    with pytest.raises(Unavailable, match="too many"):
        pool.take(KeyKind.RSA4096)
    pool.close()
    impatient = KeyPool({})
    with pytest.raises(Unavailable):
        impatient.take(KeyKind.RSA4096, wait=0)
    impatient.close()
    with pytest.raises(Unavailable):
        impatient.take(KeyKind.RSA2048)
