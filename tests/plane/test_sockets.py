"""The WebSocket door: one connection, one place of a channel."""

import queue

import pytest
from plane_fleet import BOTH, Device
from plane_station import Station

from muster.core import events
from muster.core.errors import Forbidden
from muster.plane.sockets import Socket


class Ear:
    """The client's end: what was sent to it, and whether it was hung up on."""

    def __init__(self, station: Station, channel: str, rest: str = "", *, may_publish: bool = True) -> None:
        self.heard: queue.Queue[bytes] = queue.Queue()
        self.is_hung_up = False
        self.socket = Socket(
            session=f"t1/{channel}-ws",
            address=station.fleet.channels[channel],
            rest=rest,
            publisher="ws-publisher",
            may_publish=may_publish,
            send=self._send,
            hang_up=self._hang_up,
        )

    async def _send(self, payload: bytes) -> None:
        self.heard.put(payload)

    async def _hang_up(self) -> None:
        self.is_hung_up = True

    def is_quiet(self) -> bool:
        try:
            self.heard.get(timeout=0.3)
        except queue.Empty:
            return True
        return False


@pytest.mark.parametrize("name", ["channels/socket/messages", "m/t1/c/socket"])
def test_a_socket_hears_both_address_forms_once_and_speaks_to_both(station: Station, name: str):
    """Only its own sub-topic, and its own messages too, as upstream does."""
    device = station.fleet.device("socket-device", socket=BOTH)
    ear = Ear(station, "socket", ".temperature")
    station.run(station.plane.sockets.open(ear.socket, may_subscribe=True))
    with station.connect(device) as d:
        d.subscribe(f"{name}/temperature")
        d.publish(f"{name}/humidity", "40")
        d.publish(f"{name}/temperature", "21")
        assert ear.heard.get(timeout=30) == b"21"
        assert d.heard() == (f"{name}/temperature", b"21")
        station.run(station.plane.sockets.receive(ear.socket, b"22"))
        assert d.heard() == (f"{name}/temperature", b"22")
        assert ear.heard.get(timeout=30) == b"22"
        assert d.is_quiet()
        assert ear.is_quiet()
        station.run(station.plane.sockets.close(ear.socket))
        d.publish(f"{name}/temperature", "23")
        assert ear.is_quiet()


def test_a_socket_is_bound_by_its_rights(station: Station):
    """Without the right to publish what comes in is refused; without that to subscribe nothing comes out."""
    station.fleet.channel("bound")
    ear = Ear(station, "bound", may_publish=False)
    station.run(station.plane.sockets.open(ear.socket, may_subscribe=False))
    with pytest.raises(Forbidden):
        station.run(station.plane.sockets.receive(ear.socket, b"x"))
    work = station.plane.publisher.publish(
        station.fleet.channels["bound"], "", b"x", publisher="p", protocol="http"
    )
    station.run(work)
    assert ear.is_quiet()
    station.run(station.plane.sockets.close(ear.socket))


@pytest.mark.parametrize(
    ("topic", "key"),
    [
        (events.USER_CHANGED, "jane"),
        (events.CHANNEL_CLOSED, "visited"),
        (events.CHANNEL_DELETED, "visited"),
        (events.TENANT_CLOSED, ""),
    ],
)
def test_a_user_is_hung_up_on_whatever_ends_the_visit(station: Station, topic: str, key: str):
    """Disabled or gone from the tenant, or the channel or the tenant is closed; others go on."""
    station.fleet.channel("visited")
    station.fleet.channel("also-visited", "t9")
    ear, other = Ear(station, "visited"), Ear(station, "also-visited")
    ear.socket.session, other.socket.session = "user/jane", "user/joe"
    for each in (ear, other):
        station.run(station.plane.sockets.open(each.socket, may_subscribe=True))
    station.deliver(topic, Device("t1", key, ""))
    assert station.eventually(lambda: ear.is_hung_up)
    assert not other.is_hung_up
    for each in (ear, other):
        station.run(station.plane.sockets.close(each.socket))


@pytest.mark.parametrize("topic", [events.RIGHTS_CHANGED, events.ACCESS_ENDED, events.TENANT_CLOSED])
def test_a_change_of_rights_hangs_up(station: Station, topic: str):
    """In whatever process the socket is; others go on."""
    station.fleet.channel("hung")
    station.fleet.channel("not-hung", "t9")
    ear, other = Ear(station, "hung"), Ear(station, "not-hung")
    other.socket.session = "t9/not-hung-ws"
    for each in (ear, other):
        station.run(station.plane.sockets.open(each.socket, may_subscribe=True))
    device = station.fleet.device("hung-ws")
    station.deliver(topic, device)
    assert station.eventually(lambda: ear.is_hung_up)
    assert not other.is_hung_up
    for each in (ear, other):
        station.run(station.plane.sockets.close(each.socket))
