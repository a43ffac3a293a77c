"""The adapter's sockets over TLS, and what paho makes of them."""

import asyncio
import queue
import ssl
import threading

import paho.mqtt.client as paho
import pytest
import trustme

from muster.plane.adapter.packets import (
    Connack,
    Connect,
    Disconnect,
    Puback,
)
from muster.plane.adapter.ports import (
    Command,
    Delivery,
    MessageKind,
)
from muster.web.tls import ServerTls
from tests.adapter.station import PATIENCE, qos1, run, site

__all__ = ["run"]

# --- TLS and paho ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def tls(root) -> ServerTls:
    server = root.issue_cert("localhost", key_type=trustme.KeyType.ECDSA)
    chain = b"".join(pem.bytes() for pem in server.cert_chain_pems)
    return ServerTls(chain_pem=chain, key_pem=server.private_key_pem.bytes())


def trusting(root: trustme.CA, leaf: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    root.configure_trust(context)
    if leaf is not None:
        leaf.configure_cert(context)
    return context


@pytest.mark.parametrize("key_type", [trustme.KeyType.ECDSA, trustme.KeyType.RSA])
def test_certificate_devices_need_no_password(run, root, tls, key_type) -> None:
    """The whole chain, from a CA nobody told the server about, is the evidence."""
    leaf = (
        trustme.CA(key_type=key_type).create_child_ca(key_type=key_type).issue_cert("dev", key_type=key_type)
    )

    async def story():
        async with site(tls=tls, trust=trusting(root, leaf)) as here:
            device = await here.device()
            device.send(Connect(client_id="c"), qos1(1))
            assert [await device.next() for _ in range(2)] == [Connack(), Puback(packet_id=1)]
            (evidence,) = here.world.evidence
            shown = [ssl.PEM_cert_to_DER_cert(pem.bytes().decode()) for pem in leaf.cert_chain_pems]
            assert (list(evidence.chain_der), evidence.sni) == (shown, "localhost")
            device.send(Disconnect())
            assert await device.next() is None

    run(story())


def spoken(port: int, *, username: str | None, trust: ssl.SSLContext | None) -> list[bytes]:
    """What paho gets: it subscribes to commands, publishes, and lets a command be echoed as its response."""
    got: queue.Queue[bytes] = queue.Queue()
    subscribed = threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="paho", protocol=paho.MQTTv311)
    if username is not None:
        client.username_pw_set(username, "pw")
    if trust is not None:
        client.tls_set_context(trust)
    client.on_connect = lambda *_: client.subscribe([("c///q/#", 1), ("e///#", 0)])
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: got.put(
        message.topic.encode() + b" " + message.payload
    )
    client.connect("localhost", port)
    client.loop_start()
    assert subscribed.wait(PATIENCE)
    for number in range(100):
        client.publish("t", str(number), qos=number % 2)
    client.publish("e", "alarm", qos=1).wait_for_publish(PATIENCE)
    command = got.get(timeout=PATIENCE)
    client.publish("c///s/r/200", command, qos=1).wait_for_publish(PATIENCE)
    client.disconnect()
    client.loop_stop()
    return [command]


@pytest.mark.parametrize("way", ["password", "password over TLS", "certificate"])
def test_paho_speaks_with_the_adapter(run, root, tls, way) -> None:
    """Telemetry of both QoS, an event, a command and its response, with a real client."""
    leaf = trustme.CA().issue_cert("dev") if way == "certificate" else None
    trust = None if way == "password" else trusting(root, leaf)
    username = None if leaf is not None else "d0@T"

    async def story():
        async with site(tls=None if trust is None else tls) as here:
            speaking = asyncio.create_task(
                asyncio.to_thread(spoken, here.port, username=username, trust=trust)
            )
            messages = await here.world.have(102)
            (deliver,) = here.world.delivers.values()
            command = Command(device_id=messages[0].device_id, name="set", payload=b"on", request_id="r")
            assert await deliver(command) is Delivery.ACCEPTED
            assert await speaking == [b"c///q/r/set on"]
            await here.world.have(104)
            for qos in (0, 1):  # paho itself lets QoS 0 overtake QoS 1
                sent = [str(number).encode() for number in range(qos, 100, 2)]
                telemetry = (m for m in here.world.messages if m.kind is MessageKind.TELEMETRY)
                assert [m.payload for m in telemetry if m.qos == qos] == sent
            last = [(m.kind, m.ttd) for m in here.world.messages][-2:]
            assert last == [(MessageKind.COMMAND_RESPONSE, None), (MessageKind.EVENT, 0)]

    run(story())
