"""What add, change and remove promise, on both databases."""

import asyncio
from dataclasses import replace

import pytest

from muster.core import model as m
from muster.core.errors import Conflict, Malformed, NotFound
from muster.core.ports import ANYWHERE, Is
from muster.store.engine import AnyStore
from tests.store.nouns import (
    T1,
    T2,
    channel,
    config,
    connection,
    device,
    entry,
    group,
    member,
    record,
    role,
    tenant,
    user,
)

pytestmark = pytest.mark.anyio


async def conflict(store: AnyStore, *nouns) -> str:
    with pytest.raises(Conflict) as caught:
        await store.run(lambda tx: tx.add(*nouns))
    return caught.value.message


@pytest.mark.parametrize(
    "first, second, field",
    [
        (user("u1"), user("u2", username="name-u1"), "username"),
        (user("u1", email="Ab@example.com"), user("u2", email="aB@EXAMPLE.com"), "email"),
        (tenant("a", alias="x"), tenant("b", alias="x"), "alias"),
        (device("d1"), device("d1"), "id"),
        (device("d1", secret=m.Secret("s")), device("d2", secret=m.Secret("s")), "secret"),
        (channel("c1"), channel("c1", tenant_id=T2), "id"),
        (channel("c1", route="r"), channel("c2", route="r"), "route"),
        (role("r1", m.Kind.TENANT, T1, name="n"), role("r2", m.Kind.TENANT, T1, name="n"), "name"),
        (record("x1"), record("x1"), "external_id"),
    ],
)
async def test_a_taken_value_is_a_conflict_that_names_the_field(store: AnyStore, first, second, field):
    """The message says which field is taken; what it holds is nobody's business."""
    await store.run(lambda tx: tx.add(first))
    message = await conflict(store, second)
    assert field in message
    assert "example" not in message


@pytest.mark.parametrize(
    "second, field",
    [
        (config("d2", "x1", "other"), "external_id"),
        (config("d1", "x2", "other"), "device_id"),
        (config("d3", "x1", "key", tenant_id=T2), "external_key"),
    ],
)
async def test_external_ids_are_unique_in_a_tenant_and_with_their_key_everywhere(
    store: AnyStore, second, field
):
    """No tenant can squat another's external ids, and no pair of id and key means two devices."""
    devices = (device("d1"), device("d2"), device("d3", tenant_id=T2))
    await store.run(lambda tx: tx.add(*devices, config("d1", "x1")))
    assert field in await conflict(store, second)
    await store.run(lambda tx: tx.add(config("d3", "x1", "another", tenant_id=T2)))


async def test_what_is_unique_in_a_tenant_may_be_in_another(store: AnyStore):
    """Device ids, secrets, routes and external ids of one tenant do not bind another."""
    for t in (T1, T2):
        await store.run(
            lambda tx, t=t: tx.add(
                device("d1", tenant_id=t, secret=m.Secret("s")),
                channel(f"c-{t}", tenant_id=t, route="r"),
                record("x1", tenant_id=t),
            )
        )


async def test_many_without_a_unique_value_do_not_collide(store: AnyStore):
    """No secret, no route and no alias are not values."""
    await store.run(
        lambda tx: tx.add(device("d1"), device("d2"), channel("c1"), channel("c2"), tenant("a"), tenant("b"))
    )


async def test_a_conflict_leaves_nothing_of_the_use_case(store: AnyStore):
    """Provisioning lands whole or not at all."""
    await store.run(lambda tx: tx.add(record("x1")))

    def provision(tx):
        tx.add(device("d1"), channel("c1"), connection("c1", "d1"), entry("j1"))
        tx.emit(m.Event(topic="t", tenant_id=T1, key="d1", payload=None, created_at=tx.now))
        tx.add(record("x1"))

    with pytest.raises(Conflict):
        await store.run(provision)
    for noun in (m.Device, m.Channel, m.Connection, m.JournalEntry, m.Event):
        assert await store.read(lambda tx, n=noun: tx.select(n, ANYWHERE)) == []
        assert await store.read(lambda tx, n=noun: tx.count(n, ANYWHERE)) == 0


