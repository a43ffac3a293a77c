"""Access to messages: who a device is when it connects, and what it may publish and subscribe."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256

from muster.core import access, connections, validity
from muster.core.errors import Forbidden, NotFound, Unauthenticated
from muster.core.model import (
    NEVER,
    Channel,
    ChannelId,
    ClientIdClaim,
    Connection,
    Device,
    DeviceId,
    Flow,
    Instant,
    Kind,
    Secret,
    Status,
    Tenant,
    TenantId,
)
from muster.core.ports import ANYWHERE, Is, OneOf, Tx, Window


class Reason(StrEnum):
    """Why a device is refused. For logs and counters; the device learns only that it was."""

    UNKNOWN = "unknown"
    WRONG_SECRET = "wrong_secret"  # noqa: S105 a name, not a secret
    DISABLED = "disabled"
    TENANT_CLOSED = "tenant_closed"
    CLIENT_ID_TAKEN = "client_id_taken"
    CERTIFICATE = "certificate"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A device is not let in."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRight:
    """What a device may do on one channel."""

    channel_id: ChannelId
    tenant_id: TenantId
    route: str | None
    tenant_alias: str | None
    publish: bool
    subscribe: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """A device that is let in, and what it may do."""

    tenant_id: TenantId
    device_id: DeviceId
    channels: tuple[ChannelRight, ...]
    expires_at: Instant = NEVER
    """When the session must end by itself; 0: never."""
    proof: str = field(default="", repr=False)
    """A hash of the secret, or the serial of the certificate, that the device has shown."""
    others: tuple[tuple[str, Instant], ...] = field(default=(), repr=False)
    """What else it could have shown, and when the session would end by itself then."""
    owns_client_id: bool = field(default=False, compare=False)
    """Whether the MQTT client id it came with is known to be its own."""

    @property
    def session(self) -> str:
        """The name of the device's sessions inside Muster; unique in the installation."""
        return f"{self.tenant_id}/{self.device_id}"

    @property
    def mark(self) -> str:
        """What differs as soon as the rights do, or what was shown for them; empty when nothing was."""
        return self._mark(self.proof, self.expires_at)

    @property
    def marks(self) -> frozenset[str]:
        """The marks of all ways in which the device could have logged in."""
        shown = ((self.proof, self.expires_at), *self.others)
        return frozenset(self._mark(*each) for each in shown if each[0])

    def _mark(self, proof: str, expires_at: Instant) -> str:
        if not proof:
            return ""
        channels = sorted(self.channels, key=lambda right: right.channel_id)
        return sha256(f"{proof} {expires_at} {channels}".encode()).hexdigest()


def login(tx: Tx, username: str, secret: Secret, client_id: str = "") -> Rights | Refusal:
    """Let a device in by its id and secret (spec E.2); a secret alone names no tenant.

    The MQTT client id, where it has one, must not be another's.
    """
    candidates = tx.select(Device, ANYWHERE, Is("id", username))
    # Several tenants may use the same device id: the secret tells which one is meant.
    device = next((d for d in candidates if d.secret is not None and d.secret == secret), None)
    if device is None:
        return Refusal(Reason.WRONG_SECRET if candidates else Reason.UNKNOWN)
    return as_client(tx, _by_secret(tx, device), client_id)


def as_client(tx: Tx, rights: Rights | Refusal, client_id: str) -> Rights | Refusal:
    """Refuse who comes with the MQTT client id of another; see whether it is its own."""
    if isinstance(rights, Refusal) or not client_id:
        return rights
    owns = holds_client_id(tx, client_id, rights.tenant_id, rights.device_id)
    return Refusal(Reason.CLIENT_ID_TAKEN) if owns is False else replace(rights, owns_client_id=bool(owns))


def _by_secret(tx: Tx, device: Device) -> Rights | Refusal:
    rights = admit(tx, device)
    if isinstance(rights, Refusal) or device.secret is None:
        return rights
    return replace(rights, proof=sha256(device.secret.reveal().encode()).hexdigest())


