"""What a query finds, on both databases: every condition, orders, windows and tallies."""

import pytest

from muster.core import model as m
from muster.core.actions import BUILTIN_ROLE
from muster.core.errors import Malformed
from muster.core.ports import (
    ANYWHERE,
    Active,
    After,
    Before,
    Connected,
    Contains,
    Has,
    HeldBy,
    InRole,
    Is,
    Like,
    Not,
    OneOf,
    Order,
    Tagged,
    VisibleTo,
    Window,
)
from muster.store.engine import AnyStore
from tests.store.nouns import (
    AT,
    T1,
    T2,
    channel,
    config,
    connection,
    device,
    entry,
    event,
    group,
    member,
    role,
    tenant,
    user,
)

pytestmark = pytest.mark.anyio


async def ids(store: AnyStore, kind, tenant_id, *conditions, **how) -> list[str]:
    found = await store.read(lambda tx: tx.select(kind, tenant_id, *conditions, **how))
    assert await store.read(lambda tx: tx.count(kind, tenant_id, *conditions)) == len(found) or how
    return [one.id for one in found] if how else sorted(one.id for one in found)


DEVICES = (
    device(
        "d1", name="Pump North", tags=("Red", "blue"), metadata={"type": "gateway", "n": 1}, group_id="g1"
    ),
    device(
        "d2", name="pump_south", tags=("green",), metadata={"type": "gateway", "n": 2, "at": {"x": [1, 2]}}
    ),
    device("d3", name="100%", status=m.Status.DISABLED, metadata={"on": True}, secret=m.Secret("s3")),
    device("d4", name="Ürümqi", identity="i4", updated_at=m.Instant(AT + 4), metadata={"n": [{"a": 1}, "b"]}),
    device("d5", name="back\\slash", tenant_id=T2, tags=("red",)),
)


@pytest.mark.parametrize(
    "conditions, expected",
    [
        ([Is("name", "100%")], "d3"),
        ([Is("status", m.Status.DISABLED)], "d3"),
        ([Is("secret", m.Secret("s3"))], "d3"),
        ([Is("group_id", None)], "d2 d3 d4"),
        ([Is("group_id", "g1")], "d1"),
        ([Not("status", m.Status.DISABLED)], "d1 d2 d4"),
        ([Not("group_id", "g1")], "d2 d3 d4"),
        ([Not("group_id", None)], "d1"),
        ([OneOf("id", ["d1", "d3", "d5", "x"])], "d1 d3"),
        ([OneOf("id", [])], ""),
        ([OneOf("status", [m.Status.ENABLED, m.Status.DELETED])], "d1 d2 d4"),
        ([OneOf("secret", [m.Secret("s3"), m.Secret("s4")])], "d3"),
        ([Has("name", "PUMP")], "d1 d2"),
        ([Has("name", "_")], "d2"),
        ([Has("name", "%")], "d3"),
        ([Has("name", "ür")], "d4"),
        ([Has("name", "")], "d1 d2 d3 d4"),
        ([Has("name", "pump"), Has("name", "north")], "d1"),
        ([Contains("metadata", {"type": "gateway"})], "d1 d2"),
        ([Contains("metadata", {"type": "gateway", "n": 2})], "d2"),
        ([Contains("metadata", {"at": {"x": [2]}})], "d2"),
        ([Contains("metadata", {"at": {"x": 2}})], ""),
        ([Contains("metadata", {"n": [{"a": 1}]})], "d4"),
        ([Contains("metadata", {"on": True})], "d3"),
        ([Contains("metadata", {"on": 1})], ""),
        ([Contains("metadata", {"n": 1.0})], "d1"),
        ([Contains("metadata", {"n": True})], ""),
        ([Contains("metadata", {})], "d1 d2 d3 d4"),
        ([Tagged("RED")], "d1"),
        ([Tagged("e")], "d1 d2"),
        ([Tagged("%")], ""),
        ([After("updated_at", AT)], "d4"),
        ([Before("updated_at", m.Instant(1))], "d1 d2 d3"),
        ([Before("updated_at", m.Instant(0))], ""),
    ],
)
async def test_a_condition_finds_what_meets_it(store: AnyStore, conditions, expected):
    """And nothing of another tenant."""
    await store.run(lambda tx: tx.add(*DEVICES))
    assert await ids(store, m.Device, T1, *conditions) == expected.split()


