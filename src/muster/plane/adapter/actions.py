"""What a session asks its server to do, and the limits it keeps."""

from dataclasses import dataclass
from enum import Enum

from muster.plane.adapter.ports import CommandSubscription, Delivery, Evidence, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Limits of one connection: seconds, bytes and counts."""

    connect_timeout: float = 10.0
    """From the open socket to the authenticated device."""
    connect_size: int = 16_384
    payload_size: int = 65_536
    in_flight: int = 64
    """Messages handed on and not yet answered; the device waits beyond."""
    commands_in_flight: int = 16
    command_timeout: float = 10.0
    subscriptions: int = 64
    authentication_required: bool = True


class CloseReason(Enum):
    """Why a connection ends."""

    DISCONNECTED = "disconnected"
    REFUSED = "refused"
    PROTOCOL = "protocol error"
    SLOW = "no CONNECT in time"
    SILENT = "keep alive ran out"
    FAILED = "a message failed"
    CUT = "cut"
    LOST = "connection lost"


@dataclass(frozen=True, slots=True)
class Send:
    """Write to the device."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Answer with authenticated() or refused()."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Forward:
    """Answer with forwarded(), unless *ticket* is None."""

    message: Message
    ticket: int | None = None


@dataclass(frozen=True, slots=True)
class Register:
    """Answer with registered()."""

    wanted: CommandSubscription


@dataclass(frozen=True, slots=True)
class Unregister:
    """Commands are no longer wanted."""

    wanted: CommandSubscription


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of the command handed over with *ticket*."""

    ticket: int
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Close:
    """Send what was to be sent before, then close; of this session only closed() follows."""

    reason: CloseReason
    detail: str = ""


Action = Send | Authenticate | Forward | Register | Unregister | Delivered | Close
