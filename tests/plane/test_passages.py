"""What is remembered of who may publish ends when it stops being true."""

import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plane_station import Station

from muster.core import events
from muster.core.messaging import Passage, Whereabouts
from muster.core.model import ChannelId, Event, Instant, TenantId
from muster.plane.config import CALLOUT
from muster.plane.keys import Keys
from muster.plane.link import Link
from muster.plane.passages import Passages
from muster.plane.subjects import Address


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Passages]:
    def make(**options: Any) -> Passages:
        link = Link(["nats://127.0.0.1:1"], Keys(secrets.token_bytes(32)), CALLOUT)
        return Passages(link, **{"seconds": 1, "clock": clock, **options})

    return make


def passed(device: str, channel: str = "c", tenant: str = "t") -> tuple[Passage, Address]:
    where = Whereabouts(
        channel_id=ChannelId(channel), tenant_id=TenantId(tenant), route="r", tenant_alias="a"
    )
    return Passage(where=where, publisher=device), Address(channel, tenant, "r", "a")


def ask(passages: Passages, device: str, channel: str = "c", tenant: str | None = None) -> Any:
    return passages.find(passages.name(f"secret of {device}", channel, tenant))


def tell(passages: Passages, device: str, channel: str = "c", tenant: str | None = None) -> None:
    watch = passages.watch()
    passages.keep(watch, passages.name(f"secret of {device}", channel, tenant), *passed(device))


def event(topic: str, key: str = "d", tenant: str = "t") -> Event:
    return Event(topic=topic, tenant_id=TenantId(tenant), key=key, payload=None, created_at=Instant(1))


def test_a_passage_is_remembered_for_its_secret_and_channel_alone(make: Callable[..., Passages]) -> None:
    """Another secret or channel, or the same under another tenant, is asked anew."""
    passages = make()
    tell(passages, "d")
    assert passed("d") == ask(passages, "d")
    assert [None] * 3 == [ask(passages, "e"), ask(passages, "d", "other"), ask(passages, "d", "c", "t")]


def test_a_passage_is_forgotten_after_its_time(make: Callable[..., Passages], clock: Clock) -> None:
    """Counted from when the look-up began."""
    passages = make(seconds=1)
    watch = passages.watch()
    clock.now = 0.6
    passages.keep(watch, passages.name("secret of d", "c", None), *passed("d"))
    assert ask(passages, "d") is not None
    clock.now = 1.0
    assert ask(passages, "d") is None


@pytest.mark.parametrize(
    ("news", "is_kept"),
    [
        (event(events.RIGHTS_CHANGED), False),
        (event(events.ACCESS_ENDED), False),
        (event(events.TENANT_CLOSED, "t"), False),
        (event(events.RIGHTS_CHANGED, "another"), True),
        (event(events.ACCESS_ENDED, tenant="tt"), True),
        (event(events.TENANT_CLOSED, "tt", "tt"), True),
        (event(events.USER_CHANGED), True),
    ],
)
def test_a_change_ends_what_is_remembered_of_those_it_is_about(
    make: Callable[..., Passages], news: Event, is_kept: bool
) -> None:
    """Of the device or of the whole tenant, and of nobody else; also what was being looked up meanwhile."""
    passages = make()
    tell(passages, "d")
    watch = passages.watch()
    passages.changed([news])
    assert is_kept == (ask(passages, "d") is not None)
    passages.keep(watch, passages.name("secret of d", "c", "t"), *passed("d"))
    assert is_kept == (ask(passages, "d", "c", "t") is not None)
    tell(passages, "d")
    assert ask(passages, "d") is not None


def test_a_look_up_older_than_what_is_known_of_changes_is_not_kept(make: Callable[..., Passages]) -> None:
    """Only so many changes are remembered themselves."""
    passages = make()
    watch = passages.watch()
    for number in range(5000):
        passages.changed([event(events.RIGHTS_CHANGED, f"d{number}")])
    passages.keep(watch, passages.name("secret of d", "c", None), *passed("d"))
    assert ask(passages, "d") is None


@pytest.mark.parametrize(("channel", "tenant"), [("r", "t"), ("c", "a"), ("r", "a")])
def test_what_is_addressed_by_a_route_or_an_alias_is_asked_every_time(
    make: Callable[..., Passages], channel: str, tenant: str
) -> None:
    """Those may come to mean something else without any change of the device's rights."""
    passages = make()
    tell(passages, "d", channel, tenant)
    assert ask(passages, "d", channel, tenant) is None


def test_no_more_than_the_most_is_remembered(make: Callable[..., Passages]) -> None:
    """What comes beyond it pushes out what was there."""
    passages = make(most=2)
    for device in "abc":
        tell(passages, device)
    assert [False, False, True] == [ask(passages, device) is not None for device in "abc"]


def test_nothing_is_remembered_from_before_the_broker_was_away(tmp_path: Path) -> None:
    """Meanwhile nobody could tell of changes."""
    station = Station(tmp_path).start()
    try:
        passages = station.plane.passages
        tell(passages, "d")
        watch = passages.watch()
        assert station.broker.pid is not None
        os.kill(station.broker.pid, signal.SIGKILL)
        assert station.eventually(lambda: ask(passages, "d") is None)
        passages.keep(watch, passages.name("secret of d", "c", None), *passed("d"))
        assert ask(passages, "d") is None
    finally:
        station.stop()
