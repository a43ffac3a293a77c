"""Provisioning: the plan is pure; what it makes is there whole or not at all, and once."""

import asyncio
import copy
from dataclasses import replace

import pytest

from muster.core import bootstrap, connections, events, planning, provision, registry, roles, unprovision
from muster.core import model as m
from muster.core.bootstrap import WrongExternalKey, fetch
from muster.core.errors import Conflict, Forbidden, LimitReached, NotFound
from muster.core.layout import DEFAULT, Layout, LayoutChannel, LayoutDevice
from muster.core.model import Secret
from muster.core.planning import Request
from muster.core.ports import ANYWHERE, Tx
from tests.core.conftest import House

pytestmark = pytest.mark.anyio

DIGEST = DEFAULT.digest()
LAYOUT = Layout(
    devices=(
        LayoutDevice(name="gw", metadata={"external_id": "", "deep": {"a": [1]}}),
        LayoutDevice(name="s"),
    ),
    channels=(
        LayoutChannel(name="x"),
        LayoutChannel(name="data", metadata={"type": "data"}),
        LayoutChannel(name="control", metadata={"type": "control"}),
    ),
)
ROWS = (m.Device, m.Channel, m.Connection, m.BootstrapConfig, m.ProvisionRecord)


def ask(external_id: str = "gw", key: str = "key", name: str = "", **metadata: object) -> Request:
    return Request(external_id=external_id, external_key=Secret(key), name=name, metadata=metadata)


async def call(
    house: House, request: Request, layout: Layout = DEFAULT, **more: object
) -> provision.Provisioned:
    made: provision.Provisioned = await house.do(
        provision.provision, layout, layout.digest(), request, **more
    )
    return made


async def rows(house: House) -> list[int]:
    """Count everything a call can leave behind."""
    return await house.store.read(lambda tx: [len(tx.select(kind, house.tenant)) for kind in ROWS])


# --- the plan ----------------------------------------------------------------------------------------------


def planned(layout: Layout = LAYOUT, request: Request | None = None) -> planning.Plan:
    ids, secrets = iter(f"id{n}" for n in range(99)), iter(f"secret{n}" for n in range(99))
    return planning.plan(
        layout,
        request or ask(),
        m.TenantId("t"),
        m.UserId("u"),
        m.Instant(1),
        lambda: next(ids),
        lambda: next(secrets),
    )


def test_the_same_arguments_give_the_same_plan_and_the_layout_stays_as_it_is():
    """Pure: nothing is read, written or shared."""
    before = copy.deepcopy(LAYOUT)
    first = planned(request=ask(extra={"n": 1}))
    assert first == planned(request=ask(extra={"n": 1}))
    first.devices[0].metadata["deep"]["a"].append(2)  # type: ignore[index]
    first.channels[1].metadata["type"] = "changed"  # type: ignore[index]
    assert before == LAYOUT
    assert planned().devices[0].metadata["deep"] == {"a": [1]}


def test_a_plan_names_connects_and_configures():
    """Names after the request, every device with every channel, the configuration in the device's order."""
    plan = planned(request=ask(name="edge"))
    assert ["edge", "edge_s"] == [one.name for one in plan.devices]
    assert 6 == len(plan.connections)
    assert plan.config is not None
    channels = {one.id: one.name for one in plan.channels}
    assert ["control", "data", "x"] == [channels[one] for one in plan.config.channels]
    assert plan.devices[0].id == plan.config.device_id
    assert ["id0", "id1"] == [one.id for one in plan.devices]
    assert 2 == len({one.secret for one in plan.devices})


def test_without_whitelisting_the_bootstrapped_device_waits():
    """The others have no configuration to be whitelisted by, so they are connected at once."""
    plan = planned(replace(LAYOUT, is_whitelisted=False))
    assert {plan.devices[1].id} == {one.device_id for one in plan.connections}
    without = planned(replace(LAYOUT, makes_bootstrap=False, is_whitelisted=False))
    assert (None, 6) == (without.config, len(without.connections))


# --- the transaction -----------------------------------------------------------------------------------


async def test_64_equal_calls_at_once_make_one_set_and_64_equal_answers(house: House):
    """Whoever comes second gets what the first one made."""
    answers = await asyncio.gather(*(call(house, ask()) for _ in range(64)))
    assert 1 == len({repr(one) for one in answers})
    assert [1, 2, 2, 1, 1] == await rows(house)


@pytest.mark.parametrize(
    "other", [ask(key="other"), ask(name="other"), ask(extra=1)], ids=["key", "name", "metadata"]
)
async def test_the_same_id_with_something_else_is_a_conflict(house: House, other: Request):
    """And nothing has changed."""
    first = await call(house, ask())
    with pytest.raises(Conflict):
        await call(house, other)
    with pytest.raises(Conflict):
        await call(house, ask(), LAYOUT)
    assert [1, 2, 2, 1, 1] == await rows(house)
    assert first == await call(house, ask())


async def test_a_pair_of_id_and_key_in_use_elsewhere_leaves_nothing_half_made(house: House):
    """The device's fetch names no tenant, so the pair is unique in the installation."""
    await call(house, ask())
    neighbour = await house.person("neighbour")
    home = House(house.store, neighbour, neighbour.user.personal_tenant)
    with pytest.raises(Conflict):
        await call(home, ask())
    assert [0, 0, 0, 0, 0] == await rows(home)
    await call(home, ask(key="my own"))
    assert [1, 2, 2, 1, 1] == await rows(home)


