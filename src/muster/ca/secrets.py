"""Secrets at rest: one master key, from which everything that seals, looks up or signs tokens is derived."""

import hmac
import os
import re
import secrets
from binascii import unhexlify
from collections.abc import Mapping
from copy import copy

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from muster.core.errors import Malformed, Unauthenticated, Unavailable

MIN_MASTER_KEY = 32
_LAYOUT = b"\x01"
_KEY_ID = 4
_NONCE = 12
_HEAD = len(_LAYOUT) + _KEY_ID
_TAG = 16


class SealBroken(Unavailable):
    """A stored secret cannot be opened: it was changed, moved, or its master key is not in the ring."""


class Keyring:
    """Seals and digests under keys derived from master keys, newest first.

    The newest master key seals, digests and signs; every one of them opens, finds and verifies, so keys
    rotate by putting a new one in front. What is kept is then made anew under it (`muster db rekey`), before
    an old one is dropped. A digest whose plain value is kept nowhere cannot be: its *former* hash key is kept
    instead. Instances are safe to share between threads. Under one master key at most 2**32 values may be
    sealed (NIST SP 800-38D, 8.3).
    """

    __slots__ = (
        "_current",
        "_digest_key",
        "_former_keys",
        "_hash_keys",
        "_openers",
        "_prefix",
        "_token_keys",
    )

    def __init__(self, *master_keys: bytes) -> None:
        """Derive the subkeys (HKDF-SHA256, RFC 5869); ValueError without a key or with one below 32 bytes."""
        if not master_keys or min(map(len, master_keys)) < MIN_MASTER_KEY:
            raise ValueError(f"a keyring needs master keys of at least {MIN_MASTER_KEY} bytes")
        ids = [_subkey(key, "id", _KEY_ID) for key in master_keys]
        self._openers = {
            id_: AESGCM(_subkey(key, "seal", 32)) for id_, key in zip(ids, master_keys, strict=True)
        }
        self._current = self._openers[ids[0]]
        self._prefix = _LAYOUT + ids[0]
        self._hash_keys = {
            id_.hex(): _subkey(key, "digest", 32) for id_, key in zip(ids, master_keys, strict=True)
        }
        self._digest_key = self._hash_keys[ids[0].hex()]
        self._former_keys: dict[str, bytes] = {}
        self._token_keys = tuple(_subkey(key, "token", 64) for key in master_keys)

    def knowing(self, former: Mapping[str, bytes]) -> "Keyring":
        """Give the same ring, with the hash keys of master keys that are gone, by their id."""
        ring, gone = copy(self), {id_: key for id_, key in former.items() if id_ not in self._hash_keys}
        ring._former_keys = gone  # noqa: SLF001 it is of this class
        return ring

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the master keys, newest first: 8 hexadecimal digits that tell nothing of the key."""
        return tuple(self._hash_keys)

    @property
    def hash_keys(self) -> Mapping[str, bytes]:
        """The keys of the digests by the id of their master key, newest first; nothing opens with them."""
        return self._hash_keys

    def digest(self, purpose: str, plain: str) -> bytes:
        """Give the keyed hash (HMAC-SHA256, 32 bytes) under which a secret is stored and found again."""
        return hmac.digest(self._digest_key, _hashed(purpose, plain), "sha256")

    def digests(self, purpose: str, plain: str) -> tuple[bytes, ...]:
        """Give the keyed hash under each key of the ring, newest first: by one of them it is found."""
        text = _hashed(purpose, plain)
        return tuple([hmac.digest(key, text, "sha256") for key in self._hash_keys.values()])

    def former_digests(self, purpose: str, plain: str) -> tuple[bytes, ...]:
        """Give the keyed hash under each hash key whose master key is gone."""
        text = _hashed(purpose, plain)
        return tuple([hmac.digest(key, text, "sha256") for key in self._former_keys.values()])

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """Encrypt and authenticate (AES-256-GCM); 33 bytes longer than *plain*.

        The value opens only with the same *context*: name the row and column in it, and a sealed value that
        someone moves to another row does not open there.
        """
        nonce = os.urandom(_NONCE)
        return self._prefix + nonce + self._current.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what seal made with any key of the ring; SealBroken if anything is not as it was."""
        opener = self._openers.get(sealed[len(_LAYOUT) : _HEAD])
        if opener is None or sealed[: len(_LAYOUT)] != _LAYOUT or len(sealed) < _HEAD + _NONCE + _TAG:
            raise SealBroken
        try:
            return opener.decrypt(sealed[_HEAD : _HEAD + _NONCE], sealed[_HEAD + _NONCE :], context)
        except InvalidTag:
            raise SealBroken from None

    def is_current(self, sealed: bytes) -> bool:
        """Say whether the newest key sealed it; if not, open and seal it again to finish a rotation."""
        return sealed[:_HEAD] == self._prefix

    @staticmethod
    def key_id(sealed: bytes) -> str:
        """Give the id of the master key that sealed it."""
        return sealed[len(_LAYOUT) : _HEAD].hex()

    def token_keys(self, label: str, size: int) -> tuple[bytes, ...]:
        """Give the signing keys for *label*, newest first: another label, unrelated keys."""
        return tuple(_subkey(key, f"token/{label}", size) for key in self._token_keys)

    def __repr__(self) -> str:
        return f"Keyring({len(self._openers)} keys)"


