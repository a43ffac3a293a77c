"""What devices should not send, and a broker that is not there: refusals that the protocol knows."""

import contextlib
import os
import secrets
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as ws_connect
from websockets.typing import Subprotocol

from tests.journeys.server import Server, new_domain, new_user
from tests.journeys.test_cluster import Cluster
from tests.journeys.test_messages import Gateway, Session, eventually, with_broker
from tests.ports import free_port

LIMIT = 2048


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bad")
    with Server(folder, MUSTER_MAX_MESSAGE_BYTES=str(LIMIT), **with_broker()) as running:
        yield running


@pytest.fixture(scope="module")
def gateways(server: Server) -> tuple[Gateway, Gateway]:
    """Give gateways of two domains that know nothing of each other."""
    found = []
    for name in ("jane", "joe"):
        token = new_user(server, name)
        found.append(Gateway(server, token, new_domain(server, token, f"{name}-plant"), f"gw-{name}"))
    return found[0], found[1]


@pytest.fixture
def one(gateways: tuple[Gateway, Gateway]) -> Gateway:
    return gateways[0]


def field(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack(">H", len(raw)) + raw


def packet(kind: int, body: bytes) -> bytes:
    """Give an MQTT packet of less than 16 KiB."""
    length = bytes([len(body)]) if len(body) < 128 else bytes([len(body) & 127 | 128, len(body) >> 7])
    return bytes([kind]) + length + body


def connect(username: str, password: str, will: tuple[str, str] | None = None) -> bytes:
    flags = 0xC2 | (0x04 if will else 0)
    wills = b"".join(map(field, will or ()))
    return packet(
        0x10,
        b"\x00\x04MQTT\x04"
        + bytes([flags])
        + b"\x00\x3c"
        + field("")
        + wills
        + field(username)
        + field(password),
    )


@contextlib.contextmanager
def plug(server: Server) -> Iterator[socket.socket]:
    """Open a bare connection to the MQTT port."""
    port = int(server.environment["MUSTER_MQTT"].partition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as opened:
        yield opened


def is_closed(opened: socket.socket) -> bool:
    """Say whether the other side hangs up, whatever it says before."""
    with contextlib.suppress(ConnectionError):
        while opened.recv(4096):
            pass
    return True


def still_serves(one: Gateway) -> None:
    """Assert that everybody else is unharmed."""
    session = one.mqtt()
    topic = f"channels/{one.data}/messages/well"
    assert (0, 0) == (session.code, session.subscribe(topic))
    session.publish(topic, "well")
    assert (topic, b"well") == session.next()
    assert 201 == one.operate("clients", name="more").status_code
    session.close()


def test_logins_are_refused_by_the_protocol_and_the_log_says_why(one: Gateway) -> None:
    """CONNACK 5 for all alike; only the log tells them apart, and never the secret."""
    one.operate("clients", name="off")
    for username, password, reason in (
        ("nobody-at-all", "hush-hush", "unknown"),
        (one.id, "hush-hush", "wrong_secret"),
    ):
        with plug(one.server) as opened:
            opened.sendall(connect(username, password))
            assert b"\x20\x02\x00\x05" == opened.recv(4)
        eventually(lambda reason=reason: reason in one.server.output())
    assert "hush-hush" not in one.server.output()
    still_serves(one)


@pytest.mark.parametrize(
    "topic",
    [
        "#",
        "+/+/messages",
        "channels/+/messages",
        "channels/#",
        "m/+/c/{own}/#",
        "m/{domain}/c/+",
        "m/{domain}/#",
    ],
)
def test_a_wildcard_never_stands_for_a_channel(one: Gateway, topic: str) -> None:
    """SUBACK 0x80."""
    session = one.mqtt()
    assert 128 == session.subscribe(topic.format(own=one.data, domain=one.domain))
    session.close()


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xff" * 64, b"\x10\xff\xff\xff\xff\xff"]
)
def test_garbage_ends_its_connection_and_no_other(one: Gateway, sent: bytes) -> None:
    """The port hangs up."""
    with plug(one.server) as opened:
        opened.sendall(sent)
        assert is_closed(opened)
    still_serves(one)


def test_a_half_open_connection_is_given_up(one: Gateway) -> None:
    """Half a CONNECT, then silence: others come in, and the port hangs up in the end."""
    with plug(one.server) as opened:
        opened.sendall(connect(one.id, one.secret)[:20])
        still_serves(one)
        assert is_closed(opened)


@pytest.mark.parametrize("topic", ["channels/{own}/messages/+", "channels/{own}/messages/#", ""])
def test_a_publish_to_no_topic_ends_the_session(one: Gateway, topic: str) -> None:
    """MQTT 3.1.1, 3.3.2-2: wildcards are for subscriptions."""
    with plug(one.server) as opened:
        opened.sendall(connect(one.id, one.secret))
        assert b"\x20\x02\x00\x00" == opened.recv(4)
        opened.sendall(packet(0x30, field(topic.format(own=one.data)) + b"x"))
        assert is_closed(opened)
    still_serves(one)


def test_a_will_on_a_foreign_channel_is_not_sent(gateways: tuple[Gateway, Gateway]) -> None:
    """It is a publish like any other."""
    one, other = gateways
    victim = other.mqtt()
    topic = f"channels/{other.data}/messages/x"
    assert 0 == victim.subscribe(topic)
    with plug(one.server) as opened:
        opened.sendall(connect(one.id, one.secret, (topic, "from the grave")))
        assert b"\x20\x02\x00\x00" == opened.recv(4)
    still_serves(one)
    victim.publish(topic, "own")
    assert (topic, b"own") == victim.next()
    victim.close()


def test_a_message_beyond_the_limit_reaches_nobody(one: Gateway) -> None:
    """413 over HTTP; over MQTT the session ends."""
    listener, sender = one.mqtt(), one.mqtt()
    topic = f"channels/{one.data}/messages/large"
    assert 0 == listener.subscribe(topic)
    sender.client.publish(topic, bytes(LIMIT * 2), 0)
    assert sender.ended.wait(30)
    secret = {"Authorization": f"Client {one.secret}"}
    with one.server.client() as http:
        assert 413 == http.post(f"/{topic}", content=bytes(LIMIT + 1), headers=secret).status_code
        assert 202 == http.post(f"/{topic}", content=bytes(LIMIT), headers=secret).status_code
    assert (topic, bytes(LIMIT)) == listener.next()
    listener.close()


@pytest.mark.parametrize("rest", ["a+b", "%23", "a%20b", "*", ">"])
def test_a_malformed_sub_topic_is_a_bad_request(one: Gateway, rest: str) -> None:
    """400, whoever asks."""
    secret = {"Authorization": f"Client {one.secret}"}
    with one.server.client() as http:
        path = f"/channels/{one.data}/messages/{rest}"
        assert 400 == http.post(path, content=b"x", headers=secret).status_code


def test_a_refused_websocket_is_told_why_and_so_is_the_log(server: Server, one: Gateway) -> None:
    """By the status, and in one line with the reason; the secret that was tried is in none."""
    before = len(server.output())
    tried = f"guessed-{secrets.token_hex(8)}"
    with (
        pytest.raises(InvalidStatus) as refused,
        ws_connect(f"{ws_url(server)}/{one.data}/messages?authorization={tried}"),
    ):
        pass
    assert 401 == refused.value.response.status_code
    eventually(lambda: "websocket refused" in server.output()[before:])
    said = server.output()[before:]
    assert '"status":401' in said
    assert (1, 0, 0) == tuple(said.count(part) for part in ("websocket refused", "handshake", tried))


def test_who_is_silent_over_websocket_is_hung_up_on(tmp_path: Path) -> None:
    """After ten seconds, as at the other ports; who has connected stays."""
    place = f"127.0.0.1:{free_port()}"
    with Server(tmp_path, **with_broker(), MUSTER_MQTT_WS=place) as server:
        token = new_user(server, "jane")
        one = Gateway(server, token, new_domain(server, token, "plant"), "gw")
        with ws_connect(f"ws://{place}/mqtt", subprotocols=[Subprotocol("mqtt")]) as device:
            device.send(connect(one.id, one.secret))
            assert 0 == bytes(device.recv(timeout=30))[3]
            with socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2])), timeout=20) as silent:
                assert b"" == silent.recv(1)
            device.send(b"\xc0\0")  # PINGREQ
            assert b"\xd0\0" == device.recv(timeout=30)


