"""Devices that log in with a token they signed themselves (spec C.1), by their `rpk` credentials (A.7)."""

import base64
import hmac
import uuid
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry

from muster.assembly.certificates import Certificates
from muster.assembly.gate import MQTT
from muster.assembly.identifier import Identifier
from muster.ca.devicetokens import LONGEST, SKEW
from muster.core.errors import TooMany, Unauthenticated
from muster.core.southbound import Login
from muster.core.throttle import Throttle
from muster.plane.adapter.ports import Evidence, Password
from tests.dialects.hono.desk import Door

pytestmark = pytest.mark.anyio
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(65537, 2048),
}
KEYS["PS512"] = KEYS["RS256"]
OTHER = ec.generate_private_key(ec.SECP256R1())


def spki(key: Any) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def signed(key: Any, algorithm: str, claims: dict[str, Any], **header: Any) -> str:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    kind = RSAKey if isinstance(key, rsa.RSAPrivateKey) else ECKey
    registry = JWSRegistry(algorithms=[algorithm])
    said = {"alg": algorithm, "typ": "JWT", **header}
    return jwt.encode(said, claims, kind.import_key(pem), registry=registry)


class Home:
    """A tenant with a device that has a raw key."""

    def __init__(self, door: Door, tenant: str, algorithm: str) -> None:
        self.door, self.tenant, self.algorithm = door, tenant, algorithm
        self.throttle = Throttle(limit=50, period=60)
        self.identifier = Identifier(door.store, door.passwords, Certificates(), door.clock, self.throttle)

    def claims(self, **over: Any) -> dict[str, Any]:
        now = self.door.clock() // 1_000_000
        given = {"iat": now, "exp": now + 3600, "tid": self.tenant, "sub": "sensor", "aud": "hono-adapter"}
        return {name: value for name, value in (given | over).items() if value is not None}

    def token(self, **over: Any) -> str:
        return signed(KEYS[self.algorithm], self.algorithm, self.claims(**over))

    async def knock(self, token: str, **more: Any) -> Login:
        given = {"chain_der": (), "sni": None, "password": None, "client_id": "", "source": "203.0.113.7"}
        return await self.identifier.identify(Evidence(**given | more, token=token), MQTT)


async def home(door: Door, algorithm: str = "ES256", **secret: Any) -> Home:
    tenant = await door.tenant()
    await door.device(tenant, "d")
    kind = "RSA" if algorithm[0] in "RP" else "EC"
    secrets = [{"key": spki(KEYS[algorithm]), "algorithm": kind, **secret}]
    credential = {"type": "rpk", "auth-id": "sensor", "secrets": secrets}
    done = await door("PUT", f"/v1/credentials/{tenant}/d", json=[credential])
    assert 204 == done.status_code, done.text
    return Home(door, tenant, algorithm)


@pytest.mark.parametrize("algorithm", KEYS)
async def test_a_device_logs_in_with_its_own_token(door: Door, algorithm: str):
    """Signed with the key that was registered, RSA or EC, naming tenant and auth id in its claims."""
    at = await home(door, algorithm)
    login = await at.knock(at.token())
    assert (at.tenant, "d", "sensor") == (login.tenant.id, login.device.id, login.credential.auth_id)
    assert "d" == (await at.knock(at.token(aud=["x", "hono-adapter"]))).device.id


async def test_what_the_token_leaves_out_the_request_names(door: Door):
    """Without the audience the client id or the path says tenant and auth id; with it, the claims do."""
    at = await home(door)
    bare = at.token(aud=None, tid=None, sub=None)
    assert "d" == (await at.knock(bare, named=(at.tenant, "sensor"))).device.id
    assert "d" == (await at.knock(at.token(), named=("elsewhere", "nobody"))).device.id
    for named in (None, (at.tenant, "nobody"), ("elsewhere", "sensor")):
        with pytest.raises(Unauthenticated):
            await at.knock(bare, named=named)


@pytest.mark.parametrize(
    "over",
    [
        {"exp": None},
        {"iat": None},
        {"exp": "soon"},
        {"iat": True},
        {"sub": "nobody"},
        {"sub": None},
        {"tid": None},
        {"tid": "elsewhere"},
        {"sub": 7},
        {"aud": "somebody-else"},
    ],
)
async def test_wrong_claims_let_nobody_in(door: Door, over: dict[str, Any]):
    """Signed well, but not a token for this."""
    at = await home(door)
    with pytest.raises(Unauthenticated):
        await at.knock(at.token(**over))


