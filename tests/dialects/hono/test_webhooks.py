"""Webhooks of tenants: set up through the Hono door, called on a real receiver on the loopback."""

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import trustme
from prometheus_client import CollectorRegistry

from muster.assembly.webhooks import Webhooks
from muster.ca.secrets import Keyring
from muster.core import contacts, southbound, webhooks
from muster.core.errors import Unavailable
from muster.core.model import Secret, Tenant, TenantId
from muster.core.ports import ANYWHERE
from muster.core.webhooks import FIRST_WAIT, GIVE_UP, LONGEST_WAIT, OVERLAP, is_public, wait
from muster.store.engine import open_store
from muster.web.observe import json_logger
from muster.web.outgoing import MOST_READ, Outgoing
from tests.ca.pki import Foreign, der
from tests.conftest import TestClock
from tests.dialects.hono.desk import Door, b64
from tests.dialects.hono.receiver import receiver

pytestmark = pytest.mark.anyio
ALL = [topic.value for topic in webhooks.Topic]


class Teller:
    """What calls the webhooks, one round at a time, and by the test's clock."""

    def __init__(self, door: Door) -> None:
        self.registry = CollectorRegistry()
        self.outgoing = Outgoing(allows_private=True)
        self.webhooks = Webhooks(door.store, self.outgoing, door.clock, self.registry, json_logger())

    async def tell(self, tenant: str) -> None:
        """Tell a tenant all that is due now."""
        async with self.outgoing.open() as line:
            while await self.webhooks.drain(TenantId(tenant), line):
                pass

    def counted(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("muster_webhook_notices_total", {"outcome": outcome})


@pytest.fixture
def door(database_url: Callable[..., str], keyring: Keyring, clock: TestClock) -> Iterator[Door]:
    """Open the door on a store that goes by the test's clock as well."""
    store = open_store(database_url("sqlite", is_migrated=True), keyring, clock)
    opened = Door(store, keyring, clock)
    yield opened
    opened.passwords.close()
    store.close()


@pytest.fixture
async def teller(door: Door) -> AsyncIterator[Teller]:
    door.options = replace(door.options, calls_private=True)
    door.rebuild()
    made = Teller(door)
    yield made
    made.outgoing.close()


async def hooked(door: Door, port: int, topics: list[str] | None = None, **tenant: Any) -> tuple[str, str]:
    """Make a tenant with a webhook; give its id and the signing secret."""
    name = await door.tenant(**tenant)
    body = {"url": f"http://127.0.0.1:{port}/hook?x=1", "topics": topics or ALL}
    made = await door("PUT", f"/v1/tenants/{name}/webhook", json=body)
    assert 200 == made.status_code, made.text
    return name, made.json()["secret"]


async def state(door: Door, tenant: str) -> dict[str, Any]:
    shown = await door("GET", f"/v1/tenants/{tenant}/webhook")
    assert 200 == shown.status_code
    found: dict[str, Any] = shown.json()["state"]
    return found


# --- set up -------------------------------------------------------------------------------------------


async def test_a_webhook_lives_its_life(door_on_each: Door):
    """Set, shown without its secret, set again with the secret it had, renewed, deleted."""
    door, url = door_on_each, "https://hooks.example.com/muster"
    tenant = await door.tenant()
    place = f"/v1/tenants/{tenant}/webhook"
    assert 404 == (await door("GET", place)).status_code
    made = (await door("PUT", place, json={"url": url, "topics": ["device.created"]})).json()
    assert made["secret"].startswith("whsec_")
    shown = (await door("GET", place)).json()
    assert (url, ["device.created"], True) == (shown["url"], shown["topics"], shown["enabled"])
    assert {"pending": 0} == shown["state"]
    assert "secret" not in shown
    again = (await door("PUT", place, json={"url": url + "2", "topics": ["device.deleted"]})).json()
    assert (url + "2", ["device.deleted"]) == (again["url"], again["topics"])
    assert "secret" not in again
    renewed = (await door("POST", f"{place}/secret")).json()
    assert renewed["secret"] not in ("", made["secret"])
    assert 204 == (await door("DELETE", place)).status_code
    assert [404, 404] == [
        (await door("DELETE", place)).status_code,
        (await door("POST", f"{place}/secret")).status_code,
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://hooks.example.com/", "topics": ["device.created"]},
        {"url": "ftp://hooks.example.com/", "topics": ["device.created"]},
        {"url": "https:///nowhere", "topics": ["device.created"]},
        {"url": "https://user:password@hooks.example.com/", "topics": ["device.created"]},
        {"url": "https://hooks.example.com/#part", "topics": ["device.created"]},
        {"url": "https://hooks.example.com:99999/", "topics": ["device.created"]},
        {"url": "https://hooks.example.com/a b", "topics": ["device.created"]},
        {"url": "https://127.0.0.1/", "topics": ["device.created"]},
        {"url": "https://[::1]/", "topics": ["device.created"]},
        {"url": "https://10.1.2.3/", "topics": ["device.created"]},
        {"url": "https://localhost/", "topics": ["device.created"]},
        {"url": "https://hooks.example.com/" + "x" * 2048, "topics": ["device.created"]},
        {"url": "https://hooks.example.com/", "topics": []},
        {"url": "https://hooks.example.com/", "topics": ["device.eaten"]},
        {"url": "https://hooks.example.com/"},
        {"topics": ["device.created"]},
        {"url": "https://hooks.example.com/", "topics": ["device.created"], "secret": "mine"},
    ],
)
async def test_what_is_no_webhook_is_refused(door: Door, body: dict[str, Any]):
    """Each is 400 and sets nothing."""
    tenant = await door.tenant()
    assert 400 == (await door("PUT", f"/v1/tenants/{tenant}/webhook", json=body)).status_code
    assert 404 == (await door("GET", f"/v1/tenants/{tenant}/webhook")).status_code


