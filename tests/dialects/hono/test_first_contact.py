"""Devices that provision themselves: spec B.3 to B.7, and the defects of section H that are beaten."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from muster.core import events
from muster.core.errors import (
    Forbidden,
    LimitReached,
    NotFound,
    Unauthenticated,
)
from muster.core.identity import FirstContact
from muster.core.model import Event, TenantId
from muster.core.ports import Is
from muster.core.southbound import Login
from muster.plane.adapter.ports import Password
from tests.ca.pki import SERVER, Foreign
from tests.dialects.hono.desk import Door, b64
from tests.dialects.hono.plant import OPEN, Plant, leaf, plant, unique

pytestmark = pytest.mark.anyio


async def test_a_device_nobody_registered_is_let_in(door_on_each: Door):
    """Device, credential and notice come into being; the second contact finds them."""
    door = door_on_each
    here = await plant(door)
    certificate = leaf(here.ca)
    first = await here.knock(certificate)
    again = await here.knock(certificate)
    assert first.device.id == again.device.id
    shown = (await door("GET", f"/v1/devices/{here.tenant}/{first.device.id}")).json()
    assert shown["status"]["auto-provisioned"] is True
    assert f"Auto-provisioned at {shown['status']['created']}" == shown["ext"]["comment"]
    (credential,) = (await door("GET", f"/v1/credentials/{here.tenant}/{first.device.id}")).json()
    assert ("x509-cert", "CN=pump-1,O=ACME") == (credential["type"], credential["auth-id"])
    contact = await door.store.read(
        lambda tx: tx.find(FirstContact, TenantId(here.tenant), device_id=first.device.id)
    )
    parsed = x509.load_der_x509_certificate(certificate)
    assert contact is not None
    assert int(parsed.not_valid_after_utc.timestamp()) == contact.not_after // 1_000_000
    assert "203.0.113.7" == contact.source
    assert len(contact.fingerprint) == 64
    notices = await door.store.read(
        lambda tx: tx.select(Event, TenantId(here.tenant), Is("topic", events.DEVICE_PROVISIONED))
    )
    assert [first.device.id] == [notice.key for notice in notices]
    assert 1 == await here.total()


async def test_64_first_contacts_at_once_make_one_device(door_on_each: Door):
    """All succeed, one device, one credential, one notice (H 2)."""
    door = door_on_each
    here = await plant(door)
    certificate = leaf(here.ca)
    logins = await asyncio.gather(*(here.knock(certificate) for _ in range(64)))
    assert 1 == len({login.device.id for login in logins})
    assert 1 == await here.total()
    held = await door("GET", f"/v1/credentials/{here.tenant}/{logins[0].device.id}")
    assert 1 == len(held.json())


async def test_64_devices_compete_for_the_last_10_places(door_on_each: Door):
    """The tenant's limit holds exactly."""
    here = await plant(door_on_each, tenant={"registration-limits": {"max-devices": 10}})
    outcomes = await asyncio.gather(
        *(here.knock(leaf(here.ca, f"pump-{n}")) for n in range(64)), return_exceptions=True
    )
    assert 10 == sum(isinstance(each, Login) for each in outcomes)
    assert 54 == sum(isinstance(each, LimitReached) for each in outcomes)
    assert 10 == await here.total()


async def test_a_cas_own_quota_holds(door_on_each: Door):
    """Whatever the tenant may hold."""
    here = await plant(door_on_each, **OPEN, **{"auto-provisioning-max-devices": 3})
    outcomes = await asyncio.gather(
        *(here.knock(leaf(here.ca, f"pump-{n}")) for n in range(9)), return_exceptions=True
    )
    assert 3 == sum(isinstance(each, Login) for each in outcomes)
    assert 3 == await here.total()
    body = {"trusted-ca": [{"cert": b64(here.ca.der), **OPEN, "auto-provisioning-max-devices": 3}]}
    assert 204 == (await here.door("PUT", f"/v1/tenants/{here.tenant}", json=body)).status_code
    assert LimitReached is await here.refused(leaf(here.ca, "pump-after-put"))