async def test_anywhere_finds_in_all_tenants(store: AnyStore):
    """For the few look-ups that name no tenant."""
    await store.run(lambda tx: tx.add(*DEVICES, device("d1", tenant_id=T2)))
    assert await ids(store, m.Device, ANYWHERE, Is("id", "d1")) == ["d1", "d1"]
    assert await ids(store, m.Device, ANYWHERE, Tagged("red")) == ["d1", "d5"]


@pytest.mark.parametrize("condition", [Has("name", "a\0"), Tagged("\0"), Contains("metadata", {"k": "\0"})])
async def test_searching_for_nul_is_malformed(store: AnyStore, condition):
    """On both databases."""
    with pytest.raises(Malformed):
        await store.read(lambda tx: tx.select(m.Device, T1, condition))


@pytest.mark.parametrize(
    "condition",
    [
        Has("name", "a" * 60_000),
        Has("name", "%" * 30_000),
        Tagged("a" * 60_000),
        Contains("metadata", {"k": "a" * 60_000}),
        Like("name", (), "[" * 16_000),
    ],
)
async def test_a_text_of_any_length_may_be_looked_for(store: AnyStore, condition):
    """SQLite's LIKE and GLOB take patterns of 50,000 bytes at most; names are not that long."""
    await store.run(lambda tx: tx.add(*DEVICES))
    assert await ids(store, m.Device, T1, condition) == []


@pytest.mark.parametrize("pattern", ["a*" * 10_000, "ä" * 10_000])
async def test_a_pattern_beyond_all_reason_is_malformed(store: AnyStore, pattern):
    """On both databases."""
    with pytest.raises(Malformed, match="at most 16000 bytes"):
        await store.read(lambda tx: tx.select(m.Device, T1, Like("name", (), pattern)))


async def test_members_of_metadata_are_found_however_they_are_written(store: AnyStore):
    """Quotes, backslashes and other scripts in names and values, and any order of members."""
    odd = {'a"b': "c\\d", "ключ": "знач", "n": None, "nested": {"x": 'y"z'}, "é": 1.50}
    await store.run(lambda tx: tx.add(device("d1", metadata=odd), device("d2", metadata={"other": 1})))
    for name, value in odd.items():
        assert await ids(store, m.Device, T1, Contains("metadata", {name: value})) == ["d1"]
    assert await ids(store, m.Device, T1, Contains("metadata", dict(reversed(odd.items())))) == ["d1"]


async def test_a_backslash_means_itself(store: AnyStore):
    """As do the other signs of patterns."""
    await store.run(lambda tx: tx.add(*DEVICES))
    assert await ids(store, m.Device, T2, Has("name", "k\\s")) == ["d5"]


async def test_nothing_of_a_tenant_is_seen_from_another(store: AnyStore):
    """By no way to read or write."""
    await store.run(lambda tx: tx.add(*DEVICES, channel("c1"), connection("c1", "d1")))
    assert await store.read(lambda tx: tx.get(m.Device, T2, "d1")) is None
    assert await store.read(lambda tx: tx.find(m.Connection, T2, channel_id="c1")) is None
    assert await store.read(lambda tx: tx.select(m.Channel, T2)) == []
    assert await store.read(lambda tx: tx.count(m.Channel, T2)) == 0
    assert await store.run(lambda tx: tx.remove(m.Channel, T2, id="c1")) == 0
    assert await ids(store, m.Device, T2, Connected("c1")) == []


async def test_a_noun_without_a_tenant_is_asked_for_anywhere(store: AnyStore):
    """Naming one is a fault of the program."""
    for ask in (lambda tx: tx.get(m.User, T1, "u1"), lambda tx: tx.count(m.User, T1)):
        with pytest.raises(ValueError, match="belongs to no tenant"):
            await store.read(ask)


@pytest.mark.parametrize(
    "field", ["nope", "metadata", "tags", "secret", "secret_digest", "name; DROP TABLE x"]
)
async def test_only_known_fields_sort(store: AnyStore, field):
    """Malformed, so that a door need not check."""
    with pytest.raises(Malformed):
        await store.read(lambda tx: tx.select(m.Device, T1, order=Order(field)))


async def test_unknown_fields_are_a_fault(store: AnyStore):
    """Conditions come from the program."""
    with pytest.raises(ValueError, match="no field"):
        await store.read(lambda tx: tx.select(m.Device, T1, Is("nope", 1)))
    with pytest.raises(ValueError, match="sealed"):
        await store.read(lambda tx: tx.find(m.ProvisionRecord, T1, answer=m.Secret("x")))