async def test_only_who_may_update_the_tenant_sees_its_webhook(door: Door):
    """A stranger finds no such tenant; nobody without a login gets anywhere."""
    tenant = await door.tenant()
    stranger = await door.user()
    body = {"url": "https://hooks.example.com/", "topics": ["device.created"]}
    place = f"/v1/tenants/{tenant}/webhook"
    for method, path, sent in (
        ("PUT", place, body),
        ("GET", place, None),
        ("DELETE", place, None),
        ("POST", f"{place}/secret", None),
    ):
        assert 404 == (await door(method, path, user=stranger, json=sent)).status_code
        nobody = await door(method, path, headers={"Authorization": ""}, json=sent)
        assert 401 == nobody.status_code


async def test_the_journal_tells_who_set_it(door: Door):
    """Set, renewed and deleted are three entries; none holds the URL or the secret."""
    tenant = await door.tenant()
    body = {"url": "https://hooks.example.com/token-in-it", "topics": ["device.created"]}
    await door("PUT", f"/v1/tenants/{tenant}/webhook", json=body)
    await door("POST", f"/v1/tenants/{tenant}/webhook/secret")
    await door("DELETE", f"/v1/tenants/{tenant}/webhook")
    entries = await door.journal(tenant)
    assert ["tenant.webhook", "tenant.webhook_secret", "tenant.webhook_delete"] == [
        each.operation for each in entries if "webhook" in each.operation
    ]
    assert "token-in-it" not in repr(entries)
    assert "whsec_" not in repr(entries)


# --- told ---------------------------------------------------------------------------------------------


