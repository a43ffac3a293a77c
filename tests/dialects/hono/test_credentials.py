"""Credentials through the Hono door: spec A.7."""

import base64
import hashlib

import bcrypt
import pytest

from tests.ca.pki import Foreign, subject
from tests.dialects.hono.desk import Door, b64

pytestmark = pytest.mark.anyio


def password(auth_id="sensor", **secret):
    return {"type": "hashed-password", "auth-id": auth_id, "secrets": [secret or {"pwd-plain": "s3cret"}]}


async def place(door: Door) -> str:
    tenant = await door.tenant()
    return f"/v1/credentials/{tenant}/{await door.device(tenant)}"


async def test_a_set_is_replaced_as_a_whole(door_on_each: Door):
    """Shown without what is confidential; the version is the set's own."""
    door = door_on_each
    path = await place(door)
    before = await door("GET", path)
    put = await door("PUT", path, json=[password()], headers={"If-Match": before.headers["etag"]})
    assert (204, b"") == (put.status_code, put.content)
    shown = await door("GET", path)
    assert put.headers["etag"] == shown.headers["etag"] != before.headers["etag"]
    (credential,) = shown.json()
    (secret,) = credential.pop("secrets")
    assert {"type": "hashed-password", "auth-id": "sensor", "enabled": True} == credential
    assert {"id", "enabled"} == set(secret)
    assert 412 == (await door("PUT", path, json=[], headers={"If-Match": before.headers["etag"]})).status_code
    assert 204 == (await door("PUT", path, json=[])).status_code
    assert [] == (await door("GET", path)).json()


async def test_a_secret_named_by_its_id_keeps_what_it_had(door_on_each: Door):
    """Passwords and pre-shared keys survive a round trip through GET and PUT (H 7)."""
    door = door_on_each
    path = await place(door)
    psk = {"type": "psk", "auth-id": "psk-1", "secrets": [{"key": "c2VjcmV0"}]}
    assert 204 == (await door("PUT", path, json=[password(), psk])).status_code
    shown = (await door("GET", path)).json()
    assert "key" not in shown[1]["secrets"][0]
    shown[0]["secrets"][0]["comment"] = "the first"
    shown[0]["secrets"].append({"pwd-plain": "another"})
    assert 204 == (await door("PUT", path, json=shown)).status_code
    after = (await door("GET", path)).json()
    assert shown[0]["secrets"][0]["id"] == after[0]["secrets"][0]["id"]
    assert "the first" == after[0]["secrets"][0]["comment"]
    assert 2 == len(after[0]["secrets"])
    tenant = path.split("/")[3]
    query = {"type": "psk", "auth-id": "psk-1"}
    whole = await door("POST", f"/v1/southbound/credentials/{tenant}", json=query)
    assert "c2VjcmV0" == whole.json()["secrets"][0]["key"]
    assert "no-cache" == whole.headers["cache-control"]


def sha(name, plain, salt=b""):
    return b64(hashlib.new(name, salt + plain.encode()).digest())


BCRYPT = bcrypt.hashpw(b"x", bcrypt.gensalt(4, prefix=b"2a")).decode()
SLOW = BCRYPT.replace("$2a$04$", "$2a$11$")


