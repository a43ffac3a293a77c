"""Names of channels: a second name never reaches what another one owns."""

import pytest

from muster.core import messaging
from muster.core import model as m
from muster.store.engine import AnyStore
from tests.store.nouns import channel, connection, device, tenant

pytestmark = pytest.mark.anyio
ATTACKER, VICTIM = m.TenantId("attacker"), m.TenantId("victim")


async def _rights(store: AnyStore) -> messaging.ChannelRight:
    found = await store.read(lambda tx: messaging.rights_of(tx, ATTACKER, m.DeviceId("d")))
    assert isinstance(found, messaging.Rights)
    return found.channels[0]


async def test_an_alias_that_is_another_tenants_id_names_nothing(store: AnyStore):
    """Or a device could read and write `m/<the other's id>/c/…`."""
    await store.run(
        lambda tx: tx.add(
            tenant(ATTACKER, alias="victim"),
            tenant(VICTIM),
            channel("c", tenant_id=ATTACKER),
            device("d", tenant_id=ATTACKER),
            connection("c", "d", tenant_id=ATTACKER),
        )
    )
    assert (await _rights(store)).tenant_alias is None
    where = await store.read(lambda tx: messaging.resolve(tx, "c", None))
    assert where is not None
    assert where.tenant_alias is None


async def test_a_route_that_is_another_channels_id_names_nothing(store: AnyStore):
    """Or being connected to one channel would mean being connected to the other."""
    await store.run(
        lambda tx: tx.add(
            tenant(ATTACKER, alias="fine"),
            channel("c", tenant_id=ATTACKER, route="secret-channel"),
            channel("secret-channel", tenant_id=ATTACKER),
            device("d", tenant_id=ATTACKER),
            connection("c", "d", tenant_id=ATTACKER),
        )
    )
    right = await _rights(store)
    assert (right.route, right.tenant_alias) == (None, "fine")


async def test_route_and_alias_that_are_nobodys_id_are_names(store: AnyStore):
    """As upstream has it."""
    await store.run(
        lambda tx: tx.add(
            tenant(ATTACKER, alias="works"),
            channel("c", tenant_id=ATTACKER, route="boiler"),
            device("d", tenant_id=ATTACKER),
            connection("c", "d", tenant_id=ATTACKER),
        )
    )
    right = await _rights(store)
    assert (right.route, right.tenant_alias) == ("boiler", "works")
    assert await store.read(lambda tx: messaging.resolve(tx, "boiler", "works")) == messaging.Whereabouts(
        channel_id=m.ChannelId("c"), tenant_id=ATTACKER, route="boiler", tenant_alias="works"
    )
