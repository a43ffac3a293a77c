"""Of several doors the next that works is tried first."""

from muster.plane.doors import REST_SECONDS, Doors

ONE, TWO, THREE = ("one", 1), ("two", 2), ("three", 3)


def test_doors_are_used_in_turn_and_those_that_failed_come_last_for_a_while() -> None:
    """Until they had some rest, or opened."""
    now = [0.0]
    doors = Doors([ONE, TWO, THREE], clock=lambda: now[0])
    assert [[ONE, TWO, THREE], [TWO, THREE, ONE]] == [doors.in_turn(), doors.in_turn()]
    doors.failed(THREE)
    assert [[ONE, TWO, THREE], [ONE, TWO, THREE]] == [doors.in_turn(), doors.in_turn()]
    now[0] = REST_SECONDS
    assert [[TWO, THREE, ONE], [ONE, TWO, THREE]] == [doors.in_turn() for _ in range(3)][::2]
    doors.failed(TWO)
    doors.works(TWO)
    assert [TWO, THREE, ONE] == doors.in_turn()


def test_no_doors_are_no_doors() -> None:
    """Where the settings name none."""
    assert [] == Doors([]).in_turn()
