"""Presence: what was seen of devices is noted, each time anew, and of nobody else."""

import pytest

from muster.core import presence
from muster.core.model import DeviceId, Instant, Presence, TenantId
from muster.core.ports import Is, Tx
from muster.core.presence import Sighting
from muster.store.engine import AnyStore
from tests.store.nouns import device, tenant

pytestmark = pytest.mark.anyio
ONE, OTHER = TenantId("one"), TenantId("other")


def _seen(name: str, at: int, *, tenant_id: TenantId = ONE, is_connected: bool = True) -> Sighting:
    return Sighting(
        tenant_id=tenant_id,
        device_id=DeviceId(name),
        is_connected=is_connected,
        at=Instant(at),
        protocol="mqtt",
        source=f"192.0.2.{at}",
    )


def _times(tx: Tx, tenant_id: TenantId) -> dict[str, tuple[int, int, str]]:
    found = tx.select(Presence, tenant_id, Is("protocol", "mqtt"))
    return {p.device_id: (p.connected_at, p.disconnected_at, p.source) for p in found}


async def test_what_was_seen_of_many_devices_at_once_is_noted_of_each(store: AnyStore) -> None:
    """Of known and new ones, of several tenants; of deleted ones nothing."""
    await store.run(
        lambda tx: tx.add(
            tenant(ONE), tenant(OTHER), device("a", tenant_id=ONE), device("b", tenant_id=ONE),
            device("a", tenant_id=OTHER),
        )
    )  # fmt: skip
    await store.run(presence.note_seen, [_seen("a", 1), _seen("gone", 1)])
    later = [
        _seen("a", 2, is_connected=False),
        _seen("b", 3),
        _seen("a", 4, tenant_id=OTHER, is_connected=False),
    ]
    await store.run(presence.note_seen, later)
    expected = {"a": (1, 2, "192.0.2.2"), "b": (3, 0, "192.0.2.3")}
    assert expected == await store.read(_times, ONE)
    assert {"a": (0, 4, "192.0.2.4")} == await store.read(_times, OTHER)
    await store.run(presence.note_seen, [_seen("a", 5)])
    assert (5, 2, "192.0.2.5") == (await store.read(_times, ONE))["a"]


async def test_of_a_short_visit_both_ends_are_noted(store: AnyStore) -> None:
    """A device that wakes, sends and sleeps came, too; of a known one and of a new one."""
    await store.run(lambda tx: tx.add(tenant(ONE), device("a", tenant_id=ONE)))
    for came, went in ((1, 2), (5, 7)):
        await store.run(presence.note_seen, [_seen("a", came), _seen("a", went, is_connected=False)])
        assert {"a": (came, went, f"192.0.2.{went}")} == await store.read(_times, ONE)
    await store.run(presence.note_seen, [_seen("a", 8, is_connected=False), _seen("a", 9)])
    assert {"a": (9, 8, "192.0.2.9")} == await store.read(_times, ONE)
