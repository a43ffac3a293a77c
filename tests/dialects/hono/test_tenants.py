"""Tenants through the Hono door: spec A.1 to A.4."""

import json
import re
from typing import Any

import pytest

from muster.ca.passwords import PasswordPool
from muster.core import users
from muster.core.access import Caller
from muster.core.model import Status
from muster.core.throttle import Throttle
from muster.dialects.hono.logins import Logins
from tests.ca.pki import Foreign
from tests.dialects.hono.desk import PASSWORD, Door, b64, basic

pytestmark = pytest.mark.anyio


async def test_a_tenant_lives_its_life(door_on_each: Door):
    """Created, shown, replaced, deleted; each step with the version the one before gave."""
    door = door_on_each
    made = await door("POST", "/v1/tenants/acme", json={"ext": {"plan": "gold"}})
    assert 201 == made.status_code
    assert {"id": "acme"} == made.json()
    assert "/v1/tenants/acme" == made.headers["location"]
    shown = await door("GET", "/v1/tenants/acme")
    assert {"enabled": True, "ext": {"plan": "gold"}} == shown.json()
    assert made.headers["etag"] == shown.headers["etag"]
    changed = await door(
        "PUT", "/v1/tenants/acme", json={"enabled": False}, headers={"If-Match": shown.headers["etag"]}
    )
    assert (204, b"") == (changed.status_code, changed.content)
    assert changed.headers["etag"] != shown.headers["etag"]
    assert {"enabled": False} == (await door("GET", "/v1/tenants/acme")).json()
    gone = await door("DELETE", "/v1/tenants/acme", headers={"If-Match": shown.headers["etag"]})
    assert 412 == gone.status_code
    assert 204 == (await door("DELETE", "/v1/tenants/acme")).status_code
    assert 404 == (await door("GET", "/v1/tenants/acme")).status_code


async def test_a_tenant_without_a_body_gets_an_id(door: Door):
    """Its id is made up, its defaults are Hono's."""
    made = await door("POST", "/v1/tenants")
    assert 201 == made.status_code
    assert {"enabled": True} == (await door("GET", made.headers["location"])).json()


FULL = {
    "enabled": True,
    "alias": "all-of-it",
    "ext": {"messaging-type": "amqp"},
    "adapters": [{"type": "hono-mqtt", "enabled": True, "ext": {"x": 1}}, {"type": "hono-http"}],
    "defaults": {"ttl": 30},
    "minimum-message-size": 512,
    "registration-limits": {"max-devices": 10, "max-credentials-per-device": 2},
    "resource-limits": {
        "max-connections": 5,
        "max-ttl-telemetry-qos0": 60,
        "data-volume": {
            "effective-since": "2026-01-01T00:00:00+01:00",
            "max-bytes": 100,
            "period": {"mode": "days", "no-of-days": 3},
        },
    },
    "tracing": {"sampling-mode": "all", "sampling-mode-per-auth-id": {"a": "none"}},
    "trust-anchor-group": "g",
}


async def test_all_members_come_back(door: Door):
    """What goes in comes out."""
    name = await door.tenant(**FULL)
    assert (await door("GET", f"/v1/tenants/{name}")).json() == FULL


