"""Identify and access (spec B.4)."""

import pytest

from tests.dialects.mainflux.house import House, unknown

pytestmark = pytest.mark.anyio


async def test_a_key_names_its_thing(house: House):
    """Without any token of a user."""
    token = await house.user()
    thing = await house.new("things", token)
    await house.seen("identify", 200, "POST", "/identify", json={"token": thing["key"]})


async def test_access_needs_a_connection(house: House):
    """200 connected, 403 not connected, 404 for a key nobody has; errors have no body."""
    token = await house.user()
    thing, channel = await house.connected(token)
    other = await house.new("channels", token)
    by_key, by_id = {"token": thing["key"]}, {"thing_id": thing["id"]}
    here, there = f"/identify/channels/{channel['id']}", f"/identify/channels/{other['id']}"
    await house.seen("accessByKey", 200, "POST", f"{here}/access-by-key", json=by_key)
    await house.seen("accessById", 200, "POST", f"{here}/access-by-id", json=by_id)
    refused = {
        (f"{there}/access-by-key", "token", thing["key"]): 403,
        (f"/identify/channels/{unknown()}/access-by-key", "token", thing["key"]): 403,
        (f"{here}/access-by-key", "token", "nobody's key"): 404,
        (f"{there}/access-by-id", "thing_id", thing["id"]): 403,
        (f"{here}/access-by-id", "thing_id", unknown()): 403,
        (f"/identify/channels/{unknown()}/access-by-id", "thing_id", thing["id"]): 403,
    }
    for (path, name, value), status in refused.items():
        answer = await house.call("POST", path, json={name: value})
        assert (status, b"") == (answer.status_code, answer.content), path


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"json": {"token": "nobody's key"}}, 404),
        ({"json": {"token": ""}}, 401),
        ({"json": {}}, 401),
        ({"json": []}, 400),
        ({"content": "{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": '{"token":"x"}'}, 415),
    ],
)
async def test_errors_of_identify_say_no_word(house: House, request_: dict, status: int):
    """Empty bodies with the status alone."""
    answer = await house.call("POST", "/identify", **request_)
    assert (status, b"") == (answer.status_code, answer.content)


async def test_a_key_of_two_users_names_nobody(house: House):
    """Keys are unique for one user; what is not clear is not answered."""
    john, jane = await house.user("john"), await house.user("jane")
    key = house.own("the same key")
    await house.new("things", john, key=key)
    assert 200 == (await house.call("POST", "/identify", json={"token": key})).status_code
    await house.new("things", jane, key=key)
    assert 404 == (await house.call("POST", "/identify", json={"token": key})).status_code


async def test_guessing_keys_is_slowed_down(house: House):
    """After ten wrong ones from an address 429, without a body."""
    token = await house.user()
    thing = await house.new("things", token)
    wrong = [(await house.call("POST", "/identify", json={"token": f"{n}"})).status_code for n in range(11)]
    assert [404] * 10 + [429] == wrong
    answer = await house.call("POST", "/identify", json={"token": thing["key"]})
    assert (429, b"") == (answer.status_code, answer.content)
    assert int(answer.headers["retry-after"]) >= 1
