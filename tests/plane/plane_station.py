"""Broker and plane on a loop of their own, so that tests speak to them from outside as devices do."""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from plane_fleet import Device as FleetDevice
from plane_fleet import Fleet
from plane_mqtt import Device
from prometheus_client import CollectorRegistry
from tests.ports import free_port

from muster.core import events
from muster.core.model import Event, Instant, TenantId
from muster.plane.broker import Broker, find_binary
from muster.plane.config import Limits, Node
from muster.plane.keys import Keys
from muster.plane.publish import Retention
from muster.plane.service import Plane

R = TypeVar("R")


def make_node(data: Path, **more: Any) -> Node:
    loopback = ("127.0.0.1", free_port()), ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
    nats, mqtt, websocket = loopback
    return Node(name="muster", data=data, nats=nats, mqtt=mqtt, websocket=websocket, **more)


class Station:
    """One broker and one leading process of Muster."""

    def __init__(
        self,
        data: Path,
        *,
        fleet: Fleet | None = None,
        keys: Keys | None = None,
        retention: Retention | None = None,
        limits: Limits | None = None,
        binary: Path | None = None,
    ) -> None:
        self.fleet = fleet or Fleet()
        self.keys = keys or Keys(secrets.token_bytes(32))
        self.node = make_node(data, limits=limits or Limits())
        self.registry = CollectorRegistry()
        self._retention = retention
        self._binary = binary or find_binary(None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._make())

    async def _make(self) -> None:
        self.broker = Broker(self._binary, self.node, self.keys, on_refused=self._dropped)
        self.plane = self.make_plane(retention=self._retention)

    def _dropped(self) -> None:
        self.plane.meters.dropped.inc()

    def make_plane(self, *, leads: bool = True, retention: Retention | None = None) -> Plane:
        return Plane(
            urls=[self.broker.url],
            doors=[self.node.mqtt],
            keys=self.keys,
            ports=self.fleet.ports(),
            registry=self.registry if leads else CollectorRegistry(),
            leads=leads,
            retention=retention,
            payload_bytes=self.node.limits.payload_bytes,
        )

    def start(self) -> "Station":
        self.run(self.broker.start())
        self.run(self._start_plane())
        return self

    async def _start_plane(self) -> None:
        self.plane.start()
        await self.plane.wait_up(10)

    def run(self, work: Coroutine[Any, Any, R], patience: float = 60) -> R:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience)

    def connect(self, device: FleetDevice, **how: Any) -> Device:
        port = (self.node.websocket or self.node.mqtt)[1] if how.get("transport") else self.node.mqtt[1]
        return Device(port, device.id, how.pop("password", device.secret), **how)

    def raw_connack(self, device: FleetDevice, *, client_id: str, flags: int) -> int:
        """Connect with what paho would not send; give the return code of CONNACK."""
        fields = [
            client_id,
            *([device.id] if flags & 0x80 else []),
            *([device.secret] if flags & 0x40 else []),
        ]
        body = b"\x00\x04MQTT\x04" + bytes([flags, 0, 60])
        body += b"".join(len(f).to_bytes(2, "big") + f.encode() for f in fields)
        with socket.create_connection(self.node.mqtt, timeout=5) as connection:
            connection.sendall(b"\x10" + bytes([len(body)]) + body)
            return connection.recv(4)[3]

    def deliver(self, topic: str, device: FleetDevice) -> None:
        """Have the outbox say that something changed for *device*."""
        self.run(self.plane.deliver(self._event(topic, device)))

    def delete_channel(self, name: str) -> None:
        """Have the outbox say that a channel is gone."""
        address = self.fleet.channels[name]
        names = {"route": address.route, "alias": address.tenant_alias}
        now = Instant(time.time_ns() // 1000)
        event = Event(
            topic=events.CHANNEL_DELETED,
            tenant_id=TenantId(address.tenant_id),
            key=name,
            payload=names,
            created_at=now,
        )
        self.run(self.plane.deliver(event))

    def _event(self, topic: str, device: FleetDevice) -> Event:
        key = device.tenant if topic == events.TENANT_CLOSED else device.id
        payload = {"route": None, "alias": None} if topic == events.CHANNEL_DELETED else None
        now = Instant(time.time_ns() // 1000)
        return Event(topic=topic, tenant_id=TenantId(device.tenant), key=key, payload=payload, created_at=now)

    def deliver_soon(self, topic: str, device: FleetDevice) -> None:
        """As deliver, called from the loop itself."""
        event = self._event(topic, device)
        asyncio.ensure_future(self.plane.deliver(event), loop=self._loop)  # noqa: RUF006 the loop outlives it

    def is_live(self, device: FleetDevice) -> bool:
        """Say whether the device is seen connected; waits for it."""
        return self.eventually(lambda: bool(self.plane.live.of(f"{device.tenant}/{device.id}")))

    def is_gone(self, device: FleetDevice) -> bool:
        """Say whether the device is seen connected no more; waits for it."""
        return self.eventually(lambda: not self.plane.live.of(f"{device.tenant}/{device.id}"))

    def leave(self, device: FleetDevice, connection: Device) -> None:
        """Disconnect and wait until the broker knows."""
        connection.close()
        assert self.is_gone(device)

    def eventually(self, holds: Callable[[], bool], patience: float = 30) -> bool:
        """Say whether it holds within *patience* seconds."""
        end = time.monotonic() + patience
        while not holds():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def stop(self) -> None:
        self.run(self.plane.stop())
        self.run(self.broker.stop())
        self._end_loop()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()
