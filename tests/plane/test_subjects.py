"""Spelling: no id, however odd, can be taken for another channel or for a wildcard."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.core.errors import Malformed
from muster.core.messaging import ChannelRight, Rights
from muster.core.model import ChannelId, DeviceId, TenantId
from muster.plane.subjects import Address, name_of, permissions, subtopic, take_apart, token, topic

IDS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1).filter(
    str.strip
)
PLAIN = "0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a2b"


@pytest.mark.parametrize("name", [PLAIN, "channel_1", "ABC-xyz", "gerät"])
def test_plain_ids_stay_as_they_are(name: str):
    """So that topics look as upstream's do."""
    assert token(name) == name


@given(IDS)
def test_an_id_is_one_level_of_a_subject_and_reads_back(name: str):
    """No dot, no wildcard, no white space, nothing lost."""
    level = token(name)
    assert "." not in level
    assert level not in {"*", ">", ""}
    assert not any(c.isspace() and ord(c) < 0x21 for c in level)
    assert name_of(level) == name


@given(IDS, IDS)
def test_no_two_ids_are_spelled_alike(one: str, other: str):
    """Nor does one begin the subjects of another."""
    if one != other:
        assert set(Address(one, "t").roots()).isdisjoint(Address(other, "t").roots())


@given(IDS, IDS, st.lists(st.sampled_from(["a", "b//c", "*", "/"])))
def test_every_name_of_a_channel_is_taken_apart_into_it(channel: str, tenant: str, levels: list[str]):
    """With what follows it."""
    rest = "".join(f".{level}" for level in levels)
    legacy, modern = (take_apart(root + rest) for root in Address(channel, tenant).roots())
    assert legacy is not None
    assert (legacy.channel, legacy.domain, legacy.rest) == (channel, None, rest)
    assert modern is not None
    assert (modern.channel, modern.domain, modern.rest) == (channel, tenant, rest)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "channels",
        "channels.c",
        "channels.*.messages",
        "channels.>",
        "m.*.c.x",
        "m.t.c.*",
        "m.t.c",
        "m.t.d.x",
        "x",
    ],
)
def test_what_lies_in_no_channel_or_in_several_is_none(subject: str):
    """Wildcards never stand for a channel."""
    assert take_apart(subject) is None


def test_rights_become_lists_of_both_forms_and_never_empty_ones():
    """An empty list would allow everything."""
    right = ChannelRight(
        channel_id=ChannelId("c"),
        tenant_id=TenantId("t"),
        route="r",
        tenant_alias="a",
        publish=True,
        subscribe=False,
    )
    rights = Rights(tenant_id=TenantId("t"), device_id=DeviceId("d"), channels=(right,))
    publish, subscribe = permissions(rights)
    roots = ["channels.c.messages", "m.t.c.c", "m.t.c.r", "m.a.c.c", "m.a.c.r"]
    assert publish == [name for root in roots for name in (root, f"{root}.>")]
    assert subscribe == ["_MUSTER.nothing"]


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("", ""),
        ("/", ""),
        ("a", ".a"),
        ("a/b/", ".a.b"),
        ("a//b", ".a.b"),
        ("a.b", ".a//b"),
        ("%C3%A4", ".ä"),
    ],
)
def test_a_sub_topic_of_an_address_becomes_levels(path: str, rest: str):
    """Unescaped, empty levels dropped (spec E.1)."""
    assert subtopic(path) == rest


@pytest.mark.parametrize("path", ["*", "a/>", "a*", "a b", "a%20b", "+", "#", "a%2Fb", "%00", "\x7f"])
def test_a_sub_topic_no_topic_could_hold_is_malformed(path: str):
    """Also when it hides behind percent signs."""
    with pytest.raises(Malformed):
        subtopic(path)


def test_a_filter_may_hold_wildcards_as_whole_levels():
    """For the WebSocket door, which subscribes."""
    assert subtopic("a/*/c/>", is_filter=True) == ".a.*.c.>"
    for path in ("a*", ">/a", "a/x>"):
        with pytest.raises(Malformed):
            subtopic(path, is_filter=True)


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("channels.c.messages", "channels/c/messages"),
        ("a.b//c.d", "a/b.c/d"),
        ("a./.b", "a//b"),
        ("/.a", "/a"),
    ],
)
def test_a_subject_is_shown_as_the_topic_it_was(subject: str, expected: str):
    """The broker's own spelling, read backwards."""
    assert topic(subject) == expected
