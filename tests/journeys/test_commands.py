"""Commands: an application speaks, over NATS or HTTP, and devices on both adapters hear and answer."""

import asyncio
import contextlib
import json
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import httpx
import nats
import paho.mqtt.client as paho
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from muster.assembly.messages import broker_keys
from muster.assembly.parts import keyring_of
from muster.plane.config import DEVICES
from muster.settings import load
from tests.journeys.server import Server, admin_token
from tests.ports import free_port

pytestmark = pytest.mark.anyio
PASSWORD = "s3cret pass"


class Station:
    """A running Muster with a tenant: a pump of its own, and a sensor behind a gateway."""

    def __init__(self, server: Server, mqtt: int) -> None:
        self.server, self.mqtt = server, mqtt
        self.token = admin_token(server)
        self.tenant = f"t.{uuid.uuid4().hex[:8]}"
        with server.client(self.token) as http:
            http.post(f"/v1/tenants/{self.tenant}").raise_for_status()
            for device, more in (("pump", {}), ("gw", {}), ("sensor", {"via": ["gw"]})):
                http.post(f"/v1/devices/{self.tenant}/{device}", json=more).raise_for_status()
                secret = {
                    "type": "hashed-password",
                    "auth-id": device,
                    "secrets": [{"pwd-plain": PASSWORD}],
                }
                path = f"/v1/credentials/{self.tenant}/{device}"
                http.put(path, json=[secret]).raise_for_status()

    @contextlib.asynccontextmanager
    async def application(self) -> AsyncIterator[Client]:
        """Connect to the broker as an application does."""
        data = self.server.folder / "data"
        said = json.loads((data / "nats" / "nats-server.json").read_text())
        seed = broker_keys(keyring_of(load({"MUSTER_DATA_DIR": str(data)}).settings)).nkey(DEVICES)
        client = await nats.connect(f"nats://127.0.0.1:{said['port']}", nkeys_seed_str=seed)
        try:
            yield client
        finally:
            await client.close()

    def command(self, device: str, name: str, body: bytes = b"", **query: Any) -> httpx.Response:
        with self.server.client(self.token) as http:
            http.timeout = httpx.Timeout(30)
            place = f"/v1/commands/{self.tenant}/{device}/{name}"
            return http.post(place, content=body, params=query, headers={"Content-Type": "text/plain"})


class Thing:
    """A device on the MQTT adapter that answers each command with its payload backwards."""

    def __init__(self, station: Station, name: str, filter_: str, qos: int) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.is_ready, self._hears = threading.Event(), threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
        self._client.username_pw_set(f"{name}@{station.tenant}", PASSWORD)
        self._client.on_connect = lambda *_: self._client.subscribe(filter_, qos)
        self._client.on_subscribe = lambda *_: self.is_ready.set()
        self._client.on_message = self._take
        self._port = station.mqtt

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        with self._hears:
            self.heard.append((message.topic, message.payload))
            self._hears.notify_all()
        prefix, tenant, device, _, request, _ = message.topic.split("/")
        if request:
            word = {"c": "s", "command": "res"}[prefix]
            answer = f"{prefix}/{tenant}/{device}/{word}/{request}/201"
            self._client.publish(answer, message.payload[::-1], qos=1)

    def has_heard(self, count: int) -> bool:
        """Wait until so many commands have come."""
        with self._hears:
            return self._hears.wait_for(lambda: len(self.heard) >= count, 30)

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self.is_ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    mqtt = free_port()
    folder = tmp_path_factory.mktemp("commands")
    with Server(folder, MUSTER_ADAPTER_MQTT=f"127.0.0.1:{mqtt}") as server:
        yield Station(server, mqtt)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_command_reaches_a_device_and_its_answer_returns(station: Station, qos: int):
    """The device itself, over MQTT: asked, it answers; told, it hears."""
    with Thing(station, "pump", "command///req/#", qos) as pump:
        answer = station.command("pump", "speed", b"fast", wait=10)
        assert 200 == answer.status_code, answer.text
        assert {"status": 201, "payload": "tsaf"} == {
            k: v for k, v in answer.json().items() if k != "content-type"
        }
        assert 202 == station.command("pump", "stop", b"now").status_code
        assert pump.has_heard(2)
    assert ["speed", "stop"] == [topic.rpartition("/")[2] for topic, _ in pump.heard]


