"""What is stored sealed opens for its owner only, and what is hashed is found again."""

import os
import threading

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from muster.ca.secrets import (
    Keyring,
    SealBroken,
    cfb_key,
    cfb_open,
    cfb_seal,
    equal,
    random_key,
)
from muster.core.errors import Malformed, Unauthenticated

OLD, NEW = bytes(range(32)), bytes(range(100, 140))
RING = Keyring(NEW)


def test_a_sealed_value_opens_with_its_context():
    """What was sealed comes back, whatever its length."""
    for plain in (b"", b"x", os.urandom(10_000)):
        assert RING.open(RING.seal(plain, b"device/1/secret"), b"device/1/secret") == plain


def test_two_seals_of_one_value_differ():
    """A sealed column does not tell which devices share a secret."""
    assert RING.seal(b"same", b"") != RING.seal(b"same", b"")


def test_a_sealed_value_does_not_open_elsewhere():
    """A value moved to another row stays closed."""
    with pytest.raises(SealBroken):
        RING.open(RING.seal(b"plain", b"device/1"), b"device/2")


def test_every_changed_bit_breaks_the_seal():
    """Header, nonce, text and tag are all authenticated."""
    sealed = RING.seal(b"plain", b"c")
    for place in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(SealBroken):
            RING.open(bytes(changed), b"c")


def test_a_shortened_value_breaks_the_seal():
    """A truncated column is an error, not a traceback."""
    sealed = RING.seal(b"plain", b"c")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            RING.open(sealed[:length], b"c")


def test_keys_rotate_by_putting_a_new_one_in_front():
    """Old values open, new values need the new key; what was hashed is found until the old key goes."""
    before, both, after = Keyring(OLD), Keyring(NEW, OLD), Keyring(NEW)
    sealed = before.seal(b"plain", b"c")
    assert both.open(sealed, b"c") == b"plain"
    assert (before.is_current(sealed), both.is_current(sealed)) == (True, False)
    again = both.seal(both.open(sealed, b"c"), b"c")
    assert both.is_current(again)
    assert after.open(again, b"c") == b"plain"
    with pytest.raises(SealBroken):
        after.open(sealed, b"c")
    assert both.digest("p", "x") == after.digest("p", "x")
    assert both.digests("p", "x") == (after.digest("p", "x"), before.digest("p", "x"))


def test_a_hash_key_outlives_its_master_key():
    """What was hashed and kept nowhere is found by it; the ring's own keys are none of the former."""
    before, after = Keyring(OLD), Keyring(NEW)
    known = after.knowing({**before.hash_keys, **after.hash_keys})
    assert known.former_digests("p", "x") == (before.digest("p", "x"),)
    assert after.former_digests("p", "x") == ()
    with pytest.raises(SealBroken):
        known.open(before.seal(b"plain", b"c"), b"c")


def test_a_sealed_value_tells_its_key():
    """By an id that is the same in every ring."""
    sealed = Keyring(OLD).seal(b"plain", b"c")
    assert RING.key_id(sealed) == Keyring(NEW, OLD).key_ids[1] == Keyring(OLD).key_ids[0]
    assert [len(id_) for id_ in Keyring(NEW, OLD).key_ids] == [8, 8]


def test_a_digest_is_stable_and_separate_by_purpose():
    """The same secret has unrelated digests for different purposes, whatever the cut between the two."""
    assert RING.digest("device", "abc") == Keyring(NEW).digest("device", "abc")
    assert len(RING.digest("device", "abc")) == 32
    texts = [("device", "abc"), ("bootstrap", "abc"), ("devicea", "bc"), ("", "deviceabc"), ("device", "abd")]
    assert len({RING.digest(*text) for text in texts}) == len(texts)
    assert RING.digest("device", "abc") != Keyring(OLD).digest("device", "abc")


def test_a_digest_takes_any_text():
    """A lone surrogate in a request's JSON is no traceback."""
    assert len(RING.digest("device", "\ud800")) == 32


