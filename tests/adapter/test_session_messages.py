"""What devices and gateways publish, and what happens when it fails: spec/hono C.3, row by row."""

import json

import pytest

from muster.plane.adapter.actions import (
    Close,
    CloseReason,
    Forward,
    Rules,
)
from muster.plane.adapter.packets import (
    Puback,
    Publish,
    Suback,
    Unsuback,
    Unsubscribe,
)
from muster.plane.adapter.ports import (
    EMPTY_NOTIFICATION,
    Message,
    MessageKind,
)
from tests.adapter.talk import DEV, GONE, LOST, OTHER, T, Talk

# --- publishing ------------------------------------------------------------------------------------------

TELEMETRY, EVENT, RESPONSE = MessageKind.TELEMETRY, MessageKind.EVENT, MessageKind.COMMAND_RESPONSE


@pytest.mark.parametrize(
    ("topic", "qos", "kind", "device", "via"),
    [
        ("t", 0, TELEMETRY, DEV, None),
        ("t", 1, TELEMETRY, DEV, None),
        ("telemetry", 0, TELEMETRY, DEV, None),
        ("e", 1, EVENT, DEV, None),
        ("event", 1, EVENT, DEV, None),
        ("t/T/dev", 0, TELEMETRY, DEV, None),
        ("t//dev", 0, TELEMETRY, DEV, None),
        ("t/T/other", 0, TELEMETRY, OTHER, DEV),
        ("t//other", 1, TELEMETRY, OTHER, DEV),
        ("telemetry/T/other", 1, TELEMETRY, OTHER, DEV),
        ("e//other", 1, EVENT, OTHER, DEV),
        ("event/T/other", 1, EVENT, OTHER, DEV),
    ],
)
def test_topics_of_devices_and_gateways(talk: Talk, topic, qos, kind, device, via) -> None:
    """Every topic of the table, short and long, is stamped with tenant, device and gateway."""
    message = talk.forward(topic, b"data", qos).message
    assert message == Message(
        kind=kind, tenant_id=T, device_id=device, via=via, qos=qos, payload=b"data", topic=topic
    )


@pytest.mark.parametrize(
    ("topic", "device", "via"),
    [
        ("c///s/req1/200", DEV, None),
        ("command///res/req1/200", DEV, None),
        ("c/T/dev/s/req1/200", DEV, None),
        ("c//other/s/req1/200", OTHER, DEV),
        ("command/T/other/res/req1/200", OTHER, DEV),
    ],
)
@pytest.mark.parametrize("qos", [0, 1])
def test_topics_of_command_responses(talk: Talk, topic, device, via, qos) -> None:
    """A response carries request id and status; its payload may be empty."""
    message = talk.forward(topic, b"", qos).message
    expected = (RESPONSE, device, via, "req1", 200)
    assert (message.kind, message.device_id, message.via, message.request_id, message.status) == expected


@pytest.mark.parametrize(
    ("topic", "qos", "status"),
    [
        ("t", 2, 400),
        ("e", 0, 400),
        ("e", 2, 400),
        ("c///s/req/200", 2, 400),
        ("x", 1, 400),
        ("t/", 1, 400),
        ("t/T", 1, 400),
        ("t/T/", 1, 400),
        ("t//", 1, 400),
        ("t/T/dev/more", 1, 400),
        ("c///q/req/200", 1, 400),
        ("command///s/req/200", 1, 400),
        ("c///s//200", 1, 400),
        ("c///s/req/", 1, 400),
        ("c///s/req/199", 1, 400),
        ("c///s/req/600", 1, 400),
        ("c///s/req/0200", 1, 400),
        ("c///s/req/2\u06620", 1, 400),
        ("c///s/req", 1, 400),
        ("c", 1, 400),
        ("t/?hono-ttl=soon", 1, 400),
        ("t/?hono-ttl=-1", 1, 400),
        ("t/?hono-ttl=99999999999", 1, 400),
        ("t/?a=%ff", 1, 400),
        ("t/?" + "&".join(f"k{i}=v" for i in range(40)), 1, 400),
        ("t/X/dev", 1, 403),
        ("e/X/other", 1, 403),
        ("c/X/other/s/req/200", 1, 403),
    ],
)
def test_messages_against_the_rules_close_the_connection(talk: Talk, topic, qos, status) -> None:
    """Each negative row, with its status; without error subscription the connection ends."""
    (close,) = talk.publish(topic, qos=qos)
    assert isinstance(close, Close)
    assert close.reason is CloseReason.FAILED
    assert close.detail.startswith(str(status))


