"""API keys (spec B.1)."""

import pytest

from tests.dialects.mainflux.house import PASSWORD, House, unknown

pytestmark = pytest.mark.anyio


async def test_a_key_works_like_its_user_until_it_is_deleted(house: House):
    """Raw and after Bearer; deleted it is good for nothing."""
    token = await house.user()
    body = {"type": 2, "duration": 3600}
    made = (await house.seen("createKey", 201, "POST", "/keys", token, json=body)).json()
    key, path = made["value"], f"/keys/{made['id']}"
    await house.seen("getKey", 200, "GET", path, token)
    assert 201 == (await house.call("POST", "/things", key, json={})).status_code
    assert 1 == (await house.call("GET", "/things", f"Bearer {key}")).json()["total"]
    await house.seen("deleteKey", 204, "DELETE", path, token)
    assert 401 == (await house.call("GET", "/things", key)).status_code


async def test_a_key_without_duration_does_not_expire(house: House):
    """And says so by saying nothing."""
    token = await house.user()
    made = (await house.call("POST", "/keys", token, json={"type": 2})).json()
    assert "expires_at" not in made


async def test_a_key_ends_with_its_time(house: House, clock):
    """To the second."""
    token = await house.user()
    key = (await house.call("POST", "/keys", token, json={"type": 2, "duration": 60})).json()["value"]
    assert 200 == (await house.call("GET", "/things", key)).status_code
    clock.micros += 60_000_000
    assert 401 == (await house.call("GET", "/things", key)).status_code


async def test_a_key_of_type_0_is_a_token(house: House, clock):
    """It names the caller, lives as long as asked for or as a login, and ends with the password."""
    token = await house.user()
    made = (await house.call("POST", "/keys", token, json={"type": 0})).json()
    short = (await house.call("POST", "/keys", token, json={"type": 0, "duration": 60})).json()
    assert ["value", "issued_at", "expires_at"] == list(made)
    profile = await house.call("GET", "/users/profile", made["value"])
    assert (200, house.email()) == (profile.status_code, profile.json()["email"])
    clock.micros += 60_000_000
    assert 403 == (await house.call("GET", "/users/profile", short["value"])).status_code
    assert 200 == (await house.call("GET", "/users/profile", made["value"])).status_code
    change = {"old_password": PASSWORD, "password": f"{PASSWORD}9"}
    assert 201 == (await house.call("PATCH", "/password", made["value"], json=change)).status_code
    assert 403 == (await house.call("GET", "/users/profile", made["value"])).status_code


@pytest.mark.parametrize("kind", [0, 2])
async def test_whoever_has_but_a_key_makes_no_more_of_them(house: House, kind: int):
    """Neither keys nor tokens: a key that was found must not outlive its end."""
    token = await house.user()
    key = (await house.call("POST", "/keys", token, json={"type": 2})).json()["value"]
    assert 403 == (await house.call("POST", "/keys", key, json={"type": kind})).status_code


@pytest.mark.parametrize("kind", [0, 2])
async def test_a_repeated_request_gives_the_same_key(house: House, kind: int):
    """With an Idempotency-Key, the value too; with another body it is refused."""
    token, headers = await house.user(), {"Idempotency-Key": house.own("key")}
    body = {"type": kind, "duration": 60}
    first = await house.call("POST", "/keys", token, json=body, headers=headers)
    again = await house.call("POST", "/keys", token, json=body, headers=headers)
    assert (201, first.content) == (again.status_code, again.content)
    other = await house.call("POST", "/keys", token, json={**body, "duration": 61}, headers=headers)
    assert 201 != other.status_code


@pytest.mark.parametrize("body", [{"type": 1}, {"type": 3}, {}, {"type": 2, "duration": -1}])
async def test_other_keys_are_not_made_here(house: House, body: dict):
    """Recovery tokens come by email: a token that was found must not be good for a new password."""
    token = await house.user()
    assert 400 == (await house.call("POST", "/keys", token, json=body)).status_code


async def test_keys_are_ones_own(house: House):
    """A foreign key looks like one that does not exist; nobody is 403."""
    john, jane = await house.user("john"), await house.user("jane")
    made = (await house.call("POST", "/keys", jane, json={"type": 2})).json()
    foreign = await house.call("GET", f"/keys/{made['id']}", john)
    missing = await house.call("GET", f"/keys/{unknown()}", john)
    assert (404, 404) == (foreign.status_code, missing.status_code)
    assert foreign.content == missing.content
    assert 404 == (await house.call("DELETE", f"/keys/{made['id']}", john)).status_code
    assert 403 == (await house.call("GET", f"/keys/{made['id']}", "nonsense")).status_code