async def test_any_exception_leaves_nothing(store: AnyStore):
    """An exception rolls back and reaches the caller as it is."""

    def fail(tx):
        tx.add(device("d1"))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await store.run(fail)
    assert await store.read(lambda tx: tx.get(m.Device, T1, "d1")) is None


async def test_a_use_case_may_go_on_after_a_conflict(store: AnyStore):
    """The failed add left none of its nouns, what came before and after it stays."""
    await store.run(lambda tx: tx.add(channel("c1")))

    def go_on(tx):
        tx.add(device("d1"))
        with pytest.raises(Conflict):
            tx.add(device("d2"), channel("c1"))
        assert tx.get(m.Device, T1, "d2") is None
        tx.add(device("d3"))
        return tx.count(m.Device, T1)

    assert await store.run(go_on) == 2
    found = await store.read(lambda tx: tx.select(m.Device, T1))
    assert sorted(one.id for one in found) == ["d1", "d3"]
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 2


async def test_a_use_case_may_end_after_a_conflict_it_expected(store: AnyStore):
    """Swallowing the conflict as the last thing commits what came before."""
    await store.run(lambda tx: tx.add(channel("c1")))

    def swallow(tx):
        tx.add(device("d1"))
        with pytest.raises(Conflict):
            tx.add(channel("c1"))

    await store.run(swallow)
    assert await store.read(lambda tx: tx.get(m.Device, T1, "d1")) == device("d1")


async def test_nothing_dangles(store: AnyStore):
    """A connection to nothing, and a device whose configuration stays behind, are refused."""
    assert await conflict(store, connection("c1", "d1"))
    await store.run(lambda tx: tx.add(device("d1"), config("d1", "x1")))
    with pytest.raises(Conflict):
        await store.run(lambda tx: tx.remove(m.Device, T1, id="d1"))


async def test_what_hangs_on_a_device_goes_with_it(store: AnyStore):
    """Connections of a removed device or channel are gone."""
    await store.run(lambda tx: tx.add(device("d1"), channel("c1"), connection("c1", "d1")))
    assert await store.run(lambda tx: tx.remove(m.Device, T1, id="d1")) == 1
    assert await store.read(lambda tx: tx.select(m.Connection, T1)) == []


async def test_nouns_of_one_call_may_come_in_any_order(store: AnyStore):
    """Children may be named before their parents."""
    await store.run(lambda tx: tx.add(connection("c1", "d1"), channel("c1"), device("d1")))
    assert await store.read(lambda tx: tx.count(m.Connection, T1)) == 1


async def test_bulk_is_one_call(store: AnyStore):
    """Thousands of nouns are added at once, and in order."""
    many = [device(f"d{number:05}", secret=m.Secret(f"s{number}")) for number in range(2500)]
    await store.run(lambda tx: tx.add(*many))
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 2500
    assert await store.read(lambda tx: tx.find(m.Device, T1, secret=m.Secret("s2499"))) == many[-1]


async def test_bulk_is_whole_or_not_at_all(store: AnyStore):
    """One taken value among thousands leaves none of them."""
    many = [device(f"d{number:05}") for number in range(1000)]
    assert "id" in await conflict(store, *many, device("d00500"))
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 0


async def test_change_writes_the_noun_over_its_row(store: AnyStore):
    """Every field but the identity may change."""
    await store.run(lambda tx: tx.add(device("d1", secret=m.Secret("old"))))
    changed = device("d1", name="new", secret=m.Secret("new"), tags=("x",), updated_at=m.Instant(9))
    await store.run(lambda tx: tx.change(changed))
    assert await store.read(lambda tx: tx.find(m.Device, T1, secret=m.Secret("new"))) == changed
    assert await store.read(lambda tx: tx.find(m.Device, T1, secret=m.Secret("old"))) is None


