"""Rows of the Hono door: registry, search in a million devices, adapters, and devices that come by mTLS."""

import asyncio
import base64
import datetime as dt
import hashlib
import shutil
import ssl
import sys
import tempfile
import time
import urllib.parse
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.ports import free_port

from bench import size
from bench.load import drive, each, request, same
from bench.messages import _at, _packet, _text
from bench.place import Measured, World, muster, new_database
from bench.provisioning import row
from bench.rows import Row
from muster.core.model import Device, DeviceId, TenantId
from muster.core.ports import Tx

ADMIN = "Basic " + base64.b64encode(b"admin:correct horse battery").decode()
CONTACTS, IN_FLIGHT = 1_500, 64
BRANDS = 1_000
PAYLOAD = b"x" * 100


def _tenant(world: World, **body: object) -> str:
    name = f"t-{uuid.uuid4().hex[:10]}"
    with world.http() as http:
        http.post(f"/v1/tenants/{name}", json=body).raise_for_status()
    return name


def _hashed(password: str) -> list[dict[str, object]]:
    """Give a credential whose password costs nothing to verify, as fleets with random passwords have it."""
    digest = base64.b64encode(hashlib.sha256(password.encode()).digest()).decode()
    return [{"hash-function": "sha-256", "pwd-hash": digest}]


def _credential(auth_id: str, secrets: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{"type": "hashed-password", "auth-id": auth_id, "secrets": secrets}]


# --- the registry -------------------------------------------------------------------------------------


def registry(world: World) -> list[Row]:
    """Register devices, give them credentials, read them; with HTTP Basic, as Hono's users do."""
    tenant, mark, port = _tenant(world), uuid.uuid4().hex[:8], world.server.port

    def device(number: int) -> bytes:
        body = {"ext": {"serial": number}}
        return request("POST", f"/v1/devices/{tenant}/{mark}-{number}", ADMIN, body)

    def credentials(secrets: Callable[[int], list[dict[str, object]]]) -> Callable[[int], bytes]:
        def make(number: int) -> bytes:
            path = f"/v1/credentials/{tenant}/{mark}-{number}"
            return request("PUT", path, ADMIN, _credential(f"{mark}-{number}", secrets(number)))

        return make

    made = drive(port, each(device), status=201)
    cheap = credentials(lambda number: _hashed(f"p{number}"))
    dear = credentials(lambda number: [{"pwd-plain": f"password {number}"}])
    given = drive(port, (cheap(n) for n in range(len(made.latencies))), seconds=3, status=204)
    hashed = drive(port, (dear(n) for n in range(len(made.latencies))), seconds=2, status=204)
    read = drive(port, same(request("GET", f"/v1/devices/{tenant}/{mark}-0", ADMIN)), seconds=2)
    return [
        row("Hono: register a device, 64 in flight", world, made),
        row("Hono: PUT credentials, hashed before", world, given, "sha-256"),
        row("Hono: PUT credentials, pwd-plain", world, hashed, "argon2id, on two threads"),
        row("Hono: GET a device", world, read),
    ]


# --- search -------------------------------------------------------------------------------------------


def _add(tx: Tx, tenant: TenantId, first: int, count: int) -> None:
    now = tx.now
    tx.add(
        *(
            Device(
                id=DeviceId(f"device-{number:08}"),
                tenant_id=tenant,
                extensions={"hono": {"ext": {"brand": f"b{number % BRANDS}", "serial": number}}},
                created_at=now,
            )
            for number in range(first, first + count)
        )
    )


def _query(**parts: str) -> str:
    return urllib.parse.urlencode({name: value.replace("'", '"') for name, value in parts.items()})


QUERIES = {
    "first page": "",
    "one page in the middle": _query(pageSize="30", pageOffset="1000"),
    "filter, one in a thousand": _query(filterJson="{'field':'/ext/brand','value':'b7'}"),
    "filter, one of all": _query(filterJson="{'field':'/ext/serial','value':77}"),
    "id by wildcard": _query(filterJson="{'field':'/id','value':'device-0000012*'}"),
    "sorted by a member": _query(sortJson="{'field':'/ext/serial','direction':'desc'}"),
}


