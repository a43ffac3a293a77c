"""SenML packs become records that stand for themselves."""

import json
from typing import Any

import pytest

from muster.plane.senml import Record, records

AT = 1_600_000_000.0


def pack(*entries: dict[str, Any]) -> bytes:
    return json.dumps(entries).encode()


def record(name: str, time: float, **values: Any) -> Record:
    given = {"unit": "", "update_time": 0.0, "value": None, "string": None}
    return Record(name=name, time=time, **{**given, "boolean": None, "data": None, "sum": None} | values)


def test_base_fields_hold_until_others_come():
    """RFC 8428, 4.1: name, time, unit, value and sum of the base, from one record on."""
    found = records(
        pack(
            {"bn": "urn:dev:", "bt": AT, "bu": "V", "bv": 10, "bs": 1, "n": "a", "v": 1.5},
            {"n": "b", "u": "A", "t": 5, "v": 0},
            {"bn": "other:", "n": "c", "s": 3, "ut": 60},
        ),
        0,
    )
    assert [
        record("urn:dev:a", AT, unit="V", value=11.5),
        record("urn:dev:b", AT + 5, unit="A", value=10.0),
        record("other:c", AT, unit="V", sum=4.0, update_time=60.0),
    ] == found


def test_a_value_is_a_number_a_text_a_yes_or_no_or_data():
    """Each in a field of its own."""
    entries = [{"n": "a", "vs": ""}, {"n": "a", "vb": False}, {"n": "a", "vd": "aGk"}]
    expected = [{"string": ""}, {"boolean": False}, {"data": "aGk"}]
    assert [record("a", AT, **each) for each in expected] == records(pack(*entries), AT)


def test_small_times_are_relative_to_the_arrival():
    """RFC 8428, 4.5.3: below 2**28, back and forth."""
    found = records(pack({"n": "a", "v": 1}, {"n": "a", "v": 1, "t": -5}, {"n": "a", "v": 1, "t": 2**28}), AT)
    assert [AT, AT - 5, 2**28] == [each.time for each in found]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff",
        b"21.5",
        b"{}",
        b"[1]",
        b"[{}]",
        pack({"n": "a"}),
        pack({"v": 1}),
        pack({"n": "a", "v": 1, "vs": "x"}),
        pack({"n": "a", "v": "1"}),
        pack({"n": "a", "v": 1}, {"n": "b"}),
        b"[" * 5000,
    ],
)
def test_what_is_no_pack_or_not_a_whole_one_gives_nothing(payload: bytes):
    """As upstream's writers left it out."""
    assert [] == records(payload, AT)
