"""What a setting's text means, and what is said of a text that means nothing."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.settings.values import (
    Address,
    Size,
    read_address,
    read_bool,
    read_duration,
    read_size,
    read_url,
    write,
    write_duration,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("0.0.0.0:0", Address("0.0.0.0", 0)),
        ("[::1]:8080", Address("::1", 8080)),
        ("[0:0::0]:1", Address("::", 1)),
        ("muster.example.com:443", Address("muster.example.com", 443)),
        ("localhost:65535", Address("localhost", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text, expected):
    """Names, IPv4, and IPv6 in brackets."""
    assert read_address(text) == expected
    assert read_address(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("8080", "expected host:port"),
        ("127.0.0.1", "expected host:port"),
        ("127.0.0.1:65536", "0 to 65535"),
        ("127.0.0.1:-1", "0 to 65535"),
        ("127.0.0.1:٣", "0 to 65535"),
        ("127.0.0.1:http", "0 to 65535"),
        (":8080", "write 0.0.0.0:8080"),
        ("::1:8080", "in brackets"),
        ("[::1]", "expected host:port"),
        ("[::g]:80", "no IPv6 address"),
        ("127.0.0.300:80", "no IPv4 address"),
        ("a b:80", "neither a host name"),
        ("-a:80", "neither a host name"),
        ("http://localhost:80", "in brackets"),
        ("a" * 64 + ":80", "neither a host name"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(text, reason):
    """The reason says what to write instead."""
    with pytest.raises(ValueError, match=reason):
        read_address(text)


@pytest.mark.parametrize(
    ("host", "expected"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.1", "10.0.0.1")]
)
def test_a_program_here_reaches_a_wildcard_at_the_loopback(host, expected):
    """Nobody can connect to «all addresses»."""
    assert Address(host, 80).reachable == Address(expected, 80)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2400h", timedelta(hours=2400)),
        ("1.5s", timedelta(seconds=1.5)),
        (".5s", timedelta(seconds=0.5)),
        ("300ms", timedelta(milliseconds=300)),
        ("24h0m0s", timedelta(hours=24)),
        ("7d", timedelta(days=7)),
        ("0", timedelta(0)),
        ("0s", timedelta(0)),
    ],
)
def test_durations_are_written_as_in_go(text, expected):
    """And in days, which Go lacks."""
    assert read_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "-1h", "1 h", "h", "1h30", "1y", "1e3s", "abc", "1h-5m", "٣h"])
def test_what_is_no_duration_is_refused(text):
    """A bare number could be seconds or hours: it is refused, too."""
    with pytest.raises(ValueError, match="expected a duration such as"):
        read_duration(text)


@pytest.mark.parametrize("text", ["1000000000h", "36526d", "999999999999999999d"])
def test_an_absurd_duration_is_refused(text):
    """Dates beyond a century break certificates and clocks."""
    with pytest.raises(ValueError, match="longer than a century"):
        read_duration(text)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_000)))
def test_a_written_duration_is_read_back(value):
    """What `muster config` shows can be set again."""
    assert read_duration(write_duration(value)) == value


@pytest.mark.parametrize(
    ("text", "expected", "written"),
    [
        ("65536", 65536, "64KiB"),
        ("1MiB", 2**20, "1MiB"),
        ("3 gib", 3 * 2**30, "3GiB"),
        ("1000", 1000, "1000"),
    ],
)
def test_sizes_are_bytes(text, expected, written):
    """With binary units."""
    assert read_size(text) == expected
    assert str(Size(expected)) == written


@pytest.mark.parametrize("text", ["", "1MB", "-1", "1.5MiB", "many"])
def test_what_is_no_size_is_refused(text):
    """MB could be either of two sizes."""
    with pytest.raises(ValueError, match="expected a number of bytes"):
        read_size(text)


@pytest.mark.parametrize(("text", "expected"), [("TRUE", True), ("yes", True), ("0", False), ("off", False)])
def test_yes_and_no_have_many_names(text, expected):
    """Whatever the case."""
    assert read_bool(text) is expected


def test_what_is_neither_yes_nor_no_is_refused():
    """It never silently means no."""
    with pytest.raises(ValueError, match="expected true or false"):
        read_bool("maybe")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://muster:s3cret@db:5432/muster?password=s3cret", "postgresql://db:5432/muster"),
        ("nats://s3cret@a:4222, nats://b:4222", "nats://a:4222,nats://b:4222"),
    ],
)
def test_an_address_with_a_password_shows_only_where_it_points(text, shown):
    """Users, passwords and parameters stay hidden, also in the value's own representation."""
    url = read_url(text)
    assert write(url) == shown
    assert "s3cret" not in repr(url)
    assert url.reveal() == text


@pytest.mark.parametrize("text", ["db:5432", "postgresql:", "nats://a,b", "http://[::1"])
def test_what_is_no_url_is_refused_without_showing_it(text):
    """It could be a password in the wrong place."""
    with pytest.raises(ValueError, match="expected an address such as") as refusal:
        read_url(text)
    assert text not in str(refusal.value)
