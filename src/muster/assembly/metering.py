"""Counts what tenants with a limit use: in memory at once, in the database every two seconds."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from muster.core import metering
from muster.core.errors import MusterError, TooMany
from muster.core.metering import Allowance, Kind, Usage
from muster.core.model import Instant, Json, Tenant, TenantId
from muster.core.ports import ANYWHERE, OneOf, Store, Tx

FLUSH_SECONDS = 2.0
_Key = tuple[TenantId, Kind, Instant]


class UsedUp(TooMany):
    """What the tenant's devices may use in this period is used up."""


class Meter:
    """One adapter's count. Exact in itself: what is under way is counted before it is sent.

    Several adapters and processes learn of each other's count when they write their own, so that all together
    may exceed a limit by what the others took in since.
    """

    def __init__(self, store: Store, clock: Callable[[], Instant]) -> None:
        self._store = store
        self._clock = clock
        self._stored: dict[_Key, int] = {}
        self._pending: dict[_Key, int] = defaultdict(int)
        self._read_at: dict[_Key, float] = {}
        self._writes = 0
        self._is_writing = False
        self._writing: asyncio.Task[None] | None = None

    async def take(self, tenant_id: TenantId, kind: Kind, limits: Mapping[str, Json], amount: int) -> None:
        """Count *amount*; UsedUp when that would exceed the limit, and then it is not counted."""
        allowed = metering.allowance(kind, limits, self._clock())
        if allowed is None:
            return
        key = (tenant_id, kind, allowed.since)
        await self._know(key, allowed)
        if self._stored[key] + self._pending[key] + amount > allowed.most:
            raise UsedUp(retry_after=max(1, (allowed.until - self._clock()) // 1_000_000))
        self._note(key, amount)

    def give_back(self, tenant_id: TenantId, kind: Kind, limits: Mapping[str, Json], amount: int) -> None:
        """Undo take: what was counted did not come about."""
        allowed = metering.allowance(kind, limits, self._clock())
        if allowed is not None:
            self._note((tenant_id, kind, allowed.since), -amount)

    async def _know(self, key: _Key, allowed: Allowance) -> None:
        if key in self._stored and time.monotonic() < self._read_at.get(key, 0.0) + FLUSH_SECONDS:
            return
        self._read_at[key] = time.monotonic()
        writes = self._writes
        found = await self._store.read(metering.used, key[0], allowed)
        # While something is written the database knows less than this does.
        if key not in self._stored or (writes == self._writes and not self._is_writing):
            self._stored[key] = found

    def _note(self, key: _Key, amount: int) -> None:
        if not amount:
            return
        self._pending[key] += amount
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    async def _write_soon(self) -> None:
        try:
            await asyncio.sleep(FLUSH_SECONDS)
        finally:
            self._writing = None
        with contextlib.suppress(MusterError):
            await self.write()

    async def write(self) -> None:
        """Write what was counted since the last time."""
        pending, self._pending = self._pending, defaultdict(int)
        more = [Usage(tenant_id=t, what=k, since=s, amount=n) for (t, k, s), n in pending.items() if n]
        # Until it is known to be stored it still counts here.
        for key, amount in pending.items():
            self._stored[key] = self._stored.get(key, 0) + amount
        self._is_writing = True
        try:
            sums = await self._store.run(metering.add, more) if more else []
        except MusterError:
            for key, amount in pending.items():
                self._stored[key] -= amount
                self._pending[key] += amount
            raise
        finally:
            self._is_writing = False
            self._writes += 1
        for each in sums:
            self._stored[each.tenant_id, each.what, each.since] = each.amount
        self._forget()

    def _forget(self) -> None:
        """Keep of each tenant and kind the period that runs."""
        newest: dict[tuple[TenantId, Kind], Instant] = {}
        for tenant_id, kind, since in self._stored:
            newest[tenant_id, kind] = max(since, newest.get((tenant_id, kind), since))
        self._stored = {key: n for key, n in self._stored.items() if newest[key[0], key[1]] == key[2]}
        self._read_at = {key: at for key, at in self._read_at.items() if key in self._stored}

    async def connected(self, sessions: Mapping[TenantId, int], seconds: float) -> None:
        """Count the time that devices were connected, of tenants that limit it."""
        for tenant_id, limits in (await self._store.read(_limits, list(sessions))).items():
            allowed = metering.allowance(Kind.SECONDS, limits, self._clock())
            if allowed is not None:
                self._note((tenant_id, Kind.SECONDS, allowed.since), round(sessions[tenant_id] * seconds))


def _limits(tx: Tx, tenants: list[TenantId]) -> dict[TenantId, Mapping[str, Json]]:
    found = tx.select(Tenant, ANYWHERE, OneOf("id", tenants))
    return {each.id: metering.limits_of(each) for each in found}
