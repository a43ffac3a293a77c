"""Who was let through to publish a moment ago, so that the next message need not ask the database.

What is remembered ends with the commit that changes it, in the process that commits, and for all others with
the word of the leading process, with a lost broker, and after a few seconds whatever happens.
"""

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nats.aio.msg import Msg

from muster.core import events
from muster.core.messaging import Passage
from muster.core.model import Event
from muster.plane.cut import CUT, read_cut
from muster.plane.link import Link
from muster.plane.subjects import Address

MOST = 65_536
_MOST_CHANGES = 4096
_OF_DEVICES = (events.RIGHTS_CHANGED, events.ACCESS_ENDED)
Name = tuple[bytes, str, str | None]


@dataclass(frozen=True, slots=True)
class Watch:
    """A look-up that begins: what changes from now on, it may have missed."""

    changes: int
    until: float


class Passages:
    """Passages of devices that publish over HTTP, by secret and channel. To be used by any thread."""

    def __init__(
        self, link: Link, *, seconds: float, most: int = MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare. *link* is of the CALLOUT account; nothing is remembered for longer than *seconds*."""
        self._seconds = seconds
        self._most = most
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._known: dict[Name, tuple[Passage, Address, float]] = {}
        self._of_session: dict[str, set[Name]] = {}
        self._changes = self._oldest = 0
        self._changed: dict[str, int] = {}
        """The latest changes, by session or by tenant with a slash behind; older ones are forgotten."""
        link.on_message(CUT, self._told)
        link.on_up(self._missed)

    def name(self, secret: str, channel: str, tenant: str | None) -> Name:
        """Name what is asked; the secret itself is not remembered."""
        mark = hmac.digest(self._key, secret.encode("utf-8", "surrogatepass"), "sha256")
        return mark, channel, tenant

    def find(self, name: Name) -> tuple[Passage, Address] | None:
        """Give the passage if it is remembered."""
        known = self._known.get(name)
        return known[:2] if known is not None and self._clock() < known[2] else None

    def watch(self) -> Watch:
        """Begin a look-up, before the database is asked."""
        return Watch(self._changes, self._clock() + self._seconds)

    def keep(self, watch: Watch, name: Name, passage: Passage, address: Address) -> None:
        """Remember what the look-up gave, unless the device's rights may have changed since it began.

        Only of a channel addressed by ids, which mean the same for ever; not by a route or an alias.
        """
        if name[1] != address.channel_id or name[2] not in (None, address.tenant_id):
            return
        tenant = f"{address.tenant_id}/"
        session = tenant + passage.publisher
        with self._lock:
            latest = max(self._changed.get(session, 0), self._changed.get(tenant, 0), self._oldest)
            if latest > watch.changes:
                return
            if len(self._known) >= self._most:
                self._clear()
            self._known[name] = (passage, address, watch.until)
            self._of_session.setdefault(session, set()).add(name)

    def changed(self, news: Iterable[Event]) -> None:
        """Forget whose rights a transaction has changed; to be called before anybody is told that it has."""
        for event in news:
            if event.topic in _OF_DEVICES:
                self.forget(f"{event.tenant_id}/{event.key}")
            elif event.topic == events.TENANT_CLOSED:
                self.forget(f"{event.tenant_id}/")

    def forget(self, name: str) -> None:
        """Forget a session, or all of a tenant with a slash behind."""
        with self._lock:
            self._changes += 1
            if len(self._changed) >= _MOST_CHANGES:
                self._changed.clear()
                self._oldest = self._changes
            self._changed[name] = self._changes
            sessions = [s for s in self._of_session if s.startswith(name)] if name.endswith("/") else [name]
            for session in sessions:
                for known in self._of_session.pop(session, ()):
                    self._known.pop(known, None)

    def _clear(self) -> None:
        self._known.clear()
        self._of_session.clear()

    async def _told(self, message: Msg) -> None:
        self.forget(read_cut(message.data))

    async def _missed(self) -> None:
        """While the broker was away nobody could tell of changes."""
        with self._lock:
            self._changes += 1
            self._oldest = self._changes
            self._clear()
