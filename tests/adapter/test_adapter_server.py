"""The adapter's sockets: raw devices; nobody stalls, floods or outlives a cut."""

import asyncio
import json

import pytest

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.actions import CloseReason, Rules
from muster.plane.adapter.packets import (
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    encode,
)
from muster.plane.adapter.ports import (
    AdapterDevice,
    AdapterRefusal,
    Command,
    Delivery,
    Evidence,
    MessageKind,
)
from muster.plane.adapter.server import AdapterLimits
from muster.plane.listener import SocketLimits
from tests.adapter.station import PATIENCE, T, qos1, run, site

__all__ = ["run"]


def test_a_device_connects_publishes_and_leaves(run) -> None:
    """CONNACK, PUBACK after the forwarding, PINGRESP, and a clean end."""

    async def story():
        async with site() as here:
            device = await here.known()
            device.send(qos1(1), Pingreq(), qos1(2, "e"), Disconnect())
            assert sorted([repr(await device.next()) for _ in range(1)]) == [repr(Pingresp())]
            messages = await here.world.have(2)
            assert [message.kind for message in messages] == [MessageKind.TELEMETRY, MessageKind.EVENT]
            assert await device.next() is None
        assert here.adapter.closes == {CloseReason.DISCONNECTED: 1}

    run(story())


def test_one_byte_at_a_time_over_a_socket(run) -> None:
    """Every packet in pieces of one byte, each in its own segment."""

    async def story():
        async with site() as here:
            device = await here.device()
            script = [Connect(client_id="c", username="d0@T", password=b"pw"), qos1(1), Pingreq()]
            for byte in b"".join(map(encode, script)):
                device.writer.write(bytes((byte,)))
                await device.writer.drain()
            assert await device.next() == Connack()
            answers = {repr(await device.next()) for _ in range(2)}
            assert answers == {repr(Puback(packet_id=1)), repr(Pingresp())}

    run(story())


def test_a_wrong_password_gets_connack_4(run) -> None:
    """The device is told, though it already sent more, and the connection ends."""

    async def story():
        async with site() as here:
            device = await here.device()
            device.send(Connect(client_id="c", username="d0@T", password=b"no"), qos1(1), qos1(2))
            assert await device.next() == Connack(code=ConnackCode.BAD_CREDENTIALS)
            assert await device.next() is None
            assert here.world.messages == []
            (evidence,) = here.world.evidence
            assert evidence.source == "127.0.0.1"

    run(story())


@pytest.mark.parametrize(
    "trouble", [RuntimeError("secret"), TimeoutError(), None], ids=["raise", "time", "hang"]
)
def test_ports_in_trouble_are_unavailable(run, trouble) -> None:
    """An authentication that fails, times out or hangs gives CONNACK 3."""

    async def story():
        limits = AdapterLimits(sockets=SocketLimits(goodbye_timeout=0.3), port_timeout=0.2)
        async with site(limits=limits) as here:
            device = await here.device()
            here.world.trouble = trouble
            if trouble is None:
                here.world.gate.clear()
            device.send(Connect(client_id="c", username="d0@T", password=b"pw"))
            assert await device.next() == Connack(code=ConnackCode.SERVER_UNAVAILABLE)
            assert await device.next() is None

    run(story())


def test_a_message_that_cannot_be_forwarded_is_a_503(run) -> None:
    """The broker's trouble reaches the device as an error report, not as a traceback."""

    async def story():
        async with site() as here:
            device = await here.known()
            device.send(Subscribe(packet_id=9, filters=(("error///#", 0),)))
            assert await device.next() == Suback(packet_id=9, codes=(0,))
            here.world.trouble = RuntimeError("secret")
            device.send(qos1(1))
            report = await device.next()
            assert isinstance(report, Publish)
            assert json.loads(report.payload)["code"] == 503
            assert b"secret" not in report.payload
            assert await device.next() == Puback(packet_id=1)

    run(story())


def test_messages_are_forwarded_in_order_and_backpressure_holds(run) -> None:
    """A device may not run ahead of the broker; then all arrives in order, acknowledged in order."""

    async def story():
        async with site(Rules(in_flight=8)) as here:
            device = await here.known()
            here.world.gate.clear()
            big = [
                Publish(topic="t", payload=str(n).encode().ljust(60_000), qos=1, packet_id=n + 1)
                for n in range(500)
            ]
            device.send(*big)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(device.writer.drain(), 0.3)
            assert here.world.messages == []
            here.world.gate.set()
            acks = [await device.next() for _ in big]
            assert acks == [Puback(packet_id=packet.packet_id) for packet in big]
            assert [message.payload for message in here.world.messages] == [packet.payload for packet in big]

    run(story())