def admit(tx: Tx, device: Device) -> Rights | Refusal:
    """Give the rights of a device that has proved who it is."""
    if device.status is not Status.ENABLED:
        return Refusal(Reason.DISABLED)
    tenant = tx.get(Tenant, ANYWHERE, device.tenant_id)
    if tenant is None or tenant.status is not Status.ENABLED:
        return Refusal(Reason.TENANT_CLOSED)
    return Rights(tenant_id=tenant.id, device_id=device.id, channels=_rights(tx, tenant, device))


def _rights(tx: Tx, tenant: Tenant, device: Device) -> tuple[ChannelRight, ...]:
    flows = connections.flows_of(tx, tenant.id, device.id)
    channels = tx.select(Channel, tenant.id, OneOf("id", list(flows)), Is("status", Status.ENABLED))
    alias, routes = _own_alias(tx, tenant), _own_routes(tx, tenant, channels)
    return tuple(
        ChannelRight(
            channel_id=channel.id,
            tenant_id=tenant.id,
            route=routes.get(channel.id),
            tenant_alias=alias,
            publish=bool(flows[channel.id] & Flow.PUBLISH),
            subscribe=bool(flows[channel.id] & Flow.SUBSCRIBE),
        )
        for channel in channels
    )


def identify(tx: Tx, secret: Secret) -> Device:
    """Give the device whose secret this is, though nothing names its tenant (spec B.4).

    NotFound for a secret nobody has, for one that devices of several tenants have, and for a device that is
    out.
    """
    found = tx.select(Device, ANYWHERE, Is("secret", secret), window=Window(limit=2))
    if len(found) != 1 or isinstance(admit(tx, found[0]), Refusal):
        raise NotFound
    return found[0]


def identify_on(tx: Tx, channel_id: str, secret: Secret) -> DeviceId:
    """Give the device whose secret this is if it is connected to the channel, in any way.

    NotFound for a secret nobody has; Forbidden when it is not connected, or device, channel or tenant are
    out.
    """
    try:
        passed = may_pass(
            tx, channel_id=channel_id, tenant_name=None, secret=secret, device_id=None, flow=Flow.BOTH
        )
    except Unauthenticated:
        identify(tx, secret)
        raise Forbidden from None
    return DeviceId(passed.publisher)


def check_on(tx: Tx, channel_id: str, device_id: str) -> None:
    """Raise Forbidden unless that device is connected to the channel, and both and their tenant take part."""
    channel, tenant = _address(tx, channel_id, None)
    device = None if tenant is None else tx.get(Device, tenant.id, device_id)
    if channel is None or tenant is None or device is None:
        raise Forbidden
    is_enabled = {device.status, channel.status, tenant.status} == {Status.ENABLED}
    if not is_enabled or channel.id not in connections.flows_of(tx, tenant.id, device.id):
        raise Forbidden


def _own_alias(tx: Tx, tenant: Tenant) -> str | None:
    """Give the alias unless it is another tenant's id: then the name, and its topics, are the other's."""
    if tenant.alias is None or tx.get(Tenant, ANYWHERE, TenantId(tenant.alias)) is not None:
        return None
    return tenant.alias


def _own_routes(tx: Tx, tenant: Tenant, channels: Sequence[Channel]) -> dict[ChannelId, str]:
    """Give the routes by channel, without those that are the id of another channel."""
    routes = {channel.id: channel.route for channel in channels if channel.route}
    taken = tx.select(Channel, tenant.id, OneOf("id", list(routes.values()))) if routes else []
    foreign = {str(channel.id) for channel in taken}
    return {channel_id: route for channel_id, route in routes.items() if route not in foreign}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A channel and every name it may be addressed by."""

    channel_id: ChannelId
    tenant_id: TenantId
    route: str | None
    tenant_alias: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A message may pass: who sends or reads it, and where."""

    where: Whereabouts
    publisher: str