def test_short_master_keys_are_refused():
    """A ring is never weaker than its shortest key."""
    for keys in ((), (b"x" * 31,), (NEW, b"")):
        with pytest.raises(ValueError, match="32 bytes"):
            Keyring(*keys)


def test_a_ring_does_not_show_its_keys():
    """Logging a ring leaks nothing."""
    assert repr(Keyring(NEW, OLD)) == "Keyring(2 keys)"


def test_token_keys_are_unrelated_by_label():
    """Each algorithm has its own key, newest master key first."""
    (new, old), (single,) = Keyring(NEW, OLD).token_keys("HS512", 64), Keyring(OLD).token_keys("HS512", 64)
    assert old == single
    assert len({new[:32], old[:32], *Keyring(OLD).token_keys("HS256", 32)}) == 3


def test_a_ring_is_shared_by_threads():
    """Threads that seal at the same time do not mix their values."""
    failures = []

    def work(name: int) -> None:
        for turn in range(500):
            plain = f"{name}/{turn}".encode()
            if RING.open(RING.seal(plain, b"c"), b"c") != plain:
                failures.append(plain)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_fresh_secrets_have_the_forms_upstream_shows():
    """A key has 256 random bits after its prefix."""
    assert random_key("pat_").startswith("pat_")
    assert len(random_key()) == 43
    assert random_key() != random_key()


def test_equal_compares_text_and_bytes():
    """Comparison knows both, and any text."""
    assert equal("a", b"a")
    assert not equal("a", "b")
    assert not equal("é", "\ud800")


# NIST SP 800-38A, F.3.13 and F.3.17: CFB128-AES128 and CFB128-AES256.
NIST_IV = "000102030405060708090a0b0c0d0e0f"
NIST_PLAIN = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
NIST = [
    ("2b7e151628aed2a6abf7158809cf4f3c", "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"),
    (
        "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
        "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b",
    ),
]


@pytest.mark.parametrize(("key", "sealed"), NIST)
def test_the_secure_bootstrap_is_cfb128(key, sealed):
    """The published vectors come out, so every agent in the field understands us."""
    answer = cfb_seal(bytes.fromhex(key), NIST_PLAIN)
    decryptor = Cipher(AES(bytes.fromhex(key)), CFB(answer[:16])).decryptor()
    assert decryptor.update(answer[16:]) == NIST_PLAIN
    # The vector's plain text is no UTF-8; the empty XOR difference shows that the key stream is the vector's.
    stream = bytes(a ^ b for a, b in zip(NIST_PLAIN[:16], bytes.fromhex(sealed)[:16], strict=True))
    text = "external-key-001"
    request = NIST_IV + bytes(a ^ b for a, b in zip(text.encode(), stream, strict=True)).hex()
    assert cfb_open(bytes.fromhex(key), request) == text
    assert cfb_open(bytes.fromhex(key), request.upper()) == text


def test_an_encrypted_key_that_cannot_be_read_is_refused():
    """Odd, empty, short, long or foreign text: a refusal, never a traceback."""
    key = cfb_key("12345678910111213141516171819202")
    bad = ["", "0", "zz", "00" * 15, "00" * 16, "é" * 40, "00" * 5000, " " + "00" * 20, "00" * 20 + "\n"]
    for text in bad:
        with pytest.raises(Unauthenticated):
            cfb_open(key, text)


def test_a_wrong_key_never_gives_the_text():
    """Decrypting with another key gives a refusal or another text."""
    request = cfb_seal(cfb_key("a" * 32), "external-key-ä".encode() * 8).hex()
    with pytest.raises(Unauthenticated):
        cfb_open(cfb_key("b" * 32), request)


def test_the_bootstrap_key_has_an_aes_length():
    """16, 24 or 32 bytes, counted as UTF-8."""
    assert [len(cfb_key("k" * size)) for size in (16, 24, 32)] == [16, 24, 32]
    for text in ("", "k" * 31, "é" * 32):
        with pytest.raises(Malformed):
            cfb_key(text)
