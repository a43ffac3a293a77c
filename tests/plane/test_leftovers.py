"""A channel that is deleted leaves nothing behind for one that gets its id later."""

from collections.abc import Callable
from pathlib import Path

import pytest
from plane_fleet import BOTH, Device
from plane_station import Station

from muster.core.errors import Unavailable
from muster.plane.publish import Retention

FORMS = ("channels/gone/messages/state", "m/t1/c/gone/state", "m/works/c/boiler/state")


@pytest.fixture
def keeping(tmp_path: Path, when_done: Callable[[Callable[[], None]], None]) -> Station:
    station = Station(tmp_path, retention=Retention()).start()
    when_done(station.stop)
    return station


def _retained(station: Station, device: Device, topic: str) -> bool:
    with station.connect(device) as d:
        d.subscribe(topic)
        return not d.is_empty()


@pytest.mark.parametrize("is_restarted", [False, True])
def test_what_was_said_on_a_channel_is_gone_with_it(keeping: Station, is_restarted: bool) -> None:
    """Retained or kept to be read back, under each of its names; also for a broker that starts anew."""
    keeping.fleet.channel("gone", route="boiler", alias="works")
    keeping.fleet.channel("stays")
    device = keeping.fleet.device("d", gone=BOTH, stays=BOTH)
    with keeping.connect(device) as d:
        d.publish(FORMS[0], "on", qos=1, retain=True)
        d.publish("channels/stays/messages/state", "on", qos=1, retain=True)
    for topic in (*FORMS, "m/t1/c/stays/state"):
        assert keeping.eventually(lambda topic=topic: _retained(keeping, device, topic))
    keeping.delete_channel("gone")
    if is_restarted:
        keeping.run(keeping.broker.stop())
        keeping.run(keeping.broker.start())
        keeping.run(keeping.plane.wait_up(10))
    for topic in FORMS:
        assert keeping.eventually(lambda topic=topic: not _retained(keeping, device, topic))
    assert _retained(keeping, device, "channels/stays/messages/state")
    last = keeping.plane.publisher.last
    assert [] == keeping.run(last(keeping.fleet.channels["gone"], 10))
    assert [b"on"] == [m.payload for m in keeping.run(last(keeping.fleet.channels["stays"], 10))]


def test_a_channel_on_which_nothing_was_ever_said_is_deleted_too(keeping: Station) -> None:
    """No device has connected yet, so the broker has not even the places where to keep anything."""
    keeping.fleet.channel("gone")
    keeping.delete_channel("gone")
    assert keeping.plane.is_up


def test_a_deletion_waits_for_the_broker(
    tmp_path: Path, when_done: Callable[[Callable[[], None]], None]
) -> None:
    """The outbox is told to come again."""
    station = Station(tmp_path)
    when_done(station.stop)
    station.fleet.channel("gone")
    with pytest.raises(Unavailable):
        station.delete_channel("gone")
