"""`muster hono`: the commands; that messages arrive is told in tests/journeys/test_hono.py."""

import base64
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from muster.core.webhooks import Topic
from tests.ca.pki import Foreign, der, subject
from tests.cli.conftest import Shell


@dataclass(frozen=True)
class Plant:
    """A tenant whose devices wait for approval, and its operator's command line."""

    muster: Shell
    tenant: str
    ca: Foreign

    def knock(self, name: str) -> None:
        """Provision a device by its certificate, as an adapter does; its id is its name."""
        certificate = base64.b64encode(der(self.ca.sign(name=subject(name, o="ACME")))).decode()
        asked = {
            "type": "x509-cert",
            "auth-id": f"CN={name},O=ACME",
            "client-certificate": certificate,
        }
        self.muster("api", "post", f"/v1/southbound/credentials/{self.tenant}", json.dumps(asked))

    def is_in(self, device: str) -> bool:
        """Ask as an adapter does whether the device may speak."""
        asked = json.dumps({"device-id": device})
        return self.muster.try_("api", "post", f"/v1/southbound/registration/{self.tenant}", asked).code == 0

    def waiting(self) -> list[str]:
        """Name the devices that wait."""
        listed = self.muster("hono", "waiting", self.tenant, "-o", "json").json
        return [each["id"] for each in listed]


@pytest.fixture
def plant(muster: Shell) -> Iterator[Plant]:
    tenant, ca = f"t-{uuid.uuid4().hex[:8]}", Foreign(f"CA {uuid.uuid4().hex[:8]}")
    trusted = {
        "cert": base64.b64encode(ca.der).decode(),
        "auto-provisioning-enabled": True,
        "auto-provisioning-device-id-template": "{{subject-cn}}",
        "auto-provisioning-needs-approval": True,
    }
    muster("api", "post", f"/v1/tenants/{tenant}", json.dumps({"trusted-ca": [trusted]}))
    yield Plant(muster, tenant, ca)
    muster("api", "delete", f"/v1/tenants/{tenant}")


@pytest.mark.parametrize(
    "words",
    [
        ("waiting", "nothing-there"),
        ("reject", "nothing-there", "--all"),
        ("denials", "list", "nothing-there"),
        ("webhook", "get", "nothing-there"),
        ("usage", "nothing-there"),
    ],
)
def test_an_unknown_tenant_is_not_found(muster: Shell, words: tuple[str, ...]) -> None:
    """As for every other noun."""
    muster.try_("hono", *words).refused("404")
    muster.try_("hono", "consume", "nothing-there", "--rounds", "1", "--wait", "0").refused("404")


# --- devices that wait ------------------------------------------------------------------------------------


def test_a_device_waits_until_it_is_approved(plant: Plant) -> None:
    """The list says by which certificate it came; then it is in, and approving it again changes nothing."""
    muster, tenant = plant.muster, plant.tenant
    assert "no device waits" in muster("hono", "waiting", tenant).err
    plant.knock("pump-1")
    assert not plant.is_in("pump-1")
    table = muster("hono", "waiting", tenant).out
    assert "pump-1" in table
    assert "CN=pump-1,O=ACME" in table
    assert "pump-1 is in\n" == muster("hono", "approve", tenant, "pump-1").out
    assert plant.is_in("pump-1")
    assert [] == plant.waiting()
    again = muster("hono", "approve", tenant, "pump-1", "-o", "json")
    assert {"id": "pump-1", "became": "in"} == again.json


def test_all_that_wait_are_approved_at_once(plant: Plant) -> None:
    """One that was let in and disabled later does not wait: it stays out."""
    muster, tenant = plant.muster, plant.tenant
    plant.knock("old")
    muster("hono", "approve", tenant, "old")
    muster("api", "put", f"/v1/devices/{tenant}/old", '{"enabled": false}')
    for name in ("pump-1", "pump-2"):
        plant.knock(name)
    assert ["pump-1", "pump-2"] == sorted(plant.waiting())
    muster("hono", "approve", tenant, "--all")
    assert [False, True, True] == [plant.is_in(each) for each in ("old", "pump-1", "pump-2")]


