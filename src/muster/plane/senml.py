"""SenML packs (RFC 8428) resolved into records, as upstream's writers stored them (spec E.4). Pure."""

from dataclasses import dataclass

import msgspec

_RELATIVE = 2**28
"""Times below are relative to now (RFC 8428, 4.5.3)."""


class _Entry(msgspec.Struct, kw_only=True):
    base_name: str = msgspec.field(name="bn", default="")
    base_time: float | None = msgspec.field(name="bt", default=None)
    base_unit: str = msgspec.field(name="bu", default="")
    base_value: float | None = msgspec.field(name="bv", default=None)
    base_sum: float | None = msgspec.field(name="bs", default=None)
    name: str = msgspec.field(name="n", default="")
    unit: str = msgspec.field(name="u", default="")
    time: float = msgspec.field(name="t", default=0.0)
    update_time: float = msgspec.field(name="ut", default=0.0)
    value: float | None = msgspec.field(name="v", default=None)
    string: str | None = msgspec.field(name="vs", default=None)
    boolean: bool | None = msgspec.field(name="vb", default=None)
    data: str | None = msgspec.field(name="vd", default=None)
    sum: float | None = msgspec.field(name="s", default=None)


_decode = msgspec.json.Decoder(list[_Entry]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One measurement that stands for itself. *time* and *update_time* in seconds, the former since 1970."""

    name: str
    unit: str
    time: float
    update_time: float
    value: float | None
    string: str | None
    boolean: bool | None
    data: str | None
    sum: float | None


def records(payload: bytes, received: float) -> list[Record]:
    """Resolve a pack in JSON that came at *received*, seconds since 1970; nothing when it is not a whole one.

    Each record needs a name and one value, or a sum.
    """
    try:
        entries = _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    base, found = _Entry(base_time=0.0, base_value=0.0, base_sum=0.0), []
    for entry in entries:
        base = _carried(base, entry)
        if not (base.base_name + entry.name) or not _has_one_value(entry):
            return []
        found.append(_resolved(base, entry, received))
    return found


def _carried(base: _Entry, entry: _Entry) -> _Entry:
    """Give the base fields that hold from this entry on."""
    return _Entry(
        base_name=entry.base_name or base.base_name,
        base_time=base.base_time if entry.base_time is None else entry.base_time,
        base_unit=entry.base_unit or base.base_unit,
        base_value=base.base_value if entry.base_value is None else entry.base_value,
        base_sum=base.base_sum if entry.base_sum is None else entry.base_sum,
    )


def _has_one_value(entry: _Entry) -> bool:
    values = (entry.value, entry.string, entry.boolean, entry.data)
    count = sum(value is not None for value in values)
    return count == 1 or (count == 0 and entry.sum is not None)


def _resolved(base: _Entry, entry: _Entry, received: float) -> Record:
    time = (base.base_time or 0.0) + entry.time
    return Record(
        name=base.base_name + entry.name,
        unit=entry.unit or base.base_unit,
        time=time if time >= _RELATIVE else received + time,
        update_time=entry.update_time,
        value=None if entry.value is None else (base.base_value or 0.0) + entry.value,
        string=entry.string,
        boolean=entry.boolean,
        data=entry.data,
        sum=None if entry.sum is None else (base.base_sum or 0.0) + entry.sum,
    )