def may_pass(
    tx: Tx, *, channel_id: str, tenant_name: str | None, secret: Secret, device_id: str | None, flow: Flow
) -> Passage:
    """Let a device publish to or read a channel by its secret, resolved together with the channel's tenant.

    *tenant_name* is the tenant's id or alias where the address names one. Unauthenticated for an unknown
    secret or channel, Forbidden when it is not connected so, or device, channel or tenant are disabled.
    """
    channel, tenant = _address(tx, channel_id, tenant_name)
    if channel is None or tenant is None:
        raise Unauthenticated
    device = tx.find(Device, tenant.id, secret=secret)
    if device is None or (device_id and device.id != device_id):
        raise Unauthenticated
    return _passage(tx, device, channel, tenant, flow)


def let_pass(tx: Tx, device: Device, *, channel_id: str, tenant_name: str | None, flow: Flow) -> Passage:
    """Let a device that has proved who it is publish to or read a channel; errors as may_pass."""
    channel, tenant = _address(tx, channel_id, tenant_name)
    if channel is None or tenant is None or tenant.id != device.tenant_id:
        raise Unauthenticated
    return _passage(tx, device, channel, tenant, flow)


def _passage(tx: Tx, device: Device, channel: Channel, tenant: Tenant, flow: Flow) -> Passage:
    if {device.status, channel.status, tenant.status} != {Status.ENABLED}:
        raise Forbidden
    connection = tx.find(Connection, tenant.id, channel_id=channel.id, device_id=device.id)
    if connection is None or not connection.flow & flow:
        raise Forbidden
    return Passage(where=_whereabouts(tx, channel, tenant), publisher=device.id)


def may_user_pass(
    tx: Tx, caller: access.Caller, *, channel_id: str, tenant_name: str | None, flow: Flow
) -> Passage:
    """Let a user publish to or read a channel by right of membership (spec E.2)."""
    standing, channel = _entered(tx, caller, channel_id, tenant_name)
    tenant = standing.tenant
    action = "publish" if flow is Flow.PUBLISH else "subscribe"
    access.require(tx, standing, Kind.CHANNEL, channel, action)
    if channel.status is not Status.ENABLED:
        raise Forbidden
    return Passage(where=_whereabouts(tx, channel, tenant), publisher=caller.id)


def _entered(
    tx: Tx, caller: access.Caller, channel_id: str, tenant_name: str | None
) -> tuple[access.Standing, Channel]:
    """Find a channel for a user; what is foreign and what does not exist look the same."""
    channel, tenant = _address(tx, channel_id, tenant_name)
    if tenant_name is None:
        if channel is None or tenant is None:
            raise NotFound
        try:
            return access.enter(tx, caller, tenant.id), channel
        except Forbidden:
            raise NotFound from None
    standing = access.enter(tx, caller, TenantId(tenant_name) if tenant is None else tenant.id)
    if channel is None:
        raise NotFound
    return standing, channel


