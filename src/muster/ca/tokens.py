"""JSON Web Tokens for people and programs: signed here, verified here, one algorithm for each issuer."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeGuard

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from joserfc.jws import JWSRegistry

from muster.ca.secrets import Keyring
from muster.core.errors import Unauthenticated
from muster.core.model import Json

ISSUERS: Mapping[str, str] = MappingProxyType({"supermq.auth": "HS512", "mainflux.auth": "HS256"})
"""The algorithm each issuer signs with, as upstream does (spec A.0 and B.0)."""

MAX_TOKEN = 8 * 1024
SKEW = 5
"""Seconds that the clock of the process that signed may be ahead of ours. An expiry has no such grace."""

_KEY_BYTES = {"HS512": 64, "HS256": 32}
# Only the canonical Base64 spelling of a signature: a token has one text, so it can be told by its digest.
_SHAPES = (
    ("HS512", re.compile(r"[\w-]{1,512}\.[\w-]+\.[\w-]{85}[AQgw]", re.ASCII)),
    ("HS256", re.compile(r"[\w-]{1,512}\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)),
)

_UNREADABLE = (JoseError, ValueError, TypeError, AttributeError, RecursionError)
"""What joserfc raises for a bad signature, and lets through for a header that is no JSON object."""


class TokenRefused(Unauthenticated):
    """The token is not one of ours."""


class TokenExpired(TokenRefused):
    """The token has expired."""


class Tokens:
    """Signs with the newest key of the ring, verifies with any of them. HMAC only, no key from outside."""

    __slots__ = ("_keys", "_registries")

    def __init__(self, keyring: Keyring) -> None:
        self._keys = {
            algorithm: tuple(OctKey.import_key(key) for key in keyring.token_keys(algorithm, size))
            for algorithm, size in _KEY_BYTES.items()
        }
        self._registries = {algorithm: JWSRegistry(algorithms=[algorithm]) for algorithm in _KEY_BYTES}

    def mint(self, claims: dict[str, Json]) -> str:
        """Sign; the claim `iss` selects the algorithm. ValueError without a known issuer, `iat` and `exp`."""
        algorithm = _algorithm(claims)
        if algorithm is None or not (_is_time(claims.get("iat")) and _is_time(claims.get("exp"))):
            raise ValueError("a token needs a known issuer, iat and exp")
        header = {"alg": algorithm}
        return jwt.encode(header, claims, self._keys[algorithm][0], registry=self._registries[algorithm])

    def verify(self, token: str, now: int) -> dict[str, Json]:
        """Give the claims of a token we signed; *now* in seconds since 1970 UTC.

        TokenExpired from the second of `exp` on; TokenRefused for anything else that is not right: larger
        than 8 KiB, not ours, another algorithm than its issuer's, issued in the future, no expiry.
        """
        if len(token) > MAX_TOKEN:
            raise TokenRefused
        algorithm = next((name for name, shape in _SHAPES if shape.fullmatch(token)), None)
        if algorithm is None:
            raise TokenRefused
        claims = self._open(token, algorithm)
        if _algorithm(claims) != algorithm:
            raise TokenRefused
        _check_times(claims, now)
        return claims

    def _open(self, token: str, algorithm: str) -> dict[str, Json]:
        for key in self._keys[algorithm]:
            try:
                return jwt.decode(token, key, registry=self._registries[algorithm]).claims
            except _UNREADABLE:
                continue
        raise TokenRefused


def _algorithm(claims: dict[str, Json]) -> str | None:
    issuer = claims.get("iss")
    return ISSUERS.get(issuer) if isinstance(issuer, str) else None


def _is_time(value: Json) -> TypeGuard[int]:
    return type(value) is int


def _check_times(claims: dict[str, Json], now: int) -> None:
    issued, expires, earliest = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    if not (_is_time(issued) and _is_time(expires) and _is_time(earliest)):
        raise TokenRefused
    if expires <= now:
        raise TokenExpired
    if max(issued, earliest) > now + SKEW:
        raise TokenRefused