def test_messages_under_way_arrive_though_the_device_is_gone(run) -> None:
    """Publish, disconnect, close: what was read is forwarded."""

    async def story():
        async with site() as here:
            device = await here.known()
            here.world.gate.clear()
            device.send(*(qos1(n) for n in range(1, 51)), Disconnect())
            assert await device.next() is None
            device.writer.close()
            here.world.gate.set()
            payloads = [int(message.payload) for message in await here.world.have(50)]
            assert payloads == list(range(1, 51))

    run(story())


def test_whoever_stalls_is_closed(run) -> None:
    """No CONNECT, half a CONNECT, and silence beyond the keep alive."""

    async def story():
        async with site(Rules(connect_timeout=0.2)) as here:
            mute, halved = await here.device(), await here.device()
            halved.writer.write(encode(Connect(client_id="c"))[:7])
            silent = await here.device()
            silent.send(Connect(client_id="c", keep_alive=1, username="d0@T", password=b"pw"))
            assert await silent.next() == Connack()
            assert [await mute.next(), await halved.next(), await silent.next()] == [None, None, None]
        assert here.adapter.closes == {CloseReason.SLOW: 2, CloseReason.SILENT: 1}

    run(story())


def test_a_device_that_does_not_read_is_not_read(run) -> None:
    """Answers nobody takes hold back further requests, so they cannot fill the memory."""

    async def story():
        async with site() as here:
            device = await here.known()
            device.send(Subscribe(packet_id=1, filters=(("e///#", 0),)))
            assert await device.next() == Suback(packet_id=1, codes=(0,))
            device.writer.transport.pause_reading()
            topic = f"nonsense/?on-error=ignore&correlation-id={'c' * 2000}"
            flood = encode(Publish(topic=topic, payload=b"")) * 500
            for _ in range(100):
                device.writer.write(flood)
                try:
                    await asyncio.wait_for(device.writer.drain(), 1.0)
                except TimeoutError:
                    return
            pytest.fail("nobody held the flood")

    run(story())


def test_sessions_are_bounded(run) -> None:
    """The device beyond the bound gets CONNACK 3, and its place when another leaves."""

    async def story():
        async with site(limits=AdapterLimits(sessions=2, sockets=SocketLimits(goodbye_timeout=0.3))) as here:
            first, _second = await here.known("d1"), await here.known("d2")
            assert here.adapter.roll.count == 2
            third = await here.device()
            third.send(Connect(client_id="c", username="d3@T", password=b"pw"))
            assert await third.next() == Connack(code=ConnackCode.SERVER_UNAVAILABLE)
            first.send(Disconnect())
            assert await first.next() is None
            await here.known("d3")

    run(story())


def test_sockets_are_bounded(run) -> None:
    """Sockets that never say anything are few, and do not keep devices out for long."""

    async def story():
        limits = AdapterLimits(sockets=SocketLimits(handshakes=3, goodbye_timeout=0.3))
        async with site(Rules(connect_timeout=0.3), limits) as here:
            mute = [await here.device() for _ in range(3)]
            fourth = await here.device()
            assert await fourth.next() is None
            assert [await device.next() for device in mute] == [None] * 3
            async with asyncio.timeout(PATIENCE):
                while here.adapter.sockets:  # noqa: ASYNC110 - a test's patience, not a program's
                    await asyncio.sleep(0.01)
            await here.known()

    run(story())


def test_a_cut_ends_the_sessions_of_the_device_and_no_others(run) -> None:
    """By device, then by tenant; nothing sent afterwards is forwarded."""

    async def story():
        async with site() as here:
            twice = [await here.known("d0") for _ in range(2)]
            other, foreign = await here.known("d1"), await here.device()
            foreign.send(Connect(client_id="c", username="d0@U", password=b"pw"))
            assert await foreign.next() == Connack()
            assert here.adapter.cut(T, DeviceId("d0")) == 2
            for device in twice:
                device.send(qos1(1))
                assert await device.next() is None
            other.send(Pingreq())
            assert await other.next() == Pingresp()
            assert here.adapter.cut(T) == 1
            assert await other.next() is None
            foreign.send(Pingreq())
            assert await foreign.next() == Pingresp()
            assert here.adapter.cut(T) == 0
            assert here.world.messages == []

    run(story())


def test_a_change_of_rights_leaves_who_came_behind_it(run) -> None:
    """Cut is who was let in by what is no more, who cannot be compared, and who no answer is got for."""

    async def story():
        async with site() as here:
            connected = {name: await here.known(name) for name in ("d0", "d1", "d2")}
            here.world.stale.add(DeviceId("d1"))
            assert await here.adapter.refresh(T, DeviceId("d0")) == 0
            assert await here.adapter.refresh(T, DeviceId("d1")) == 1
            assert await connected["d1"].next() is None
            connected["d0"].send(Pingreq())
            assert await connected["d0"].next() == Pingresp()
            here.world.trouble = RuntimeError("no store")
            assert await here.adapter.refresh(T, DeviceId("d2")) == 1
            assert await connected["d2"].next() is None

    run(story())


