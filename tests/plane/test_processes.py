"""Several processes of Muster at one broker: one leads, all answer."""

from collections.abc import Callable
from pathlib import Path

import pytest
from plane_fleet import BOTH
from plane_mqtt import Refused
from plane_station import Station

from muster.core import events
from muster.plane.service import Plane
from muster.plane.sockets import Socket

WhenDone = Callable[[Callable[[], None]], None]


async def _start(station: Station, plane: Plane) -> None:
    plane.start()
    await plane.wait_up(10)


@pytest.fixture
def pair(tmp_path: Path, when_done: WhenDone) -> tuple[Station, Plane]:
    """Give a station whose own plane leads, and a second process that does not."""
    station = Station(tmp_path).start()
    when_done(station.stop)
    second = station.run(_make(station))
    when_done(lambda: station.run(second.stop()))
    return station, second


async def _make(station: Station) -> Plane:
    plane = station.make_plane(leads=False)
    await _start(station, plane)
    return plane


def test_whoever_answers_the_leader_copies_and_cuts(pair: tuple[Station, Plane]):
    """Forty logins are spread over both; each is ready for both address forms at once, and cut."""
    station, second = pair
    for n in range(40):
        device = station.fleet.device(f"shared-{n}", **{f"shared-{n}": BOTH})
        with station.connect(device) as d:
            d.subscribe(f"m/t1/c/shared-{n}/x")
            d.publish(f"channels/shared-{n}/messages/x", "both")
            assert d.heard() == (f"m/t1/c/shared-{n}/x", b"both")
            assert d.is_quiet(0.01)
            assert station.is_live(device)
            station.deliver(events.RIGHTS_CHANGED, device)
            assert d.was_cut()
    answered = [plane.meters.admitted._value.get() for plane in (station.plane, second)]
    assert sum(answered) == 40
    assert min(answered) > 0


def test_a_socket_in_another_process_is_hung_up_too(pair: tuple[Station, Plane]):
    """The word goes to all."""
    station, second = pair
    device = station.fleet.device("far", far_channel=BOTH)
    hung: list[bool] = []

    async def send(_: bytes) -> None:
        return

    async def hang_up() -> None:
        hung.append(True)

    socket = Socket(
        session="t1/far",
        address=station.fleet.channels["far-channel"],
        rest="",
        publisher="far",
        may_publish=True,
        send=send,
        hang_up=hang_up,
    )
    station.run(second.sockets.open(socket, may_subscribe=True))
    station.deliver(events.ACCESS_ENDED, device)
    assert station.eventually(lambda: hung == [True])
    station.run(second.sockets.close(socket))


def test_without_a_leader_devices_come_in_all_the_same(pair: tuple[Station, Plane]):
    """They are answered by whoever is left."""
    station, _ = pair
    station.run(station.plane.stop())
    device = station.fleet.device("leaderless", leaderless=BOTH)
    with station.connect(device) as d:
        d.subscribe("channels/leaderless/messages")
        d.publish("channels/leaderless/messages", "x")
        assert d.heard()[1] == b"x"


def test_without_any_process_nobody_new_comes_in_and_who_is_in_stays(pair: tuple[Station, Plane]):
    """The broker enforces what it was told, and refuses what nobody answers."""
    station, second = pair
    device = station.fleet.device("inside", inside=BOTH)
    with station.connect(device) as d:
        d.subscribe("channels/inside/messages")
        station.run(station.plane.stop())
        station.run(second.stop())
        d.publish("channels/inside/messages", "x")
        assert d.heard()[1] == b"x"
        with pytest.raises((Refused, TimeoutError)):
            station.connect(device, client_id="another")
