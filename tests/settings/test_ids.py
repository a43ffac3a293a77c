"""The patterns of Hono's ids: what an operator may widen, and what no topic could hold anyway."""

import pytest

from muster.settings import load
from muster.settings.problems import SettingsError

SETTINGS = ("HONO_TENANT_IDS", "HONO_DEVICE_IDS", "HONO_AUTH_IDS")


@pytest.mark.parametrize("name", SETTINGS)
def test_no_pattern_lets_in_what_breaks_topics(name: str):
    """Blanks, slashes, wildcards and control characters stay out, and ids are 1 to 256 characters."""
    settings = load({f"MUSTER_{name}": ".*"}).settings
    pattern = settings.id_pattern(name.lower())
    good = ("a", "a@b:c=%&(d)", "x" * 256)
    bad = ("", "a b", "a/b", "a+", "#", "a*", "a>", "é", "a\n", "a\0", "x" * 257)
    assert [True] * len(good) == [bool(pattern.fullmatch(each)) for each in good]
    assert [False] * len(bad) == [bool(pattern.fullmatch(each)) for each in bad]


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_no_pattern_stops_the_start(name: str):
    """And the setting is named."""
    with pytest.raises(SettingsError, match=name):
        load({f"MUSTER_{name}": "("})
