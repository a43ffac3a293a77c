"""What one provisioning call will make, decided as a value: pure, nothing is written here."""

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product

from muster.core.bootstrap import in_order
from muster.core.layout import EXTERNAL_ID, Layout
from muster.core.model import (
    BootstrapConfig,
    Channel,
    ChannelId,
    Connection,
    Device,
    DeviceId,
    Flow,
    Instant,
    Metadata,
    Secret,
    TenantId,
    UserId,
)

NO_CONTENT = "{}"
"""What the device reads when nothing is configured: agents parse it as JSON, so never empty (spec D.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the caller of one provisioning call says. *metadata* goes to every device, over the layout's."""

    external_id: str
    external_key: Secret
    name: str = ""
    metadata: Metadata = field(default_factory=dict)
    csr: str = ""
    """The gateway's signing request, where the layout makes certificates and the gateway has its own key."""
    device_ids: tuple[DeviceId, ...] = ()
    """Ids made beforehand, in the order of the layout, because somebody else signs for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one call makes, decided and not yet written."""

    devices: tuple[Device, ...]
    channels: tuple[Channel, ...]
    connections: tuple[Connection, ...]
    config: BootstrapConfig | None
    is_whitelisted: bool


def plan(
    layout: Layout,
    request: Request,
    tenant_id: TenantId,
    created_by: UserId,
    now: Instant,
    new_id: Callable[[], str],
    new_secret: Callable[[], str],
) -> Plan:
    """Decide what to create. Pure: the same arguments, the same plan; the layout is not changed."""
    devices = tuple(
        Device(
            id=request.device_ids[position] if request.device_ids else DeviceId(new_id()),
            tenant_id=tenant_id,
            name=_device_name(request.name, each.name, is_first=position == 0),
            secret=Secret(new_secret()),
            metadata=_device_metadata(each.metadata, request),
            mapping_id=request.external_id,
            created_by=created_by,
            created_at=now,
        )
        for position, each in enumerate(layout.devices)
    )
    channels = tuple(
        Channel(
            id=ChannelId(new_id()),
            tenant_id=tenant_id,
            name=each.name,
            metadata=copy.deepcopy(dict(each.metadata)),
            mapping_id=request.external_id,
            created_by=created_by,
            created_at=now,
        )
        for each in layout.channels
    )
    config = _config(layout, request, tenant_id, created_by, now, devices, channels)
    connected = [d for d in devices if layout.is_whitelisted or config is None or d.id != config.device_id]
    return Plan(
        devices=devices,
        channels=channels,
        connections=tuple(
            Connection(tenant_id=tenant_id, channel_id=c.id, device_id=d.id, flow=Flow.BOTH)
            for d, c in product(connected, channels)
        ),
        config=config,
        is_whitelisted=layout.is_whitelisted,
    )


def _device_name(asked: str, in_layout: str, *, is_first: bool) -> str:
    if not asked:
        return in_layout
    return asked if is_first else f"{asked}_{in_layout}"


def _device_metadata(in_layout: Metadata, request: Request) -> Metadata:
    metadata = {**copy.deepcopy(dict(in_layout)), **copy.deepcopy(dict(request.metadata))}
    if EXTERNAL_ID in in_layout:
        metadata[EXTERNAL_ID] = request.external_id
    return metadata


def _config(
    layout: Layout,
    request: Request,
    tenant_id: TenantId,
    created_by: UserId,
    now: Instant,
    devices: Sequence[Device],
    channels: Sequence[Channel],
) -> BootstrapConfig | None:
    if layout.bootstrap_device is None:
        return None
    device = devices[layout.devices.index(layout.bootstrap_device)]
    return BootstrapConfig(
        tenant_id=tenant_id,
        device_id=device.id,
        external_id=request.external_id,
        external_key=request.external_key,
        name=device.name,
        content=NO_CONTENT if layout.content is None else json.dumps(layout.content, separators=(",", ":")),
        channels=tuple(c.id for c in in_order(channels)),
        created_by=created_by,
        created_at=now,
    )
