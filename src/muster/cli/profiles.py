"""The profile file: where the servers are, who one is there, and which domain is meant without saying."""

import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from muster.cli.failures import USAGE, Stop

DEFAULT_URL: Final = "http://127.0.0.1:8080"
FIRST: Final = "default"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One server and one user there."""

    name: str
    url: str = DEFAULT_URL
    username: str = ""
    domain: str = ""
    """Id of the domain that is meant without --domain; empty: the user's only one."""
    authority: str = ""
    """PEM file to trust instead of the system's; empty: the system's."""
    access: str = field(default="", repr=False)
    refresh: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiles:
    """All of them, and which is used when none is named."""

    current: str = FIRST
    known: Mapping[str, Profile] = field(default_factory=dict)

    def get(self, name: str | None = None) -> Profile:
        """Give a profile; one that was never saved has the defaults."""
        wanted = name or self.current
        return self.known.get(wanted) or Profile(name=checked_name(wanted))

    def with_profile(self, profile: Profile) -> "Profiles":
        """Give these with one added or replaced."""
        return replace(self, known={**self.known, profile.name: profile})


def checked_name(name: str) -> str:
    """Give the name if it can be one."""
    if not _NAME.fullmatch(name):
        raise Stop(f"{name!r} cannot be the name of a profile: letters, digits, '.', '_', '-'", code=USAGE)
    return name


def file() -> Path:
    """Say where the profiles are: $XDG_CONFIG_HOME/muster/profiles.json, else below ~/.config."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".config"  # noqa: PTH117 the empty path is no path
    return base / "muster" / "profiles.json"


def load() -> Profiles:
    """Read the file; without one there are no profiles. Stop when it cannot be read."""
    where = file()
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Profiles()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(where, error) from None
    try:
        return _profiles(json.loads(text))
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise _unreadable(where, error) from None


def _profiles(said: Any) -> Profiles:
    known = {name: _profile(name, values) for name, values in said["profiles"].items()}
    return Profiles(current=checked_name(str(said["current"])), known=known)


def _profile(name: str, values: Any) -> Profile:
    fields = {key: value for key, value in values.items() if key in Profile.__slots__ and key != "name"}
    if not all(isinstance(value, str) for value in fields.values()):
        raise TypeError(f"profile {name} has a value that is no text")
    return Profile(name=checked_name(name), **fields)


def _unreadable(where: Path, error: Exception) -> Stop:
    return Stop(
        f"the profiles in {where} cannot be read: {getattr(error, 'strerror', None) or error}",
        hint=f"correct the file, or remove it and log in again: rm {where}",
        code=USAGE,
    )


def save(profiles: Profiles) -> None:
    """Write the file, whole or not at all, for nobody's eyes but the user's (mode 0600)."""
    where = file()
    where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = {
        "current": profiles.current,
        "profiles": {name: _said(profile) for name, profile in sorted(profiles.known.items())},
    }
    # mkstemp makes it 0600 from its first byte on.
    handle, temporary = tempfile.mkstemp(dir=where.parent, prefix=".profiles-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(said, out, indent=2, ensure_ascii=False)
            out.write("\n")
        os.replace(temporary, where)  # noqa: PTH105
    except BaseException:
        os.unlink(temporary)  # noqa: PTH108
        raise


def _said(profile: Profile) -> dict[str, str]:
    return {key: value for key, value in asdict(profile).items() if key != "name" and value}


def keep(profile: Profile) -> None:
    """Save one profile beside the others as they are now."""
    save(load().with_profile(profile))
