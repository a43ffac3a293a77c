"""Who arrives through the TLS front, and the one-time login that carries it to the broker's plain port.

The broker sees every spliced connection come from loopback with the user name and password of its CONNECT,
and nothing else. So what only the front knows (certificate, source address, SNI) travels behind a password
that is good once: the auth callout redeems it and gets the Arrival back.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.packets import ConnackCode, Connect

_TOKEN_BYTES: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The device a verified certificate belongs to."""

    tenant_id: TenantId
    device_id: DeviceId
    serial: str
    """Of the leaf, to be looked up again when rights are computed."""
    certificate_der: bytes = b""
    """The leaf."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Not let in: the CONNACK code for the device, the reason for the log."""

    code: ConnackCode
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A device that finished its handshake and sent its CONNECT."""

    source: str
    """Address it came from."""
    sni: str | None
    connect: Connect
    """As the device sent it, with its own user name and password."""
    identity: Identity | None
    """None when it showed no certificate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """User name and password that the broker gets instead of the device's own."""

    username: str
    password: bytes = field(repr=False)


class Doorkeeper(Protocol):
    """What the front asks: whose certificate is this, and how does it log in at the broker."""

    async def verify(self, chain_der: Sequence[bytes], sni: str | None) -> Identity | Refusal:
        """Judge a presented chain, leaf first: signatures, validity, usage, revocation, device."""

    async def login_for(self, arrival: Arrival) -> Login | Refusal:
        """Give the login for the broker; OneTimeLogins.issue makes one."""


class OneTimeLogins:
    """The logins given out and not yet redeemed, in memory: at most *capacity*, each for *lifetime* seconds.

    Front and auth callout share this object, so both run in one process.
    """

    def __init__(self, *, clock: Callable[[], float], capacity: int = 20_000, lifetime: float = 30.0) -> None:
        self._clock = clock
        self._capacity = capacity
        self._lifetime = lifetime
        self._open: dict[bytes, tuple[float, str, Arrival]] = {}

    def issue(self, arrival: Arrival, *, username: str) -> Login | Refusal:
        """Give a login that redeem() turns back into *arrival* once; Refusal when too many are open."""
        self._forget_expired()
        if len(self._open) >= self._capacity:
            return Refusal(code=ConnackCode.SERVER_UNAVAILABLE, reason="too many logins at once")
        password = secrets.token_urlsafe(_TOKEN_BYTES).encode()
        self._open[password] = (self._clock() + self._lifetime, username, arrival)
        return Login(username=username, password=password)

    def redeem(self, username: str, password: bytes) -> Arrival | None:
        """Give back who came with this login, the first time only; None when it is no login of ours."""
        deadline, issued_to, arrival = self._open.pop(password, (0.0, "", None))
        return arrival if issued_to == username and self._clock() < deadline else None

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._open:
            oldest = next(iter(self._open))  # all live equally long, so the oldest expires first
            if self._open[oldest][0] > now:
                return
            del self._open[oldest]
