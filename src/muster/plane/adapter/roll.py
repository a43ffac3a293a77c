"""Who is let in, by device: what is counted for limits and found again for a cut."""

from collections import Counter
from collections.abc import Sequence
from typing import Generic, TypeVar

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.ports import AdapterDevice

_C = TypeVar("_C")


class Roll(Generic[_C]):
    """The connections that are let in; `count` includes those of nobody in particular."""

    def __init__(self) -> None:
        self.count = 0
        self._devices: dict[AdapterDevice, set[_C]] = {}

    def enter(self, connection: _C, device: AdapterDevice | None) -> None:
        """A connection is let in."""
        self.count += 1
        if device is not None:
            self._devices.setdefault(device, set()).add(connection)

    def leave(self, connection: _C, device: AdapterDevice | None) -> None:
        """It is over, for the same device."""
        self.count -= 1
        if device is not None:
            self._devices[device].discard(connection)
            if not self._devices[device]:
                del self._devices[device]

    def of(self, tenant_id: TenantId, device_id: DeviceId | None = None) -> Sequence[_C]:
        """Give the connections of a device, or of all devices of a tenant."""
        if device_id is not None:
            return tuple(self._devices.get(AdapterDevice(tenant_id=tenant_id, device_id=device_id), ()))
        return [
            c for device, all_of in self._devices.items() if device.tenant_id == tenant_id for c in all_of
        ]

    def count_of(self, tenant_id: TenantId) -> int:
        """Say how many connections a tenant's devices have; costs as much as there are devices."""
        return sum(len(them) for device, them in self._devices.items() if device.tenant_id == tenant_id)

    def count_by_tenant(self) -> Counter[TenantId]:
        """Say how many connections the devices of each tenant have."""
        found: Counter[TenantId] = Counter()
        for device, connections in self._devices.items():
            found[device.tenant_id] += len(connections)
        return found