def search(database: str, postgres: str) -> list[Row]:
    """Search a tenant of a million devices, one request at a time."""
    folder = Path(tempfile.mkdtemp(prefix="muster-bench-", dir=Path.cwd()))
    settings = {"MUSTER_DATABASE_URL": new_database(postgres)} if database == "PostgreSQL" else {}
    server = Measured(folder, **settings)
    environment = {"MUSTER_DATA_DIR": str(folder / "data"), **settings}
    try:
        with server:
            tenant = _tenant(World(server, database))
        stored = asyncio.run(size.fill(environment, tenant, 0, size.MANY, add=_add))
        print(f"{stored:,} devices", file=sys.stderr)
        with server:
            world, rows = World(server, database), []
            for name, query in QUERIES.items():
                asked = request("GET", f"/v1/devices/{tenant}?{query}", ADMIN)
                load = drive(server.port, same(asked), connections=1, seconds=2)
                rows.append(row(f"Hono: search, {name}", world, load, f"{stored:,} devices, one at a time"))
            return rows
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- adapters -----------------------------------------------------------------------------------------


def _connect(name: str, password: str) -> bytes:
    flags = 0x80 | 0x40 | 0x02 if name else 0x02
    body = _text("MQTT") + bytes([4, flags, 0, 0]) + _text(uuid.uuid4().hex)
    return _packet(0x10, body + (_text(name) + _text(password) if name else b""))


