"""The end of live sessions when rights change: the outbox tells of it, here it is done."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from muster.core import events
from muster.core.errors import Unavailable
from muster.core.messaging import Refusal, Rights
from muster.core.model import DeviceId, Event, TenantId
from muster.plane.callout import ClaimClientId, looks_made_up
from muster.plane.cut import CUT, channel_name
from muster.plane.doors import Doors
from muster.plane.evict import evict
from muster.plane.link import Link
from muster.plane.live import Live, LiveSessions
from muster.plane.meters import Meters
from muster.plane.records import Records
from muster.plane.tickets import Tickets

_RACE_SECONDS = 15.0
_AT_ONCE = 32
_COMPLETE_SECONDS = 10
_WORDS: Mapping[str, Callable[[str], str]] = {
    events.CHANNEL_CLOSED: channel_name,
    events.CHANNEL_DELETED: channel_name,
    events.USER_CHANGED: lambda user: f"user/{user}",
}
"""What no MQTT session is about, but places that users hold (core/messaging.seat_of_user)."""
_OURS = (events.RIGHTS_CHANGED, events.ACCESS_ENDED, events.TENANT_CLOSED)


class Sessions:
    """Ends sessions, everywhere in the cluster; in the leading process."""

    def __init__(
        self,
        link: Link,
        callout: Link,
        live: LiveSessions,
        tickets: Tickets,
        records: Records,
        meters: Meters,
        *,
        doors: Sequence[tuple[str, int]],
        client_ids: Callable[[TenantId, DeviceId], Awaitable[Sequence[str]]],
        rights_of: Callable[[TenantId, DeviceId], Awaitable[Rights | Refusal]],
        claim_client_id: ClaimClientId,
    ) -> None:
        """Prepare. The links are of the SYSTEM and CALLOUT accounts, *doors* MQTT addresses of the broker."""
        self._link = link
        self._callout = callout
        self._live = live
        self._tickets = tickets
        self._records = records
        self._meters = meters
        self._doors = Doors(doors)
        self._client_ids = client_ids
        self._rights_of = rights_of
        self._claim = claim_client_id
        self._cut_at: OrderedDict[str, float] = OrderedDict()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        live.watch(came=self._came, gone=lambda gone: records.gone(gone.client_id))
        records.watch(self._kept)

    async def deliver(self, event: Event) -> None:
        """Do what an event of the outbox asks for; other topics are not for us. Unavailable: again later."""
        if event.topic in _WORDS:
            await self._announce(_WORDS[event.topic](event.key))
        if event.topic not in _OURS:
            return
        if not self._link.is_up:
            raise Unavailable("the broker is away")
        await self._know_all()
        tenant, device = event.tenant_id, DeviceId(event.key)
        if event.topic == events.TENANT_CLOSED:
            await self._close(tenant)
        elif event.topic == events.ACCESS_ENDED:
            await self._end(tenant, device)
        else:
            await self._refresh(tenant, device)
        self._meters.cut_seconds.observe(max(0.0, time.time() - event.created_at / 1_000_000))

    async def _know_all(self) -> None:
        """Wait until it is known, after the broker came back, who is connected and what is kept."""
        try:
            async with asyncio.timeout(_COMPLETE_SECONDS):
                await self._live.is_complete.wait()
                await self._records.is_loaded.wait()
        except TimeoutError:
            raise Unavailable("the broker's sessions are not known yet") from None

    async def _close(self, tenant: TenantId) -> None:
        """Cut all of a tenant's devices, without their wills. What is kept for them waits for the tenant."""
        await self._announce(f"{tenant}/")
        await self._evict_all(self._live.within(tenant))

    async def _end(self, tenant: TenantId, device: DeviceId) -> None:
        """Leave nothing of the device. Its connections end by being taken over, which sends no wills."""
        session = f"{tenant}/{device}"
        await self._announce(session)
        kept = set(await self._kept_ids(tenant, device))
        if not kept and not self._live.of(session):
            return
        rights = await self._rights_of(tenant, device)
        # It may be let in again already, by its new secret or because it was enabled again.
        back = {live.client_id for live in self._live.of(session) if self._is_back(live, rights)}
        connected = {live.client_id for live in self._live.of(session)}
        for client_id in (connected | kept) - back:
            await self._evict(client_id, is_kept=False)
        await asyncio.gather(
            *(self._kick(live) for live in self._live.of(session) if not _is_by(live, rights))
        )

    def _is_back(self, live: Live, rights: Rights | Refusal) -> bool:
        if isinstance(rights, Refusal) or not _is_by(live, rights):
            return False
        return self._records.is_within(live.client_id, rights)

    async def _refresh(self, tenant: TenantId, device: DeviceId) -> None:
        """Cut the device; it returns with its new rights. What it may no longer read is not kept for it."""
        session = f"{tenant}/{device}"
        await self._announce(session)
        kept = await self._kept_ids(tenant, device)
        if not kept and not self._live.of(session):
            return
        rights = await self._rights_of(tenant, device)
        # Who came with these rights already, right behind the change, is not to be sent away for it.
        connected = [live for live in self._live.of(session) if not _is_by(live, rights)]
        for client_id in kept:
            if isinstance(rights, Refusal) or not self._records.is_within(client_id, rights):
                await self._evict(client_id, is_kept=False)
        # Taken over if its will may not be sent any more; else ended, after which it may return at once.
        await self._evict_all(live for live in connected if not _keeps_publishing(live, rights))
        await asyncio.gather(*(self._kick(live) for live in connected if _keeps_publishing(live, rights)))

    async def _announce(self, name: str) -> None:
        """Tell all processes that the rights of a session, or of a tenant's all, are not what they were."""
        now = time.time()
        while self._cut_at and next(iter(self._cut_at.values())) < now - _RACE_SECONDS:
            self._cut_at.popitem(last=False)
        self._cut_at[name] = now
        self._cut_at.move_to_end(name)
        await self._callout.publish(CUT, msgspec.json.encode(name))

    async def _kept_ids(self, tenant: TenantId, device: DeviceId) -> list[str]:
        """Give the client ids of the device for which the broker keeps a session."""
        if not self._records.are_any_kept:
            return []
        return [c for c in await self._client_ids(tenant, device) if self._records.is_kept(c)]

    async def _evict_all(self, connections: Iterable[Live]) -> None:
        ids = {live.client_id for live in connections}
        await asyncio.gather(*(self._evict(c, is_kept=self._records.is_kept(c)) for c in ids))

    async def _evict(self, client_id: str, *, is_kept: bool) -> None:
        async with self._slots:
            ticket = self._tickets.write(int(time.time()), evict=True)
            await evict(self._doors, client_id, ticket, is_kept=is_kept)
        self._meters.cuts.inc()

    async def _kick(self, live: Live) -> None:
        request = msgspec.json.encode({"cid": live.cid})
        # A server that is not there any more has no connections to end either.
        await self._link.request(f"$SYS.REQ.SERVER.{live.server}.KICK", request)
        self._meters.cuts.inc()

    def _came(self, live: Live) -> None:
        """Cut who was let in with the rights of before a change, and reached the broker after it."""
        changed = max(self._cut_at.get(name, 0.0) for name in (live.session, f"{live.tenant}/"))
        if live.start < changed:
            self._link.spawn(self._check(live))
        self._claim_if_kept(live.client_id)

    async def _check(self, live: Live) -> None:
        tenant, device = live.session.split("/", 1)
        if not _is_by(live, await self._rights_of(TenantId(tenant), DeviceId(device))):
            await self._kick(live)

    def _kept(self, client_id: str, _: Mapping[str, int]) -> None:
        self._claim_if_kept(client_id)

    def _claim_if_kept(self, client_id: str) -> None:
        """Claim an id that was not worth it at login, once it is known whose it is and that it is kept.

        The broker tells the one in one way and the other in another: either may come first.
        """
        owner = self._live.owner_of(client_id)
        if owner is not None and looks_made_up(client_id) and self._records.is_kept(client_id):
            tenant, device = owner.split("/", 1)
            self._link.spawn(self._claim_for(client_id, TenantId(tenant), DeviceId(device)))

    async def _claim_for(self, client_id: str, tenant: TenantId, device: DeviceId) -> None:
        await self._claim(client_id, tenant, device, keep=True)


def _is_by(live: Live, rights: Rights | Refusal) -> bool:
    """Say whether the connection was let in with exactly these rights, by what still is good for them."""
    return isinstance(rights, Rights) and live.mark in rights.marks


def _keeps_publishing(live: Live, rights: Rights | Refusal) -> bool:
    if isinstance(rights, Refusal) or live.publishes is None:
        return False
    return live.publishes <= {right.channel_id for right in rights.channels if right.publish}
