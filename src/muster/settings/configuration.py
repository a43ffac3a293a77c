"""Puts the configuration together: the settings, the provision service's, and where each value came from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from muster.settings.checks import check
from muster.settings.model import Settings
from muster.settings.problems import Problem, SettingsError
from muster.settings.provision import DEFAULT, ProvisionSettings, read_provision
from muster.settings.reading import FIELDS, UPSTREAM_PREFIXES, Reading, read_settings
from muster.settings.tomlfile import TomlFile, read_toml
from muster.settings.values import write

CONFIG: Final = "MUSTER_CONFIG"
LAYOUT_FILE: Final = Path("config.toml")
"""Where upstream's provision service looks when nobody says where (spec C.1)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A setting as `muster config` shows it."""

    name: str
    value: str
    """Of a secret not more than that there is one."""
    source: str
    """The variable, option, or file and line it came from; else `default`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All that the operator decided."""

    settings: Settings
    provision: ProvisionSettings
    sources: Mapping[str, str]
    notices: tuple[str, ...]
    """One line each, to be printed at start; never a secret."""

    def effective(self) -> list[Row]:
        """Give every setting with its value and its source, secrets hidden; then the provision service's."""
        rows = [
            Row(field.name, write(getattr(self.settings, field.name)), self.sources.get(field.name, DEFAULT))
            for field in FIELDS
        ]
        return rows + [Row(f"provision.{name}", *said) for name, said in self.provision.summary().items()]


def load(
    environ: Mapping[str, str],
    *,
    config: Path | None = None,
    options: Mapping[str, str] | None = None,
    folder: Path = Path(),
) -> Configuration:
    """Read everything, once.

    *config* is the TOML file (`--config`), else MUSTER_CONFIG names it, else there is none. *options* are
    settings from the command line by field name; they count before all others. *folder* is where upstream's
    config.toml is looked for when nothing names it. SettingsError with everything that is wrong at once.
    """
    problems: list[Problem] = []
    path = config or (Path(environ[CONFIG]) if environ.get(CONFIG) else None)
    reading = read_settings(environ, _file(path, problems), options or {}, problems)
    problems.extend(_complaints(reading))
    layout_path = reading.settings.provision_file or _unnamed(folder)
    provision = read_provision(environ, _file(layout_path, problems), problems)
    if problems:
        raise SettingsError(problems)
    return Configuration(
        settings=reading.settings,
        provision=provision,
        sources=reading.sources,
        notices=(*_signing_keys(environ), *provision.notices),
    )


def _file(path: Path | None, problems: list[Problem]) -> TomlFile | None:
    try:
        return read_toml(path) if path else None
    except SettingsError as error:
        problems.extend(error.problems)
        return None


def _unnamed(folder: Path) -> Path | None:
    path = folder / LAYOUT_FILE
    return path if path.exists() else None


def _complaints(reading: Reading) -> list[Problem]:
    """Give what is wrong with values that could be read, and is not due to one that could not."""
    variables = {field.name: field.variable for field in FIELDS}
    return [
        Problem(reading.sources.get(name, variables[name]), reason)
        for name, reason in check(reading.settings)
        if not {name, *re.findall(r"\w+", reason)} & set(reading.unread)
    ]


def _signing_keys(environ: Mapping[str, str]) -> list[str]:
    found = [name for prefix in UPSTREAM_PREFIXES if environ.get(name := f"{prefix}AUTH_SECRET_KEY")]
    return [f"ignored, Muster makes its own signing keys: {', '.join(found)}"] if found else []
