"""Devices through the Hono door: spec A.1, A.2, A.5, A.6."""

import json
import re
from dataclasses import replace

import pytest

from muster.core import contacts, gateways, registry
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import Device, DeviceId, Instant, TenantId
from muster.core.ports import Tx
from tests.dialects.hono.desk import Door

pytestmark = pytest.mark.anyio


async def test_a_device_lives_its_life(door_on_each: Door):
    """Created, shown, replaced, deleted; `status` tells when and is ignored on the way in."""
    door = door_on_each
    tenant = await door.tenant("acme")
    made = await door("POST", "/v1/devices/acme/pump:1", json={"ext": {"brand": "x"}, "status": {"x": 1}})
    assert (201, {"id": "pump:1"}) == (made.status_code, made.json())
    assert "/v1/devices/acme/pump%3A1" == made.headers["location"]
    shown = await door("GET", made.headers["location"])
    assert made.headers["etag"] == shown.headers["etag"]
    document = shown.json()
    assert {"created"} == set(document.pop("status"))
    assert {"enabled": True, "ext": {"brand": "x"}} == document
    stale = await door("PUT", "/v1/devices/acme/pump:1", json={}, headers={"If-Match": "other"})
    assert 412 == stale.status_code
    put = await door("PUT", "/v1/devices/acme/pump:1", json={"enabled": False, "via": "gw"})
    assert (204, b"") == (put.status_code, put.content)
    after = (await door("GET", "/v1/devices/acme/pump:1")).json()
    assert {"created", "updated"} == set(after.pop("status"))
    assert {"enabled": False, "via": ["gw"]} == after
    assert [] == (await door("GET", "/v1/credentials/acme/pump:1")).json()
    assert 204 == (await door("DELETE", "/v1/devices/acme/pump:1")).status_code
    for path in ("/v1/devices/acme/pump:1", "/v1/credentials/acme/pump:1"):
        assert 404 == (await door("GET", path)).status_code
    assert tenant


async def test_what_one_door_makes_the_core_shows(door: Door):
    """A Hono device is a device: another door disables it, Hono sees that."""
    tenant = await door.tenant()
    device = await door.device(tenant)
    caller = Caller(user=await door.admin())
    from muster.core.model import Device, Status  # noqa: PLC0415

    await door.store.run(registry.set_status, caller, TenantId(tenant), Device, device, Status.DISABLED)
    assert (await door("GET", f"/v1/devices/{tenant}/{device}")).json()["enabled"] is False


async def test_a_path_that_is_no_text_is_refused_with_words(door: Door):
    """In Hono's shape, management and southbound alike."""
    for path in ("/v1/devices/acme/%00", "/v1/credentials/acme/%ff", "/v1/southbound/tenant/%00"):
        answer = await door("GET", path)
        assert (400, {"error": "invalid path"}) == (answer.status_code, answer.json())


@pytest.mark.parametrize(
    "body",
    [
        {"unknown": True},
        {"via": 1},
        {"memberOf": ["g"], "via": ["gw"]},
        {"memberOf": ["g"], "viaGroups": ["h"]},
        {"authorities": ["be-root"]},
        {"command-endpoint": {}},
        {"command-endpoint": {"uri": "x", "more": 1}},
        {"enabled": None},
    ],
)
async def test_a_bad_device_is_refused(door: Door, body):
    """400, and it is not there."""
    tenant = await door.tenant()
    answer = await door("POST", f"/v1/devices/{tenant}/bad", json=body)
    assert 400 == answer.status_code
    assert answer.json()["error"]
    assert 404 == (await door("GET", f"/v1/devices/{tenant}/bad")).status_code


@pytest.mark.parametrize("body", [{"memberOf": [], "via": ["x"]}, {"via": ["a"], "viaGroups": "g"}])
async def test_empty_lists_do_not_contradict(door: Door, body):
    """Only a gateway that is in a group has no gateway itself."""
    assert await door.device(await door.tenant(), **body)


@pytest.mark.parametrize("name", ["a b", "a/b", "ä", "a,b"])
async def test_a_devices_id_keeps_the_rule(door: Door, name):
    """400 in each operation."""
    tenant = await door.tenant()
    path = f"/v1/devices/{tenant}/{name.replace('/', '%2F')}"
    assert 400 == (await door("POST", path)).status_code
    assert 400 == (await door("GET", path)).status_code


async def test_a_taken_id_and_a_missing_tenant(door: Door):
    """409 and 404."""
    tenant = await door.tenant()
    device = await door.device(tenant)
    assert 409 == (await door("POST", f"/v1/devices/{tenant}/{device}")).status_code
    assert 404 == (await door("POST", "/v1/devices/nothing-there")).status_code
    assert 404 == (await door("PUT", f"/v1/devices/{tenant}/none", json={})).status_code
    assert 404 == (await door("DELETE", f"/v1/devices/{tenant}/none")).status_code


