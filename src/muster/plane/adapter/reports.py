"""Error reports (spec/hono C.3): which error topics a device listens to, and what it reads there."""

import json
from datetime import datetime

from muster.plane.adapter.messages import Origin
from muster.plane.adapter.packets import Publish
from muster.plane.adapter.ports import AdapterDevice, Failure
from muster.plane.adapter.topics import Filter


class Reports:
    """The error subscriptions of one connection. *device* is the authenticated one, None if there is none."""

    def __init__(self) -> None:
        self.device: AdapterDevice | None = None
        self._filters: dict[str, Filter] = {}

    def __len__(self) -> int:
        """How many subscriptions there are."""
        return len(self._filters)

    def add(self, text: str, wish: Filter) -> None:
        """The device subscribes to errors."""
        self._filters[text] = wish

    def drop(self, text: str) -> None:
        """The device unsubscribes."""
        self._filters.pop(text, None)

    def spell(self, origin: Origin, failure: Failure, at: datetime) -> Publish | None:
        """The report of a failed message, None when nobody listens for it."""
        address = origin.address
        tenant, device = ("", "") if address is None else (address.tenant, address.device)
        wish = self._listening(tenant, device)
        if wish is None:
            return None
        topic = wish.error_topic(
            device="" if self._is_own(device) else device,
            endpoint="unknown" if address is None else address.endpoint,
            correlation_id=origin.correlation_id,
            status=failure.status,
        )
        return Publish(topic=topic, payload=_payload(failure, origin.correlation_id, at))

    def _is_own(self, device: str) -> bool:
        return not device or (self.device is not None and device == self.device.device_id)

    def _listening(self, tenant: str, device: str) -> Filter | None:
        for wish in self._filters.values():
            is_there = self.device is not None or wish.tenant == tenant
            is_same = self._is_own(wish.device) if self._is_own(device) else wish.device == device
            if is_there and (is_same or wish.device == "+"):
                return wish
        return None


def _payload(failure: Failure, correlation_id: str, at: datetime) -> bytes:
    report = {
        "code": failure.status,
        "message": failure.text,
        "timestamp": at.isoformat(timespec="seconds"),
        "correlation-id": correlation_id,
    }
    return json.dumps(report).encode()
