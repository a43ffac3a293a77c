"""Channels and connections (spec B.3)."""

from typing import Any

import pytest

from tests.dialects.mainflux.house import House, unknown

pytestmark = pytest.mark.anyio


async def test_a_channel_is_created_shown_updated_and_deleted(house: House):
    """201 with Location, 200, 200 without a body, 204 twice."""
    token = await house.user()
    body = {"name": "mychan", "metadata": {"a": 1}}
    made = await house.seen("createChannel", 201, "POST", "/channels", token, json=body)
    path = made.headers["location"]
    await house.seen("getChannel", 200, "GET", path, token)
    await house.seen("updateChannel", 200, "PUT", path, token, json={"name": "renamed"})
    assert {"id": path.rpartition("/")[2], "name": "renamed"} == (await house.call("GET", path, token)).json()
    await house.seen("deleteChannel", 204, "DELETE", path, token)
    assert 404 == (await house.call("GET", path, token)).status_code
    assert 204 == (await house.call("DELETE", path, token)).status_code


async def test_bulk_creation_is_all_or_nothing(house: House):
    """201 with all of them; one bad one leaves none."""
    token = await house.user()
    body = [{"name": "joe"}, {"name": "betty"}]
    await house.seen("createChannels", 201, "POST", "/channels/bulk", token, json=body)
    bad = [{"name": "good"}, {"name": "x" * 1025}]
    assert 400 == (await house.call("POST", "/channels/bulk", token, json=bad)).status_code
    assert 400 == (await house.call("POST", "/channels/bulk", token, json=[])).status_code
    page = (await house.seen("listChannels", 200, "GET", "/channels?order=name", token)).json()
    assert ["betty", "joe"] == [channel["name"] for channel in page["channels"]]


async def names(house: House, path: str, token: str) -> list[str]:
    answer = await house.call("GET", path, token)
    assert 200 == answer.status_code, answer.text
    plural = "channels" if path.partition("?")[0].endswith("/channels") else "things"
    return sorted(each["name"] for each in answer.json()[plural])


async def stock(house: House, token: str) -> tuple[list[str], list[str]]:
    """Make two things, t0 and t1, and two channels, c0 and c1."""
    things = [(await house.new("things", token, name=f"t{n}"))["id"] for n in (0, 1)]
    channels = [(await house.new("channels", token, name=f"c{n}"))["id"] for n in (0, 1)]
    return things, channels


async def test_things_are_connected_one_by_one(house: House):
    """PUT and DELETE on the pair; the lists on both sides follow, in both spellings of the question."""
    token = await house.user()
    (t0, _), (c0, _) = await stock(house, token)
    pair = f"/channels/{c0}/things/{t0}"
    await house.seen("connectThing", 200, "PUT", pair, token)
    listed = f"/channels/{c0}/things"
    await house.seen("listThingsOfChannel", 200, "GET", f"{listed}?order=name&dir=asc", token)
    await house.seen("listChannelsOfThing", 200, "GET", f"/things/{t0}/channels", token)
    for query, expected in {
        "": ["t0"],
        "?connected=true": ["t0"],
        "?connected=false": ["t1"],
        "?disconnected=true": ["t1"],
        "?disconnected=false": ["t0"],
    }.items():
        assert expected == await names(house, listed + query, token), query
    assert ["c0"] == await names(house, f"/things/{t0}/channels", token)
    assert ["c1"] == await names(house, f"/things/{t0}/channels?connected=false", token)
    assert ["c1"] == await names(house, f"/things/{t0}/channels?disconnected=true", token)
    await house.seen("disconnectThing", 204, "DELETE", pair, token)
    assert [] == await names(house, listed, token)
    assert 204 == (await house.call("DELETE", pair, token)).status_code


async def test_things_are_connected_all_at_once(house: House):
    """POST /connect and PUT /disconnect take the whole product, or nothing."""
    token = await house.user()
    things, channels = await stock(house, token)
    body = {"channel_ids": channels, "thing_ids": things}
    answer = await house.seen("connect", 200, "POST", "/connect", token, json=body)
    assert b"" == answer.content
    for thing in things:
        assert ["c0", "c1"] == await names(house, f"/things/{thing}/channels", token)
    await house.seen("disconnect", 200, "PUT", "/disconnect", token, json=body)
    for channel in channels:
        assert [] == await names(house, f"/channels/{channel}/things", token)