async def test_a_limit_is_exact_under_concurrency(door_on_each: Door):
    """64 devices into the last 10 places: 10 are made."""
    door = door_on_each
    tenant = await door.tenant(**{"registration-limits": {"max-devices": 12}})
    await door.device(tenant)
    await door.device(tenant)
    answers = await door.together(*(door("POST", f"/v1/devices/{tenant}") for _ in range(64)))
    statuses = [answer.status_code for answer in answers]
    assert (10, 54) == (statuses.count(201), statuses.count(403))
    assert 12 == (await door("GET", f"/v1/devices/{tenant}")).json()["total"]


async def test_a_tenant_that_comes_back_is_empty(door_on_each: Door):
    """Deletion takes devices and credentials along: nothing resurrects (H 5)."""
    door = door_on_each
    tenant = await door.tenant("phoenix")
    device = await door.device(tenant)
    secret = {"type": "psk", "auth-id": "a", "secrets": [{"key": "AAAA"}]}
    await door("PUT", f"/v1/credentials/{tenant}/{device}", json=[secret])
    assert 204 == (await door("DELETE", f"/v1/tenants/{tenant}")).status_code
    for path in (f"/v1/devices/{tenant}", f"/v1/devices/{tenant}/{device}"):
        assert 404 == (await door("GET", path)).status_code
    assert 204 == (await door("DELETE", f"/v1/devices/{tenant}")).status_code
    await door.tenant("phoenix")
    assert 404 == (await door("GET", f"/v1/devices/{tenant}")).status_code
    await door.device(tenant, device)
    assert [] == (await door("GET", f"/v1/credentials/{tenant}/{device}")).json()


async def test_all_devices_go_at_once(door_on_each: Door):
    """The tenant stays."""
    door = door_on_each
    tenant = await door.tenant()
    for _ in range(3):
        await door.device(tenant)
    assert 204 == (await door("DELETE", f"/v1/devices/{tenant}")).status_code
    assert 404 == (await door("GET", f"/v1/devices/{tenant}")).status_code
    assert 200 == (await door("GET", f"/v1/tenants/{tenant}")).status_code


async def test_a_bulk_is_made_whole_or_not_at_all(door_on_each: Door):
    """With credentials; one bad device and none is there."""
    door = door_on_each
    tenant = await door.tenant()
    many = [
        {
            "id": f"b{n}",
            "ext": {"n": n},
            "credentials": [{"type": "psk", "auth-id": f"a{n}", "secrets": [{"key": "AAAA"}]}],
        }
        for n in range(5)
    ]
    made = await door("POST", f"/v1/bulk/devices/{tenant}", json=many)
    assert (201, {"ids": [f"b{n}" for n in range(5)]}) == (made.status_code, made.json())
    (credential,) = (await door("GET", f"/v1/credentials/{tenant}/b3")).json()
    assert "a3" == credential["auth-id"]
    again = [{"id": "fresh"}, {"id": "b1"}]
    assert 409 == (await door("POST", f"/v1/bulk/devices/{tenant}", json=again)).status_code
    assert 404 == (await door("GET", f"/v1/devices/{tenant}/fresh")).status_code


# --- search -------------------------------------------------------------------------------------------------


async def fleet(door: Door) -> str:
    tenant = await door.tenant()
    bodies = {
        "a1": {"ext": {"brand": "acme", "size": 1, "tag": "x*y"}, "enabled": False},
        "a2": {"ext": {"brand": "acorn", "size": 2, "on": True}, "via": ["gw-1", "gw-2"]},
        "b1": {"ext": {"brand": "bolt", "size": 10}, "viaGroups": ["g"]},
        "gw-1": {},
        "gw-2": {"memberOf": ["g"]},
        "gw-10": {},
    }
    for name, body in bodies.items():
        await door.device(tenant, name, **body)
    await door.device(await door.tenant(), "stranger", ext={"brand": "acme"})
    return tenant


def ids(answer):
    return (
        [each["id"] for each in answer.json()["result"]] if answer.status_code == 200 else answer.status_code
    )


def f(field, value, **more):
    return ("filterJson", json.dumps({"field": field, "value": value, **more}))


def s(field, direction="asc"):
    return ("sortJson", json.dumps({"field": field, "direction": direction}))


