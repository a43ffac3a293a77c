"""The commands of one connection: which are wanted, which are on their way to the device."""

from dataclasses import dataclass
from typing import Final

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.actions import Action, Delivered, Forward, Rules, Send, Unregister
from muster.plane.adapter.messages import notification
from muster.plane.adapter.packets import MAX_FIELD, Publish, encode
from muster.plane.adapter.ports import AdapterDevice, Command, CommandSubscription, Delivery
from muster.plane.adapter.topics import Filter

_NEVER_IN_A_TOPIC: Final = frozenset("+#\0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """A granted subscription, in the device's spelling, and who reads: None if nobody authenticated."""

    text: str
    filter: Filter
    qos: int
    reader: AdapterDevice | None


class Mailbox:
    """Subscriptions to commands, and QoS 1 deliveries until the device acknowledges them."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._listening: dict[CommandSubscription, Listening] = {}
        self._unacked: dict[int, tuple[int, float]] = {}
        self._packet_id = 0

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return len(self._listening)

    @property
    def deadline(self) -> float | None:
        """When expire() is due; deliveries all wait equally long, so the oldest ends first."""
        return next((end for _, end in self._unacked.values()), None)

    def grant(self, wanted: CommandSubscription, listening: Listening) -> None:
        """Commands for *wanted* reach the device from now on, spelled as it asked."""
        self._listening[wanted] = listening

    def drop(self, text: str) -> list[Action]:
        """The device unsubscribes from the filter *text*."""
        dropped = [wanted for wanted, listening in self._listening.items() if listening.text == text]
        for wanted in dropped:
            del self._listening[wanted]
        return [action for wanted in dropped for action in _farewell(wanted)]

    def deliver(self, command: Command, wanted: CommandSubscription, ticket: int, now: float) -> list[Action]:
        """Send a command; Delivered follows at once or later."""
        listening = self._listening.get(wanted)
        if listening is None or (listening.qos and len(self._unacked) >= self._rules.commands_in_flight):
            return [Delivered(ticket, Delivery.RELEASED)]
        packet_id = self._next_packet_id() if listening.qos else 0
        data = _spell(command, listening, packet_id)
        if data is None:
            return [Delivered(ticket, Delivery.REJECTED)]
        if not packet_id:
            return [Send(data), Delivered(ticket, Delivery.ACCEPTED)]
        self._unacked[packet_id] = (ticket, now + self._rules.command_timeout)
        return [Send(data)]

    def acked(self, packet_id: int) -> list[Action]:
        """The device acknowledges; unknown identifiers mean nothing."""
        ticket, _ = self._unacked.pop(packet_id, (None, 0.0))
        return [] if ticket is None else [Delivered(ticket, Delivery.ACCEPTED)]

    def expire(self, now: float) -> list[Action]:
        """Release what was not acknowledged in time."""
        late = [packet_id for packet_id, (_, end) in self._unacked.items() if end <= now]
        return [Delivered(self._unacked.pop(packet_id)[0], Delivery.RELEASED) for packet_id in late]

    def close(self) -> list[Action]:
        """Release everything: the connection is gone."""
        released: list[Action] = [
            Delivered(ticket, Delivery.RELEASED) for ticket, _ in self._unacked.values()
        ]
        farewells = [action for wanted in self._listening for action in _farewell(wanted)]
        self._unacked.clear()
        self._listening.clear()
        return [*released, *farewells]

    def _next_packet_id(self) -> int:
        self._packet_id = self._packet_id % MAX_FIELD + 1
        while self._packet_id in self._unacked:
            self._packet_id = self._packet_id % MAX_FIELD + 1
        return self._packet_id


def _farewell(wanted: CommandSubscription) -> list[Action]:
    return [Unregister(wanted), Forward(notification(wanted, ttd=0))]


def _spell(command: Command, listening: Listening, packet_id: int) -> bytes | None:
    """The PUBLISH of a command; None when its words do not fit into a topic."""
    words = command.name + command.request_id + command.device_id
    if not command.name or "/" in command.request_id + command.device_id or _NEVER_IN_A_TOPIC & set(words):
        return None
    reader = listening.reader
    device = "" if reader is not None and command.device_id == reader.device_id else command.device_id
    topic = listening.filter.command_topic(device=device, request_id=command.request_id, name=command.name)
    try:
        return encode(Publish(topic=topic, payload=command.payload, qos=listening.qos, packet_id=packet_id))
    except ValueError:  # too long, or characters that UTF-8 has not
        return None


def wanted_by(reader: AdapterDevice | None, wish: Filter) -> CommandSubscription | None:
    """Whose commands or errors a filter means; None when they cannot be for *reader*."""
    if reader is None:
        if not (wish.tenant and wish.device) or wish.device == "+":
            return None
        return CommandSubscription(tenant_id=TenantId(wish.tenant), device_id=DeviceId(wish.device))
    tenant_id, own = reader.tenant_id, reader.device_id
    if wish.tenant not in ("", tenant_id):
        return None
    if wish.device == "+":
        return CommandSubscription(tenant_id=tenant_id, device_id=own, gateway_id=own, for_all=True)
    if wish.device in ("", own):
        return CommandSubscription(tenant_id=tenant_id, device_id=own)
    return CommandSubscription(tenant_id=tenant_id, device_id=DeviceId(wish.device), gateway_id=own)
