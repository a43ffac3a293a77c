"""`muster serve` and `muster config`, and what every verb of the machine's owner needs: the settings."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import rich_click as click

from muster.ca.secrets import Keyring
from muster.core.errors import MusterError
from muster.settings import Configuration, Settings, SettingsError, load


class WrongSettings(click.ClickException):
    """The settings are wrong; the exit code is that of a wrong command line."""

    exit_code = 2


class Machine(Protocol):
    """What assembly gives the verbs; commands get it as click's object."""

    def run(self, configuration: Configuration, say: Callable[[str], None]) -> None:
        """Serve until told to stop. MusterError when it cannot start."""

    def database_url(self, settings: Settings) -> str:
        """Give the URL of the database."""

    def keyring(self, settings: Settings) -> Keyring:
        """Give the installation's keys."""


def configuration(config: Path | None, options: Mapping[str, str] | None = None) -> Configuration:
    """Read the settings; end with what is wrong with them."""
    try:
        return load(os.environ, config=config, options=options or {})
    except SettingsError as error:
        raise WrongSettings(str(error)) from None


def say(line: str) -> None:
    """Tell the person at the terminal; the log has standard output for itself."""
    click.echo(line, err=True)


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Turn what the core says, or what only a try shows to be a wrong setting, into the end of a command."""
    try:
        yield
    except MusterError as error:
        raise click.ClickException(error.message) from None
    except SettingsError as error:
        raise WrongSettings(str(error)) from None


config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="Settings file (TOML)."
)
output_option = click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["table", "json"]),
    envvar="MUSTER_OUTPUT",
    default="table",
    help="How results are printed.",
)


@click.command()
@config_option
@click.option("--workers", type=int, help="Processes that answer HTTP; more than one needs PostgreSQL.")
@click.option("--upstream-ports", is_flag=True, help="Also listen where upstream's services do.")
@click.pass_obj
def serve(machine: Machine, config: Path | None, workers: int | None, *, upstream_ports: bool) -> None:
    """Start Muster and serve until it is told to stop (SIGTERM, Ctrl-C)."""
    options = {"upstream_ports": "true"} if upstream_ports else {}
    if workers is not None:
        options["workers"] = str(workers)
    with sentences():
        machine.run(configuration(config, options), say)


@click.command("config")
@config_option
@output_option
def show_config(config: Path | None, form: str) -> None:
    """Show the effective settings and where each comes from; secrets stay hidden."""
    found = configuration(config)
    rows = [{"setting": row.name, "value": row.value, "from": row.source} for row in found.effective()]
    if form == "json":
        click.echo(
            json.dumps({"settings": rows, "notices": list(found.notices)}, indent=2, ensure_ascii=False)
        )
        return
    show_table(["setting", "value", "from"], [list(row.values()) for row in rows])
    for notice in found.notices:
        say(f"notice: {notice}")


def show_table(titles: list[str], rows: list[list[str]]) -> None:
    """Print a table; nothing is cut off for a program that reads it."""
    from rich.console import Console  # noqa: PLC0415 slow to import
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*titles, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_harmless(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 32_000).print(table, crop=False)


def _harmless(text: str) -> str:
    """Escape what is no printable character: an external id in a finding must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