SEARCHES = [
    ([], ["a1", "a2", "b1", "gw-1", "gw-10", "gw-2"]),
    ([("pageSize", "2")], ["a1", "a2"]),
    ([("pageSize", "4"), ("pageOffset", "1")], ["gw-10", "gw-2"]),
    ([("pageSize", "4"), ("pageOffset", "9")], []),
    ([f("/ext/brand", "acme")], ["a1"]),
    ([f("/ext/brand", "acme", op="eq")], ["a1"]),
    ([f("/ext/brand", "ac*")], ["a1", "a2"]),
    ([f("/ext/brand", "ac?e")], ["a1"]),
    ([f("/ext/brand", "AC*")], 404),
    ([f("/ext/brand", "ac.e")], 404),
    ([f("/ext/brand", "a_m%")], 404),
    ([f("/ext/tag", "x?y")], ["a1"]),
    ([f("/ext/size", 2)], ["a2"]),
    ([f("/ext/size", "2")], 404),
    ([f("/ext/on", True)], ["a2"]),
    ([f("/enabled", False)], ["a1"]),
    ([f("/enabled", True), f("/ext/brand", "ac*")], ["a2"]),
    ([f("/ext/brand", "ac*"), f("/ext/brand", "*n")], ["a2"]),
    ([f("/via/0", "gw-1")], ["a2"]),
    ([f("/memberOf/0", "g")], ["gw-2"]),
    ([f("/id", "gw-?")], ["gw-1", "gw-2"]),
    ([f("/id", "b1")], ["b1"]),
    ([f("/id", 1)], 404),
    ([s("/ext/size", "desc"), f("/ext/size", 1)], ["a1"]),
    ([f("/ext/size", 1.0)], ["a1"]),
    ([f("/ext/size", True)], 404),
    ([f("/ext/size", "1")], 404),
    ([s("/id", "desc"), ("pageSize", "2")], ["gw-2", "gw-10"]),
    ([s("/enabled"), s("/id", "desc"), ("pageSize", "1")], ["a1"]),
    ([s("/status/created", "desc"), ("pageSize", "1")], ["gw-10"]),
    ([("isGateway", "true")], ["gw-1", "gw-2"]),
    ([("isGateway", "false")], ["a1", "a2", "b1", "gw-10"]),
    ([("isGateway", "false"), f("/ext/brand", "b*")], ["b1"]),
]


async def test_searches_find_what_they_ask_for(door_on_each: Door):
    """Filters, wildcards, sorting, page numbers and gateways, on both databases, in one tenant only."""
    tenant = await fleet(door_on_each)
    for asked, wanted in SEARCHES:
        answer = await door_on_each("GET", f"/v1/devices/{tenant}", params=asked)
        assert (asked, wanted) == (asked, ids(answer))
    page = await door_on_each("GET", f"/v1/devices/{tenant}", params=[("pageSize", "1")])
    assert 6 == page.json()["total"]
    assert "created" in page.json()["result"][0]["status"]
    order = await door_on_each(
        "GET", f"/v1/devices/{tenant}", params=[s("/ext/size", "desc"), f("/ext/brand", "*")]
    )
    assert ["b1", "a2", "a1"] == ids(order)


@pytest.mark.parametrize(
    "asked",
    [
        [("pageSize", "0")],
        [("pageSize", "201")],
        [("pageSize", "x")],
        [("pageOffset", "-1")],
        [("filterJson", "x")],
        [("filterJson", "{}")],
        [("filterJson", '{"field":"/ext/x"}')],
        [("filterJson", '{"field":"ext","value":1}')],
        [("filterJson", '{"field":"/ext/x","op":"in","value":1}')],
        [("filterJson", '{"field":"/ext/x","value":{"a":1}}')],
        [("sortJson", "x")],
        [("sortJson", '{"field":"/ext/x","direction":"up"}')],
        [("isGateway", "maybe")],
    ],
)
async def test_a_search_that_makes_no_sense_is_refused(door: Door, asked):
    """400, never 500."""
    tenant = await door.tenant()
    assert 400 == (await door("GET", f"/v1/devices/{tenant}", params=asked)).status_code


async def test_tenants_are_searched(door_on_each: Door):
    """By member and alias; an empty search is 404, as upstream."""
    door = door_on_each
    await door.tenant("s-one", alias="alias-1", ext={"plan": "gold"})
    await door.tenant("s-two", ext={"plan": "iron"}, adapters=[{"type": "hono-http", "enabled": True}])
    search = "/v1/tenants"
    assert ["s-one"] == ids(await door("GET", search, params=[f("/ext/plan", "gold")]))
    assert ["s-one"] == ids(await door("GET", search, params=[f("/alias", "alias-*")]))
    assert ["s-two"] == ids(await door("GET", search, params=[f("/adapters/0/type", "hono-http")]))
    assert 404 == ids(await door("GET", search, params=[f("/ext/plan", "lead")]))


async def test_an_operator_decides_what_ids_look_like(door: Door):
    """By patterns; the door goes by them, and so does a device that comes by itself."""
    tenant = await door.tenant()
    place = f"/v1/devices/{tenant}/EUI-0102"
    door.options = replace(door.options, device_id=re.compile("[0-9]+"))
    door.rebuild()
    assert 400 == (await door("POST", place)).status_code
    asked = {"device-id": "EUI-0102"}
    assert 400 == (await door("POST", f"/v1/southbound/registration/{tenant}", json=asked)).status_code
    with pytest.raises(Malformed):
        await door.store.run(_announce, TenantId(tenant), door.options.device_id)


def _announce(tx: Tx, tenant: TenantId, device_ids: re.Pattern[str]) -> None:
    tx.add(gateway(tenant, tx.now))
    gateways.announce(tx, tenant, "EUI-0102", "gw", device_ids=device_ids)


def gateway(tenant: TenantId, now: Instant) -> Device:
    kept = {"hono": {"authorities": [contacts.AUTHORITY]}}
    return Device(id=DeviceId("gw"), tenant_id=tenant, extensions=kept, created_at=now)
