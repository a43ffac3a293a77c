"""Who gets in, and how long silence may last: spec/hono C.1 and C.3, as scripts of bytes."""

import base64

import pytest

from muster.plane.adapter.actions import (
    Authenticate,
    Close,
    CloseReason,
    Rules,
)
from muster.plane.adapter.packets import (
    Connack,
    ConnackCode,
    Connect,
    Disconnect,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrel,
    Suback,
    Will,
)
from muster.plane.adapter.ports import (
    AdapterRefusal,
    Evidence,
    Password,
)
from tests.adapter.talk import CONNECT, DEVICE, Talk

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
