"""A password is known again, by whichever function upstream hashed it."""

import hashlib
from base64 import b64encode
from time import thread_time

import bcrypt
import pytest

from muster.ca.passwords import (
    bcrypt_cost,
    hash_password,
    is_outdated,
    needs_rehash,
    verify_hono,
    verify_password,
)
from muster.core.errors import Malformed

PHRASE = "correct hörse"
VERIFIER = hash_password(PHRASE)


def test_a_password_is_verified():
    """The right one is known, every other one is not."""
    assert VERIFIER.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password(VERIFIER, PHRASE)
    assert not verify_password(VERIFIER, PHRASE + " ")
    assert hash_password(PHRASE) != VERIFIER


def test_a_password_has_limits():
    """Empty, longer than 1024 bytes or no valid text: refused before any hashing."""
    for plain in ("", "x" * 1025, "é" * 513, "\ud800"):
        with pytest.raises(Malformed):
            hash_password(plain)
        assert not verify_password(VERIFIER, plain)
    assert verify_password(hash_password("é" * 512), "é" * 512)


@pytest.mark.parametrize("prefix", [b"2a", b"2b"])
def test_bcrypt_verifiers_are_understood(prefix):
    """Upstream's users keep their passwords; the hash is renewed at the next login."""
    verifier = bcrypt.hashpw(PHRASE.encode(), bcrypt.gensalt(4, prefix=prefix)).decode()
    assert verify_password(verifier, PHRASE)
    assert verify_password(verifier.replace("$2a$", "$2y$").replace("$2b$", "$2y$"), PHRASE)
    assert not verify_password(verifier, "wrong")
    assert needs_rehash(verifier)
    assert bcrypt_cost(verifier) == 4


def test_bcrypt_reads_72_bytes_as_upstream_does():
    """A longer password is compared by its first 72 bytes, without an error."""
    verifier = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert verify_password(verifier, "x" * 100)


def test_what_bcrypt_did_not_read_is_not_made_the_password():
    """Of a longer password nobody knows whether the rest is right: its verifier stays."""
    verifier = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert [True, False] == [is_outdated(verifier, "x" * length) for length in (72, 73)]
    assert [False, True] == [
        is_outdated(each, "x" * 73) for each in (VERIFIER, VERIFIER.replace("t=2", "t=1"))
    ]


BROKEN = [
    "",
    "$",
    "$2b$",
    "$2b$31$" + "a" * 53,
    "$2b$99$" + "a" * 53,
    "$2x$04$" + "a" * 53,
    "$argon2id$",
    "$argon2id$v=19$m=19456,t=2,p=1$AA$BB",
    "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    "$argon2id$v=19$m=19456,t=99999,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
    "plain",
    "é",
]


@pytest.mark.parametrize("verifier", BROKEN)
def test_a_broken_verifier_verifies_nothing(verifier):
    """Damaged, foreign or absurdly costly verifiers compare unequal, quickly."""
    started = thread_time()
    assert not verify_password(verifier, PHRASE)
    assert needs_rehash(verifier)
    assert thread_time() - started < 1


def test_an_unknown_user_takes_as_long_as_a_known_one():
    """Timing does not tell who has an account: both are the same work, however busy the machine is."""

    def best(verifier: str | None) -> float:
        times = []
        for _ in range(5):
            started = thread_time()
            assert not verify_password(verifier, "wrong")
            times.append(thread_time() - started)
        return min(times)

    assert 0.5 < best(None) / best(VERIFIER) < 2


def test_current_verifiers_need_no_rehash():
    """Only older functions or costs do."""
    assert not needs_rehash(VERIFIER)
    assert needs_rehash(VERIFIER.replace("t=2", "t=1"))


@pytest.mark.parametrize("function", ["sha-256", "sha-512"])
def test_hono_hashes_are_understood(function):
    """Base64(H(salt, password)), the salt optional."""
    for salt in (b"", b"salty"):
        digest = hashlib.new(function.replace("-", ""), salt + PHRASE.encode()).digest()
        verifier, grains = b64encode(digest).decode(), b64encode(salt).decode()
        assert verify_hono(function, verifier, grains, PHRASE)
        assert not verify_hono(function, verifier, grains, "wrong")
        assert not verify_hono(function, verifier, b64encode(b"pepper").decode(), PHRASE)
    assert verify_hono(
        function, b64encode(hashlib.new(function.replace("-", ""), b"x").digest()).decode(), None, "x"
    )


def test_an_unknown_hono_function_is_tried_as_bcrypt():
    """As Hono does at verification time."""
    verifier = bcrypt.hashpw(b"pw", bcrypt.gensalt(4, prefix=b"2a")).decode()
    assert verify_hono("bcrypt", verifier, None, "pw")
    assert verify_hono("other", verifier, None, "pw")
    assert not verify_hono("other", verifier, None, "no")


def test_broken_hono_verifiers_verify_nothing():
    """Bad Base64, empty values and empty passwords compare unequal."""
    empty = b64encode(hashlib.sha256(b"").digest()).decode()
    cases = [("sha-256", "?", None, "x"), ("sha-256", empty, "?", "x"), ("sha-512", "", "", "x")]
    for case in [
        *cases,
        ("sha-256", empty, None, ""),
        ("bcrypt", "", None, "x"),
        ("sha-256", "é", None, "x"),
    ]:
        assert not verify_hono(*case)
