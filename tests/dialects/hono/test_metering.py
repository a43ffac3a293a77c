"""Data volume and connection duration of tenants: periods, counts, and what is beyond (spec A.3, C.1)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from muster.assembly.metering import Meter, UsedUp
from muster.core import metering
from muster.core.metering import Kind, Usage, allowance, metered
from muster.core.model import Instant, TenantId
from muster.core.ports import ANYWHERE
from tests.dialects.hono.desk import Door

pytestmark = pytest.mark.anyio
DAY = 86_400_000_000


def at(text: str) -> Instant:
    return Instant(int(datetime.fromisoformat(text).timestamp() * 1_000_000))


def text_of(instant: int) -> str:
    return datetime.fromtimestamp(instant / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def volume(most: int, since: str = "2026-01-01T00:00:00Z", **more: Any) -> dict[str, Any]:
    return {"data-volume": {"effective-since": since, "max-bytes": most, **more}}


# --- periods ------------------------------------------------------------------------------------------

DAYS = {"period": {"mode": "days", "no-of-days": 30}}


@pytest.mark.parametrize(
    ("since", "period", "now", "begin", "end", "most"),
    [
        ("2026-01-01T00:00:00Z", {}, "2026-03-05T12:00:00Z", "2026-03-01", "2026-04-01", 3100),
        ("2026-01-01T00:00:00+02:00", {}, "2026-12-31T23:59:59Z", "2026-12-01", "2027-01-01", 3100),
        ("2026-03-17T00:00:00Z", {}, "2026-03-20T00:00:00Z", "2026-03-17", "2026-04-01", 1500),
        ("2026-03-17T00:00:00Z", {}, "2026-04-20T00:00:00Z", "2026-04-01", "2026-05-01", 3100),
        ("2026-01-01T00:00:00Z", DAYS, "2026-01-30T23:00:00Z", "2026-01-01", "2026-01-31", 3100),
        ("2026-01-01T00:00:00Z", DAYS, "2026-01-31T00:00:00Z", "2026-01-31", "2026-03-02", 3100),
    ],
)
def test_a_period_begins_and_ends(since: str, period: Any, now: str, begin: str, end: str, most: int):
    """Months in UTC, the first in proportion to what is left of it; or so many days since the limit began."""
    found = allowance(Kind.BYTES, volume(3100, since, **period), at(now))
    assert found is not None
    assert (at(f"{begin}T00:00:00Z"), at(f"{end}T00:00:00Z"), most) == (found.since, found.until, found.most)


@pytest.mark.parametrize(
    "limits",
    [
        {},
        volume(-1),
        volume(10, "2026-05-01T00:00:00Z"),
        volume(10, period={"mode": "lunar"}),
        {"connection-duration": {"effective-since": "2026-01-01T00:00:00Z", "max-minutes": 1}},
    ],
)
def test_what_is_no_limit_now_limits_nothing(limits: dict[str, Any]):
    """None, unlimited, not yet, a mode nobody knows, or of another kind."""
    assert allowance(Kind.BYTES, limits, at("2026-03-05T12:00:00Z")) is None


def test_minutes_are_counted_in_seconds():
    """max-minutes of connection-duration."""
    limits = {"connection-duration": {"effective-since": "2026-01-01T00:00:00Z", "max-minutes": 90}}
    found = allowance(Kind.SECONDS, limits, at("2026-03-05T12:00:00Z"))
    assert found is not None
    assert 5400 == found.most


@pytest.mark.parametrize(
    ("size", "least", "counted"), [(0, 0, 0), (5, 0, 5), (0, 10, 0), (1, 10, 10), (10, 10, 10), (11, 10, 20)]
)
def test_a_message_counts_in_steps_of_the_least_size(size: int, least: int, counted: int):
    """minimum-message-size rounds up to its next multiple."""
    assert counted == metered(size, least)


# --- counting -----------------------------------------------------------------------------------------


def limits_at(door: Door, most: int) -> dict[str, Any]:
    return volume(most, text_of(door.clock() - DAY), period={"mode": "days", "no-of-days": 7})


async def test_a_limit_is_exact_however_many_send_at_once(door_on_each: Door):
    """A hundred at once into room for ten: ten are counted, the others are told when to come back."""
    door = door_on_each
    tenant, limits = TenantId(await door.tenant()), limits_at(door, 100)
    meter = Meter(door.store, door.clock)
    taken = [meter.take(tenant, Kind.BYTES, limits, 10) for _ in range(100)]
    found = await asyncio.gather(*taken, return_exceptions=True)
    refused = [each for each in found if isinstance(each, UsedUp)]
    assert (100, 90) == (len(found), len(refused))
    assert 5 * 86_400 < refused[0].retry_after <= 6 * 86_400
    meter.give_back(tenant, Kind.BYTES, limits, 10)
    await meter.take(tenant, Kind.BYTES, limits, 10)
    with pytest.raises(UsedUp):
        await meter.take(tenant, Kind.BYTES, limits, 1)


async def test_what_is_written_counts_in_every_process_and_after_a_restart(door_on_each: Door):
    """Two meters add up; a third one begins with their sum."""
    door = door_on_each
    tenant, limits = TenantId(await door.tenant()), limits_at(door, 100)
    one, other = Meter(door.store, door.clock), Meter(door.store, door.clock)
    await one.take(tenant, Kind.BYTES, limits, 40)
    await other.take(tenant, Kind.BYTES, limits, 50)
    for each in (one, other, one):
        await each.write()
    fresh = Meter(door.store, door.clock)
    for each in (other, fresh):
        with pytest.raises(UsedUp):
            await each.take(tenant, Kind.BYTES, limits, 11)
    await fresh.take(tenant, Kind.BYTES, limits, 10)


async def test_a_new_period_begins_with_nothing_used(door_on_each: Door):
    """And what the one before used is forgotten; a deleted tenant's count as well."""
    door = door_on_each
    tenant, limits = TenantId(await door.tenant()), limits_at(door, 100)
    meter = Meter(door.store, door.clock)
    await meter.take(tenant, Kind.BYTES, limits, 100)
    await meter.write()
    door.clock.micros += 7 * DAY
    await meter.take(tenant, Kind.BYTES, limits, 60)
    await meter.write()
    stored = await door.store.read(lambda tx: tx.select(Usage, tenant))
    assert [60] == [each.amount for each in stored]
    await door("DELETE", f"/v1/tenants/{tenant}")
    assert [] == await door.store.read(lambda tx: tx.select(Usage, tenant))