async def test_email_is_found_whatever_its_case(store: AnyStore):
    """People type it as they like."""
    await store.run(lambda tx: tx.add(user("u1", email="Ab@Example.com")))
    for given in ("ab@example.com", "AB@EXAMPLE.COM"):
        assert await store.read(lambda tx, e=given: tx.find(m.User, ANYWHERE, email=e)) is not None


# --- relations ----------------------------------------------------------------------------------------


async def test_connected(store: AnyStore):
    """By any of the kinds, or by none."""
    await store.run(
        lambda tx: tx.add(
            *(device(f"d{n}") for n in range(1, 5)),
            device("d1", tenant_id=T2),
            channel("c1"),
            channel("c2"),
            channel("c3", tenant_id=T2),
            connection("c1", "d1"),
            connection("c1", "d2", flow=m.Flow.PUBLISH),
            connection("c1", "d3", flow=m.Flow.SUBSCRIBE),
            connection("c2", "d1"),
            connection("c3", "d1", tenant_id=T2),
        )
    )
    assert await ids(store, m.Device, T1, Connected("c1")) == ["d1", "d2", "d3"]
    assert await ids(store, m.Device, T1, Connected("c1", m.Flow.PUBLISH)) == ["d1", "d2"]
    assert await ids(store, m.Device, T1, Connected("c1", m.Flow.SUBSCRIBE)) == ["d1", "d3"]
    assert await ids(store, m.Device, T1, Connected("c1", m.Flow.PUBLISH, False)) == ["d3", "d4"]
    assert await ids(store, m.Device, T1, Connected("c1", is_connected=False)) == ["d4"]
    assert await ids(store, m.Channel, T1, Connected("d1")) == ["c1", "c2"]
    assert await ids(store, m.Channel, T1, Connected("d2", is_connected=False)) == ["c2"]
    assert await ids(store, m.Channel, ANYWHERE, Connected("d1")) == ["c1", "c2", "c3"]


async def test_active(store: AnyStore):
    """Connected with both kinds to every channel that it lists and that is there, of which there is one."""
    lists = {"d1": ("c1", "gone", "c2"), "d2": ("c1",), "d3": ("c1",), "d4": (), "d5": ("gone",)}
    await store.run(
        lambda tx: tx.add(
            *(device(one) for one in lists),
            channel("c1"),
            channel("c2"),
            connection("c1", "d1"),
            connection("c2", "d1"),
            connection("c1", "d2", flow=m.Flow.PUBLISH),
            *(config(one, f"x-{one}", channels=listed) for one, listed in lists.items()),
        )
    )

    async def active(is_active):
        found = await store.read(
            lambda tx: tx.page(m.BootstrapConfig, T1, Active(is_active), order=Order("name"))
        )
        assert found.total == len(found.items)
        return sorted(one.device_id for one in found.items)

    assert await active(True) == ["d1"]
    assert await active(False) == ["d2", "d3", "d4", "d5"]


async def test_visible(store: AnyStore):
    """To the creator while nobody else is said to administer it, to holders of roles on it or above it."""
    await store.run(
        lambda tx: tx.add(
            group("top"),
            group("mid", parent_id="top"),
            group("low", parent_id="mid"),
            group("own", created_by="me"),
            device("mine", created_by="me"),
            device("given away", created_by="me"),
            device("shared"),
            device("shared wrongly"),
            device("in low", group_id="low"),
            device("in own", group_id="own"),
            device("hidden"),
            role("r1", m.Kind.DEVICE, "given away", "read", is_builtin=True),
            role("r2", m.Kind.DEVICE, "shared", "update", "read"),
            role("r3", m.Kind.DEVICE, "shared wrongly", "update"),
            role("r4", m.Kind.GROUP, "mid", "device_read"),
            role("r5", m.Kind.CHANNEL, "hidden", "read"),
            role("r6", m.Kind.GROUP, "top", "read"),
            *(member(f"r{n}", "me") for n in (2, 3, 4, 5, 6)),
            member("r1", "other"),
        )
    )
    mine = VisibleTo("me", ("read", "device_read"))
    expected = ["in low", "in own", "mine", "shared"]
    assert await ids(store, m.Device, T1, mine) == expected
    assert await ids(store, m.Device, ANYWHERE, mine) == expected
    assert await ids(store, m.Device, T1, mine, Is("status", m.Status.ENABLED), order=Order()) == expected
    page = await store.read(lambda tx: tx.page(m.Device, T1, mine, window=Window(0, 2)))
    assert ([one.id for one in page.items], page.total) == (expected[:2], 4)
    assert await ids(store, m.Device, T1, VisibleTo("other", ("read", "device_read"))) == ["given away"]
    assert await ids(store, m.Group, T1, VisibleTo("me", ("read", "group_read"))) == ["own", "top"]
    assert await ids(store, m.Channel, T1, VisibleTo("me", ("read", "channel_read"))) == []


