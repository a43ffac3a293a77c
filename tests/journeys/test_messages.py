"""Devices speak: MQTT, HTTP and WebSocket through a real server and a real broker, until they may not."""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as mqtt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as ws_connect

from tests.journeys.server import Server, admin_token, new_domain, new_user
from tests.ports import free_port

PATIENCE = 30


class Gateway:
    """A provisioned gateway: what it knows after its first fetch."""

    def __init__(self, server: Server, token: str, domain: str, external_id: str) -> None:
        self.server, self.domain, self.token = server, domain, token
        asked = {"external_id": external_id, "external_key": "key"}
        with server.client(token) as http:
            assert 201 == http.post(f"/{domain}/mapping", json=asked).status_code
        with server.client() as http:
            fetched = http.get(f"/clients/bootstrap/{external_id}", headers={"Authorization": "Thing key"})
        said = fetched.json()
        self.id, self.secret = said["mainflux_id"], said["mainflux_key"]
        self.control, self.data = (c["id"] for c in said["mainflux_channels"])

    def mqtt(self, **options: Any) -> "Session":
        return Session(int(self.server.environment["MUSTER_MQTT"].partition(":")[2]), self, **options)

    def operate(self, path: str, **body: Any) -> httpx.Response:
        """Have the operator do something in the domain."""
        with self.server.client(self.token) as http:
            return (
                http.post(f"/{self.domain}/{path}", json=body)
                if body
                else http.post(f"/{self.domain}/{path}")
            )


class Session:
    """A device's MQTT session with paho."""

    def __init__(
        self,
        port: int,
        gateway: Gateway,
        *,
        secret: str | None = None,
        client_id: str = "",
        ca: Path | None = None,
    ) -> None:
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.answer: queue.Queue[int] = queue.Queue()
        self.granted: queue.Queue[int] = queue.Queue()
        self.ended = threading.Event()
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        self.client.username_pw_set(gateway.id, gateway.secret if secret is None else secret)
        self.client.on_connect = lambda c, u, f, code, p: self.answer.put(code.value)
        self.client.on_message = lambda c, u, m: self.received.put((m.topic, m.payload))
        self.client.on_subscribe = lambda c, u, mid, codes, p: self.granted.put(codes[0].value)
        self.client.on_disconnect = lambda *a: self.ended.set()
        if ca is not None:
            self.client.tls_set(str(ca))
        self.client.connect("localhost" if ca is not None else "127.0.0.1", port)
        self.client.loop_start()
        self.code = self.answer.get(timeout=PATIENCE)

    def subscribe(self, topic: str, qos: int = 0) -> int:
        self.client.subscribe(topic, qos)
        return self.granted.get(timeout=PATIENCE)

    def publish(self, topic: str, payload: str, qos: int = 1) -> None:
        self.client.publish(topic, payload, qos).wait_for_publish(PATIENCE)

    def next(self) -> tuple[str, bytes]:
        return self.received.get(timeout=PATIENCE)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def with_broker() -> dict[str, str]:
    return {"MUSTER_MQTT": f"127.0.0.1:{free_port()}", "MUSTER_MESSAGES_MAX_AGE": "1h"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("messages"), **with_broker()) as running:
        yield running


_names = iter(range(1000))


@pytest.fixture
def gateway(server: Server) -> Gateway:
    number = next(_names)
    token = new_user(server, f"jane{number}")
    return Gateway(server, token, new_domain(server, token, f"plant{number}"), f"gw{number}")


def test_the_fetched_configuration_alone_is_enough_to_speak(gateway: Gateway) -> None:
    """As the Agent does: fetch, connect, listen for requests on the control channel, answer them."""
    agent = gateway.mqtt()
    assert 0 == agent.code
    assert 0 == agent.subscribe(f"channels/{gateway.control}/messages/req")
    operator = gateway.mqtt()
    assert 0 == operator.subscribe(f"channels/{gateway.control}/messages/res")
    operator.publish(f"channels/{gateway.control}/messages/req", '[{"bn":"1:","n":"exec","vs":"ls"}]')
    topic, request = agent.next()
    assert "exec" == json.loads(request)[0]["n"]
    agent.publish(topic.replace("/req", "/res"), '[{"n":"ls","vs":"bin"}]')
    assert b"bin" in operator.next()[1]
    agent.close()
    operator.close()


def test_what_is_sent_over_http_arrives_over_mqtt_in_both_address_forms(gateway: Gateway) -> None:
    """A channel is one channel, however it is spelled."""
    device = gateway.mqtt()
    assert 0 == device.subscribe(f"channels/{gateway.data}/messages/#")
    secret = {"Authorization": f"Client {gateway.secret}"}
    with gateway.server.client() as http:
        for path in (
            f"/http/channels/{gateway.data}/messages/a",
            f"/channels/{gateway.data}/messages/a",
            f"/http/m/{gateway.domain}/c/{gateway.data}/a",
            f"/m/{gateway.domain}/c/{gateway.data}/a",
        ):
            assert 202 == http.post(path, content=b"21.5", headers=secret).status_code
            assert (f"channels/{gateway.data}/messages/a", b"21.5") == device.next()
        for refused, status in (
            ({"Authorization": "Client wrong"}, 401),
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
        ):
            answer = http.post(f"/channels/{gateway.data}/messages", content=b"x", headers=refused)
            assert status == answer.status_code
    device.close()