@pytest.mark.parametrize("noun", [device("d9"), channel("c9"), connection("c9", "d9"), record("x9")])
async def test_changing_what_is_not_there_is_not_found(store: AnyStore, noun):
    """There is nothing to write over."""
    with pytest.raises(NotFound):
        await store.run(lambda tx: tx.change(noun))


async def test_a_row_does_not_change_hands(store: AnyStore):
    """A noun that names another tenant is not found, though its id is there."""
    await store.run(lambda tx: tx.add(channel("c1")))
    with pytest.raises(NotFound):
        await store.run(lambda tx: tx.change(channel("c1", tenant_id=T2)))


async def test_a_change_into_a_taken_value_is_a_conflict(store: AnyStore):
    """As in add."""
    await store.run(lambda tx: tx.add(channel("c1", route="r"), channel("c2")))
    with pytest.raises(Conflict, match="route"):
        await store.run(lambda tx: tx.change(channel("c2", route="r")))


async def test_a_noun_may_be_changed_twice_in_one_use_case(store: AnyStore):
    """Also after it was added or read in the same one."""

    def twice(tx):
        tx.add(device("d1"))
        tx.change(device("d1", name="a", status=m.Status.DISABLED))
        found = tx.get(m.Device, T1, "d1")
        tx.change(replace(found, name=found.name + "b"))
        tx.change(replace(found, name=found.name + "c", status=m.Status.ENABLED))

    await store.run(twice)
    assert (await store.read(lambda tx: tx.get(m.Device, T1, "d1"))).name == "ac"
    assert await store.read(lambda tx: tx.count(m.Device, T1, Is("status", m.Status.ENABLED))) == 1


async def test_remove_says_how_many(store: AnyStore):
    """By one value, by a list of values, and by several fields."""
    await store.run(lambda tx: tx.add(*(device(f"d{n}", name="odd" if n % 2 else "even") for n in range(6))))
    assert await store.run(lambda tx: tx.remove(m.Device, T1, id="d0")) == 1
    assert await store.run(lambda tx: tx.remove(m.Device, T1, id=["d1", "d2", "nope"])) == 2
    assert await store.run(lambda tx: tx.remove(m.Device, T1, id=("d3", "d4"), name="odd")) == 1
    assert await store.run(lambda tx: tx.remove(m.Device, T1, id=[])) == 0
    assert await store.run(lambda tx: tx.remove(m.Device, T2, id="d5")) == 0
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 2


async def test_a_read_only_use_case_cannot_write(store: AnyStore):
    """Writing belongs into run."""
    for write in (
        lambda tx: tx.add(device("d1")),
        lambda tx: tx.remove(m.Device, T1, id="d1"),
        lambda tx: tx.emit(m.Event(topic="t", tenant_id=T1, key="k", payload=None, created_at=tx.now)),
    ):
        with pytest.raises(TypeError):
            await store.read(write)


@pytest.mark.parametrize(
    "noun",
    [
        device("d\0"),
        device("d1", name="a\0b"),
        device("d1", name="\ud800"),
        device("d1", metadata={"k": "a\0b"}),
        device("d1", metadata={"k": ["\ud800"]}),
        device("d1", metadata={"k": object()}),
        device("d1", tags=("a\0",)),
    ],
)
async def test_what_cannot_be_stored_is_malformed(store: AnyStore, noun):
    """NUL, lone surrogates and what is not JSON are refused before the database sees them."""
    with pytest.raises(Malformed):
        await store.run(lambda tx: tx.add(noun))
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 0


async def test_a_backslash_before_u0000_is_not_nul(store: AnyStore):
    """Only the character itself is refused, not text that spells it."""
    odd = device("d1", metadata={"k": "\\u0000", "\\": "\\\\u0000"})
    await store.run(lambda tx: tx.add(odd))
    assert await store.read(lambda tx: tx.get(m.Device, T1, "d1")) == odd


