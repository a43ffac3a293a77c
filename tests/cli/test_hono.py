"""`muster hono`: the command; that messages arrive is told in tests/journeys/test_hono.py."""

from tests.cli.conftest import Shell


def test_an_unknown_tenant_is_not_found(muster: Shell) -> None:
    """As for every other noun."""
    muster.try_("hono", "consume", "nothing-there", "--rounds", "1", "--wait", "0").refused()