def _hashed(purpose: str, plain: str) -> bytes:
    return f"{len(purpose)}:{purpose}{plain}".encode("utf-8", "surrogatepass")


def _subkey(key: bytes, label: str, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=f"muster/{label}/v1".encode()).derive(key)


def random_key(prefix: str = "") -> str:
    """Give an API key: *prefix* and 256 random bits, URL-safe."""
    return prefix + secrets.token_urlsafe(32)


def equal(a: str | bytes, b: str | bytes) -> bool:
    """Compare in a time that does not tell where they differ."""
    return hmac.compare_digest(_as_bytes(a), _as_bytes(b))


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")


# AES-CFB128 stays because devices in the field speak it (spec A.9, "Secure scheme, exact"; the same in
# Mainflux 0.12). It has no authentication, no protection against replay and one key for all devices. It is
# used for nothing but that endpoint; docs/divergences.md lists it.

_IV = 16
_CFB_KEY_SIZES = (16, 24, 32)
_MAX_CFB_HEX = 8192
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def cfb_key(text: str) -> bytes:
    """Read the key of the secure bootstrap: the bytes of the text, 16, 24 or 32 of them, else Malformed."""
    key = text.encode("utf-8", "surrogatepass")
    if len(key) not in _CFB_KEY_SIZES:
        raise Malformed("the bootstrap encryption key must be 16, 24 or 32 bytes long")
    return key


def cfb_open(key: bytes, hex_text: str) -> str:
    """Decrypt hex(IV, AES-CFB128(text)) of at most 8 KiB, as a device sends it; else Unauthenticated.

    A wrong key gives a wrong text or no text: there is nothing in the scheme to tell.
    """
    if len(hex_text) > _MAX_CFB_HEX or not _HEX.fullmatch(hex_text):
        raise Unauthenticated("the encrypted external key cannot be read")
    sealed = unhexlify(hex_text)
    if len(sealed) <= _IV:
        raise Unauthenticated("the encrypted external key is too short")
    decryptor = Cipher(AES(key), CFB(sealed[:_IV])).decryptor()
    try:
        return (decryptor.update(sealed[_IV:]) + decryptor.finalize()).decode()
    except UnicodeDecodeError:
        raise Unauthenticated("the encrypted external key cannot be read") from None


def cfb_seal(key: bytes, data: bytes) -> bytes:
    """Encrypt to IV and AES-CFB128(data), raw bytes, as a device expects the answer."""
    iv = os.urandom(_IV)
    encryptor = Cipher(AES(key), CFB(iv)).encryptor()
    return iv + encryptor.update(data) + encryptor.finalize()