async def test_in_role(store: AnyStore):
    """By id, name or action of a role that is stored, or of the creator's that is implied."""
    await store.run(
        lambda tx: tx.add(
            device("mine", created_by="me"),
            device("given away", created_by="me"),
            device("shared"),
            device("other"),
            role("r1", m.Kind.DEVICE, "given away", "read", is_builtin=True),
            role("r2", m.Kind.DEVICE, "shared", "read", "update", name="editor"),
            member("r2", "me"),
        )
    )
    for asked, expected in (
        (InRole("me"), ["mine", "shared"]),
        (InRole("me", role_id="r2"), ["shared"]),
        (InRole("me", role_name="editor"), ["shared"]),
        (InRole("me", role_name=BUILTIN_ROLE), ["mine"]),
        (InRole("me", action="update"), ["mine", "shared"]),
        (InRole("me", role_name="editor", action="delete"), []),
        (InRole("me", action="no such"), []),
        (InRole("other"), []),
    ):
        assert await ids(store, m.Device, T1, asked) == expected


async def test_held_by(store: AnyStore):
    """Roles with this member, and tenants in which there is such a role."""
    await store.run(
        lambda tx: tx.add(
            tenant(T1),
            tenant(T2),
            role("r1", m.Kind.TENANT, T1),
            role("r2", m.Kind.TENANT, T2, tenant_id=T2),
            member("r1", "me"),
            member("r2", "other", tenant_id=T2),
        )
    )
    assert await ids(store, m.Role, T1, HeldBy("me")) == ["r1"]
    assert await ids(store, m.Tenant, ANYWHERE, HeldBy("me")) == [T1]
    assert await ids(store, m.Tenant, ANYWHERE, HeldBy("nobody")) == []


async def test_held_by_with_an_action(store: AnyStore):
    """Tenants where a role on the tenant itself has the action; one on something inside does not count."""
    await store.run(
        lambda tx: tx.add(
            tenant(T1),
            tenant(T2),
            role("r1", m.Kind.TENANT, T1, "read"),
            role("r2", m.Kind.DEVICE, "d", "read", tenant_id=T2),
            member("r1", "me"),
            member("r2", "me", tenant_id=T2),
        )
    )
    assert await ids(store, m.Tenant, ANYWHERE, HeldBy("me", "read")) == [T1]
    assert await ids(store, m.Tenant, ANYWHERE, HeldBy("me", "delete")) == []
    assert await ids(store, m.Tenant, ANYWHERE, HeldBy("other", "read")) == []


# --- order, windows, totals ---------------------------------------------------------------------------

STATUSES = (m.Status.ENABLED, m.Status.DISABLED)