async def test_the_life_of_a_device_is_told_and_signed(door: Door, teller: Teller):
    """Created, changed, given credentials, deleted, all deleted: in this order, each signed and numbered."""
    async with receiver() as heard:
        tenant, secret = await hooked(door, heard.port)
        device = await door.device(tenant)
        await door("PUT", f"/v1/devices/{tenant}/{device}", json={"enabled": False})
        credential = {"type": "hashed-password", "auth-id": "a", "secrets": [{"pwd-plain": "x" * 8}]}
        await door("PUT", f"/v1/credentials/{tenant}/{device}", json=[credential])
        await door("DELETE", f"/v1/devices/{tenant}/{device}")
        await teller.tell(tenant)
        await door("DELETE", f"/v1/devices/{tenant}")
        await teller.tell(tenant)
    told = ["device.created", "device.updated", "credentials.updated", "device.deleted", "tenant.emptied"]
    assert told == [call.said["type"] for call in heard.calls]
    assert [{"tenant-id": tenant, "device-id": device}] * 4 + [{"tenant-id": tenant}] == [
        call.said["data"] for call in heard.calls
    ]
    assert all(call.is_signed_with(secret) for call in heard.calls)
    assert 5 == len({call.headers["webhook-id"] for call in heard.calls})
    assert "application/json" == heard.calls[0].headers["content-type"]
    assert {"pending": 0} == {k: v for k, v in (await state(door, tenant)).items() if k == "pending"}
    assert 5 == teller.counted("delivered")


async def test_a_device_that_provisions_itself_is_told(door: Door, teller: Teller):
    """The seed's optional step: provision the device in external systems."""
    ca = Foreign("webhooks")
    async with receiver() as heard:
        trusted = [{"cert": b64(ca.der), "auto-provisioning-enabled": True}]
        tenant, _ = await hooked(door, heard.port, ["device.provisioned"], **{"trusted-ca": trusted})
        known = door.options.certificates
        chain = [der(ca.sign(name="pump-1"))]
        anchors = await door.store.read(southbound.anchors, known.issuers(chain), None)
        shown = known.verify(chain, anchors.cas, door.clock())
        login, _ = await door.store.run(contacts.first_contact, TenantId(tenant), shown)
        await door.device(tenant)
        await teller.tell(tenant)
    wanted = {"tenant-id": tenant, "device-id": login.device.id, "auth-id": "CN=pump-1"}
    assert [("device.provisioned", wanted)] == [(c.said["type"], c.said["data"]) for c in heard.calls]


async def test_nothing_is_kept_for_who_did_not_ask(door: Door, teller: Teller):
    """Without a webhook, with another topic, and after it was deleted, no notice is written."""
    async with receiver() as heard:
        tenant, _ = await hooked(door, heard.port, ["device.deleted"])
        await door.device(tenant)
        assert 0 == (await state(door, tenant))["pending"]
        await door("DELETE", f"/v1/tenants/{tenant}/webhook")
        device = await door.device(tenant)
        await door("DELETE", f"/v1/devices/{tenant}/{device}")
        await teller.tell(tenant)
        stored = await door.store.read(lambda tx: tx.count(webhooks.Notice, TenantId(tenant)))
    assert (0, []) == (stored, heard.calls)


async def test_a_replaced_secret_signs_for_a_day_more(door: Door, teller: Teller):
    """Receivers have time to learn the new one; then the old one is void."""
    async with receiver() as heard:
        tenant, old = await hooked(door, heard.port)
        new = (await door("POST", f"/v1/tenants/{tenant}/webhook/secret")).json()["secret"]
        await door.device(tenant)
        await teller.tell(tenant)
        door.clock.micros += OVERLAP
        await door.device(tenant)
        await teller.tell(tenant)
    first, second = heard.calls
    assert [True, True] == [first.is_signed_with(old), first.is_signed_with(new)]
    assert [False, True] == [second.is_signed_with(old), second.is_signed_with(new)]


def test_the_signature_is_that_of_the_specification():
    """The example that the Standard Webhooks libraries test themselves with."""
    from muster.ca.webhooks import signature  # noqa: PLC0415

    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" == made


# --- when it does not go well ---------------------------------------------------------------------------


