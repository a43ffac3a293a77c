"""Bootstrap configurations, and what a thing fetches (spec B.5, D.1)."""

import json
from binascii import hexlify
from typing import Any

import pytest

from muster.ca.secrets import cfb_open, cfb_seal
from tests.dialects.mainflux.house import SEALED_KEY, House, unknown

pytestmark = pytest.mark.anyio


async def configured(house: House, token: str, **more: Any) -> tuple[dict, list[dict], str]:
    """Make a thing, a data and a control channel, and a configuration of them; give also its path."""
    thing = await house.new("things", token, name="edge")
    channels = [
        await house.new("channels", token, name=f"{kind}-channel", metadata={"type": kind})
        for kind in ("data", "control")
    ]
    body = {
        "thing_id": thing["id"],
        "external_id": house.own("gw"),
        "external_key": "key",
        "channels": [channel["id"] for channel in channels],
        "name": "edge",
        **more,
    }
    made = await house.call("POST", "/things/configs", token, json=body)
    assert 201 == made.status_code, made.text
    return thing, channels, made.headers["location"]


async def test_a_configuration_is_made_shown_changed_and_deleted(house: House):
    """201 with Location, then 200 with both ends, 200 without bodies, 204 twice."""
    token = await house.user()
    channel = await house.new("channels", token, name="control", metadata={"type": "control"})
    thing = await house.new("things", token)
    body = {
        "thing_id": thing["id"],
        "external_id": house.own("33:52:77:99:43"),
        "external_key": "223334fw2",
        "channels": [channel["id"]],
        "name": "gateway",
        "content": '{"agent":{}}',
    }
    made = await house.seen("createConfig", 201, "POST", "/things/configs", token, json=body)
    path = made.headers["location"]
    await house.seen("getConfig", 200, "GET", path, token)
    await house.seen("listConfigs", 200, "GET", "/things/configs", token)
    await house.seen("updateConfig", 200, "PUT", path, token, json={"name": "new", "content": "{}"})
    shown = (await house.call("GET", path, token)).json()
    assert ("new", "{}", 0) == (shown["name"], shown["content"], shown["state"])
    await house.seen("deleteConfig", 204, "DELETE", path, token)
    assert 404 == (await house.call("GET", path, token)).status_code
    assert 204 == (await house.call("DELETE", path, token)).status_code
    assert 200 == (await house.call("GET", f"/things/{thing['id']}", token)).status_code


async def test_without_a_thing_one_is_made(house: House):
    """As upstream does."""
    token = await house.user()
    body = {"external_id": house.own("gw"), "external_key": "key"}
    made = await house.call("POST", "/things/configs", token, json=body)
    path = made.headers["location"].replace("/configs/", "/")
    assert (201, 200) == (made.status_code, (await house.call("GET", path, token)).status_code)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"external_id": ""}, 400),
        ({"external_key": None}, 400),
        ({"external_id": "x" * 1025}, 400),
        ({"thing_id": unknown(), "external_id": "free"}, 404),
        ({"channels": [unknown()], "external_id": "free"}, 404),
        ({}, 409),
        ({"thing_id": None}, 409),
    ],
)
async def test_a_wrong_configuration_changes_nothing(house: House, change: dict, status: int):
    """Missing external id or key, unknown thing or channel, an external id in use; the true status each."""
    token = await house.user()
    await configured(house, token)
    thing = await house.new("things", token)
    body = {"thing_id": thing["id"], "external_id": house.own("gw"), "external_key": "other"}
    before = (await house.call("GET", "/things", token)).json()["total"]
    answer = await house.call("POST", "/things/configs", token, json={**body, **change})
    assert status == answer.status_code
    assert before == (await house.call("GET", "/things", token)).json()["total"]
    assert 1 == (await house.call("GET", "/things/configs", token)).json()["total"]


async def test_configurations_are_filtered(house: House):
    """By state, external id, thing, key and part of the name."""
    token = await house.user()
    thing, _, _ = await configured(house, token)
    await house.call(
        "POST", "/things/configs", token, json={"external_id": house.own("b"), "external_key": "k"}
    )
    for query, total in (
        ({"state": 0}, 2),
        ({"state": 1}, 0),
        ({"external_id": house.own("gw")}, 1),
        ({"external_id": house.own("g")}, 0),
        ({"mainflux_id": thing["id"]}, 1),
        ({"mainflux_key": thing["key"]}, 1),
        ({"mainflux_key": "nobody's"}, 0),
        ({"name": "DG"}, 1),
    ):
        answer = await house.call("GET", "/things/configs", token, params=query)
        assert (query, total) == (query, answer.json()["total"])
    assert 400 == (await house.call("GET", "/things/configs?state=2", token)).status_code


async def test_state_connects_and_silences(house: House):
    """1 connects to all channels, 0 to none; other values are refused."""
    token = await house.user()
    thing, channels, path = await configured(house, token)
    state = f"/things/state/{thing['id']}"
    await house.seen("setState", 200, "PUT", state, token, json={"state": 1})
    connected = f"/things/{thing['id']}/channels"
    assert 2 == (await house.call("GET", connected, token)).json()["total"]
    assert 1 == (await house.call("GET", path, token)).json()["state"]
    assert 200 == (await house.call("PUT", state, token, json={"state": 1})).status_code
    change = {"channels": [channels[0]["id"]]}
    connections = f"/things/configs/connections/{thing['id']}"
    await house.seen("updateConfigConnections", 200, "PUT", connections, token, json=change)
    assert 1 == (await house.call("GET", connected, token)).json()["total"]
    assert 200 == (await house.call("PUT", state, token, json={"state": 0})).status_code
    assert 0 == (await house.call("GET", connected, token)).json()["total"]
    for wrong in ({"state": 2}, {"state": "1"}, {}):
        assert 400 == (await house.call("PUT", state, token, json=wrong)).status_code


