"""64 devices and what each may do, over MQTT and HTTP, through a real server: every cell asserted."""

import contextlib
import queue
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.server import Server, new_domain, new_user
from tests.journeys.test_messages import Session, eventually, with_broker

EACH = 8
IN, OUT = 0, 128
REFUSED = 135


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What a kind of device is: *types* it is connected with, and what must come of everything it tries."""

    types: tuple[str, ...] = ()
    connect: int = IN
    subscribe: int = OUT
    is_heard: bool = False
    http: int


MATRIX = {
    "publish only": Cell(types=("publish",), is_heard=True, http=202),
    "subscribe only": Cell(types=("subscribe",), subscribe=IN, http=403),
    "both": Cell(types=("publish", "subscribe"), subscribe=IN, is_heard=True, http=202),
    "none": Cell(http=403),
    "disabled device": Cell(types=("publish", "subscribe"), connect=REFUSED, http=403),
    "disabled channel": Cell(types=("publish", "subscribe"), http=403),
    "disabled tenant": Cell(types=("publish", "subscribe"), connect=REFUSED, http=403),
    "foreign": Cell(types=("publish", "subscribe"), http=401),
}


@dataclass(frozen=True, slots=True)
class Device:
    """What a session needs to know."""

    id: str
    secret: str


class Plant:
    """A domain with a channel and devices."""

    def __init__(self, server: Server, token: str, name: str) -> None:
        self.server, self.token = server, token
        self.rotated: set[str] = set()
        self.domain = new_domain(server, token, name)
        self.channel = self.ask("POST", "/channels", json={"name": name})["id"]

    def ask(self, method: str, path: str, **kwargs: Any) -> Any:
        with self.server.client(self.token) as http:
            answer = http.request(method, f"/{self.domain}{path}", **kwargs)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def devices(self, count: int, types: tuple[str, ...], channel: str | None = None) -> list[Device]:
        body = [{"name": f"d{n}"} for n in range(count)]
        made = self.ask("POST", "/clients/bulk", json=body)["clients"]
        found = [Device(one["id"], one["credentials"]["secret"]) for one in made]
        if types:
            ends = {"client_ids": [one.id for one in found], "types": list(types)}
            self.ask("POST", f"/channels/{channel or self.channel}/connect", json=ends)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("rights")
    with Server(folder, MUSTER_THROTTLE_ATTEMPTS="1000", **with_broker()) as running:
        yield running


class World:
    """The devices of the matrix, where each tries its luck, and one witness of what gets through."""

    def __init__(self, server: Server) -> None:
        self.server = server
        token = new_user(server, "jane")
        self.plant, self.closed = (Plant(server, token, name) for name in ("plant", "closed"))
        foreign = Plant(server, new_user(server, "joe"), "foreign")
        self.disabled = self.plant.ask("POST", "/channels", json={"name": "disabled"})["id"]
        self.devices = {kind: self._made(kind, cell, foreign) for kind, cell in MATRIX.items()}
        [self.witness] = self.plant.devices(1, ("publish", "subscribe"))
        for device in self.devices["disabled device"]:
            self.plant.ask("POST", f"/clients/{device.id}/disable")
        self.plant.ask("POST", f"/channels/{self.disabled}/disable")
        with server.client(token) as http:
            assert 200 == http.post(f"/domains/{self.closed.domain}/disable").status_code
        self.token = token
        self._http = server.client()

    def _made(self, kind: str, cell: Cell, foreign: Plant) -> list[Device]:
        if kind == "foreign":
            return foreign.devices(EACH, cell.types)
        plant = self.closed if kind == "disabled tenant" else self.plant
        return plant.devices(EACH, cell.types, self.disabled if kind == "disabled channel" else None)

    def close(self) -> None:
        self._http.close()

    def target(self, kind: str) -> tuple[str, str]:
        """Give the domain and channel that a kind tries."""
        if kind == "disabled tenant":
            return self.closed.domain, self.closed.channel
        return self.plant.domain, self.disabled if kind == "disabled channel" else self.plant.channel

    def session(self, device: Device) -> Session:
        return Session(int(self.server.environment["MUSTER_MQTT"].partition(":")[2]), device)

    def publish(self, device: Device, path: str) -> int:
        secret = {"Authorization": f"Client {device.secret}"}
        return self._http.post(path, content=device.id, headers=secret).status_code


def heard(session: Session, last: str) -> list[tuple[str, str]]:
    """Give (how, device) of all that arrived, until the message *last*, which was sent after all others."""
    found = []
    while True:
        topic, payload = session.next()
        if payload.decode() == last:
            return sorted(found)
        found.append((topic.rsplit("/", 1)[1], payload.decode()))


def test_every_device_may_do_exactly_what_it_was_given(server: Server) -> None:
    """Connect, subscribe and receive in both address forms, publish over MQTT and over HTTP."""
    world = World(server)
    witness = world.session(world.witness)
    _, channel = world.target("both")
    assert IN == witness.subscribe(f"channels/{channel}/messages/up/#")
    sessions: dict[str, Session] = {}
    expected = []
    for kind, cell in MATRIX.items():
        domain, channel = world.target(kind)
        for device in world.devices[kind]:
            session = world.session(device)
            assert (kind, cell.connect) == (kind, session.code)
            for path, how in (
                (f"/channels/{channel}/messages/up/http", "http"),
                (f"/m/{domain}/c/{channel}/up/http2", "http2"),
            ):
                assert (kind, cell.http) == (kind, world.publish(device, path))
                expected += [(how, device.id)] if cell.http == 202 else []
            if session.code != IN:
                continue
            for topic in (f"channels/{channel}/messages/down", f"m/{domain}/c/{channel}/down"):
                assert (kind, cell.subscribe) == (kind, session.subscribe(topic))
            session.publish(f"channels/{channel}/messages/up/mqtt", device.id)
            session.publish(f"m/{domain}/c/{channel}/up/mqtt2", device.id)
            expected += [("mqtt", device.id), ("mqtt2", device.id)] if cell.is_heard else []
            sessions[device.id] = session

    _, channel = world.target("both")
    arrived = []

    # What was sent in the other form arrives as a copy, a moment later than what was sent in this one.
    def everything() -> bool:
        witness.publish(f"channels/{channel}/messages/up/end", "end")
        arrived.extend(heard(witness, "end"))
        return len(arrived) >= len(expected)

    eventually(everything)
    assert sorted(expected) == sorted(arrived)
    witness.publish(f"channels/{channel}/messages/down", "to all")
    for kind, cell in MATRIX.items():
        for device in world.devices[kind]:
            if device.id in sessions:
                wanted = [f"channels/{channel}/messages/down", f"m/{world.plant.domain}/c/{channel}/down"]
                assert (kind, wanted if cell.subscribe == IN else []) == (
                    kind,
                    received(sessions[device.id], cell),
                )
    for session in (*sessions.values(), witness):
        session.close()
    world.close()
    assert [] == kept_where_nothing_may_be(world)
    dropped = [kind for kind, cell in MATRIX.items() if cell.connect == IN and not cell.is_heard]
    with server.client() as http:
        assert f"muster_dropped_publishes_total {2 * EACH * len(dropped)}.0" in http.get("/metrics").text


def received(session: Session, cell: Cell) -> list[str]:
    """Give the topics under which the message came: who subscribed both names gets it under each, once."""
    found: list[str] = []
    with contextlib.suppress(queue.Empty):
        while len(found) < 3:
            patience = 5 if cell.subscribe == IN and len(found) < 2 else 0.01
            found.append(session.received.get(timeout=patience)[0])
    return sorted(found)


def kept_where_nothing_may_be(world: World) -> list[Any]:
    """Enable again what was disabled, and give what was ever sent there."""
    world.plant.ask("POST", f"/channels/{world.disabled}/enable")
    with world.server.client(world.token) as http:
        assert 200 == http.post(f"/domains/{world.closed.domain}/enable").status_code
    found = world.plant.ask("GET", f"/channels/{world.disabled}/messages")["messages"]
    return [*found, *world.closed.ask("GET", f"/channels/{world.closed.channel}/messages")["messages"]]


CHANGES = {
    "disconnect": ("channels/{channel}/disconnect", "channels/{channel}/connect", 403),
    "disable the device": ("clients/{device}/disable", "clients/{device}/enable", 403),
    "disable the channel": ("channels/{channel}/disable", "channels/{channel}/enable", 403),
    "rotate": ("clients/{device}/secret", "clients/{device}/secret", 401),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_message_behind_a_change_is_refused_already(server: Server, change: str) -> None:
    """What is remembered of who may publish does not outlive the answer to the change; nor does a refusal."""
    taken, given, status = CHANGES[change]
    plant = Plant(server, new_user(server, change.replace(" ", "-")), change.replace(" ", "-"))
    [device] = plant.devices(1, ("publish",))
    path = f"/channels/{plant.channel}/messages"
    names = {"channel": plant.channel, "device": device.id}
    with server.client() as http:
        for _ in range(5):
            for _ in range(3):
                assert 202 == publish(http, path, device)
            assert status == after(plant, device, taken.format(**names), lambda: publish(http, path, device))
            assert 202 == after(plant, device, given.format(**names), lambda: publish(http, path, device))


def after(plant: Plant, device: Device, path: str, act: Callable[[], int], types: str = "publish") -> int:
    """Change something, then act at once; a secret is changed to a new one, and back to the device's."""
    if path.endswith("/secret"):
        secret = "another" if device.secret not in plant.rotated else device.secret
        plant.rotated ^= {device.secret}
        plant.ask("PATCH", f"/{path}", json={"secret": secret})
    elif path.endswith("connect"):
        plant.ask("POST", f"/{path}", json={"client_ids": [device.id], "types": [types]})
    else:
        plant.ask("POST", f"/{path}")
    return act()