@pytest.mark.parametrize(
    "body",
    [
        {"unknown": 1},
        {"enabled": "yes"},
        {"alias": "Not Allowed"},
        {"adapters": []},
        {"adapters": [{"type": "a"}, {"type": "a"}]},
        {"adapters": [{"enabled": True}]},
        {"adapters": [{"type": "a", "more": 1}]},
        {"minimum-message-size": -1},
        {"registration-limits": {"max-devices": -2}},
        {"resource-limits": {"max-connections": -2}},
        {"resource-limits": {"data-volume": {"max-bytes": 1}}},
        {"resource-limits": {"data-volume": {"effective-since": "2026-01-01T00:00:00+0100"}}},
        {"resource-limits": {"data-volume": {"effective-since": "2026-01-01T00:00:00Z", "period": {}}}},
        {
            "resource-limits": {
                "data-volume": {"effective-since": "2026-01-01T00:00:00Z", "period": {"mode": "days"}}
            }
        },
        {"tracing": {"sampling-mode": "some"}},
        {"trusted-ca": [{}]},
        {"trusted-ca": [{"cert": "bm9uZQ=="}]},
        {"trusted-ca": [{"subject-dn": "CN=x"}]},
        {"trusted-ca": [{"more": 1}]},
    ],
)
async def test_a_bad_tenant_is_refused(door: Door, body):
    """400 with a reason, and nothing is there."""
    answer = await door("POST", "/v1/tenants/never-there", json=body)
    assert 400 == answer.status_code
    assert answer.json()["error"]
    assert "application/json; charset=utf-8" == answer.headers["content-type"]
    assert 404 == (await door("GET", "/v1/tenants/never-there")).status_code


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"{}", "text/plain"),
        (b"{}", ""),
        (b"{", "application/json"),
        (b"null", "application/json"),
        (b"[]", "application/json"),
        (b'{"ext": {"a": "\\u0000"}}', "application/json"),
    ],
)
async def test_what_is_no_json_object_is_refused(door: Door, content, content_type):
    """A body needs its content type, and must be what it says."""
    answer = await door("POST", "/v1/tenants", content=content, headers={"Content-Type": content_type})
    assert 400 == answer.status_code
    assert answer.json()["error"]


