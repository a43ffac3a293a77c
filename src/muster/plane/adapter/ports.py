"""What the MQTT adapter says and asks, in core words; assembly maps the ports to use cases and the broker."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from muster.core.admission import Admission
from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.packets import ConnackCode

EMPTY_NOTIFICATION: Final = "application/vnd.eclipse-hono-empty-notification"
"""Content type of a message without payload that only tells for how long commands are awaited (ttd)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """User name and password as split: `auth-id@tenant` at the first `@`, or both inside the user name."""

    auth_id: str
    tenant: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a device showed. A certificate, if there is one, is tried first (spec C.1)."""

    chain_der: tuple[bytes, ...]
    """As presented, leaf first, unverified; empty without a client certificate."""
    sni: str | None
    password: Password | None
    client_id: str
    source: str
    """Address the device came from."""
    token: str = field(default="", repr=False)
    """A JSON Web Token of the device, tried after the certificate and before the password."""
    named: tuple[str, str] | None = None
    """Tenant and auth id, where the request names them and the token may leave them out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterDevice:
    """The authenticated device, whose connection this is."""

    tenant_id: TenantId
    device_id: DeviceId
    admission: Admission | None = field(default=None, compare=False, repr=False)
    """By what it was let in; None: any change of its rights ends the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterRefusal:
    """Not let in: 4 bad credentials, unknown tenant or device; 5 disabled or over quota; 3 try later."""

    code: ConnackCode
    reason: str = ""
    """For the log."""


class MessageKind(Enum):
    TELEMETRY = "telemetry"
    EVENT = "event"
    COMMAND_RESPONSE = "command-response"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A device's message on its way to the applications."""

    kind: MessageKind
    tenant_id: TenantId
    device_id: DeviceId
    """Of whom the message tells."""
    via: DeviceId | None
    """The gateway that sent it, None when the device itself did."""
    qos: int
    payload: bytes
    content_type: str | None = None
    """None: the default of device or tenant, else application/octet-stream."""
    ttl: int | None = None
    """Seconds it is worth keeping, as the device asked."""
    ttd: int | None = None
    """Seconds the device listens for commands: -1 until further notice, 0 no more."""
    request_id: str | None = None
    """Command responses: of the command."""
    status: int | None = None
    """Command responses: outcome, as an HTTP status."""
    is_retained: bool = False
    is_authenticated: bool = True
    """False on adapters that let devices in without credentials; the tenant must allow it."""
    topic: str = ""
    """As published by the device, property bag included."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """The property bag's members that mean nothing to the adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A message was not forwarded: an HTTP status as in spec C.2, and a text the device may read."""

    status: int
    text: str
    is_terminal: bool = False
    """The device, its tenant or the adapter is disabled or gone: the connection closes, whatever is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSubscription:
    """Commands a connection waits for."""

    tenant_id: TenantId
    device_id: DeviceId
    """Whose commands; with *for_all* the gateway's own and those of every device it may act for."""
    gateway_id: DeviceId | None = None
    """The connected gateway, when it listens for another device or for all; None for the device itself."""
    for_all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """An application's command; without *request_id* it is one-way."""

    device_id: DeviceId
    name: str
    payload: bytes = b""
    request_id: str = ""
    content_type: str = ""
    """Of the payload; MQTT 3.1.1 has no place for it."""


class Delivery(Enum):
    """What became of a command."""

    ACCEPTED = "accepted"
    """The device has it (QoS 1), or it was sent (QoS 0)."""
    RELEASED = "released"
    """Not delivered; another attempt may succeed."""
    REJECTED = "rejected"
    """It cannot be spelled as an MQTT topic."""


Deliver = Callable[[Command], Awaitable[Delivery]]
"""Hands a command to one connection and waits for the outcome; never raises."""


class AdapterPorts(Protocol):
    """What the adapter needs from the rest of Muster. Anything raised counts as unavailable."""

    async def authenticate(self, evidence: Evidence) -> AdapterDevice | AdapterRefusal:
        """Say who it is; the tenant, the adapter for it and the device are enabled, limits hold."""

    async def stands(self, device: AdapterDevice) -> bool:
        """Say whether the device would be let in again by what let it in."""

    async def forward(self, message: Message) -> Failure | None:
        """Authorise and hand on. None: done; with QoS 1 the next in line has it for good."""

    async def register_commands(self, wanted: CommandSubscription, deliver: Deliver) -> bool:
        """Route commands to *deliver* from now on, if the gateway may act for the device. Last one wins."""

    async def unregister_commands(self, wanted: CommandSubscription, deliver: Deliver) -> None:
        """Undo register_commands, unless another connection has taken over."""