@pytest.mark.parametrize("text", ["\0", "a\ud800"])
async def test_looking_for_what_cannot_be_stored_is_malformed(store: AnyStore, text):
    """A door answers 400, not 500."""
    with pytest.raises(Malformed):
        await store.read(lambda tx: tx.get(m.Device, T1, text))


async def test_now_is_fixed_in_a_use_case(store: AnyStore):
    """However often it is read."""
    first, second = await store.run(lambda tx: (tx.now, tx.now))
    assert first == second
    assert await store.run(lambda tx: tx.now) > first


async def test_new_ids_rise_and_secrets_are_random(store: AnyStore):
    """Ids lie in order; both are UUIDs of version 4 in form."""
    ids = await store.run(lambda tx: [tx.new_id() for _ in range(5000)])
    ids += await store.run(lambda tx: [tx.new_id() for _ in range(10)])
    assert ids == sorted(set(ids))
    assert {one[14] for one in ids} == {"4"}
    assert {one[19] for one in ids} <= {*"89ab"}
    assert int(ids[0].replace("-", "")[:12], 16) == pytest.approx(1_750_000_000_000, abs=10_000)
    secrets = await store.run(lambda tx: [tx.new_secret() for _ in range(1000)])
    assert len({one[:8] for one in secrets}) > 990
    token = await store.run(lambda tx: tx.new_token())
    assert len(token) == 43


async def test_digest_is_the_sealers(store: AnyStore, keyring):
    """What the core looks up by itself is hashed under the same keys."""
    assert await store.read(lambda tx: tx.digest("p", "x")) == keyring.digest("p", "x")


async def test_a_lock_is_held_until_the_end(store: AnyStore):
    """Of many use cases that lock one name, count and add, none sees an old count."""

    def limited(tx):
        tx.lock("devices:t-one")
        if tx.count(m.Device, T1) < 5:
            tx.add(device(tx.new_id()))

    await asyncio.gather(*(store.run(limited) for _ in range(40)))
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 5


async def test_no_change_is_lost(store: AnyStore):
    """Read, then change: the second of two at once sees what the first wrote."""
    await store.run(lambda tx: tx.add(device("d1"), group("g1")))

    def count_up(tx):
        found = tx.get(m.Device, T1, "d1")
        tx.change(replace(found, revision=found.revision + 1))

    await asyncio.gather(*(store.run(count_up) for _ in range(40)))
    assert (await store.read(lambda tx: tx.get(m.Device, T1, "d1"))).revision == 40


async def test_the_same_at_once_gives_one(store: AnyStore):
    """Of many that find nothing and then add, one adds and the others find it."""

    def ensure(tx):
        found = tx.find(m.ProvisionRecord, T1, external_id="x1")
        if found is None:
            found = record("x1", created_by=tx.new_id())
            tx.add(found, device(tx.new_id()))
        return found.created_by

    makers = await asyncio.gather(*(store.run(ensure) for _ in range(40)))
    assert len({*makers}) == 1
    assert await store.read(lambda tx: tx.count(m.Device, T1)) == 1


async def test_a_read_sees_what_was_acknowledged(store: AnyStore):
    """A read after the answer to a write finds it, every time."""
    for number in range(50):
        await store.run(lambda tx, n=number: tx.add(device(f"d{n}")))
        assert await store.read(lambda tx, n=number: tx.get(m.Device, T1, f"d{n}")) is not None


async def test_members_go_with_their_role(store: AnyStore):
    """A removed role has no members."""
    await store.run(lambda tx: tx.add(role("r1", m.Kind.TENANT, T1), member("r1", "u1")))
    await store.run(lambda tx: tx.remove(m.Role, T1, id="r1"))
    assert await store.read(lambda tx: tx.select(m.Member, T1)) == []
