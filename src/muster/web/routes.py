"""Which endpoints a path and method mean, over all dialects: literal segments first, no dead ends.

In each dialect the most literal template that fits a path is the resource, as in OpenAPI: a method that it
does not take is not looked for in a less literal one.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Generic, Protocol, TypeVar

from muster.web.request import path_text


class Target(Protocol):
    """What a route leads to."""

    @property
    def dialect(self) -> str:
        """The name of the dialect it belongs to."""

    @property
    def method(self) -> str:
        """The HTTP method it answers."""

    @property
    def segments(self) -> Sequence[str | None]:
        """Its path: literal segments, None for a variable one."""

    @property
    def takes_rest(self) -> bool:
        """Whether its last variable takes all that is left of the path, slashes too."""


T = TypeVar("T", bound=Target)


@dataclass(slots=True)
class _Node(Generic[T]):
    literals: dict[str, "_Node[T]"] = field(default_factory=dict)
    variable: "_Node[T] | None" = None
    rest: "_Node[T] | None" = None
    sole: dict[str, T] = field(default_factory=dict)
    """By method, where only one dialect can mean the path."""
    all: dict[str, dict[str, T]] = field(default_factory=dict)
    """By method and dialect."""


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """What a path means. *targets*: for the method, by dialect, with the values of the variables."""

    targets: dict[str, tuple[T, list[str]]]
    allow: tuple[str, ...]
    """All methods the path takes, in any dialect; empty: there is no such path."""
    dialects: frozenset[str]
    """The dialects that know the path."""


def split(raw_path: bytes) -> list[str]:
    """Split a path as sent into its decoded segments; a slash at the end counts for nothing.

    An encoded slash (%2F) stays inside its segment. BadPath for what is no text.
    """
    if b"%" in raw_path or not raw_path.isascii() or b"\0" in raw_path:
        segments = [path_text(segment) for segment in raw_path.split(b"/")]
    else:
        segments = raw_path.decode("ascii").split("/")
    del segments[0]
    if segments and not segments[-1]:
        del segments[-1]
    return segments


_UNREADABLE = re.compile(rb"%(?:00|[89A-Fa-f][0-9A-Fa-f])|[\x00\x80-\xff]")


def readable(raw_path: bytes) -> bytes:
    """Give the path with a question mark for each octet that may not be text: one that split takes."""
    return _UNREADABLE.sub(b"?", raw_path)


class Routes(Generic[T]):
    """All routes of all dialects."""

    __slots__ = ("_heads", "_root")

    def __init__(self, targets: Iterable[T]) -> None:
        """Lay out the routes; ValueError when a dialect has two for the same path and method."""
        listed = list(targets)
        self._root: _Node[T] = _Node()
        self._heads = _heads(listed)
        contested = _contested(listed)
        for target in listed:
            node = self._place(target)
            mine = node.all.setdefault(target.method, {})
            if target.dialect in mine:
                raise ValueError(f"two routes of {target.dialect} for {target.method} {target.segments}")
            mine[target.dialect] = target
            if id(target) not in contested:
                node.sole[target.method] = target

    def _place(self, target: T) -> _Node[T]:
        node = self._root
        variables = [index for index, segment in enumerate(target.segments) if segment is None]
        for index, segment in enumerate(target.segments):
            if segment is not None:
                node = node.literals.setdefault(segment, _Node())
            elif target.takes_rest and index == variables[-1]:
                node.rest = node.rest or _Node()
                node = node.rest
            else:
                node.variable = node.variable or _Node()
                node = node.variable
        return node

    def one(self, method: str, segments: list[str]) -> tuple[T, list[str]] | None:
        """Give the endpoint when it is plain which, else None: then ask `find`."""
        node, values = self._root, []
        for index, segment in enumerate(segments):
            child = node.literals.get(segment)
            if child is None:
                if node.variable is not None and segment:
                    child = node.variable
                    values.append(segment)
                elif node.rest is not None and (segment or index + 1 < len(segments)):
                    values.append("/".join(segments[index:]))
                    node = node.rest
                    break
                else:
                    return None
            node = child
        target = node.sole.get(method)
        return (target, values) if target is not None else None

    def find(self, method: str, segments: list[str]) -> Found[T]:
        """Give everything the path can mean."""
        targets: dict[str, tuple[T, list[str]]] = {}
        methods: set[str] = set()
        known: set[str] = set()
        for node, values in _matches(self._root, segments, 0, []):
            fresh: set[str] = set()
            for taken, by_dialect in node.all.items():
                news = by_dialect.keys() - known
                fresh |= news
                methods.update([taken] if news else [])
                if taken == method:
                    targets.update({dialect: (by_dialect[dialect], values) for dialect in news})
            known |= fresh
        return Found(targets, _in_order(methods), frozenset(known))

    def head(self, segments: list[str]) -> str | None:
        """Give the only dialect that has routes under the path's first segment, or None."""
        return self._heads.get(segments[0]) if segments else None


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _in_order(methods: set[str]) -> tuple[str, ...]:
    if not methods:
        return ()
    every = methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())
    return tuple(sorted(every, key=_METHODS.index))


def _matches(
    node: _Node[T], segments: list[str], index: int, values: list[str]
) -> Iterator[tuple[_Node[T], list[str]]]:
    if index == len(segments):
        if node.all:
            yield node, values
        return
    segment = segments[index]
    child = node.literals.get(segment)
    if child is not None:
        yield from _matches(child, segments, index + 1, values)
    if node.variable is not None and segment:
        yield from _matches(node.variable, segments, index + 1, [*values, segment])
    if node.rest is not None and (segment or index + 1 < len(segments)):
        yield node.rest, [*values, "/".join(segments[index:])]


def _heads(targets: list[T]) -> dict[str, str]:
    owners: dict[str, set[str]] = {}
    for target in targets:
        if target.segments and target.segments[0] is not None:
            owners.setdefault(target.segments[0], set()).add(target.dialect)
    return {head: next(iter(dialects)) for head, dialects in owners.items() if len(dialects) == 1}


def _contested(targets: list[T]) -> set[int]:
    found: set[int] = set()
    for one, other in combinations(targets, 2):
        if one.dialect != other.dialect and one.method == other.method and _overlap(one, other):
            found.update((id(one), id(other)))
    return found


def _overlap(one: Target, other: Target) -> bool:
    same_length = len(one.segments) == len(other.segments)
    longer_matches = (one.takes_rest and len(other.segments) >= len(one.segments)) or (
        other.takes_rest and len(one.segments) >= len(other.segments)
    )
    pairs = zip(one.segments, other.segments, strict=False)
    return (same_length or longer_matches) and all(a is None or b is None or a == b for a, b in pairs)
