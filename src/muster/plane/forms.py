"""Both address forms meet: what is sent to one name of a channel is copied to its others that are read.

The broker knows each name of a channel as a subject of its own. Copies are made only of channels that are
read under another name than they are written to: nobody pays who keeps to one form. Why so, and what holds:
docs/decisions/0003-address-forms.md.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog

from muster.core.errors import MusterError
from muster.plane.admitted import Admitted
from muster.plane.link import FAILURES, Link
from muster.plane.meters import Meters
from muster.plane.records import Records
from muster.plane.subjects import Address, Place, take_apart
from muster.plane.wire import Wire, cancellation, publication, subscription

log = structlog.get_logger("muster.forms")
_LINE = b"NATS/1.0\r\n"
_MARK = b"Muster-Copy:1\r\n"
_QOS = b"Nmqtt-Pub:"
_STORED = b"$MQTT.msgs."
_RETAINED = "$MQTT.rmsgs."
_ALL_RETAINED = 0
_QUEUE = "muster-forms"
_WARM_SECONDS = 2.0
_LINGER_SECONDS = 0.25
_AGAIN_SECONDS = 1.0
_SETTLE_SECONDS = 1
Resolve = Callable[[str, str | None], Awaitable[Address | None]]
"""Given a channel's id or route and the tenant's id or alias, where named: its address, or None."""


@dataclass(slots=True)
class _Source:
    """A name that is copied from, and the subjects it is copied to."""

    number: int
    length: int
    targets: list[bytes]


@dataclass(slots=True)
class _Meeting:
    """A channel whose names meet at the moment."""

    address: Address
    warm: int = 0
    """How many sessions have just come and may read any name."""
    sources: dict[str, _Source] = field(default_factory=dict)


class Forms:
    """Copies between the names of each channel; in one process of the installation at a time."""

    def __init__(self, records: Records, meters: Meters, *, resolve: Resolve, bytes_: int) -> None:
        """Prepare; no more than *bytes_*, headers with it, is copied. Then attach, before anything starts."""
        self._resolve = resolve
        self._bytes = bytes_
        self._copied = meters.copied
        self._readers: Counter[str] = Counter()
        self._reads: dict[str, set[str]] = {}
        self._meetings: dict[str, _Meeting] = {}
        self._root_of: dict[str, _Meeting] = {}
        self._sources: dict[int, _Source] = {}
        self._next = _ALL_RETAINED + 1
        self._warm: dict[str, list[str]] = {}
        self._is_mirroring = False
        self._unmirrored: deque[tuple[bytes, bytes, bytes]] = deque()
        self._link: Link | None = None
        self._wire: Wire | None = None
        self._unsent: list[bytes] = []
        self._unsettled: list[asyncio.Future[None]] = []
        records.watch(self.reads)

    def attach(self, link: Link) -> None:
        """Work over *link*, of the DEVICES account and made of a Wire with copy."""
        if not isinstance(link.client, Wire):
            raise TypeError("copies need a Wire")
        self._link, self._wire = link, link.client
        link.on_up(self._subscribe_again)

    # --- what is read, and what may be at any moment -------------------------------------------------

    def reads(self, client_id: str, subjects: Mapping[str, int]) -> None:
        """A session now subscribes these subjects and no others."""
        places = [take_apart(subject) for subject in subjects]
        now = {place.root for place in places if place is not None}
        before = self._reads.pop(client_id, set())
        if now:
            self._reads[client_id] = now
            self._cool_later(_LINGER_SECONDS, client_id)
        self._readers.update(now - before)
        for root in before - now:
            self._readers[root] -= 1
            if not self._readers[root]:
                del self._readers[root]
        for root in now ^ before:
            self._changed(root)

    async def expect(self, admitted: Admitted) -> None:
        """Be ready for a device that is being let in, whatever name it will use: before this returns."""
        channels = [Address(*channel) for channel in admitted.channels]
        if not channels:
            return
        self._cool(admitted.client_id, self._warm.get(admitted.client_id))
        opened = self._next
        for address in channels:
            meeting = self._meet(address)
            meeting.warm += 1
            if meeting.warm == 1 or not meeting.sources:
                self._update(meeting)
        self._warm[admitted.client_id] = [address.channel_id for address in channels]
        self._cool_later(_WARM_SECONDS, admitted.client_id)
        if opened != self._next:
            await self._settle()

    def _cool_later(self, seconds: float, client_id: str) -> None:
        warm = self._warm.get(client_id)
        if warm is not None:
            asyncio.get_running_loop().call_later(seconds, self._cool, client_id, warm)

    def _cool(self, client_id: str, warm: list[str] | None) -> None:
        if warm is None or self._warm.get(client_id) is not warm:
            return  # it came again meanwhile
        for channel_id in self._warm.pop(client_id):
            meeting = self._meetings.get(channel_id)
            if meeting is not None:
                meeting.warm -= 1
                if not meeting.warm:
                    self._update(meeting)

    def _changed(self, root: str) -> None:
        meeting = self._root_of.get(root)
        if meeting is not None:
            self._update(meeting)
        elif root in self._readers and self._link is not None:
            self._link.spawn(self._learn(root))

    async def _learn(self, root: str) -> None:
        """Find out which channel a name is of; until then nobody meets there."""
        place = take_apart(root)
        while place is not None and root in self._readers and root not in self._root_of:
            try:
                address = await self._resolve(place.channel, place.domain)
            except MusterError as error:
                log.warning("channel not looked up, again soon", says=str(error))
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if address is not None and root in address.roots():
                self._update(self._meet(address))
            return

    def _meet(self, address: Address) -> _Meeting:
        meeting = self._meetings.get(address.channel_id)
        if meeting is None or meeting.address != address:
            warm = self._part(meeting) if meeting is not None else 0
            meeting = self._meetings[address.channel_id] = _Meeting(address, warm)
            self._root_of.update(dict.fromkeys(address.roots(), meeting))
        return meeting

    def _part(self, meeting: _Meeting) -> int:
        """End a meeting; give how warm it was."""
        for root in list(meeting.sources):
            self._shut(meeting, root)
        for root in meeting.address.roots():
            self._root_of.pop(root, None)
        self._meetings.pop(meeting.address.channel_id, None)
        return meeting.warm

    # --- subscriptions, which follow from it ---------------------------------------------------------

    def _update(self, meeting: _Meeting) -> None:
        roots = meeting.address.roots()
        wanted = [root for root in roots if meeting.warm or root in self._readers]
        if not wanted:
            self._part(meeting)
            return
        for root in roots:
            targets = [other.encode() for other in wanted if other != root]
            if not targets:
                self._shut(meeting, root)
            elif (source := meeting.sources.get(root)) is not None:
                source.targets = targets
            else:
                self._open(meeting, root, targets)

    def _open(self, meeting: _Meeting, root: str, targets: list[bytes]) -> None:
        source = meeting.sources[root] = _Source(self._next, len(root.encode()), targets)
        self._next += 2
        self._sources[source.number] = self._sources[source.number + 1] = source
        self._send(_subscriptions(root, source))

    def _shut(self, meeting: _Meeting, root: str) -> None:
        source = meeting.sources.pop(root, None)
        if source is not None:
            del self._sources[source.number], self._sources[source.number + 1]
            self._send(cancellation(source.number) + cancellation(source.number + 1))

    def _send(self, commands: bytes) -> None:
        """Send soon; what is sent while the broker is away is lost, and sent again when it is back."""
        self._unsent.append(commands)
        if len(self._unsent) == 1 and self._link is not None:
            self._link.spawn(self._drain())

    async def _drain(self) -> None:
        commands, self._unsent = b"".join(self._unsent), []
        if commands and self._wire is not None and self._link is not None and self._link.is_up:
            await self._wire.send(commands)

    async def _settle(self) -> None:
        """Wait until the broker has done what was sent; many wait for one answer."""
        done = asyncio.get_running_loop().create_future()
        self._unsettled.append(done)
        if len(self._unsettled) == 1 and self._link is not None:
            self._link.spawn(self._settle_all())
        await done

    async def _settle_all(self) -> None:
        while self._unsettled:
            waiting = len(self._unsettled)
            with contextlib.suppress(*FAILURES):
                await self._drain()
                if self._wire is not None and self._wire.is_connected:
                    await self._wire.flush(timeout=_SETTLE_SECONDS)
            for done in self._unsettled[:waiting]:
                if not done.done():  # who waited may be gone
                    done.set_result(None)
            del self._unsettled[:waiting]

    async def _subscribe_again(self) -> None:
        """After the broker came back, which forgot everything."""
        commands = [subscription(_ALL_RETAINED, f"{_RETAINED}>", _QUEUE)]
        for meeting in self._meetings.values():
            commands += [_subscriptions(root, source) for root, source in meeting.sources.items()]
        self._send(b"".join(commands))

    # --- the copies ----------------------------------------------------------------------------------

    def copy(self, number: int, subject: bytes, header: bytes, payload: bytes) -> bytes:
        """Give the commands that copy a message; the broker's header tells the QoS it was sent with."""
        if _MARK in header or self._is_too_large(header, payload):
            return b""
        if number == _ALL_RETAINED:
            self._unmirrored.append((subject, header, payload))
            if not self._is_mirroring and self._link is not None:
                self._is_mirroring = True
                self._link.spawn(self._mirror())
            return b""
        source = self._sources.get(number)
        if source is None:
            return b""
        rest, marked = subject[source.length :], _marked(header)
        commands = [publication(target + rest, marked, payload) for target in source.targets]
        # The broker hands messages of QoS 1 and 2 out of this stream, to those who read so.
        if (at := header.find(_QOS)) >= 0 and header[at + len(_QOS)] != ord("0"):
            commands += [publication(_STORED + target + rest, marked, payload) for target in source.targets]
        self._copied.inc(len(source.targets))
        return b"".join(commands)

    def _is_too_large(self, header: bytes, payload: bytes) -> bool:
        # The header of a retained message holds its topic. The broker would hang up on whoever sent this.
        taken = len(header) + len(_LINE) + len(_MARK) + len(payload)
        if taken > self._bytes:
            log.warning("message not copied", says="too large with its topic", bytes=taken)
        return taken > self._bytes

    async def _mirror(self) -> None:
        """Retain under every name what is retained under one, in the order it came."""
        try:
            while self._unmirrored:
                subject, header, payload = self._unmirrored.popleft()
                place = take_apart(subject.decode(errors="replace")[len(_RETAINED) :])
                address = await self._find(place) if place is not None else None
                if place is None or address is None:
                    continue
                marked = _marked(header)
                for root in address.roots():
                    if root != place.root:
                        self._send(publication(f"{_RETAINED}{root}{place.rest}".encode(), marked, payload))
        finally:
            self._is_mirroring = False

    async def _find(self, place: Place) -> Address | None:
        meeting = self._root_of.get(place.root)
        if meeting is not None:
            return meeting.address
        try:
            return await self._resolve(place.channel, place.domain)
        except MusterError as error:
            log.warning("retained message not copied", says=str(error))
            return None


def _subscriptions(root: str, source: _Source) -> bytes:
    return subscription(source.number, root, _QUEUE) + subscription(source.number + 1, f"{root}.>", _QUEUE)


def _marked(header: bytes) -> bytes:
    return _LINE + _MARK + (header[len(_LINE) :] or b"\r\n")
