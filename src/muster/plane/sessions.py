"""Live sessions: which there are, and their end when rights change. The outbox tells, here it is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import structlog
from nats.aio.msg import Msg

from muster.core import events
from muster.core.errors import Unavailable
from muster.core.messaging import Refusal, Rights, Sighting
from muster.core.model import DeviceId, Event, Instant, TenantId
from muster.plane.admitted import Admitted
from muster.plane.callout import ClaimClientId, looks_made_up
from muster.plane.config import DEVICES
from muster.plane.evict import evict
from muster.plane.link import Link
from muster.plane.meters import Meters
from muster.plane.records import Records
from muster.plane.sockets import CUT
from muster.plane.tickets import USERNAME, Tickets

log = structlog.get_logger("muster.sessions")
_PAGE = 1024
_PENDING = 10_000
_FLUSH_SECONDS = 0.25
_RACE_SECONDS = 15.0
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


class Sessions:
    """Knows the live sessions of the whole cluster and ends them."""

    def __init__(
        self,
        link: Link,
        callout: Link,
        tickets: Tickets,
        records: Records,
        meters: Meters,
        *,
        doors: Sequence[tuple[str, int]],
        client_ids: Callable[[TenantId, DeviceId], Awaitable[Sequence[str]]],
        rights_of: Callable[[TenantId, DeviceId], Awaitable[Rights | Refusal]],
        claim_client_id: ClaimClientId,
        seen: Callable[[Sequence[Sighting]], Awaitable[None]] | None = None,
        on_gone: Callable[[Live], None] = lambda _: None,
    ) -> None:
        """Prepare. The links are of the SYSTEM and CALLOUT accounts, *doors* MQTT addresses of the broker.

        *seen* is given what was seen, a few times a second; in one process of the installation only.
        """
        self._link = link
        self._callout = callout
        self._tickets = tickets
        self._records = records
        self._meters = meters
        self._doors = doors
        self._client_ids = client_ids
        self._rights_of = rights_of
        self._claim = claim_client_id
        self._seen = seen
        self._on_gone = on_gone
        self._live: dict[tuple[str, int], Live] = {}
        self._of_session: dict[str, dict[tuple[str, int], Live]] = {}
        self._owner: dict[str, str] = {}
        self._origins: dict[str, Admitted] = {}
        self._cut_at: dict[str, float] = {}
        self._sightings: dict[str, Sighting] = {}
        self._is_complete = asyncio.Event()
        link.on_message(f"$SYS.ACCOUNT.{DEVICES}.CONNECT", self._came)
        link.on_message(f"$SYS.ACCOUNT.{DEVICES}.DISCONNECT", self._went)
        link.on_up(self._recount)
        records.watch(self._kept)

    def owner_of(self, client_id: str) -> str | None:
        """Tell whose live session has this MQTT client id."""
        return self._owner.get(client_id)

    def came_from(self, admitted: Admitted) -> None:
        """Note where a device really comes from: through the TLS front the broker sees the front alone."""
        self._origins[admitted.client_id] = admitted
        if len(self._origins) > _PENDING:
            del self._origins[next(iter(self._origins))]

    def live(self, session: str) -> list[Live]:
        """Give the connections of a session's name."""
        return list(self._of_session.get(session, {}).values())

    async def deliver(self, event: Event) -> None:
        """Do what an event of the outbox asks for; other topics are not for us. Unavailable: again later."""
        if event.topic not in (events.RIGHTS_CHANGED, events.ACCESS_ENDED, events.TENANT_CLOSED):
            return
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        await asyncio.wait_for(self._is_complete.wait(), 10)
        tenant, device = event.tenant_id, DeviceId(event.key)
        if event.topic == events.TENANT_CLOSED:
            await self._cut([s for s in self._of_session if s.startswith(f"{tenant}/")], tenant=tenant)
        elif event.topic == events.ACCESS_ENDED:
            await self._end(tenant, device)
        else:
            await self._refresh(tenant, device)
        self._meters.cut_seconds.observe(max(0.0, time.time() - event.created_at / 1_000_000))

    async def _refresh(self, tenant: TenantId, device: DeviceId) -> None:
        """Cut the device; it returns with its new rights. What it may no longer read is not kept for it."""
        await self._cut([f"{tenant}/{device}"])
        kept = [c for c in await self._client_ids(tenant, device) if self._records.is_kept(c)]
        if not kept:
            return
        rights = await self._rights_of(tenant, device)
        for client_id in kept:
            if isinstance(rights, Refusal) or not self._records.is_within(client_id, rights):
                await self._evict(client_id)

    async def _end(self, tenant: TenantId, device: DeviceId) -> None:
        """Leave nothing of the device. Its connections end by being taken over, which sends no wills."""
        session = f"{tenant}/{device}"
        connected = {live.client_id for live in self.live(session)}
        kept = {c for c in await self._client_ids(tenant, device) if self._records.is_kept(c)}
        self._cut_at[session] = time.time()
        for client_id in connected | kept:
            await self._evict(client_id)
        await self._cut([session])

    async def _evict(self, client_id: str) -> None:
        await evict(self._doors, client_id, self._tickets.write(int(time.time()), evict=True))

    async def _cut(self, sessions: Sequence[str], *, tenant: str | None = None) -> None:
        now = time.time()
        names = list(sessions) if tenant is None else [f"{tenant}/"]
        await self._callout.publish(CUT, msgspec.json.encode(names))
        for old in [s for s, at in self._cut_at.items() if at < now - _RACE_SECONDS]:
            del self._cut_at[old]
        for session in sessions:
            self._cut_at[session] = now
        kicks = [self._kick(live) for session in sessions for live in self.live(session)]
        await asyncio.gather(*kicks)

    async def _kick(self, live: Live) -> None:
        request = msgspec.json.encode({"cid": live.cid})
        # A server that is not there any more has no connections to end either.
        await self._link.request(f"$SYS.REQ.SERVER.{live.server}.KICK", request)
        self._meters.cuts.inc()

    def _kept(self, client_id: str, _: Mapping[str, int]) -> None:
        """Claim an id that was not worth it at login, now that a session is kept by it."""
        owner = self._owner.get(client_id)
        if owner is not None and looks_made_up(client_id) and self._records.is_kept(client_id):
            tenant, device = owner.split("/", 1)
            self._link.spawn(self._claim_for(client_id, TenantId(tenant), DeviceId(device)))

    async def _claim_for(self, client_id: str, tenant: TenantId, device: DeviceId) -> None:
        await self._claim(client_id, tenant, device, keep=True)

    async def _came(self, message: Msg) -> None:
        news = _news(message.data)
        origin = self._origins.pop(news.client.client_id, None)
        live = _live(news, origin)
        if not _is_device(live.session):
            return
        self._add(live)
        self._note(live, is_connected=True)
        # It was let in with the rights it had before the cut, and reached the broker after it.
        if live.start < self._cut_at.get(live.session, 0.0):
            await self._kick(live)

    async def _went(self, message: Msg) -> None:
        news = _news(message.data)
        live = self._live.get((news.server.id, news.client.id))
        if live is None:
            return
        self._remove(live)
        if not self._of_session.get(live.session):
            self._note(live, is_connected=False)
        if news.reason != _TAKEN_OVER:
            self._on_gone(live)

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
        self._sightings[live.session] = Sighting(
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
        """Pass on what was seen; of a device that comes and goes the last only."""
        await asyncio.sleep(_FLUSH_SECONDS)
        sightings, self._sightings = list(self._sightings.values()), {}
        if self._seen is not None:
            await self._seen(sightings)

    async def _recount(self) -> None:
        """After the broker came back: learn who is connected, and who is no more."""
        self._is_complete.clear()
        before = set(self._live)
        found: set[tuple[str, int]] = set()
        for live in await self._connected():
            found.add((live.server, live.cid))
            if (live.server, live.cid) not in self._live:
                self._add(live)
        for lost in [self._live[key] for key in before - found if key in self._live]:
            self._remove(lost)
            self._note(lost, is_connected=False)
        self._is_complete.set()

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


def _live(news: _News, origin: Admitted | None) -> Live:
    who = news.client
    return Live(
        server=news.server.id,
        cid=who.id,
        session=who.user,
        client_id=who.client_id,
        source=origin.source if origin else who.host,
        protocol=origin.protocol if origin else who.client_type,
        start=_seconds(who.start),
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
    )


def _seconds(at: datetime | None) -> float:
    return at.astimezone(UTC).timestamp() if at is not None else 0.0