async def test_connected_time_is_counted_for_tenants_that_limit_it(door: Door):
    """Connections times seconds; nothing is written for the others."""
    since = {"effective-since": text_of(door.clock() - DAY)}
    resource = {"connection-duration": {**since, "max-minutes": 1, "period": DAYS["period"]}}
    limited, free = await door.tenant(**{"resource-limits": resource}), await door.tenant()
    meter = Meter(door.store, door.clock)
    await meter.connected({TenantId(limited): 3, TenantId(free): 9}, 15.0)
    with pytest.raises(UsedUp):
        await meter.take(TenantId(limited), Kind.SECONDS, resource, 16)
    await meter.write()
    stored = await door.store.read(lambda tx: tx.select(Usage, ANYWHERE))
    mine = [(each.tenant_id, each.amount) for each in stored if each.tenant_id in (limited, free)]
    assert [(limited, 45)] == mine


async def test_what_a_deleted_tenant_used_is_not_counted_for_the_next_of_its_name(door_on_each: Door):
    """Also when the adapter tells of it only after the end: no row is left behind."""
    door = door_on_each
    tenant, limits = TenantId(await door.tenant()), limits_at(door, 100)
    meter = Meter(door.store, door.clock)
    await meter.take(tenant, Kind.BYTES, limits, 60)
    await door("DELETE", f"/v1/tenants/{tenant}")
    await meter.write()
    assert [] == await door.store.read(lambda tx: tx.select(Usage, tenant))


async def test_use_never_falls_below_nothing(door: Door):
    """Whatever is given back."""
    of = {"tenant_id": TenantId(await door.tenant()), "what": Kind.BYTES, "since": Instant(5)}
    await door.store.run(metering.add, [Usage(**of, amount=3)])
    assert [0] == [each.amount for each in await door.store.run(metering.add, [Usage(**of, amount=-9)])]


async def test_what_is_used_is_shown_with_its_limit_and_period(door: Door):
    """Bytes and seconds of the period that runs; a limit that does not count now is not there."""
    since = text_of(door.clock() - DAY)
    days = {"effective-since": since, "period": {"mode": "days", "no-of-days": 7}}
    limits = {"data-volume": {**days, "max-bytes": 100}, "connection-duration": {**days, "max-minutes": 2}}
    tenant = TenantId(await door.tenant(**{"resource-limits": limits}))
    meter = Meter(door.store, door.clock)
    await meter.take(tenant, Kind.BYTES, limits, 40)
    await meter.take(tenant, Kind.SECONDS, limits, 7)
    await meter.write()
    until = text_of(at(since) + 7 * DAY)
    period = {"since": since, "until": until}
    shown = await door("GET", f"/v1/tenants/{tenant}/usage")
    assert {
        "data-volume": {"used-bytes": 40, "max-bytes": 100, **period},
        "connection-duration": {"used-seconds": 7, "max-seconds": 120, **period},
    } == shown.json()
    assert {} == (await door("GET", f"/v1/tenants/{await door.tenant()}/usage")).json()
    assert 404 == (await door("GET", "/v1/tenants/nobody/usage")).status_code