async def fetch(house: House, authorization: str | None, name: str = "gw", **request: Any) -> Any:
    return await house.call("GET", f"/things/bootstrap/{house.own(name)}", authorization, **request)


@pytest.mark.parametrize("scheme", ["", "Thing ", "Client ", "thing "])
async def test_a_thing_fetches_with_its_external_key_alone(house: House, scheme: str):
    """Raw and after either word (spec I, row 11); control comes first, in both sets of names."""
    token = await house.user()
    thing, channels, _ = await configured(house, token)
    answer = await fetch(house, f"{scheme}key")
    assert 200 == answer.status_code
    got = answer.json()
    assert (thing["id"], thing["key"]) == (got["mainflux_id"], got["mainflux_key"])
    assert (thing["id"], thing["key"]) == (got["client_id"], got["client_secret"])
    assert [channels[1]["id"], channels[0]["id"]] == [channel["id"] for channel in got["mainflux_channels"]]
    assert got["mainflux_channels"] == got["channels"]


async def test_upstreams_sdk_gets_channels_by_their_old_name_alone(house: House):
    """It reads `channels` as ids and stops at anything else; upstream's agents are not taken for it."""
    token = await house.user()
    await configured(house, token)
    go = {"User-Agent": "Go-http-client/1.1"}
    agent = (await fetch(house, "key", headers=go)).json()
    sdk = (await fetch(house, "key", headers={**go, "Content-Type": "application/json"})).json()
    assert {**sdk, "channels": sdk["mainflux_channels"]} == agent


async def test_what_a_thing_fetches(house: House):
    """Certificates too, and content that any agent can parse."""
    token = await house.user()
    thing, _, _ = await configured(house, token)
    certs = {"client_cert": "-cert-", "client_key": "-key-", "ca_cert": "-ca-"}
    path = f"/things/configs/certs/{thing['id']}"
    await house.seen("updateConfigCertificates", 200, "PATCH", path, token, json=certs)
    answer = await house.seen("bootstrap", 200, "GET", f"/things/bootstrap/{house.own('gw')}", "key")
    got = answer.json()
    assert certs == {name: got[name] for name in certs}
    assert isinstance(got["content"], str)
    assert {} == json.loads(got["content"])


@pytest.mark.parametrize("name", ["33:52:77:99:43", "a/b", "a%2Fb", "ключ", "with space"])
async def test_an_external_id_may_be_what_is_printed_on_the_box(house: House, name: str):
    """Colons, slashes plain and encoded, other alphabets."""
    token, external_id = await house.user(), house.own(name.replace("%2F", "/"))
    body = {"external_id": external_id, "external_key": "key"}
    assert 201 == (await house.call("POST", "/things/configs", token, json=body)).status_code
    assert 200 == (await fetch(house, "key", name)).status_code


async def test_unknown_id_and_wrong_key_look_the_same(house: House):
    """404 with the same words; without a key it is 403 (spec B.5)."""
    token = await house.user()
    await configured(house, token)
    wrong, missing = await fetch(house, "wrong"), await fetch(house, "key", "nobody")
    assert (404, 404) == (wrong.status_code, missing.status_code)
    assert wrong.content == missing.content
    assert [403, 403, 403] == [
        (await fetch(house, header)).status_code for header in (None, "Thing", "Bearer key")
    ]


async def test_guessing_external_keys_is_slowed_down(house: House):
    """After ten wrong ones, for that id and address alone."""
    token = await house.user()
    await configured(house, token)
    other = {"external_id": house.own("other"), "external_key": "key"}
    await house.call("POST", "/things/configs", token, json=other)
    statuses = [(await fetch(house, f"wrong {n}".replace(" ", "-"))).status_code for n in range(11)]
    assert [404] * 10 + [429] == statuses
    assert 429 == (await fetch(house, "key")).status_code
    assert 200 == (await fetch(house, "key", "other")).status_code


async def test_a_sealed_fetch_is_opened_with_the_installations_key(house: House):
    """Key and reply as AES-CFB; upstream of this time calls the bytes JSON."""
    token = await house.user()
    thing, _, _ = await configured(house, token)
    path, secret = f"/things/bootstrap/secure/{house.own('gw')}", SEALED_KEY.encode()
    sealed = hexlify(cfb_seal(secret, b"key")).decode()
    answer = await house.call("GET", path, sealed)
    assert (200, "application/json") == (answer.status_code, answer.headers["content-type"])
    opened = json.loads(cfb_open(secret, hexlify(answer.content).decode()))
    assert thing["id"] == opened["mainflux_id"]
    wrong = hexlify(cfb_seal(secret, b"wrong")).decode()
    for key in (wrong, "key", "00"):
        assert 404 == (await house.call("GET", path, key)).status_code
    assert 403 == (await house.call("GET", path)).status_code


async def test_nobody_is_refused_as_this_service_does(house: House):
    """403 without a good token (spec B.0)."""
    for path in ("/things/configs", f"/things/configs/{unknown()}"):
        assert 403 == (await house.call("GET", path, "nonsense")).status_code
        assert 403 == (await house.call("GET", path)).status_code