# --- who is not let in --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        "expired",
        "not yet",
        "wrong usage",
        "a ca",
        "wrong signature",
        "same name, other key",
        "unknown ca",
        "no certificate",
        "self-signed",
    ],
)
async def test_a_bad_certificate_opens_nothing(door: Door, case):
    """Refused as unauthenticated, and nothing was created (H 9)."""
    here = await plant(door)
    twin = Foreign("x")
    twin.name = here.ca.name
    certificates = {
        "expired": lambda: leaf(here.ca, end=timedelta(-1)),
        "not yet": lambda: leaf(here.ca, start=timedelta(1)),
        "wrong usage": lambda: leaf(here.ca, purposes=SERVER),
        "a ca": lambda: leaf(here.ca, ca=True),
        "wrong signature": lambda: leaf(here.ca, by=twin.key),
        "same name, other key": lambda: leaf(twin),
        "unknown ca": lambda: leaf(Foreign(unique("Stranger"))),
        "no certificate": lambda: b"garbage",
        "self-signed": lambda: Foreign(unique("Self")).der,
    }
    assert Unauthenticated is await here.refused(certificates[case]())
    assert 0 == await here.total()


async def test_the_ca_must_allow_it(door: Door):
    """Off, before its window, after it: nobody comes in by himself."""
    for rules in (
        {"auto-provisioning-enabled": False},
        {**OPEN, "auto-provisioning-not-before": "2099-01-01T00:00:00Z"},
        {**OPEN, "auto-provisioning-not-after": "2020-01-01T00:00:00Z"},
        {**OPEN, "ocsp-revocation-enabled": True},
    ):
        here = await plant(door, **rules)
        assert Unauthenticated is await here.refused(leaf(here.ca))
        assert 0 == await here.total()


async def test_an_expired_ca_vouches_for_nobody(door: Door):
    """By the validity the tenant's entry says."""
    here = await plant(door)
    shown = (await door("GET", f"/v1/tenants/{here.tenant}")).json()
    await here.knock(leaf(here.ca))
    shown["trusted-ca"][0]["not-after"] = "2026-12-31T00:00:00Z"
    assert 204 == (await door("PUT", f"/v1/tenants/{here.tenant}", json=shown)).status_code
    assert Unauthenticated is await here.refused(leaf(here.ca))


async def test_a_closed_tenant_lets_nobody_in(door: Door):
    """Nor come into being: tenant disabled, adapter not listed."""
    for tenant in ({"enabled": False}, {"adapters": [{"type": "hono-http", "enabled": True}]}):
        here = await plant(door, tenant=tenant)
        assert Forbidden is await here.refused(leaf(here.ca))
        assert 0 == await here.total()


# --- what is checked afterwards -----------------------------------------------------------------------------


async def test_a_disabled_credential_is_refused_cleanly(door: Door):
    """No second device, no conflict (H 10)."""
    here = await plant(door)
    login = await here.knock(leaf(here.ca))
    path = f"/v1/credentials/{here.tenant}/{login.device.id}"
    (credential,) = (await door("GET", path)).json()
    credential["enabled"] = False
    assert 204 == (await door("PUT", path, json=[credential])).status_code
    assert Unauthenticated is await here.refused(leaf(here.ca))
    assert 1 == await here.total()


async def test_a_secrets_validity_holds(door: Door):
    """H 8."""
    here = await plant(door)
    login = await here.knock(leaf(here.ca))
    path = f"/v1/credentials/{here.tenant}/{login.device.id}"
    (credential,) = (await door("GET", path)).json()
    credential["secrets"][0]["not-after"] = "2026-12-31T00:00:00Z"
    assert 204 == (await door("PUT", path, json=[credential])).status_code
    assert Unauthenticated is await here.refused(leaf(here.ca))


