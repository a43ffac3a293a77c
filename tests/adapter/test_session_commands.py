"""Commands to devices, devices without credentials, and bytes in any pieces: spec/hono C.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.core.model import DeviceId
from muster.plane.adapter.actions import (
    Action,
    Authenticate,
    Close,
    CloseReason,
    Delivered,
    Forward,
    Register,
    Rules,
    Unregister,
)
from muster.plane.adapter.packets import (
    REFUSED,
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    encode,
)
from muster.plane.adapter.ports import (
    EMPTY_NOTIFICATION,
    Command,
    CommandSubscription,
    Delivery,
    Message,
    MessageKind,
)
from tests.adapter.talk import CONNECT, DEV, DEVICE, LOST, OTHER, T, Talk

# --- commands --------------------------------------------------------------------------------------------

OWN = CommandSubscription(tenant_id=T, device_id=DEV)
ALL = CommandSubscription(tenant_id=T, device_id=DEV, gateway_id=DEV, for_all=True)
ONE = CommandSubscription(tenant_id=T, device_id=OTHER, gateway_id=DEV)


def notice(wanted: CommandSubscription, ttd: int) -> Forward:
    via = DEV if wanted is ONE else None
    return Forward(
        Message(
            kind=MessageKind.EVENT,
            tenant_id=T,
            device_id=wanted.device_id,
            via=via,
            qos=1,
            payload=b"",
            content_type=EMPTY_NOTIFICATION,
            ttd=ttd,
        )
    )


FILTERS = [
    ("c///q/#", OWN),
    ("command///req/#", OWN),
    ("c/T//q/#", OWN),
    ("c/T/dev/q/#", OWN),
    ("command//dev/req/#", OWN),
    ("c//+/q/#", ALL),
    ("command/T/+/req/#", ALL),
    ("c//other/q/#", ONE),
    ("command/T/other/req/#", ONE),
]


@pytest.mark.parametrize(("text", "wanted"), FILTERS)
@pytest.mark.parametrize(("qos", "granted"), [(0, 0), (1, 1), (2, 1)])
def test_command_subscriptions(talk: Talk, text, wanted, qos, granted) -> None:
    """Registered first, then SUBACK, then an empty notification with ttd -1; leaving tells ttd 0."""
    assert talk.say(Subscribe(packet_id=5, filters=((text, qos),))) == [Register(wanted)]
    heard = talk.heard(talk.session.registered(True, talk.now))
    assert heard == [Suback(packet_id=5, codes=(granted,)), notice(wanted, -1)]
    heard = talk.say(Unsubscribe(packet_id=6, filters=(text,)))
    assert heard == [Unregister(wanted), notice(wanted, 0), Unsuback(packet_id=6)]


@pytest.mark.parametrize(
    "text",
    [
        "#", "+", "c", "c/#", "c/+/q/#", "c/X//q/#", "c/+//q/#", "c///q", "c///q/+", "c///req/#",
        "command///q/#", "c///s/#", "c//a+/q/#", "c//#/q/#", "t/#", "t", "e", "e//#", "e/X/dev/#", "e/+//#",
        "error//", "error///+", "$SYS/#", "a/#/b", "control///req/#",
    ],
)  # fmt: skip
def test_other_filters_are_refused(talk: Talk, text) -> None:
    """SUBACK 0x80 for everything that is none of the adapter's, without a look at the registry."""
    assert talk.say(Subscribe(packet_id=5, filters=((text, 1),))) == [Suback(packet_id=5, codes=(REFUSED,))]


def test_a_registration_that_is_not_granted_is_refused(talk: Talk) -> None:
    """0x80 for a gateway that may not act for the device; the other filters of the packet stand."""
    filters = (("c//other/q/#", 1), ("nonsense", 0), ("e///#", 1), ("c///q/#", 1))
    assert talk.say(Subscribe(packet_id=5, filters=filters)) == [Register(ONE)]
    assert talk.heard(talk.session.registered(False, talk.now)) == [Register(OWN)]
    heard = talk.heard(talk.session.registered(True, talk.now))
    assert heard == [Suback(packet_id=5, codes=(REFUSED, REFUSED, 0, 1)), notice(OWN, -1)]


def test_nothing_is_read_while_a_subscription_is_registered(talk: Talk) -> None:
    """The packets behind a SUBSCRIBE wait for its SUBACK."""
    assert talk.say(Subscribe(packet_id=5, filters=(("c///q/#", 1),)), Pingreq()) == [Register(OWN)]
    assert not talk.session.is_reading
    heard = talk.heard(talk.session.registered(True, talk.now))
    assert heard == [Suback(packet_id=5, codes=(1,)), notice(OWN, -1), Pingresp()]


