"""The parts of this room, joined: what a process of Muster needs to have devices speak."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg
from prometheus_client import CollectorRegistry

from muster.core import events
from muster.core.errors import Unavailable
from muster.core.messaging import Refusal, Rights
from muster.core.model import DeviceId, Event, TenantId
from muster.core.presence import Sighting
from muster.plane.adapter.downstream import Downstream
from muster.plane.admitted import ADMITTED, Admitted, read_admitted, write_admitted
from muster.plane.callout import Authorise, Callout, ClaimClientId
from muster.plane.config import CALLOUT, DEVICES, SYSTEM, largest
from muster.plane.forms import Forms, Resolve
from muster.plane.keys import Keys
from muster.plane.leftovers import Leftovers
from muster.plane.link import Link
from muster.plane.live import LiveSessions
from muster.plane.meters import Meters
from muster.plane.passages import Passages
from muster.plane.publish import Publisher, Retention
from muster.plane.records import Records
from muster.plane.sessions import Sessions
from muster.plane.sockets import Sockets
from muster.plane.subjects import Address
from muster.plane.tickets import Tickets
from muster.plane.wire import Wire

_LEADER_SECONDS = 0.25
_LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What the room asks of the core, through the store."""

    authorise: Authorise
    claim_client_id: ClaimClientId
    client_ids: Callable[[TenantId, DeviceId], Awaitable[Sequence[str]]]
    """The MQTT client ids that the device has claimed."""
    rights_of: Callable[[TenantId, DeviceId], Awaitable[Rights | Refusal]]
    resolve: Resolve
    seen: Callable[[Sequence[Sighting]], Awaitable[None]]


class Plane:
    """All of the room in one process. The one of the installation that *leads* cuts, copies, reports."""

    def __init__(
        self,
        *,
        urls: Sequence[str],
        doors: Sequence[tuple[str, int]],
        keys: Keys,
        ports: Ports,
        registry: CollectorRegistry,
        leads: bool = True,
        payload_bytes: int = 1024 * 1024,
        retention: Retention | None = None,
        meters: Meters | None = None,
        remembers: float = 1.0,
    ) -> None:
        """Prepare. *urls* are NATS addresses of the broker, *doors* its plain MQTT addresses.

        *meters* are those of another plane in this process, where there is one. *remembers* is for how many
        seconds, at most, who may publish over HTTP is not asked again.
        """
        self.meters = meters or Meters(registry)
        self.tickets = Tickets(keys)
        system, callout, devices = (Link(urls, keys, name) for name in (SYSTEM, CALLOUT, DEVICES))
        self._links = [system, callout, devices]
        records = Records(devices)
        self.live = LiveSessions(system, self.meters, seen=ports.seen if leads else None)
        self._sessions = Sessions(
            system,
            callout,
            self.live,
            self.tickets,
            records,
            self.meters,
            doors=doors,
            client_ids=ports.client_ids,
            rights_of=ports.rights_of,
            claim_client_id=ports.claim_client_id,
        )
        Callout(
            callout,
            keys.signer(),
            self.tickets,
            self.meters,
            authorise=ports.authorise,
            claim_client_id=ports.claim_client_id,
            owner_of=self.live.owner_of,
            expect=self._expect if leads else self._ask_the_leader,
        )
        self.publisher = Publisher(devices, self.meters, payload_bytes=payload_bytes, retention=retention)
        self.passages = Passages(callout, seconds=remembers)
        self.sockets = Sockets(devices, callout, self.publisher)
        self.downstream = Downstream(devices, message_bytes=largest(payload_bytes))
        self._leftovers = Leftovers(devices)
        self._callout = callout
        self._forms = Forms(records, self.meters, resolve=ports.resolve, bytes_=largest(payload_bytes))
        if leads:
            link = Link(urls, keys, DEVICES, client=Wire(self._forms.copy), echo=False)
            self._forms.attach(link)
            self._links.append(link)
            callout.on_message(ADMITTED, self._expect_for_another)

    async def _expect(self, admitted: Admitted) -> None:
        self.live.expect(admitted)
        await self._forms.expect(admitted)

    async def _expect_for_another(self, message: Msg) -> None:
        async def answer() -> None:
            await self._expect(read_admitted(message.data))
            await self._callout.publish(message.reply, b"")

        self._callout.spawn(answer())

    async def _ask_the_leader(self, admitted: Admitted) -> None:
        # Without a leader a device is let in all the same; until there is one nothing is copied.
        with contextlib.suppress(Unavailable):
            await self._callout.request(ADMITTED, write_admitted(admitted), patience=_LEADER_SECONDS)

    @property
    def is_up(self) -> bool:
        """Whether the broker is there for all that is done here."""
        return all(link.is_up for link in self._links)

    def start(self) -> None:
        """Begin; the broker may come later, or go and come back."""
        for link in self._links:
            link.start()

    async def wait_up(self, patience: float) -> None:
        """Wait for the broker. Unavailable when it does not answer within *patience* seconds."""
        await asyncio.gather(*(link.wait_up(patience) for link in self._links))

    async def deliver(self, event: Event) -> None:
        """Take an event of the outbox. Unavailable: again later."""
        if event.topic == events.CHANNEL_DELETED:
            names = event.payload["route"], event.payload["alias"]
            await self._forget_channel(Address(event.key, event.tenant_id, *names))
        await self._sessions.deliver(event)

    async def _forget_channel(self, address: Address) -> None:
        """Drop what was said there; once more when the last of its devices has been cut."""
        await self._leftovers.drop(address)

        async def again() -> None:
            await asyncio.sleep(_LAST_WORDS_SECONDS)
            with contextlib.suppress(Unavailable):
                await self._leftovers.drop(address)

        self._callout.spawn(again())

    async def stop(self) -> None:
        """Close the connections to the broker; devices stay connected to it."""
        await asyncio.gather(*(link.stop() for link in self._links))
