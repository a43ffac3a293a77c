"""Times, durations and query parameters are written and read as upstream does."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.core.errors import Malformed
from muster.core.model import Instant
from muster.core.ports import Window
from muster.web import wire
from muster.web.errors import BadLimit, BadOffset, BadQuery
from muster.web.request import Request
from tests.web.toys import SCOPE


def asking(query: str) -> Request:
    return Request({**SCOPE, "query_string": query.encode()}, None, None)


# --- times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1_739_783_308_411_450, "2025-02-17T09:08:28.41145Z"),
        (1_739_783_308_411_459, "2025-02-17T09:08:28.411459Z"),
        (1_739_783_300_000_000, "2025-02-17T09:08:20Z"),
        (1_739_783_300_100_000, "2025-02-17T09:08:20.1Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (10**18, "9999-12-31T23:59:59.999999Z"),
        (-(10**18), "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_written_as_upstream_does(at: int, text: str):
    """Microseconds, zeros at the end trimmed; never is the year 1; no time is too far away to write."""
    assert wire.rfc3339(Instant(at)) == text


@given(st.integers(1, 4 * 10**15))
def test_a_time_can_be_read_back(at: int):
    """The text is RFC 3339 and loses nothing."""
    moment = datetime.fromisoformat(wire.rfc3339(Instant(at)))
    assert (moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() == pytest.approx(at / 10**6, abs=1e-6)


# --- durations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10h", 36_000),
        ("720h30m", 2_593_800),
        ("1.5h", 5_400),
        (".5m", 30),
        ("1.m", 60),
        ("0", 0),
        ("+1h", 3600),
        ("1h1m1s1ms", 3661),
        ("999ms", 0),
        ("1500ms", 1),
        ("1000000us", 1),
        ("1000000µs", 1),
        ("2562047h", 2_562_047 * 3600),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, seconds: int):
    """Whole seconds, rounded down."""
    assert wire.seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "h", "10", "1", ".h", "-1h", "1 h", "1h ", "1d", "1hh", "1e3s", "٣h", "2562048h", "9" * 5000 + "h"],
)
def test_what_is_no_duration_is_refused(text: str):
    """Without a traceback, however odd it is."""
    with pytest.raises(Malformed):
        wire.seconds(text)


@given(st.text("0123456789.hmsuµn+-", max_size=12))
def test_no_text_breaks_the_reader_of_durations(text: str):
    """It is a number of seconds, or Malformed."""
    try:
        assert wire.seconds(text) >= 0
    except Malformed:
        return


# --- windows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "window"),
    [
        ("", Window(0, 10)),
        ("limit=1", Window(0, 1)),
        ("limit=100&offset=7", Window(7, 100)),
        ("offset=9223372036854775807", Window(2**63 - 1, 10)),
        ("limit=007", Window(0, 7)),
    ],
)
def test_a_window_is_what_was_asked_for(query: str, window: Window):
    """Ten from the start, unless something else is said."""
    assert wire.window(asking(query)) == window


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("limit=0", BadLimit),
        ("limit=101", BadLimit),
        ("limit=99999999999999999999", BadLimit),
        ("offset=9223372036854775808", BadOffset),
        ("limit=-1", BadQuery),
        ("limit=", BadQuery),
        ("limit=ten", BadQuery),
        ("limit=1.5", BadQuery),
        ("limit=1e1", BadQuery),
        ("limit=1_0", BadQuery),
        ("limit=%2B1", BadQuery),
        ("limit=%D9%A3", BadQuery),
        ("limit=" + "9" * 5000, BadQuery),
        ("limit=1&limit=1", BadQuery),
        ("offset=1&offset=1", BadQuery),
    ],
)
def test_a_bad_window_is_refused(query: str, error: type[Exception]):
    """Out of range, no number, or given twice (spec A.0)."""
    with pytest.raises(error) as caught:
        wire.window(asking(query))
    assert caught.type is error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (BadLimit, "invalid limit size"),
        (BadOffset, "invalid offset size"),
        (BadQuery, "invalid query parameters"),
    ],
)
def test_the_errors_of_windows_say_what_upstream_says(error: type[Exception], text: str):
    """The texts of spec A.0."""
    assert str(error()) == text


def test_a_limit_of_zero_can_mean_the_default():
    """As the lists of spec B.0 have it; above the most it is refused there too."""
    rules = wire.Rules(zero_is_default=True, limit=20)
    assert wire.window(asking("limit=0"), rules) == Window(0, 20)
    with pytest.raises(BadLimit):
        wire.window(asking("limit=101"), rules)


# --- filters -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", None),
        ("name=", None),
        ("name=pump", "pump"),
        ("name=%22pump%22", "pump"),
        ("name='pump'", "pump"),
        ("name=%22pump", '"pump'),
        ("name=%22", '"'),
        ("name=%22%22", None),
        ("name=a+b%2Bc", "a b+c"),
        ("name=a=b", "a=b"),
        ("&&name=a&", "a"),
    ],
)
def test_a_text_filter_loses_the_quotes_around_it(query: str, text: str | None):
    """The seed's curl lines put them there (spec I, row 6)."""
    assert wire.text(asking(query), "name") == text


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", None),
        ('{"a":{"b":1}}', {"a": {"b": 1}}),
        ('"{"a":1}"', {"a": 1}),
        (r'"\{\"serial\":\"123456\"\}"', {"serial": "123456"}),
        (r"{\"a\":1}", {"a": 1}),
        (r'{"a":"\n"}', {"a": "\n"}),
    ],
)
def test_a_filter_that_is_json_is_read_through_quotes_and_backslashes(value: str, found: dict | None):
    """As the seed writes it in URLs (spec I, row 14); what is JSON already is left alone."""
    assert wire.document(asking(f"metadata={quote(value)}"), "metadata") == found


@pytest.mark.parametrize(
    "value",
    [
        "{",
        "[1]",
        "1",
        "null",
        "a",
        '"',
        "[" * 5000,
        '{"a":"%00"}',
        "%ff",
        r'{"a":"\u0000"}',
        '{"a":99999999999999999999}',
    ],
)
def test_a_filter_that_is_no_json_object_is_refused(value: str):
    """Spec A.0: bad JSON is 400."""
    with pytest.raises(BadQuery):
        wire.document(asking(f"metadata={value}"), "metadata")


@pytest.mark.parametrize(("value", "meaning"), [("true", True), ("0", False), ("False", False), ("T", True)])
def test_a_flag_is_read(value: str, meaning: bool):
    """As Go's ParseBool reads it."""
    assert wire.flag(asking(f"tree={value}"), "tree") is meaning
    assert wire.flag(asking(""), "tree") is None


@pytest.mark.parametrize("value", ["", "yes", "2"])
def test_what_is_no_flag_is_refused(value: str):
    """Nothing is guessed."""
    with pytest.raises(BadQuery):
        wire.flag(asking(f"tree={value}"), "tree")
