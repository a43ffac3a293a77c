"""The rules of Hono's MQTT adapter, row by row of spec/hono C.1 and C.3, as scripts of bytes."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.actions import (
    Action,
    Authenticate,
    Close,
    CloseReason,
    Delivered,
    Forward,
    Register,
    Rules,
    Send,
    Unregister,
)
from muster.plane.adapter.decoder import Decoder
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
    Pubcomp,
    Publish,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    Will,
    encode,
)
from muster.plane.adapter.ports import (
    EMPTY_NOTIFICATION,
    AdapterDevice,
    AdapterRefusal,
    Command,
    CommandSubscription,
    Delivery,
    Evidence,
    Failure,
    Message,
    MessageKind,
    Password,
)
from muster.plane.adapter.session import Peer, Session

STARTED = datetime(2026, 11, 20, 12, tzinfo=UTC)
T, DEV, OTHER = TenantId("T"), DeviceId("dev"), DeviceId("other")
DEVICE = AdapterDevice(tenant_id=T, device_id=DEV)
CONNECT = Connect(client_id="c", username="auth@T", password=b"secret")
LOST = Failure(status=503, text="no consumer")
GONE = Failure(status=404, text="the device is disabled", is_terminal=True)


class Talk:
    """A session and the device at its other end; sent packets are read back, other actions kept."""

    def __init__(
        self, rules: Rules | None = None, *, is_full: bool = False, chain_der: tuple[bytes, ...] = ()
    ):
        peer = Peer(source="192.0.2.1", chain_der=chain_der, sni="host")
        self.now = 100.0
        self.session = Session(
            rules=rules or Rules(), peer=peer, now=self.now, started_at=STARTED, is_full=is_full
        )
        self._decoder = Decoder()

    def heard(self, actions: list[Action]) -> list[Packet | Action]:
        """The actions, with what is sent read as packets."""
        result: list[Packet | Action] = []
        for action in actions:
            if not isinstance(action, Send):
                result.append(action)
                continue
            self._decoder.feed(action.data)
            while (packet := self._decoder.next()) is not None:
                result.append(packet)
        return result

    def say(self, *packets: Packet) -> list[Packet | Action]:
        return self.heard(self.session.feed(b"".join(map(encode, packets)), self.now))

    def open(self, connect: Connect = CONNECT) -> "Talk":
        (asked,) = self.say(connect)
        assert isinstance(asked, Authenticate)
        assert self.heard(self.session.authenticated(DEVICE, self.now)) == [Connack()]
        return self

    def forward(self, topic: str, payload: bytes = b"x", qos: int = 1, packet_id: int = 7) -> Forward:
        """Publish and expect that it is forwarded."""
        (forward,) = self.publish(topic, payload, qos, packet_id)
        assert isinstance(forward, Forward)
        return forward

    def publish(
        self, topic: str, payload: bytes = b"x", qos: int = 1, packet_id: int = 7
    ) -> list[Packet | Action]:
        return self.say(Publish(topic=topic, payload=payload, qos=qos, packet_id=packet_id if qos else 0))

    def answer(self, forward: Forward, failure: Failure | None = None) -> list[Packet | Action]:
        assert forward.ticket is not None
        return self.heard(self.session.forwarded(forward.ticket, failure, self.now))

    def listen(self, *filters: str, qos: int = 1) -> list[Packet | Action]:
        """Subscribe, with every registration granted; what follows the last one."""
        heard = self.say(Subscribe(packet_id=1, filters=tuple((text, qos) for text in filters)))
        while isinstance(heard[0], Register):
            heard = self.heard(self.session.registered(True, self.now))
        return heard


@pytest.fixture
def talk() -> Talk:
    return Talk().open()


# --- CONNECT ---------------------------------------------------------------------------------------------


def asked(connect: Connect, **peer: tuple[bytes, ...]) -> Evidence:
    (action,) = Talk(**peer).say(connect)
    assert isinstance(action, Authenticate)
    return action.evidence


def test_the_evidence_holds_all_that_the_device_showed() -> None:
    """User name, password, client id, certificate chain, SNI and source address are handed on."""
    assert asked(CONNECT, chain_der=(b"leaf", b"intermediate")) == Evidence(
        chain_der=(b"leaf", b"intermediate"),
        sni="host",
        password=Password(auth_id="auth", tenant="T", secret=b"secret"),
        client_id="c",
        source="192.0.2.1",
    )


@pytest.mark.parametrize(
    ("username", "password", "expected"),
    [
        ("auth@T", b"pw", ("auth", "T", b"pw")),
        ("auth@T@x", b"pw", ("auth", "T@x", b"pw")),
        (base64.b64encode(b"auth@T:p:w").decode(), None, ("auth", "T", b"p:w")),
        (base64.b64encode(b"auth@T:pw").decode(), b"", ("auth", "T", b"pw")),
    ],
)
def test_user_names_are_split_at_the_first_at(username, password, expected) -> None:
    """`auth-id@tenant`, or all of it in Base64 when there is no password."""
    seen = asked(Connect(client_id="c", username=username, password=password)).password
    assert seen == Password(auth_id=expected[0], tenant=expected[1], secret=expected[2])


@pytest.mark.parametrize(
    ("username", "password"),
    [
        (None, None),
        ("auth", b"pw"),
        ("@T", b"pw"),
        ("auth@", b"pw"),
        ("", b"pw"),
        ("auth@T", None),
        ("auth@T", b""),
        ("%%%", b""),
        (base64.b64encode(b"auth@T").decode(), b""),
        (base64.b64encode(b"\xff@T:pw").decode(), b""),
    ],
)
def test_without_usable_credentials_nobody_is_asked(username, password) -> None:
    """No user name, no tenant, no password: CONNACK 4 without a look into the registry."""
    heard = Talk().say(Connect(client_id="c", username=username, password=password))
    assert heard == [
        Connack(code=ConnackCode.BAD_CREDENTIALS),
        Close(CloseReason.REFUSED, "no credentials"),
    ]


def test_a_certificate_is_enough() -> None:
    """With a client certificate neither user name nor password is needed."""
    assert asked(Connect(client_id="c"), chain_der=(b"leaf",)).password is None


@pytest.mark.parametrize(
    "code", [ConnackCode.SERVER_UNAVAILABLE, ConnackCode.BAD_CREDENTIALS, ConnackCode.NOT_AUTHORIZED]
)
def test_a_refusal_is_told_by_its_code(code) -> None:
    """CONNACK 3, 4 or 5 as the registry says; packets already there are not read [MQTT-3.1.4-5]."""
    talk = Talk()
    talk.say(CONNECT, Publish(topic="t", payload=b"x"))
    heard = talk.heard(talk.session.refused(AdapterRefusal(code=code, reason="why")))
    assert heard == [Connack(code=code), Close(CloseReason.REFUSED, "why")]
    assert talk.say(Publish(topic="t", payload=b"x")) == []


def test_a_full_adapter_says_so() -> None:
    """CONNACK 3 at the limit of connections."""
    assert Talk(is_full=True).say(CONNECT)[0] == Connack(code=ConnackCode.SERVER_UNAVAILABLE)


def test_another_mqtt_version_gets_connack_1() -> None:
    """MQTT 5 is told that this is MQTT 3.1.1."""
    talk = Talk()
    raw = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a"
    code, close = talk.heard(talk.session.feed(raw, talk.now))
    assert code == Connack(code=ConnackCode.UNACCEPTABLE_PROTOCOL)
    assert isinstance(close, Close)


def test_an_unnamed_session_cannot_be_kept() -> None:
    """CONNACK 2 for an empty client id without clean session; with it, the name may be empty."""
    unnamed = Connect(client_id="", clean_session=False, username="a@T", password=b"pw")
    assert Talk().say(unnamed)[0] == Connack(code=ConnackCode.IDENTIFIER_REJECTED)
    assert asked(Connect(client_id="", username="a@T", password=b"pw")).client_id == ""


def test_sessions_are_never_kept_and_wills_ignored() -> None:
    """clean session 0 still answers session present 0; nothing is forwarded for the will, ever."""
    will = Will(topic="t", payload=b"bye")
    connect = Connect(client_id="c", clean_session=False, username="a@T", password=b"pw", will=will)
    talk = Talk().open(connect)
    assert talk.session.closed() == []


@pytest.mark.parametrize("first", [Pingreq(), Publish(topic="t", payload=b"x"), Disconnect(), Connack()])
def test_connect_comes_first(first) -> None:
    """Any other first packet ends the connection without an answer [MQTT-3.1.0-1]."""
    assert Talk().say(first) == [Close(CloseReason.PROTOCOL, "CONNECT comes first and once")]


def test_connect_comes_once(talk: Talk) -> None:
    """A second CONNECT is a protocol error [MQTT-3.1.0-2]."""
    assert talk.say(CONNECT) == [Close(CloseReason.PROTOCOL, "CONNECT comes first and once")]


@pytest.mark.parametrize(
    "packet", [Pubrel(packet_id=1), Pubcomp(packet_id=1), Pingresp(), Suback(packet_id=1, codes=(0,))]
)
def test_what_devices_never_send_ends_the_connection(talk: Talk, packet) -> None:
    """Server packets and QoS 2 handshakes have no place here."""
    (close,) = talk.say(packet)
    assert isinstance(close, Close)
    assert close.reason is CloseReason.PROTOCOL


def test_garbage_ends_the_connection(talk: Talk) -> None:
    """Bytes that are no MQTT close it; nothing is answered afterwards."""
    (close,) = talk.heard(talk.session.feed(b"\x00garbage", talk.now))
    assert isinstance(close, Close)
    assert close.reason is CloseReason.PROTOCOL
    assert talk.say(Pingreq()) == []


def test_an_oversize_connect_ends_the_connection() -> None:
    """Before the device is known, less is read from it."""
    (close,) = Talk(Rules(connect_size=50)).say(Connect(client_id="x" * 60, username="a@T", password=b"p"))
    assert isinstance(close, Close)


def test_disconnect_closes_cleanly(talk: Talk) -> None:
    """DISCONNECT ends the connection, and packets after it are not read."""
    assert talk.say(Disconnect(), Pingreq()) == [Close(CloseReason.DISCONNECTED)]


def test_packets_wait_for_the_authentication() -> None:
    """What comes with the CONNECT is read once the device is let in, not before."""
    talk = Talk()
    (asked_for,) = talk.say(CONNECT, Pingreq())
    assert isinstance(asked_for, Authenticate)
    assert not talk.session.is_reading
    assert talk.heard(talk.session.authenticated(DEVICE, talk.now)) == [Connack(), Pingresp()]


# --- time ------------------------------------------------------------------------------------------------


def test_a_connection_without_connect_ends_in_time() -> None:
    """Not before the deadline, and without an answer."""
    talk = Talk(Rules(connect_timeout=10))
    assert talk.session.deadline == 110.0
    assert talk.session.tick(109.9) == []
    assert talk.session.tick(110.0) == [Close(CloseReason.SLOW)]
    assert talk.session.deadline is None


def test_an_authentication_that_takes_too_long_is_unavailable() -> None:
    """CONNACK 3; a late answer changes nothing."""
    talk = Talk(Rules(connect_timeout=10))
    talk.say(CONNECT)
    assert talk.heard(talk.session.tick(110.0))[0] == Connack(code=ConnackCode.SERVER_UNAVAILABLE)
    assert talk.session.authenticated(DEVICE, 111.0) == []


def test_a_silent_device_is_closed_after_one_and_a_half_keep_alives() -> None:
    """Only whole packets count as signs of life [MQTT-3.1.2-24]."""
    talk = Talk().open(Connect(client_id="c", keep_alive=10, username="a@T", password=b"pw"))
    assert talk.session.deadline == 115.0
    talk.now = 108.0
    assert talk.say(Pingreq()) == [Pingresp()]
    assert talk.session.deadline == 123.0
    talk.session.feed(b"\x30", 122.0)
    assert talk.session.tick(123.0) == [Close(CloseReason.SILENT)]


def test_without_keep_alive_silence_is_fine(talk: Talk) -> None:
    """Keep alive 0 turns the watch off."""
    assert talk.session.deadline is None


def test_waiting_for_us_is_no_silence() -> None:
    """A device that may not send, because too much is under way, is not closed for silence."""
    talk = Talk(Rules(in_flight=1)).open(
        Connect(client_id="c", keep_alive=10, username="a@T", password=b"pw")
    )
    forward = talk.forward("t")
    assert talk.session.deadline is None
    assert talk.session.tick(1000.0) == []
    talk.now = 1000.0
    assert talk.answer(forward) == [Puback(packet_id=7)]
    assert talk.session.deadline == 1015.0


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


# --- commands --------------------------------------------------------------------------------------------

OWN = CommandSubscription(tenant_id=T, device_id=DEV)
ALL = CommandSubscription(tenant_id=T, device_id=DEV, gateway_id=DEV, for_all=True)
ONE = CommandSubscription(tenant_id=T, device_id=OTHER, gateway_id=DEV)


def notice(wanted: CommandSubscription, ttd: int) -> Forward:
    via = DEV if wanted is ONE else None
    return Forward(
        Message(
            kind=EVENT,
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


@pytest.fixture
def stranger() -> Talk:
    talk = Talk(Rules(authentication_required=False))
    assert talk.say(Connect(client_id="c")) == [Connack()]
    return talk


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
