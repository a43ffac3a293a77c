"""Hono's adapters, joined with the core: who a device is, whether it may speak, and where its messages go."""

import hmac
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from secrets import token_bytes
from typing import Protocol

from muster.assembly.metering import Meter
from muster.assembly.revocations import Revocations, asks
from muster.ca import devicetokens
from muster.ca.passwords import verify_hono
from muster.core import metering, southbound
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
from muster.core.identity import PASSWORD, RAW_KEY, Certificates, Proof, hono
from muster.core.metering import Kind
from muster.core.model import Device, DeviceId, Instant, Json, Status, Tenant, TenantId
from muster.core.ports import ANYWHERE, Passwords, Store, Tx
from muster.core.southbound import Login, Unannounced, Unregistered
from muster.core.standing import standing_of, stands
from muster.core.throttle import Throttle
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What of tenant and device matters to a message."""

    defaults: Mapping[str, Json]
    """The device's over the tenant's."""
    limits: Mapping[str, Json]
    least_size: int = 0
    """What a message counts for at least, and in steps of which."""


class Remembered:
    """Passwords that were verified lately, by a keyed hash of verifier and password: bounded."""

    MOST = 8192
    SECONDS = 15 * 60

    def __init__(self) -> None:
        self._key = token_bytes(32)
        self._known: dict[bytes, float] = {}

    def mark(self, proof: Proof, plain: str) -> bytes:
        """Name the pair; another verifier, another name, so a changed password is never remembered."""
        text = f"{proof.function}\0{proof.verifier}\0{proof.salt}\0{plain}"
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")

    def knows(self, mark: bytes) -> bool:
        """Say whether it was verified lately."""
        return self._known.get(mark, 0.0) > time.monotonic()

    def add(self, mark: bytes) -> None:
        """Note that it was verified."""
        self._known.pop(mark, None)
        if len(self._known) >= self.MOST:
            del self._known[next(iter(self._known))]
        self._known[mark] = time.monotonic() + self.SECONDS


class Sessions(Protocol):
    """Who counts connections."""

    def __call__(self, tenant_id: TenantId) -> int:
        """Say how many devices of the tenant are connected."""


class Identifier:
    """Says who a device is by what it shows; shared by all adapters of a process."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        certificates: Certificates,
        clock: Callable[[], Instant],
        throttle: Throttle,
        *,
        device_ids: re.Pattern[str] = southbound.DEVICE_ID,
        revocations: Revocations | None = None,
    ) -> None:
        """Prepare; without *revocations* a CA that wants to be asked lets nobody in."""
        self._revocations = revocations
        self.device_ids = device_ids
        self._store = store
        self._passwords = passwords
        self._certificates = certificates
        self._clock = clock
        self._throttle = throttle
        self._remembered = Remembered()

    async def identify(self, evidence: Evidence, adapter: str) -> Login:
        """Give who proved itself: by certificate, token or password, in this order (spec C.1).

        Any of the core's errors else. Whether tenant, adapter and device are enabled is not asked here, but
        for a device that comes into being.
        """
        context: dict[str, Json] = {"client-id": evidence.client_id} if evidence.client_id else {}
        if evidence.chain_der:
            try:
                return await self._by_certificate(evidence, adapter, context)
            except Unauthenticated:
                if evidence.password is None and not evidence.token:
                    raise
        if evidence.token:
            try:
                return await self._by_token(evidence, context)
            except Unauthenticated:
                if evidence.password is None:
                    raise
        return await self._by_password(evidence, context)

    async def _by_token(self, evidence: Evidence, context: dict[str, Json]) -> Login:
        """Let in whoever signed with a key of the credential that the token, or else the request, names."""
        tenant, auth_id = devicetokens.claimed(evidence.token) or evidence.named or ("", "")
        attempt = (f"{auth_id}@{tenant}", evidence.source)
        self._throttle.check(attempt, self._clock())
        try:
            login = await self._store.read(southbound.find_login, tenant, RAW_KEY, auth_id, context)
            self._check_token(login, evidence.token)
        except (Unauthenticated, Malformed):
            self._throttle.failed(attempt, self._clock())
            raise Unauthenticated from None
        return login

    def _check_token(self, login: Login, token: str) -> None:
        now = self._clock()
        keys = [proof.key for proof in login.credential.proofs if proof.is_valid(now)]
        if not any(devicetokens.is_proven(token, key, now // 1_000_000) for key in keys):
            raise Unauthenticated

    async def _by_certificate(self, evidence: Evidence, adapter: str, context: dict[str, Json]) -> Login:
        keys = self._certificates.issuers(evidence.chain_der)
        anchors = await self._store.read(southbound.anchors, keys, evidence.sni)
        shown = self._certificates.verify(evidence.chain_der, anchors.cas, self._clock())
        tenant = anchors.tenant
        ca = next(each for each in anchors.cas if each.id == shown.ca_id)
        if self._revocations is not None and asks(ca):
            await self._revocations.check(evidence.chain_der, shown.serial, ca)
            shown = replace(shown, is_checked=True)
        known = await self._store.read(southbound.certificate_login, tenant.id, shown, context)
        if isinstance(known, Unregistered):
            southbound.open_tenant(tenant, adapter)
            login, _ = await self._store.run(
                southbound.first_contact,
                tenant.id,
                shown,
                source=evidence.source,
                device_ids=self.device_ids,
            )
            return login
        return known

    async def _by_password(self, evidence: Evidence, context: dict[str, Json]) -> Login:
        shown = evidence.password
        if shown is None:
            raise Unauthenticated
        attempt = (f"{shown.auth_id}@{shown.tenant}", evidence.source)
        self._throttle.check(attempt, self._clock())
        try:
            plain = shown.secret.decode()
            login = await self._store.read(
                southbound.find_login, shown.tenant, PASSWORD, shown.auth_id, context
            )
        except (Unauthenticated, Malformed, UnicodeDecodeError):
            await self._passwords.verify(None, "x")
            self._throttle.failed(attempt, self._clock())
            raise Unauthenticated from None
        now = self._clock()
        for proof in login.credential.proofs:
            if proof.is_valid(now) and await self._is_proven(proof, plain):
                return login
        self._throttle.failed(attempt, now)
        raise Unauthenticated

    async def _is_proven(self, proof: Proof, plain: str) -> bool:
        if proof.function in ("sha-256", "sha-512"):
            return verify_hono(proof.function, proof.verifier, proof.salt or None, plain)
        mark = self._remembered.mark(proof, plain)
        if self._remembered.knows(mark):
            return True
        is_proven = await self._passwords.verify(proof.verifier, plain)
        if is_proven:
            self._remembered.add(mark)
        return is_proven


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
        standing = standing_of(login)
        return AdapterDevice(tenant_id=login.tenant.id, device_id=login.device.id, standing=standing)

    async def stands(self, device: AdapterDevice) -> bool:
        """Say whether the device would be let in again by what let it in."""
        standing = device.standing
        if standing is None:
            return False
        return await self._store.read(stands, device.tenant_id, device.device_id, standing)

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
        if len(self._last_via) >= Remembered.MOST:
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
            await self._store.run(southbound.announce, *ids, device_ids=self._identifier.device_ids)
            found = await self._store.read(_register, *args, is_authenticated=message.is_authenticated)
            assert found is not None
        if not self._remembers:
            return found
        if len(self._registrations) >= Remembered.MOST:
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
    found = southbound.assert_device(tx, tenant, device_id, via)
    return None if isinstance(found, Unannounced) else _registration(tenant, found)


def _gateways(tx: Tx, tenant_id: TenantId, device_id: DeviceId) -> Sequence[str]:
    device = tx.get(Device, tenant_id, device_id)
    if device is None or device.status is not Status.ENABLED:
        return ()
    return southbound.gateways_of(tx, device)


def _registration(tenant: Tenant, device: Device) -> Registration:
    of_tenant, of_device = hono(tenant.extensions), hono(device.extensions)
    defaults = {**(of_tenant.get("defaults") or {}), **(of_device.get("defaults") or {})}
    least = of_tenant.get("minimum-message-size", 0)
    return Registration(defaults=defaults, limits=metering.limits_of(tenant), least_size=least)


def headers_of(message: Message, registration: Registration, adapter: str) -> dict[str, str]:
    """Give what applications are told about a message (spec C.1)."""
    defaults = registration.defaults
    headers = {
        "tenant_id": message.tenant_id,
        "device_id": message.device_id,
        "orig_adapter": adapter,
        "orig_address": message.topic.split("/?")[0] or message.kind.value,
        "content-type": message.content_type or str(defaults.get("content-type", "application/octet-stream")),
        "qos": str(message.qos),
        "creation-time": str(time.time_ns() // 1_000_000),
    }
    more = {
        "via": message.via,
        "ttd": message.ttd,
        "ttl": _ttl(message, registration),
        "request_id": message.request_id,
        "status": message.status,
    }
    headers |= {name: str(value) for name, value in more.items() if value is not None}
    return {name: _one_line(value) for name, value in headers.items()}


def _one_line(text: str) -> str:
    """A header of the broker is one line: what would break it is replaced."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "?" for each in text)


_TTL = {
    (MessageKind.EVENT, 1): ("ttl", "max-ttl"),
    (MessageKind.TELEMETRY, 0): ("ttl-telemetry-qos0", "max-ttl-telemetry-qos0"),
    (MessageKind.TELEMETRY, 1): ("ttl-telemetry-qos1", "max-ttl-telemetry-qos1"),
    (MessageKind.COMMAND_RESPONSE, 1): ("ttl-command-response", "max-ttl-command-response"),
}


def _ttl(message: Message, registration: Registration) -> int | None:
    default, limit = _TTL.get((message.kind, message.qos), ("ttl", "max-ttl"))
    wanted = message.ttl if message.ttl is not None else registration.defaults.get(default)
    most = registration.limits.get(limit, -1)
    given = [each for each in (wanted, most if most >= 0 else None) if isinstance(each, int)]
    return min(given) if given else None


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
