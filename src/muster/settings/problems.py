"""What is wrong with the settings, all of it at once, each with its place and its reason."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: the variable's name, or the file and line; and why. Never a secret's value."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


class SettingsError(Exception):
    """The settings are wrong; Muster does not start. One line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Carry all problems, in the order they were found."""
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Give ` Did you mean …?` for the closest known name, or nothing."""
    close = difflib.get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