async def test_a_content_type_may_have_parameters(door: Door):
    """As Hono allows."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert 201 == (await door("POST", "/v1/tenants", content=b"{}", headers=headers)).status_code


@pytest.mark.parametrize("name", ["a b", "ä", "a:b", "a*"])
async def test_a_tenants_id_keeps_the_rule(door: Door, name):
    """Letters, digits, hyphen, underscore and dot."""
    assert 400 == (await door("POST", f"/v1/tenants/{name}")).status_code


async def test_an_id_or_alias_is_taken_once(door: Door):
    """409 for the second."""
    name = await door.tenant(alias="twice")
    assert 409 == (await door("POST", f"/v1/tenants/{name}")).status_code
    assert 409 == (await door("POST", "/v1/tenants/other-one", json={"alias": "twice"})).status_code


async def test_a_body_that_is_too_large_is_refused(sqlite_store, keyring, clock):
    """413, and it says what would not be."""
    small = Door(sqlite_store, keyring, clock, max_body=2000)
    answer = await small("POST", "/v1/tenants", json={"ext": {"x": "y" * 3000}})
    assert (413, "a body has at most 2000 bytes") == (answer.status_code, answer.json()["error"])
    small.passwords.close()


# --- who may ------------------------------------------------------------------------------------------------


async def test_nobody_gets_in_without_a_login(door: Door):
    """401 with what to send."""
    answer = await door("GET", "/v1/tenants", headers={"Authorization": ""})
    assert 401 == answer.status_code
    assert 'Basic realm="Hono"' == answer.headers["www-authenticate"]
    assert answer.json()["error"]


async def test_basic_works_and_ends_with_the_password(door: Door):
    """It is remembered, until the user changes; a new password counts at once where it was set."""
    door.store.on_emitted(door.logins.changed)
    user = await door.user()
    known, wrong = ({"Authorization": basic(user.username, word)} for word in (PASSWORD, "wrong"))
    for headers, status in ((known, 201), (known, 201), (wrong, 401)):
        assert status == (await door("POST", "/v1/tenants", headers=headers)).status_code
    await door.store.run(users.reset_password, user.id, user.epoch, new=await door.passwords.hash("another"))
    assert 401 == (await door("POST", "/v1/tenants", headers=known)).status_code
    new = {"Authorization": basic(user.username, "another")}
    assert 201 == (await door("POST", "/v1/tenants", headers=new)).status_code


@pytest.mark.parametrize("is_told", [True, False])
async def test_who_is_disabled_and_enabled_gets_in_again(door: Door, is_told: bool):
    """With the same password; where nobody tells of the change, as in another process, after five seconds."""
    if is_told:
        door.store.on_emitted(door.logins.changed)
    user, admin = await door.user(), Caller(user=await door.admin())
    known = {"Authorization": basic(user.username)}
    assert 201 == (await door("POST", "/v1/tenants", headers=known)).status_code
    await door.store.run(users.set_user_status, admin, user.id, Status.DISABLED)
    assert 401 == (await door("POST", "/v1/tenants", headers=known)).status_code
    await door.store.run(users.set_user_status, admin, user.id, Status.ENABLED)
    if not is_told:
        door.clock.micros += 5_000_000
    assert 201 == (await door("POST", "/v1/tenants", headers=known)).status_code


async def test_basic_is_hashed_once_in_a_quarter_of_an_hour(door: Door):
    """A look at the user every five seconds costs no hash."""
    user = await door.user()
    known = {"Authorization": basic(user.username)}
    hashed: list[str | None] = []

    class Counted(PasswordPool):
        async def verify(self, verifier: str | None, password: str) -> bool:
            hashed.append(verifier)
            return await super().verify(verifier, password)

    pool = Counted()
    door.logins = Logins(door.store, pool, Throttle(limit=5, period=60), door.clock)
    door.rebuild()
    for seconds, hashes in ((0, 1), (4, 1), (6, 1), (600, 1), (901, 2)):
        door.clock.micros += seconds * 1_000_000
        assert 201 == (await door("POST", "/v1/tenants", headers=known)).status_code
        assert hashes == len(hashed)
    pool.close()


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic /////w==", "Digest x"])
async def test_a_broken_login_is_refused(door: Door, header):
    """401, never 500."""
    assert 401 == (await door("GET", "/v1/tenants", headers={"Authorization": header})).status_code


async def test_a_foreign_tenant_looks_like_none(door: Door):
    """Per-tenant rights: who is not in it sees 404, whatever the operation."""
    name = await door.tenant()
    stranger = await door.user()
    for method, path in [
        ("GET", f"/v1/tenants/{name}"),
        ("PUT", f"/v1/tenants/{name}"),
        ("DELETE", f"/v1/tenants/{name}"),
        ("POST", f"/v1/devices/{name}"),
        ("GET", f"/v1/devices/{name}"),
        ("DELETE", f"/v1/devices/{name}"),
        ("GET", f"/v1/credentials/{name}/d"),
        ("GET", f"/v1/denials/{name}"),
    ]:
        body = {"json": {}} if method in ("PUT", "POST") else {}
        answer = await door(method, path, user=stranger, **body)
        assert (404, path) == (answer.status_code, path)
    assert 200 == (await door("GET", f"/v1/tenants/{name}")).status_code


async def test_pages_of_other_origins_may_call(door: Door):
    """CORS: the preflight names methods and headers, answers show the version."""
    headers = {"Origin": "https://ui.example", "Access-Control-Request-Method": "PUT", "Authorization": ""}
    answer = await door("OPTIONS", "/v1/tenants/x", headers=headers)
    assert 204 == answer.status_code
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert "if-match" in answer.headers["access-control-allow-headers"]
    got = await door("GET", "/v1/tenants/nothing", headers={"Origin": "https://ui.example"})
    assert "*" == got.headers["access-control-allow-origin"]
    assert "etag" in got.headers["access-control-expose-headers"]


@pytest.mark.parametrize("form", ["{}", '"{}"', 'W/"{}"', "*", '"other", "{}"'])
async def test_a_version_may_be_written_in_any_form(door: Door, form):
    """Bare as Hono writes it, quoted, weak, in a list, or any."""
    name = await door.tenant()
    version = (await door("GET", f"/v1/tenants/{name}")).headers["etag"]
    assert re.fullmatch(r"[0-9a-f-]{36}", version)
    headers = {"If-Match": form.format(version)}
    assert 204 == (await door("PUT", f"/v1/tenants/{name}", json={}, headers=headers)).status_code


async def test_a_version_of_nothing_is_not_found(door: Door):
    """404 comes before 412."""
    assert 404 == (await door("DELETE", "/v1/tenants/none", headers={"If-Match": "x"})).status_code


# --- trusted CAs --------------------------------------------------------------------------------------------


def member(ca: Foreign, **more):
    return {"cert": b64(ca.der), **more}


async def test_a_certificate_is_taken_apart(door: Door):
    """The registry keeps name, key and validity, and drops the certificate."""
    ca = Foreign("Plant CA")
    name = await door.tenant(**{"trusted-ca": [member(ca, **{"auto-provisioning-enabled": True})]})
    (shown,) = (await door("GET", f"/v1/tenants/{name}")).json()["trusted-ca"]
    assert "CN=Plant CA" == shown["subject-dn"]
    assert "EC" == shown["algorithm"]
    assert (True, False) == (shown["auto-provisioning-enabled"], shown["auto-provision-as-gateway"])
    assert "cert" not in shown
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", shown["not-after"])
    again = await door("PUT", f"/v1/tenants/{name}", json={"trusted-ca": [shown]})
    assert 204 == again.status_code
    assert [shown] == (await door("GET", f"/v1/tenants/{name}")).json()["trusted-ca"]


async def test_a_ca_that_is_sent_again_stays_the_same_ca(door: Door):
    """Without an id it keeps the one it had: quotas count by it, and no session ends."""
    ca = member(Foreign("Kept CA"), **{"auto-provisioning-enabled": True})
    name = await door.tenant(**{"trusted-ca": [ca]})

    async def ids(*cas) -> list[str]:
        assert 204 == (await door("PUT", f"/v1/tenants/{name}", json={"trusted-ca": cas})).status_code
        return [each["id"] for each in (await door("GET", f"/v1/tenants/{name}")).json()["trusted-ca"]]

    (first,) = await ids(ca)
    (again,) = await ids(ca | {"auto-provisioning-enabled": False})
    assert first == again
    other, kept = await ids(member(Foreign("Kept CA")), ca)
    assert first == kept
    assert first != other
    named, fresh = await ids(ca | {"id": first}, ca)
    assert first == named
    assert fresh not in (first, other)


async def test_a_name_is_one_tenants_outside_a_group(door_on_each: Door):
    """409 on creation and change; in one group the same CA may be shared."""
    door, ca = door_on_each, Foreign("Shared CA")
    await door.tenant("one", **{"trusted-ca": [member(ca)], "trust-anchor-group": "g"})
    taken = {"trusted-ca": [member(Foreign("SHARED  ca"))]}
    assert 409 == (await door("POST", "/v1/tenants/two", json=taken)).status_code
    assert 404 == (await door("GET", "/v1/tenants/two")).status_code
    await door.tenant("three")
    assert 409 == (await door("PUT", "/v1/tenants/three", json=taken)).status_code
    assert (
        204 == (await door("PUT", "/v1/tenants/three", json={**taken, "trust-anchor-group": "g"})).status_code
    )
    both = [member(ca), member(Foreign("Shared CA"))]
    assert (
        204
        == (
            await door("PUT", "/v1/tenants/one", json={"trusted-ca": both, "trust-anchor-group": "g"})
        ).status_code
    )


async def test_of_two_tenants_at_once_one_gets_the_name(door_on_each: Door):
    """The check and the write are one."""
    door, ca = door_on_each, Foreign("Raced CA")
    answers = await door.together(
        *(door("POST", f"/v1/tenants/raced-{n}", json={"trusted-ca": [member(ca)]}) for n in range(8))
    )
    assert [201] + [409] * 7 == sorted(answer.status_code for answer in answers)


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"auto-provisioning-device-id-template": "{{subject-cn}}"}, 201),
        ({"auto-provisioning-device-id-template": "id-{{subject-dn}}-{{serial-number}}"}, 201),
        ({"auto-provisioning-device-id-template": "constant"}, 400),
        ({"auto-provisioning-device-id-template": "{{subject-uid}}"}, 400),
        ({"auth-id-template": "{{nothing}}"}, 400),
        ({"ocsp-revocation-enabled": True}, 201),
        ({"reissued-certificates": "some"}, 400),
        ({"auto-provisioning-max-devices": -2}, 400),
        ({"auto-provisioning-not-before": "tomorrow"}, 400),
    ],
)
async def test_the_rules_of_a_ca_are_checked_when_written(door: Door, more, status):
    """A template that can never work is refused at once."""
    body = {"trusted-ca": [member(Foreign(f"Rules {more}"[:60].replace(",", " ")), **more)]}
    assert status == (await door("POST", "/v1/tenants", json=body)).status_code


async def test_ids_of_cas_differ(door: Door):
    """Within a tenant; and what has none gets one."""
    pair = [member(Foreign("A1"), id="same"), member(Foreign("A2"), id="same")]
    assert 400 == (await door("POST", "/v1/tenants", json={"trusted-ca": pair})).status_code


async def test_a_key_without_certificate_is_enough(door: Door):
    """Name, key and validity; the key must be one of the algorithm."""
    ca = Foreign("Key only")
    name = await door.tenant(**{"trusted-ca": [member(ca)]})
    (shown,) = (await door("GET", f"/v1/tenants/{name}")).json()["trusted-ca"]
    needed = {k: shown[k] for k in ("public-key", "not-before", "not-after")}
    body = {"trusted-ca": [{"subject-dn": "cn=Other , O=X", "algorithm": "EC", **needed}]}
    other = await door.tenant(**body)
    assert "CN=Other,O=X" == (await door("GET", f"/v1/tenants/{other}")).json()["trusted-ca"][0]["subject-dn"]
    body["trusted-ca"][0]["algorithm"] = "RSA"
    assert 400 == (await door("POST", "/v1/tenants", json=body)).status_code
    body["trusted-ca"][0] |= {"algorithm": "EC", "subject-dn": "no name at all"}
    assert 400 == (await door("POST", "/v1/tenants", json=body)).status_code


async def test_tenants_are_found_by_the_cas_they_trust(door_on_each: Door):
    """Any of a tenant's CAs, or the one at a place; names are compared as names, other texts as texts."""
    door = door_on_each
    first, second, other = (Foreign(f"Plant {number}") for number in range(3))
    open_ = {"auto-provisioning-enabled": True}
    await door.tenant("one", **{"trusted-ca": [member(first, id="a"), member(second, **open_)]})
    await door.tenant("two", **{"trusted-ca": [member(other, id="b")]})
    await door.tenant("three")

    async def found(field: str, value: Any) -> list[str]:
        asked = json.dumps({"field": field, "value": value})
        answer = await door("GET", "/v1/tenants", params={"filterJson": asked})
        assert answer.status_code in (200, 404), answer.text
        return [each["id"] for each in answer.json().get("result", [])]

    assert ["one"] == await found("/trusted-ca/subject-dn", "CN=Plant 0")
    assert ["one"] == await found("/trusted-ca/subject-dn", "cn=plant  1")
    assert ["one", "two"] == await found("/trusted-ca/subject-dn", "CN=Plant ?")
    assert ["one"] == await found("/trusted-ca/1/subject-dn", "CN=Plant 1")
    assert [] == await found("/trusted-ca/0/subject-dn", "CN=Plant 1")
    assert ["two"] == await found("/trusted-ca/id", "b")
    assert ["one"] == await found("/trusted-ca/auto-provisioning-enabled", True)
    assert ["one", "two"] == await found("/trusted-ca/auto-provisioning-enabled", False)
    assert [] == await found("/trusted-ca/auto-provisioning-enabled", "true")
    assert [] == await found("/trusted-ca/id", 7)
    for field, value in (("/trusted-ca", "x"), ("/trusted-ca/cert", "x"), ("/trusted-ca/subject-dn", "=,")):
        asked = json.dumps({"field": field, "value": value})
        assert 400 == (await door("GET", "/v1/tenants", params={"filterJson": asked})).status_code
    sort = json.dumps({"field": "/trusted-ca/0/subject-dn"})
    assert 400 == (await door("GET", "/v1/tenants", params={"sortJson": sort})).status_code
