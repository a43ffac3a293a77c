"""Rows of messages: connects through the callout, publishing over HTTP and MQTT, cuts, memory, a storm."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import psutil
import uvloop

from bench.load import drive, request, same
from bench.place import World, muster
from bench.rows import Row

DEVICES = 200
SESSIONS = 1000
STORM = 10_000
CUTS = 200
SECONDS = 4.0
WINDOW = 100
PAYLOAD = bytes(100)
_AT_ONCE = 64
_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 2, 3, 4, 9


@dataclass(frozen=True, slots=True)
class Device:
    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """A channel, and the devices connected to it."""

    world: World
    channel: str
    devices: Sequence[Device]

    @property
    def port(self) -> int:
        return int(self.world.server.environment["MUSTER_MQTT"].partition(":")[2])


def fleet(world: World, count: int) -> Fleet:
    """Create devices that may publish to and subscribe on one channel."""
    with world.http() as http:
        channel = http.post(f"/{world.domain}/channels", json={"name": "bench"}).json()["id"]
        body = [{"name": f"d{n}"} for n in range(count)]
        made = http.post(f"/{world.domain}/clients/bulk", json=body).json()["clients"]
        devices = [Device(one["id"], one["credentials"]["secret"]) for one in made]
        ends = {"client_ids": [one.id for one in devices], "types": ["publish", "subscribe"]}
        answer = http.post(f"/{world.domain}/channels/{channel}/connect", json=ends)
        assert answer.status_code == 201, answer.text[:300]
    return Fleet(world, channel, devices)


# --- MQTT as bytes ----------------------------------------------------------------------------


def _text(raw: bytes) -> bytes:
    return struct.pack(">H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    head, length = bytearray([kind]), len(body)
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    return bytes(head) + bytes([length]) + body


def _connect(device: Device) -> bytes:
    fields = (b"", device.id.encode(), device.secret.encode())
    return _packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x00" + b"".join(map(_text, fields)))


class Session:
    """An MQTT session with nothing around it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int, device: Device) -> "Session":
        """Connect. ConnectionError when it is refused."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        session = cls(reader, writer)
        try:
            writer.write(_connect(device))
            kind, body = await session.next()
        except asyncio.IncompleteReadError as error:
            writer.close()
            raise ConnectionError("no CONNACK") from error
        if kind != _CONNACK or body[1]:
            writer.close()
            raise ConnectionError(f"CONNACK {body[1]}")
        return session

    async def next(self) -> tuple[int, bytes]:
        """Give kind and body of the next packet."""
        kind = (await self._reader.readexactly(1))[0] >> 4
        length = shift = 0
        while True:
            digit = (await self._reader.readexactly(1))[0]
            length |= (digit & 127) << shift
            shift += 7
            if digit < 128:
                return kind, await self._reader.readexactly(length)

    async def subscribe(self, topic: str, qos: int) -> None:
        self.writer.write(_packet(0x82, b"\x00\x01" + _text(topic.encode()) + bytes([qos])))
        kind, body = await self.next()
        assert (kind, body[2]) == (_SUBACK, qos), (kind, body)

    async def ended(self) -> float:
        """Wait for the end of the connection; give when it was."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self.next()
        return time.perf_counter()

    def close(self) -> None:
        self.writer.close()


async def _all(port: int, devices: Sequence[Device], *, at_once: int = _AT_ONCE) -> list[Session]:
    slots = asyncio.Semaphore(at_once)

    async def one(device: Device) -> Session:
        async with slots:
            return await Session.open(port, device)

    return await asyncio.gather(*map(one, devices))


# --- connects ---------------------------------------------------------------------------------


def connects(world: World) -> list[Row]:
    """Connect for a while, 64 at once, each decided by Muster with its database."""
    made = fleet(world, DEVICES)
    latencies, took = uvloop.run(_connect_for(made, SECONDS))
    row = _row("MQTT connects through the callout", world, latencies, took)
    return [row]


async def _connect_for(made: Fleet, seconds: float) -> tuple[list[float], float]:
    latencies: list[float] = []
    started = time.perf_counter()

    async def one(number: int) -> None:
        while time.perf_counter() - started < seconds:
            device = made.devices[(number + len(latencies)) % len(made.devices)]
            before = time.perf_counter()
            session = await Session.open(made.port, device)
            latencies.append(time.perf_counter() - before)
            session.close()

    await asyncio.gather(*(one(number) for number in range(_AT_ONCE)))
    return latencies, time.perf_counter() - started


def _row(work: str, world: World, latencies: list[float], took: float, note: str = "") -> Row:
    ordered = sorted(latencies)
    return Row(
        work=work,
        database=world.database,
        value=len(ordered) / took,
        p50=ordered[len(ordered) // 2] * 1000,
        p99=ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] * 1000,
        memory=world.server.memory,
        note=note,
    )


# --- publishing -------------------------------------------------------------------------------


def http_publish(world: World) -> list[Row]:
    """Publish over HTTP, 64 in flight."""
    made = fleet(world, 1)
    one = request(
        "POST",
        f"/channels/{made.channel}/messages/t",
        f"Client {made.devices[0].secret}",
        PAYLOAD,
        "text/plain",
    )
    load = drive(world.server.port, same(one), status=202, seconds=SECONDS)
    row = Row(
        work="HTTP publish, 64 in flight",
        database=world.database,
        value=load.rate,
        p50=load.quantile(0.5),
        p99=load.quantile(0.99),
        memory=world.server.memory,
    )
    return [row]


