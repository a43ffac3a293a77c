"""The provision service's environment: MG_PROVISION_*, SMQ_PROVISION_* and MF_PROVISION_*, in that order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from muster.settings import spellings
from muster.settings.meaning import MEANINGS
from muster.settings.problems import Problem, did_you_mean
from muster.settings.reading import CLUSTER_NAMES, UPSTREAM_PREFIXES
from muster.settings.spellings import Meaning

SERVICE: Final = "PROVISION_"
KNOWN: Final = frozenset(
    {
        *spellings.VARIABLES,
        *spellings.OTHER_SERVICES,
        *spellings.OWN_PROCESS,
        *spellings.REFUSED_VARIABLES,
        spellings.FILE_VARIABLE,
    }
)


@dataclass(frozen=True, slots=True)
class Said:
    """A value that someone gave, and where."""

    value: Any
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VariableWords:
    """What the environment says."""

    said: Mapping[Meaning, Said] = field(default_factory=dict)
    prefix: str = ""
    """Of all prefixes in use the one that counts most; empty: none is."""
    notices: tuple[str, ...] = ()


def read_variables(environ: Mapping[str, str], problems: list[Problem]) -> VariableWords:
    """Read what is set and not empty; what is wrong goes to *problems*."""
    given = {name: text for name, text in environ.items() if text.strip() and _is_ours(name)}
    problems.extend(_complaints(given))
    said = {}
    for meaning, variable in _chosen(given):
        try:
            said[meaning] = Said(MEANINGS[meaning](given[variable]), variable)
        except ValueError as error:
            problems.append(Problem(variable, str(error)))
    prefixes = (prefix for prefix in UPSTREAM_PREFIXES if any(name.startswith(prefix) for name in given))
    return VariableWords(said=said, prefix=next(prefixes, ""), notices=tuple(_notices(given)))


def _is_ours(name: str) -> bool:
    suffix = _suffix(name)
    return suffix is not None and (suffix in KNOWN or not CLUSTER_NAMES.fullmatch(suffix))


def _suffix(name: str) -> str | None:
    for prefix in UPSTREAM_PREFIXES:
        if name.startswith(prefix + SERVICE):
            return name.removeprefix(prefix + SERVICE)
    return None


def _chosen(given: Mapping[str, str]) -> Iterator[tuple[Meaning, str]]:
    """Give for each meaning the variable that counts: by prefix first, then by spelling."""
    seen = set()
    for prefix in UPSTREAM_PREFIXES:
        for suffix, meaning in spellings.VARIABLES.items():
            variable = f"{prefix}{SERVICE}{suffix}"
            if variable in given and meaning not in seen:
                seen.add(meaning)
                yield meaning, variable


def _complaints(given: Mapping[str, str]) -> Iterator[Problem]:
    for name in given:
        suffix = _suffix(name) or ""
        if suffix in spellings.REFUSED_VARIABLES:
            yield Problem(name, spellings.REFUSED_VARIABLES[suffix])
        elif suffix not in KNOWN:
            prefix = name.removesuffix(suffix)
            yield Problem(name, f"there is no such setting.{did_you_mean(name, [prefix + k for k in KNOWN])}")


def _notices(given: Mapping[str, str]) -> Iterator[str]:
    others = [name for name in given if _suffix(name) in spellings.OTHER_SERVICES]
    own = [name for name in given if _suffix(name) in spellings.OWN_PROCESS]
    yield from notices_of("", others, own)


def notices_of(place: str, others: Iterable[str], own: Iterable[str]) -> Iterator[str]:
    """Say in a line each what was read and means nothing here."""
    if names := ", ".join(sorted(others)):
        yield f"{place}ignored, Muster is all of these services itself: {names}"
    if names := ", ".join(sorted(own)):
        yield f"{place}ignored, Muster's own settings decide (ports, log level, TLS): {names}"
