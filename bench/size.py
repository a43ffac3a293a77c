"""What growth costs: the same requests with 1,000 and with 1,000,000 devices stored, of one tenant."""

import asyncio
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.load import Load, drive, each, request, same
from bench.place import Measured, World, new_database
from bench.provisioning import client_request, mapping_request
from bench.rows import Row
from muster.assembly.parts import clock, database_url, keyring_of
from muster.core.model import Device, DeviceId, Secret, TenantId
from muster.core.ports import Tx
from muster.settings import load
from muster.store.engine import open_store

FEW, MANY = 1_000, 1_000_000
AT_ONCE = 20_000
LONGEST = 180
"""Seconds for filling one database; what is stored by then is measured, and the row says how much."""


def _add(tx: Tx, tenant: TenantId, first: int, count: int) -> None:
    now = tx.now
    tx.add(
        *(
            Device(
                id=DeviceId(tx.new_id()),
                tenant_id=tenant,
                name=f"device-{number}",
                secret=Secret(f"secret-{number}"),
                metadata={"serial": number},
                created_at=now,
            )
            for number in range(first, first + count)
        )
    )


async def fill(
    environment: dict[str, str], tenant: str, first: int, count: int, add: Callable[..., None] = _add
) -> int:
    """Store devices without HTTP, a transaction for each AT_ONCE; say how many there was time for."""
    settings = load(environment).settings
    store = open_store(database_url(settings), keyring_of(settings), clock)
    end, done = time.monotonic() + LONGEST, 0
    try:
        while done < count and time.monotonic() < end:
            part = min(AT_ONCE, count - done)
            await store.run(add, TenantId(tenant), first + done, part)
            done += part
    finally:
        store.close()
    return done


def _measured(world: World) -> dict[str, Load]:
    with world.http() as http:
        page = http.get(f"/{world.domain}/clients").json()
        one = page["clients"][0]["id"]
        asked = {"external_id": f"s-{uuid.uuid4().hex}", "external_key": "k"}
        http.post(f"/{world.domain}/mapping", json=asked).raise_for_status()
    port = world.server.port
    ask: dict[str, tuple[Callable[[], object], int]] = {
        "GET client by id": (lambda: same(world.ask("GET", f"/{{domain}}/clients/{one}")), 200),
        "unfiltered first page": (lambda: same(world.ask("GET", "/{domain}/clients?limit=10")), 200),
        "bootstrap fetch": (
            lambda: same(request("GET", f"/clients/bootstrap/{asked['external_id']}", "Client k")),
            200,
        ),
        "create": (lambda: each(client_request(world)), 201),
        "POST /mapping": (lambda: each(mapping_request(world)), 201),
    }
    found = {}
    for work, (requests, status) in ask.items():
        tries = [drive(port, requests(), seconds=1.5, connections=8, status=status) for _ in range(3)]  # type: ignore[arg-type]
        found[work] = max(tries, key=lambda load: load.rate)
    return found


def _analyze(url: str) -> None:
    """Do at once what PostgreSQL's autovacuum does within a minute: count rows, and clear dead ones away."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE)")


def growth(database: str, postgres: str) -> list[Row]:
    """Measure few, fill, measure many; give the ratio of what one request costs."""
    folder = Path(tempfile.mkdtemp(prefix="muster-bench-", dir=Path.cwd()))
    settings = {"MUSTER_DATABASE_URL": new_database(postgres)} if database == "PostgreSQL" else {}
    server = Measured(folder, **settings)
    environment = {"MUSTER_DATA_DIR": str(folder / "data"), **settings}
    try:
        with server:
            world = World(server, database)
        asyncio.run(fill(environment, world.domain, 0, FEW))
        with server:
            before = _measured(world)
        started = time.perf_counter()
        stored = asyncio.run(fill(environment, world.domain, FEW, MANY - FEW)) + FEW
        took = time.perf_counter() - started
        for url in settings.values():
            _analyze(url)
        with server:
            after = _measured(world)
            memory = server.memory
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{stored:,} devices in {took:.0f} s", file=sys.stderr)
    rows = [
        Row(
            work=f"{work}: cost with {stored:,} to cost with {FEW:,} devices",
            database=database,
            value=before[work].rate / load_.rate,
            unit="x",
            p50=load_.quantile(0.5),
            p99=load_.quantile(0.99),
            memory=memory,
            note=f"{before[work].rate:,.0f}/s → {load_.rate:,.0f}/s, 8 in flight, best of 3",
        )
        for work, load_ in after.items()
    ]
    filled = Row(
        work="devices stored through the store, no HTTP",
        database=database,
        value=stored / took,
        note=f"{stored:,} in {took:.0f} s, {AT_ONCE:,} a transaction, secrets sealed",
    )
    return [filled, *rows]


MEASUREMENTS = {
    "size_sqlite": lambda postgres: growth("SQLite", postgres),
    "size_postgresql": lambda postgres: growth("PostgreSQL", postgres),
}