def mqtt(world: World) -> list[Row]:
    """Send from one device to another with QoS 0 and 1."""
    made = fleet(world, 2)
    return [
        Row(
            work=f"MQTT QoS {qos}, 1→1",
            database=world.database,
            value=uvloop.run(_flood(made, qos)),
            note="asyncio client on one core",
        )
        for qos in (0, 1)
    ]


async def _flood(made: Fleet, qos: int) -> float:
    """Give the messages a second that arrived; a window of them is on its way at a time."""
    sender, reader = await _all(made.port, made.devices)
    topic = f"channels/{made.channel}/messages/t"
    await reader.subscribe(topic, qos)
    body = _text(topic.encode()) + (b"\x00\x01" if qos else b"") + PAYLOAD
    batch = _packet(0x30 | qos << 1, body) * WINDOW
    count, started = 0, time.perf_counter()
    while (took := time.perf_counter() - started) < SECONDS:
        sender.writer.write(batch)
        acknowledged = asyncio.create_task(_take(sender, _PUBACK, WINDOW if qos else 0))
        await asyncio.gather(acknowledged, _take(reader, _PUBLISH, WINDOW, acknowledge=bool(qos)))
        count += WINDOW
    sender.close()
    reader.close()
    return count / took


async def _take(session: Session, wanted: int, count: int, *, acknowledge: bool = False) -> None:
    while count:
        kind, body = await session.next()
        if kind == wanted:
            count -= 1
            if acknowledge:
                after = 2 + int.from_bytes(body[:2], "big")
                session.writer.write(b"\x40\x02" + body[after : after + 2])


# --- cuts -------------------------------------------------------------------------------------


def cuts(world: World) -> list[Row]:
    """Disable devices one after another; measure from the request until the session's end."""
    made = fleet(world, CUTS)
    latencies = uvloop.run(_cut(made))
    row = _row("rights change → session cut", world, latencies, 1, "from sending POST …/disable")
    return [
        Row(
            work=row.work,
            database=row.database,
            value=len(latencies),
            unit="cuts",
            p50=row.p50,
            p99=row.p99,
            note=row.note,
        )
    ]


async def _cut(made: Fleet) -> list[float]:
    sessions = await _all(made.port, made.devices)
    latencies = []
    with made.world.http() as http:
        for device, session in zip(made.devices, sessions, strict=True):
            path = f"/{made.world.domain}/clients/{device.id}/disable"
            ended, started = asyncio.create_task(session.ended()), time.perf_counter()
            await asyncio.sleep(0)
            answer = await asyncio.to_thread(http.post, path)
            assert answer.status_code == 200, answer.text[:300]
            latencies.append(await asyncio.wait_for(ended, 10) - started)
    return latencies


# --- many sessions ----------------------------------------------------------------------------


def memory(world: World) -> list[Row]:
    """Say what an idle session costs broker and Muster together."""
    made = fleet(world, SESSIONS)
    before = world.server.memory
    after = uvloop.run(_held(made, lambda: world.server.memory))
    value = (after - before) * 1024 / SESSIONS
    note = f"{SESSIONS:,} clean sessions with a QoS 0 subscription"
    return [
        Row(
            work="memory of an idle MQTT session", database=world.database, value=value, unit="KiB", note=note
        )
    ]


async def _held(made: Fleet, look: Callable[[], float]) -> float:
    async with _subscribed(made):
        return look()


@contextlib.asynccontextmanager
async def _subscribed(made: Fleet) -> AsyncIterator[list[Session]]:
    sessions = await _all(made.port, made.devices)
    try:
        await asyncio.gather(*(one.subscribe(f"channels/{made.channel}/messages", 0) for one in sessions))
        yield sessions
    finally:
        for session in sessions:
            session.close()


def storm(postgres: str, database: str) -> list[Row]:
    """Kill the broker under 10,000 sessions; each device tries again every second until it is back."""
    with muster(database, postgres, has_broker=True) as world:
        made = fleet(world, STORM)
        took = uvloop.run(_storm(made))
    note = f"{STORM / took:,.0f} connects/s, the restart included"
    return [
        Row(
            work="10,000 devices return after a broker crash",
            database=database,
            value=took,
            unit="s",
            note=note,
        )
    ]


async def _storm(made: Fleet) -> float:
    sessions = await _all(made.port, made.devices)
    for child in psutil.Process(made.world.server.pid).children(recursive=True):
        if "nats-server" in child.name():
            child.kill()
    started = time.perf_counter()
    await asyncio.gather(*(session.ended() for session in sessions))
    again = await asyncio.gather(*(_back(made.port, device) for device in made.devices))
    took = time.perf_counter() - started
    for session in again:
        session.close()
    return took


async def _back(port: int, device: Device) -> Session:
    while True:
        with contextlib.suppress(OSError):
            return await asyncio.wait_for(Session.open(port, device), 30)
        await asyncio.sleep(1)


def _with_broker(measure: Callable[[World], list[Row]]) -> Callable[[str], list[Row]]:
    def both(postgres: str) -> list[Row]:
        found: list[Row] = []
        for database in ("SQLite", "PostgreSQL"):
            with muster(database, postgres, has_broker=True) as world:
                found += measure(world)
        return found

    return both


MEASUREMENTS = {
    "connects": _with_broker(connects),
    "publish": _with_broker(http_publish),
    "mqtt": _with_broker(mqtt),
    "cuts": _with_broker(cuts),
    "sessions": _with_broker(memory),
    "storm": partial(storm, database="SQLite"),
}