def test_subscriptions_are_bounded() -> None:
    """The one beyond the bound gets 0x80."""
    talk = Talk(Rules(subscriptions=2)).open()
    heard = talk.listen("c///q/#", "e///#", "c//other/q/#")
    assert heard[0] == Suback(packet_id=1, codes=(1, 0, REFUSED))


@pytest.mark.parametrize(
    ("text", "device", "request_id", "topic"),
    [
        ("c///q/#", DEV, "r1", "c///q/r1/set"),
        ("c///q/#", DEV, "", "c///q//set"),
        ("command///req/#", DEV, "r1", "command///req/r1/set"),
        ("c/T/dev/q/#", DEV, "r1", "c/T/dev/q/r1/set"),
        ("c/T//q/#", DEV, "", "c/T//q//set"),
        ("c//+/q/#", OTHER, "r1", "c//other/q/r1/set"),
        ("c/T/+/q/#", OTHER, "", "c/T/other/q//set"),
        ("c//+/q/#", DEV, "r1", "c///q/r1/set"),
        ("c//other/q/#", OTHER, "r1", "c//other/q/r1/set"),
    ],
)
@pytest.mark.parametrize("qos", [0, 1])
def test_commands_are_spelled_as_the_device_subscribed(
    talk: Talk, text, device, request_id, topic, qos
) -> None:
    """QoS 0 is delivered when sent, QoS 1 when acknowledged."""
    talk.listen(text, qos=qos)
    wanted = dict(FILTERS).get(text, ALL)
    command = Command(device_id=device, name="set", payload=b"on", request_id=request_id)
    heard = talk.heard(talk.session.deliver(command, wanted, 41, talk.now))
    assert heard[0] == Publish(topic=topic, payload=b"on", qos=qos, packet_id=qos)
    done = [Delivered(41, Delivery.ACCEPTED)]
    assert heard[1:] == ([] if qos else done)
    assert talk.say(Puback(packet_id=1)) == (done if qos else [])
    assert talk.say(Puback(packet_id=1)) == []


SET = Command(device_id=DEV, name="set")


@pytest.mark.parametrize(
    "command",
    [
        Command(device_id=DEV, name=""),
        Command(device_id=DEV, name="a/#"),
        Command(device_id=DEV, name="a+"),
        Command(device_id=DEV, name="a\0"),
        Command(device_id=DEV, name="\ud800"),
        Command(device_id=DEV, name="x" * 65530),
        Command(device_id=DEV, name="set", request_id="a/b"),
        Command(device_id=DEV, name="set", request_id="#"),
        Command(device_id=DeviceId("a/b"), name="set"),
    ],
)
def test_commands_that_make_no_topic_are_rejected(talk: Talk, command) -> None:
    """Nothing is sent that the device could misread."""
    talk.listen("c//+/q/#")
    assert talk.session.deliver(command, ALL, 1, talk.now) == [Delivered(1, Delivery.REJECTED)]


def test_commands_without_subscription_are_released(talk: Talk) -> None:
    """Before subscribing, after unsubscribing, after the end."""
    released = [Delivered(1, Delivery.RELEASED)]
    assert talk.session.deliver(SET, OWN, 1, talk.now) == released
    talk.listen("c///q/#")
    talk.say(Unsubscribe(packet_id=2, filters=("c///q/#",)))
    assert talk.session.deliver(SET, OWN, 1, talk.now) == released
    talk.listen("c///q/#")
    talk.say(Disconnect())
    assert talk.session.deliver(SET, OWN, 1, talk.now) == released


def test_commands_under_way_are_bounded_and_expire() -> None:
    """Beyond the bound released at once, unacknowledged after their time; then there is room again."""
    talk = Talk(Rules(commands_in_flight=2, command_timeout=10)).open()
    talk.listen("c///q/#")
    for ticket in (1, 2):
        assert len(talk.heard(talk.session.deliver(SET, OWN, ticket, 100.0 + ticket))) == 1
    assert talk.session.deliver(SET, OWN, 3, 103.0) == [Delivered(3, Delivery.RELEASED)]
    assert talk.session.deadline == 111.0
    assert talk.session.tick(111.0) == [Delivered(1, Delivery.RELEASED)]
    assert talk.session.deadline == 112.0
    (publish,) = talk.heard(talk.session.deliver(SET, OWN, 4, 111.0))
    assert isinstance(publish, Publish)
    assert publish.packet_id == 3


def test_the_end_releases_commands_and_tells_the_applications(talk: Talk) -> None:
    """Whoever ended the connection: commands are released, subscriptions undone with ttd 0, once."""
    talk.listen("c///q/#", "c//other/q/#")
    talk.heard(talk.session.deliver(SET, OWN, 1, talk.now))
    assert talk.session.closed() == [
        Delivered(1, Delivery.RELEASED),
        Unregister(OWN),
        notice(OWN, 0),
        Unregister(ONE),
        notice(ONE, 0),
    ]
    assert talk.session.closed() == []


