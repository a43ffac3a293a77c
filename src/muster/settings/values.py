"""What a setting's text means: each reader gives the value or a ValueError that says what was expected."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from muster.core.model import Secret

LONGEST: Final = timedelta(days=36_525)
"""A century: no lifetime needs more, and dates beyond it break certificates and clocks."""

_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
    "us": timedelta(microseconds=1),
}
_PART: Final = r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(d|h|ms|m|us|s)"
_SIZES: Final = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_HOST: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 compared with, not bound to


class LogLevel(StrEnum):
    """The least important kind of log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen or connect: a host name or an IP address, and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable(self) -> "Address":
        """The address a program on the same machine connects to: the loopback for «all addresses»."""
        return Address(_WILDCARDS.get(self.host, self.host), self.port)


class Addresses(tuple[Address, ...]):
    """One or more addresses, separated by commas."""

    __slots__ = ()

    def __str__(self) -> str:
        return ",".join(map(str, self))


class SecretUrl(Secret):
    """One or more addresses of a server, separated by commas; hidden, they may hold a password."""

    __slots__ = ()

    @property
    def target(self) -> str:
        """Where it points to, without users, passwords and parameters."""
        return ",".join(_target(each.strip()) for each in self.reveal().split(","))


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def read_address(text: str) -> Address:
    """Read `host:port` or `[IPv6]:port`."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("expected host:port with a port of 0 to 65535, such as 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        return Address(_ipv6(host[1:-1]), int(port))
    if ":" in host:
        raise ValueError("an IPv6 address stands in brackets before its port, such as [::1]:8080")
    if not host:
        raise ValueError(f"the host is missing; write 0.0.0.0:{port} to listen on all addresses")
    if re.fullmatch(r"[0-9.]+", host):
        return Address(_ipv4(host), int(port))
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise ValueError("the part before the port is neither a host name nor an IP address")
    return Address(host, int(port))


def read_addresses(text: str) -> Addresses:
    """Read one or more of `host:port` or `[IPv6]:port`, separated by commas."""
    return Addresses(read_address(each.strip()) for each in text.split(","))


def _ipv6(host: str) -> str:
    try:
        return str(ipaddress.IPv6Address(host))
    except ValueError:
        raise ValueError("the part in brackets is no IPv6 address") from None


def _ipv4(host: str) -> str:
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise ValueError("the part before the port is no IPv4 address") from None


def read_duration(text: str) -> timedelta:
    """Read Go's form, `1h30m`, `2400h`, `1.5s`; `7d` too; `0`: none. Never negative, at most a century."""
    if text == "0":
        return timedelta(0)
    if not re.fullmatch(f"(?:{_PART})+", text):
        raise ValueError("expected a duration such as 90s, 1h30m, 2400h or 7d")
    try:
        total = sum((float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text)), timedelta())
    except OverflowError:
        total = timedelta.max
    if total > LONGEST:
        raise ValueError("the duration is longer than a century")
    return total


def write_duration(value: timedelta) -> str:
    """Write what read_duration reads, in Go's form."""
    hours, rest = divmod(value, timedelta(hours=1))
    minutes, rest = divmod(rest, timedelta(minutes=1))
    seconds = f"{rest.total_seconds():.6f}".rstrip("0").rstrip(".")
    parts = [f"{hours}h" if hours else "", f"{minutes}m" if minutes else "", f"{seconds}s" if rest else ""]
    return "".join(parts) or "0s"


def read_url(text: str) -> SecretUrl:
    """Read one or more addresses of a server, separated by commas."""
    for each in text.split(","):
        try:
            is_url = bool(urlsplit(each.strip()).scheme and urlsplit(each.strip()).netloc)
        except ValueError:
            is_url = False
        if not is_url:
            raise ValueError("expected an address such as scheme://user:password@host:port/name")
    return SecretUrl(text)


def read_bool(text: str) -> bool:
    """Read what people write for yes and no."""
    word = text.lower()
    if word in {"true", "1", "yes", "on"}:
        return True
    if word in {"false", "0", "no", "off"}:
        return False
    raise ValueError("expected true or false")


class Size(int):
    """A number of bytes."""

    __slots__ = ()

    def __str__(self) -> str:
        for unit, factor in (("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
            if self and self % factor == 0:
                return f"{int(self) // factor}{unit}"
        return str(int(self))


def read_size(text: str) -> Size:
    """Read a number of bytes, with KiB, MiB or GiB or nothing after it."""
    found = re.fullmatch(r"([0-9]{1,15}) ?([A-Za-z]*)", text)
    if not found or found[2].lower() not in _SIZES:
        raise ValueError("expected a number of bytes such as 65536, 64KiB or 1MiB")
    return Size(int(found[1]) * _SIZES[found[2].lower()])


def read_int(text: str) -> int:
    """Read a whole number."""
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise ValueError("expected a whole number")
    return int(text)


def read_level(text: str) -> LogLevel:
    """Read the name of a log level; `warn` is known, too."""
    word = "warning" if text.lower() == "warn" else text.lower()
    if word not in set(LogLevel):
        raise ValueError(f"expected one of {', '.join(LogLevel)}")
    return LogLevel(word)


READERS: Mapping[Any, Callable[[str], Any]] = MappingProxyType(
    {
        Address: read_address,
        Addresses: read_addresses,
        timedelta: read_duration,
        bool: read_bool,
        Size: read_size,
        int: read_int,
        str: str,
        Secret: Secret,
        SecretUrl: read_url,
        Path: Path,
        LogLevel: read_level,
    }
)


def read_text(text: str) -> str:
    """Take a text that can be stored: neither NUL nor half a character."""
    if "\0" in text:
        raise ValueError("a NUL character cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("this is not UTF-8 text") from None
    return text


def write(value: Any) -> str:
    """Write a value as `muster config` and the documents show it; a secret stays hidden."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, timedelta):
        return write_duration(value)
    if isinstance(value, SecretUrl):
        return value.target
    return "…" if isinstance(value, Secret) else str(value)
