"""Reads the settings: options over environment over a TOML file over upstream's variables over defaults."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec

from muster.core.model import Secret
from muster.settings.model import EMAIL, PREFIX, Settings
from muster.settings.problems import Problem, SettingsError, did_you_mean
from muster.settings.tomlfile import TomlFile
from muster.settings.values import READERS, Address, Addresses, Size, read_text

UPSTREAM_PREFIXES: Final = ("MG_", "SMQ_", "MF_")
"""Upstream's names for itself over the years, in the order in which they count (spec C.1)."""

FOREIGN: Final = frozenset({"MUSTER_CONFIG", "MUSTER_URL", "MUSTER_TOKEN", "MUSTER_PROFILE", "MUSTER_OUTPUT"})
"""Variables that are no settings of the server: where its file is, and what the command line reads."""

CLUSTER_NAMES: Final = re.compile(
    r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
"""What Kubernetes and container links add to the environment for a service that is called muster."""


@dataclass(frozen=True, slots=True)
class Field:
    """A setting: its type without Annotated and None, its limits, its documentation."""

    name: str
    type: Any
    is_optional: bool
    default: Any
    meta: msgspec.Meta

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()

    @property
    def is_secret(self) -> bool:
        return issubclass(self.type, Secret)

    @property
    def opens(self) -> str:
        return str((self.meta.extra or {})["opens"])

    @property
    def upstream(self) -> tuple[str, ...]:
        """Upstream's variables for it, the one that counts most first."""
        suffix = (self.meta.extra or {})["upstream"]
        return tuple(prefix + suffix for prefix in UPSTREAM_PREFIXES) if suffix else ()


def _field(info: msgspec.structs.FieldInfo) -> Field:
    inner, meta = get_args(info.type)
    is_optional = get_origin(inner) is UnionType
    return Field(info.name, get_args(inner)[0] if is_optional else inner, is_optional, info.default, meta)


FIELDS: Final = tuple(_field(info) for info in msgspec.structs.fields(Settings))


@dataclass(frozen=True, slots=True)
class Given:
    """A text that someone gave for a setting, and where."""

    text: str
    where: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The settings, and the place each value came from; no entry: the default."""

    settings: Settings
    sources: Mapping[str, str]
    unread: Collection[str] = ()
    """The fields whose text means nothing: the defaults that stand in for them say nothing about others."""


def read_settings(
    environ: Mapping[str, str], file: TomlFile | None, options: Mapping[str, str], problems: list[Problem]
) -> Reading:
    """Read every field; what is wrong goes to *problems*, and its default stands in until all is read."""
    problems.extend(_strangers(environ, file, options))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    unread: list[str] = []
    for field in FIELDS:
        try:
            given = next(_candidates(field, environ, file, options), None)
            if given is not None:
                values[field.name], sources[field.name] = _read(field, given), given.where
        except SettingsError as error:
            problems.extend(error.problems)
            unread.append(field.name)
    return Reading(Settings(**values), sources, unread)


def _strangers(
    environ: Mapping[str, str], file: TomlFile | None, options: Mapping[str, str]
) -> Iterator[Problem]:
    variables = {field.variable for field in FIELDS} | FOREIGN
    variables |= {f"{field.variable}_FILE" for field in FIELDS if field.is_secret}
    for name in environ:
        is_ours = name.startswith(PREFIX) and not CLUSTER_NAMES.fullmatch(name.removeprefix(PREFIX))
        if is_ours and name not in variables:
            yield Problem(name, f"there is no such setting.{did_you_mean(name, variables)}")
    names = {field.name for field in FIELDS}
    for name in file.data if file else ():
        if file and name not in names:
            yield Problem(file.where(name), f"there is no setting {name}.{did_you_mean(name, names)}")
    for name in options.keys() - names:
        yield Problem(_option(name), "there is no such setting")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _candidates(
    field: Field, environ: Mapping[str, str], file: TomlFile | None, options: Mapping[str, str]
) -> Iterator[Given]:
    """Give what was said about the field, what counts most first. Empty means unsaid, but for a port: off."""
    for given in _all(field, environ, file, options):
        if given.text.strip() or field.type in {Address, Addresses}:
            yield given


def _all(
    field: Field, environ: Mapping[str, str], file: TomlFile | None, options: Mapping[str, str]
) -> Iterator[Given]:
    if field.name in options:
        yield Given(options[field.name], _option(field.name))
    if field.variable in environ:
        yield Given(environ[field.variable], field.variable)
    if field.is_secret and environ.get(f"{field.variable}_FILE"):
        yield _from_file(f"{field.variable}_FILE", Path(environ[f"{field.variable}_FILE"]))
    if file and field.name in file.data:
        where = file.where(field.name)
        yield Given(_text(file.data[field.name], where), where)
    for variable in field.upstream:
        if variable in environ:
            yield Given(environ[variable], variable)


def _from_file(variable: str, path: Path) -> Given:
    try:
        return Given(path.read_text("utf-8").rstrip("\r\n"), f"{variable} ({path})")
    except OSError as error:
        raise SettingsError([Problem(variable, f"{path} cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise SettingsError([Problem(variable, f"{path} is not UTF-8 text")]) from None


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise SettingsError([Problem(where, "expected a string, a whole number, true or false")])


def _read(field: Field, given: Given) -> Any:
    text = given.text if field.is_secret else given.text.strip()
    if not text:
        return None
    try:
        return _within(READERS[field.type](read_text(text)), field.meta)
    except ValueError as error:
        shown = "" if field.is_secret else f", not {text[:80]!r}"
        raise SettingsError([Problem(given.where, f"{error}{shown}")]) from None


def _within(value: Any, meta: msgspec.Meta) -> Any:
    """Give the value if it is within the field's limits; else msgspec.ValidationError, a ValueError."""
    if type(value) in {int, Size, str}:
        plain = int if isinstance(value, int) else str
        if meta.pattern == EMAIL and not re.search(EMAIL, value):
            raise ValueError("expected an e-mail address such as jane@example.com")
        msgspec.convert(plain(value), Annotated[plain, meta])
    return value
