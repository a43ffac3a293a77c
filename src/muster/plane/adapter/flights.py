"""The messages of one connection that are on their way to the applications; acknowledged as they came."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from muster.plane.adapter.messages import Origin


@dataclass(slots=True)
class Flight:
    """A published message on its way."""

    origin: Origin
    is_settled: bool = False
    is_acked: bool = False


class Flights:
    """In the order of arrival, which is the order of acknowledgement [MQTT-4.6.0-2]."""

    def __init__(self) -> None:
        self._under_way: deque[Flight] = deque()
        self._by_ticket: dict[int, Flight] = {}
        self._tickets = 0

    def __len__(self) -> int:
        """How many are not acknowledged yet."""
        return len(self._under_way)

    def begin(self, origin: Origin) -> Flight:
        """A message has come."""
        flight = Flight(origin)
        self._under_way.append(flight)
        return flight

    def ticket(self, flight: Flight) -> int:
        """Give the number under which its fate will be told."""
        self._tickets += 1
        self._by_ticket[self._tickets] = flight
        return self._tickets

    def landed(self, ticket: int) -> Flight | None:
        """Its fate is told: give it, once; None when nobody waits for it any more."""
        return self._by_ticket.pop(ticket, None)

    def acknowledge(self) -> Iterator[int]:
        """Drop what is settled, up to the first that is not; give the packet ids that are owed a PUBACK."""
        while self._under_way and self._under_way[0].is_settled:
            flight = self._under_way.popleft()
            if flight.is_acked and flight.origin.packet_id:
                yield flight.origin.packet_id

    def clear(self) -> None:
        """Nobody waits for anything any more."""
        self._under_way.clear()
        self._by_ticket.clear()