def test_guessing_a_secret_is_throttled_by_device_and_source(tmp_path: Path) -> None:
    """Who guesses is refused even with the right secret, for a while; others, or from elsewhere, come in."""
    with Server(tmp_path, MUSTER_THROTTLE_ATTEMPTS="3", **with_broker()) as server:
        token = new_user(server, "jane")
        domain = new_domain(server, token, "plant")
        one, other = (Gateway(server, token, domain, f"gw{n}") for n in range(2))

        def answer(device: Gateway, secret: str, source: str) -> int:
            port = int(server.environment["MUSTER_MQTT"].partition(":")[2])
            place = ("127.0.0.1", port)
            with socket.create_connection(place, timeout=20, source_address=(source, 0)) as opened:
                opened.sendall(connect(device.id, secret))
                return opened.recv(4)[3]

        assert [5] * 3 == [answer(one, "guessed", "127.0.0.2") for _ in range(3)]
        assert 5 == answer(one, one.secret, "127.0.0.2")
        assert [0, 0] == [answer(one, one.secret, "127.0.0.3"), answer(other, other.secret, "127.0.0.2")]
        with server.client() as http:
            assert 'muster_logins_total{outcome="throttled"} 1.0' in http.get("/metrics").text


def test_without_its_cluster_muster_provisions_and_says_503(tmp_path: Path) -> None:
    """Unreachable at the start and again later; in between messages pass, with nobody's help."""
    environment = {"MUSTER_MASTER_KEY": secrets.token_urlsafe(32)}
    folder = tmp_path / "nats"
    keys = {"PATH": os.environ["PATH"], "MUSTER_DATA_DIR": str(folder), **environment}
    cluster = Cluster(folder, keys, names=("n1",))
    address = f"127.0.0.1:{cluster.mqtt('n1')}"
    with Server(
        tmp_path / "muster", MUSTER_NATS_URL=cluster.url, MUSTER_NATS_MQTT=address, **environment
    ) as server:
        token = new_user(server, "jane")
        gateway = Gateway(server, token, new_domain(server, token, "plant"), "gw")
        path, secret = f"/channels/{gateway.data}/messages", {"Authorization": f"Client {gateway.secret}"}
        with server.client() as http:
            assert 503 == http.post(path, content=b"x", headers=secret).status_code
            cluster.start()
            try:
                eventually(lambda: http.post(path, content=b"x", headers=secret).status_code == 202)
                eventually(lambda: Session(cluster.mqtt("n1"), gateway).code == 0)
            finally:
                cluster.stop()
            eventually(lambda: http.post(path, content=b"x", headers=secret).status_code == 503)
        assert 201 == gateway.operate("clients", name="meanwhile").status_code
        assert 0 == server.stop()