async def test_what_fails_is_tried_again_with_the_same_id(door: Door, teller: Teller):
    """Later each time, one call at a time; when the receiver answers again, all the rest follows."""
    async with receiver(statuses=[500, 302, 503]) as heard:
        tenant, _ = await hooked(door, heard.port)
        first = await door.device(tenant)
        await teller.tell(tenant)
        others = [await door.device(tenant) for _ in range(3)]
        for failures in (1, 2):
            await teller.tell(tenant)
            assert failures == len(heard.calls), "it waits"
            shown = await state(door, tenant)
            assert failures == shown["failures"]
            assert {"failing-since", "next-attempt", "last-error"} < shown.keys()
            door.clock.micros += wait(failures)
            await teller.tell(tenant)
        assert (3, "HTTP 503") == (len(heard.calls), (await state(door, tenant))["last-error"])
        door.clock.micros += wait(3)
        await teller.tell(tenant)
        door.clock.micros += LONGEST_WAIT
        await teller.tell(tenant)
    told = {call.headers["webhook-id"]: call.said["data"]["device-id"] for call in heard.calls}
    assert sorted([first, *others]) == sorted(told.values())
    shown = await state(door, tenant)
    assert 0 == shown["pending"]
    assert "failing-since" not in shown
    assert (4.0, 3.0) == (teller.counted("delivered"), teller.counted("failed"))


async def test_one_notice_that_is_refused_holds_up_its_device_only(door: Door, teller: Teller):
    """The later notices of that device wait, the others go on."""
    async with receiver() as heard:
        tenant, _ = await hooked(door, heard.port)
        bad = await door.device(tenant)
        heard.status_of = lambda call: 400 if call.said["data"]["device-id"] == bad else 204
        await door("DELETE", f"/v1/devices/{tenant}/{bad}")
        good = [await door.device(tenant) for _ in range(20)]
        for _ in range(4):
            await teller.tell(tenant)
            door.clock.micros += 2 * FIRST_WAIT
        told = [call.said["data"]["device-id"] for call in heard.calls]
        assert sorted(good) == sorted(each for each in told if each != bad)
        assert {"device.created"} == {
            c.said["type"] for c in heard.calls if c.said["data"]["device-id"] == bad
        }
        assert 2 == (await state(door, tenant))["pending"]


async def test_it_gives_up_after_a_day_and_says_so(door: Door, teller: Teller):
    """What nobody took is dropped and counted; what came later is told."""
    async with receiver(statuses=[500]) as heard:
        tenant, _ = await hooked(door, heard.port)
        await door.device(tenant)
        await teller.tell(tenant)
        door.clock.micros += GIVE_UP
        late = await door.device(tenant)
        await teller.tell(tenant)
    assert late == heard.calls[-1].said["data"]["device-id"]
    assert 2 == len(heard.calls)
    shown = await state(door, tenant)
    assert (1, 0) == (shown["given-up"], shown["pending"])
    assert 1 == teller.counted("given_up")


async def test_gone_switches_it_off_until_it_is_set_again(door: Door, teller: Teller):
    """410: nothing is kept or sent any more; setting it again begins anew, with the same secret."""
    async with receiver(statuses=[410]) as heard:
        tenant, secret = await hooked(door, heard.port)
        await door.device(tenant)
        await teller.tell(tenant)
        await door.device(tenant)
        door.clock.micros += LONGEST_WAIT
        await teller.tell(tenant)
        shown = (await door("GET", f"/v1/tenants/{tenant}/webhook")).json()
        assert (False, 0, "HTTP 410") == (
            shown["enabled"],
            shown["state"]["pending"],
            shown["state"]["last-error"],
        )
        assert 1 == len(heard.calls)
        body = {"url": shown["url"], "topics": shown["topics"]}
        await door("PUT", f"/v1/tenants/{tenant}/webhook", json=body)
        await door.device(tenant)
        await teller.tell(tenant)
    assert 2 == len(heard.calls)
    assert heard.calls[-1].is_signed_with(secret)


