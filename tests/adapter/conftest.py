"""Devices that are connected already."""

import pytest

from muster.plane.adapter.actions import (
    Rules,
)
from muster.plane.adapter.packets import (
    Connack,
    Connect,
)
from tests.adapter.talk import Talk


@pytest.fixture
def talk() -> Talk:
    """An authenticated device."""
    return Talk().open()


@pytest.fixture
def stranger() -> Talk:
    talk = Talk(Rules(authentication_required=False))
    assert talk.say(Connect(client_id="c")) == [Connack()]
    return talk
