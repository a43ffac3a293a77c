"""Files of many rows, each with its line: CSV, JSON, NDJSON as upstream's program reads them (spec F.3)."""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import PurePath
from typing import Final

from muster.cli.failures import USAGE, Stop
from muster.client import Json

FORMATS: Final = ("csv", "json", "ndjson")
_ENDINGS: Final = {".csv": "csv", ".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in a file at a line: the cells of a CSV record, or a JSON value."""

    line: int
    value: Json


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong at a line."""

    line: int
    reason: str


class Unreadable(Exception):
    """The file ends to make sense at a line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.flaw = Flaw(line, reason)


def format_of(source: str, given: str | None) -> str:
    """Say how a file is written: as *given*, else by its ending. Stop when neither says."""
    found = given or _ENDINGS.get(PurePath(source).suffix.lower())
    if found is None:
        raise Stop(
            f"{source}: is it CSV, JSON or NDJSON?",
            hint="name it .csv, .json or .ndjson, or say so: --format csv",
            code=USAGE,
        )
    return found


def entries(text: str, form: str) -> list[Entry]:
    """Read all of it. Unreadable with the line where it cannot be read on."""
    text = text.removeprefix("\ufeff")
    read = {"csv": _records, "json": _elements, "ndjson": _lines}[form]
    return list(read(text))


def _records(text: str) -> Iterator[Entry]:
    reader = csv.reader(StringIO(text, newline=""), strict=True)
    before = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield Entry(before + 1, [cell.strip() for cell in cells])
            before = reader.line_num
    except csv.Error as error:
        raise Unreadable(before + 1, f"no CSV: {error}") from None


def _lines(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield Entry(number, json.loads(line))
            except json.JSONDecodeError as error:
                raise Unreadable(number, f"no JSON at column {error.colno}: {error.msg}") from None
            except (ValueError, RecursionError):
                raise Unreadable(number, "no JSON that can be read") from None


def _elements(text: str) -> Iterator[Entry]:
    """Read the elements of an array, or the one object that stands instead of it, each with its line."""
    scan = _Scan(text)
    start = scan.after_space()
    if text[start : start + 1] == "{":
        yield scan.value()
        scan.expect_end()
        return
    scan.expect("[", "a JSON array of objects")
    if text[scan.after_space() :][:1] == "]":
        scan.expect("]", "]")
        scan.expect_end()
        return
    while True:
        yield scan.value()
        if text[scan.after_space() :][:1] == "]":
            break
        scan.expect(",", "a comma or ]")
    scan.expect("]", "]")
    scan.expect_end()


class _Scan:
    """Goes through JSON text, an element at a time, and knows the line it is in."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._decoder = json.JSONDecoder()

    @property
    def line(self) -> int:
        """The line it is in."""
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def after_space(self) -> int:
        while self._text[self._at : self._at + 1] in (" ", "\t", "\r", "\n"):
            self._at += 1
        return self._at

    def expect(self, mark: str, meant: str) -> None:
        if self._text[self.after_space() : self._at + 1] != mark:
            raise Unreadable(self.line, f"no JSON: expected {meant}")
        self._at += 1

    def expect_end(self) -> None:
        if self.after_space() != len(self._text):
            raise Unreadable(self.line, "no JSON: something follows after its end")

    def value(self) -> Entry:
        self.after_space()
        line = self.line
        try:
            value, self._at = self._decoder.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            raise Unreadable(error.lineno, f"no JSON at column {error.colno}: {error.msg}") from None
        except (ValueError, RecursionError):
            raise Unreadable(line, "no JSON that can be read") from None
        return Entry(line, value)


def refuse(source: str, flaws: Iterable[Flaw], most: int = 20) -> Stop:
    """Make the error that lists what is wrong with a file, the first *most* of it."""
    found = sorted(flaws, key=lambda flaw: flaw.line)
    shown = [f"{source}:{flaw.line}: {flaw.reason}" for flaw in found[:most]]
    if len(found) > most:
        shown.append(f"and {len(found) - most} more")
    return Stop("\n".join(shown), hint="nothing was sent; correct the file and run it again", code=USAGE)


def check_any(source: str, count: int, noun: str) -> None:
    """Stop when there is nothing to send: an export that failed must not look like work that is done."""
    if not count:
        raise Stop(
            f"{'standard input' if source == '-' else source} has no {noun} in it",
            hint="nothing was sent; a line of headings alone is no row",
            code=USAGE,
        )
