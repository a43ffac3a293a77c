"""`muster serve` and `muster config`."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import rich_click as click

from muster.core.errors import MusterError
from muster.settings import Configuration, SettingsError, load

Run = Callable[[Configuration, Callable[[str], None]], None]


def configuration(config: Path | None, options: Mapping[str, str] | None = None) -> Configuration:
    """Read the settings; end with what is wrong with them."""
    try:
        return load(os.environ, config=config, options=options or {})
    except SettingsError as error:
        raise click.ClickException(str(error)) from None


def say(line: str) -> None:
    """Tell the person at the terminal; the log has standard output for itself."""
    click.echo(line, err=True)


config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="Settings file (TOML)."
)


@click.command()
@config_option
@click.option("--workers", type=int, help="Processes that answer HTTP; more than one needs PostgreSQL.")
@click.option("--upstream-ports", is_flag=True, help="Also listen where upstream's services do.")
@click.pass_obj
def serve(run: Run, config: Path | None, workers: int | None, *, upstream_ports: bool) -> None:
    """Start Muster and serve until it is told to stop (SIGTERM, Ctrl-C)."""
    options = {"upstream_ports": "true"} if upstream_ports else {}
    if workers is not None:
        options["workers"] = str(workers)
    try:
        run(configuration(config, options), say)
    except MusterError as error:
        raise click.ClickException(error.message) from None


@click.command("config")
@config_option
def show_config(config: Path | None) -> None:
    """Show the effective settings and where each comes from; secrets stay hidden."""
    from rich.console import Console  # noqa: PLC0415 tables are slow to import
    from rich.table import Table  # noqa: PLC0415

    found = configuration(config)
    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for row in found.effective():
        table.add_row(row.name, row.value, row.source)
    Console(width=None).print(table)
    for notice in found.notices:
        say(f"notice: {notice}")