@pytest.mark.parametrize(
    ("secret", "status"),
    [
        ({"pwd-plain": "x"}, 204),
        ({"pwd-plain": "x", "hash-function": "nonsense"}, 204),
        ({"hash-function": "sha-256", "pwd-hash": sha("sha256", "x")}, 204),
        ({"hash-function": "sha-512", "pwd-hash": sha("sha512", "x", b"s"), "salt": b64(b"s")}, 204),
        ({"hash-function": "bcrypt", "pwd-hash": BCRYPT}, 204),
        ({"hash-function": "bcrypt", "pwd-hash": BCRYPT.replace("$2a$", "$2b$")}, 400),
        ({"hash-function": "bcrypt", "pwd-hash": SLOW}, 400),
        ({"hash-function": "bcrypt", "pwd-hash": "plain"}, 400),
        ({"hash-function": "md5", "pwd-hash": "AAAA"}, 400),
        ({"hash-function": "sha-256", "pwd-hash": "AAAA"}, 400),
        ({"hash-function": "sha-256", "pwd-hash": sha("sha256", "x"), "salt": "%"}, 400),
        ({"pwd-hash": sha("sha256", "x")}, 400),
        ({"hash-function": "sha-256"}, 400),
        ({"enabled": True}, 400),
        ({"pwd-plain": ""}, 400),
        ({"pwd-plain": "x", "more": 1}, 400),
        ({"pwd-plain": "x", "not-before": "2026-02-01T00:00:00Z", "not-after": "2026-01-01T00:00:00Z"}, 400),
        ({"pwd-plain": "x", "not-before": "2026-02-01"}, 400),
        ({"pwd-plain": "x", "not-before": "2026-02-01T00:00:00+01:00"}, 204),
        ({"id": "unknown", "pwd-plain": "x"}, 400),
    ],
)
async def test_passwords_are_checked(door: Door, secret, status):
    """Hashes are of the functions allowed, whole, and not too dear."""
    answer = await door("PUT", await place(door), json=[password(**secret)])
    assert status == answer.status_code, answer.text
    assert "x" != answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"type": "psk", "auth-id": "a", "secrets": []},
        {"type": "psk", "auth-id": "a"},
        {"type": "psk", "auth-id": "a", "secrets": [{}]},
        {"type": "psk", "auth-id": "a", "secrets": [{"key": "%"}]},
        {"type": "psk", "secrets": [{"key": "AAAA"}]},
        {"type": "psk", "auth-id": "", "secrets": [{"key": "AAAA"}]},
        {"type": "psk", "auth-id": "a", "device-id": "d", "secrets": [{"key": "AAAA"}]},
        {"type": "PSK!", "auth-id": "a", "secrets": [{"key": "AAAA"}]},
        {"auth-id": "a", "secrets": [{"key": "AAAA"}]},
        {"type": "hashed-password", "auth-id": "a b", "secrets": [{"pwd-plain": "x"}]},
        {"type": "x509-cert", "auth-id": "CN=a", "secrets": [{}, {}]},
        {"type": "x509-cert", "cert": "AAAA"},
        {"type": "rpk", "auth-id": "a", "secrets": [{}]},
        {"type": "rpk", "auth-id": "a", "secrets": [{"key": "AAAA", "algorithm": "EC"}]},
        "text",
    ],
)
async def test_a_bad_credential_is_refused(door: Door, body):
    """400, with a reason."""
    answer = await door("PUT", await place(door), json=[body])
    assert 400 == answer.status_code, answer.text
    assert answer.json()["error"]


async def test_the_body_is_a_list(door: Door):
    """An object instead is 400 and says so (F 19)."""
    answer = await door("PUT", await place(door), json=password())
    assert 400 == answer.status_code
    assert "array" in answer.json()["error"]


async def test_secrets_differ_by_id_and_credentials_by_auth_id(door: Door):
    """400 for a pair of the same."""
    path = await place(door)
    twice = {"type": "psk", "auth-id": "a", "secrets": [{"key": "AAAA"}]}
    assert 400 == (await door("PUT", path, json=[twice, twice])).status_code
    await door("PUT", path, json=[twice])
    ids = {**twice, "secrets": [{"id": "i", "key": "AAAA"}, {"id": "i", "key": "BBBB"}]}
    assert 400 == (await door("PUT", path, json=[ids])).status_code


async def test_an_auth_id_is_one_devices(door_on_each: Door):
    """409 in the tenant; another tenant's does not matter."""
    door = door_on_each
    tenant = await door.tenant()
    one, two = await door.device(tenant), await door.device(tenant)
    secret = {"type": "psk", "auth-id": "same", "secrets": [{"key": "AAAA"}]}
    assert 204 == (await door("PUT", f"/v1/credentials/{tenant}/{one}", json=[secret])).status_code
    taken = await door("PUT", f"/v1/credentials/{tenant}/{two}", json=[secret])
    assert (409, {"error": "a credential with this type and auth-id exists already"}) == (
        taken.status_code,
        taken.json(),
    )
    assert [] == (await door("GET", f"/v1/credentials/{tenant}/{two}")).json()
    assert 204 == (await door("PUT", await place(door), json=[secret])).status_code