async def test_an_application_on_the_broker_commands_and_hears(station: Station):
    """What docs/hono.md says of subjects and headers: the outcome is the reply, the answer a message."""
    tenant = station.tenant.replace(".", "%2E")
    answers: asyncio.Queue[Msg] = asyncio.Queue()
    with Thing(station, "pump", "c///q/#", 1):
        async with station.application() as client:
            await client.subscribe(f"hono.command_response.{tenant}", cb=answers.put)
            headers = {
                "tenant_id": station.tenant,
                "device_id": "pump",
                "subject": "speed",
                "request_id": "r7",
            }
            outcome = await client.request(f"hono.command.{tenant}", b"up", timeout=10, headers=headers)
            assert b"accepted" == outcome.data
            answer = await asyncio.wait_for(answers.get(), 30)
    wanted = {"tenant_id": station.tenant, "device_id": "pump", "request_id": "r7", "status": "201"}
    assert wanted == {name: (answer.headers or {}).get(name) for name in wanted}
    assert b"pu" == answer.data


def test_a_gateway_takes_commands_for_its_devices(station: Station):
    """The application names the device; which gateway speaks for it, Muster knows."""
    with Thing(station, "gw", "command//+/req/#", 1) as gateway:
        for device in ("sensor", "gw"):
            answer = station.command(device, "read", b"abc", wait=10)
            assert (200, "cba") == (answer.status_code, answer.json().get("payload")), answer.text
    assert ["command//sensor/req", "command///req"] == [topic.rsplit("/", 2)[0] for topic, _ in gateway.heard]


@pytest.mark.parametrize(
    ("login", "method", "path", "device"),
    [("pump", "POST", "/telemetry", "pump"), ("gw", "PUT", "/telemetry//sensor", "sensor")],
)
def test_a_device_that_waits_over_http_gets_the_command(
    station: Station, login: str, method: str, path: str, device: str
):
    """With hono-ttd the answer to a message is the command; its response is one more request."""
    auth = (f"{login}@{station.tenant}", PASSWORD)

    def listen(http: httpx.Client) -> httpx.Response:
        return http.request(
            method, path, content=b"1", auth=auth, headers={"Content-Type": "text/plain", "hono-ttd": "20"}
        )

    with ThreadPoolExecutor() as threads, station.server.client() as http:
        http.timeout = httpx.Timeout(30)
        waiting = threads.submit(listen, http)
        asked = threads.submit(_until_taken, station, device)
        command = waiting.result(30)
        assert (200, b"now", "blink", "text/plain") == (
            command.status_code,
            command.content,
            command.headers["hono-command"],
            command.headers["content-type"],
        )
        assert (device if login != device else None) == command.headers.get("hono-cmd-target-device")
        answers = "/command/res" + ("" if login == device else f"//{device}")
        place = f"{answers}/{command.headers['hono-cmd-req-id']}"
        done = http.request(
            method, place, params={"hono-cmd-status": 204}, content=b"ok", auth=auth,
            headers={"Content-Type": "text/plain"},
        )  # fmt: skip
        assert 202 == done.status_code
        answer = asked.result(30)
    assert {"status": 204, "content-type": "text/plain", "payload": "ok"} == answer.json()


def _until_taken(station: Station, device: str) -> httpx.Response:
    """Command until the device listens: 409 says that it does not yet."""
    for _ in range(10):
        answer = station.command(device, "blink", b"now", wait=20)
        if answer.status_code != 409:
            break
    return answer


def test_a_command_that_nobody_can_take_is_told_so(station: Station):
    """409 while the device does not listen, 404 for no such device or tenant, 401 for nobody."""
    for device, status in (("pump", 409), ("sensor", 409), ("nobody", 404)):
        assert status == station.command(device, "x").status_code
    with station.server.client(station.token) as http:
        place = f"/v1/commands/{station.tenant}/pump/x"
        assert 400 == http.post(place, params={"wait": 61}).status_code
        assert 404 == http.post("/v1/commands/foreign/pump/x").status_code
        for name in ("a%0Ab", "a%2B", "%23", "x" * 1025, "%00"):
            place = f"/v1/commands/{station.tenant}/pump/{name}"
            assert 400 == http.post(place, content=b"").status_code, name
        assert 413 == http.post(f"/v1/commands/{station.tenant}/pump/x", content=bytes(2**20 + 1)).status_code
    with station.server.client() as http:
        assert 401 == http.post(f"/v1/commands/{station.tenant}/pump/x").status_code