async def test_a_deleted_device_stays_out_until_it_is_allowed_again(door_on_each: Door):
    """The denial is listed, and taken away by an operator (H 10)."""
    door = door_on_each
    here = await plant(door)
    login = await here.knock(leaf(here.ca))
    assert 204 == (await door("DELETE", f"/v1/devices/{here.tenant}/{login.device.id}")).status_code
    assert Unauthenticated is await here.refused(leaf(here.ca))
    (denial,) = (await door("GET", f"/v1/denials/{here.tenant}")).json()
    assert "CN=pump-1,O=ACME" == denial["subject-dn"]
    assert 204 == (await door("POST", f"/v1/denials/{here.tenant}/remove", json=denial)).status_code
    assert (await here.knock(leaf(here.ca))).device.id != login.device.id


async def test_a_device_may_have_to_wait_for_approval(door: Door):
    """It is there, disabled; an operator sees by which certificate, and enables it; then it is in."""
    here = await plant(door, **OPEN, **{"auto-provisioning-needs-approval": True})
    certificate = leaf(here.ca)
    assert NotFound is await here.refused(certificate)
    (waiting,) = (await door("GET", f"/v1/devices/{here.tenant}")).json()["result"]
    assert waiting["enabled"] is False
    contact, parsed = waiting["status"]["first-contact"], x509.load_der_x509_certificate(certificate)
    assert parsed.fingerprint(SHA256()).hex() == contact["fingerprint"]
    assert parsed.serial_number == int(contact["serial-number"], 16)
    assert f"{parsed.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}" == contact["not-after"]
    assert ("CN=pump-1,O=ACME", "203.0.113.7") == (contact["auth-id"], contact["source"])
    path = f"/v1/devices/{here.tenant}/{waiting['id']}"
    assert 204 == (await door("PUT", path, json={"enabled": True})).status_code
    login = await here.knock(leaf(here.ca))
    assert waiting["id"] == login.device.id
    assert (await door("GET", path)).json()["status"]["auto-provisioned"] is True


async def test_a_renewed_certificate_follows_the_cas_rule(door: Door):
    """Same CA by default, any, or the first one only (H 8)."""
    other = Foreign(unique("Second"))
    for rule, renewed, foreign in (("same-ca", True, False), ("any", True, True), ("none", False, False)):
        ca = Foreign(unique())
        cas = [{"cert": b64(each.der), **OPEN, "reissued-certificates": rule} for each in (ca, other)]
        here = Plant(door, ca, await door.tenant(**{"trusted-ca": cas, "trust-anchor-group": "renewals"}))
        first = leaf(ca)
        await here.knock(first)
        await here.knock(first)
        for certificate, is_in in ((leaf(ca), renewed), (leaf(other), foreign)):
            chain = {"sni": f"{here.tenant}.example"}
            try:
                await here.knock(certificate, **chain)
                outcome = True
            except Unauthenticated:
                outcome = False
            assert (rule, is_in) == (rule, outcome)


# --- passwords ----------------------------------------------------------------------------------------------


