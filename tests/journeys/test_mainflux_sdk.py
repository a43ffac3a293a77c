"""Mainflux's own Python SDK (0.0.1), unmodified, on upstream's ports."""

from collections.abc import Iterator

import pytest
from lib.sdk import SDK

from tests.journeys.upstream import upstream_server

USER = {"email": "john.doe@email.com", "password": "12345678"}


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SDK]:
    """Give the SDK of a running server, each service on its own port."""
    with upstream_server(tmp_path_factory.mktemp("sdk")) as server:
        host = server.url.rpartition(":")[0]
        yield SDK(
            users_url=f"{host}:8180",
            things_url=f"{host}:8182",
            messages_url=f"{host}:8185",
            groups_url=f"{host}:8189",
        )


@pytest.fixture(scope="module")
def token(sdk: SDK) -> str:
    """Give the token of a new user."""
    made = sdk.users.create(USER)
    assert (0, "") == (made.error.status, made.error.message)
    answer = sdk.users.login(USER)
    assert 0 == answer.error.status
    return answer.value


def value(answer):
    assert 0 == answer.error.status, answer.error.message
    return answer.value


def test_it_drives_users(sdk: SDK, token: str) -> None:
    """Created, logged in, shown, listed, updated; what is wrong is said in the SDK's words."""
    listed = value(sdk.users.get_all(token))
    assert [USER["email"]] == [user["email"] for user in listed["users"]]
    mine = listed["users"][0]["id"]
    value(sdk.users.update({"metadata": {"foo": "bar"}}, token))
    assert {"foo": "bar"} == value(sdk.users.get(mine, token))["metadata"]
    assert "Failed due to using an existing email address." == sdk.users.create(USER).error.message
    wrong = sdk.users.login({**USER, "password": "wrong password"})
    assert "Missing or invalid access token provided." == wrong.error.message


def test_it_changes_a_password(sdk: SDK) -> None:
    """And must log in with the new one."""
    other = {"email": "jane.doe@email.com", "password": "12345678"}
    value(sdk.users.create(other))
    value(sdk.users.update_password("12345678", "87654321", value(sdk.users.login(other))))
    assert 1 == sdk.users.login(other).error.status
    assert value(sdk.users.login({**other, "password": "87654321"}))


def test_it_drives_things(sdk: SDK, token: str) -> None:
    """Created one by one and in bulk, shown, listed in order, updated, deleted."""
    made = value(sdk.things.create({"name": "weio"}, token))
    assert "weio" == value(sdk.things.get(made, token))["name"]
    bulk = value(sdk.things.create_bulk([{"name": "bob"}, {"name": "alice"}], token))
    assert ["bob", "alice"] == [thing["name"] for thing in bulk["things"]]
    query = {"order": "name", "direction": "desc", "offset": 0, "limit": 2}
    listed = value(sdk.things.get_all(token, query))
    assert (3, ["weio", "bob"]) == (listed["total"], [thing["name"] for thing in listed["things"]])
    value(sdk.things.update(made, token, {"name": "renamed"}))
    assert "renamed" == value(sdk.things.get(made, token))["name"]
    for thing in [made, *(each["id"] for each in bulk["things"])]:
        value(sdk.things.delete(thing, token))
    assert 0 == value(sdk.things.get_all(token))["total"]
    assert "Thing does not exist." == sdk.things.get(made, token).error.message


def test_it_drives_channels_and_connections(sdk: SDK, token: str) -> None:
    """The SDK takes upstream's 200 for /connect for a failure: it is connected all the same."""
    channel = value(sdk.channels.create({"name": "mychan"}, token))
    others = value(sdk.channels.create_bulk([{"name": "joe"}, {"name": "betty"}], token))["channels"]
    thing = value(sdk.things.create({"name": "weio"}, token))
    assert "mychan" == value(sdk.channels.get(channel, token))["name"]
    value(sdk.channels.update(channel, token, {"name": "renamed"}))
    assert 3 == value(sdk.channels.get_all(token, {"limit": 1}))["total"]

    assert 1 == sdk.things.connect([channel], [thing], token).error.status
    connected = value(sdk.channels.get_by_thing(thing, {}, token))
    assert ["renamed"] == [each["name"] for each in connected["channels"]]
    on_it = value(sdk.things.get_by_channel(channel, {"offset": 0, "limit": 10}, token))
    assert [thing] == [each["id"] for each in on_it["things"]]
    value(sdk.things.disconnect(channel, thing, token))
    assert 0 == value(sdk.channels.get_by_thing(thing, {}, token))["total"]

    for each in (channel, others[0]["id"], others[1]["id"]):
        value(sdk.channels.delete(each, token))
    assert 0 == value(sdk.channels.get_all(token))["total"]


def test_it_drives_groups(sdk: SDK, token: str) -> None:
    """Created, shown, updated, filled, emptied, deleted."""
    group = value(sdk.groups.create({"name": "plant"}, token))
    assert "plant" == value(sdk.groups.get(group, token))["name"]
    value(sdk.groups.update(group, token, {"name": "works"}))
    assert "works" == value(sdk.groups.get_all(group, token))["name"]
    members = {"members": [value(sdk.things.create({}, token))], "type": "things"}
    value(sdk.groups.assign(group, token, members))
    value(sdk.groups.unassign(group, token, members))
    value(sdk.groups.delete(group, token))
    assert "Group does not exist." == sdk.groups.get(group, token).error.message


def test_it_asks_for_the_version(sdk: SDK) -> None:
    """Of the things service."""
    assert "things" == sdk.version()["service"]