async def test_credentials_have_a_limit(door: Door):
    """403 beyond."""
    tenant = await door.tenant(**{"registration-limits": {"max-credentials-per-device": 1}})
    path = f"/v1/credentials/{tenant}/{await door.device(tenant)}"
    pair = [{"type": "psk", "auth-id": f"a{n}", "secrets": [{"key": "AAAA"}]} for n in range(2)]
    assert 403 == (await door("PUT", path, json=pair)).status_code
    assert 204 == (await door("PUT", path, json=pair[:1])).status_code


async def test_names_have_one_spelling(door: Door):
    """The auth id of a certificate is normalised; what is no name stays as it is."""
    path = await place(door)
    body = [
        {"type": "x509-cert", "auth-id": "cn=Pump 1 , o=ACME", "secrets": [{}]},
        {"type": "x509-cert", "auth-id": "just-an-id", "secrets": [{}]},
    ]
    assert 204 == (await door("PUT", path, json=body)).status_code
    shown = [each["auth-id"] for each in (await door("GET", path)).json()]
    assert ["CN=Pump 1,O=ACME", "just-an-id"] == shown


async def test_a_certificate_gives_auth_id_and_validity(door: Door):
    """Whatever is given besides."""
    path = await place(door)
    certificate = Foreign("Any CA").sign(name=subject("pump-7", o="ACME"))
    from tests.ca.pki import der  # noqa: PLC0415

    body = [{"type": "x509-cert", "auth-id": "ignored", "cert": b64(der(certificate))}]
    assert 204 == (await door("PUT", path, json=body)).status_code
    (shown,) = (await door("GET", path)).json()
    assert "CN=pump-7,O=ACME" == shown["auth-id"]
    assert {"id", "enabled", "not-before", "not-after"} == set(shown["secrets"][0])


async def test_a_raw_public_key_is_shown(door: Door):
    """Nothing about it is confidential."""
    path = await place(door)
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415

    from tests.ca.pki import KEY  # noqa: PLC0415

    key = b64(KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    body = {"type": "rpk", "auth-id": "a", "secrets": [{"key": key, "algorithm": "EC"}]}
    assert 204 == (await door("PUT", path, json=[body])).status_code
    assert key == (await door("GET", path)).json()[0]["secrets"][0]["key"]
    body["secrets"][0]["algorithm"] = "RSA"
    assert 400 == (await door("PUT", path, json=[body])).status_code


async def test_unknown_types_keep_what_they_bring(door: Door):
    """The type's name is checked, nothing else; nothing is stripped, adapters get it, too (spec A.7)."""
    path = await place(door)
    body = {"type": "my-own", "auth-id": "a b", "secrets": [{"whatever": {"x": 1}}, {}], "more": {"y": 2}}
    assert 204 == (await door("PUT", path, json=[body])).status_code
    (shown,) = (await door("GET", path)).json()
    assert {"x": 1} == shown["secrets"][0]["whatever"]
    assert {"y": 2} == shown["more"]
    asked = {"type": "my-own", "auth-id": "a b"}
    southbound = await door("POST", f"/v1/southbound/credentials/{path.split('/')[3]}", json=asked)
    assert {"y": 2} == southbound.json()["more"]
    assert {"id", "enabled"} == set(southbound.json()["secrets"][1])
    assert 204 == (await door("PUT", path, json=[shown])).status_code
    assert [shown] == (await door("GET", path)).json()
    del shown["more"]
    assert 204 == (await door("PUT", path, json=[shown])).status_code
    assert [shown] == (await door("GET", path)).json()
    for wrong in ({"device-id": "d"}, {"secrets": [{"": 1}]}):
        assert 400 == (await door("PUT", path, json=[body | wrong])).status_code


async def test_no_secret_is_stored_in_the_open(door: Door, sqlite_store):
    """Neither the key nor the verifier is in the database file."""
    path = await place(door)
    key = base64.b64encode(b"a-very-visible-secret").decode()
    body = [{"type": "psk", "auth-id": "visible", "secrets": [{"key": key}]}, password()]
    assert 204 == (await door("PUT", path, json=body)).status_code
    from muster.core.identity import Credential  # noqa: PLC0415
    from muster.core.model import TenantId  # noqa: PLC0415

    stored = await sqlite_store.read(
        lambda tx: tx.find(Credential, TenantId(path.split("/")[3]), type="psk", auth_key="visible")
    )
    assert key == stored.proofs[0].key
    assert key not in repr(stored)
