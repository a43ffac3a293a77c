"""A NATS connection that hands on messages as they lie on the wire, for what copies whole channels.

nats-py makes an object, a queue and a task of each subscription and parses each header; a copy needs none
of it (measured in docs/decisions/0003-address-forms.md). Connecting, TLS, pings, reconnecting stay its work.
"""

from collections.abc import Callable
from typing import Any

from muster.plane.lasting import Lasting

_FIRST = 1 << 32
"""The library counts its own subscriptions up from 1."""
Take = Callable[[int, bytes, bytes, bytes], bytes]
"""Given the number of a subscription, subject, header block and payload: the commands to send."""


class Wire(Lasting):
    """With numbered subscriptions besides, whose messages one function answers."""

    def __init__(self, take: Take) -> None:
        super().__init__()
        self._take = take

    async def send(self, commands: bytes) -> None:
        """Send commands of the NATS protocol, such as the functions below give."""
        await self._send_command(commands)
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: Any) -> None:
        if sid < _FIRST:
            await super()._process_msg(sid, subject, reply, data, headers)
        elif commands := self._take(sid - _FIRST, subject, headers or b"", data):
            await self.send(commands)


def subscription(number: int, subject: str, queue: str) -> bytes:
    """Give the command that subscribes; of a queue group one member gets each message."""
    return f"SUB {subject} {queue} {_FIRST + number}\r\n".encode()


def cancellation(number: int) -> bytes:
    """Give the command that ends a subscription."""
    return b"UNSUB %d\r\n" % (_FIRST + number)


def publication(subject: bytes, header: bytes, payload: bytes) -> bytes:
    """Give the command that publishes a message under a header block as it came off the wire."""
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (subject, len(header), len(header) + len(payload), header, payload)