def test_a_registration_after_the_end_is_undone(talk: Talk) -> None:
    """The device left while its subscription was registered: nobody keeps routing commands to it."""
    talk.say(Subscribe(packet_id=5, filters=(("c///q/#", 1), ("c//+/q/#", 1))))
    assert talk.session.closed() == []
    assert talk.session.registered(True, talk.now) == [Unregister(OWN)]
    assert talk.session.registered(True, talk.now) == []


# --- without authentication ------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["t/T/dev", "telemetry/T/dev", "e/T/dev", "c/T/dev/s/req/200"])
def test_strangers_name_tenant_and_device(stranger: Talk, topic) -> None:
    """Where authentication is off, the topic says it all, and the message tells that nobody vouched."""
    message = stranger.forward(topic).message
    assert (message.tenant_id, message.device_id, message.via, message.is_authenticated) == (
        T,
        DEV,
        None,
        False,
    )


@pytest.mark.parametrize("topic", ["t", "t//dev", "e", "c///s/req/200"])
def test_strangers_have_no_own_topics(stranger: Talk, topic) -> None:
    """Without tenant or device nobody knows whose message it is."""
    (close,) = stranger.publish(topic)
    assert isinstance(close, Close)
    assert close.detail.startswith("400")


@pytest.mark.parametrize("text", ["c///q/#", "c//dev/q/#", "c/T//q/#", "c/T/+/q/#", "e///#", "error/T/+/#"])
def test_strangers_filters_name_tenant_and_device(stranger: Talk, text) -> None:
    """No own and no wildcard subscriptions without authentication."""
    assert stranger.say(Subscribe(packet_id=5, filters=((text, 1),))) == [
        Suback(packet_id=5, codes=(REFUSED,))
    ]


def test_strangers_get_commands_and_errors(stranger: Talk) -> None:
    """For the device they name, in the tenant they name."""
    assert stranger.listen("c/T/dev/q/#", "e/T/dev/#")[0] == Suback(packet_id=1, codes=(1, 0))
    sent, _ = stranger.heard(
        [*stranger.session.deliver(SET, OWN, 1, 0.0), *stranger.session.tick(0.0), Close(CloseReason.FAILED)]
    )
    assert isinstance(sent, Publish)
    assert sent.topic == "c/T/dev/q//set"
    report, _ = stranger.answer(stranger.forward("t/T/dev"), LOST)
    assert isinstance(report, Publish)
    assert report.topic == "e/T/dev/t/7/503"
    (close,) = stranger.answer(stranger.forward("t/X/dev"), LOST)
    assert isinstance(close, Close)


def test_strangers_with_a_user_name_must_authenticate() -> None:
    """Half a login is a wrong login, also where none is needed."""
    talk = Talk(Rules(authentication_required=False))
    assert talk.say(Connect(client_id="c", username="auth"))[0] == Connack(code=ConnackCode.BAD_CREDENTIALS)


# --- bytes -----------------------------------------------------------------------------------------------

SCRIPT = [
    CONNECT,
    Subscribe(packet_id=1, filters=(("e///#", 0), ("x", 0))),
    Publish(topic="t", payload=b"1", qos=1, packet_id=2),
    Publish(topic="nonsense", payload=b"2", qos=1, packet_id=3),
    Pingreq(),
    Unsubscribe(packet_id=4, filters=("e///#",)),
]


def played(chunks: list[bytes]) -> list[Packet | Action]:
    talk, heard = Talk(), []
    for chunk in chunks:
        pending = talk.heard(talk.session.feed(chunk, talk.now))
        while pending:
            action = pending.pop(0)
            heard.append(action)
            if isinstance(action, Authenticate):
                pending += talk.heard(talk.session.authenticated(DEVICE, talk.now))
            elif isinstance(action, Forward) and action.ticket is not None:
                pending += talk.answer(action)
    return heard


def test_one_byte_at_a_time_makes_no_difference() -> None:
    """The whole script leads to the same answers, in whatever pieces it comes."""
    raw = b"".join(map(encode, SCRIPT))
    singly = played([bytes((byte,)) for byte in raw])
    assert [type(action).__name__ for action in singly] == [
        "Authenticate", "Connack", "Suback", "Forward", "Puback", "Publish", "Puback", "Pingresp", "Unsuback",
    ]  # fmt: skip
    assert sorted(map(repr, played([raw]))) == sorted(map(repr, singly))


@given(st.lists(st.binary(max_size=50), max_size=6), st.booleans())
def test_whatever_bytes_come_the_session_survives(chunks: list[bytes], is_known: bool) -> None:
    """Garbage before and after the login leads to actions or the end, never to an exception."""
    talk = Talk()
    if is_known:
        talk.open()
    for chunk in chunks:
        talk.session.feed(chunk, talk.now)
    talk.session.tick(talk.now + 1000)
    talk.session.closed()
    assert not talk.session.is_reading
