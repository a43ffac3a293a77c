"""Eclipse Hono's side of a running Muster: its door, its adapters, and what it tells the world."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from muster.assembly.certificates import Certificates
from muster.assembly.gate import HTTP, MQTT, Gate
from muster.assembly.identifier import Identifier
from muster.assembly.messages import Messages
from muster.assembly.metering import Meter
from muster.assembly.parts import Parts
from muster.assembly.revocations import Revocations
from muster.core import events, gateways
from muster.core.errors import MusterError, Unavailable
from muster.core.model import DeviceId, Event, TenantId
from muster.core.throttle import Throttle
from muster.dialects.hono import door
from muster.dialects.hono.logins import Logins
from muster.dialects.hono.options import Options
from muster.plane.adapter import commands, consume, http
from muster.plane.adapter.actions import Rules
from muster.plane.adapter.server import Adapter, AdapterLimits
from muster.web import app as web
from muster.web.outgoing import Outgoing
from muster.web.tls import ServerTls

METER_SECONDS = 5.0
"""Between two looks at who is connected."""
NOTIFICATION = "application/vnd.eclipse-hono-device-provisioning-notification"


def identifier_of(parts: Parts, throttle: Throttle) -> Identifier:
    """Give what says who a device is."""
    settings = parts.configuration.settings
    outgoing = Outgoing(allows_private=settings.calls_private)
    return Identifier(
        parts.store,
        parts.passwords,
        Certificates(),
        parts.clock,
        throttle,
        device_ids=settings.id_pattern("hono_device_ids"),
        revocations=Revocations(outgoing, parts.clock),
    )


def dialect(parts: Parts, throttle: Throttle, messages: Messages) -> web.Dialect:
    """Give Hono's door: management, what adapters ask, and its HTTP adapter."""
    settings = parts.configuration.settings
    options = Options(
        tenant_id=settings.id_pattern("hono_tenant_ids"),
        device_id=settings.id_pattern("hono_device_ids"),
        auth_id=settings.id_pattern("hono_auth_ids"),
        certificates=Certificates(),
        hash_password=parts.passwords.hash,
        max_bulk=settings.max_bulk,
        calls_private=settings.calls_private,
    )
    logins = Logins(parts.store, parts.passwords, throttle, parts.clock)
    parts.store.on_emitted(logins.changed)
    identifier = identifier_of(parts, throttle)
    meter = Meter(parts.store, parts.clock)
    gate = Gate(parts.store, identifier, messages.plane.downstream, adapter=HTTP, meter=meter)
    most = settings.max_message_bytes
    downstream = messages.plane.downstream
    more = [http.routes(gate, most), consume.routes(downstream), commands.routes(downstream, most)]
    return door.dialect(options, logins, more)


class HonoAdapter:
    """The leading process's MQTT adapter, and the announcements of devices that provisioned themselves."""

    def __init__(self, parts: Parts, messages: Messages) -> None:
        settings = parts.configuration.settings
        throttle = Throttle(
            limit=settings.throttle_attempts, period=int(settings.throttle_window.total_seconds())
        )
        self._parts = parts
        self._downstream = messages.plane.downstream
        identifier = identifier_of(parts, throttle)
        self._meter = Meter(parts.store, parts.clock)
        self.gate = Gate(
            parts.store, identifier, self._downstream, adapter=MQTT, meter=self._meter, remembers=True
        )
        self._metering: asyncio.Task[None] | None = None
        self.adapter = Adapter(
            ports=self.gate,
            rules=Rules(payload_size=settings.max_message_bytes),
            limits=AdapterLimits(sessions=settings.mqtt_max_connections),
        )
        self.gate.count_by(self.adapter.roll.count_of)
        self._downstream.route_by(self.gate.gateways_of)

    async def start(self, tls: ServerTls | None = None) -> None:
        """Listen where the settings say; with TLS once there is a certificate to show."""
        settings = self._parts.configuration.settings
        for place, shown in ((settings.adapter_mqtt, None), (settings.adapter_mqtts, tls)):
            if place is None or (place is settings.adapter_mqtts and tls is None):
                continue
            try:
                await self.adapter.listen(place.host, place.port, shown)
            except OSError as error:
                raise Unavailable(f"cannot listen on {place.host}:{place.port}: {error.strerror}") from None

        self._metering = asyncio.get_running_loop().create_task(self._meter_connections())

    async def stop(self) -> None:
        """End all connections; what was counted is written."""
        if self._metering is not None:
            self._metering.cancel()
        await self.adapter.stop()
        with contextlib.suppress(MusterError):
            await self._meter.write()

    async def _meter_connections(self) -> None:
        """Count for how long devices are connected: those of each look, for the time since the one before."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(METER_SECONDS)
            now = time.monotonic()
            with contextlib.suppress(MusterError):
                await self._meter.connected(self.adapter.roll.count_by_tenant(), now - before)
            before = now

    async def deliver(self, event: Event) -> None:
        """Take an event of the outbox: cut who lost rights, tell who came into being. Unavailable: later."""
        tenant, device = event.tenant_id, DeviceId(event.key)
        match event.topic:
            case events.TENANT_CLOSED:
                self.gate.forget(tenant)
                self.adapter.cut(tenant)
            case events.RIGHTS_CHANGED | events.ACCESS_ENDED:
                self.gate.forget(tenant)
                await self.adapter.refresh(tenant, device)
            case events.DEVICE_PROVISIONED:
                await self._announce(tenant, device, event.payload)

    async def _announce(self, tenant: TenantId, device: DeviceId, payload: dict[str, str | None]) -> None:
        headers = {
            "tenant_id": tenant,
            "device_id": device,
            "content-type": NOTIFICATION,
            "hono_registration_status": "NEW",
            "orig_adapter": "hono-device-registry",
            "orig_address": "event",
            "qos": "1",
        }
        gateway = payload.get("gateway")
        if gateway:
            headers["gateway_id"] = gateway
        await self._downstream.event(tenant, b"", headers)
        await self._parts.store.run(gateways.announced, tenant, device)


@asynccontextmanager
async def running(hono: HonoAdapter | None, tls: ServerTls | None = None) -> AsyncIterator[None]:
    """Run the adapter, if there is one."""
    if hono is None:
        yield
        return
    await hono.start(tls)
    try:
        yield
    finally:
        await hono.stop()
