"""Who arrives through the TLS front, and the login that carries it to the broker's plain port.

The broker sees every spliced connection come from loopback with the user name and password of its CONNECT,
and nothing else. So what only the front knows (certificate, source address) travels in the password: a ticket
that the auth callout reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.packets import ConnackCode, Connect


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
        """Give the login for the broker."""
