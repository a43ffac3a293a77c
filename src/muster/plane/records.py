"""What each MQTT session subscribes, connected or not: the broker's own records, as they are written.

Source: nats-server keeps one record of a session, by client id, in the stream $MQTT_sess, and renews it at
each CONNECT, SUBSCRIBE and UNSUBSCRIBE before it acknowledges.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from muster.core.messaging import Rights
from muster.plane.link import FAILURES, Link
from muster.plane.subjects import address_of, take_apart

log = structlog.get_logger("muster.sessions")
_SUBJECT = "$MQTT.sess.>"
_STREAM = "$MQTT_sess"
_PAUSE = 0.5
NO_FILTERS: Mapping[str, int] = {}


class Record(msgspec.Struct):
    """A session as the broker knows it. *subs* are NATS subjects and their QoS."""

    id: str = ""
    clean: bool = False
    subs: dict[str, int] = {}


_decode = msgspec.json.Decoder(Record).decode


class Records:
    """All sessions that subscribe something or outlive their connection."""

    def __init__(self, link: Link) -> None:
        """Prepare. *link* is of the DEVICES account."""
        self._link = link
        self._records: dict[str, Record] = {}
        self._kept: set[str] = set()
        self._changed: set[str] | None = None
        """While all records are being read: whose have changed meanwhile."""
        self.is_loaded = asyncio.Event()
        """Set while all the broker's records are known."""
        self._watchers: list[Callable[[str, Mapping[str, int]], None]] = []
        link.on_message(_SUBJECT, self._renewed)
        link.on_up(self._load)

    def watch(self, tell: Callable[[str, Mapping[str, int]], None]) -> None:
        """Have each change told: the client id and what it subscribes now, by subject."""
        self._watchers.append(tell)

    @property
    def are_any_kept(self) -> bool:
        """Whether the broker keeps any session at all beyond its connection."""
        return bool(self._kept)

    def is_kept(self, client_id: str) -> bool:
        """Say whether the broker keeps the session when its connection ends."""
        return client_id in self._kept

    def is_within(self, client_id: str, rights: Rights) -> bool:
        """Say whether everything that the broker stores up for the session is the device's to read."""
        roots = {root for r in rights.channels if r.subscribe for root in address_of(r).roots()}
        record = self._records.get(client_id)
        stored = [subject for subject, qos in record.subs.items() if qos] if record is not None else []
        places = [take_apart(subject) for subject in stored]
        return all(place is not None and place.root in roots for place in places)

    def gone(self, client_id: str) -> None:
        """A connection with this client id ended; nobody took it over."""
        record = self._records.get(client_id)
        if record is not None and record.clean:
            self._forget(client_id)

    async def _renewed(self, message: Msg) -> None:
        client_id = self._take(message.data)
        if self._changed is not None:
            self._changed.add(client_id)

    def _take(self, data: bytes) -> str:
        record = _decode(data)
        if record.clean and not record.subs:
            self._forget(record.id)
            return record.id
        self._records[record.id] = record
        if record.clean:
            self._kept.discard(record.id)
        else:
            self._kept.add(record.id)
        for tell in self._watchers:
            tell(record.id, record.subs)
        return record.id

    def _forget(self, client_id: str) -> None:
        self._kept.discard(client_id)
        if self._records.pop(client_id, None) is not None:
            for tell in self._watchers:
                tell(client_id, NO_FILTERS)

    async def _load(self) -> None:
        """Read all records there are, after the broker came back."""
        self.is_loaded.clear()
        changed: set[str] = set()
        self._changed = changed
        before = set(self._records)
        found: set[str] = set()
        try:
            async for data in self._stored():
                record = _decode(data)
                found.add(record.id)
                # What was watched meanwhile is newer than what is read.
                if record.id not in changed:
                    self._take(data)
        except FAILURES:
            log.warning("session records not read, again soon")
            await asyncio.sleep(_PAUSE)
            self._link.spawn(self._load())
            return
        self._changed = None
        for client_id in before - found - changed:
            self._forget(client_id)
        self.is_loaded.set()

    async def _stored(self) -> AsyncIterator[bytes]:
        """Read the stream of records from its first to its last."""
        js = self._link.client.jetstream(timeout=5)
        try:
            pending = (await js.stream_info(_STREAM)).state.messages
        except NotFoundError:
            return  # no device has connected yet
        subscription = await js.subscribe(_SUBJECT, stream=_STREAM, ordered_consumer=True)
        try:
            while pending:
                message = await subscription.next_msg(timeout=5)
                pending = message.metadata.num_pending
                yield message.data
        finally:
            with contextlib.suppress(*FAILURES):
                await subscription.unsubscribe()
