"""The table of rights: a role allows exactly what it says, on the entity, below a group, and nowhere else."""

from dataclasses import replace

import pytest

from muster.core import access, groups, registry, roles
from muster.core import model as m
from muster.core.access import Caller
from muster.core.actions import ACTIONS, GROUP_ACTIONS, IMPLIED, TENANT_ACTIONS
from muster.core.errors import Forbidden, NotFound, TenantClosed
from muster.core.groups import NewGroup
from muster.core.model import Kind
from muster.core.ports import Order, Tx, Window
from muster.core.registry import NewChannel, NewDevice
from muster.core.roles import Target
from tests.core.conftest import House

pytestmark = pytest.mark.anyio

INSIDE = (Kind.GROUP, Kind.DEVICE, Kind.CHANNEL)


async def a_tree(house: House) -> dict[str, object]:
    """Two groups, one below the other, and one of each kind in the lower one and outside."""
    top = (await house.do(groups.create_group, NewGroup(name="top"))).group
    low = (await house.do(groups.create_group, NewGroup(name="low", parent_id=top.id))).group
    inner = (await house.do(groups.create_group, NewGroup(name="inner", parent_id=low.id))).group
    outer = (await house.do(groups.create_group, NewGroup(name="outer"))).group
    devices = await house.do(registry.create_devices, [NewDevice(name="in", group_id=low.id), NewDevice()])
    channels = await house.do(
        registry.create_channels, [NewChannel(name="in", group_id=low.id), NewChannel()]
    )
    return {
        "top": top,
        "in group": inner,
        "out group": outer,
        "in device": devices[0],
        "out device": devices[1],
        "in channel": channels[0],
        "out channel": channels[1],
    }


async def given(house: House, who: Caller, kind: Kind, entity_id: str, *actions: str) -> None:
    target = Target(tenant_id=house.tenant, kind=kind, id=entity_id)
    role = {"name": f"of {who.user.username}", "actions": actions, "members": [who.id]}
    await house.store.run(roles.create_role, house.owner, target, **role)


async def held(house: House, who: Caller, kind: Kind, entity: object) -> set[str]:
    def ask(tx: Tx) -> frozenset[str]:
        return access.allowed(tx, access.enter(tx, who, house.tenant), kind, entity)

    return set(await house.store.read(ask))


@pytest.mark.parametrize("kind", INSIDE, ids=str)
async def test_each_action_is_given_by_a_role_on_the_entity_the_group_above_or_the_tenant(
    house: House, kind: Kind
):
    """One by one: exactly this action, on exactly what the role is about."""
    tree = await a_tree(house)
    inside, outside = tree[f"in {kind.value}"], tree[f"out {kind.value}"]
    for number, action in enumerate(ACTIONS[kind]):
        downward = action if kind is Kind.GROUP and action in access._DOWNWARD else f"{kind.value}_{action}"
        callers = {}
        for place in ("itself", "above", "tenant"):
            callers[place] = await house.person(f"{place}-{number}")
        await given(house, callers["itself"], kind, inside.id, action)
        await given(house, callers["above"], Kind.GROUP, tree["top"].id, downward)
        await given(house, callers["tenant"], Kind.TENANT, house.tenant, downward)
        # In a group, what goes down to the groups below is itself something to do with each of them.
        below = {downward, downward.removeprefix(f"{kind.value}_")} & set(ACTIONS[kind])
        expected = {"itself": {action}, "above": below, "tenant": below}
        for place, who in callers.items():
            assert expected[place] == await held(house, who, kind, inside), (place, action)
        assert set() == await held(house, callers["itself"], kind, outside)
        assert set() == await held(house, callers["above"], kind, outside)
        assert below == await held(house, callers["tenant"], kind, outside)


async def test_every_word_of_the_table_is_an_action_somewhere():
    """What a tenant's role allows inside is what the entities know, so no word means nothing."""
    for kind in INSIDE:
        for action in ACTIONS[kind]:
            full = access._full(kind, action)
            assert full in TENANT_ACTIONS, full
            assert full in GROUP_ACTIONS, full
    assert len(TENANT_ACTIONS) == len(set(TENANT_ACTIONS))


async def test_the_creator_administers_until_a_role_says_who_does(house: House):
    """The implied role `admin` becomes a stored one when someone joins or leaves it."""
    friend, maker = await house.person("friend"), await house.person("maker")
    await given(house, maker, Kind.TENANT, house.tenant, "device_create")
    device = (await house.do(registry.create_devices, [NewDevice()], by=maker))[0]
    assert set(ACTIONS[Kind.DEVICE]) == await held(house, maker, Kind.DEVICE, device)
    target = Target(tenant_id=house.tenant, kind=Kind.DEVICE, id=device.id)
    admin = f"{IMPLIED}{device.id}"
    await house.store.run(roles.add_members, maker, target, admin, [friend.id])
    await house.store.run(roles.remove_members, friend, target, admin, [maker.id])
    assert set() == await held(house, maker, Kind.DEVICE, device)
    assert set(ACTIONS[Kind.DEVICE]) == await held(house, friend, Kind.DEVICE, device)


