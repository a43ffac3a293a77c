"""Messages of 2021: what a thing says over HTTP is read back as upstream's reader gave it."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.journeys.server import Server
from tests.ports import free_port

PACK = [{"bn": "dev:", "bt": 1_600_000_000, "n": "t", "u": "Cel", "v": 21.5}, {"n": "on", "t": 1, "vb": True}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mqtt = f"127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("reader")
    with Server(folder, MUSTER_MQTT=mqtt, MUSTER_MESSAGES_MAX_AGE="1h") as running:
        yield running


class Owner:
    """A user with a thing that is connected to a channel."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        self.http = http
        body = {"email": f"{name}@example.com", "password": "12345678"}
        assert 201 == http.post("/users", json=body).status_code
        self.token = http.post("/tokens", json=body).json()["token"]
        made = {noun: self.made(noun) for noun in ("things", "channels")}
        self.key, self.thing, self.channel = (
            made["things"]["key"],
            made["things"]["id"],
            made["channels"]["id"],
        )
        ends = {"channel_ids": [self.channel], "thing_ids": [self.thing]}
        assert 200 == http.post("/connect", json=ends, headers=self.by_token).status_code

    @property
    def by_token(self) -> dict[str, str]:
        return {"Authorization": self.token}

    def made(self, noun: str) -> dict[str, Any]:
        answer = self.http.post(f"/{noun}/bulk", json=[{"name": "x"}], headers=self.by_token)
        made: dict[str, Any] = answer.json()[noun][0]
        return made

    def say(self, payload: Any, rest: str = "") -> None:
        path = f"/http/channels/{self.channel}/messages{rest}"
        sent = self.http.post(path, content=json.dumps(payload), headers={"Authorization": self.key})
        assert 202 == sent.status_code, sent.text

    def read(self, key: str | None = None, **query: Any) -> httpx.Response:
        headers = {"Authorization": self.key if key is None else key}
        return self.http.get(f"/channels/{self.channel}/messages", params=query, headers=headers)

    def found(self, **query: Any) -> list[dict[str, Any]]:
        answer = self.read(**query)
        assert 200 == answer.status_code, answer.text
        messages: list[dict[str, Any]] = answer.json()["messages"]
        return messages


@pytest.fixture(scope="module")
def owner(server: Server) -> Iterator[Owner]:
    with server.client() as http:
        mine = Owner(http, "john")
        mine.say(PACK)
        mine.say([{"n": "t", "v": 19.0}], "/room/1")
        mine.say({"deep": {"er": 1}}, "/room/json")
        mine.say("no pack", "/room/1")
        eventually(lambda: len(mine.found()) == 3 and len(mine.found(format="json")) == 1)
        yield mine


def eventually(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_records_come_newest_first_in_upstreams_words(owner: Owner) -> None:
    """One for each record of a pack; what is no SenML is not there, as with upstream's writers."""
    page = owner.read().json()
    assert ["offset", "limit", "total", "messages"] == list(page)
    assert (0, 10, 3) == (page["offset"], page["limit"], page["total"])
    newest, later, earlier = page["messages"]
    about = {"channel": owner.channel, "publisher": owner.thing, "protocol": "http"}
    assert abs(time.time() - newest.pop("time")) < 60
    assert {**about, "subtopic": "room.1", "name": "t", "value": 19.0} == newest
    assert {**about, "name": "dev:on", "time": 1_600_000_001.0, "bool_value": True} == later
    assert {**about, "name": "dev:t", "unit": "Cel", "time": 1_600_000_000.0, "value": 21.5} == earlier


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"subtopic": "room.1"}, ["t"]),
        ({"subtopic": "room"}, []),
        ({"name": "dev:t"}, ["dev:t"]),
        ({"protocol": "mqtt"}, []),
        ({"publisher": "nobody"}, []),
        ({"v": "21.5"}, ["dev:t"]),
        ({"v": "20", "comparator": "lt"}, ["t"]),
        ({"v": "19", "comparator": "ge"}, ["t", "dev:t"]),
        ({"vb": "true"}, ["dev:on"]),
        ({"vs": "x"}, []),
        ({"to": "1600000001"}, ["dev:t"]),
        ({"from": "1600000001", "to": "1600000002"}, ["dev:on"]),
        ({"offset": "1", "limit": "1"}, ["dev:on"]),
        ({"limit": "0"}, ["t", "dev:on", "dev:t"]),
        ({"format": "messages"}, ["t", "dev:on", "dev:t"]),
        ({"format": "other"}, []),
    ],
)
def test_filters_take_what_they_name(owner: Owner, query: dict[str, str], expected: list[str]) -> None:
    """Each of upstream's query parameters."""
    assert expected == [each["name"] for each in owner.found(**query)]


def test_json_is_read_by_its_format(owner: Owner) -> None:
    """The last level of the sub-topic, as upstream's writers took it."""
    (message,) = owner.found(format="json")
    assert abs(time.time_ns() - message.pop("created")) < 60e9
    assert {
        "channel": owner.channel,
        "subtopic": "room.json",
        "publisher": owner.thing,
        "protocol": "http",
        "payload": {"deep": {"er": 1}},
    } == message


@pytest.mark.parametrize(
    "query", [{"limit": "1001"}, {"limit": "x"}, {"offset": "-1"}, {"v": "x"}, {"v": "nan"}, {"vb": "maybe"},
              {"comparator": "like"}, {"from": "yesterday"}],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(owner: Owner, query: dict[str, str]) -> None:
    """400 in this dialect's shape."""
    answer = owner.read(**query)
    assert (400, ["error"]) == (answer.status_code, list(answer.json()))


def test_only_who_is_connected_or_owns_the_channel_reads(owner: Owner) -> None:
    """The thing by its key; after `Bearer` the user; nobody else."""
    other, spare = Owner(owner.http, "mary"), owner.made("things")
    for key, status in (
        (owner.key, 200),
        (f"Thing {owner.key}", 200),
        (f"Bearer {owner.token}", 200),
        (spare["key"], 403),
        (other.key, 401),
        (f"Bearer {other.token}", 404),
        ("wrong", 401),
    ):
        answer = owner.read(key)
        assert (key, status) == (key, answer.status_code), answer.text
        assert status == 200 or ["error"] == list(answer.json())
    for key in (other.key, f"Bearer {other.token}", "wrong"):
        headers = {"Authorization": key}
        for method in ("GET", "POST"):
            paths = [f"/channels/{each}/messages" for each in (owner.channel, uuid.uuid4())]
            theirs, unknown = (owner.http.request(method, path, headers=headers) for path in paths)
            assert (theirs.status_code, theirs.text) == (unknown.status_code, unknown.text)


OURS, THEIRS = ["error"], ["error", "message"]


@pytest.mark.parametrize(
    ("authorization", "shape"),
    [
        ("wrong", OURS),
        ("Thing wrong", OURS),
        ("Client wrong", THEIRS),
        ("Bearer wrong", THEIRS),
        (None, THEIRS),
    ],
)
def test_a_refused_message_is_told_in_the_dialect_that_was_spoken(
    owner: Owner, authorization: str | None, shape: list[str]
) -> None:
    """The path of messages is one for all; the error has the shape its sender knows."""
    headers = {"Authorization": authorization} if authorization else {}
    for path in (f"/channels/{owner.channel}/messages", f"/http/channels/{owner.channel}/messages/a"):
        answer = owner.http.post(path, content="1", headers=headers)
        assert (401, shape) == (answer.status_code, list(answer.json()))
