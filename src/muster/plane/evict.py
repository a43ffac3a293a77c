"""Taking a client id over, by MQTT's own rule.

The newcomer ends the old connection, without its will, and with a clean session all that was kept for it.
"""

import asyncio
import struct

from muster.core.errors import Unavailable
from muster.plane.doors import Address, Doors
from muster.plane.tickets import USERNAME

_CONNACK = b"\x20\x02"
_ACCEPTED, _REJECTED = 0, 2
_CLEAN, _KEPT = 0xC2, 0xC0
_DISCONNECT = b"\xe0\x00"
_OPEN_SECONDS = 2


async def evict(
    doors: Doors,
    client_id: str,
    password: str,
    *,
    is_kept: bool,
    patience: float = 5,
) -> None:
    """End the connection with this client id; unless it *is_kept* leave nothing of its session either.

    *doors* are tried in turn, each for *patience* seconds once it has opened; *password* is a ticket.
    Unavailable if all fail.
    """
    connect = _connect(client_id, password, is_kept=is_kept)
    for door in doors.in_turn():
        try:
            if await _take(door, connect, patience):
                doors.works(door)
                return
        except (OSError, asyncio.IncompleteReadError):
            doors.failed(door)
    raise Unavailable("the broker does not let a session be ended")


async def _take(door: Address, connect: bytes, patience: float) -> bool:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(*door), _OPEN_SECONDS)
    try:
        async with asyncio.timeout(patience):
            writer.write(connect)
            answer = await reader.readexactly(4)
            writer.write(_DISCONNECT)
            await writer.drain()
        # An id that the broker does not take has no session to end.
        return answer[:2] == _CONNACK and answer[3] in (_ACCEPTED, _REJECTED)
    finally:
        writer.close()


def _connect(client_id: str, password: str, *, is_kept: bool) -> bytes:
    flags = _KEPT if is_kept else _CLEAN
    fields = (client_id, USERNAME, password)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x3c" + b"".join(map(_text, fields))
    length, digits = len(body), bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    digits.append(length)
    return b"\x10" + bytes(digits) + body


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw
