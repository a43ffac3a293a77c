"""JSON Web Tokens that devices sign themselves, with the raw key of their `rpk` credential (spec C.1)."""

import json
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeGuard

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from muster.ca.facts import read_public_key
from muster.core.errors import Malformed, Unauthenticated
from muster.core.model import Json

AUDIENCE = "hono-adapter"
"""With it in `aud`, the claims `tid` and `sub` name tenant and auth id."""
LONGEST, SKEW = 24 * 3600, 600
"""Seconds: from `iat` to `exp`, and how far the device's clock may be off, both ways."""
MOST = 8 * 1024

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
_UNREADABLE = (JoseError, ValueError, TypeError, AttributeError, KeyError, RecursionError)


def claimed(token: str) -> tuple[str, str] | None:
    """Give tenant and auth id as the token says, not proven yet; None when it leaves them to the request.

    Unauthenticated when it is no token, or names only one of them.
    """
    claims = _claims(token)
    audience = claims.get("aud")
    if AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        return None
    tenant, auth_id = claims.get("tid"), claims.get("sub")
    if not (isinstance(tenant, str) and isinstance(auth_id, str) and tenant and auth_id):
        raise Unauthenticated("the token names no tenant or no device")
    return tenant, auth_id


def _claims(token: str) -> Mapping[str, Json]:
    try:
        if len(token) > MOST:
            raise ValueError
        _, body, _ = token.split(".")
        claims = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except _UNREADABLE:
        raise Unauthenticated("the token cannot be read") from None
    if not isinstance(claims, dict):
        raise Unauthenticated("the token cannot be read")
    return claims


def is_proven(token: str, key: str, now: int) -> bool:
    """Say whether the holder of the key (Base64 of its DER) signed it, and it is valid at *now*, in seconds.

    The key, not the token, decides the algorithm: RS, PS or ES with SHA-256 or more.
    """
    try:
        opened, algorithms = _key(key)
        read = jwt.decode(token, opened, algorithms=list(algorithms), registry=_REGISTRY)
    except (Malformed, *_UNREADABLE):
        return False
    return str(read.header.get("typ", "")).upper() == "JWT" and _is_timely(read.claims, now)


_REGISTRY = JWSRegistry(algorithms=[*_RSA, *(each for (each,) in _CURVES.values())])


@lru_cache(maxsize=4096)
def _key(text: str) -> tuple[RSAKey | ECKey, tuple[str, ...]]:
    found = read_public_key(b64decode(text))
    pem = found.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if isinstance(found, rsa.RSAPublicKey):
        return RSAKey.import_key(pem), _RSA
    if isinstance(found, ec.EllipticCurvePublicKey):
        return ECKey.import_key(pem), _CURVES[found.curve.name]
    raise Malformed("a token is signed with RSA or EC")


def _is_time(value: Json) -> TypeGuard[int]:
    return type(value) is int


def _is_timely(claims: Mapping[str, Json], now: int) -> bool:
    issued, expires, earliest = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    if not (_is_time(issued) and _is_time(expires) and _is_time(earliest)):
        return False
    is_begun = max(issued, earliest) <= now + SKEW
    return is_begun and now < expires + SKEW and 0 < expires - issued <= LONGEST
