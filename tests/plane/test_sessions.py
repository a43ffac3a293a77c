"""When rights change the session ends at once, and nothing kept for it comes out later."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from plane_fleet import BOTH, PUBLISH, SUBSCRIBE, Device
from plane_mqtt import Refused
from plane_station import Station

from muster.core import events
from muster.core.errors import Unavailable

ENDED, CHANGED, CLOSED = events.ACCESS_ENDED, events.RIGHTS_CHANGED, events.TENANT_CLOSED


def _disable(device: Device) -> None:
    device.is_enabled = False


@pytest.mark.parametrize("topic", [ENDED, CHANGED, CLOSED])
def test_a_change_of_rights_cuts_the_session(station: Station, topic: str):
    """Whatever the outbox says of the device."""
    name = f"cut-{topic}".replace(".", "-")
    device = station.fleet.device(name, f"tenant-{name}", **{name: BOTH})
    bystander = station.fleet.device(f"by-{name}", f"by-{name}", **{f"by-{name}": BOTH})
    with station.connect(device) as d, station.connect(bystander) as b:
        assert station.is_live(device)
        station.deliver(topic, device)
        assert d.was_cut()
        assert not b.was_cut(0.1)
    assert station.is_gone(device)


def test_a_device_returns_with_its_new_rights(station: Station):
    """Connected to one more channel and disconnected from another, it finds both done."""
    device = station.fleet.device("returns", returns_a=BOTH)
    station.fleet.channel("returns-b")
    with station.connect(device) as d:
        assert station.is_live(device)
        assert d.subscribe("channels/returns-a/messages") == [0]
        device.channels = {"returns-b": BOTH}
        station.deliver(CHANGED, device)
        assert d.was_cut(1)
    with station.connect(device) as d:
        assert d.subscribe("channels/returns-a/messages", "channels/returns-b/messages") == [0x80, 0]


def test_a_disabled_device_is_cut_and_stays_out(station: Station):
    """Its will is not sent either: it may not publish any more."""
    device = station.fleet.device("disabled", disabled_channel=BOTH)
    reader = station.fleet.device("disabled-reader", disabled_channel=SUBSCRIBE)
    will = ("channels/disabled-channel/messages/gone", b"gone")
    with station.connect(reader) as r, station.connect(device, will=will) as d:
        r.subscribe("channels/disabled-channel/messages/#")
        assert station.is_live(device)
        device.is_enabled = False
        station.deliver(ENDED, device)
        assert d.was_cut(1)
        with pytest.raises(Refused):
            station.connect(device)
        assert r.is_quiet()


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("is_away", [True, False])
def test_a_kept_session_of_a_revoked_device_receives_nothing_more(station: Station, qos: int, is_away: bool):
    """Neither what was queued for it nor what comes new, even when it is let in again later."""
    name = f"kept-{qos}-{is_away}"
    device = station.fleet.device(name, **{name: SUBSCRIBE})
    writer = station.fleet.device(f"w-{name}", **{name: PUBLISH})
    topic = f"channels/{name}/messages/x"
    with station.connect(device, clean=False) as d, station.connect(writer) as w:
        assert d.subscribe(topic, qos=qos) == [qos]
        if is_away:
            station.leave(device, d)
            w.publish(topic, "queued", qos=qos)
        device.is_enabled = False
        station.deliver(ENDED, device)
        assert is_away or d.was_cut(1)
        w.publish(topic, "new", qos=qos)
        assert d.is_quiet()
        device.is_enabled = True
        with station.connect(device, clean=False) as again:
            assert not again.session_present
            assert again.is_quiet()


def test_a_kept_session_loses_what_it_may_no_longer_read(station: Station):
    """Disconnected from the channel while away, it is given nothing of it, also once connected again."""
    device = station.fleet.device("loses", loses_a=SUBSCRIBE, loses_b=SUBSCRIBE)
    writer = station.fleet.device("loses-w", loses_a=PUBLISH)
    with station.connect(device, clean=False) as d:
        d.subscribe("channels/loses-a/messages", qos=1)
        station.leave(device, d)
    with station.connect(writer) as w:
        w.publish("channels/loses-a/messages", "queued", qos=1)
        device.channels["loses-a"] = (False, False)
        station.deliver(CHANGED, device)
        w.publish("channels/loses-a/messages", "new", qos=1)
    device.channels["loses-a"] = SUBSCRIBE
    station.deliver(CHANGED, device)
    with station.connect(device, clean=False) as d:
        assert d.is_quiet()


def test_a_kept_session_is_left_alone_by_changes_that_take_nothing_from_it(station: Station):
    """Connected to a further channel while away, it still finds what was queued."""
    device = station.fleet.device("gains", gains_a=SUBSCRIBE)
    writer = station.fleet.device("gains-w", gains_a=PUBLISH)
    station.fleet.channel("gains-b")
    with station.connect(device, clean=False) as d:
        d.subscribe("channels/gains-a/messages", qos=1)
        station.leave(device, d)
    with station.connect(writer) as w:
        w.publish("channels/gains-a/messages", "queued", qos=1)
    device.channels["gains-b"] = SUBSCRIBE
    station.deliver(CHANGED, device)
    with station.connect(device, clean=False) as d:
        assert d.session_present
        assert d.next()[1] == b"queued"


def test_who_was_let_in_just_before_the_cut_is_cut_too(station: Station):
    """A login decided with the old rights that reaches the broker after the cut does not slip through."""
    device = station.fleet.device("slips", slips=BOTH)
    station.fleet.delay["slips"] = lambda: station.deliver_soon(CHANGED, device)
    assert _is_out_within(2, station, device)
    with station.connect(device) as d:
        assert not d.was_cut(0.3)


def test_who_came_with_the_rights_of_now_is_not_cut_for_how_they_came_about(station: Station):
    """It connected right behind the change, before the outbox told of it: connected, enabled or rotated."""
    device = station.fleet.device("prompt", prompt=BOTH)
    device.proof = "its secret"
    with station.connect(device, clean=False) as d:
        d.subscribe("channels/prompt/messages", qos=1)
        assert station.is_live(device)
        for topic in (CHANGED, ENDED):
            station.deliver(topic, device)
        assert not d.was_cut(0.3)
        device.proof = "another secret"
        station.deliver(CHANGED, device)
        assert d.was_cut(1)


def test_who_is_let_in_while_the_outbox_tells_of_its_rights_stays(station: Station):
    """The login was decided with the new rights already, and reached the broker after the event."""
    device = station.fleet.device("meanwhile", meanwhile=BOTH)
    device.proof = "its secret"
    station.fleet.delay["meanwhile"] = lambda: station.deliver_soon(CHANGED, device)
    with station.connect(device) as d:
        assert not d.was_cut(0.5)


def test_who_came_back_but_may_no_longer_read_what_is_kept_for_it_finds_it_gone(station: Station):
    """It was out and is in again before the outbox told so; its kept session is of the time before."""
    device = station.fleet.device("kept-before", kept_a=BOTH, kept_b=BOTH)
    device.proof = "its secret"
    with station.connect(device, clean=False) as d:
        d.subscribe("channels/kept-a/messages", qos=1)
        station.leave(device, d)
    del device.channels["kept-a"]
    with station.connect(device, clean=False) as d:
        assert station.is_live(device)
        station.deliver(ENDED, device)
        assert d.was_cut(1)
    with station.connect(device, clean=False) as d:
        assert not d.session_present


def _is_out_within(seconds: float, station: Station, device: Device) -> bool:
    """Connect; say whether the connection ends, if it is not ended before its CONNACK."""
    try:
        with station.connect(device) as d:
            return d.was_cut(seconds)
    except Refused:
        return True


def test_the_will_of_a_device_that_lost_its_channel_is_not_sent(station: Station):
    """That of one that keeps its right to publish is: it vanished, as far as others can tell."""
    loser = station.fleet.device("will-loser", will_lost=PUBLISH, will_other=BOTH)
    keeper = station.fleet.device("will-keeper", will_lost=PUBLISH)
    reader = station.fleet.device("will-listener", will_lost=SUBSCRIBE)
    topic = "channels/will-lost/messages/gone"
    with station.connect(reader) as r:
        r.subscribe(topic)
        with (
            station.connect(loser, will=(topic, b"loser")) as d,
            station.connect(keeper, will=(topic, b"keeper")) as k,
        ):
            assert station.is_live(loser)
            assert station.is_live(keeper)
            del loser.channels["will-lost"]
            for device, connection in ((loser, d), (keeper, k)):
                station.deliver(CHANGED, device)
                assert connection.was_cut(1)
            assert r.heard() == (topic, b"keeper")
            assert r.is_quiet()


def test_a_released_client_id_is_not_remembered(station: Station):
    """Once the core has given a client id to another device, the first one is refused again."""
    first = station.fleet.device("releasing", releasing_channel=BOTH)
    second = station.fleet.device("taking", releasing_channel=BOTH)
    with station.connect(first, client_id="handed-on"):
        assert station.is_live(first)
    station.deliver(ENDED, first)
    del station.fleet.claims["handed-on"]
    with station.connect(second, client_id="handed-on"), pytest.raises(Refused):
        station.connect(first, client_id="handed-on")


def test_comings_and_goings_are_reported(station: Station):
    """When, how and from where a device connected and disconnected."""
    device = station.fleet.device("seen", seen_channel=BOTH)
    before = time.time_ns() // 1000
    with station.connect(device):
        assert station.eventually(lambda: _seen(station, "seen") == [True])
    assert station.eventually(lambda: _seen(station, "seen") == [True, False])
    came, went = (s for s in station.fleet.sightings if s.device_id == "seen")
    assert before < came.at < went.at
    assert (came.tenant_id, came.protocol, came.source) == ("t1", "mqtt", "127.0.0.1")
    assert (went.tenant_id, went.protocol, went.source) == ("t1", "mqtt", "127.0.0.1")


def _seen(station: Station, device: str) -> list[bool]:
    return [s.is_connected for s in station.fleet.sightings if s.device_id == device]


def test_an_event_waits_for_the_broker(tmp_path: Path, when_done: Callable[[Callable[[], None]], None]):
    """While it is away the outbox is told to come again; when it is back the change is done."""
    station = Station(tmp_path)
    when_done(station.stop)
    device = station.fleet.device("waits", waits=BOTH)
    with pytest.raises(Unavailable):
        station.deliver(CHANGED, device)
    station.start()
    with station.connect(device) as d:
        assert station.is_live(device)
        station.deliver(CHANGED, device)
        assert d.was_cut(1)
