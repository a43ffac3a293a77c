"""Who is connected to the broker: learnt from its events, counted again whenever it comes back."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
from nats.aio.msg import Msg

from muster.core.model import DeviceId, Instant, TenantId
from muster.core.presence import Sighting
from muster.plane.admitted import Admitted
from muster.plane.config import DEVICES
from muster.plane.link import Link
from muster.plane.meters import Meters
from muster.plane.tickets import USERNAME

_PAGE = 1024
_PENDING = 10_000
_FLUSH_SECONDS = 0.25
_TAKEN_OVER = "Duplicate Client ID"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A device's connection to the broker. *start* in seconds since 1970 UTC, by the broker's clock."""

    server: str
    cid: int
    session: str
    client_id: str
    source: str
    protocol: str
    start: float
    publishes: frozenset[str] | None
    """The channels it was let in to publish to; None: not known."""
    mark: str = ""
    """Of the rights it was let in with; empty: not known."""

    @property
    def tenant(self) -> str:
        """The tenant's id, with which the session's name begins."""
        return self.session.split("/", 1)[0]


class _Who(msgspec.Struct):
    id: int
    user: str = ""
    host: str = ""
    client_id: str = ""
    client_type: str = ""
    start: datetime | None = None


class _Where(msgspec.Struct):
    id: str


class _News(msgspec.Struct):
    server: _Where
    client: _Who
    reason: str = ""


class _Row(msgspec.Struct):
    cid: int
    ip: str = ""
    start: datetime | None = None
    type: str = ""
    authorized_user: str = ""
    mqtt_client: str = ""


class _Rows(msgspec.Struct):
    server_id: str
    total: int
    connections: list[_Row] = []


class _Connz(msgspec.Struct):
    data: _Rows


_news = msgspec.json.Decoder(_News).decode
_connz = msgspec.json.Decoder(_Connz).decode