async def test_a_limit_of_devices_is_kept_by_many_calls_at_once(house: House):
    """Exact under concurrency; the plan says it beforehand."""

    def limit(tx: Tx) -> None:
        tenant = tx.get(m.Tenant, ANYWHERE, house.tenant)
        assert tenant is not None
        tx.change(replace(tenant, max_devices=3))

    await house.store.run(limit)
    calls = [call(house, ask(f"gw{n}", f"key{n}")) for n in range(16)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert 13 == sum(isinstance(end, LimitReached) for end in ends)
    assert [3, 6, 6, 3, 3] == await rows(house)
    with pytest.raises(LimitReached):
        await house.do(provision.preview, DEFAULT, b"", ask("another", "key"))


async def test_a_repeated_call_shows_secrets_only_to_whom_may_see_them(house: House):
    """Not to a member who may create, but not read what others made."""
    await call(house, ask())
    maker = await house.person("maker")
    target = roles.Target(tenant_id=house.tenant, kind=m.Kind.TENANT, id=house.tenant)
    actions = ["device_create", "channel_create"]
    await house.store.run(
        roles.create_role, house.owner, target, name="makers", actions=actions, members=[maker.id]
    )
    with pytest.raises(Forbidden):
        await call(house, ask(), by=maker)
    mine = await call(house, ask("mine", "key"), by=maker)
    assert mine == await call(house, ask("mine", "key"), by=maker)


async def test_an_answer_is_built_afresh_once_a_secret_was_rotated(house: House):
    """And fits what the device fetches."""
    first = await call(house, ask())
    await house.do(registry.rotate_secret, first.devices[0].id, Secret("rotated"))
    again = await call(house, ask())
    assert Secret("rotated") == again.devices[0].secret
    assert [c.id for c in first.channels] == [c.id for c in again.channels]
    assert first.whitelisted == again.whitelisted
    fetched = await house.store.read(fetch, "gw", Secret("key"))
    assert Secret("rotated") == fetched.device.secret


async def test_a_disconnected_device_is_not_told_to_be_whitelisted(house: House):
    """Taken from one of its channels, it is not active (spec H, 4)."""
    first = await call(house, ask())
    device, channel = first.devices[0].id, first.channels[0].id
    await house.do(connections.disconnect, [channel], [device], m.Flow.PUBLISH)
    assert () == (await call(house, ask())).whitelisted
    assert not (await house.do(bootstrap.get_config, device)).is_active


# --- taking it back ------------------------------------------------------------------------------------


async def test_taking_back_removes_every_row(house: House):
    """Also connections, configuration and the record; a second time there is nothing."""
    made = await call(house, ask(), LAYOUT)
    gone = await house.do(unprovision.unprovision, "gw")
    assert tuple(d.id for d in made.devices) == gone.devices
    assert [0, 0, 0, 0, 0] == await rows(house)
    with pytest.raises(NotFound):
        await house.do(unprovision.unprovision, "gw")


async def test_a_configuration_edited_by_hand_keeps_its_device(house: House):
    """It is part of what the call made."""
    made = await call(house, ask())
    change = bootstrap.ConfigChange(content='{"mine": 1}')
    await house.do(bootstrap.update_config, made.devices[0].id, change)
    kept = await house.do(unprovision.unprovision, "gw")
    assert {made.devices[0].id: "changed"} == kept.kept
    assert [1, 0, 0, 1, 1] == await rows(house)


async def test_what_leaves_the_database_leaves_with_the_change(house: House):
    """Sessions end or are refreshed whenever rights change; one event for each device."""

    async def emitted(work: object) -> list[tuple[str, str]]:
        await work
        return await house.store.run(take)

    def take(tx: Tx) -> list[tuple[str, str]]:
        found = tx.select(m.Event, ANYWHERE)
        tx.remove(m.Event, ANYWHERE, id=[one.id for one in found])
        return [(one.topic, one.key) for one in found]

    made = await call(house, ask())
    device, channel = made.devices[0].id, made.channels[0].id
    await house.store.run(take)
    changed, ended = (events.RIGHTS_CHANGED, device), (events.ACCESS_ENDED, device)
    disable = (registry.set_status, m.Device, device, m.Status.DISABLED)
    enable = (registry.set_status, m.Device, device, m.Status.ENABLED)
    assert [changed] == await emitted(house.do(connections.disconnect, [channel], [device], m.Flow.BOTH))
    assert [changed] == await emitted(house.do(connections.connect, [channel], [device], m.Flow.BOTH))
    closed = (events.CHANNEL_CLOSED, channel)
    close = (registry.set_status, m.Channel, channel, m.Status.DISABLED)
    assert [changed, closed] == await emitted(house.do(*close))
    assert [ended] == await emitted(house.do(registry.rotate_secret, device))
    assert [ended] == await emitted(house.do(*disable))
    assert [] == await emitted(house.do(*enable))  # nobody who was not let in is connected
    assert ended in await emitted(house.do(unprovision.unprovision, "gw", is_forced=True))


async def test_a_disabled_device_or_tenant_fetches_nothing(house: House):
    """As if the key were wrong."""
    made = await call(house, ask())
    await house.do(registry.set_status, m.Device, made.devices[0].id, m.Status.DISABLED)
    with pytest.raises(WrongExternalKey):
        await house.store.read(fetch, "gw", Secret("key"))
