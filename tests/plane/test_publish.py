"""Publishing through Muster, and reading a channel's last messages back."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from plane_fleet import BOTH, SUBSCRIBE
from plane_station import Station
from structlog.testing import capture_logs

from muster.core.errors import TooLarge, Unavailable
from muster.core.model import TenantId
from muster.plane.publish import Retention
from muster.plane.subjects import Address, subtopic

WhenDone = Callable[[Callable[[], None]], None]


def publish(station: Station, channel: str, rest: str, payload: bytes, protocol: str = "http") -> None:
    address = station.fleet.channels[channel]
    work = station.plane.publisher.publish(
        address, subtopic(rest), payload, publisher="me", protocol=protocol
    )
    station.run(work)


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("name", ["channels/published-{}/messages", "m/t1/c/published-{}"])
def test_what_is_published_through_muster_arrives_once(station: Station, qos: int, name: str):
    """In both address forms, at readers of any QoS; as QoS 1 at those who asked for that much."""
    channel = f"published-{qos}-{name[0]}"
    device = station.fleet.device(f"d-{channel}", **{channel: SUBSCRIBE})
    name = name.format(f"{qos}-{name[0]}")
    with station.connect(device) as d:
        d.subscribe(f"{name}/#", qos=qos)
        publish(station, channel, "a.b/c", b"payload")
        assert d.next() == (f"{name}/a.b/c", b"payload", min(qos, 1), False)
        assert d.is_quiet()


def test_a_device_that_is_away_finds_it_when_it_comes_back(station: Station):
    """A command sent over HTTP waits for a session that subscribed with QoS 1."""
    device = station.fleet.device("http-away", http_away=SUBSCRIBE)
    with station.connect(device, clean=False) as d:
        d.subscribe("channels/http-away/messages/req", qos=1)
        station.leave(device, d)
    publish(station, "http-away", "req", b"command")
    with station.connect(device, clean=False) as d:
        assert d.next() == ("channels/http-away/messages/req", b"command", 1, False)


def test_a_long_sub_topic_arrives_and_stops_nobody(station: Station):
    """Longer than the broker's usual bound of a line, for which it would hang up on Muster."""
    device = station.fleet.device("long-winded", long_winded=SUBSCRIBE)
    with station.connect(device) as d:
        d.subscribe("channels/long-winded/messages/#")
        for rest in ("x" * 5_000, "y"):
            publish(station, "long-winded", rest, b"payload")
            assert d.heard() == (f"channels/long-winded/messages/{rest}", b"payload")


def test_publishing_is_counted_and_bounded(station: Station):
    """By protocol; a payload over the limit is refused before it reaches the broker."""
    station.fleet.channel("bounded")
    before = station.count("muster_published_total", protocol="http")
    publish(station, "bounded", "", b"x" * station.node.limits.payload_bytes)
    assert station.count("muster_published_total", protocol="http") == before + 1
    with pytest.raises(TooLarge):
        publish(station, "bounded", "", b"x" * (station.node.limits.payload_bytes + 1))


@pytest.mark.parametrize("is_event", [False, True])
@pytest.mark.parametrize(("payload", "said"), [(1024 * 1024, 5_000), (10, 70_000)])
def test_what_is_said_about_a_hono_message_counts(
    station: Station, payload: int, said: int, *, is_event: bool
):
    """Refused as too large, before the broker hangs up for it, on everybody."""
    tenant, hono = TenantId("t1"), station.plane.downstream

    async def send(size: int, headers: dict[str, str]) -> None:
        if is_event:
            await hono.event(tenant, b"x" * size, headers)
        else:
            await hono.telemetry(tenant, b"x" * size, headers, is_sure=True)

    with capture_logs() as logged:
        with pytest.raises(TooLarge):
            station.run(send(payload, {"content-type": "y" * said}))
        station.run(send(10, {"content-type": "y" * 5_000}))
    assert [line for line in logged if line["event"] in {"broker lost", "broker hung up"}] == []


def test_without_a_broker_publishing_and_reading_back_say_so(tmp_path: Path, when_done: WhenDone):
    """A clear refusal, at once."""
    station = Station(tmp_path, retention=Retention())
    when_done(station.stop)
    station.fleet.channel("nowhere")
    with pytest.raises(Unavailable):
        publish(station, "nowhere", "", b"x")
    with pytest.raises(Unavailable):
        station.run(station.plane.publisher.last(station.fleet.channels["nowhere"], 10))


def test_the_last_messages_of_a_channel_are_read_back(tmp_path: Path, when_done: WhenDone):
    """Newest first, whatever form and protocol they came by, and only as many as are kept."""
    station = Station(tmp_path, retention=Retention(messages_per_topic=4)).start()
    when_done(station.stop)
    device = station.fleet.device("read-back", read_back=BOTH)
    other = station.fleet.device("read-other", read_other=BOTH)
    address = station.fleet.channels["read-back"]
    started = time.time_ns()
    with station.connect(device) as d, station.connect(other) as o:
        d.subscribe("m/t1/c/read-back/#", "channels/read-back/messages/#")
        for n in range(5):
            d.publish("channels/read-back/messages/t", f"{n}", qos=1)
        d.publish("m/t1/c/read-back/t", "modern", qos=1)
        o.publish("channels/read-other/messages/t", "foreign", qos=1)
        publish(station, "read-back", "req", b"http")
        assert [d.next()[1] for _ in range(14)]
    messages = station.run(station.plane.publisher.last(address, 10))
    assert [m.payload for m in messages] == [b"http", b"modern", b"4", b"3", b"2"]
    assert [m.topic for m in messages[:3]] == [
        "channels/read-back/messages/req",
        "m/t1/c/read-back/t",
        "channels/read-back/messages/t",
    ]
    assert [(m.publisher, m.protocol) for m in messages[:2]] == [("me", "http"), ("", "mqtt")]
    assert all(started - 10**9 < m.created < time.time_ns() + 10**9 for m in messages)
    assert [m.payload for m in station.run(station.plane.publisher.last(address, 2))] == [b"http", b"modern"]
    assert station.run(station.plane.publisher.last(address, 0)) == []
    assert station.run(station.plane.publisher.last(Address("no-such", "t1"), 5)) == []


def test_nothing_is_kept_unless_it_is_asked_for(station: Station):
    """Off by default."""
    station.fleet.channel("unkept")
    publish(station, "unkept", "", b"x")
    assert station.run(station.plane.publisher.last(station.fleet.channels["unkept"], 10)) == []
