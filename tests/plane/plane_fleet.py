"""A fleet in memory: the ports of the room, answered as the core answers them, without a database."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from muster.core.messaging import ChannelRight, Reason, Refusal, Rights
from muster.core.model import ChannelId, DeviceId, Instant, Secret, TenantId
from muster.core.presence import Sighting
from muster.plane.callout import Login
from muster.plane.service import Ports
from muster.plane.subjects import Address

PUBLISH, SUBSCRIBE, BOTH = (True, False), (False, True), (True, True)


@dataclass
class Device:
    """A device of the fleet and its connections: channel id to (may publish, may subscribe)."""

    tenant: str
    id: str
    secret: str
    channels: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    is_enabled: bool = True
    expires_at: int = 0
    proof: str = ""
    """What stands for its secret, where a test wants changes of it to be told."""


class Fleet:
    """Devices, channels and claims, held in dictionaries."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}
        self.channels: dict[str, Address] = {}
        self.claims: dict[str, str] = {}
        self.sightings: list[Sighting] = []
        self.logins: list[Login] = []
        self.delay: dict[str, Callable[[], None]] = {}
        """What happens once while the device's rights are being read."""

    def channel(
        self, name: str, tenant: str = "t1", *, route: str | None = None, alias: str | None = None
    ) -> str:
        self.channels[name] = Address(name, tenant, route, alias)
        return name

    def device(self, name: str, tenant: str = "t1", **channels: tuple[bool, bool]) -> Device:
        given = {key.replace("_", "-"): flow for key, flow in channels.items()}
        for channel in given:
            if channel not in self.channels:
                self.channel(channel, tenant)
        self.devices[name] = Device(tenant, name, f"secret of {name}", given)
        return self.devices[name]

    def ports(self) -> Ports:
        return Ports(
            authorise=self.authorise,
            claim_client_id=self.claim_client_id,
            client_ids=self.client_ids,
            rights_of=self.rights_of,
            resolve=self.resolve,
            seen=self.seen,
        )

    async def authorise(self, login: Login) -> Rights | Refusal:
        self.logins.append(login)
        device = self.devices.get(login.username)
        if device is None:
            return Refusal(Reason.UNKNOWN)
        if (act := self.delay.pop(device.id, None)) is not None:
            rights = self._rights(device)
            act()
            await asyncio.sleep(0.2)
            return rights
        is_known = login.certificate_der == device.id.encode() or login.password == Secret(device.secret)
        return self._rights(device) if is_known else Refusal(Reason.WRONG_SECRET)

    async def rights_of(self, tenant: TenantId, device: DeviceId) -> Rights | Refusal:
        found = self.devices.get(device)
        return self._rights(found) if found is not None else Refusal(Reason.UNKNOWN)

    async def claim_client_id(
        self, client_id: str, tenant: TenantId, device: DeviceId, *, keep: bool
    ) -> bool:
        session = f"{tenant}/{device}"
        owner = self.claims.get(client_id, session)
        if keep:
            self.claims[client_id] = owner
        return owner == session

    async def client_ids(self, tenant: TenantId, device: DeviceId) -> Sequence[str]:
        return [name for name, owner in self.claims.items() if owner == f"{tenant}/{device}"]

    async def resolve(self, channel: str, domain: str | None) -> Address | None:
        for address in self.channels.values():
            tenants = {None, address.tenant_id, address.tenant_alias}
            if domain in tenants and channel in {address.channel_id, address.route if domain else None}:
                return address
        return None

    async def seen(self, sightings: Sequence[Sighting]) -> None:
        self.sightings += sightings

    def _rights(self, device: Device) -> Rights | Refusal:
        if not device.is_enabled:
            return Refusal(Reason.DISABLED)
        return Rights(
            tenant_id=TenantId(device.tenant),
            device_id=DeviceId(device.id),
            channels=tuple(self._right(name, *flow) for name, flow in device.channels.items()),
            expires_at=Instant(device.expires_at),
            proof=device.proof,
        )

    def _right(self, name: str, publish: bool, subscribe: bool) -> ChannelRight:
        address = self.channels[name]
        return ChannelRight(
            channel_id=ChannelId(name),
            tenant_id=TenantId(address.tenant_id),
            route=address.route,
            tenant_alias=address.tenant_alias,
            publish=publish,
            subscribe=subscribe,
        )
