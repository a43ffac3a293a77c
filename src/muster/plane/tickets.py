"""What Muster's own parts tell the broker instead of a device's password, so that any worker can read it.

The TLS front logs a device in with a ticket that carries the certificate it verified and where the device
came from; whoever ends a session takes its client id with one. A ticket is authentic and short-lived, and
only the callout ever accepts it.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass

import msgspec

from muster.plane.keys import Keys

USERNAME = "_muster"
_SECONDS = 30
_TAG = 32


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """Who logs in, by another way than the broker saw. The clock is in seconds since 1970 UTC."""

    expires: int
    evict: bool = False
    """It is Muster, taking a client id over from a device to end its session."""
    username: str = ""
    password: str = ""
    certificate: bytes | None = None
    """The verified client certificate, DER."""
    source: str = ""
    protocol: str = "mqtts"


@dataclass(frozen=True, slots=True)
class Tickets:
    """Writes and reads tickets under a key all workers have."""

    keys: Keys

    def write(
        self,
        now: int,
        *,
        evict: bool = False,
        username: str = "",
        password: str = "",
        certificate: bytes | None = None,
        source: str = "",
        protocol: str = "mqtts",
    ) -> str:
        """Give the password to log in with, beside USERNAME, within the next 30 seconds."""
        ticket = Ticket(
            expires=now + _SECONDS,
            evict=evict,
            username=username,
            password=password,
            certificate=certificate,
            source=source,
            protocol=protocol,
        )
        body = msgspec.msgpack.encode(ticket)
        return str(base64.urlsafe_b64encode(self._tag(body) + body), "ascii")

    def read(self, username: str, password: str, now: int) -> Ticket | None:
        """Give the ticket, or None when this is no ticket, not ours, or too old."""
        if username != USERNAME:
            return None
        try:
            raw = base64.urlsafe_b64decode(password)
        except ValueError:
            return None
        tag, body = raw[:_TAG], raw[_TAG:]
        if not hmac.compare_digest(tag, self._tag(body)):
            return None
        ticket = msgspec.msgpack.decode(body, type=Ticket)
        return ticket if ticket.expires >= now else None

    def _tag(self, body: bytes) -> bytes:
        return hmac.digest(self.keys.password("tickets").encode(), body, hashlib.sha256)
