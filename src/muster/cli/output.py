"""What commands print: tables for people, JSON for programs. Nothing a server says can steer the terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import rich_click as click

from muster.client import Json, Row, rows_of

FORMATS: Final = ("table", "json")
_NEVER: Final = "0001-01-01T00:00:00Z"
"""What the API writes for a time that has not come (spec A.0)."""
_WIDE: Final = 32_000
"""Columns of a table that no terminal shows: nothing is cut off for the program that reads it."""


def say(line: str) -> None:
    """Tell the person at the terminal; standard output is for results."""
    click.echo(line, err=True)


def show_json(body: Json) -> None:
    """Print one JSON document; `{}` for an answer without one."""
    click.echo(json.dumps({} if body is None else body, indent=2, ensure_ascii=False))


def show(form: str, body: Json, columns: Sequence[str] = (), said: str = "") -> None:
    """Print an answer: a page as a table of *columns*, an entity as its fields, nothing as *said*."""
    if form == "json":
        show_json(body)
        return
    rows = rows_of(body)
    if rows is not None:
        show_rows(rows, columns or _columns(rows))
        _more(body, len(rows))
    elif isinstance(body, dict) and body:
        show_fields(body)
    elif body:
        show_json(body)
    elif said:
        click.echo(said)


def _columns(rows: Sequence[Row]) -> list[str]:
    names = dict.fromkeys(name for row in rows for name, value in row.items() if not isinstance(value, dict))
    return list(names)


def _more(body: Row, count: int) -> None:
    total, offset = int(body.get("total", 0)), int(body.get("offset", 0))
    if total > offset + count:
        last = offset + count
        say(f"{offset + 1} to {last} of {total}; more with --offset {last}, all with --all")


def show_rows(rows: Iterable[Row], columns: Sequence[str]) -> None:
    """Print a table; a dotted column looks into an object."""
    show_table([title(c) for c in columns], [[cell(_look(row, c)) for c in columns] for row in rows])


def show_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of texts."""
    from rich.console import Console  # noqa: PLC0415 slow to import
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*titles, box=None, pad_edge=False, header_style="bold")
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*(Text(harmless(each)) for each in row))
    is_terminal = sys.stdout.isatty()
    Console(width=None if is_terminal else _WIDE, highlight=False).print(table, crop=False)


def show_fields(body: Row) -> None:
    """Print an entity, a field a line; nested ones with dots."""
    flat = dict(_flat(body))
    width = max(map(len, flat), default=0)
    for name, value in flat.items():
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {harmless(value, keeps_lines=True)}")


def _flat(body: Row, before: str = "") -> Iterable[tuple[str, str]]:
    for name, value in body.items():
        if isinstance(value, dict) and value and all(isinstance(v, str) for v in value.values()):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", cell(value)


def _look(row: Row, column: str) -> Any:
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def cell(value: Any) -> str:
    """Write a value for people: a list with commas, an object as JSON, nothing as nothing."""
    if value is None or value == _NEVER:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False)


def harmless(text: str, *, keeps_lines: bool = False) -> str:
    """Escape what is no printable character: a device's name must not clear the screen."""
    if text.isprintable():
        return text
    kept = " \n" if keeps_lines else " "
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text)


def title(column: str) -> str:
    """Give a column its heading."""
    return column.rpartition(".")[2].replace("_", " ").upper()
