"""MQTT 3.1.1 packets as values (OASIS MQTT 3.1.1) and their spelling in bytes; decoder.py reads them."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MAX_REMAINING: Final = 268_435_455  # OASIS 2.2.3: four bytes of seven bits
MAX_FIELD: Final = 65_535  # OASIS 1.5.3: a length prefix is two bytes
REFUSED: Final = 0x80  # SUBACK: failure (OASIS 3.9.3)


class MalformedPacket(Exception):
    """The bytes are no MQTT 3.1.1; nothing after them can be read."""


class UnsupportedProtocol(MalformedPacket):
    """A CONNECT of another MQTT version: answer CONNACK 1 [MQTT-3.1.2-2]."""


class PacketTooLarge(MalformedPacket):
    """The packet announces more bytes than its reader allows."""


class ConnackCode(IntEnum):
    """OASIS 3.2.2.3."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_CREDENTIALS = 4
    NOT_AUTHORIZED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    client_id: str
    clean_session: bool = True
    keep_alive: int = 0
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)
    will: Will | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connack:
    code: int = ConnackCode.ACCEPTED
    session_present: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """*packet_id* is 0 exactly when *qos* is 0."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    dup: bool = False
    packet_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Puback:
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pubrec:
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pubrel:
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pubcomp:
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe:
    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Suback:
    packet_id: int
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuback:
    packet_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pingreq: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pingresp: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect: ...


Packet = (
    Connect
    | Connack
    | Publish
    | Puback
    | Pubrec
    | Pubrel
    | Pubcomp
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
)


def encode(packet: Packet) -> bytes:
    """The packet's bytes. Raises ValueError if a field cannot be spelled: too long, no packet identifier."""
    match packet:
        case Publish():
            return _encode_publish(packet)
        case Connect():
            return _framed(0x10, _connect_body(packet))
        case Connack():
            return bytes((0x20, 2, packet.session_present, packet.code))
        case Subscribe():
            filters = (_text(text) + bytes((qos,)) for text, qos in packet.filters)
            return _framed(0x82, _number(packet.packet_id) + b"".join(filters))
        case Suback():
            return _framed(0x90, _number(packet.packet_id) + bytes(packet.codes))
        case Unsubscribe():
            return _framed(0xA2, _number(packet.packet_id) + b"".join(map(_text, packet.filters)))
        case Pingreq() | Pingresp() | Disconnect():
            return bytes((_FIRST[type(packet)], 0))
        case _:
            return _framed(_FIRST[type(packet)], _number(packet.packet_id))


_FIRST: Final[dict[type, int]] = {
    Puback: 0x40,
    Pubrec: 0x50,
    Pubrel: 0x62,
    Pubcomp: 0x70,
    Unsuback: 0xB0,
    Pingreq: 0xC0,
    Pingresp: 0xD0,
    Disconnect: 0xE0,
}


def _encode_publish(packet: Publish) -> bytes:
    first = 0x30 | packet.dup << 3 | packet.qos << 1 | packet.retain
    packet_id = _number(packet.packet_id) if packet.qos else b""
    return _framed(first, _text(packet.topic) + packet_id + packet.payload)


def _connect_body(packet: Connect) -> bytes:
    will = packet.will
    flags = packet.clean_session << 1
    body = [packet.keep_alive.to_bytes(2, "big"), _text(packet.client_id)]
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        body += [_text(will.topic), _binary(will.payload)]
    if packet.username is not None:
        flags |= 0x80
        body.append(_text(packet.username))
    if packet.password is not None:
        flags |= 0x40
        body.append(_binary(packet.password))
    return b"\x00\x04MQTT\x04" + bytes((flags,)) + b"".join(body)


def _framed(first: int, body: bytes) -> bytes:
    remaining = len(body)
    if remaining > MAX_REMAINING:
        raise ValueError("the packet is longer than MQTT allows")
    header = bytearray((first,))
    while remaining > 0x7F:
        header.append(remaining & 0x7F | 0x80)
        remaining >>= 7
    header.append(remaining)
    return bytes(header) + body


def _number(packet_id: int) -> bytes:
    if not 0 < packet_id <= MAX_FIELD:
        raise ValueError("a packet identifier is between 1 and 65535")
    return packet_id.to_bytes(2, "big")


def _binary(data: bytes) -> bytes:
    if len(data) > MAX_FIELD:
        raise ValueError("a field is longer than 65535 bytes")
    return len(data).to_bytes(2, "big") + data


def _text(text: str) -> bytes:
    return _binary(text.encode())
