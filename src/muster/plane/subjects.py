"""How a channel is spelled: as MQTT topic and NATS subject, in both address forms. Pure.

The broker makes subjects of MQTT topics itself: `/` becomes `.`, `.` becomes `//`, an empty level `/`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from muster.core.errors import Malformed
from muster.core.messaging import ChannelRight, Rights

NOTHING = "_MUSTER.nothing"
"""Nobody publishes here. Stands in permission lists that would be empty, because empty means everything."""
_REMEMBERED = 16_384
"""Channels whose names are not spelled anew for each device and message."""
# What a level of a topic cannot hold, or what would mean something else there.
_UNSAFE = {c: f"%{c:02X}" for c in (*range(0x21), *b"%*+#>/", 0x7F)}


@dataclass(frozen=True, slots=True)
class Address:
    """A channel and every name it may be addressed by."""

    channel_id: str
    tenant_id: str
    route: str | None = None
    tenant_alias: str | None = None

    def roots(self) -> tuple[str, ...]:
        """Give the subjects at which the channel begins, `channels.<id>.messages` first."""
        return _roots(self)


@lru_cache(maxsize=_REMEMBERED)
def _roots(address: Address) -> tuple[str, ...]:
    channels = [token(name) for name in (address.channel_id, address.route) if name]
    tenants = [token(name) for name in (address.tenant_id, address.tenant_alias) if name]
    modern = [f"m.{t}.c.{c}" for t in dict.fromkeys(tenants) for c in dict.fromkeys(channels)]
    return (f"channels.{channels[0]}.messages", *modern)


class Place(NamedTuple):
    """A subject taken apart: which name of a channel, of which tenant if it says so, and what follows."""

    channel: str
    domain: str | None
    root: str
    rest: str
    """Empty, or the sub-topic with its leading dot."""


def token(name: str) -> str:
    """Spell an id as one level of a subject; ids of letters, digits, `-` and `_` stay as they are.

    Characters that no topic level can hold are percent-encoded, in topics just as in URLs.
    """
    return name.translate(_UNSAFE).replace(".", "//")


def name_of(level: str) -> str:
    """Read what token wrote."""
    return unquote(level.replace("//", "."))


def address_of(right: ChannelRight) -> Address:
    """Give the address of the channel of a right."""
    return Address(right.channel_id, right.tenant_id, right.route, right.tenant_alias)


def take_apart(subject: str) -> Place | None:
    """Find the channel of a subject or filter; None if it lies in none, or in more than one."""
    levels = subject.split(".")
    match levels:
        case ["channels", channel, "messages", *rest] if channel not in "*>":
            return Place(name_of(channel), None, ".".join(levels[:3]), "".join(f".{x}" for x in rest))
        case ["m", domain, "c", channel, *rest] if channel not in "*>" and domain not in "*>":
            tail = "".join(f".{x}" for x in rest)
            return Place(name_of(channel), name_of(domain), ".".join(levels[:4]), tail)
    return None


def subtopic(path: str, *, is_filter: bool = False) -> str:
    """Read the sub-topic of an HTTP or WebSocket address (spec E.1): levels with leading dots, or nothing.

    Empty levels are dropped. A filter may hold levels `*`, any one level, and end in `>`, all that follow.
    Malformed for a level that no MQTT topic could hold.
    """
    levels = [unquote(level) for level in path.split("/") if level]
    inner = levels[:-1] if is_filter and levels[-1:] == [">"] else levels
    if any(_is_unsafe(level) for level in inner if not (is_filter and level == "*")):
        raise Malformed("malformed sub-topic")
    return "".join("." + level.replace(".", "//") for level in levels)


def _is_unsafe(level: str) -> bool:
    return any(ord(c) <= 0x20 or c in "*>+#/\x7f" for c in level)


def topic(subject: str) -> str:
    """Spell a subject as the MQTT topic that the broker makes of it."""
    levels = [level.replace("//", ".") for level in subject.split(".")]
    return "/".join("" if level == "/" else level for level in levels)


def permissions(rights: Rights) -> tuple[list[str], list[str]]:
    """Give what the device may publish and what it may subscribe, as lists the broker enforces."""
    return (
        _lists(r for r in rights.channels if r.publish),
        _lists(r for r in rights.channels if r.subscribe),
    )


def _lists(granted: Iterable[ChannelRight]) -> list[str]:
    return [*_spread(granted)] or [NOTHING]


def _spread(granted: Iterable[ChannelRight]) -> Iterator[str]:
    # `root.>` does not contain `root` itself, which MQTT's `root/#` does.
    for right in granted:
        for root in address_of(right).roots():
            yield root
            yield f"{root}.>"