@pytest.mark.parametrize(
    ("topic", "payload", "ok"),
    [
        ("e", b"", False),
        ("e/?content-type=text/plain", b"", True),
        (f"e/?content-type={EMPTY_NOTIFICATION}", b"", True),
        (f"e/?content-type={EMPTY_NOTIFICATION}", b"x", False),
        (f"t/?content-type={EMPTY_NOTIFICATION}", b"x", False),
    ],
)
def test_payload_and_content_type_agree(talk: Talk, topic, payload, ok) -> None:
    """No payload needs a content type; an empty notification has no payload."""
    (action,) = talk.publish(topic, payload)
    assert isinstance(action, Forward if ok else Close)


def test_the_property_bag_is_read(talk: Talk) -> None:
    """Content type, time to live, and the members that mean nothing to the adapter."""
    topic = (
        "t/T/other/?content-type=text%2Fplain&hono-ttl=30&on-error=ignore&correlation-id=5&seq=%C3%A4&empty="
    )
    message = talk.forward(topic).message
    assert (message.content_type, message.ttl, message.device_id) == ("text/plain", 30, OTHER)
    assert message.properties == {"seq": "ä", "empty": ""}
    assert message.topic == topic


def test_retain_is_told_but_nothing_is_retained(talk: Talk) -> None:
    """The flag travels with the message."""
    (forward,) = talk.say(Publish(topic="t", payload=b"x", retain=True))
    assert isinstance(forward, Forward)
    assert forward.message.is_retained


def test_puback_follows_the_forwarding(talk: Talk) -> None:
    """QoS 1 is acknowledged after it was forwarded and not before; QoS 0 is not."""
    first = talk.forward("t", packet_id=9)
    assert talk.answer(first) == [Puback(packet_id=9)]
    assert talk.answer(talk.forward("t", qos=0)) == []


def test_pubacks_keep_the_order_of_the_messages(talk: Talk) -> None:
    """Whichever is forwarded first, the acknowledgements come in order [MQTT-4.6.0-2]."""
    forwards = [talk.forward("t", packet_id=number) for number in (1, 2, 3)]
    assert talk.answer(forwards[2]) == []
    assert talk.answer(forwards[1]) == []
    assert talk.answer(forwards[0]) == [Puback(packet_id=number) for number in (1, 2, 3)]


def test_an_answer_counts_once(talk: Talk) -> None:
    """A ticket answered twice, or never given, means nothing."""
    forward = talk.forward("t")
    talk.answer(forward)
    assert talk.answer(forward) == []
    assert talk.session.forwarded(99, None, talk.now) == []


def test_messages_under_way_are_bounded() -> None:
    """At the bound nothing more is read, not even what has arrived; then it goes on where it stopped."""
    talk = Talk(Rules(in_flight=2)).open()
    heard = talk.say(*(Publish(topic="t", payload=bytes((n,))) for n in range(5)))
    assert [type(action) for action in heard] == [Forward, Forward]
    assert not talk.session.is_reading
    assert isinstance(heard[0], Forward)
    (third,) = talk.answer(heard[0])
    assert isinstance(third, Forward)
    assert third.message.payload == b"\x02"


@pytest.mark.parametrize("size", [1001, 1000 + 2 * 65535 + 1])
def test_an_oversize_payload_is_refused(size) -> None:
    """Just over the limit it is a failure like others, far over it the connection ends unread."""
    talk = Talk(Rules(payload_size=1000)).open()
    talk.listen("error///#")
    heard = talk.publish("t", bytes(size))
    if size == 1001:
        report, ack = heard
        assert isinstance(report, Publish)
        assert report.topic == "error///t/7/413"
        assert ack == Puback(packet_id=7)
    else:
        (close,) = heard
        assert isinstance(close, Close)
        assert close.reason is CloseReason.PROTOCOL


