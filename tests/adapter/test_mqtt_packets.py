"""The codec: every packet there and back, in any chunking; garbage gives MalformedPacket."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.plane.adapter.decoder import Decoder
from muster.plane.adapter.packets import (
    Connack,
    Connect,
    Disconnect,
    MalformedPacket,
    Packet,
    PacketTooLarge,
    Pingreq,
    Pingresp,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    UnsupportedProtocol,
    Will,
    encode,
)

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
topics = st.text(
    st.characters(exclude_characters="\0+#", exclude_categories=("Cs",)), min_size=1, max_size=20
)
filters = texts.filter(bool)
payloads = st.binary(max_size=300)
ids = st.integers(1, 65535)
wills = st.builds(Will, topic=topics, payload=payloads, qos=st.integers(0, 2), retain=st.booleans())


@st.composite
def connects(draw: st.DrawFn) -> Connect:
    username = draw(st.none() | texts)
    return Connect(
        client_id=draw(texts),
        clean_session=draw(st.booleans()),
        keep_alive=draw(st.integers(0, 65535)),
        username=username,
        password=None if username is None else draw(st.none() | payloads),
        will=draw(st.none() | wills),
    )


@st.composite
def publishes(draw: st.DrawFn) -> Publish:
    qos = draw(st.integers(0, 2))
    return Publish(
        topic=draw(topics),
        payload=draw(payloads),
        qos=qos,
        retain=draw(st.booleans()),
        dup=bool(qos) and draw(st.booleans()),
        packet_id=draw(ids) if qos else 0,
    )


packets = st.one_of(
    connects(),
    publishes(),
    st.builds(Connack, code=st.integers(0, 5)),
    st.just(Connack(session_present=True)),
    *(st.builds(kind, packet_id=ids) for kind in (Puback, Pubrec, Pubrel, Pubcomp, Unsuback)),
    st.builds(
        Subscribe,
        packet_id=ids,
        filters=st.lists(st.tuples(filters, st.integers(0, 2)), min_size=1).map(tuple),
    ),
    st.builds(Suback, packet_id=ids, codes=st.lists(st.sampled_from((0, 1, 2, 128)), min_size=1).map(tuple)),
    st.builds(Unsubscribe, packet_id=ids, filters=st.lists(filters, min_size=1).map(tuple)),
    st.sampled_from((Pingreq(), Pingresp(), Disconnect())),
)


def drained(decoder: Decoder) -> list[Packet]:
    taken = []
    while (packet := decoder.next()) is not None:
        taken.append(packet)
    return taken


@given(st.lists(packets, max_size=6), st.lists(st.integers(1, 40), max_size=20))
def test_packets_survive_any_chunking(sent: list[Packet], cuts: list[int]) -> None:
    """What encode spells, the decoder reads back, however the bytes are cut."""
    stream = b"".join(map(encode, sent))
    decoder, read, at = Decoder(), [], 0
    for size in [*cuts, len(stream)]:
        decoder.feed(stream[at : at + size])
        at += size
        read += drained(decoder)
    assert sent == read


@given(packets)
def test_one_byte_at_a_time_is_enough(sent: Packet) -> None:
    """No packet appears before its last byte, and it appears with its last byte."""
    decoder = Decoder()
    *head, last = encode(sent)
    for byte in head:
        decoder.feed(bytes((byte,)))
        assert decoder.next() is None
    decoder.feed(bytes((last,)))
    assert decoder.next() == sent


def damaged(raw: bytes) -> st.SearchStrategy[list[bytes]]:
    """A valid packet with one byte changed."""
    return st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)).map(
        lambda change: [raw[: change[0]] + bytes((change[1],)) + raw[change[0] + 1 :]]
    )


@settings(max_examples=400)
@given(st.lists(st.binary(max_size=60), max_size=5) | packets.map(encode).flatmap(damaged))
def test_garbage_gives_packets_or_malformed_and_nothing_else(chunks: list[bytes]) -> None:
    """Whatever arrives is read as packets that can be spelled again, or the decoder is broken for good."""
    decoder = Decoder(limit=1000)
    for chunk in chunks:
        decoder.feed(chunk)
        try:
            read = drained(decoder)
        except MalformedPacket:
            break
        for packet in read:
            fresh = Decoder()
            fresh.feed(encode(packet))
            assert packet == fresh.next()


def test_a_broken_decoder_stays_broken() -> None:
    """MQTT cannot resynchronise: after garbage even good bytes are refused, with the same error."""
    decoder = Decoder()
    decoder.feed(b"\x00")
    with pytest.raises(MalformedPacket) as first:
        decoder.next()
    decoder.feed(encode(Pingreq()))
    with pytest.raises(MalformedPacket) as second:
        decoder.next()
    assert first.value is second.value


CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"

MALFORMED = {
    "type 0": b"\x00\x00",
    "type 15": b"\xf0\x00",
    "reserved flags of SUBSCRIBE": b"\x80\x06\x00\x01\x00\x01a\x00",
    "reserved flags of PINGREQ": b"\xc1\x00",
    "reserved flags of PUBREL": b"\x60\x02\x00\x01",
    "remaining length of five bytes": b"\x30\xff\xff\xff\xff\x7f",
    "PINGREQ with a body": b"\xc0\x01\x00",
    "CONNECT with another protocol name": CONNECT.replace(b"MQTT", b"HTTP"),
    "CONNECT with the reserved flag": CONNECT.replace(b"\x04\x02\x00\x3c", b"\x04\x03\x00\x3c"),
    "CONNECT with will QoS but no will": CONNECT.replace(b"\x04\x02\x00\x3c", b"\x04\x0a\x00\x3c"),
    "CONNECT with will retain but no will": CONNECT.replace(b"\x04\x02\x00\x3c", b"\x04\x22\x00\x3c"),
    "CONNECT with will QoS 3": CONNECT.replace(b"\x04\x02\x00\x3c", b"\x04\x1e\x00\x3c"),
    "CONNECT with a password but no user name": CONNECT.replace(b"\x04\x02\x00\x3c", b"\x04\x42\x00\x3c"),
    "CONNECT longer than its fields": b"\x10\x0e" + CONNECT[2:] + b"x",
    "CONNECT shorter than its fields": b"\x10\x0c" + CONNECT[2:-1],
    "PUBLISH of QoS 3": b"\x36\x05\x00\x01a\x00\x01",
    "PUBLISH of QoS 0 with DUP": b"\x38\x03\x00\x01a",
    "PUBLISH with an empty topic": b"\x30\x02\x00\x00",
    "PUBLISH to a wildcard": b"\x30\x03\x00\x01#",
    "PUBLISH with packet identifier 0": b"\x32\x05\x00\x01a\x00\x00",
    "PUBLISH without its packet identifier": b"\x32\x03\x00\x01a",
    "a topic with U+0000": b"\x30\x03\x00\x01\x00",
    "a topic that is no UTF-8": b"\x30\x04\x00\x02\xc3\x28",
    "a topic with a surrogate": b"\x30\x05\x00\x03\xed\xa0\x80",
    "SUBSCRIBE without a filter": b"\x82\x02\x00\x01",
    "SUBSCRIBE with an empty filter": b"\x82\x05\x00\x01\x00\x00\x00",
    "SUBSCRIBE for QoS 3": b"\x82\x06\x00\x01\x00\x01a\x03",
    "SUBSCRIBE with packet identifier 0": b"\x82\x06\x00\x00\x00\x01a\x00",
    "UNSUBSCRIBE without a filter": b"\xa2\x02\x00\x01",
    "UNSUBSCRIBE with an empty filter": b"\xa2\x04\x00\x01\x00\x00",
    "PUBACK of three bytes": b"\x40\x03\x00\x01\x00",
    "PUBACK of packet identifier 0": b"\x40\x02\x00\x00",
    "CONNACK with a reserved code": b"\x20\x02\x00\x06",
    "CONNACK refusing with a session present": b"\x20\x02\x01\x05",
    "SUBACK with a reserved code": b"\x90\x03\x00\x01\x03",
    "SUBACK without codes": b"\x90\x02\x00\x01",
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_the_standard_forbids_is_malformed(raw: bytes) -> None:
    """Each prohibition of OASIS MQTT 3.1.1 is refused."""
    decoder = Decoder()
    decoder.feed(raw)
    with pytest.raises(MalformedPacket):
        decoder.next()


@pytest.mark.parametrize("protocol", [b"\x00\x04MQTT\x05", b"\x00\x06MQIsdp\x03", b"\x00\x04MQTT\x03"])
def test_other_protocol_versions_are_told_apart(protocol: bytes) -> None:
    """MQTT 5 and 3.1 are UnsupportedProtocol, so that they get CONNACK 1."""
    body = protocol + b"\x02\x00\x3c\x00\x00\x01a"
    decoder = Decoder()
    decoder.feed(b"\x10" + bytes((len(body),)) + body)
    with pytest.raises(UnsupportedProtocol):
        decoder.next()


def test_a_packet_over_the_limit_is_refused_by_its_header() -> None:
    """The limit holds before the body arrives, so nobody can fill the memory."""
    decoder = Decoder(limit=10)
    decoder.feed(b"\x30\x0b")
    with pytest.raises(PacketTooLarge):
        decoder.next()


def test_packets_before_the_broken_one_are_delivered() -> None:
    """A malformed packet takes nothing away from those before it."""
    decoder = Decoder()
    decoder.feed(encode(Pingreq()) + b"\x00\x00")
    assert decoder.next() == Pingreq()
    with pytest.raises(MalformedPacket):
        decoder.next()


def test_rest_hands_over_what_follows() -> None:
    """Who reads only the CONNECT gets every byte behind it."""
    decoder = Decoder()
    decoder.feed(CONNECT + b"\x30\x03\x00")
    assert decoder.next() == Connect(client_id="a", keep_alive=60)
    assert decoder.rest() == b"\x30\x03\x00"
    assert decoder.rest() == b""


UNSPEAKABLE = [
    Puback(packet_id=0),
    Publish(topic="t", payload=b"", qos=1),
    Publish(topic="t" * 65536, payload=b""),
    Connect(client_id="", username="u", password=b"x" * 65536),
    Subscribe(packet_id=65536, filters=(("a", 0),)),
]


@pytest.mark.parametrize("packet", UNSPEAKABLE)
def test_what_cannot_be_spelled_is_a_value_error(packet: Packet) -> None:
    """The encoder never writes a length or identifier that wraps around."""
    with pytest.raises(ValueError, match=r"between 1 and 65535|longer than"):
        encode(packet)


def test_a_password_is_never_shown() -> None:
    """A CONNECT in a log or a traceback keeps its secret."""
    assert "s3cret" not in repr(Connect(client_id="c", username="u", password=b"s3cret"))