@pytest.mark.parametrize("verb", ["disable", "rotate", "disconnect", "delete"])
def test_an_operator_cuts_a_live_session(gateway: Gateway, verb: str) -> None:
    """Disabled, rotated, disconnected or deleted: the session ends at once, and what is gone is gone."""
    device = gateway.mqtt()
    topic = f"channels/{gateway.data}/messages/x"
    assert 0 == device.subscribe(topic)
    with gateway.server.client(gateway.token) as http:
        base = f"/{gateway.domain}/clients/{gateway.id}"
        both = {"client_ids": [gateway.id], "types": ["publish", "subscribe"]}
        answer = {
            "disable": lambda: http.post(f"{base}/disable"),
            "rotate": lambda: http.patch(f"{base}/secret", json={"secret": "another-secret"}),
            "disconnect": lambda: http.post(
                f"/{gateway.domain}/channels/{gateway.data}/disconnect", json=both
            ),
            "delete": lambda: http.delete(base),
        }[verb]()
        assert answer.status_code in (200, 204), answer.text
    assert device.ended.wait(PATIENCE)
    again = gateway.mqtt()
    if verb == "disconnect":
        assert (0, 128) == (again.code, again.subscribe(topic))
    else:
        assert again.code in (4, 5, 134, 135)
    again.close()


def test_a_broker_that_dies_comes_back_by_itself(gateway: Gateway) -> None:
    """Provisioning goes on without it; afterwards devices connect as before."""
    with contextlib.suppress(ProcessLookupError):
        import psutil  # noqa: PLC0415

        for child in psutil.Process(gateway.server.pid).children():
            child.kill()
    answer = gateway.operate("clients", name="meanwhile")
    assert 201 == answer.status_code
    # A device that comes before Muster is back at the broker is let wait, and comes again.
    eventually(lambda: gateway.mqtt().code == 0)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE
    while True:
        with contextlib.suppress(OSError, queue.Empty):
            if holds():
                return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_websocket_is_a_place_of_a_channel(gateway: Gateway) -> None:
    """What one sends the other receives; without right there is no handshake."""
    base = gateway.server.url.replace("http", "ws") + "/ws/channels/"
    here = f"{base}{gateway.data}/messages/room"
    secret = {"Authorization": f"Client {gateway.secret}"}
    with (
        ws_connect(here, additional_headers=secret) as one,
        ws_connect(f"{here}?authorization={gateway.secret}") as other,
    ):
        one.send("hello")
        assert b"hello" == other.recv(timeout=PATIENCE)
        gateway.operate(f"clients/{gateway.id}/disable")
        with pytest.raises(ConnectionClosed):
            other.recv(timeout=PATIENCE)
    for headers, status in ((secret, 403), ({}, 401), ({"Authorization": "Client wrong"}, 401)):
        with pytest.raises(InvalidStatus) as refused, ws_connect(here, additional_headers=headers):
            pass
        assert status == refused.value.response.status_code


def test_whoever_tries_secret_after_secret_on_a_channel_has_to_wait(gateway: Gateway) -> None:
    """Each wrong secret counts once: a device that goes on with its old one holds up nobody."""
    path = f"/http/channels/{gateway.data}/messages"
    here = f"{gateway.server.url.replace('http', 'ws')}/ws/channels/{gateway.data}/messages"

    def publish(http: httpx.Client, secret: str) -> int:
        return http.post(path, content=b"x", headers={"Authorization": f"Client {secret}"}).status_code

    with gateway.server.client() as http:
        assert [401] * 30 == [publish(http, "old") for _ in range(30)]
        tried = [publish(http, f"guess {n}") for n in range(12)]
        assert (401, 429) == (tried[0], tried[-1])
        assert [401, 429] == sorted(set(tried))
        assert 401 == publish(http, "old")
    with (
        pytest.raises(InvalidStatus) as refused,
        ws_connect(here, additional_headers={"Authorization": "Client another guess"}),
    ):
        pass
    assert 429 == refused.value.response.status_code


