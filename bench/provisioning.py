"""Rows of the HTTP API: provisioning, clients, bootstrap, bulk, start and idle memory."""

import asyncio
import multiprocessing
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import uvloop
from tests.journeys.server import admin_token
from tests.ports import free_port

from bench.load import Load, drive, each, request, same, serve_nothing
from bench.place import SERVER_CORE, Measured, World, muster
from bench.rows import Row

BULK = 100_000


def row(work: str, world: World, load: Load, note: str = "") -> Row:
    return Row(
        work=work,
        database=world.database,
        value=load.rate,
        p50=load.quantile(0.5),
        p99=load.quantile(0.99),
        memory=world.server.memory,
        note=note,
    )


def mapping_request(world: World) -> Callable[[int], bytes]:
    """Give a function that gives the request of a gateway never seen before."""
    mark = uuid.uuid4().hex[:12]
    path, token = f"/{world.domain}/mapping", f"Bearer {world.token}"

    def make(number: int) -> bytes:
        body = f'{{"external_id":"{mark}-{number}","external_key":"key of {number}","name":"gw-{number}"}}'
        return request("POST", path, token, body.encode())

    return make


def client_request(world: World) -> Callable[[int], bytes]:
    """Give a function that gives the request of a new client."""
    return lambda number: world.ask("POST", "/{domain}/clients", {"name": f"device-{number}"})


def mapping(world: World, tries: int = 3) -> list[Row]:
    """One call, one gateway: 64 in flight, then one at a time."""
    many = max(
        (drive(world.server.port, each(mapping_request(world)), status=201) for _ in range(tries)),
        key=lambda load: load.rate,
    )
    single = max(
        (
            drive(world.server.port, each(mapping_request(world)), connections=1, seconds=2, status=201)
            for _ in range(tries)
        ),
        key=lambda load: load.rate,
    )
    return [
        row("POST /mapping, no certificate, 64 in flight", world, many, f"best of {tries}; 11 rows each"),
        row("POST /mapping, no certificate, one at a time", world, single, f"best of {tries}"),
    ]


def clients(world: World, tries: int = 3) -> list[Row]:
    """Create, list, read one, fetch a bootstrap configuration."""
    port = world.server.port
    made = drive(port, each(client_request(world)), status=201, best_of=tries)
    rows = [row("create one client, 64 in flight", world, made, f"best of {tries}")]
    with world.http() as http:
        first = http.get(f"/{world.domain}/clients").json()["clients"][0]["id"]
        asked = {"external_id": f"b-{uuid.uuid4().hex}", "external_key": "k"}
        http.post(f"/{world.domain}/mapping", json=asked).raise_for_status()
    reads = {
        "list of 10 clients": world.ask("GET", "/{domain}/clients?limit=10"),
        "GET client by id": world.ask("GET", f"/{{domain}}/clients/{first}"),
        "bootstrap fetch": request("GET", f"/clients/bootstrap/{asked['external_id']}", "Client k"),
    }
    for work, one in reads.items():
        rows.append(row(work, world, drive(port, same(one), seconds=3, best_of=tries), f"best of {tries}"))
    return rows


def refusals(world: World, count: int = 4000) -> list[Row]:
    """A wrong key of a known external id, and an unknown id: in turn, one at a time."""
    known = f"b-{uuid.uuid4().hex}"
    with world.http() as http:
        asked = {"external_id": known, "external_key": "k"}
        http.post(f"/{world.domain}/mapping", json=asked).raise_for_status()
    paths = (f"/clients/bootstrap/{known}", f"/clients/bootstrap/b-{uuid.uuid4().hex}")
    took: tuple[list[float], list[float]] = ([], [])
    with httpx.Client(base_url=world.server.url) as http:
        for number in range(2 * count):
            started = time.perf_counter()
            answer = http.get(paths[number % 2], headers={"Authorization": "Client wrong"})
            took[number % 2].append(time.perf_counter() - started)
            assert answer.status_code == (403, 404)[number % 2], answer.text
    wrong, unknown = (sorted(each) for each in took)
    middle = count // 2
    note = (
        f"median {wrong[middle] * 1e6:.0f} µs → {unknown[middle] * 1e6:.0f} µs, "
        f"lower quartile {wrong[count // 4] * 1e6:.0f} µs → {unknown[count // 4] * 1e6:.0f} µs; "
        f"{count:,} of each, alternating"
    )
    work = "bootstrap: time of an unknown id to that of a wrong key"
    ratio = unknown[middle] / wrong[middle]
    return [Row(work=work, database=world.database, value=ratio, unit="x", note=note)]


def bulk(world: World) -> list[Row]:
    """100,000 clients in one request, each with a secret of its own."""
    body = [{"name": f"bulk-{number}"} for number in range(BULK)]
    started = time.perf_counter()
    with world.http() as http:
        answer = http.post(f"/{world.domain}/clients/bulk", json=body)
    took = time.perf_counter() - started
    assert answer.status_code == 200, answer.text[:500]
    assert answer.text.count('"secret"') == BULK
    note = (
        f"{BULK / took:,.0f} clients/s; one transaction, one reply of {len(answer.content) / 2**20:.0f} MiB"
    )
    work = "bulk: 100,000 clients in one request"
    return [
        Row(work=work, database=world.database, value=took, unit="s", memory=world.server.memory, note=note)
    ]


# --- start and rest --------------------------------------------------------------------------------------


def start(tries: int = 3) -> list[Row]:
    """Start to first answer, with and without a data folder, and what it takes at rest."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="muster-bench-", dir=Path.cwd()) as folder:
        fresh, again = [], []
        for number in range(tries):
            server = Measured(Path(folder) / str(number), MUSTER_MQTT=f"127.0.0.1:{free_port()}")
            for found in (fresh, again):
                started = time.perf_counter()
                with server:
                    found.append(time.perf_counter() - started)
    for work, found in (
        ("start to first answer, new data folder", fresh),
        ("start to first answer, again", again),
    ):
        note = f"best of {tries}, with broker; worst {max(found):.2f} s"
        rows.append(Row(work=work, database="SQLite", value=min(found), unit="s", note=note))
    for has_broker in (True, False):
        with muster("SQLite", "", has_broker=has_broker) as world:
            first = world.server.memory
            world.server.stop()
            admin_token(world.server.start())
            work = f"idle memory, {'with' if has_broker else 'without'} broker"
            note = (
                "after a start and the first requests; RSS, shared pages counted in each process; "
                f"{first:.0f} MiB after the very first start, which makes the database"
            )
            rows.append(Row(work=work, database="SQLite", value=world.server.memory, unit="MiB", note=note))
    return rows


# --- the generator ---------------------------------------------------------------------------------------


def _nothing(port: int) -> None:
    import os  # noqa: PLC0415 in the other process

    os.sched_setaffinity(0, SERVER_CORE)
    uvloop.run(serve_nothing(port))


def generator() -> list[Row]:
    """Say what the load generator can do when the server does nothing."""
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=_nothing, args=(port,), daemon=True)
    process.start()
    try:
        asyncio.run(_until_open(port))
        load = drive(port, same(request("GET", "/", "")), seconds=2)
    finally:
        process.kill()
        process.join()
    note = "asks a server that answers two bytes; its share of one request is the inverse"
    work = "load generator alone, 64 in flight"
    return [Row(work=work, value=load.rate, p50=load.quantile(0.5), p99=load.quantile(0.99), note=note)]


async def _until_open(port: int) -> None:
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return
    raise AssertionError("the empty server did not start")