async def test_one_pair_that_exists_stops_all(house: House):
    """409 and nothing is connected (spec B.3)."""
    token = await house.user()
    things, channels = await stock(house, token)
    pair = f"/channels/{channels[0]}/things/{things[0]}"
    await house.call("PUT", pair, token)
    body = {"channel_ids": channels, "thing_ids": things}
    assert 409 == (await house.call("POST", "/connect", token, json=body)).status_code
    assert 409 == (await house.call("PUT", pair, token)).status_code
    assert [] == await names(house, f"/things/{things[1]}/channels", token)


async def test_one_that_is_not_there_stops_all(house: House):
    """404 for unknown and foreign ones alike, and nothing is connected."""
    token, jane = await house.user("john"), await house.user("jane")
    things, channels = await stock(house, token)
    foreign = await house.new("things", jane)
    theirs = await house.new("channels", jane)
    answers: set[tuple[int, bytes]] = set()
    for wrong in (unknown(), foreign["id"]):
        body = {"channel_ids": channels, "thing_ids": [*things, wrong]}
        answer = await house.call("POST", "/connect", token, json=body)
        answers.add((answer.status_code, answer.content))
    for wrong in (unknown(), theirs["id"]):
        body = {"channel_ids": [*channels, wrong], "thing_ids": things}
        answer = await house.call("POST", "/connect", token, json=body)
        answers.add((answer.status_code, answer.content))
        pair = await house.call("PUT", f"/channels/{wrong}/things/{things[0]}", token)
        answers.add((pair.status_code, pair.content))
    assert {(404, b'{"error":"non-existent entity"}\n')} == answers
    assert [] == await names(house, f"/things/{things[0]}/channels", token)


@pytest.mark.parametrize(
    "body",
    [{}, {"channel_ids": []}, {"channel_ids": ["x"]}, {"thing_ids": ["x"]}, {"channel_ids": "x"}, []],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/connect"), ("PUT", "/disconnect")])
async def test_empty_lists_are_refused(house: House, method: str, path: str, body: Any):
    """400."""
    token = await house.user()
    assert 400 == (await house.call(method, path, token, json=body)).status_code


async def test_a_product_without_end_is_refused(house: House):
    """Two long lists multiply; the limit of one request holds for the product."""
    token = await house.user()
    ids = [str(number) for number in range(400)]
    answer = await house.call("POST", "/connect", token, json={"channel_ids": ids, "thing_ids": ids})
    assert 400 == answer.status_code


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "connected=maybe", "disconnected=2", "order=key"])
@pytest.mark.parametrize("path", ["/channels/{c}/things", "/things/{t}/channels"])
async def test_lists_of_connections_are_stricter(house: House, path: str, query: str):
    """A limit of 0 is refused here (spec B.0)."""
    token = await house.user()
    thing, channel = await house.connected(token)
    path = path.format(c=channel["id"], t=thing["id"])
    assert 400 == (await house.call("GET", f"{path}?{query}", token)).status_code
    assert 200 == (await house.call("GET", f"{path}?limit=100", token)).status_code


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/channels/{id}", None),
        ("PUT", "/channels/{id}", {"name": "x"}),
        ("GET", "/channels/{id}/things", None),
        ("PUT", "/channels/{id}/things/x", None),
        ("DELETE", "/channels/{id}/things/x", None),
    ],
)
async def test_a_foreign_channel_looks_like_one_that_does_not_exist(
    house: House, method: str, path: str, body: dict | None
):
    """404 with the same words."""
    john, jane = await house.user("john"), await house.user("jane")
    hers = (await house.new("channels", jane))["id"]
    foreign = await house.call(method, path.format(id=hers), john, json=body)
    missing = await house.call(method, path.format(id=unknown()), john, json=body)
    assert (404, 404) == (foreign.status_code, missing.status_code)
    assert foreign.content == missing.content
    assert 204 == (await house.call("DELETE", f"/channels/{hers}", john)).status_code
    assert 200 == (await house.call("GET", f"/channels/{hers}", jane)).status_code
