"""Cuts that come while somebody is being authenticated: nobody gets in by rights already taken away."""

from collections import Counter, deque

from muster.core.model import DeviceId, TenantId
from muster.plane.adapter.ports import AdapterDevice


class Cuts:
    """Remembers each cut as long as an authentication runs that began before it."""

    def __init__(self) -> None:
        self._count = 0
        self._open: Counter[int] = Counter()
        self._struck: deque[tuple[int, TenantId, DeviceId | None]] = deque()

    def begin(self) -> int:
        """An authentication begins; the watch to ask and to end with."""
        self._open[self._count] += 1
        return self._count

    def end(self, watch: int) -> None:
        """The authentication is over."""
        self._open[watch] -= 1
        if not self._open[watch]:
            del self._open[watch]
        oldest = min(self._open, default=self._count)
        while self._struck and self._struck[0][0] <= oldest:
            self._struck.popleft()

    def strike(self, tenant_id: TenantId, device_id: DeviceId | None) -> None:
        """A device, or a whole tenant, is cut."""
        self._count += 1
        if self._open:
            self._struck.append((self._count, tenant_id, device_id))

    def hit(self, watch: int, device: AdapterDevice) -> bool:
        """Whether *device* was cut since *watch* began."""
        return any(
            count > watch and tenant_id == device.tenant_id and device_id in (None, device.device_id)
            for count, tenant_id, device_id in self._struck
        )