def test_a_user_listens_until_channel_or_user_are_closed(gateway: Gateway) -> None:
    """A token opens a place as a device's secret does, and is no key for longer than it would open it."""
    server = gateway.server
    here = f"{server.url.replace('http', 'ws')}/ws/m/{gateway.domain}/c/{gateway.data}/room"
    token = {"Authorization": f"Bearer {gateway.token}"}
    with ws_connect(here, additional_headers=token) as one:
        assert 200 == gateway.operate(f"channels/{gateway.data}/disable").status_code
        with pytest.raises(ConnectionClosed):
            one.recv(timeout=PATIENCE)
    assert 200 == gateway.operate(f"channels/{gateway.data}/enable").status_code
    with ws_connect(here, additional_headers=token) as one:
        with server.client(gateway.token) as http:
            user = http.get("/users/profile").json()["id"]
        with server.client(admin_token(server)) as http:
            assert 200 == http.post(f"/users/{user}/disable").status_code
        with pytest.raises(ConnectionClosed):
            one.recv(timeout=PATIENCE)
    with pytest.raises(InvalidStatus) as refused, ws_connect(here, additional_headers=token):
        pass
    assert 401 == refused.value.response.status_code


def test_the_last_messages_and_presence_show_that_a_device_is_alive(gateway: Gateway) -> None:
    """Enough for a person to see it."""
    device = gateway.mqtt()
    device.publish(f"channels/{gateway.data}/messages/t", "21.5")
    with gateway.server.client(gateway.token) as http:
        path = f"/{gateway.domain}/channels/{gateway.data}/messages?limit=5"
        eventually(lambda: http.get(path).json()["messages"] != [])
        assert "21.5" == http.get(path).json()["messages"][0]["payload"]
        where = f"/{gateway.domain}/clients/{gateway.id}/presence"
        eventually(lambda: http.get(where).status_code == 200 and http.get(where).json()["is_connected"])
        device.close()
        eventually(lambda: not http.get(where).json()["is_connected"])


def test_what_a_deleted_channel_retained_is_not_for_the_next_of_its_name(gateway: Gateway) -> None:
    """Nor what was kept to be read back."""
    number = gateway.id
    wanted = {"id": f"boiler-{number}", "name": "boiler"}
    topic = f"channels/{wanted['id']}/messages/state"
    both = {"client_ids": [gateway.id], "types": ["publish", "subscribe"]}
    base = f"/{gateway.domain}/channels/{wanted['id']}"

    def make() -> None:
        assert 201 == gateway.operate("channels", **wanted).status_code
        assert 201 == gateway.operate(f"channels/{wanted['id']}/connect", **both).status_code

    def finds() -> bool:
        session = gateway.mqtt()
        assert 0 == session.subscribe(topic)
        try:
            return session.received.get(timeout=0.5) == (topic, b"on")
        except queue.Empty:
            return False
        finally:
            session.close()

    make()
    device = gateway.mqtt()
    device.client.publish(topic, "on", 1, retain=True).wait_for_publish(PATIENCE)
    device.close()
    eventually(finds)
    with gateway.server.client(gateway.token) as http:
        assert 204 == http.delete(base).status_code
        make()
        eventually(lambda: not finds())
        assert [] == http.get(f"{base}/messages").json()["messages"]


def test_several_workers_share_broker_and_outbox(tmp_path: Path, database_url: Callable[..., str]) -> None:
    """A change that one worker makes cuts a session that another one let in."""
    environment = {**with_broker(), "MUSTER_DATABASE_URL": database_url("postgresql")}
    with Server(tmp_path, "serve", "--workers", "2", **environment) as server:
        token = new_user(server, "jane")
        gateway = Gateway(server, token, new_domain(server, token, "plant"), "gw")
        for _ in range(4):
            device = gateway.mqtt()
            assert 0 == device.code
            gateway.operate(f"clients/{gateway.id}/disable")
            assert device.ended.wait(PATIENCE)
            assert 0 != gateway.mqtt().code
            gateway.operate(f"clients/{gateway.id}/enable")
        # Whichever worker is asked tells of all of them, and of the parent that cuts and counts.
        more = [Gateway(server, token, gateway.domain, f"gw{n}") for n in range(3)]
        sessions = [one.mqtt() for one in more]
        for count in (3, 2):
            eventually(lambda count=count: {count} == {live_sessions(server) for _ in range(8)})
            sessions.pop().close()
        for _ in range(4):
            told = httpx.get(f"{server.url}/metrics").text
            assert 'muster_logins_total{outcome="disabled"} 4.0' in told
            assert float(told.split("\nmuster_cut_sessions_total ")[1].split("\n")[0]) >= 4
        assert 0 == server.stop()


def live_sessions(server: Server) -> float:
    """Give how many devices are connected, as one of the workers tells it."""
    told = httpx.get(f"{server.url}/metrics").text
    return float(told.split("\nmuster_sessions ")[1].split("\n")[0])


def test_sqlite_refuses_several_workers(tmp_path: Path) -> None:
    """With the reason, and at once."""
    server = Server(tmp_path, "serve", "--workers", "2")
    with pytest.raises(AssertionError, match="PostgreSQL"):
        server.start()