async def test_a_dead_receiver_holds_up_nobody_else(door: Door, teller: Teller):
    """While one tenant's receiver is silent, another's notices arrive, and both tenants' use cases run."""
    async with receiver(is_silent=True) as dead, receiver() as alive:
        slow, _ = await hooked(door, dead.port)
        quick, _ = await hooked(door, alive.port)
        running = asyncio.create_task(teller.webhooks.run())
        try:
            await door.device(slow)
            await asyncio.wait_for(dead.hears.wait(), 30)
            device = await door.device(quick)
            await door.device(slow)
            await asyncio.wait_for(alive.hears.wait(), 30)
            assert not dead.is_given_up, "it waited for the silent one"
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
    assert [device] == [call.said["data"]["device-id"] for call in alive.calls]


# --- where it goes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("ff02::1", False),
    ],
)
def test_only_public_addresses_are_public(address: str, is_open: bool):
    """Loopback, private, shared, link-local, multicast and reserved ones are not, however wrapped."""
    assert is_open is is_public(ipaddress.ip_address(address))


def always(port: int) -> Callable[..., list[Any]]:
    """Look every name up on the loopback, as whoever owns a name can have it."""
    return lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", port))]


async def test_a_name_that_leads_inside_is_not_called():
    """The address that would be connected to is judged, at every call: DNS rebinding does not help."""
    async with receiver() as heard:
        outgoing = Outgoing(allows_private=False, look_up=always(heard.port))
        async with outgoing.open() as line:
            with pytest.raises(Unavailable, match="not a public one"):
                await line.post(f"http://inside.example.com:{heard.port}/", b"{}", {})
        outgoing.close()
    assert [] == heard.calls


async def test_tls_asks_for_the_name_though_the_address_is_connected_to():
    """The certificate must be that of the name in the URL; that of another name is refused."""
    ca = trustme.CA()
    server, trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    ca.issue_cert("hooks.example.com").configure_cert(server)
    ca.configure_trust(trust)
    async with receiver(server) as heard:
        outgoing = Outgoing(allows_private=True, trust=trust, look_up=always(heard.port))
        async with outgoing.open() as line:
            assert 204 == await line.post(f"https://hooks.example.com:{heard.port}/a", b"{}", {})
        async with outgoing.open() as line:
            with pytest.raises(Unavailable, match="TLS"):
                await line.post(f"https://other.example.com:{heard.port}/a", b"{}", {})
        outgoing.close()
    assert [f"hooks.example.com:{heard.port}"] == [call.headers["host"] for call in heard.calls]


async def test_redirects_are_not_followed_and_long_answers_not_read(teller: Teller):
    """A redirect is an answer like another; of an endless body no more than a little is read."""
    async with receiver() as second:
        tail = f"Location: http://127.0.0.1:{second.port}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with receiver(statuses=[302], tail=tail) as first, teller.outgoing.open() as line:
            assert 302 == await line.post(f"http://127.0.0.1:{first.port}/", b"{}", {})
    assert [] == second.calls
    endless = b"Content-Length: 1000000000\r\n\r\n" + b"x" * (MOST_READ * 4)
    async with receiver(statuses=[200], tail=endless) as third, teller.outgoing.open() as line:
        assert 200 == await line.post(f"http://127.0.0.1:{third.port}/", b"{}", {})


async def test_a_failed_call_says_why_and_nothing_secret(teller: Teller):
    """The reason names neither the URL nor the body."""
    async with receiver() as gone:
        port = gone.port
    async with teller.outgoing.open() as line:
        with pytest.raises(Unavailable, match=r"^no connection$"):
            await line.post(f"http://127.0.0.1:{port}/secret-path", b"{}", {})


async def test_a_deleted_tenant_leaves_no_webhook_behind(door: Door, teller: Teller):
    """The next tenant of that id begins without one."""
    async with receiver() as heard:
        tenant, _ = await hooked(door, heard.port)
        await door.device(tenant)
        assert 204 == (await door("DELETE", f"/v1/tenants/{tenant}")).status_code
        await door.tenant(tenant)
        assert 404 == (await door("GET", f"/v1/tenants/{tenant}/webhook")).status_code
        marked = await door.store.read(lambda tx: tx.get(Tenant, ANYWHERE, tenant))
        await teller.tell(tenant)
    assert marked is not None
    assert "webhook" not in marked.extensions
    assert [] == heard.calls
