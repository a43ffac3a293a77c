"""Rows of the message plane: connects, publishes, cuts, idle sessions, and a reconnect storm."""

import asyncio
import contextlib
import itertools
import resource
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
import uvloop

from bench.load import Load, drive, request
from bench.place import World, muster
from bench.rows import Row

SESSIONS, STORM = 2_000, 10_000
STRANGERS, TALKERS = 4_000, 64
"""Devices of whom nobody has heard before, and those that go on publishing."""
PAYLOAD = b"x" * 100


# --- an MQTT 3.1.1 client of few lines ---------------------------------------------------------------------


def _text(value: str) -> bytes:
    return len(value).to_bytes(2, "big") + value.encode()


def _packet(kind: int, body: bytes) -> bytes:
    size, length = len(body), b""
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def _connect(device: str, secret: str) -> bytes:
    flags = 0x80 | 0x40 | 0x02  # user name, password, clean session
    body = _text("MQTT") + bytes([4, flags, 0, 0]) + _text(f"c-{device}") + _text(device) + _text(secret)
    return _packet(0x10, body)


class Session:
    """An open connection that was let in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, device: str, secret: str) -> "Session":
        """Connect; ConnectionError when refused."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
        writer.write(_connect(device, secret))
        try:
            answer = await reader.readexactly(4)
        except asyncio.IncompleteReadError:
            answer = b""
        if answer != b"\x20\x02\x00\x00":
            writer.close()
            raise ConnectionRefusedError(f"CONNACK {answer!r}")
        return cls(reader, writer)

    async def subscribe(self, topic: str, qos: int) -> None:
        """Subscribe and wait for the SUBACK."""
        self.writer.write(_packet(0x82, b"\x00\x01" + _text(topic) + bytes([qos])))
        answer = await self.reader.readexactly(5)
        assert answer[4] == qos, f"SUBACK {answer!r}"

    async def ended(self) -> None:
        """Wait until the other side closes."""
        while await self.reader.read(65536):
            pass

    def close(self) -> None:
        self.writer.close()


# --- a fleet -----------------------------------------------------------------------------------------------


class Fleet:
    """Devices connected to one channel."""

    def __init__(self, world: World, count: int) -> None:
        self.world = world
        self.port = int(world.server.environment["MUSTER_MQTT"].rpartition(":")[2])
        domain = world.domain
        with world.http() as http:
            made = http.post(
                f"/{domain}/clients/bulk", json=[{"name": f"d-{n}"} for n in range(count)]
            ).json()
            self.devices = [(each["id"], each["credentials"]["secret"]) for each in made["clients"]]
            self.channel = http.post(f"/{domain}/channels", json={"name": "c"}).json()["id"]
            for start in range(0, count, 500):
                ids = [device for device, _ in self.devices[start : start + 500]]
                body = {
                    "channel_ids": [self.channel],
                    "client_ids": ids,
                    "types": ["publish", "subscribe"],
                }
                http.post(f"/{domain}/channels/connect", json=body).raise_for_status()
        self.topic = f"channels/{self.channel}/messages"

    async def all_in(self, in_flight: int = 64) -> tuple[dict[str, Session], list[float]]:
        """Connect every device; give the sessions by device, and what each took."""
        waiting = iter(self.devices)
        sessions: dict[str, Session] = {}
        latencies: list[float] = []

        async def work() -> None:
            for device, secret in waiting:
                started = time.perf_counter()
                sessions[device] = await Session.open(self.port, device, secret)
                latencies.append(time.perf_counter() - started)

        await asyncio.gather(*(work() for _ in range(in_flight)))
        return sessions, sorted(latencies)


def _run(work: Callable[[], Awaitable[list[Row]]]) -> list[Row]:
    return uvloop.run(work())  # type: ignore[arg-type]


def _at(values: list[float], part: float) -> float:
    return values[min(int(len(values) * part), len(values) - 1)] * 1000


# --- measurements ------------------------------------------------------------------------------------------


def connects(world: World) -> list[Row]:
    """Connect many devices, 64 at a time, and let them be: connects a second, and what each takes at rest."""

    async def work() -> list[Row]:
        fleet = Fleet(world, SESSIONS)
        before = world.server.memory
        started = time.perf_counter()
        sessions, latencies = await fleet.all_in()
        took = time.perf_counter() - started
        for session in sessions.values():
            await session.subscribe(f"{fleet.topic}/#", 0)
        await asyncio.sleep(0.5)  # the broker's own bookkeeping ends
        each = (world.server.memory - before) * 1024 / SESSIONS
        for session in sessions.values():
            session.close()
        return [
            Row(
                work="MQTT connects through the callout",
                database=world.database,
                value=SESSIONS / took,
                p50=_at(latencies, 0.5),
                p99=_at(latencies, 0.99),
                memory=world.server.memory,
                note=f"{SESSIONS:,} devices, 64 in flight; broker and Muster share one core",
            ),
            Row(
                work="memory of an idle MQTT session",
                database=world.database,
                value=each,
                unit="KiB",
                note="with one QoS 0 subscription; broker and Muster together",
            ),
        ]

    return _run(work)


def publishes(world: World) -> list[Row]:
    """HTTP publish, then QoS 0 and QoS 1 from one device to another."""
    fleet = Fleet(world, STRANGERS)
    messages = [
        request("POST", f"/http/{fleet.topic}", f"Client {secret}", PAYLOAD, "text/plain")
        for _, secret in fleet.devices
    ]
    first = drive(world.server.port, iter(messages), seconds=30, status=202)
    busy = itertools.cycle(messages[:TALKERS])
    load = drive(world.server.port, busy, seconds=3, status=202, best_of=3)
    about = {"database": world.database, "memory": world.server.memory}
    return [
        _published("HTTP publish, 64 in flight", load, f"best of 3, 100 bytes, {TALKERS} devices", **about),
        _published("HTTP publish, the first of each device", first, f"{STRANGERS:,} devices, once", **about),
        *_run(lambda: _rates(world, fleet)),
    ]