@pytest.mark.parametrize(
    ("issued", "lasts", "is_good"),
    [
        (0, LONGEST, True),
        (0, LONGEST + 1, False),
        (0, 0, False),
        (SKEW - 5, 60, True),
        (SKEW + 60, 60, False),
        (-3600, 3600 - SKEW + 5, True),
        (-3600, 3600 - SKEW - 60, False),
    ],
)
async def test_a_token_lasts_a_day_and_clocks_may_differ(door: Door, issued: int, lasts: int, is_good: bool):
    """At most 24 hours from iat to exp; ten minutes of grace on both sides."""
    at = await home(door)
    now = door.clock() // 1_000_000
    token = at.token(iat=now + issued, exp=now + issued + lasts)
    if is_good:
        assert "d" == (await at.knock(token)).device.id
    else:
        with pytest.raises(Unauthenticated):
            await at.knock(token)


async def test_only_the_registered_key_counts(door: Door):
    """Not another key or kind of algorithm, no secret made of the public key, no missing signature."""
    at = await home(door)
    public = KEYS["ES256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    head, body, signature = at.token().split(".")
    none, shared = (b64url(f'{{"alg":"{name}","typ":"JWT"}}'.encode()) for name in ("none", "HS256"))
    forged = b64url(hmac.digest(public, f"{shared}.{body}".encode(), "sha256"))
    for token in (
        signed(OTHER, "ES256", at.claims()),
        signed(KEYS["RS256"], "RS256", at.claims()),
        f"{shared}.{body}.{forged}",
        f"{none}.{body}.",
        f"{none}.{body}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        signed(KEYS["ES256"], "ES256", at.claims(), typ="at+jwt"),
        f"{head}.{b64url(b'[1]')}.{signature}",
        "eyJ.x.y",
    ):
        with pytest.raises(Unauthenticated):
            await at.knock(token)


async def test_a_secret_that_is_not_valid_lets_nobody_in(door: Door):
    """Disabled or expired, as with passwords; a second secret with a valid key does."""
    for secret in ({"enabled": False}, {"not-after": "2001-01-01T00:00:00Z"}):
        at = await home(door, **secret)
        with pytest.raises(Unauthenticated):
            await at.knock(at.token())
    fresh = {"key": spki(KEYS["ES256"]), "algorithm": "EC"}
    old = {"key": spki(OTHER), "algorithm": "EC", "enabled": False}
    credential = {"type": "rpk", "auth-id": "sensor", "secrets": [old, fresh]}
    await door("PUT", f"/v1/credentials/{at.tenant}/d", json=[credential])
    assert "d" == (await at.knock(at.token())).device.id
    with pytest.raises(Unauthenticated):
        await at.knock(signed(OTHER, "ES256", at.claims()))


async def test_guessing_is_throttled_and_a_password_still_counts(door: Door):
    """Too many wrong tokens are told to wait; who shows a password too gets in by that."""
    at = await home(door)
    wrong = signed(OTHER, "ES256", at.claims())
    secret = {"type": "hashed-password", "auth-id": "p", "secrets": [{"pwd-plain": wrong}]}
    await door("PUT", f"/v1/credentials/{at.tenant}/d", json=[secret])
    password = Password(auth_id="p", tenant=at.tenant, secret=wrong.encode())
    assert "d" == (await at.knock(wrong, password=password)).device.id
    at.throttle = Throttle(limit=3, period=60)
    at.identifier = Identifier(door.store, door.passwords, Certificates(), door.clock, at.throttle)
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await at.knock(wrong)
    with pytest.raises(TooMany):
        await at.knock(wrong)


async def test_southbound_hands_out_keys_to_adapters(door: Door):
    """psk and rpk stay usable for adapters that speak what ours do not: the answer holds the keys."""
    tenant = await door.tenant()
    await door.device(tenant, "d")
    shared = base64.b64encode(uuid.uuid4().bytes).decode()
    credentials = [
        {"type": "psk", "auth-id": "s", "secrets": [{"key": shared}]},
        {"type": "rpk", "auth-id": "s", "secrets": [{"key": spki(OTHER), "algorithm": "EC"}]},
    ]
    await door("PUT", f"/v1/credentials/{tenant}/d", json=credentials)
    for kind, key in (("psk", shared), ("rpk", spki(OTHER))):
        asked = {"type": kind, "auth-id": "s"}
        answer = await door("POST", f"/v1/southbound/credentials/{tenant}", json=asked)
        assert (200, key) == (answer.status_code, answer.json()["secrets"][0]["key"])
        assert "no-cache" == answer.headers["cache-control"]
