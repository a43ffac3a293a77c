"""Values as every dialect writes and reads them: times, durations, query parameters."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from muster.core.errors import Malformed
from muster.core.model import Instant
from muster.core.ports import Window
from muster.web.body import check
from muster.web.errors import BadBody, BadLimit, BadOffset, BadQuery
from muster.web.request import AnyRequest, incoming

# --- times ---------------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 always UTC, and naive is twice as fast
_NEVER = "0001-01-01T00:00:00Z"
_LAST = 253_402_300_800 * 1_000_000 - 1
_FIRST = -62_135_596_800 * 1_000_000


@lru_cache(4096)  # lists are read again, and most of what is in them was never changed: twice the same
def rfc3339(at: Instant) -> str:
    """Write a time as `2025-02-17T09:08:07.48145Z`: UTC, zeros at the end trimmed (spec A.0).

    0, which means never, is the year 1. What lies outside the years 1 to 9999 is written as their end.
    """
    if at == 0:
        return _NEVER
    text = (_EPOCH + timedelta(microseconds=min(max(at, _FIRST), _LAST))).isoformat()
    return (text if at % 1_000_000 == 0 else text.rstrip("0")) + "Z"


_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_TERM = re.compile(r"([0-9]{1,19})?(?:\.([0-9]{0,19}))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_MOST = 2**63 - 1


def seconds(text: str) -> int:
    """Read a duration in Go's form, `10h`, `720h30m`, `1.5h`, as whole seconds, rounded down.

    Malformed for anything else, below zero, or beyond 292 years (64 bits of nanoseconds).
    """
    rest = text.removeprefix("+")
    if rest == "0":
        return 0
    total, end = 0, 0
    while end < len(rest):
        term = _TERM.match(rest, end)
        if term is None or not (term[1] or term[2]):
            raise Malformed("invalid duration")
        fraction = term[2] or ""
        total += int((term[1] or "0") + fraction) * _UNITS[term[3]] // 10 ** len(fraction)
        end = term.end()
    if not rest or total > _MOST:
        raise Malformed("invalid duration")
    return total // 10**9


# --- query parameters ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a list takes `offset` and `limit`."""

    limit: int = 10
    """When none is given."""
    most: int = 100
    zero_is_default: bool = False
    """Whether a limit of 0 means the default (spec B.0); else it is refused (spec A.0)."""


RULES = Rules()


def window(request: AnyRequest, rules: Rules = RULES) -> Window:
    """Read `offset` and `limit`.

    BadLimit for a limit out of 1 to *most*; BadOffset beyond 63 bits; BadQuery for what is no number, is
    negative, or is given twice.
    """
    limit = number(request, "limit")
    offset = number(request, "offset") or 0
    if limit is None or (limit == 0 and rules.zero_is_default):
        limit = rules.limit
    if not 1 <= limit <= rules.most:
        raise BadLimit
    if offset > _MOST:
        raise BadOffset
    return Window(offset, limit)


def raw(request: AnyRequest, name: str) -> str | None:
    """Give a query parameter as sent, or None. BadQuery when it is given twice."""
    values = incoming(request).query.get(name)
    if values is None:
        return None
    if len(values) > 1:
        raise BadQuery
    return values[0]


def number(request: AnyRequest, name: str) -> int | None:
    """Give a query parameter that is a number from 0 on, or None. BadQuery for anything else."""
    value = raw(request, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) < 4000):
        raise BadQuery
    return int(value)


def text(request: AnyRequest, name: str) -> str | None:
    """Give a text filter without the quotes around it (spec I, row 6), or None if absent or empty."""
    value = raw(request, name)
    return _unquoted(value) or None if value is not None else None


_FLAGS = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}


def flag(request: AnyRequest, name: str) -> bool | None:
    """Give a yes or no, or None. BadQuery for anything else."""
    value = raw(request, name)
    if value is None:
        return None
    if value.lower() not in _FLAGS:
        raise BadQuery
    return _FLAGS[value.lower()]


def document(request: AnyRequest, name: str) -> dict[str, Any] | None:
    """Give a filter that is a JSON object, or None; quotes and backslashes around it are forgiven.

    BadQuery when it is no JSON object (spec I, row 14).
    """
    value = raw(request, name)
    if not value:
        return None
    for reading in _READINGS:
        sent = reading(value).encode()
        try:
            found = msgspec.json.decode(sent, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            continue
        return _checked(sent, found)
    raise BadQuery


def _checked(sent: bytes, found: dict[str, Any]) -> dict[str, Any]:
    try:
        check(sent)
    except BadBody:
        raise BadQuery from None
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _without_backslashes(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", _unquoted(value))


_READINGS: tuple[Callable[[str], str], ...] = (str, _unquoted, _without_backslashes)
