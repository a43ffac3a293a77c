"""Hono's adapters, joined with the core: whether a device may speak, and where its messages go."""

import time
from collections.abc import Sequence
from typing import Protocol

from muster.assembly.headers import Registration, headers_of
from muster.assembly.identifier import Identifier
from muster.assembly.metering import Meter
from muster.core import gateways, metering, southbound
from muster.core.admission import admission_of, stands
from muster.core.errors import (
    Forbidden,
    LimitReached,
    Malformed,
    MusterError,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from muster.core.gateways import Unannounced
from muster.core.identity import hono
from muster.core.metering import Kind
from muster.core.model import Device, DeviceId, Status, Tenant, TenantId
from muster.core.ports import ANYWHERE, Store, Tx
from muster.core.southbound import Login
from muster.plane.adapter.downstream import Downstream
from muster.plane.adapter.packets import ConnackCode
from muster.plane.adapter.ports import (
    AdapterDevice,
    AdapterRefusal,
    CommandSubscription,
    Deliver,
    Evidence,
    Failure,
    Message,
    MessageKind,
)

_ANYTHING = {Kind.BYTES: 1, Kind.SECONDS: 1}
"""What must be left of a limit for a device to be let in."""
MQTT, HTTP = "hono-mqtt", "hono-http"
REMEMBERED_SECONDS = 5.0
"""For how long a device's registration is taken for granted between its messages; a cut ends it at once."""
MOST_REMEMBERED = 8192
"""Registrations, and gateways that spoke last."""


class Sessions(Protocol):
    """Who counts connections."""

    def __call__(self, tenant_id: TenantId) -> int:
        """Say how many devices of the tenant are connected."""


class Gate:
    """Implements plane/adapter/ports.AdapterPorts for one adapter."""

    def __init__(
        self,
        store: Store,
        identifier: Identifier,
        downstream: Downstream,
        *,
        adapter: str,
        sessions: Sessions | None = None,
        meter: Meter,
        remembers: bool = False,
    ) -> None:
        """Prepare. Only who hears of cuts may remember registrations between messages: see forget."""
        self._remembers = remembers
        self._meter = meter
        self._store = store
        self._identifier = identifier
        self._downstream = downstream
        self._adapter = adapter
        self._sessions = sessions
        self._last_via: dict[tuple[str, str], str] = {}
        self._registrations: dict[tuple[str, str, str], tuple[Registration, float]] = {}

    def count_by(self, sessions: Sessions) -> None:
        """Have connections counted, for tenants that limit them."""
        self._sessions = sessions

    async def authenticate(self, evidence: Evidence) -> AdapterDevice | AdapterRefusal:
        """Say who it is; tenant, adapter and device are enabled, limits hold."""
        try:
            login = await self.log_in(evidence)
        except MusterError as error:
            return AdapterRefusal(code=_code(error), reason=error.message)
        admission = admission_of(login)
        return AdapterDevice(tenant_id=login.tenant.id, device_id=login.device.id, admission=admission)

    async def stands(self, device: AdapterDevice) -> bool:
        """Say whether the device would be let in again by what let it in."""
        admission = device.admission
        if admission is None:
            return False
        return await self._store.read(stands, device.tenant_id, device.device_id, admission)

    async def log_in(self, evidence: Evidence) -> Login:
        """Do as authenticate; any of the core's errors for a refusal."""
        login = await self._identifier.identify(evidence, self._adapter)
        southbound.admit(login, self._adapter)
        most = hono(login.tenant.extensions).get("resource-limits", {}).get("max-connections", -1)
        if self._sessions is not None and 0 <= most <= self._sessions(login.tenant.id):
            raise LimitReached(f"the tenant's devices may have {most} connections")
        if self._sessions is not None:
            limits = metering.limits_of(login.tenant)
            for kind in Kind:
                await self._meter.take(login.tenant.id, kind, limits, _ANYTHING[kind])
                self._meter.give_back(login.tenant.id, kind, limits, _ANYTHING[kind])
        return login

    async def forward(self, message: Message) -> Failure | None:
        """Authorise and hand on. With QoS 1 the broker has it when this returns; an event is stored."""
        try:
            registration = await self._registered(message)
            await self._metered(message, registration)
        except MusterError as error:
            is_own = message.via is None
            terminal = is_own and isinstance(error, NotFound | Forbidden)
            return Failure(status=_status(error), text=error.message, is_terminal=terminal)
        if message.via is not None and self._remembers:
            self._note_gateway(message.tenant_id, message.device_id, message.via)
        return None

    async def _metered(self, message: Message, registration: Registration) -> None:
        size = metering.metered(len(message.payload), registration.least_size)
        of = (message.tenant_id, Kind.BYTES, registration.limits, size)
        await self._meter.take(*of)
        try:
            await self._send(message, registration)
        except BaseException:
            self._meter.give_back(*of)
            raise

    def _note_gateway(self, tenant_id: TenantId, device_id: DeviceId, gateway: str) -> None:
        if len(self._last_via) >= MOST_REMEMBERED:
            self._last_via.clear()
        self._last_via[tenant_id, device_id] = gateway

    async def gateways_of(self, tenant_id: TenantId, device_id: DeviceId) -> Sequence[str]:
        """Name the gateways that may speak for a device: first the one that did last (spec C.1)."""
        allowed = await self._store.read(_gateways, tenant_id, device_id)
        last = self._last_via.get((tenant_id, device_id), "")
        return sorted(allowed, key=lambda each: each != last)

    async def _registered(self, message: Message) -> Registration:
        key = (message.tenant_id, message.device_id, message.via or "")
        known, until = self._registrations.get(key, (None, 0.0))
        if known is not None and until > time.monotonic():
            return known
        args = (message.tenant_id, message.device_id, message.via, self._adapter)
        found = await self._store.read(_register, *args, is_authenticated=message.is_authenticated)
        if found is None:
            gateway = message.via or DeviceId("")
            ids = (message.tenant_id, message.device_id, gateway)
            await self._store.run(gateways.announce, *ids, device_ids=self._identifier.device_ids)
            found = await self._store.read(_register, *args, is_authenticated=message.is_authenticated)
            assert found is not None
        if not self._remembers:
            return found
        if len(self._registrations) >= MOST_REMEMBERED:
            self._registrations.clear()
        self._registrations[key] = (found, time.monotonic() + REMEMBERED_SECONDS)
        return found

    def forget(self, tenant_id: str) -> None:
        """Take nothing for granted any more of a tenant in which rights have changed."""
        for key in [key for key in self._registrations if key[0] == tenant_id]:
            del self._registrations[key]

    async def _send(self, message: Message, registration: Registration) -> None:
        headers = headers_of(message, registration, self._adapter)
        match message.kind:
            case MessageKind.TELEMETRY:
                await self._downstream.telemetry(
                    message.tenant_id, message.payload, headers, is_sure=message.qos > 0
                )
            case MessageKind.EVENT:
                await self._downstream.event(message.tenant_id, message.payload, headers)
            case MessageKind.COMMAND_RESPONSE:
                await self._downstream.response(message.tenant_id, message.payload, headers)

    async def register_commands(self, wanted: CommandSubscription, deliver: Deliver) -> bool:
        """Route commands to *deliver* from now on, if the gateway may act for the device."""
        if wanted.gateway_id is not None and not wanted.for_all and wanted.gateway_id != wanted.device_id:
            try:
                args = (wanted.tenant_id, wanted.device_id, wanted.gateway_id, self._adapter)
                if await self._store.read(_register, *args, is_authenticated=True) is None:
                    return False
            except MusterError:
                return False
        return self._downstream.register(wanted, deliver)

    async def unregister_commands(self, wanted: CommandSubscription, deliver: Deliver) -> None:
        """Undo register_commands, unless another connection has taken over."""
        self._downstream.unregister(wanted, deliver)


def _register(
    tx: Tx,
    tenant_id: TenantId,
    device_id: DeviceId,
    via: DeviceId | None,
    adapter: str,
    *,
    is_authenticated: bool,
) -> Registration | None:
    """Give what matters to a message; None when the gateway is to announce the device first."""
    tenant = tx.get(Tenant, ANYWHERE, tenant_id)
    if tenant is None:
        raise NotFound("there is no such tenant")
    southbound.open_tenant(tenant, adapter)
    if not is_authenticated and southbound.needs_authentication(tenant, adapter):
        raise Unauthenticated("the tenant's devices must log in")
    found = gateways.assert_device(tx, tenant, device_id, via)
    return None if isinstance(found, Unannounced) else _registration(tenant, found)


def _gateways(tx: Tx, tenant_id: TenantId, device_id: DeviceId) -> Sequence[str]:
    device = tx.get(Device, tenant_id, device_id)
    if device is None or device.status is not Status.ENABLED:
        return ()
    return gateways.gateways_of(tx, device)


def _registration(tenant: Tenant, device: Device) -> Registration:
    of_tenant, of_device = hono(tenant.extensions), hono(device.extensions)
    defaults = {**(of_tenant.get("defaults") or {}), **(of_device.get("defaults") or {})}
    least = of_tenant.get("minimum-message-size", 0)
    return Registration(defaults=defaults, limits=metering.limits_of(tenant), least_size=least)


_CODES: dict[type[MusterError], ConnackCode] = {
    Unauthenticated: ConnackCode.BAD_CREDENTIALS,
    Unavailable: ConnackCode.SERVER_UNAVAILABLE,
}
_STATUSES: dict[type[MusterError], int] = {
    Unauthenticated: 401,
    NotFound: 404,
    Malformed: 400,
    TooLarge: 413,
    TooMany: 429,
    Unavailable: 503,
}


def _code(error: MusterError) -> ConnackCode:
    found = (_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    return next(found, ConnackCode.NOT_AUTHORIZED)


def _status(error: MusterError) -> int:
    return next((_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES), 403)
