"""Certificates: what signing, answering, listing, provisioning with them and mTLS connects cost."""

import asyncio
import ssl
import tempfile
import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from tests.ports import free_port

from bench import place
from bench.load import drive, each, request, same
from bench.place import World
from bench.provisioning import mapping_request, row
from bench.rows import Row
from muster.assembly.signing import OwnCa
from muster.ca.keypool import KeyPool
from muster.ca.keys import KeyKind, make_key
from muster.ca.secrets import Keyring
from muster.ca.vault import request_for
from muster.core.certificates import CertificateRequest, Revocation
from muster.core.model import Instant
from muster.core.ports import Tx
from muster.plane.adapter.packets import Connect, encode
from muster.store import upkeep
from muster.store.engine import AnyStore, open_store

SECONDS = 2.0
ENTRIES = 500_000
_YEAR = 365 * 86_400_000_000


def clock() -> Instant:
    return Instant(time.time_ns() // 1000)


def _per_second(work: Callable[[], object]) -> float:
    count, began = 0, time.perf_counter()
    while time.perf_counter() < began + SECONDS:
        work()
        count += 1
    return count / (time.perf_counter() - began)


def signing(ca: OwnCa) -> list[Row]:
    """Sign with a key made here, and for a request; in this process, nothing stored."""
    signer, asked = ca.preparation(), CertificateRequest(ttl_seconds=86_400)
    for_csr = CertificateRequest(ttl_seconds=86_400, csr=request_for(make_key(), "device"))
    note = "in process, one core, nothing stored"
    made = _per_second(lambda: signer.issue("t", "d", asked, clock()))
    signed = _per_second(lambda: signer.issue("t", "d", for_csr, clock()))
    return [
        Row(work="issue: EC P-256, key made here", value=made, note=note),
        Row(work="issue: for a signing request", value=signed, note=note),
    ]


def rsa() -> Row:
    """Take RSA keys from the pool as fast as its one thread makes them."""
    pool = KeyPool({KeyKind.RSA2048: 4})
    try:
        rate = _per_second(lambda: pool.take(KeyKind.RSA2048))
    finally:
        pool.close()
    return Row(work="RSA-2048 keys from the pool", value=rate, note="one thread")


def _add(tx: Tx, *nouns: object) -> None:
    tx.add(*nouns)


async def lists(ca: OwnCa, store: AnyStore) -> list[Row]:
    """Build a list of half a million from rows, and sign it again after one more revocation."""
    issuer, end = ca.current.id, Instant(clock() + _YEAR)
    for start in range(0, ENTRIES, 20_000):
        at = Instant(clock() - 1_000_000_000)
        part = (
            Revocation(id=f"40{number:030x}", issuer_id=issuer, revoked_at=at, not_after=end)
            for number in range(start, min(start + 20_000, ENTRIES))
        )
        await store.run(_add, *part)
    began = time.perf_counter()
    first = await ca.revocation_list(None)
    built = time.perf_counter() - began
    await asyncio.sleep(1.1)  # a large list is signed once a second at most
    one = Revocation(id="7f" * 16, issuer_id=issuer, revoked_at=clock(), not_after=end)
    await store.run(_add, one)
    began = time.perf_counter()
    second = await ca.revocation_list(None)
    again = time.perf_counter() - began
    assert len(second.der) > len(first.der)
    work, size = f"CRL of {ENTRIES:,} entries", f"{len(first.der) / 2**20:.0f} MiB"
    return [
        Row(work=f"{work}, from rows", value=built, unit="s", note=size),
        Row(work=f"{work}, after one more revocation", value=again, unit="s", note=size),
    ]


async def _in_process(folder: Path) -> list[Row]:
    url = f"sqlite:///{folder / 'muster.db'}"
    upkeep.upgrade(url)
    store = open_store(url, Keyring(b"a master key of the bench, 32 bytes"), clock)
    ca = OwnCa(store, clock, "http://localhost:8080")
    await ca.load()
    try:
        return [*signing(ca), rsa(), *await lists(ca, store)]
    finally:
        ca.close()
        store.close()


def in_process(_: str) -> list[Row]:
    """Measure what needs no server."""
    with tempfile.TemporaryDirectory() as folder:
        return uvloop.run(_in_process(Path(folder)))


def mapping(world: World) -> list[Row]:
    """One call, one gateway with an EC certificate; then a question about it by OCSP."""
    port = world.server.port
    many = drive(port, each(mapping_request(world)), status=201, best_of=2)
    single = drive(port, each(mapping_request(world)), connections=1, seconds=2, status=201)
    note = "one EC P-256 certificate each"
    rows = [
        row(
            "POST /mapping with EC certificate, 64 in flight",
            world,
            many,
            note,
        ),
        row(
            "POST /mapping with EC certificate, one at a time",
            world,
            single,
            note,
        ),
    ]
    answers = drive(port, same(_question(world)), seconds=3)
    rows.append(row("OCSP answers, signed on demand", world, answers))
    return rows


def _question(world: World) -> bytes:
    with world.http() as http:
        made = http.post(
            f"/{world.domain}/mapping", json={"external_id": uuid.uuid4().hex, "external_key": "k"}
        )
        pem = next(iter(made.json()["client_cert"].values()))
        issuer = http.get("/certs/view-ca").json()["certificate"]
    leaf, ca = (x509.load_pem_x509_certificate(each.encode()) for each in (pem, issuer))
    builder = ocsp.OCSPRequestBuilder().add_certificate(leaf, ca, SHA1())
    asked = builder.build().public_bytes(Encoding.DER)
    return request("GET", f"/certs/ocsp/{b64encode(asked).decode()}", "")


# --- mTLS ----------------------------------------------------------------------------------------------


async def _connects(port: int, context: ssl.SSLContext, lanes: int) -> float:
    count, until = 0, time.perf_counter() + 3

    async def lane(number: int) -> None:
        nonlocal count
        while time.perf_counter() < until:
            # A name of its own each time: the broker holds up one that comes back too fast.
            own = encode(Connect(client_id=f"{number:02}{count:020}", keep_alive=60))
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(own)
            answer = await asyncio.wait_for(reader.readexactly(4), 5)
            assert answer[3] == 0, answer
            count += 1
            writer.transport.abort()

    began = time.perf_counter()
    await asyncio.gather(*(lane(number) for number in range(lanes)))
    return count / (time.perf_counter() - began)


def connects(postgres: str) -> list[Row]:
    """Connect over TLS by certificate through front and callout, 16 at a time."""
    mqtts = free_port()
    address = f"127.0.0.1:{mqtts}"
    with (
        place.muster(
            "SQLite", postgres, has_broker=True, MUSTER_MQTTS=address, MG_PROVISION_X509_PROVISIONING="true"
        ) as world,
        world.http() as http,
    ):
        asked = {"external_id": uuid.uuid4().hex, "external_key": "k"}
        made = http.post(f"/{world.domain}/mapping", json=asked).json()
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
            pair.write(next(iter(made["client_cert"].values())) + next(iter(made["client_key"].values())))
            pair.flush()
            context = ssl.create_default_context(cadata=made["ca_cert"])
            context.check_hostname = False
            context.load_cert_chain(pair.name)
        rate = uvloop.run(_connects(mqtts, context, 16))
    note = "16 at a time; front, callout and broker on one core"
    return [Row(work="MQTT connects by mTLS (P-256)", database="SQLite", value=rate, note=note)]


def over_http(postgres: str) -> list[Row]:
    """Measure what goes through a server, on both databases."""
    found = []
    for database in ("SQLite", "PostgreSQL"):
        with place.muster(database, postgres, MG_PROVISION_X509_PROVISIONING="true") as world:
            found += mapping(world)
    return found


MEASUREMENTS = {"pki": in_process, "pki-http": over_http, "mtls": connects}