def test_a_device_that_is_turned_away_stays_out(plant: Plant) -> None:
    """It is deleted and denied; a device that is in cannot be turned away by mistake."""
    muster, tenant = plant.muster, plant.tenant
    for name in ("good", "bad"):
        plant.knock(name)
    muster("hono", "approve", tenant, "good")
    muster.try_("hono", "reject", tenant, "good").refused("good does not wait")
    assert plant.is_in("good")
    assert "bad is turned away\n" == muster("hono", "reject", tenant, "bad").out
    listed = muster("hono", "denials", "list", tenant, "-o", "json").json
    assert ["CN=bad,O=ACME"] == [each["subject-dn"] for each in listed]
    muster("hono", "denials", "remove", tenant, "--subject", "cn=BAD, o=acme")
    plant.knock("bad")
    assert ["bad"] == plant.waiting()


def test_whom_to_approve_must_be_said(plant: Plant) -> None:
    """By name or all of them, not both, not neither; and it must be there."""
    plant.muster.try_("hono", "approve", plant.tenant, "pump-1").refused("404")
    plant.muster.try_("hono", "approve", "nothing-there", "pump-1").refused("403")
    for words in ((), ("pump-1", "--all")):
        for verb in ("approve", "reject"):
            plant.muster.try_("hono", verb, plant.tenant, *words).refused("--all", code=2)


# --- denials, webhooks, limits ----------------------------------------------------------------------------


def test_denials_are_added_listed_and_removed(plant: Plant) -> None:
    """Subjects and device ids; what is denied twice or not at all is refused."""
    muster, tenant = plant.muster, plant.tenant
    muster("hono", "denials", "add", tenant, "--device", "thief", "--comment", "stolen")
    muster.try_("hono", "denials", "add", tenant, "--device", "thief").refused("409")
    table = muster("hono", "denials", "list", tenant).out
    assert "thief" in table
    assert "stolen" in table
    muster("hono", "denials", "remove", tenant, "--device", "thief")
    muster.try_("hono", "denials", "remove", tenant, "--device", "thief").refused("404")
    assert [] == muster("hono", "denials", "list", tenant, "-o", "json").json
    muster.try_("hono", "denials", "add", tenant).refused(code=2)
    muster.try_("hono", "denials", "add", tenant, "--device", "a", "--subject", "CN=a").refused("400")


def test_a_webhook_is_set_shown_renewed_and_deleted(plant: Plant) -> None:
    """The secret is shown when it is made; a URL of a private network is refused in words."""
    muster, tenant = plant.muster, plant.tenant
    topics = [word for topic in Topic for word in ("--topic", topic.value)]
    words = ("hono", "webhook", "set", tenant, "https://hooks.invalid/")
    made = muster(*words, *topics, "-o", "json").json
    assert [topic.value for topic in Topic] == made["topics"]
    assert made["secret"].startswith("whsec_")
    again = muster(*words, "--topic", "device.deleted", "-o", "json").json
    assert (["device.deleted"], None) == (again["topics"], again.get("secret"))
    renewed = muster("hono", "webhook", "secret", tenant, "-o", "json").json
    assert made["secret"] != renewed["secret"]
    shown = muster("hono", "webhook", "get", tenant).out
    assert "https://hooks.invalid/" in shown
    assert "whsec_" not in shown
    assert "no webhook any more" in muster("hono", "webhook", "delete", tenant).out
    muster.try_("hono", "webhook", "get", tenant).refused("the tenant has no webhook")
    muster.try_("hono", "webhook", "set", tenant, "https://127.0.0.1/", *topics).refused("not a public one")
    muster.try_(*words, "--topic", "everything").refused("device.created", code=2)


def test_usage_shows_each_limit(plant: Plant) -> None:
    """Used, most, and the period; nothing where nothing is limited."""
    muster, tenant = plant.muster, plant.tenant
    assert {} == muster("hono", "usage", tenant, "-o", "json").json
    assert "nothing is counted" in muster("hono", "usage", tenant).err
    volume = {"effective-since": "2026-01-01T00:00:00Z", "max-bytes": 4711}
    volume["period"] = {"mode": "days", "no-of-days": 36_500}  # type: ignore[assignment]
    body = json.dumps({"resource-limits": {"data-volume": volume}})
    muster("api", "put", f"/v1/tenants/{tenant}", body)
    limits = muster("hono", "usage", tenant, "-o", "json").json
    assert (0, 4711) == (limits["data-volume"]["used-bytes"], limits["data-volume"]["max-bytes"])
    table = muster("hono", "usage", tenant).out
    for word in ("data-volume", "4711", "bytes", "2026-01-01T00:00:00Z"):
        assert word in table
