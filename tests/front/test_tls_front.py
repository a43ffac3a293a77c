"""The TLS front: a CONNECT gets a one-time login, everything else passes untouched or not at all."""

import asyncio
import queue
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.decoder import Decoder
from muster.plane.adapter.packets import (
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Publish,
    Subscribe,
    Will,
    encode,
)
from muster.plane.arrivals import Arrival, Identity, Login, Refusal
from muster.plane.doors import Doors
from muster.plane.front import Front, FrontLimits
from muster.plane.listener import SocketLimits
from muster.web.tls import ServerTls
from tests.front.nats_broker import nats_mqtt
from tests.front.tls_kit import Pki, Run


def device_of(name: str) -> Identity:
    return Identity(tenant_id=TenantId("t"), device_id=DeviceId(name), serial="01")


NO_IDENTITY = Refusal(code=ConnackCode.NOT_AUTHORIZED, reason="unknown certificate")


class Keeper:
    """A doorkeeper who knows leaves by their bytes, and keeps whom a login was given to."""

    def __init__(self, known: dict[bytes, Identity]):
        self.known = known
        self.logins: dict[tuple[str, bytes], Arrival] = {}
        self.arrivals: list[Arrival] = []

    async def verify(self, chain_der, _sni):
        return self.known.get(chain_der[0], NO_IDENTITY)

    async def login_for(self, arrival) -> Login | Refusal:
        self.arrivals.append(arrival)
        device = arrival.identity.device_id if arrival.identity else arrival.connect.username
        if device is None:
            return Refusal(code=ConnackCode.BAD_CREDENTIALS, reason="no login")
        login = Login(username=device, password=secrets.token_hex().encode())
        self.logins[login.username, login.password] = arrival
        return login


class Broker:
    """The plain port behind the front: answers CONNECT, keeps every byte, sends what the test says."""

    def __init__(self):
        self.packets: asyncio.Queue[Packet | None] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []
        self.reading = asyncio.Event()
        self.reading.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        decoder = Decoder()
        while data := await reader.read(65536):
            await self.reading.wait()
            decoder.feed(data)
            while (packet := decoder.next()) is not None:
                if isinstance(packet, Connect):
                    writer.write(encode(Connack()))
                self.packets.put_nowait(packet)
        self.packets.put_nowait(None)
        writer.close()

    async def next(self) -> Packet | None:
        return await asyncio.wait_for(self.packets.get(), 30)