def publish(http: httpx.Client, path: str, device: Device) -> int:
    return http.post(path, content=b"x", headers={"Authorization": f"Client {device.secret}"}).status_code


@pytest.mark.parametrize("change", ["connect", "enable"])
def test_who_connects_right_behind_a_change_stays_connected(server: Server, change: str) -> None:
    """The word of the change, which comes a little later, does not cut a session that knows of it."""
    name = f"prompt-{change}"
    plant = Plant(server, new_user(server, name), name)
    port = int(server.environment["MUSTER_MQTT"].partition(":")[2])
    for _ in range(10):
        [device] = plant.devices(1, ("publish", "subscribe"))
        if change == "enable":
            plant.ask("POST", f"/clients/{device.id}/disable")
            plant.ask("POST", f"/clients/{device.id}/enable")
        session = Session(port, device)
        assert IN == session.code
        assert IN == session.subscribe(f"channels/{plant.channel}/messages")
        assert not session.ended.wait(0.2)
        session.close()


def test_what_one_worker_changes_another_refuses(tmp_path: Path, database_url: Callable[..., str]) -> None:
    """Many kept connections, some to each worker; all have let the device publish just before."""
    environment = {**with_broker(), "MUSTER_DATABASE_URL": database_url("postgresql")}
    with Server(tmp_path, "serve", "--workers", "2", **environment) as server:
        plant = Plant(server, new_user(server, "jane"), "plant")
        [device] = plant.devices(1, ("publish",))
        path = f"/channels/{plant.channel}/messages"
        with contextlib.ExitStack() as opened:
            doors = [opened.enter_context(server.client()) for _ in range(12)]
            eventually(lambda: {202} == {publish(http, path, device) for http in doors})
            for _ in range(5):
                assert {202} == {publish(http, path, device) for http in doors}
                plant.ask("POST", f"/clients/{device.id}/disable")
                eventually(lambda: {403} == {publish(http, path, device) for http in doors})
                plant.ask("POST", f"/clients/{device.id}/enable")
        assert 0 == server.stop()