def _published(work: str, load: Load, note: str, **about: Any) -> Row:
    quantiles = {"p50": load.quantile(0.5), "p99": load.quantile(0.99)}
    return Row(work=work, value=load.rate, note=note, **quantiles, **about)


async def _rates(world: World, fleet: Fleet) -> list[Row]:
    rows = []
    for qos, count in ((0, 100_000), (1, 20_000)):
        rates = [await _rate(fleet, qos, count) for _ in range(3)]
        rows.append(
            Row(
                work=f"MQTT QoS {qos}, 1→1",
                database=world.database,
                value=max(rates),
                note=f"{count:,} messages of 100 bytes, best of 3; the Python client is part of it",
            )
        )
    return rows


async def _rate(fleet: Fleet, qos: int, count: int) -> float:
    (publisher, one), (subscriber, two) = fleet.devices[:2]
    to, from_ = (
        await Session.open(fleet.port, subscriber, two),
        await Session.open(fleet.port, publisher, one),
    )
    await to.subscribe(fleet.topic, 0)
    body = _text(fleet.topic) + (b"\x00\x01" if qos else b"") + PAYLOAD
    message = _packet(0x30 | qos << 1, body)
    arrives = len(_packet(0x30, _text(fleet.topic) + PAYLOAD))
    started = time.perf_counter()

    async def receive() -> None:
        got = 0
        while got < count * arrives:
            part = await to.reader.read(2**20)
            assert part, "the subscriber was cut"
            got += len(part)

    async def send() -> None:
        batch = 100
        for _ in range(count // batch):
            from_.writer.write(message * batch)
            if qos:
                await from_.reader.readexactly(4 * batch)  # a window of 100 unacknowledged
            else:
                await from_.writer.drain()

    async with asyncio.timeout(30):
        await asyncio.gather(receive(), send())
    took = time.perf_counter() - started
    to.close()
    from_.close()
    return count / took


def cuts(world: World) -> list[Row]:
    """From the operator's request to the device's closed connection, again and again."""
    count = 200

    async def work() -> list[Row]:
        fleet = Fleet(world, count)
        devices, _ = await fleet.all_in()
        latencies = []
        with world.http() as http:
            for device, session in devices.items():
                started = time.perf_counter()
                ended = asyncio.create_task(session.ended())
                path = f"/{world.domain}/clients/{device}/disable"
                (await asyncio.to_thread(http.post, path)).raise_for_status()
                async with asyncio.timeout(10):
                    await ended
                latencies.append(time.perf_counter() - started)
                session.close()
        latencies.sort()
        return [
            Row(
                work="rights change → session cut",
                database=world.database,
                value=statistics.median(latencies) * 1000,
                unit="ms",
                p50=_at(latencies, 0.5),
                p99=_at(latencies, 0.99),
                note=f"{count} devices disabled one after another; request included",
            )
        ]

    return _run(work)


def storm(world: World) -> list[Row]:
    """Kill the broker under 10,000 devices; each comes back by itself, as MQTT clients do."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # The server's limit was inherited when it started; the devices must fit into both.
    count = min(STORM, hard - 500 if hard > 0 else STORM)

    async def work() -> list[Row]:
        fleet = Fleet(world, count)
        sessions, _ = await fleet.all_in()
        back: list[float] = []
        broker = next(
            child
            for child in psutil.Process(world.server.pid).children(recursive=True)
            if "nats" in child.name()
        )
        started = time.perf_counter()

        async def device(name: str, secret: str, session: Session) -> None:
            await session.ended()
            session.close()
            for attempt in itertools.count():
                # Paho's rule: wait 1 s after the first failure, then twice as long, at most 8 s here.
                await asyncio.sleep(min(2**attempt, 8) * (0.5 + hash(name) % 1000 / 1000))
                with contextlib.suppress(OSError):
                    kept.append(await Session.open(fleet.port, name, secret))
                    back.append(time.perf_counter() - started)
                    return

        kept: list[Session] = []
        tasks = [asyncio.create_task(device(name, secret, sessions[name])) for name, secret in fleet.devices]
        broker.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(90):
                await asyncio.gather(*tasks)
        back.sort()
        for session in kept:
            session.close()
        return [
            Row(
                work="10,000 devices return after a broker crash",
                database=world.database,
                value=back[-1] if back else 0.0,
                unit="s",
                p50=_at(back, 0.5) if back else None,
                p99=_at(back, 0.99) if back else None,
                memory=world.server.memory,
                note=f"{len(back):,} of {count:,} returned; first after {back[0] if back else 0:.1f} s",
            )
        ]

    try:
        return _run(work)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _on(*databases: str, measure: Callable[[World], list[Row]]) -> Callable[[str], list[Row]]:
    def on_each(postgres: str) -> list[Row]:
        rows = []
        for database in databases:
            with muster(database, postgres, has_broker=True) as world:
                rows += measure(world)
        return rows

    return on_each


BOTH = ("SQLite", "PostgreSQL")
MEASUREMENTS = {
    "connects": _on(*BOTH, measure=connects),
    "publish": _on(*BOTH, measure=publishes),
    "cuts": _on(*BOTH, measure=cuts),
    "storm": _on(*BOTH, measure=storm),
}
