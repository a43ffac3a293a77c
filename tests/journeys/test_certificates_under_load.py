"""Certificates while much else happens: renewal, rollover, kill -9; and ten thousand under the linter."""

import asyncio
import json
import random
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from muster.ca.keys import make_key
from muster.ca.vault import request_for
from tests.ca.test_lint import findings as lint
from tests.journeys.fleet import Fleet, Operator, files_of
from tests.journeys.kill_works import Mappings
from tests.journeys.server import admin_token
from tests.journeys.test_kill import Load
from tests.journeys.test_kill import findings as examined
from tests.vault.standin import der_of, serial_of

QUIET = {"MUSTER_MQTT": "", "MUSTER_MQTTS": "", "MUSTER_MQTT_WS": ""}
DEVICES, RENEWALS = 6, 5


class Device:
    """Connects again and again with the certificate it has at that time."""

    def __init__(self, server: Fleet, made: dict[str, Any], external_id: str) -> None:
        (self.id,) = made["client_cert"]
        self.serial = f"{serial_of(made['client_cert'][self.id]):x}"
        self.external_id = external_id
        self.handshakes = 0
        self._server = server
        self._trusted = made["ca_cert"]
        self._context = self.context(made["client_cert"][self.id], made["client_key"][self.id])

    def context(self, certificate: str, key: str) -> ssl.SSLContext:
        pair = files_of(self._server.folder, f"{self.id}-{random.random()}", certificate, key)
        context = ssl.create_default_context(cadata=self._trusted)
        context.load_cert_chain(*pair)
        return context

    async def connect(self, context: ssl.SSLContext | None = None) -> None:
        """Fetch the configuration on a connection of its own."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._server.https, ssl=context or self._context, server_hostname="localhost"
        )
        path = f"/clients/bootstrap/{self.external_id}"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        status = await reader.readline()
        await reader.read()
        writer.close()
        assert b"HTTP/1.1 200 OK\r\n" == status
        self.handshakes += 1

    async def connect_until(self, over: asyncio.Event) -> None:
        while not over.is_set():
            await self.connect()

    async def renew(self, http: httpx.AsyncClient, domain: str) -> None:
        """Change to a new certificate; the old one still opens the door."""
        answer = await http.patch(f"/{domain}/certs/{self.serial}/renew")
        assert 200 == answer.status_code, answer.text
        old, body = self._context, answer.json()
        self.serial = body["serial_number"]
        self._context = self.context(body["certificate"], body["key"])
        await self.connect(old)


@asynccontextmanager
async def asking(server: Fleet, token: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as http:
        yield http


@pytest.mark.parametrize("workers", [1, 2])
def test_renewal_and_rollover_under_load_refuse_no_handshake(
    tmp_path: Path, workers: int, database_url: Callable[..., str]
) -> None:
    """Devices that trust what they got at first connect all the time, and are let in every time."""
    several = {"MUSTER_DATABASE_URL": database_url("postgresql"), "MUSTER_WORKERS": "2"}
    with Fleet(tmp_path, **QUIET, **(several if workers > 1 else {})) as server:
        operator = Operator(server)
        devices = [Device(server, operator.map(f"gw-{n}"), f"gw-{n}") for n in range(DEVICES)]
        asyncio.run(_renew_under_load(server, operator, devices))
        assert all(device.handshakes > 2 * RENEWALS for device in devices)
        found = operator.ask("GET", "/certs?limit=1").json()
        assert DEVICES * (RENEWALS + 1) == found["total"]


async def _renew_under_load(server: Fleet, operator: Operator, devices: list[Device]) -> None:
    over = asyncio.Event()
    load = [asyncio.create_task(device.connect_until(over)) for device in devices]
    async with asking(server, operator.token) as http, asking(server, admin_token(server)) as admin:
        for turn in range(RENEWALS):
            await asyncio.gather(*(device.renew(http, operator.domain) for device in devices))
            if turn in (1, 3):
                rolled = await admin.post("/certs/authorities/rollover", json={"root": turn == 3})
                assert 201 == rolled.status_code
    over.set()
    await asyncio.gather(*load)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_kill_9_while_issuing_leaves_no_unknown_certificate(
    tmp_path: Path, kind: str, database_url: Callable[..., str]
) -> None:
    """Whatever certificate left the server before it died is in the database after it."""
    environment = {"MG_PROVISION_X509_PROVISIONING": "true"}
    if kind == "postgresql":
        environment["MUSTER_DATABASE_URL"] = database_url(kind)
    chance = random.Random(4711)
    with Fleet(tmp_path, **QUIET, **environment) as server:
        operator = Operator(server)
        headers = {"Authorization": f"Bearer {operator.token}"}
        mappings = Mappings(headers, f"/{operator.domain}/mapping", {f"/{operator.domain}/clients": 1})
        load = Load(server, [mappings])
        for _ in range(3):
            seen = len(load.asked)
            asyncio.run(load.until_killed(chance.uniform(0.1, 0.5)))
            server.start()
            asyncio.run(load.verify(load.asked[seen:]))
        left = {serial for answer in mappings.known.values() for serial in _serials(answer)}
        assert len(load.asked) == len(left)
        assert left == asyncio.run(_known(server, operator))
        server.stop()
        assert [] == examined(server, environment)
        server.start()


def _serials(answer: bytes) -> list[str]:
    return [f"{serial_of(each):x}" for each in json.loads(answer)["client_cert"].values()]


async def _known(server: Fleet, operator: Operator) -> set[str]:
    known: set[str] = set()
    async with asking(server, operator.token) as http:
        while True:
            asked = {"limit": 100, "offset": len(known)}
            page = (await http.get(f"/{operator.domain}/certs", params=asked)).json()
            known |= {each["serial_number"] for each in page["certificates"]}
            if not page["certificates"]:
                return known


# --- ten thousand under the linter -------------------------------------------------------------------------


class Harvest:
    """Asks the doors for certificates of every kind, sixteen at a time."""

    def __init__(self, http: httpx.AsyncClient, operator: Operator) -> None:
        self.certificates: list[str] = []
        self._http = http
        self._path = f"/{operator.domain}"
        self._lanes = asyncio.Semaphore(16)
        self._device = operator.map("the one")["clients"][0]["id"]

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        async with self._lanes:
            answer = await self._http.request(method, f"{self._path}{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def map(self, number: int) -> None:
        body = {"external_id": f"{number} ü/:%", "external_key": "k", "name": f"Gerät {number}"}
        made = await self._ask("POST", "/mapping", body)
        self.certificates += made["client_cert"].values()

    async def issue(self, number: int) -> None:
        asked: dict[str, Any] = {"ttl": random.choice(["1s", "30h", "87600h"])}
        if number % 3 == 0:
            asked["options"] = {"common_name": "x", "dns_names": [f"pump-{number}.example"]}
        made = await self._ask("POST", f"/certs/issue/{self._device}", asked)
        self.certificates.append(made["certificate"])
        if number % 2:
            body = {"ttl": "10h"}
            renewed = await self._ask("PATCH", f"/certs/{made['serial_number']}/renew", body)
            self.certificates.append(renewed["certificate"])

    async def sign(self, number: int) -> None:
        csr = b64encode(request_for(make_key(), f"{number}").encode()).decode()
        body = {"external_id": f"csr {number}", "external_key": "k", "csr": csr}
        made = await self._ask("POST", "/mapping", body)
        self.certificates += made["client_cert"].values()

    async def harvest(self, count: int) -> None:
        kinds = (self.map, self.issue, self.sign)
        await asyncio.gather(*(kinds[number % 3](number) for number in range(count)))


def lint_through_the_doors(folder: Path, count: int) -> None:
    with Fleet(folder, **QUIET) as server:
        server.trust()
        operator = Operator(server)
        made = asyncio.run(_harvested(server, operator, count))
    assert len(made) >= count
    assert len(made) == len({serial_of(each) for each in made})
    assert {""} == {lint(der_of(each)) for each in made}
    cas = x509.load_pem_x509_certificates(server.ca.read_bytes())
    issuers = {each.subject: each for each in cas}
    for each in made[::50]:
        leaf = x509.load_pem_x509_certificate(each.encode())
        leaf.verify_directly_issued_by(issuers[leaf.issuer])


async def _harvested(server: Fleet, operator: Operator, count: int) -> list[str]:
    async with asking(server, operator.token) as http:
        harvest = Harvest(http, operator)
        await harvest.harvest(count)
        return harvest.certificates


def test_certificates_of_every_door_have_no_finding(tmp_path: Path) -> None:
    """From /mapping, issued, renewed, for requests: no error and no warning of pkilint."""
    lint_through_the_doors(tmp_path, 120)


@pytest.mark.long
def test_ten_thousand_certificates_of_every_door_have_no_finding(tmp_path: Path) -> None:
    """The same ten thousand times."""
    lint_through_the_doors(tmp_path, 10_000)