async def _open(port: int, connect: bytes, tls: ssl.SSLContext | None = None) -> asyncio.StreamWriter:
    """Connect and be let in; the writer's transport holds the reader as its protocol."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname="localhost" if tls else None
    )
    writer.write(connect)
    answer = await reader.readexactly(4)
    assert answer == b"\x20\x02\x00\x00", f"CONNACK {answer!r}"
    writer.reader = reader  # type: ignore[attr-defined]
    return writer


async def _publish(port: int, connect: bytes, qos: int, count: int) -> float:
    writer = await _open(port, connect)
    reader: asyncio.StreamReader = writer.reader  # type: ignore[attr-defined]
    one = _packet(0x30 | qos << 1, _text("telemetry") + (b"\x00\x01" if qos else b"") + PAYLOAD)
    last = _packet(0x32, _text("telemetry") + b"\x00\x02" + PAYLOAD)
    started = time.perf_counter()
    async with asyncio.timeout(60):
        for _ in range(count // 100):
            writer.write(one * 100)
            if qos:
                await reader.readexactly(400)  # a window of 100 unacknowledged
            else:
                await writer.drain()
        writer.write(last)  # acknowledged when all before it were taken
        await reader.readexactly(4)
    took = time.perf_counter() - started
    writer.close()
    return count / took


def adapters(world: World) -> list[Row]:
    """Telemetry of one device over HTTP and MQTT, until the broker has it."""
    tenant = _tenant(world)
    with world.http() as http:
        http.post(f"/v1/devices/{tenant}/d").raise_for_status()
        body = _credential("d", _hashed("pw"))
        http.put(f"/v1/credentials/{tenant}/d", json=body).raise_for_status()
    basic = "Basic " + base64.b64encode(f"d@{tenant}:pw".encode()).decode()
    rows = []
    for path, qos, work in (
        ("/telemetry", 0, "telemetry, QoS 0"),
        ("/telemetry", 1, "telemetry, QoS 1"),
        ("/event", 1, "event, kept"),
    ):
        asked = request("POST", path, f"{basic}\r\nqos-level: {qos}", PAYLOAD, "text/plain")
        load = drive(world.server.port, same(asked), seconds=3, status=202)
        rows.append(row(f"Hono: HTTP {work}, 64 in flight", world, load, "100 bytes"))
    port = int(world.server.environment["MUSTER_ADAPTER_MQTT"].rpartition(":")[2])
    for qos, count in ((0, 30_000), (1, 10_000)):
        rate = uvloop.run(_publish(port, _connect(f"d@{tenant}", "pw"), qos, count))
        note = f"{count:,} messages of 100 bytes; the Python client is part of it"
        work = f"Hono: MQTT telemetry, QoS {qos}, one device"
        rows.append(Row(work=work, database=world.database, value=rate, note=note))
    return rows


# --- mTLS ---------------------------------------------------------------------------------------------


class Factory:
    """A CA, and devices with certificates of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name.from_rfc4514_string(f"CN=Bench {uuid.uuid4().hex[:8]}")
        ca = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._sign(self.name, self.key.public_key(), ca)

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, kind: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key)
        builder = builder.serial_number(x509.random_serial_number()).add_extension(kind, critical=True)
        builder = builder.not_valid_before(now - dt.timedelta(hours=1))
        return builder.not_valid_after(now + dt.timedelta(days=1)).sign(self.key, hashes.SHA256())

    @property
    def member(self) -> dict[str, object]:
        der = self.certificate.public_bytes(Encoding.DER)
        return {"cert": base64.b64encode(der).decode(), "auto-provisioning-enabled": True}

    def device(self, number: int) -> ssl.SSLContext:
        """Give what a device shows; it trusts any server, which costs the server nothing less."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = x509.BasicConstraints(ca=False, path_length=None)
        made = self._sign(x509.Name.from_rfc4514_string(f"CN=d-{number}"), key.public_key(), leaf)
        file = self.folder / "device.pem"
        file.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            + made.public_bytes(Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(file)
        return context


async def _come(port: int, devices: Sequence[ssl.SSLContext]) -> tuple[float, list[float]]:
    waiting, latencies = iter(devices), []
    connect = _connect("", "")

    async def work() -> None:
        for tls in waiting:
            started = time.perf_counter()
            writer = await _open(port, connect, tls)
            latencies.append(time.perf_counter() - started)
            writer.transport.abort()

    started = time.perf_counter()
    async with asyncio.timeout(120):
        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return len(devices) / (time.perf_counter() - started), sorted(latencies)


def contacts(world: World) -> list[Row]:
    """Devices nobody registered come by MQTT over TLS with certificates; then they come again."""
    folder = Path(tempfile.mkdtemp(prefix="muster-bench-"))
    factory = Factory(folder)
    _tenant(world, **{"trusted-ca": [factory.member]})
    devices = [factory.device(number) for number in range(CONTACTS)]
    port = int(world.server.environment["MUSTER_ADAPTER_MQTTS"].rpartition(":")[2])
    rows = []
    for work in ("first", "later"):
        rate, latencies = uvloop.run(_come(port, devices))
        rows.append(
            Row(
                work=f"Hono: {work} contacts by mTLS, {IN_FLIGHT} in flight",
                database=world.database,
                value=rate,
                p50=_at(latencies, 0.5),
                p99=_at(latencies, 0.99),
                memory=world.server.memory,
                note=f"{CONTACTS:,} devices, P-256, TLS 1.3, each a connection; client on the other core",
            )
        )
    shutil.rmtree(folder, ignore_errors=True)
    return rows


def _on(*databases: str, measure: Callable[[World], list[Row]]) -> Callable[[str], list[Row]]:
    def on_each(postgres: str) -> list[Row]:
        rows = []
        for database in databases:
            ports = {f"MUSTER_ADAPTER_{kind}": f"127.0.0.1:{free_port()}" for kind in ("MQTT", "MQTTS")}
            with muster(database, postgres, **ports) as world:
                rows += measure(world)
        return rows

    return on_each


BOTH = ("SQLite", "PostgreSQL")
MEASUREMENTS = {
    "hono_registry": _on(*BOTH, measure=registry),
    "hono_adapters": _on("SQLite", measure=adapters),
    "hono_contacts": _on(*BOTH, measure=contacts),
    "hono_search_sqlite": lambda postgres: search("SQLite", postgres),
    "hono_search_postgresql": lambda postgres: search("PostgreSQL", postgres),
}