async def test_a_registered_device_logs_in_with_its_password(door_on_each: Door):
    """Whichever function made the verifier; disabled, expired and unknown ones do not (C.1)."""
    from tests.dialects.hono.test_credentials import BCRYPT, sha  # noqa: PLC0415

    door = door_on_each
    here = await plant(door)
    device = await door.device(here.tenant)
    path = f"/v1/credentials/{here.tenant}/{device}"
    for secret in (
        {"pwd-plain": "x"},
        {"hash-function": "sha-256", "pwd-hash": sha("sha256", "x")},
        {"hash-function": "sha-512", "pwd-hash": sha("sha512", "x", b"salt"), "salt": b64(b"salt")},
        {"hash-function": "bcrypt", "pwd-hash": BCRYPT},
    ):
        body = [{"type": "hashed-password", "auth-id": "sensor", "secrets": [secret]}]
        assert 204 == (await door("PUT", path, json=body)).status_code

        def shown(plain: bytes, auth_id: str = "sensor") -> Password:
            return Password(auth_id=auth_id, tenant=here.tenant, secret=plain)

        for _ in range(2):
            assert device == (await here.knock(password=shown(b"x"))).device.id
        assert Unauthenticated is await here.refused(password=shown(b"y"))
        assert Unauthenticated is await here.refused(password=shown(b"\xff"))
        assert Unauthenticated is await here.refused(password=shown(b"x", "other"))
        for closed in ({"enabled": False}, {"not-after": "2020-01-01T00:00:00Z"}):
            body[0]["secrets"][0] = secret | closed  # type: ignore[index]
            await door("PUT", path, json=body)
            assert Unauthenticated is await here.refused(password=shown(b"x"))
    assert (
        204 == (await door("PUT", f"/v1/devices/{here.tenant}/{device}", json={"enabled": False})).status_code
    )
    body = [{"type": "hashed-password", "auth-id": "sensor", "secrets": [{"pwd-plain": "x"}]}]
    await door("PUT", path, json=body)
    assert NotFound is await here.refused(password=shown(b"x"))


# --- over HTTP, for other adapters --------------------------------------------------------------------------


async def test_the_operations_answer_over_http(door_on_each: Door):
    """Tenant by id, alias, CA; credentials with a certificate: 201, then 200; registration (B.2 to B.4)."""
    door = door_on_each
    here = await plant(door, tenant={"alias": f"x{uuid.uuid4().hex[:6]}", "defaults": {"ttl": 5}})
    name = (await door("GET", f"/v1/tenants/{here.tenant}")).json()
    for query in (
        {"tenant-id": here.tenant},
        {"tenant-id": name["alias"]},
        {"subject-dn": name["trusted-ca"][0]["subject-dn"].lower().replace("cn=", "cn= ")},
    ):
        found = await door("POST", "/v1/southbound/tenant", json=query)
        assert (200, here.tenant) == (found.status_code, found.json().get("tenant-id"))
        assert "max-age=180" == found.headers["cache-control"]
        assert {"alias", "registration-limits", "trust-anchor-group"}.isdisjoint(found.json())
        assert "not-after" not in found.json()["trusted-ca"][0]
    certificate = leaf(here.ca)
    query = {"type": "x509-cert", "auth-id": "CN=pump-1,O=ACME"}
    path = f"/v1/southbound/credentials/{here.tenant}"
    assert 404 == (await door("POST", path, json=query)).status_code
    query["client-certificate"] = b64(certificate)
    made = await door("POST", path, json=query)
    assert 201 == made.status_code, made.text
    again = await door("POST", path, json=query)
    assert (200, made.json()) == (again.status_code, again.json())
    asserted = await door(
        "POST", f"/v1/southbound/registration/{here.tenant}", json={"device-id": made.json()["device-id"]}
    )
    assert (200, "max-age=300") == (asserted.status_code, asserted.headers["cache-control"])


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({}, 400),
        ({"tenant-id": "a", "subject-dn": "CN=a"}, 400),
        ({"subject-dn": "no name"}, 400),
        ({"tenant-id": "nothing"}, 404),
        ({"subject-dn": "CN=nobody"}, 404),
        ({"more": 1}, 400),
    ],
)
async def test_a_tenant_is_asked_for_in_one_way(door: Door, query, status):
    """B.2."""
    assert status == (await door("POST", "/v1/southbound/tenant", json=query)).status_code


