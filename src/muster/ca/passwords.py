"""Passwords become verifiers. Every function here takes its time on purpose: call it on a thread of few."""

import asyncio
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import sha256, sha512
from typing import ParamSpec, TypeVar

import bcrypt
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError

from muster.ca.secrets import equal
from muster.core.errors import Malformed, Unavailable

P = ParamSpec("P")
R = TypeVar("R")

MAX_PASSWORD = 1024
"""Bytes of UTF-8. A longer password is refused before it is hashed."""

_hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
"""The first choice of the OWASP password storage cheat sheet: argon2id, 2 passes over 19 MiB, 1 lane."""

_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A verifier no password is known for; it costs what a real one costs."""

_BCRYPT = re.compile(r"\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")
_BCRYPT_BYTES = 72
_MAX_BCRYPT_COST = 14
_MAX_MEMORY_KIB = 256 * 1024
_MAX_PASSES = 16


def hash_password(plain: str) -> str:
    """Give an argon2id verifier (RFC 9106, PHC string); Malformed if empty or longer than 1024 bytes."""
    password = _encode(plain)
    if not password:
        raise Malformed(f"a password has 1 to {MAX_PASSWORD} bytes of valid UTF-8")
    return _hasher.hash(password)


def verify_password(verifier: str | None, plain: str) -> bool:
    """Compare with an argon2 or bcrypt verifier. Without one, take as long as argon2id does and say no."""
    password = _encode(plain)
    if not password:
        return False
    if verifier is None:
        _verify_argon2(_NOBODY, password)
        return False
    if verifier.startswith("$2"):
        return _verify_bcrypt(verifier, password)
    return _verify_argon2(verifier, password)


def needs_rehash(verifier: str) -> bool:
    """Say whether it was made by another function or with other costs than hash_password uses today."""
    try:
        return _hasher.check_needs_rehash(verifier)
    except InvalidHashError:
        return True


def is_outdated(verifier: str, plain: str) -> bool:
    """Say whether a verifier is to be made anew from the password that was just verified with it.

    Not where bcrypt saw only the beginning of the password: nobody knows whether the rest is right.
    """
    is_cut = bcrypt_cost(verifier) is not None and len(_encode(plain)) > _BCRYPT_BYTES
    return needs_rehash(verifier) and not is_cut


def bcrypt_cost(verifier: str) -> int | None:
    """Give the cost (log2 of the rounds) of a bcrypt verifier; None if it is not one."""
    match = _BCRYPT.fullmatch(verifier)
    return int(match[1]) if match else None


def verify_hono(function: str, verifier: str, salt: str | None, plain: str) -> bool:
    """Compare with a pre-hashed password of Hono's credentials API: Base64(H(salt, utf8(password))).

    *function* is `sha-256` or `sha-512`, *salt* Base64; any other function is tried as bcrypt, as Hono does.
    What cannot be read compares unequal.
    """
    password = _encode(plain)
    digest = {"sha-256": sha256, "sha-512": sha512}.get(function)
    if digest is None:
        return bool(password) and _verify_bcrypt(verifier, password)
    try:
        expected, grains = b64decode(verifier, validate=True), b64decode(salt or "", validate=True)
    except (Base64Error, ValueError):
        return False
    return bool(password) and equal(digest(grains + password).digest(), expected)


def _encode(plain: str) -> bytes:
    """Give the password's bytes; none if it cannot be one."""
    if len(plain) > MAX_PASSWORD:
        return b""
    try:
        password = plain.encode()
    except UnicodeEncodeError:
        return b""
    return password if len(password) <= MAX_PASSWORD else b""


def _verify_argon2(verifier: str, password: bytes) -> bool:
    try:
        costs = extract_parameters(verifier)
        if costs.memory_cost > _MAX_MEMORY_KIB or costs.time_cost > _MAX_PASSES:
            return False
        return _hasher.verify(verifier, password)
    except (InvalidHashError, VerificationError):
        return False


def _verify_bcrypt(verifier: str, password: bytes) -> bool:
    cost = bcrypt_cost(verifier)
    if cost is None or cost > _MAX_BCRYPT_COST:
        return False
    try:
        # bcrypt reads 72 bytes; the verifiers upstream makes were cut there as well.
        return bcrypt.checkpw(password[:_BCRYPT_BYTES], verifier.encode())
    except ValueError:
        return False


class PasswordPool:
    """Hashes and verifies on two threads of its own, so that logins never starve anything else.

    Each hash takes 19 MiB and about 20 ms on purpose; beyond *most* waiting the next is refused: Unavailable.
    """

    def __init__(self, *, threads: int = 2, most: int = 200) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._most = most
        self._waiting = 0

    async def hash(self, plain: str) -> str:
        """Do as hash_password."""
        return await self._call(hash_password, plain)

    async def verify(self, verifier: str | None, plain: str) -> bool:
        """Do as verify_password."""
        return await self._call(verify_password, verifier, plain)

    async def renew(self, verifier: str, plain: str) -> str | None:
        """Give a verifier of today's costs for a verified password; None where it has them, or cannot."""
        return await self._call(hash_password, plain) if is_outdated(verifier, plain) else None

    async def _call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._waiting >= self._most:
            raise Unavailable("too many logins at the moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, partial(function, *args, **kwargs)
            )
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