class LiveSessions:
    """The live sessions of the whole cluster, by connection, by session and by client id."""

    def __init__(
        self,
        link: Link,
        meters: Meters,
        *,
        seen: Callable[[Sequence[Sighting]], Awaitable[None]] | None = None,
    ) -> None:
        """Prepare. *link* is of the SYSTEM account.

        *seen* is given what was seen, a few times a second; in one process of the installation only.
        """
        self._link = link
        self._meters = meters
        self._seen = seen
        self._on_came: list[Callable[[Live], None]] = []
        self._on_gone: list[Callable[[Live], None]] = []
        self._live: dict[tuple[str, int], Live] = {}
        self._of_session: dict[str, dict[tuple[str, int], Live]] = {}
        self._owner: dict[str, str] = {}
        self._admitted: dict[tuple[str, int], Admitted] = {}
        self._sightings: dict[tuple[str, bool], Sighting] = {}
        self.is_complete = asyncio.Event()
        """Set while everything that is connected is known."""
        link.on_message(f"$SYS.ACCOUNT.{DEVICES}.CONNECT", self._came)
        link.on_message(f"$SYS.ACCOUNT.{DEVICES}.DISCONNECT", self._went)
        link.on_up(self._recount)

    def watch(self, *, came: Callable[[Live], None], gone: Callable[[Live], None]) -> None:
        """Be told of each connection, and of each end of one that nobody took over."""
        self._on_came.append(came)
        self._on_gone.append(gone)

    def owner_of(self, client_id: str) -> str | None:
        """Tell whose live session has this MQTT client id."""
        return self._owner.get(client_id)

    def expect(self, admitted: Admitted) -> None:
        """A device is being let in. Only the callout knows where it comes from if that is the TLS front."""
        self._admitted[admitted.server, admitted.cid] = admitted
        if len(self._admitted) > _PENDING:
            del self._admitted[next(iter(self._admitted))]

    def of(self, session: str) -> list[Live]:
        """Give the connections of a session's name."""
        return list(self._of_session.get(session, {}).values())

    def within(self, tenant: str) -> list[Live]:
        """Give the connections of all sessions of a tenant."""
        return [live for live in self._live.values() if live.session.startswith(f"{tenant}/")]

    async def _came(self, message: Msg) -> None:
        news = _news(message.data)
        live = _live(news, self._admitted.pop((news.server.id, news.client.id), None))
        if _is_device(live.session):
            self._add(live)
            self._note(live, is_connected=True)
            for tell in self._on_came:
                tell(live)

    async def _went(self, message: Msg) -> None:
        news = _news(message.data)
        live = self._live.get((news.server.id, news.client.id))
        if live is None:
            return
        self._remove(live)
        if not self._of_session.get(live.session):
            self._note(live, is_connected=False)
        if news.reason != _TAKEN_OVER:
            for tell in self._on_gone:
                tell(live)

    def _add(self, live: Live) -> None:
        key = (live.server, live.cid)
        self._live[key] = live
        self._of_session.setdefault(live.session, {})[key] = live
        self._owner[live.client_id] = live.session
        self._meters.sessions.set(len(self._live))

    def _remove(self, live: Live) -> None:
        key = (live.server, live.cid)
        self._live.pop(key, None)
        same = self._of_session.get(live.session, {})
        same.pop(key, None)
        if not same:
            self._of_session.pop(live.session, None)
        if not any(other.client_id == live.client_id for other in same.values()):
            self._owner.pop(live.client_id, None)
        self._meters.sessions.set(len(self._live))

    def _note(self, live: Live, *, is_connected: bool) -> None:
        if self._seen is None:
            return
        tenant, device = live.session.split("/", 1)
        is_first = not self._sightings
        self._sightings.pop((live.session, is_connected), None)  # so that they stay in the order of time
        self._sightings[live.session, is_connected] = Sighting(
            tenant_id=TenantId(tenant),
            device_id=DeviceId(device),
            is_connected=is_connected,
            at=Instant(time.time_ns() // 1000),
            protocol=live.protocol,
            source=live.source,
        )
        if is_first:
            self._link.spawn(self._report_soon())

    async def _report_soon(self) -> None:
        """Pass on what was seen; of a device, the last that it came and the last that it went."""
        await asyncio.sleep(_FLUSH_SECONDS)
        sightings, self._sightings = list(self._sightings.values()), {}
        if self._seen is not None:
            await self._seen(sightings)

    async def _recount(self) -> None:
        """After the broker came back: learn who is connected, and who is no more."""
        self.is_complete.clear()
        before = set(self._live)
        found: set[tuple[str, int]] = set()
        for live in await self._connected():
            found.add((live.server, live.cid))
            if (live.server, live.cid) not in self._live:
                self._add(live)
        for lost in [self._live[key] for key in before - found if key in self._live]:
            self._remove(lost)
            self._note(lost, is_connected=False)
        self.is_complete.set()

    async def _connected(self) -> list[Live]:
        """Ask all servers for their connections, page by page."""
        found: list[Live] = []
        offset, total = 0, 1
        while offset < total:
            question = {"auth": True, "acc": DEVICES, "limit": _PAGE, "offset": offset}
            answers = await self._link.gather(
                "$SYS.REQ.SERVER.PING.CONNZ", msgspec.json.encode(question), quiet=0.3, expected=64
            )
            pages = [_connz(answer).data for answer in answers]
            total = max((page.total for page in pages), default=0)
            found += [_row(page.server_id, row) for page in pages for row in page.connections]
            offset += _PAGE
        return [live for live in found if _is_device(live.session)]


def _is_device(session: str) -> bool:
    return "/" in session and not session.startswith(f"{USERNAME}/")


def _live(news: _News, admitted: Admitted | None) -> Live:
    who = news.client
    return Live(
        server=news.server.id,
        cid=who.id,
        session=who.user,
        client_id=who.client_id,
        source=admitted.source if admitted else who.host,
        protocol=admitted.protocol if admitted else who.client_type,
        start=_seconds(who.start),
        publishes=frozenset(admitted.publishes) if admitted else None,
        mark=admitted.mark if admitted else "",
    )


def _row(server: str, row: _Row) -> Live:
    return Live(
        server=server,
        cid=row.cid,
        session=row.authorized_user,
        client_id=row.mqtt_client,
        source=row.ip,
        protocol=row.type,
        start=_seconds(row.start),
        publishes=None,
    )


def _seconds(at: datetime | None) -> float:
    return at.astimezone(UTC).timestamp() if at is not None else 0.0
