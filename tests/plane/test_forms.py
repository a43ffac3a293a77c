"""Both address forms of a channel meet, on a real broker with real clients."""

import itertools

import pytest
from plane_fleet import BOTH, PUBLISH, SUBSCRIBE
from plane_station import Station
from structlog.testing import capture_logs

QOS = [0, 1, 2]


def names(channel: str) -> dict[str, str]:
    return {"channels": f"channels/{channel}/messages", "m": f"m/t1/c/{channel}"}


@pytest.mark.parametrize(("sent", "read"), list(itertools.product(["channels", "m"], repeat=2)))
@pytest.mark.parametrize("qos", QOS)
def test_a_message_in_either_form_arrives_once_at_a_reader_of_either(
    station: Station, sent: str, read: str, qos: int
):
    """Sent right after the SUBACK, it arrives under the reader's form, with the QoS of both."""
    channel = f"forms-{sent}-{read}-{qos}"
    writer = station.fleet.device(f"w-{channel}", **{channel: PUBLISH})
    reader = station.fleet.device(f"r-{channel}", **{channel: SUBSCRIBE})
    with station.connect(writer) as w, station.connect(reader) as r:
        assert r.subscribe(f"{names(channel)[read]}/#", qos=qos) == [qos]
        w.publish(f"{names(channel)[sent]}/a/b.c", "one", qos=qos)
        w.publish(names(channel)[sent], "two", qos=qos)
        # Two topics: MQTT orders the messages of one.
        assert {r.next(), r.next()} == {
            (f"{names(channel)[read]}/a/b.c", b"one", qos, False),
            (names(channel)[read], b"two", qos, False),
        }
        assert r.is_quiet()


@pytest.mark.parametrize("read", ["channels", "m"])
def test_a_reader_that_was_there_before_meets_a_writer_that_comes_later(station: Station, read: str):
    """Copies do not end when the grace after a login does."""
    channel = f"later-{read}"
    other = "m" if read == "channels" else "channels"
    writer = station.fleet.device(f"w-{channel}", **{channel: BOTH})
    reader = station.fleet.device(f"r-{channel}", **{channel: BOTH})
    with station.connect(reader) as r:
        r.subscribe(f"{names(channel)[read]}/x")
        assert r.is_quiet(0.6)
        with station.connect(writer) as w:
            w.publish(f"{names(channel)[other]}/x", "late")
            assert r.heard() == (f"{names(channel)[read]}/x", b"late")


def test_a_reader_of_both_forms_is_given_the_message_once_under_each(station: Station):
    """Two subscriptions of one session are two subscriptions, as everywhere in MQTT."""
    device = station.fleet.device("both-forms", both_forms_channel=BOTH)
    with station.connect(device) as d:
        d.subscribe("channels/both-forms-channel/messages/#", "m/t1/c/both-forms-channel/#")
        d.publish("m/t1/c/both-forms-channel/x", "once")
        heard = sorted([d.heard(), d.heard()])
        assert heard == [
            ("channels/both-forms-channel/messages/x", b"once"),
            ("m/t1/c/both-forms-channel/x", b"once"),
        ]
        assert d.is_quiet()


def test_route_and_alias_are_names_of_the_channel_too(station: Station):
    """`m/<alias>/c/<route>` reaches the same channel as its ids do."""
    station.fleet.channel("c-17", "tenant-17", route="boiler", alias="works")
    writer = station.fleet.device("w-route", "tenant-17", c_17=PUBLISH)
    reader = station.fleet.device("r-route", "tenant-17", c_17=SUBSCRIBE)
    with station.connect(writer) as w, station.connect(reader) as r:
        assert r.subscribe("m/works/c/boiler/+") == [0]
        for name in ("channels/c-17/messages", "m/tenant-17/c/c-17", "m/works/c/c-17", "m/works/c/boiler"):
            w.publish(f"{name}/t", name)
            assert r.heard() == ("m/works/c/boiler/t", name.encode())
        assert r.is_quiet()


@pytest.mark.parametrize(("sent", "read"), [("channels", "m"), ("m", "channels")])
def test_a_retained_message_is_retained_under_the_other_form_and_removed_there(
    station: Station, sent: str, read: str
):
    """Who subscribes later finds it, marked as retained; an empty one removes it under both."""
    channel = f"retained-{sent}"
    writer = station.fleet.device(f"w-{channel}", **{channel: PUBLISH})
    reader = station.fleet.device(f"r-{channel}", **{channel: SUBSCRIBE})
    with station.connect(writer) as w:
        w.publish(f"{names(channel)[sent]}/state", "on", qos=1, retain=True)
        assert station.eventually(
            lambda: _retained(station, reader, f"{names(channel)[read]}/state") == b"on"
        )
        w.publish(f"{names(channel)[sent]}/state", "", qos=1, retain=True)
        assert station.eventually(lambda: _retained(station, reader, f"{names(channel)[read]}/state") is None)


