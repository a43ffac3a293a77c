"""MQTT 3.1.1 bytes to packets (OASIS MQTT 3.1.1), without sockets; the only state is one buffer."""

from collections.abc import Callable
from typing import Final

from muster.plane.adapter.packets import (
    MAX_REMAINING,
    REFUSED,
    Connack,
    ConnackCode,
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
)


class Decoder:
    """Bytes in any chunking go in, whole packets come out.

    *limit* is the largest remaining length in bytes that is read; a reader may change it between packets.
    After a MalformedPacket every further call raises it again: MQTT cannot resynchronise.
    """

    __slots__ = ("_buffer", "_error", "limit")

    def __init__(self, *, limit: int = MAX_REMAINING) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._error: MalformedPacket | None = None

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> Packet | None:
        """Take the next whole packet, None while there is none. Raises MalformedPacket."""
        if self._error is not None:
            raise self._error
        try:
            return self._take()
        except MalformedPacket as error:
            self._buffer.clear()
            self._error = error
            raise

    def rest(self) -> bytes:
        """Take all bytes not yet read as packets."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _take(self) -> Packet | None:
        buffer = self._buffer
        if not buffer:
            return None
        parse = _parser(buffer[0])
        length = _remaining_length(buffer)
        if length is None:
            return None
        start, remaining = length
        if remaining > self.limit:
            raise PacketTooLarge(f"a packet of {remaining} bytes, the limit is {self.limit}")
        end = start + remaining
        if len(buffer) < end:
            return None
        reader = _Reader(bytes(buffer[start:end]))
        flags = buffer[0] & 0x0F
        del buffer[:end]
        packet = parse(flags, reader)
        reader.finish()
        return packet


def _remaining_length(buffer: bytearray) -> tuple[int, int] | None:
    """Where the body starts and how long it is (OASIS 2.2.3); None while it is incomplete."""
    remaining = 0
    for index, byte in enumerate(buffer[1:5]):
        remaining |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return index + 2, remaining
    if len(buffer) >= 5:
        raise MalformedPacket("the remaining length is longer than four bytes")
    return None


class _Reader:
    """A packet's body, read from front to back; every shortage is a MalformedPacket."""

    __slots__ = ("_at", "_body")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, size: int) -> bytes:
        start = self._at
        self._at = start + size
        if self._at > len(self._body):
            raise MalformedPacket("the packet ends inside a field")
        return self._body[start : self._at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def packet_id(self) -> int:
        number = self.number()
        if number == 0:
            raise MalformedPacket("packet identifier 0")  # [MQTT-2.3.1-1]
        return number

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        """Well-formed UTF-8 without U+0000 [MQTT-1.5.3-1, -2]; Python refuses surrogates itself."""
        try:
            text = self.binary().decode("utf-8")
        except UnicodeDecodeError:
            raise MalformedPacket("a string is not UTF-8") from None
        if "\0" in text:
            raise MalformedPacket("a string contains U+0000")
        return text

    def rest(self) -> bytes:
        return self.take(len(self._body) - self._at)

    @property
    def done(self) -> bool:
        return self._at == len(self._body)

    def finish(self) -> None:
        if not self.done:
            raise MalformedPacket("the packet is longer than its fields")


def _read_connect(_flags: int, body: _Reader) -> Connect:
    name, level = body.text(), body.byte()
    if name not in ("MQTT", "MQIsdp"):
        raise MalformedPacket("the protocol name is not MQTT")
    if (name, level) != ("MQTT", 4):
        body.rest()  # other versions lay out the rest differently
        raise UnsupportedProtocol(f"MQTT protocol level {level}")
    flags = body.byte()
    _check_connect_flags(flags)
    keep_alive, client_id = body.number(), body.text()
    will = _read_will(flags, body) if flags & 0x04 else None
    return Connect(
        client_id=client_id,
        clean_session=bool(flags & 0x02),
        keep_alive=keep_alive,
        will=will,
        username=body.text() if flags & 0x80 else None,
        password=body.binary() if flags & 0x40 else None,
    )


def _check_connect_flags(flags: int) -> None:
    will_qos = flags >> 3 & 3
    if flags & 0x01:
        raise MalformedPacket("a reserved CONNECT flag is set")  # [MQTT-3.1.2-3]
    if will_qos == 3 or (not flags & 0x04 and flags & 0x38):
        raise MalformedPacket("the will flags contradict each other")  # [MQTT-3.1.2-11 to -15]
    if flags & 0x40 and not flags & 0x80:
        raise MalformedPacket("a password without a user name")  # [MQTT-3.1.2-22]


def _read_will(flags: int, body: _Reader) -> Will:
    topic = _topic_name(body.text())
    return Will(topic=topic, payload=body.binary(), qos=flags >> 3 & 3, retain=bool(flags & 0x20))


def _topic_name(topic: str) -> str:
    if not topic or "+" in topic or "#" in topic:
        raise MalformedPacket("a topic name is empty or has a wildcard")  # [MQTT-3.3.2-2, -4.7.3-1]
    return topic


def _topic_filter(body: _Reader) -> str:
    topic_filter = body.text()
    if not topic_filter:
        raise MalformedPacket("an empty topic filter")  # [MQTT-4.7.3-1]
    return topic_filter


def _read_connack(_flags: int, body: _Reader) -> Connack:
    present, code = body.byte(), body.byte()
    if present > 1 or code > ConnackCode.NOT_AUTHORIZED or (present and code):
        raise MalformedPacket("CONNACK with reserved bits")  # [MQTT-3.2.2-4, -6]
    return Connack(code=code, session_present=bool(present))


def _read_publish(flags: int, body: _Reader) -> Publish:
    qos = flags >> 1 & 3
    dup = bool(flags & 0x08)
    if qos == 3 or (dup and qos == 0):
        raise MalformedPacket("PUBLISH flags contradict each other")  # [MQTT-3.3.1-2, -4]
    topic = _topic_name(body.text())
    packet_id = body.packet_id() if qos else 0
    return Publish(
        topic=topic, payload=body.rest(), qos=qos, retain=bool(flags & 1), dup=dup, packet_id=packet_id
    )


def _read_ack(kind: Callable[..., Packet]) -> Callable[[int, _Reader], Packet]:
    return lambda _flags, body: kind(packet_id=body.packet_id())


def _read_empty(kind: Callable[..., Packet]) -> Callable[[int, _Reader], Packet]:
    return lambda _flags, _body: kind()


def _read_subscribe(_flags: int, body: _Reader) -> Subscribe:
    packet_id = body.packet_id()
    filters = []
    while not body.done:
        topic_filter, qos = _topic_filter(body), body.byte()
        if qos > 2:
            raise MalformedPacket("SUBSCRIBE asks for a QoS above 2")  # [MQTT-3-8.3-4]
        filters.append((topic_filter, qos))
    if not filters:
        raise MalformedPacket("SUBSCRIBE without a topic filter")  # [MQTT-3.8.3-3]
    return Subscribe(packet_id=packet_id, filters=tuple(filters))


def _read_suback(_flags: int, body: _Reader) -> Suback:
    packet_id, codes = body.packet_id(), tuple(body.rest())
    if not codes or not {0, 1, 2, REFUSED}.issuperset(codes):
        raise MalformedPacket("SUBACK with reserved return codes")  # [MQTT-3.9.3-2]
    return Suback(packet_id=packet_id, codes=codes)


def _read_unsubscribe(_flags: int, body: _Reader) -> Unsubscribe:
    packet_id = body.packet_id()
    filters = []
    while not body.done:
        filters.append(_topic_filter(body))
    if not filters:
        raise MalformedPacket("UNSUBSCRIBE without a topic filter")  # [MQTT-3.10.3-2]
    return Unsubscribe(packet_id=packet_id, filters=tuple(filters))


# First byte: packet type and the flags it must have (OASIS 2.2.1, 2.2.2).
_PARSERS: Final[dict[int, Callable[[int, _Reader], Packet]]] = {
    0x10: _read_connect,
    0x20: _read_connack,
    **dict.fromkeys(range(0x30, 0x40), _read_publish),
    0x40: _read_ack(Puback),
    0x50: _read_ack(Pubrec),
    0x62: _read_ack(Pubrel),
    0x70: _read_ack(Pubcomp),
    0x82: _read_subscribe,
    0x90: _read_suback,
    0xA2: _read_unsubscribe,
    0xB0: _read_ack(Unsuback),
    0xC0: _read_empty(Pingreq),
    0xD0: _read_empty(Pingresp),
    0xE0: _read_empty(Disconnect),
}


def _parser(first: int) -> Callable[[int, _Reader], Packet]:
    try:
        return _PARSERS[first]
    except KeyError:
        raise MalformedPacket(f"no packet starts with byte 0x{first:02x}") from None
