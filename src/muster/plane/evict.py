"""Taking a client id over, by MQTT's own rule.

The newcomer ends the old connection, without its will, and with a clean session all that was kept for it.
"""

import asyncio
import struct
from collections.abc import Sequence

from muster.core.errors import Unavailable
from muster.plane.tickets import USERNAME

_ACCEPTED = b"\x20\x02\x00\x00"
_REJECTED = 2
_DISCONNECT = b"\xe0\x00"


async def evict(
    doors: Sequence[tuple[str, int]], client_id: str, password: str, *, patience: float = 5
) -> None:
    """Leave nothing of the session with this client id, connected or not.

    *doors* are MQTT addresses of the broker, tried in turn; *password* is a ticket. Unavailable if all fail.
    """
    for host, port in doors:
        try:
            if await asyncio.wait_for(_take(host, port, client_id, password), patience):
                return
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            continue
    raise Unavailable("the broker does not let a session be ended")


async def _take(host: str, port: int, client_id: str, password: str) -> bool:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_connect(client_id, password))
        answer = await reader.readexactly(4)
        writer.write(_DISCONNECT)
        await writer.drain()
        # An id that the broker does not take has no session to end.
        return answer == _ACCEPTED or answer[3] == _REJECTED
    finally:
        writer.close()


def _connect(client_id: str, password: str) -> bytes:
    fields = (client_id, USERNAME, password)
    body = b"\x00\x04MQTT\x04\xc2\x00\x3c" + b"".join(map(_text, fields))
    length, digits = len(body), bytearray()
    while length > 0x7F:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    digits.append(length)
    return b"\x10" + bytes(digits) + body


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw
