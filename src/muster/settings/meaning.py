"""What the provision service's values mean, however they were spelled; ValueError says what was expected."""

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Final, NoReturn

from muster.core.layout import KeyType
from muster.core.model import Json, Secret
from muster.settings import values
from muster.settings.spellings import Meaning
from muster.settings.values import read_bool, read_duration

KEY_TYPES: Final[Mapping[str, KeyType]] = MappingProxyType(
    {"rsa": KeyType.RSA, "ec": KeyType.EC, "ecdsa": KeyType.EC, "ed25519": KeyType.ED25519}
)
KEY_SIZES: Final[Mapping[KeyType, tuple[int, ...]]] = MappingProxyType(
    {KeyType.RSA: (2048, 3072, 4096), KeyType.EC: (256, 384), KeyType.ED25519: (256,)}
)
"""The first is the default."""


class Misplaced(ValueError):
    """A value inside another cannot be taken; *keys* lead to it."""

    def __init__(self, reason: str, keys: tuple[str | int, ...]) -> None:
        """Carry the reason and the way."""
        super().__init__(reason)
        self.keys = keys


def read_text(value: Any) -> str:
    """Take a string that a name or a login can be."""
    if not isinstance(value, str):
        raise ValueError("expected a string")  # noqa: TRY004 every reader says ValueError
    return values.read_text(value)


def read_secret(value: Any) -> Secret:
    """Take a string that nobody shows."""
    return Secret(read_text(value))


def read_flag(value: Any) -> bool:
    """Take a boolean of the file, or its text."""
    return value if isinstance(value, bool) else read_bool(read_text(value))


def read_content(value: Any) -> Json:
    """Take a table of any shape, or the text of a JSON object."""
    if isinstance(value, str):
        return _read_json(value)
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object, {…}, or a table, [bootstrap.content]")  # noqa: TRY004
    return to_json(value)


def _read_json(text: str) -> Json:
    try:
        value = to_json(json.loads(text, parse_constant=_refuse_constant))
    except ValueError as error:
        raise ValueError(f"this is not JSON that can be stored: {error}") from None
    except RecursionError:
        raise ValueError("this JSON is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object, {…}")  # noqa: TRY004
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def to_json(value: Any, *keys: str | int) -> Json:
    """Give a TOML value as JSON; dates and times become their text. Misplaced for what cannot be stored."""
    if isinstance(value, dict):
        return {_storable(key, *keys, key): to_json(each, *keys, key) for key, each in value.items()}
    if isinstance(value, list):
        return [to_json(each, *keys, place) for place, each in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise Misplaced(f"JSON has no number {value}", keys)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return _storable(value, *keys) if isinstance(value, str) else value


def _storable(text: str, *keys: str | int) -> str:
    try:
        return read_text(text)
    except ValueError as error:
        raise Misplaced(str(error), keys) from None


def read_bits(value: Any) -> int:
    """Take a number of bits, or its text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("expected a number of bits, such as 2048")  # noqa: TRY004
    return value


def read_key_type(value: Any) -> KeyType:
    """Take the name of a kind of key."""
    key_type = KEY_TYPES.get(read_text(value).lower())
    if key_type is None:
        raise ValueError("expected rsa, ec or ed25519")
    return key_type


def read_ttl(value: Any) -> timedelta:
    """Take a duration in Go's form."""
    return _positive(read_duration(read_text(value)))


def read_days(value: Any) -> timedelta:
    """Take a number of days, or its text."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,6}", str(value)):
        raise ValueError("expected a number of days, such as 365")
    return _positive(read_duration(f"{value}d"))


def _positive(ttl: timedelta) -> timedelta:
    if not ttl:
        raise ValueError("a certificate must be valid for some time")
    return ttl


MEANINGS: Final[Mapping[Meaning, Callable[[Any], Any]]] = MappingProxyType(
    {
        "username": read_text,
        "email": read_text,
        "password": read_secret,
        "api_key": read_secret,
        "domain_id": read_text,
        "provision": read_flag,
        "auto_whitelist": read_flag,
        "x509": read_flag,
        "content": read_content,
        "key_type": read_key_type,
        "key_bits": read_bits,
        "ttl": read_ttl,
    }
)


def key_of(key_type: KeyType | None, bits: int | None) -> tuple[KeyType, int]:
    """Decide kind and size of the keys; of a size alone, the kind follows. ValueError if they do not fit."""
    if key_type is None:
        key_type = KeyType.RSA if bits and bits > max(KEY_SIZES[KeyType.EC]) else KeyType.EC
    sizes = KEY_SIZES[key_type]
    if bits and bits not in sizes:
        raise ValueError(f"keys of type {key_type} have {' or '.join(map(str, sizes))} bits, not {bits}")
    return key_type, bits or sizes[0]
