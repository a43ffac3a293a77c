"""What JSON allows but nobody can keep is refused, and nothing else is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.web import body
from muster.web.errors import BadBody

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["\0", "\\u0000", '"\\', "1234567890123456789012", "[[[[{{", "\\\\"]),
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


def is_storable(value: Any) -> bool:
    """Say the same as body.check, in the plainest way."""
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    if isinstance(value, dict):
        return all(is_storable(one) for pair in value.items() for one in pair)
    return all(is_storable(one) for one in value) if isinstance(value, list) else True


def is_taken(text: bytes) -> bool:
    try:
        body.check(text)
    except BadBody:
        return False
    return True


@given(VALUES, st.booleans())
def test_a_body_is_taken_exactly_if_it_can_be_stored(value: Any, is_ascii: bool):
    """Whether characters are escaped or not; digits and brackets inside strings do not count."""
    text = json.dumps(value, ensure_ascii=is_ascii).encode()
    assert is_taken(text) == is_storable(value)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"b":', "}]")])
def test_nesting_is_limited(opening: str, closing: str):
    """As deep as allowed, and one deeper; beside it, width does not count."""
    levels = len(opening.replace('"a":', "").replace('"b":', ""))
    wide = ", ".join(["[]"] * 500)
    for depth, taken in ((body.DEPTH, True), (body.DEPTH + levels, False)):
        nested = opening * (depth // levels) + "1" + closing * (depth // levels)
        assert is_taken(nested.encode()) is taken
        assert is_taken(f"[[{wide}], {nested[len(opening) : -len(closing)]}]".encode()) is taken


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ('{"a": 9223372036854775807}', True),
        ('{"a": 9223372036854775808}', False),
        ('{"a": -9223372036854775808}', True),
        ('{"a": -9223372036854775809}', False),
        ('{"a": 0.12345678901234567890123}', True),
        ('{"a": 1.5e300}', True),
        ('{"9223372036854775808": 1}', True),
        ("[1,9223372036854775808]", False),
        ('["\\"",9223372036854775808,"\\""]', False),
        ('["\\\\",9223372036854775808]', False),
        ('["\\\\\\"9223372036854775808"]', True),
        (r'["\\u0000"]', True),
        (r'["\\\u0000"]', False),
        (r'["\u0000"]', False),
        (r'["a\\\\u0000", "\\\\\u0000"]', False),
    ],
)
def test_numbers_and_escapes_are_told_from_text(text: str, taken: bool):
    """A backslash before a backslash escapes nothing; digits in a name are a name."""
    json.loads(text)
    assert is_taken(text.encode()) is taken


def test_a_decoder_gives_the_type():
    """Or says why not, without repeating the value."""
    decode = body.decoder(dict[str, int])
    assert decode(b'{"a":1}') == {"a": 1}
    with pytest.raises(BadBody, match="Expected `int`, got `str`"):
        decode(b'{"a":"hunter2"}')
