"""What is made quickly is what a dataclass would have made."""

from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from muster.core.model import Channel, ChannelId, Instant, Status, TenantId
from muster.core.quick import quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """Without."""

    name: str
    size: int = 3
    parts: list[str] = field(default_factory=list)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    """With."""

    name: str
    size: int = 3
    parts: list[str] = field(default_factory=list)


def test_fields_defaults_and_factories_are_the_same():
    """And no two values share what a factory made."""
    for kind in (Slow, Quick):
        made = kind(name="a")
        assert ("a", 3, []) == (made.name, made.size, made.parts)
        assert made.parts is not kind(name="a").parts
        assert made == kind(name="a") != kind(name="b")
        assert ["x"] == replace(made, parts=["x"]).parts
    assert repr(Slow(name="a")).replace("Slow", "Quick") == repr(Quick(name="a"))


def test_what_is_missing_unknown_or_by_position_is_refused():
    """In the same way."""
    for kind in (Slow, Quick):
        for wrong in (lambda k=kind: k(), lambda k=kind: k("a"), lambda k=kind: k(name="a", other=1)):
            with pytest.raises(TypeError):
                wrong()


def test_it_is_still_frozen():
    """Nobody changes a value."""
    with pytest.raises(FrozenInstanceError):
        Quick(name="a").name = "b"  # type: ignore[misc]


def test_a_class_with_work_after_its_init_is_refused():
    """It would be left out."""

    class Late(Slow):
        def __post_init__(self) -> None:
            raise AssertionError

    with pytest.raises(TypeError):
        quick(Late)


def test_the_nouns_are_made_so():
    """With their defaults."""
    made = Channel(
        id=ChannelId("c"), tenant_id=TenantId("t"), name="n", created_by="u", created_at=Instant(1)
    )
    assert (Status.ENABLED, {}, ()) == (made.status, made.metadata, made.tags)