async def test_credentials_are_asked_for_as_spoken(door: Door):
    """B.4: what is missing or contradicts is 400, what does not match 404."""
    here = await plant(door)
    device = await door.device(here.tenant)
    body = [
        {"type": "psk", "auth-id": "a", "ext": {"client-id": "c1"}, "secrets": [{"key": "AAAA"}]},
        {"type": "psk", "auth-id": "off", "enabled": False, "secrets": [{"key": "AAAA"}]},
    ]
    await door("PUT", f"/v1/credentials/{here.tenant}/{device}", json=body)
    psk = {"type": "psk", "auth-id": "a"}
    x509_cert = {"type": "x509-cert", "auth-id": "CN=other", "client-certificate": b64(leaf(here.ca))}
    for query, status in (
        (psk, 200),
        ({**psk, "client-id": "c1"}, 200),
        ({**psk, "unheard-of": 1}, 200),
        ({**psk, "client-id": "c2"}, 404),
        ({"type": "psk", "auth-id": "off"}, 404),
        ({"type": "psk"}, 400),
        ({"auth-id": "a"}, 400),
        ({**psk, "device-id": device}, 400),
        ({**x509_cert, "client-certificate": "%"}, 400),
        ({**x509_cert, "client-certificate": "AAAA"}, 400),
        (x509_cert, 400),
        ({**x509_cert, "client-certificate": b64(leaf(Foreign(unique())))}, 404),
    ):
        answer = await door("POST", f"/v1/southbound/credentials/{here.tenant}", json=query)
        assert (query, status) == (query, answer.status_code)
    assert 404 == (await door("POST", "/v1/southbound/credentials/nothing", json=psk)).status_code
    stranger = await door.user()
    assert (
        404
        == (
            await door("POST", f"/v1/southbound/credentials/{here.tenant}", json=psk, user=stranger)
        ).status_code
    )


async def test_gateways_speak_for_devices_and_announce_them(door_on_each: Door):
    """Every row of B.3; a device announced by one gateway is not another's (B.7)."""
    door = door_on_each
    here = await plant(door)
    authority = {"authorities": ["auto-provisioning-enabled"]}
    for name, body in {
        "gw": {},
        "gw-off": {"enabled": False},
        "gw-group": {"memberOf": ["g"]},
        "gw-auto": {**authority, "memberOf": ["fleet"]},
        "gw-auto-2": authority,
        "gw-auto-3": {**authority, "memberOf": ["fleet"]},
        "d": {"via": ["gw", "gw-off"], "viaGroups": ["g"], "defaults": {"ttl": 1}},
        "d-off": {"enabled": False, "via": ["gw"]},
    }.items():
        await door.device(here.tenant, name, **body)

    async def ask(device: str, gateway: str | None = None) -> Any:
        query = {"device-id": device, **({"gateway-id": gateway} if gateway else {})}
        return await door("POST", f"/v1/southbound/registration/{here.tenant}", json=query)

    for device, gateway, status in (
        ("d", None, 200),
        ("d", "d", 200),
        ("d", "gw", 200),
        ("d", "gw-group", 200),
        ("d", "gw-off", 403),
        ("d", "gw-auto", 403),
        ("d", "nobody", 403),
        ("d-off", None, 404),
        ("d-off", "gw", 404),
        ("new", None, 404),
        ("new", "gw", 404),
        ("new", "gw-off", 404),
        ("new", "nobody", 404),
        ("not an id", "gw-auto", 400),
        ("new", "gw-auto", 200),
        ("new", "gw-auto", 200),
        ("new", "gw-auto-2", 403),
        ("new", "gw-auto-3", 200),
        ("new", None, 200),
    ):
        answer = await ask(device, gateway)
        assert (device, gateway, status) == (device, gateway, answer.status_code)
    assert {"device-id": "d", "via": ["gw", "gw-off", "gw-group"], "defaults": {"ttl": 1}} == (
        await ask("d")
    ).json()
    made = (await door("GET", f"/v1/devices/{here.tenant}/new")).json()
    assert (["gw-auto"], ["fleet"]) == (made["via"], made["viaGroups"])
    assert made["status"]["auto-provisioned"] is True
    answers = await asyncio.gather(*(ask("raced", "gw-auto") for _ in range(32)))
    assert {200} == {answer.status_code for answer in answers}
    assert 204 == (await door("DELETE", f"/v1/devices/{here.tenant}/new")).status_code
    assert 404 == (await ask("new", "gw-auto")).status_code
