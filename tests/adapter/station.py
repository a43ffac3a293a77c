"""An adapter with ports that are easy to look into, and devices that speak to it byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from muster.core.admission import Admission
from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.actions import Rules
from muster.plane.adapter.decoder import Decoder
from muster.plane.adapter.packets import (
    Connack,
    ConnackCode,
    Connect,
    Packet,
    Publish,
    encode,
)
from muster.plane.adapter.ports import (
    AdapterDevice,
    AdapterRefusal,
    Evidence,
    Failure,
    Message,
)
from muster.plane.adapter.server import Adapter, AdapterLimits
from muster.plane.listener import SocketLimits
from muster.web.tls import ServerTls

PATIENCE = 30.0
T = TenantId("T")


class World:
    """Ports that know devices d0, d1 … by the password `pw` or by any certificate, and keep what arrives."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.evidence: list[Evidence] = []
        self.delivers: dict = {}
        self.failure: Failure | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.arrived = asyncio.Condition()
        self.trouble: Exception | None = None
        self.is_barred = False
        self.stale: set[DeviceId] = set()

    async def pass_gate(self) -> None:
        self.asked.set()
        await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble

    async def authenticate(self, evidence: Evidence) -> AdapterDevice | AdapterRefusal:
        self.evidence.append(evidence)
        is_barred = self.is_barred
        await self.pass_gate()
        if is_barred:
            return AdapterRefusal(code=ConnackCode.NOT_AUTHORIZED, reason="disabled")
        password = evidence.password
        if evidence.chain_der:
            return AdapterDevice(tenant_id=T, device_id=DeviceId("certified"))
        if password is None or password.secret != b"pw":
            return AdapterRefusal(code=ConnackCode.BAD_CREDENTIALS, reason="wrong password")
        return AdapterDevice(
            tenant_id=TenantId(password.tenant),
            device_id=DeviceId(password.auth_id),
            admission=Admission(type="hashed-password", auth_key=password.auth_id, mark=b"pw"),
        )

    async def stands(self, device: AdapterDevice) -> bool:
        await self.pass_gate()
        return device.device_id not in self.stale

    async def forward(self, message: Message) -> Failure | None:
        await self.pass_gate()
        async with self.arrived:
            self.messages.append(message)
            self.arrived.notify_all()
        return self.failure

    async def register_commands(self, wanted, deliver) -> bool:
        await self.pass_gate()
        self.delivers[wanted] = deliver
        return True

    async def unregister_commands(self, wanted, deliver) -> None:
        assert self.delivers.pop(wanted) is deliver

    async def have(self, count: int) -> list[Message]:
        """Wait for so many messages."""
        async with asyncio.timeout(PATIENCE), self.arrived:
            await self.arrived.wait_for(lambda: len(self.messages) >= count)
        return self.messages


class Device:
    """A raw MQTT device."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._decoder = Decoder()

    def send(self, *packets: Packet) -> None:
        self.writer.write(b"".join(map(encode, packets)))

    async def next(self) -> Packet | None:
        """The next packet; None at the end, however it comes."""
        while (packet := self._decoder.next()) is None:
            try:
                data = await asyncio.wait_for(self.reader.read(65536), PATIENCE)
            except ConnectionError:
                return None
            if not data:
                return None
            self._decoder.feed(data)
        return packet


class Site:
    """An adapter that listens, and devices that come."""

    def __init__(self, adapter: Adapter, world: World, port: int, trust: ssl.SSLContext | None) -> None:
        self.adapter, self.world, self.port, self._trust = adapter, world, port, trust
        self._devices: list[Device] = []

    async def device(self) -> Device:
        device = Device(*await asyncio.open_connection("localhost", self.port, ssl=self._trust))
        self._devices.append(device)
        return device

    async def known(self, name: str = "d0") -> Device:
        device = await self.device()
        device.send(Connect(client_id=name, username=f"{name}@T", password=b"pw"))
        assert await device.next() == Connack()
        return device

    def abort(self) -> None:
        for device in self._devices:
            device.writer.transport.abort()


LIMITS = AdapterLimits(sockets=SocketLimits(goodbye_timeout=0.3))


@asynccontextmanager
async def site(
    rules: Rules | None = None, limits: AdapterLimits = LIMITS, tls: ServerTls | None = None, trust=None
) -> AsyncIterator[Site]:
    world = World()
    adapter = Adapter(ports=world, rules=rules or Rules(), limits=limits)
    here = Site(adapter, world, await adapter.listen("127.0.0.1", 0, tls), trust)
    try:
        yield here
    finally:
        here.abort()
        await asyncio.wait_for(adapter.stop(), PATIENCE)
    assert adapter.roll.count == 0
    assert world.delivers == {}


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request) -> Callable:
    return request.param


def qos1(number: int, topic: str = "t") -> Publish:
    return Publish(topic=topic, payload=str(number).encode(), qos=1, packet_id=number)
