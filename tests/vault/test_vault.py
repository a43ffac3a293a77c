"""Both ways to sign keep the same promises; and whatever becomes of Vault, nothing is left half done."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from muster.assembly.remote import RemoteCa
from muster.ca.vault import Vault
from muster.core.certificates import CertificateRequest, KeyWanted, SigningIntent
from muster.core.errors import Unavailable
from muster.core.ports import ANYWHERE, Tx
from muster.store import upkeep
from muster.store.engine import AnyStore, open_store
from tests.journeys.fleet import Fleet, Operator, body_and_status, files_of, run
from tests.journeys.server import Server
from tests.vault.real import Real, program
from tests.vault.standin import MOUNT, ROLE, TOKEN, Mood, StandIn, now, serial_of

QUIET = {"MUSTER_MQTT": "", "MUSTER_MQTTS": "", "MUSTER_MQTT_WS": ""}
if program() is None:
    print("no bao or vault (make vault builds one): the tests of Vault run against the stand-in only")


@pytest.fixture(params=["own", "stand-in", "real"])
def vault(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StandIn | Real | None]:
    """Give each CA in turn; None is our own."""
    if request.param == "real" and program() is None:
        pytest.skip("no bao or vault; `make vault` builds one")
    made = {"own": lambda: None, "stand-in": StandIn, "real": lambda: Real(tmp_path)}[request.param]()
    yield made
    if made is not None:
        made.close()


def settings_for(vault: StandIn | Real | None) -> dict[str, str]:
    if vault is None:
        return {}
    return {
        "MUSTER_VAULT_ADDR": vault.address,
        "MUSTER_VAULT_TOKEN": vault.token,
        "MUSTER_VAULT_PKI_PATH": MOUNT,
        "MUSTER_VAULT_ROLE": ROLE,
    }


def test_whoever_signs_the_promises_are_the_same(tmp_path: Path, vault: StandIn | Real | None) -> None:
    """/mapping, replay, bootstrap by certificate, CSR, renewal, revocation, the list."""
    with Fleet(tmp_path, **QUIET, **settings_for(vault)) as server:
        server.trust()
        operator = Operator(server)
        made = operator.map()
        assert made == operator.map()
        device = made["clients"][0]["id"]
        pair = files_of(tmp_path, "gw", made["client_cert"][device], made["client_key"][device])
        ca = tmp_path / "devices.crt"
        ca.write_text(made["ca_cert"])
        assert 0 == run("openssl", "verify", "-CAfile", ca, "-purpose", "sslclient", pair[0]).returncode
        shown = ("--cert", pair[0], "--key", pair[1])
        assert 200 == body_and_status(server.curl(*shown, path="/clients/bootstrap/gw-1"))[1]
        serial = operator.ask("GET", "/certs").json()["certificates"][0]["serial_number"]
        renewed = operator.ask("PATCH", f"/certs/{serial}/renew")
        assert 200 == renewed.status_code, renewed.text
        new = files_of(tmp_path, "new", renewed.json()["certificate"], renewed.json()["key"])
        assert 200 == operator.ask("DELETE", f"/certs/{serial}?reason=4").status_code
        assert 403 == body_and_status(server.curl(*shown, path="/clients/bootstrap/gw-1"))[1]
        fresh = server.curl("--cert", new[0], "--key", new[1], path="/clients/bootstrap/gw-1")
        assert 200 == body_and_status(fresh)[1]
        until_listed(server, serial_of(made["client_cert"][device]))
        for ttl in ("-1h", "abc", "1000000000h"):
            answer = operator.ask("POST", "/certs", json={"client_id": device, "ttl": ttl})
            assert 400 == answer.status_code


def until_listed(server: Server, serial: int) -> None:
    for _ in range(200):
        found = x509.load_der_x509_crl(httpx.get(f"{server.url}/certs/crl").content)
        if found.get_revoked_certificate_by_serial_number(serial) is not None:
            return
    raise AssertionError("the serial is not on the revocation list")


@pytest.mark.parametrize("mood", [Mood.SEALED, Mood.NONSENSE, Mood.LOSES_ANSWERS])
def test_a_vault_in_trouble_leaves_nothing_half_done(tmp_path: Path, mood: Mood) -> None:
    """503 with a reason, no device, no certificate; and once it is well again the same call works."""
    vault = StandIn()
    with Fleet(tmp_path, **QUIET, **settings_for(vault)) as server:
        operator = Operator(server)
        vault.mood = mood
        body = {"external_id": "gw-1", "external_key": "key of gw-1"}
        answer = operator.ask("POST", "/mapping", json=body)
        assert 503 == answer.status_code
        assert "Vault" in answer.json()["error"]
        assert 0 == operator.ask("GET", "/clients").json()["total"]
        assert 0 == operator.ask("GET", "/certs").json()["total"]
        vault.mood = Mood.WELL
        operator.map()
        assert 1 == operator.ask("GET", "/certs").json()["total"]
    vault.close()


# --- without a server --------------------------------------------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path, keyring: object) -> Iterator[AnyStore]:
    url = f"sqlite:///{tmp_path / 'muster.db'}"
    upkeep.upgrade(url)
    store = open_store(url, keyring, now)  # type: ignore[arg-type]
    yield store
    store.close()


def remote(journal: AnyStore, vault: StandIn, patience: float = 5.0) -> RemoteCa:
    client = Vault(vault.address, TOKEN, mount=MOUNT, role=ROLE, patience=patience)
    return RemoteCa(journal, now, "http://localhost", client)


def _count(tx: Tx) -> int:
    return len(tx.select(SigningIntent, ANYWHERE))


WANTED = KeyWanted("t", "d", CertificateRequest(ttl_seconds=3600))


@pytest.mark.anyio
async def test_a_certificate_whose_answer_was_lost_is_found_and_revoked(journal: AnyStore) -> None:
    """The intent was journalled before the call; listing finds what came of it. Others' are left alone."""
    vault = StandIn()
    ca = remote(journal, vault)
    await ca.load()
    others = ca.preparation()
    await others.prepare(WANTED)
    untouched = list(vault.certificates)
    await others.done(is_committed=False)
    vault.mood = Mood.LOSES_ANSWERS
    with pytest.raises(Unavailable):
        await ca.preparation().prepare(WANTED)
    assert 1 == await journal.read(_count)
    vault.mood = Mood.WELL
    lost = [serial for serial in vault.certificates if serial not in untouched]
    assert lost == await ca.reconcile(now())
    assert {*untouched, *lost} == set(vault.revoked)
    assert 0 == await journal.read(_count)
    vault.close()


@pytest.mark.anyio
async def test_a_slow_vault_is_not_waited_for(journal: AnyStore) -> None:
    """After its patience a call ends with a reason."""
    vault = StandIn()
    ca = remote(journal, vault, patience=0.3)
    await ca.load()
    vault.mood = Mood.SLOW
    with pytest.raises(Unavailable, match="in time"):
        await ca.preparation().prepare(WANTED)
    vault.close()


@pytest.mark.anyio
async def test_no_vault_at_all_is_said_so(journal: AnyStore) -> None:
    """Nobody listens: Unavailable, with a name to the problem."""
    vault = StandIn()
    vault.close()
    with pytest.raises(Unavailable, match="Vault"):
        await remote(journal, vault).preparation().prepare(WANTED)