def test_without_any_broker_whoever_may_publish_is_told_so(tmp_path: Path) -> None:
    """503 in the shape of the dialect, not 404; who may not is told that, and everything else works."""
    with Server(tmp_path) as server:
        token = new_user(server, "jane")
        gateway = Gateway(server, token, new_domain(server, token, "plant"), "gw")
        secret = {"Authorization": f"Client {gateway.secret}"}
        domain, channel = gateway.domain, gateway.data
        with server.client() as http:
            for path in (f"/http/channels/{channel}/messages", f"/m/{domain}/c/{channel}/x"):
                answer = http.post(path, content=b"x", headers=secret)
                refusal = http.post(path, content=b"x")
                assert (503, 401) == (answer.status_code, refusal.status_code)
                assert set(refusal.json()) == set(answer.json())
            query = {"hono-tenant": domain}
            assert 401 == http.post("/telemetry", params=query, content=b"x").status_code
        with (
            pytest.raises(InvalidStatus) as refused,
            ws_connect(f"{ws_url(server)}/{channel}/messages", additional_headers=secret),
        ):
            pass
        assert 503 == refused.value.response.status_code
        assert 200 == gateway.operate(f"clients/{gateway.id}/disable").status_code


def ws_url(server: Server) -> str:
    return server.url.replace("http", "ws") + "/ws/channels"
