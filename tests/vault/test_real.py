"""What a real Vault does when it is sealed, away, slow or set up otherwise, and what Muster makes of it."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from muster.assembly.parts import keyring_of
from muster.assembly.remote import RemoteCa
from muster.ca.secrets import Keyring
from muster.ca.vault import Vault
from muster.core.certificates import CertificateRequest, KeyWanted, SigningIntent
from muster.core.errors import Unavailable
from muster.core.ports import ANYWHERE, Tx
from muster.settings import load
from muster.store import doctor, upkeep
from muster.store.engine import AnyStore, open_store
from tests.journeys.fleet import Fleet, Operator, body_and_status, files_of
from tests.journeys.test_est import ENROL, TYPE, certificate_of, request_for
from tests.vault.real import Real, program
from tests.vault.standin import MOUNT, ROLE, now
from tests.vault.wire import Passing, Wire

pytestmark = pytest.mark.skipif(program() is None, reason="no bao or vault; `make vault` builds one")
QUIET = {"MUSTER_MQTT": "", "MUSTER_MQTTS": "", "MUSTER_MQTT_WS": ""}
GATEWAY = {"external_id": "gw-1", "external_key": "key of gw-1"}
WANTED = KeyWanted("t", "d", CertificateRequest(ttl_seconds=3600))


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Real]:
    made = Real(tmp_path)
    yield made
    made.close()


@pytest.fixture
def wire(vault: Real) -> Iterator[Wire]:
    made = Wire(vault.address)
    yield made
    made.close()


def settings_for(vault: Real, address: str) -> dict[str, str]:
    return QUIET | {
        "MUSTER_VAULT_ADDR": address,
        "MUSTER_VAULT_TOKEN": vault.token,
        "MUSTER_VAULT_PKI_PATH": MOUNT,
        "MUSTER_VAULT_ROLE": ROLE,
    }


def nothing_is_kept(operator: Operator) -> None:
    assert 0 == operator.ask("GET", "/clients").json()["total"]
    assert 0 == operator.ask("GET", "/certs").json()["total"]


def opens(server: Fleet, pair: tuple[Path, Path]) -> int:
    return body_and_status(server.curl("--cert", pair[0], "--key", pair[1], path="/clients/bootstrap/gw-1"))[
        1
    ]


def pair_of(folder: Path, name: str, made: dict[str, dict[str, str]]) -> tuple[Path, Path]:
    (device,) = made["client_cert"]
    return files_of(folder, name, made["client_cert"][device], made["client_key"][device])


def test_a_sealed_vault_signs_nothing_and_an_unsealed_one_goes_on(tmp_path: Path, vault: Real) -> None:
    """503 with the reason, nothing kept; after unsealing the same call works."""
    with Fleet(tmp_path, **settings_for(vault, vault.address)) as server:
        operator = Operator(server)
        vault.seal()
        refused = operator.ask("POST", "/mapping", json=GATEWAY)
        assert (503, "Vault is sealed or in maintenance") == (refused.status_code, refused.json()["error"])
        nothing_is_kept(operator)
        vault.unseal()
        operator.map()
        assert 1 == len(vault.certificates)


def test_devices_get_in_while_vault_is_away(tmp_path: Path, vault: Real) -> None:
    """Also after a restart that never saw Vault: its CA is kept here. Only issuing waits."""
    with Fleet(tmp_path, **settings_for(vault, vault.address)) as server:
        server.trust()
        operator = Operator(server)
        pair = pair_of(tmp_path, "gw", operator.map())
        vault.close()
        server.stop()
        server.start()
        assert 200 == opens(server, pair)
        refused = operator.ask("POST", "/mapping", json=GATEWAY | {"external_id": "gw-2"})
        assert 503 == refused.status_code
        assert 1 == operator.ask("GET", "/clients").json()["total"]
        device = operator.ask("GET", "/clients").json()["clients"][0]["id"]
        assert 200 == operator.ask("DELETE", f"/certs/{device}").status_code
        assert 403 == opens(server, pair)


def test_a_rollover_at_vault_leaves_the_old_certificates_good(tmp_path: Path, vault: Real) -> None:
    """What the old root signed and what the next one signs both open the door, without a restart."""
    with Fleet(tmp_path, **settings_for(vault, vault.address)) as server:
        server.trust()
        operator = Operator(server)
        made = operator.map()
        old = pair_of(tmp_path, "old", made)
        vault.roll_over()
        device = made["clients"][0]["id"]
        issued = operator.ask("POST", f"/certs/issue/{device}", json={"ttl": "10h"}).json()
        new = files_of(tmp_path, "new", issued["certificate"], issued["key"])
        issuers = [x509.load_pem_x509_certificate(each[0].read_bytes()).issuer for each in (old, new)]
        assert issuers[0] != issuers[1]
        assert [200, 200] == [opens(server, old), opens(server, new)]
        trusted = httpx.get(f"{server.url}/certs/download-ca").text
        cas = x509.load_pem_x509_certificates(trusted.encode())
        assert {*issuers} < {each.subject for each in cas}


def test_a_device_cannot_choose_its_names(tmp_path: Path, vault: Real) -> None:
    """Its request (DER, over EST) says another name and a DNS name; the certificate has neither."""
    with Fleet(
        tmp_path, MG_PROVISION_X509_PROVISIONING="false", **settings_for(vault, vault.address)
    ) as server:
        server.trust()
        device = Operator(server).map()["clients"][0]["id"]
        _, csr = request_for(tmp_path, "gw", "-addext", "subjectAltName=DNS:evil.example")
        sent = ("--data-binary", f"@{csr}", *TYPE)
        body, status = body_and_status(server.curl(*sent, "-u", "gw-1:key of gw-1", path=ENROL))
        assert 200 == status, body
        made = x509.load_pem_x509_certificate(certificate_of(tmp_path, "gw", body).read_bytes())
        assert f"CN={device}" == made.subject.rfc4514_string()
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [f"/devices/{device}"] == [each.value[-len(device) - 9 :] for each in names]


@pytest.mark.parametrize(
    ("otherwise", "reason"),
    [
        ({"use_csr_common_name": True}, "use_csr_common_name=false"),
        ({"use_csr_sans": True}, "use_csr_sans=false"),
        ({"client_flag": False, "server_flag": True}, "client_flag=true"),
        ({"allowed_uri_sans": ["https://elsewhere.example/*"]}, "Vault refused"),
    ],
)
def test_a_role_set_up_otherwise_is_told(
    tmp_path: Path, vault: Real, otherwise: dict[str, object], reason: str
) -> None:
    """With what to change; nothing is kept."""
    role = vault.data("GET", f"{MOUNT}/roles/{ROLE}")["data"]
    vault.data("POST", f"{MOUNT}/roles/{ROLE}", **role | otherwise)
    csr = request_for(tmp_path, "gw", "-outform", "PEM")[1].read_text()
    with Fleet(tmp_path, **settings_for(vault, vault.address)) as server:
        operator = Operator(server)
        refused = operator.ask("POST", "/mapping", json=GATEWAY | {"csr": csr})
        assert 503 == refused.status_code
        assert reason in refused.json()["error"]
        nothing_is_kept(operator)


def test_kill_9_while_vault_signs_leaves_no_stranger(tmp_path: Path, vault: Real, wire: Wire) -> None:
    """Vault signed, Muster died before it heard so: reconciling finds and revokes it, and no other one."""
    environment = settings_for(vault, wire.address)
    with Fleet(tmp_path, **environment) as server:
        operator = Operator(server)
        operator.map("gw-0")
        (kept,) = vault.certificates
        wire.passing = Passing.HELD
        asking = threading.Thread(target=_ask_in_vain, args=(operator,))
        asking.start()
        assert wire.answered.wait(20)
        server.kill()
        asking.join(20)
        assert 2 == len(vault.certificates)
        (lost,) = {*vault.certificates} - {kept}

        asyncio.run(_reconcile(server, vault, lost))
        assert [lost] == vault.revoked
        server.set_environment(MUSTER_VAULT_ADDR=vault.address)
        server.start()
        assert 1 == operator.ask("GET", "/clients").json()["total"]
        operator.map()
        assert [lost] == vault.revoked
        assert 3 == len(vault.certificates)


def _ask_in_vain(operator: Operator) -> None:
    with pytest.raises(httpx.TransportError):
        operator.ask("POST", "/mapping", json=GATEWAY)


async def _reconcile(server: Fleet, vault: Real, lost: str) -> None:
    url = f"sqlite:///{server.folder / 'data' / 'muster.db'}"
    keyring = keyring_of(load({"MUSTER_DATA_DIR": str(server.folder / "data")}).settings)
    store = open_store(url, keyring, now)
    ca = remote(store, vault, vault.address)
    try:
        await ca.load()
        assert 1 == await store.read(_intents)
        assert [lost] == await ca.reconcile(now())
        assert [] == await ca.reconcile(now())
        assert 0 == await store.read(_intents)
    finally:
        ca.close()
        store.close()
    assert [] == doctor.examine(url, keyring)


@pytest.mark.long
def test_a_restarted_server_reconciles_by_itself(tmp_path: Path, vault: Real, wire: Wire) -> None:
    """Within four minutes: two until the call is over for sure, one until upkeep, one of patience."""
    with Fleet(tmp_path, **settings_for(vault, wire.address)) as server:
        operator = Operator(server)
        wire.passing = Passing.HELD
        asking = threading.Thread(target=_ask_in_vain, args=(operator,))
        asking.start()
        assert wire.answered.wait(20)
        server.kill()
        asking.join(20)
        server.set_environment(MUSTER_VAULT_ADDR=vault.address)
        server.start()
        deadline = time.monotonic() + 240
        while vault.revoked != vault.certificates:
            assert time.monotonic() < deadline, "what nobody knows was not revoked"
            time.sleep(1)


# --- without a server --------------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path, keyring: Keyring) -> Iterator[AnyStore]:
    url = f"sqlite:///{tmp_path / 'muster.db'}"
    upkeep.upgrade(url)
    store = open_store(url, keyring, now)
    yield store
    store.close()


def remote(journal: AnyStore, vault: Real, address: str, token: str = "", patience: float = 5.0) -> RemoteCa:
    client = Vault(address, token or vault.token, mount=MOUNT, role=ROLE, patience=patience)
    return RemoteCa(journal, now, "http://localhost", client)


def _intents(tx: Tx) -> int:
    return len(tx.select(SigningIntent, ANYWHERE))


@pytest.mark.anyio
@pytest.mark.parametrize(("passing", "reason"), [(Passing.CUT, "does not answer"), (Passing.HELD, "in time")])
async def test_an_answer_that_never_comes_is_no_certificate(
    journal: AnyStore, vault: Real, wire: Wire, passing: Passing, reason: str
) -> None:
    """It is not waited for; what Vault made all the same is found and revoked."""
    ca = remote(journal, vault, wire.address, patience=1.0)
    await ca.load()
    wire.passing = passing
    with pytest.raises(Unavailable, match=reason):
        await ca.preparation().prepare(WANTED)
    assert 1 == await journal.read(_intents)
    wire.passing = Passing.OPEN
    assert vault.certificates == await ca.reconcile(now())
    assert vault.revoked == vault.certificates
    assert 1 == len(vault.revoked)
    assert 0 == await journal.read(_intents)
    ca.close()


@pytest.mark.anyio
async def test_the_token_is_renewed(journal: AnyStore, vault: Real) -> None:
    """By upkeep, so that one with a period lives for ever."""
    token = vault.new_token(period="60s")
    deadline = time.monotonic() + 20
    while vault.seconds_left(token) > 57:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    ca = remote(journal, vault, vault.address, token)
    await ca.load()
    await ca.upkeep()
    assert vault.seconds_left(token) > 57
    ca.close()


@pytest.mark.anyio
async def test_a_token_that_cannot_be_renewed_is_used_while_it_lasts(journal: AnyStore, vault: Real) -> None:
    """Upkeep goes on to reconcile."""
    ca = remote(journal, vault, vault.address, vault.new_token(renewable=False))
    await ca.load()
    await ca.upkeep()
    await ca.preparation().prepare(WANTED)
    assert 1 == len(vault.certificates)
    ca.close()


@pytest.mark.anyio
async def test_a_token_that_is_not_accepted_is_told(journal: AnyStore, vault: Real) -> None:
    """Without the token in the reason."""
    ca = remote(journal, vault, vault.address, "no-such-token")
    with pytest.raises(Unavailable, match="does not accept the token") as refused:
        await ca.preparation().prepare(WANTED)
    assert "no-such-token" not in str(refused.value)
    ca.close()


def test_revoking_what_vault_does_not_know_is_done(vault: Real) -> None:
    """So that the outbox does not try for ever."""
    client = Vault(vault.address, vault.token, mount=MOUNT, role=ROLE)
    client.revoke("00" * 19 + "7f")
