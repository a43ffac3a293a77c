"""Names of channels: a second name never reaches what another one owns."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from muster.core import messaging, pki, registry, tenancy, tenants, users, validity
from muster.core import model as m
from muster.core.access import Caller
from muster.core.certificates import Certificate, Shown
from muster.core.errors import Conflict, Malformed
from muster.core.ports import ANYWHERE, Tx
from muster.core.registry import NewChannel
from muster.core.tenancy import NewTenant
from muster.core.users import NewUser
from muster.store.engine import AnyStore
from tests.store.nouns import channel, connection, device, tenant

pytestmark = pytest.mark.anyio
ATTACKER, VICTIM = m.TenantId("attacker"), m.TenantId("victim")


def certificate(serial: str, device_id: str, *, tenant_id: m.TenantId) -> Certificate:
    return Certificate(
        id=serial,
        tenant_id=tenant_id,
        device_id=m.DeviceId(device_id),
        certificate="PEM",
        key_digest=b"k" * 32,
        fingerprint=b"f" * 32,
        issuer_id="ca1",
        not_before=m.Instant(0),
        not_after=m.Instant(2**60),
        created_at=m.Instant(0),
    )


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


# --- what may be called how ------------------------------------------------------------------------------


async def _as_admin(store: AnyStore, use_case: Callable[..., Any], *args: Any) -> Any:
    """Run a use case as an administrator of the installation."""

    def run(tx: Tx) -> Any:
        found = tx.find(m.User, ANYWHERE, username="root")
        new = NewUser(username="root", email="root@example.com", password="-", is_admin=True)
        admin = found or users.add_user(tx, new, actor="")
        return use_case(tx, Caller(user=admin), *args)

    return await store.run(run)


@pytest.mark.parametrize(
    "name", ["a/b", "a b", "a+", "#", "a*", ">", "100%", "tab\t", "nul\0", "\x7f", "\u2003"]
)
async def test_a_tenants_id_that_no_topic_can_hold_is_refused(store: AnyStore, name: str):
    """Sessions are named `<tenant>/<device>`, and the id is a level of every topic."""
    with pytest.raises(Malformed):
        await _as_admin(store, tenancy.create_tenant, NewTenant(id=m.TenantId(name)))


async def test_an_alias_cannot_be_another_tenants_id_nor_the_other_way_round(store: AnyStore):
    """The answer is that of any name that is taken."""
    await _as_admin(store, tenancy.create_tenant, NewTenant(id=VICTIM, alias="second-name"))
    for wanted, says in (
        (NewTenant(alias="victim"), "a tenant with this alias exists already"),
        (NewTenant(alias="second-name"), "a tenant with this alias exists already"),
        (NewTenant(id=m.TenantId("second-name")), "a tenant with this id exists already"),
        (NewTenant(id=VICTIM), "a tenant with this id exists already"),
    ):
        with pytest.raises(Conflict) as refused:
            await _as_admin(store, tenancy.create_tenant, wanted)
        assert says == refused.value.message
    other = await _as_admin(store, tenancy.create_tenant, NewTenant(id=ATTACKER, alias="attacker"))
    with pytest.raises(Conflict):
        await _as_admin(store, tenancy.update_tenant, other.id, lambda t: replace(t, alias="victim"))
    renamed = await _as_admin(store, tenancy.update_tenant, other.id, lambda t: replace(t, alias="free"))
    assert "free" == renamed.alias


async def test_a_route_cannot_be_another_channels_id_nor_the_other_way_round(store: AnyStore):
    """Also within one request, and when a channel is changed."""
    await _as_admin(store, tenancy.create_tenant, NewTenant(id=VICTIM))
    boiler = NewChannel(id="c1", route="boiler")
    await _as_admin(store, registry.create_channels, VICTIM, [boiler, NewChannel(id="c2", route="c2")])
    for wanted in (
        [NewChannel(route="c1")],
        [NewChannel(id="boiler")],
        [NewChannel(route="c9"), NewChannel(id="c9")],
    ):
        with pytest.raises(Conflict, match=r"a channel with this (id|route) exists already"):
            await _as_admin(store, registry.create_channels, VICTIM, wanted)
    with pytest.raises(Conflict):
        await _as_admin(store, registry.update, VICTIM, m.Channel, "c2", lambda c: replace(c, route="c1"))


# --- logging in ------------------------------------------------------------------------------------------


async def test_who_comes_with_the_client_id_of_another_is_refused(store: AnyStore):
    """Within a tenant and across; whose it is is told, so that it need not be asked again."""
    secrets = {"d": m.Secret("secret of d"), "e": m.Secret("secret of e")}
    await store.run(
        lambda tx: tx.add(
            tenant(VICTIM), *(device(name, tenant_id=VICTIM, secret=s) for name, s in secrets.items())
        )
    )
    first = await store.read(messaging.login, "d", secrets["d"], "one-id")
    assert isinstance(first, messaging.Rights)
    assert not first.owns_client_id
    assert await store.run(messaging.claim_client_id, "one-id", VICTIM, m.DeviceId("d"))
    again = await store.read(messaging.login, "d", secrets["d"], "one-id")
    assert isinstance(again, messaging.Rights)
    assert again.owns_client_id
    taken = messaging.Refusal(messaging.Reason.CLIENT_ID_TAKEN)
    assert taken == await store.read(messaging.login, "e", secrets["e"], "one-id")
    wrong = messaging.Refusal(messaging.Reason.WRONG_SECRET)
    assert wrong == await store.read(messaging.login, "e", secrets["d"], "one-id")


async def test_rights_are_marked_anew_by_every_change_of_them_or_of_the_secret(store: AnyStore):
    """The mark of a login is that of the rights of now exactly as long as both are the same."""
    old, new = m.Secret("secret of d"), m.Secret("another secret")
    made = device("d", tenant_id=VICTIM, secret=old)
    await store.run(lambda tx: tx.add(tenant(VICTIM), channel("c", tenant_id=VICTIM), made))

    async def marks(secret: m.Secret) -> tuple[str, str]:
        by_login = await store.read(messaging.login, "d", secret, "any")
        now = await store.read(messaging.rights_of, VICTIM, m.DeviceId("d"))
        assert isinstance(by_login, messaging.Rights)
        assert isinstance(now, messaging.Rights)
        return by_login.mark, now.mark

    found = [await marks(old)]
    await store.run(lambda tx: tx.add(connection("c", "d", tenant_id=VICTIM)))
    found.append(await marks(old))
    await store.run(lambda tx: tx.change(replace(made, secret=new)))
    found.append(await marks(new))
    assert all(by_login == now for by_login, now in found)
    assert 3 == len({mark for mark, _ in found})
    assert old.reveal() not in str(found)


async def test_enabling_a_device_ends_nothing(store: AnyStore):
    """Disabling it did; what came back since then knows its rights already."""
    await _as_admin(store, tenancy.create_tenant, NewTenant(id=VICTIM))
    await _as_admin(store, registry.create_devices, VICTIM, [registry.NewDevice(id="d")])
    topics = []
    for status in (m.Status.DISABLED, m.Status.ENABLED):
        await _as_admin(store, registry.set_status, VICTIM, m.Device, "d", status)
        topics.append([e.topic for e in await store.read(lambda tx: tx.select(m.Event, ANYWHERE))])
    assert [["access.ended"], ["access.ended"]] == topics


async def test_with_user_and_tenant_goes_what_the_broker_keeps_for_them(store: AnyStore):
    """Sessions of devices that have used a client id, and what was said on the channels."""
    owner = await store.run(
        lambda tx: users.add_user(
            tx, NewUser(username="o", email="o@example.com", password="-"), actor=""
        )
    )  # fmt: skip
    home = owner.personal_tenant
    await _as_admin(store, tenancy.create_tenant, NewTenant(id=VICTIM, alias="works"))
    for name in (home, VICTIM):
        both = device(f"d-{name}", tenant_id=name), channel(f"c-{name}", tenant_id=name, route="boiler")
        await store.run(lambda tx, both=both: tx.add(*both))
        claim = (f"id-{name}", name, m.DeviceId(f"d-{name}"))
        assert await store.run(messaging.claim_client_id, *claim)
    await _as_admin(store, users.delete_user, owner.id)
    await _as_admin(store, tenants.delete, VICTIM)
    found = await store.read(lambda tx: tx.select(m.Event, ANYWHERE))
    emitted = {(e.topic, e.tenant_id, e.key) for e in found}
    for name in (home, VICTIM):
        assert {("access.ended", name, f"d-{name}"), ("tenant.closed", name, name)} <= emitted
    [gone] = [e for e in found if e.topic == "channel.deleted"]
    assert (VICTIM, f"c-{VICTIM}", {"route": "boiler", "alias": "works"}) == (
        gone.tenant_id,
        gone.key,
        gone.payload,
    )


async def test_a_login_by_certificate_is_known_by_its_mark_until_the_certificate_is_revoked(store: AnyStore):
    """As long as it is good, who came with it right behind a change is not sent away for that change."""
    made = certificate("7f01", "d", tenant_id=VICTIM)
    fleet = (tenant(VICTIM), channel("c", tenant_id=VICTIM), device("d", tenant_id=VICTIM), made)
    await store.run(lambda tx: tx.add(*fleet, connection("c", "d", tenant_id=VICTIM)))

    async def marks() -> frozenset[str]:
        now = await store.read(messaging.rights_of, VICTIM, m.DeviceId("d"))
        assert isinstance(now, messaging.Rights)
        return now.marks

    shown = Shown(serial=made.id, fingerprint=made.fingerprint)
    by_login = await store.read(pki.login, shown)
    assert isinstance(by_login, messaging.Rights)
    assert by_login.mark in await marks()
    await store.run(lambda tx: validity.end(tx, [made], validity.CESSATION))
    assert by_login.mark not in await marks()
    assert "" not in await marks()