def _retained(station: Station, reader, topic: str) -> bytes | None:
    with station.connect(reader) as r:
        r.subscribe(topic)
        if r.is_empty():
            return None
        _, payload, _, is_retained = r.next()
        assert is_retained
        return payload


def test_a_will_reaches_readers_of_the_other_form(station: Station):
    """The broker publishes a will like any message."""
    writer = station.fleet.device("w-will", will_channel=PUBLISH)
    reader = station.fleet.device("r-will", will_channel=SUBSCRIBE)
    with station.connect(reader) as r:
        r.subscribe("m/t1/c/will-channel/#")
        station.connect(writer, will=("channels/will-channel/messages/gone", b"bye")).drop()
        assert r.heard() == ("m/t1/c/will-channel/gone", b"bye")


def test_a_persistent_session_finds_what_came_in_the_other_form_while_it_was_away(station: Station):
    """Messages of QoS 1 are stored for it under the form that it reads."""
    writer = station.fleet.device("w-away", away_channel=PUBLISH)
    reader = station.fleet.device("r-away", away_channel=SUBSCRIBE)
    with station.connect(reader, clean=False) as r:
        r.subscribe("m/t1/c/away-channel/#", qos=1)
        station.leave(reader, r)
    with station.connect(writer) as w:
        w.publish("channels/away-channel/messages/x", "kept", qos=1)
    with station.connect(reader, clean=False) as r:
        assert r.session_present
        assert r.next() == ("m/t1/c/away-channel/x", b"kept", 1, False)
        assert r.is_quiet()


def test_topics_of_the_channels_form_may_begin_with_a_slash(station: Station):
    """Old clients write `/channels/…` (spec E.1)."""
    writer = station.fleet.device("w-slash", slash_channel=PUBLISH)
    reader = station.fleet.device("r-slash", slash_channel=SUBSCRIBE)
    with station.connect(writer) as w, station.connect(reader) as r:
        r.subscribe("channels/slash-channel/messages/#")
        w.publish("/channels/slash-channel/messages/x", "slash", qos=1)
        assert r.heard() == ("channels/slash-channel/messages/x", b"slash")


def test_nothing_is_copied_where_one_form_is_used(station: Station):
    """Who keeps to one form does not pay for the other."""
    device = station.fleet.device("one-form", one_form_channel=BOTH)
    with station.connect(device) as d:
        d.subscribe("channels/one-form-channel/messages/#")
        assert d.is_quiet(0.6)
        before = station.count("muster_copied_messages_total")
        for _ in range(50):
            d.publish("channels/one-form-channel/messages/x", "x")
        for _ in range(50):
            d.next()
        assert station.count("muster_copied_messages_total") == before


@pytest.mark.parametrize("length", [4_200, 60_000])
@pytest.mark.parametrize("qos", QOS)
def test_a_topic_of_any_length_is_copied_and_nothing_stops_copying(station: Station, qos: int, length: int):
    """The broker's usual bound of a line, 4,096 bytes, would have it hang up on Muster, for everybody."""
    channel = f"long-{qos}-{length}"
    writer = station.fleet.device(f"w-{channel}", **{channel: PUBLISH})
    reader = station.fleet.device(f"r-{channel}", **{channel: SUBSCRIBE})
    with station.connect(writer) as w, station.connect(reader) as r:
        r.subscribe(f"{names(channel)['m']}/#", qos=qos)
        rest = "x" * length
        w.publish(f"{names(channel)['channels']}/{rest}", "long", qos=qos)
        assert r.heard() == (f"{names(channel)['m']}/{rest}", b"long")
        w.publish(f"{names(channel)['channels']}/x", "short", qos=qos)
        assert r.heard() == (f"{names(channel)['m']}/x", b"short")


def test_what_is_too_large_with_its_topic_is_not_copied_and_stops_nothing(station: Station):
    """A retained message carries its topic: one that fills the limit would make the broker hang up."""
    channel = "large-retained"
    writer = station.fleet.device(f"w-{channel}", **{channel: PUBLISH})
    reader = station.fleet.device(f"r-{channel}", **{channel: SUBSCRIBE})
    with station.connect(writer) as w, station.connect(reader) as r, capture_logs() as said:
        r.subscribe(f"{names(channel)['m']}/x")
        payload = "y" * station.node.limits.payload_bytes
        w.publish(f"{names(channel)['channels']}/{'x' * 5_000}", payload, qos=1, retain=True)
        assert station.eventually(lambda: "message not copied" in [line["event"] for line in said])
        w.publish(f"{names(channel)['channels']}/x", "small")
        assert r.heard() == (f"{names(channel)['m']}/x", b"small")
    assert [line for line in said if line["event"] in {"broker lost", "broker hung up"}] == []
