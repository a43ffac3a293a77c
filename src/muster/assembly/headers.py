"""What applications are told about a message: its headers, how long it lives (spec C.1)."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from muster.core.model import Json
from muster.plane.adapter.ports import (
    Message,
    MessageKind,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What of tenant and device matters to a message."""

    defaults: Mapping[str, Json]
    """The device's over the tenant's."""
    limits: Mapping[str, Json]
    least_size: int = 0
    """What a message counts for at least, and in steps of which."""


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