# --- errors ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [LOST, GONE], ids=["passing", "terminal"])
@pytest.mark.parametrize("listens", [False, True], ids=["no subscription", "subscription"])
@pytest.mark.parametrize("on_error", ["", "default", "nonsense", "disconnect", "ignore", "skip-ack"])
def test_the_table_of_error_handling(talk: Talk, on_error, listens, failure) -> None:
    """Hono's whole table: a report if one listens, then PUBACK, silence or the end; terminal always ends."""
    if listens:
        assert talk.listen("e///#") == [Suback(packet_id=1, codes=(0,))]
    heard = talk.answer(talk.forward(f"t/?on-error={on_error}" if on_error else "t"), failure)
    if listens:
        report = heard.pop(0)
        assert isinstance(report, Publish)
        assert (report.topic, report.qos) == (f"e///t/7/{failure.status}", 0)
    ends = (
        failure.is_terminal
        or on_error == "disconnect"
        or (on_error not in ("ignore", "skip-ack") and not listens)
    )
    if ends:
        assert heard == [Close(CloseReason.FAILED, f"{failure.status} {failure.text}")]
    else:
        assert heard == ([] if on_error == "skip-ack" else [Puback(packet_id=7)])


def test_an_error_report_says_what_happened(talk: Talk) -> None:
    """Code, message, time and correlation id as JSON; the device's own id is preferred to the packet's."""
    talk.listen("error///#")
    talk.now += 5
    report, _ = talk.answer(talk.forward("event/?correlation-id=abc"), LOST)
    assert isinstance(report, Publish)
    assert report.topic == "error///event/abc/503"
    assert json.loads(report.payload) == {
        "code": 503,
        "message": "no consumer",
        "timestamp": "2026-11-20T12:00:05+00:00",
        "correlation-id": "abc",
    }


@pytest.mark.parametrize(
    ("text", "topic", "reported"),
    [
        ("error///#", "t", "error///t/7/503"),
        ("e///#", "telemetry", "e///telemetry/7/503"),
        ("e/T/dev/#", "e", "e/T/dev/e/7/503"),
        ("e/T//#", "t//dev", "e/T//t/7/503"),
        ("error//+/#", "t//other", "error//other/t/7/503"),
        ("error//+/#", "t", "error///t/7/503"),
        ("error//other/#", "event/T/other", "error//other/event/7/503"),
        ("e///#", "c///s/req/200", "e///c-s/7/503"),
        ("e///#", "command///res/req/200", "e///command-response/7/503"),
        ("e///#", "t//other", None),
        ("error//other/#", "t", None),
        ("error//other/#", "t//third", None),
    ],
)
def test_error_topics_mirror_the_subscription(talk: Talk, text, topic, reported) -> None:
    """Tenant and device appear as they did in the filter, the endpoint as it did in the message."""
    talk.listen(text)
    first, *_ = talk.answer(talk.forward(topic), LOST)
    assert (first.topic if isinstance(first, Publish) else None) == reported


@pytest.mark.parametrize(("qos", "correlation"), [(0, "-1"), (1, "7"), (2, "-1")])
def test_a_message_without_readable_topic_is_reported_too(talk: Talk, qos, correlation) -> None:
    """The endpoint is unknown, the packet is named if it has a name."""
    talk.listen("e///#")
    report, *_ = talk.publish("nonsense", qos=qos)
    assert isinstance(report, Publish)
    assert report.topic == f"e///unknown/{correlation}/400"


def test_after_unsubscribing_errors_close_again(talk: Talk) -> None:
    """Without error subscription the default is to end the connection."""
    talk.listen("e///#")
    assert talk.say(Unsubscribe(packet_id=2, filters=("e///#",))) == [Unsuback(packet_id=2)]
    (close,) = talk.answer(talk.forward("t"), LOST)
    assert isinstance(close, Close)