async def test_unknown_hidden_and_foreign_are_not_found_and_readable_is_forbidden(house: House):
    """Who may not know of a thing does not learn that it is there."""
    tree = await a_tree(house)
    reader = await house.person("reader")
    await given(house, reader, Kind.DEVICE, tree["in device"].id, "read")
    for device_id in ("no such device", tree["out device"].id):
        with pytest.raises(NotFound):
            await house.do(registry.get_device, device_id, by=reader)
    with pytest.raises(Forbidden):
        await house.do(registry.delete_device, tree["in device"].id, by=reader)
    nobody = await house.person("nobody")
    with pytest.raises(TenantClosed):
        await house.do(registry.get_device, tree["in device"].id, by=nobody)


async def test_a_list_shows_what_may_be_read(house: House):
    """The list and the single reads agree, for every kind and every way to hold a right."""
    tree = await a_tree(house)
    window = {"order": Order("created_at"), "window": Window(0, 100)}
    lists = {
        Kind.DEVICE: registry.list_devices,
        Kind.CHANNEL: registry.list_channels,
        Kind.GROUP: groups.list_groups,
    }
    for kind, listing in lists.items():
        for number, place in enumerate(("itself", "above", "tenant", "creator")):
            who = await house.person(f"{kind.value}-{number}")
            inside, outside = tree[f"in {kind.value}"], tree[f"out {kind.value}"]
            if place == "itself":
                await given(house, who, kind, inside.id, "read")
            elif place == "above":
                await given(house, who, Kind.GROUP, tree["top"].id, f"{kind.value}_read")
            elif place == "tenant":
                await given(house, who, Kind.TENANT, house.tenant, f"{kind.value}_read")
            else:
                await given(house, who, Kind.TENANT, house.tenant, "group_create")
                mine = await house.do(groups.create_group, NewGroup(name="mine"), by=who)
                outside = mine.group if kind is Kind.GROUP else outside
            page = await house.do(listing, by=who, **window)
            seen = {getattr(one, "group", one).id for one in page.items}
            everything = await house.do(listing, **window)
            for entity in (getattr(one, "group", one) for one in everything.items):
                readable = "read" in await held(house, who, kind, entity)
                assert readable is (entity.id in seen), (kind, place, entity)
            assert page.total == len(seen)
            assert outside is not None


# --- scopes of personal access tokens --------------------------------------------------------------------


def entry(**change: str) -> dict[str, str]:
    return {"tenant": "*", "kind": "device", "verb": "*", "id": "*"} | change


@pytest.mark.parametrize(
    ("action", "entity", "covering", "other"),
    [
        ("device_read", "d1", entry(verb="read"), entry(verb="update")),
        ("device_read", "d1", entry(id="d1"), entry(id="d2")),
        ("device_read", "d1", entry(tenant="t1"), entry(tenant="t2")),
        ("device_create", "", entry(verb="create"), entry(verb="create", id="d1")),
        ("device_connect_to_channel", "d1", entry(verb="update"), entry(verb="read")),
        (
            "channel_publish",
            "c1",
            entry(kind="channel", verb="publish"),
            entry(kind="channel", verb="update"),
        ),
        ("group_delete", "g1", entry(kind="group", verb="delete"), entry(kind="group", verb="update")),
        ("update", "", entry(kind="tenant", id="t1"), entry(kind="tenant", id="t2")),
        ("manage_role", "", entry(kind="tenant", verb="update"), entry(kind="tenant", verb="read")),
    ],
)
def test_an_entry_of_a_scope_covers_its_operation(
    action: str, entity: str, covering: dict[str, str], other: dict[str, str]
):
    """Its tenant, kind, verb and id, each or `*`; what is no verb of its own is an update."""
    assert access._covers(covering, m.TenantId("t1"), action, entity)
    assert not access._covers(other, m.TenantId("t1"), action, entity)


async def test_a_scoped_key_never_opens_the_whole_installation(house: House):
    """Not even an admin's, with everything in its scope."""
    admin = replace(house.owner.user, is_admin=True)
    key = m.ApiKey(
        id=m.KeyId("k"),
        user_id=admin.id,
        digest=b"d",
        scope=[entry(kind=kind.value) for kind in m.Kind],
        issued_at=m.Instant(1),
    )
    assert Caller(user=admin).is_admin
    assert not Caller(user=admin, key=key).is_admin
    assert Caller(user=admin, key=replace(key, scope=None)).is_admin