@pytest.mark.parametrize("device_id", [DeviceId("d0"), None], ids=["device", "tenant"])
@pytest.mark.parametrize("is_barred", [False, True], ids=["old news", "barred"])
def test_a_cut_during_the_authentication_is_not_missed(run, device_id, is_barred) -> None:
    """A device is judged again when its rights changed meanwhile: what holds is what they are now."""

    async def story():
        async with site() as here:
            here.world.gate.clear()
            device = await here.device()
            device.send(Connect(client_id="c", username="d0@T", password=b"pw"))
            await asyncio.wait_for(here.world.asked.wait(), PATIENCE)
            here.adapter.cut(TenantId("U"), device_id)
            here.adapter.cut(T, device_id)
            here.world.is_barred = is_barred
            here.world.gate.set()
            code = ConnackCode.NOT_AUTHORIZED if is_barred else ConnackCode.ACCEPTED
            assert await device.next() == Connack(code=code)
            assert len(here.world.evidence) == 2


def test_who_is_cut_each_time_it_is_judged_may_come_back_later(run) -> None:
    """After three times it is told so."""

    async def story():
        async with site() as here:
            judged = here.world.authenticate

            async def cut_and_judge(evidence: Evidence) -> AdapterDevice | AdapterRefusal:
                answer = await judged(evidence)
                here.adapter.cut(T)
                return answer

            here.world.authenticate = cut_and_judge
            here.adapter.ports = here.world
            device = await here.device()
            device.send(Connect(client_id="c", username="d0@T", password=b"pw"))
            assert await device.next() == Connack(code=ConnackCode.SERVER_UNAVAILABLE)
            assert len(here.world.evidence) == 3

    run(story())


def test_commands_reach_the_device_and_are_answered(run) -> None:
    """Registered, delivered with QoS 1 once acknowledged, answered; unregistered when the device leaves."""

    async def story():
        async with site() as here:
            device = await here.known()
            device.send(Subscribe(packet_id=1, filters=(("c///q/#", 1),)))
            assert await device.next() == Suback(packet_id=1, codes=(1,))
            ((wanted, deliver),) = here.world.delivers.items()
            command = Command(device_id=wanted.device_id, name="set", payload=b"on", request_id="r")
            delivery = asyncio.create_task(deliver(command))
            assert await device.next() == Publish(topic="c///q/r/set", payload=b"on", qos=1, packet_id=1)
            assert not delivery.done()
            device.send(Puback(packet_id=1), Publish(topic="c///s/r/200", payload=b"done"))
            assert await delivery is Delivery.ACCEPTED
            unacked = asyncio.create_task(deliver(command))
            assert isinstance(await device.next(), Publish)
            device.writer.close()
            assert await unacked is Delivery.RELEASED
            kinds = [(message.kind, message.ttd, message.status) for message in await here.world.have(3)]
            event = MessageKind.EVENT
            assert kinds == [(event, -1, None), (MessageKind.COMMAND_RESPONSE, None, 200), (event, 0, None)]
            assert here.world.delivers == {}
            assert await deliver(command) is Delivery.RELEASED

    run(story())


def test_an_unacknowledged_command_is_released(run) -> None:
    """After its time, while the connection stays."""

    async def story():
        async with site(Rules(command_timeout=0.1)) as here:
            device = await here.known()
            device.send(Subscribe(packet_id=1, filters=(("c///q/#", 1),)))
            assert await device.next() == Suback(packet_id=1, codes=(1,))
            (deliver,) = here.world.delivers.values()
            assert await deliver(Command(device_id=DeviceId("d0"), name="set")) is Delivery.RELEASED
            device.send(Pingreq())
            assert isinstance(await device.next(), Publish)
            assert await device.next() == Pingresp()

    run(story())


def test_stopping_waits_for_messages_under_way(run) -> None:
    """stop() ends the connections, then what was read still arrives."""

    async def story():
        async with site() as here:
            device = await here.known()
            here.world.asked.clear()
            here.world.gate.clear()
            device.send(qos1(1), qos1(2))
            await asyncio.wait_for(here.world.asked.wait(), PATIENCE)
            stopping = asyncio.create_task(here.adapter.stop())
            assert await device.next() is None
            here.world.gate.set()
            await stopping
            assert len(here.world.messages) == 2
            with pytest.raises(OSError):
                await here.device()

    run(story())