def crowd():
    """23 devices of two statuses; every third was updated, ids and times run against each other."""
    return [
        device(
            f"d{99 - n}",
            name=f"n{n % 5}",
            status=STATUSES[n % 2],
            created_at=m.Instant(AT + n // 4),
            updated_at=m.Instant(AT + 100 - n if n % 3 == 0 else 0),
        )
        for n in range(23)
    ]


@pytest.mark.parametrize("is_descending", [False, True])
@pytest.mark.parametrize("field", ["updated_at", "created_at", "name", "id", "status"])
async def test_ties_are_broken_by_creation_and_id(store: AnyStore, field, is_descending):
    """So that pages never overlap and never leave anything out."""
    await store.run(lambda tx: tx.add(*crowd()))
    expected = sorted(crowd(), key=lambda d: (getattr(d, field), d.created_at, d.id), reverse=is_descending)
    for conditions in (
        [],
        [Is("status", m.Status.ENABLED)],
        [Not("status", m.Status.DELETED)],
        [Has("name", "n")],
    ):
        wanted = (
            [d for d in expected if d.status is m.Status.ENABLED]
            if conditions[:1] == [Is("status", m.Status.ENABLED)]
            else expected
        )
        order = Order(field, is_descending)
        found = []
        for offset in range(0, 30, 7):
            page = await store.read(
                lambda tx, o=offset, c=conditions, by=order: tx.page(
                    m.Device, T1, *c, order=by, window=Window(o, 7)
                )
            )
            assert page.total == len(wanted)
            found += page.items
        assert found == wanted


async def test_windows(store: AnyStore):
    """No limit, no rows, beyond the end, and absurd ones."""
    await store.run(lambda tx: tx.add(*crowd()))

    async def sizes(offset, limit):
        page = await store.run(lambda tx: tx.page(m.Device, T1, window=Window(offset, limit)))
        return len(page.items), page.total

    assert await sizes(0, None) == (23, 23)
    assert await sizes(20, None) == (3, 23)
    assert await sizes(0, 0) == (0, 23)
    assert await sizes(23, 10) == (0, 23)
    assert await sizes(10**30, 10**30) == (0, 23)
    for window in (Window(-1, 10), Window(0, -1)):
        with pytest.raises(Malformed):
            await store.read(lambda tx, w=window: tx.select(m.Device, T1, window=w))


async def test_a_journal_is_read_by_time(store: AnyStore):
    """Newest first, of the tenant or of one entity."""
    await store.run(
        lambda tx: tx.add(
            *(entry(f"j{n}", at=m.Instant(AT + n // 2), entity_id=f"d{n % 3}") for n in range(9))
        )
    )
    newest = await store.read(
        lambda tx: tx.page(m.JournalEntry, T1, order=Order("at", is_descending=True), window=Window(0, 3))
    )
    assert ([one.id for one in newest.items], newest.total) == (["j8", "j7", "j6"], 9)
    of_one = await store.read(
        lambda tx: tx.page(m.JournalEntry, T1, Is("entity_id", "d1"), order=Order("at"), window=Window(0, 9))
    )
    assert [one.id for one in of_one.items] == ["j1", "j4", "j7"]


# --- tallies ------------------------------------------------------------------------------------------


async def test_tallies_follow_every_write(store: AnyStore):
    """Added, changed, removed, rolled back: the count is the count."""

    async def counts():
        def ask(tx):
            by_status = [tx.count(m.Device, T1, Is("status", one)) for one in STATUSES]
            return tx.count(m.Device, T1), *by_status, tx.count(m.Device, ANYWHERE)

        found = await store.read(ask)
        rows = await store.read(lambda tx: tx.select(m.Device, ANYWHERE))
        assert found[0] == sum(one.tenant_id == T1 for one in rows)
        assert found[3] == len(rows)
        return found

    await store.run(lambda tx: tx.add(*crowd(), device("d1", tenant_id=T2)))
    assert await counts() == (23, 12, 11, 24)
    await store.run(lambda tx: tx.change(device("d99", status=m.Status.DISABLED)))
    assert await counts() == (23, 11, 12, 24)
    await store.run(lambda tx: tx.remove(m.Device, T1, name="n0"))
    assert await counts() == (19, 9, 10, 20)
    with pytest.raises(KeyError):
        await store.run(lambda tx: (tx.remove(m.Device, T1, name="n1"), {}["x"]))
    assert await counts() == (19, 9, 10, 20)


async def test_a_use_case_counts_what_it_wrote(store: AnyStore):
    """Before it is committed."""

    def count(tx):
        tx.add(device("d1"), device("d2", status=m.Status.DISABLED))
        tx.remove(m.Device, T1, id="d1")
        enabled, disabled = (Is("status", one) for one in STATUSES)
        return tx.count(m.Device, T1), tx.count(m.Device, T1, enabled), tx.count(m.Device, T1, disabled)

    assert await store.run(count) == (1, 0, 1)


async def test_events_are_not_seen_before_the_commit(store: AnyStore):
    """They are written, with numbers that rise, when the use case ends."""
    await store.run(lambda tx: tx.emit(event("d1"), event("d2")))
    await store.run(lambda tx: tx.emit(event("d3")))
    found = await store.read(lambda tx: tx.select(m.Event, ANYWHERE, order=Order("id")))
    assert [one.key for one in found] == ["d1", "d2", "d3"]
    assert found[0].id < found[1].id < found[2].id
