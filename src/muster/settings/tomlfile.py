"""A TOML file and the line each of its values stands on, so that an error can point there."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muster.settings.problems import Problem, SettingsError

Key = str | int


@dataclass(frozen=True, slots=True)
class TomlFile:
    """A parsed file. *data* is what tomllib makes of it."""

    path: Path
    text: str
    data: dict[str, Any]

    def where(self, *keys: Key) -> str:
        """Name the file and the line on which the value under *keys* begins; the file alone for no keys."""
        return f"{self.path}, line {self.line(*keys)}" if keys else str(self.path)

    def line(self, *keys: Key) -> int:
        """Give the line on which the value or table under *keys* begins.

        tomllib tells no positions, so the shortest beginning of the file that holds the value is looked for:
        a beginning that ends inside a value is completed line by line until it parses.
        """
        lines = re.findall(r"[^\n]*\n|[^\n]+", self.text)
        low, high = 1, len(lines)
        while low < high:
            middle = (low + high) // 2
            if _holds(_beginning(lines, middle), keys):
                high = middle
            else:
                low = middle + 1
        return low


def _beginning(lines: list[str], count: int) -> Any:
    for end in range(count, len(lines) + 1):
        try:
            return tomllib.loads("".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue
    return {}


def _holds(data: Any, keys: tuple[Key, ...]) -> bool:
    for key in keys:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def read_toml(path: Path) -> TomlFile:
    """Read and parse; SettingsError with the line and the reason if that cannot be done."""
    try:
        text = path.read_bytes().decode()
        return TomlFile(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
        line = re.search(r"line (\d+)", reason)
        lost = text.count("\n") + 1
        place = f"{path}, line {line[1] if line else lost}"
        raise SettingsError([Problem(place, f"this is not TOML: {reason}")]) from None
    except UnicodeDecodeError as error:
        line_number = error.object[: error.start].count(b"\n") + 1
        raise SettingsError([Problem(f"{path}, line {line_number}", "this is not UTF-8 text")]) from None
    except OSError as error:
        raise SettingsError([Problem(str(path), f"cannot be read: {error.strerror}")]) from None
    except RecursionError:
        raise SettingsError([Problem(str(path), "is nested too deeply")]) from None
