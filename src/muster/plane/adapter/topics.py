"""The grammar of Hono's MQTT topics (spec/hono C.3): what devices may publish to and subscribe to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final
from urllib.parse import parse_qsl

from muster.plane.adapter.ports import MessageKind

_MAX_PROPERTIES: Final = 32
_ENDPOINTS: Final = {
    "t": MessageKind.TELEMETRY,
    "telemetry": MessageKind.TELEMETRY,
    "e": MessageKind.EVENT,
    "event": MessageKind.EVENT,
}


class BadTopic(Exception):
    """The topic is none of the adapter's; the text says why and may be read by the device."""


class OnError(Enum):
    """What a device wants to happen when its message fails."""

    DEFAULT = "default"
    DISCONNECT = "disconnect"
    IGNORE = "ignore"
    SKIP_ACK = "skip-ack"

    @classmethod
    def _missing_(cls, _value: object) -> "OnError":
        return cls.DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bag:
    """The properties at a topic's end: `/?content-type=…&hono-ttl=…&on-error=…&correlation-id=…`."""

    content_type: str | None = None
    ttl: int | None = None
    on_error: OnError = OnError.DEFAULT
    correlation_id: str | None = None
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a message is published: empty tenant and device mean the connected device's own."""

    kind: MessageKind
    tenant: str = ""
    device: str = ""
    endpoint: str
    """As error topics name it, in the spelling the device used."""
    request_id: str | None = None
    status: int | None = None


def split_bag(topic: str) -> tuple[str, Bag]:
    """The topic without its property bag, and the bag. Raises BadTopic when the bag cannot be read."""
    path, mark, query = topic.rpartition("/?")
    if not mark:
        return topic, Bag()
    try:
        pairs = dict(
            parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PROPERTIES)
        )
    except ValueError:
        raise BadTopic("the property bag cannot be read") from None
    return path, Bag(
        content_type=pairs.pop("content-type", None) or None,
        on_error=OnError(pairs.pop("on-error", "default")),
        correlation_id=pairs.pop("correlation-id", None) or None,
        ttl=_seconds(pairs.pop("hono-ttl", None)),
        others=pairs,
    )


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadTopic("hono-ttl must be a number of seconds")
    return int(text)


def read_address(path: str) -> Address:
    """What a topic without its bag addresses. Raises BadTopic."""
    endpoint, *rest = path.split("/")
    if endpoint in ("c", "command"):
        return _read_response(endpoint, rest)
    if endpoint not in _ENDPOINTS:
        raise BadTopic("unknown endpoint")
    if len(rest) not in (0, 2):
        raise BadTopic("malformed topic name")
    tenant, device = rest or ("", "")
    if bool(rest) and not device:
        raise BadTopic("the topic names no device")
    return Address(kind=_ENDPOINTS[endpoint], tenant=tenant, device=device, endpoint=endpoint)


def _read_response(endpoint: str, rest: list[str]) -> Address:
    if len(rest) != 5 or rest[2] != ("s" if endpoint == "c" else "res"):
        raise BadTopic("malformed command response topic")
    tenant, device, _, request_id, status = rest
    if not request_id:
        raise BadTopic("the command response names no request")
    if not (len(status) == 3 and status.isascii() and status.isdigit() and 200 <= int(status) < 600):
        raise BadTopic("the command response has no status between 200 and 599")
    return Address(
        kind=MessageKind.COMMAND_RESPONSE,
        tenant=tenant,
        device=device,
        endpoint="c-s" if endpoint == "c" else "command-response",
        request_id=request_id,
        status=int(status),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A topic filter of the adapter: for commands, or for errors. `+` as device means all of a gateway's."""

    prefix: str
    """`c`, `command`, `e` or `error`, as the device spelled it."""
    tenant: str
    device: str

    @property
    def for_commands(self) -> bool:
        """Whether it asks for commands, not for errors."""
        return self.prefix in _REQUEST_WORD

    def command_topic(self, *, device: str, request_id: str, name: str) -> str:
        """The topic a command for *device* (empty: the connection's own) is delivered on."""
        return "/".join(
            (self.prefix, self.tenant, self._named(device), _REQUEST_WORD[self.prefix], request_id, name)
        )

    def error_topic(self, *, device: str, endpoint: str, correlation_id: str, status: int) -> str:
        """The topic an error of a message for *device* (empty: the connection's own) is reported on."""
        return "/".join(
            (self.prefix, self.tenant, self._named(device), endpoint, correlation_id, str(status))
        )

    def _named(self, device: str) -> str:
        return device if self.device == "+" else self.device


_REQUEST_WORD: Final = {"c": "q", "command": "req"}


def read_filter(topic_filter: str) -> Filter | None:
    """What a device subscribes to; None for every filter that is none of the adapter's."""
    prefix, *rest = topic_filter.split("/")
    if prefix in _REQUEST_WORD:
        expected = [_REQUEST_WORD[prefix], "#"]
    elif prefix in ("e", "error"):
        expected = ["#"]
    else:
        return None
    if rest[2:] != expected:
        return None
    tenant, device = rest[:2]
    if "+" in tenant or "#" in tenant or "#" in device or ("+" in device and device != "+"):
        return None
    return Filter(prefix=prefix, tenant=tenant, device=device)