def _address(tx: Tx, channel: str, tenant_name: str | None) -> tuple[Channel | None, Tenant | None]:
    """Find the channel by id or, within a named tenant, by route."""
    if tenant_name is None:
        found = tx.get(Channel, ANYWHERE, channel)
        return found, tx.get(Tenant, ANYWHERE, found.tenant_id) if found is not None else None
    tenant = tx.get(Tenant, ANYWHERE, tenant_name) or tx.find(Tenant, ANYWHERE, alias=tenant_name)
    if tenant is None:
        return None, None
    return tx.get(Channel, tenant.id, channel) or tx.find(Channel, tenant.id, route=channel), tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Who holds a connection to one channel, and what may pass there."""

    session: str
    """As Rights.session; for a user `user/<id>`."""
    channel: Whereabouts
    publisher: str
    flow: Flow


def seat_of_device(tx: Tx, *, channel_id: str, tenant_name: str | None, secret: Secret) -> Seat:
    """Give what a device may do on a channel, by its secret. Errors as may_pass."""
    channel, tenant = _address(tx, channel_id, tenant_name)
    if channel is None or tenant is None:
        raise Unauthenticated
    device = tx.find(Device, tenant.id, secret=secret)
    if device is None:
        raise Unauthenticated
    flow = connections.flows_of(tx, tenant.id, device.id).get(channel.id, Flow(0))
    if not flow or {device.status, channel.status, tenant.status} != {Status.ENABLED}:
        raise Forbidden
    where = _whereabouts(tx, channel, tenant)
    return Seat(session=f"{tenant.id}/{device.id}", channel=where, publisher=device.id, flow=flow)


def seat_of_user(tx: Tx, caller: access.Caller, *, channel_id: str, tenant_name: str | None) -> Seat:
    """Give what a user may do on a channel by right of membership. Errors as may_user_pass."""
    standing, channel = _entered(tx, caller, channel_id, tenant_name)
    tenant = standing.tenant
    held = access.allowed(tx, standing, Kind.CHANNEL, channel)
    flow = (Flow.PUBLISH if "publish" in held else Flow(0)) | (
        Flow.SUBSCRIBE if "subscribe" in held else Flow(0)
    )
    if not flow or channel.status is not Status.ENABLED:
        raise Forbidden
    where = _whereabouts(tx, channel, tenant)
    return Seat(session=f"user/{caller.id}", channel=where, publisher=caller.id, flow=flow)


def resolve(tx: Tx, channel: str, tenant_name: str | None) -> Whereabouts | None:
    """Find a channel by id or route, and the tenant's id or alias where named; None if there is none."""
    found, tenant = _address(tx, channel, tenant_name)
    if found is None or tenant is None:
        return None
    return _whereabouts(tx, found, tenant)


def _whereabouts(tx: Tx, channel: Channel, tenant: Tenant) -> Whereabouts:
    return Whereabouts(
        channel_id=channel.id,
        tenant_id=tenant.id,
        route=_own_routes(tx, tenant, [channel]).get(channel.id),
        tenant_alias=_own_alias(tx, tenant),
    )


def rights_of(tx: Tx, tenant_id: TenantId, device_id: DeviceId) -> Rights | Refusal:
    """Give the rights a device has now, as if it had just logged in, in each way it can."""
    device = tx.get(Device, tenant_id, device_id)
    if device is None:
        return Refusal(Reason.UNKNOWN)
    rights = _by_secret(tx, device)
    if isinstance(rights, Refusal):
        return rights
    good = validity.valid(tx, tenant_id, device_id)
    return replace(rights, others=tuple((each.id, each.not_after) for each in good))


def client_ids_of(tx: Tx, tenant_id: TenantId, device_id: DeviceId) -> list[str]:
    """Give the MQTT client ids the device has claimed."""
    return [claim.id for claim in tx.select(ClientIdClaim, tenant_id, Is("device_id", device_id))]


def holds_client_id(tx: Tx, client_id: str, tenant_id: TenantId, device_id: DeviceId) -> bool | None:
    """Say whether this MQTT client id is the device's; None when it is nobody's."""
    held = tx.get(ClientIdClaim, ANYWHERE, client_id)
    return None if held is None else (held.tenant_id, held.device_id) == (tenant_id, device_id)


def claim_client_id(tx: Tx, client_id: str, tenant_id: TenantId, device_id: DeviceId) -> bool:
    """Say whether the device may use this MQTT client id: its own, or nobody's yet and now its own."""
    tx.lock(f"client-id:{client_id}")
    held = holds_client_id(tx, client_id, tenant_id, device_id)
    if held is None:
        tx.add(ClientIdClaim(id=client_id, tenant_id=tenant_id, device_id=device_id, created_at=tx.now))
    return held is not False


def release_client_ids(tx: Tx, tenant_id: TenantId, device_id: DeviceId) -> None:
    """Free the client ids of a device that was deleted, once the broker keeps nothing for them any more."""
    if tx.get(Device, tenant_id, device_id) is None:
        tx.remove(ClientIdClaim, tenant_id, device_id=device_id)