class Device:
    """A raw MQTT device behind TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self.reader, self.writer = reader, writer
        self.decoder = Decoder()

    async def next(self) -> Packet | None:
        while (packet := self.decoder.next()) is None:
            data = await asyncio.wait_for(self.reader.read(65536), 30)
            if not data:
                return None
            self.decoder.feed(data)
        return packet

    def send(self, *packets: Packet) -> None:
        self.writer.write(b"".join(map(encode, packets)))


class Street:
    """A front before a broker, and devices that come along."""

    def __init__(self, front: Front, keeper: Keeper, broker: Broker, port: int, pki: Pki, folder: Path):
        self.front, self.keeper, self.broker, self.port = front, keeper, broker, port
        self._pki, self._folder = pki, folder
        self._devices: list[Device] = []

    async def device(self, name: str | None = None) -> Device:
        context = self._pki.client(self._pki.devices[name] if name else None, self._folder)
        streams = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, server_hostname="localhost"
        )
        self._devices.append(Device(*streams))
        return self._devices[-1]

    def leave(self) -> None:
        for device in self._devices:
            device.writer.transport.abort()


Streets = Callable[..., "asyncio.Future[Street]"]


@pytest.fixture
def street(pki: Pki, tmp_path: Path):
    @asynccontextmanager
    async def build(
        limits: FrontLimits | None = None, keeper=None, port: int | None = None, dead: int | None = None
    ) -> AsyncIterator[Street]:
        broker = Broker()
        server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
        keeper = keeper or Keeper(
            {party.chain_der[0]: device_of(name) for name, party in pki.devices.items()}
        )
        tls = ServerTls(chain_pem=pki.server.chain_pem, key_pem=pki.server.key_pem)
        limits = limits or FrontLimits(sockets=SocketLimits(goodbye_timeout=0.3))
        address = ("127.0.0.1", port or server.sockets[0].getsockname()[1])
        doors = Doors([("127.0.0.1", dead), address] if dead is not None else [address])
        front = Front(doorkeeper=keeper, doors=doors, tls=tls, limits=limits)
        there = Street(front, keeper, broker, await front.start("127.0.0.1", 0), pki, tmp_path)
        try:
            yield there
        finally:
            there.leave()
            await asyncio.wait_for(front.stop(), 30)
            for writer in broker.writers:
                writer.transport.abort()
            server.close()
        assert front.open == 0

    return build


CONNECT = Connect(client_id="c", keep_alive=60, username="someone", password=b"secret")


def test_a_certificate_device_logs_in_with_a_one_time_login(run: Run, street) -> None:
    """The broker gets the CONNECT with another login and nothing else changed; the login is good once."""
    will = Will(topic="w", payload=b"gone", qos=1, retain=True)
    connect = Connect(client_id="c", clean_session=False, keep_alive=7, will=will)

    async def story():
        async with street() as here:
            device = await here.device("ec-intermediate")
            device.send(connect)
            assert await device.next() == Connack()
            seen = await here.broker.next()
            assert isinstance(seen, Connect)
            assert replace(seen, username=None, password=None) == connect
            assert seen.username == "ec-intermediate"
            identity = device_of("ec-intermediate")
            arrival = Arrival(source="127.0.0.1", sni="localhost", connect=connect, identity=identity)
            assert here.keeper.logins["ec-intermediate", seen.password] == arrival

    run(story())


def test_a_password_device_keeps_its_own_login_behind_the_one_time_one(run: Run, street) -> None:
    """The auth callout learns the password and the source address of a device without certificate."""

    async def story():
        async with street() as here:
            device = await here.device()
            device.send(CONNECT)
            assert await device.next() == Connack()
            seen = await here.broker.next()
            arrival = here.keeper.logins["someone", seen.password]
            assert arrival == Arrival(source="127.0.0.1", sni="localhost", connect=CONNECT, identity=None)

    run(story())


def test_bytes_pass_in_order_both_ways_from_the_first_on(run: Run, street) -> None:
    """What comes in the same breath as the CONNECT follows it; one byte at a time works as well."""
    following = [
        Subscribe(packet_id=1, filters=(("a/#", 1),)),
        Publish(topic="a/b", payload=b"x" * 5000),
        Pingreq(),
    ]

    async def story():
        async with street() as here:
            hasty, slow = await here.device("ec"), await here.device("rsa")
            hasty.send(CONNECT, *following)
            assert [type(await here.broker.next()) for _ in range(1)] == [Connect]
            assert [await here.broker.next() for _ in following] == following
            for byte in encode(CONNECT) + encode(following[0]):
                slow.writer.write(bytes((byte,)))
                await slow.writer.drain()
            assert isinstance(await here.broker.next(), Connect)
            assert await here.broker.next() == following[0]
            assert [await device.next() for device in (hasty, slow)] == [Connack(), Connack()]
            here.broker.writers[0].write(encode(following[1]))
            assert await hasty.next() == following[1]

    run(story())


def test_a_refused_device_gets_its_code_and_the_broker_never_hears_of_it(run: Run, street, pki) -> None:
    """CONNACK 5 for an unknown certificate, 4 for no login; then the connection is closed."""

    async def story():
        async with street(keeper=Keeper({})) as here:
            with_certificate, without_login = await here.device("rsa-intermediate"), await here.device()
            with_certificate.send(CONNECT)
            without_login.send(Connect(client_id="c"))
            assert await with_certificate.next() == Connack(code=ConnackCode.NOT_AUTHORIZED)
            assert await without_login.next() == Connack(code=ConnackCode.BAD_CREDENTIALS)
            assert await with_certificate.next() is None
            assert await without_login.next() is None
            assert here.broker.packets.empty()
            assert here.front.refusals == {"not_authorized": 1, "bad_credentials": 1}

    run(story())


@pytest.mark.parametrize(
    "raw",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x00", encode(Pingreq()), encode(replace(CONNECT, client_id="x" * 20_000))],
    ids=["http", "zero", "ping", "oversize"],
)
def test_what_is_no_connect_is_closed_without_a_word(run: Run, street, raw) -> None:
    """Garbage, another first packet and an oversize CONNECT end the connection."""

    async def story():
        async with street() as here:
            device = await here.device()
            device.writer.write(raw)
            assert await device.next() is None
            assert here.broker.packets.empty()
            assert here.front.refusals == {"malformed": 1}

    run(story())


def test_another_mqtt_version_gets_connack_1(run: Run, street) -> None:
    """MQTT 5 is told that this is MQTT 3.1.1."""

    async def story():
        async with street() as here:
            device = await here.device()
            device.writer.write(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a")
            assert await device.next() == Connack(code=ConnackCode.UNACCEPTABLE_PROTOCOL)
            assert await device.next() is None

    run(story())


QUICK = FrontLimits(
    sockets=SocketLimits(handshake_timeout=0.2, goodbye_timeout=0.2, handshakes=50), connect_timeout=0.3
)


def test_whoever_stalls_is_closed(run: Run, street) -> None:
    """No handshake, half a handshake, no CONNECT, half a CONNECT: all are gone after their time."""

    async def story():
        async with street(QUICK) as here:
            silent = [await asyncio.open_connection("127.0.0.1", here.port) for _ in range(5)]
            silent[1][1].write(b"\x16\x03\x01")
            mute, halved = await here.device(), await here.device("ec")
            halved.writer.write(encode(CONNECT)[:9])
            assert [await asyncio.wait_for(reader.read(), 30) for reader, _ in silent] == [b""] * 5
            for _, writer in silent:
                writer.close()
            assert [await mute.next(), await halved.next()] == [None, None]
            assert here.front.refusals == {"slow": 2}

    run(story())


class Stubborn(Keeper):
    """Does not know any login, each time in another way."""

    def __init__(self):
        super().__init__({})

    async def login_for(self, arrival):
        if arrival.connect.client_id == "raise":
            raise RuntimeError("a secret")
        await asyncio.sleep(60)


@pytest.mark.parametrize("client_id", ["raise", "hang"])
def test_a_doorkeeper_in_trouble_is_unavailable(run: Run, street, client_id) -> None:
    """A failing or hanging registry gives CONNACK 3, in time."""

    async def story():
        async with street(QUICK, keeper=Stubborn()) as here:
            device = await here.device()
            device.send(replace(CONNECT, client_id=client_id))
            assert await device.next() == Connack(code=ConnackCode.SERVER_UNAVAILABLE)
            assert await device.next() is None

    run(story())


def test_without_a_broker_devices_are_told_to_come_back(run: Run, street, unused_port) -> None:
    """CONNACK 3 while the broker is away."""

    async def story():
        async with street(port=unused_port) as here:
            device = await here.device("ec")
            device.send(CONNECT)
            assert await device.next() == Connack(code=ConnackCode.SERVER_UNAVAILABLE)

    run(story())


def test_a_dead_door_is_no_harm_as_long_as_another_opens(run: Run, street, unused_port) -> None:
    """Devices are passed on to the next; after the first time nobody waits for the dead one."""

    async def story():
        async with street(dead=unused_port) as here:
            for _ in range(4):
                device = await here.device("ec")
                device.send(CONNECT)
                assert await device.next() == Connack(code=ConnackCode.ACCEPTED)
            *others, last = here.front.doors.in_turn()
            assert [False, True] == [port == unused_port for _, port in (*others, last)]

    run(story())


def test_connections_are_bounded_and_places_come_free(run: Run, street) -> None:
    """With two places the third is closed at once; a failed handshake and a leaver free theirs."""
    limits = FrontLimits(sockets=SocketLimits(connections=2, handshake_timeout=5, goodbye_timeout=0.3))

    async def story():
        async with street(limits) as here:
            plain_reader, plain = await asyncio.open_connection("127.0.0.1", here.port)
            plain.write(b"this is no TLS")
            assert await asyncio.wait_for(plain_reader.read(), 30) == b""
            plain.close()
            first, second = await here.device("ec"), await here.device()
            for device in (first, second):
                device.send(CONNECT)
                assert await device.next() == Connack()
            with pytest.raises(OSError):
                await here.device()
            first.send(Disconnect())
            first.writer.close()
            packets = [await here.broker.next() for _ in range(4)]
            assert packets.count(None) == 1
            third = await here.device("rsa")
            third.send(CONNECT)
            assert await third.next() == Connack()

    run(story())


BIG = Publish(topic="t", payload=bytes(1_000_000))


async def sent_until_held(sender: asyncio.StreamWriter) -> int:
    """How many BIG messages go out before the sender is held; the kernel alone takes some ten."""
    for count in range(1, 200):
        sender.write(encode(BIG))
        try:
            await asyncio.wait_for(sender.drain(), 0.3)
        except TimeoutError:
            return count
    pytest.fail("nobody held the sender")


def test_a_slow_reader_holds_its_sender_and_loses_nothing(run: Run, street) -> None:
    """Backpressure reaches through the front, both ways: the sender waits, then all bytes arrive."""

    async def story():
        async with street() as here:
            device = await here.device("ec")
            device.send(CONNECT)
            assert await device.next() == Connack()
            await here.broker.next()
            here.broker.reading.clear()
            for sender, others_next, go in (
                (here.broker.writers[0], device.next, lambda: None),
                (device.writer, here.broker.next, here.broker.reading.set),
            ):
                sent = await sent_until_held(sender)
                go()
                for _ in range(sent):
                    assert await others_next() == BIG
                await asyncio.wait_for(sender.drain(), 30)

    run(story())


def test_the_last_bytes_arrive_before_the_end(run: Run, street) -> None:
    """A device that publishes, disconnects and closes loses nothing; neither does a broker that closes."""
    messages = [Publish(topic="t", payload=bytes(3000), qos=1, packet_id=i + 1) for i in range(100)]

    async def story():
        async with street() as here:
            leaving, left = await here.device("ec"), await here.device("rsa")
            leaving.send(CONNECT)
            assert isinstance(await here.broker.next(), Connect)
            here.broker.writers[0].write(encode(messages[0]))  # unread by the device when it closes
            leaving.send(*messages, Disconnect())
            leaving.writer.close()
            assert [await here.broker.next() for _ in range(102)] == [*messages, Disconnect(), None]
            left.send(CONNECT)
            assert isinstance(await here.broker.next(), Connect)
            here.broker.writers[1].write(b"".join(map(encode, messages)))
            here.broker.writers[1].close()
            assert await left.next() == Connack()
            assert [await left.next() for _ in range(101)] == [*messages, None]

    run(story())


def test_stopping_says_goodbye_to_everyone(run: Run, street) -> None:
    """stop() ends devices and broker connections, also of a device that is still being admitted."""

    async def story():
        async with street(keeper=Stubborn()) as waiting, street() as here:
            connected, admitted = await here.device("ec"), await waiting.device()
            connected.send(CONNECT)
            admitted.send(replace(CONNECT, client_id="hang"))
            assert await connected.next() == Connack()
            await asyncio.gather(here.front.stop(), waiting.front.stop())
            assert [await connected.next(), await admitted.next()] == [None, None]
            assert isinstance(await here.broker.next(), Connect)
            assert await here.broker.next() is None

    run(story())


@pytest.mark.parametrize("name", ["ec", "ec-intermediate", "rsa", "rsa-intermediate"])
def test_paho_speaks_through_the_front_with_a_real_broker(run: Run, street, pki, name, tmp_path) -> None:
    """paho with a client certificate subscribes and publishes with QoS 1, through TLS, to nats-server."""
    got: queue.Queue[bytes] = queue.Queue()
    connected, subscribed = threading.Event(), threading.Event()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311)
    client.tls_set_context(pki.client(pki.devices[name], tmp_path))
    client.on_connect = lambda *_: connected.set()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: got.put(message.payload)

    def speak(port: int) -> None:
        client.connect("localhost", port)
        client.loop_start()
        assert connected.wait(30)
        client.subscribe("room/#", 1)
        assert subscribed.wait(30)
        for number in range(200):
            client.publish("room/a", str(number), qos=1)
        assert [got.get(timeout=30) for _ in range(200)] == [str(number).encode() for number in range(200)]
        client.disconnect()
        client.loop_stop()

    async def story():
        with nats_mqtt(tmp_path) as broker_port:
            async with street(port=broker_port) as here:
                await asyncio.to_thread(speak, here.port)

    run(story())
