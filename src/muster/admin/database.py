"""`muster db` and `muster doctor`: care of the database this machine's Muster works on."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import rich_click as click
from click.exceptions import Exit

from muster.admin.start import (
    Machine,
    config_option,
    configuration,
    output_option,
    say,
    sentences,
    show_table,
)
from muster.core.model import Instant
from muster.settings import make_data_dir

UNWELL = 1
"""The exit code when something is not as it must be."""
TELL_SECONDS = 2.0
"""Between two lines of progress."""

_copy = click.argument("path", type=click.Path(dir_okay=False, path_type=Path), metavar="PATH")


@click.group()
def db() -> None:
    """The database of this machine's Muster: bring it up to date, compare it, save it, put it back."""


def _url(machine: Machine, config: Path | None) -> str:
    return machine.database_url(configuration(config).settings)


def _folder(config: Path | None) -> None:
    """Make the data folder of a SQLite database."""
    settings = configuration(config).settings
    if settings.database_url is None:
        make_data_dir(settings)


@db.command()
@config_option
@click.pass_obj
def upgrade(machine: Machine, config: Path | None) -> None:
    """Create the schema or bring it to the newest version. `muster serve` does this by itself."""
    from muster.store import migrations, upkeep  # noqa: PLC0415 slow to import

    with sentences():
        _folder(config)
        before = upkeep.upgrade(_url(machine, config))
    say(f"the schema was at version {before or 'none'} and is at {migrations.HEAD}")


@db.command()
@config_option
@click.pass_obj
def check(machine: Machine, config: Path | None) -> None:
    """Say whether the schema is the one this version expects; exit code 1 if not."""
    from muster.store import migrations, upkeep  # noqa: PLC0415

    with sentences():
        url = _url(machine, config)
        difference = upkeep.check(url)
    if difference is not None:
        raise click.ClickException(difference)
    say(f"the schema is as it must be, version {migrations.HEAD}")


@db.command()
@_copy
@config_option
@click.pass_obj
def backup(machine: Machine, path: Path, config: Path | None) -> None:
    """Save the database to a new file, while the server runs; on PostgreSQL with pg_dump.

    Keep the master key with it: without the key nobody can open the secrets.
    """
    from muster.store import backup as copies  # noqa: PLC0415

    with sentences():
        copies.backup(_url(machine, config), path)
    say(f"saved to {path}; the master key is not in it, keep that too")


@db.command()
@_copy
@config_option
@click.pass_obj
def restore(machine: Machine, path: Path, config: Path | None) -> None:
    """Put a saved database in the place of the present one, all of it or nothing; stop the server first."""
    from muster.store import backup as copies  # noqa: PLC0415

    with sentences():
        _folder(config)
        copies.restore(_url(machine, config), path)
    say(f"restored from {path}; `muster doctor` proves it")


@db.command()
@config_option
@click.pass_obj
def rekey(machine: Machine, config: Path | None) -> None:
    """Change the master key: seal everything anew under the first key of the list, then say which may go.

    Put the new key first and keep the old one after it, restart the servers so, then run this; they may go
    on serving. Killed, it is run again. Exit code 1 if something does not open or a secret is there twice.
    """
    from muster.store import rekey as change  # noqa: PLC0415
    from muster.store.upkeep import require_current  # noqa: PLC0415

    settings = configuration(config).settings
    with sentences():
        url = machine.database_url(settings)
        require_current(url)
        ring = machine.keyring(settings)
        done = change.rekey(url, ring, Instant(time.time_ns() // 1000), _progress())
    say(f"sealed anew: {done.sealed} values, hashed anew: {done.hashed}; the key is {ring.key_ids[0]}")
    for each in done.unopened:
        say(f"does not open with any key given: {each}")
    for each in done.clashing:
        say(f"another row has the same secret, give one of them another: {each}")
    if done.unopened or done.clashing:
        raise click.ClickException("the old keys are still needed")
    going = [id_ for id_ in ring.key_ids[1:] if id_ in done.retired]
    if going:
        say(f"may be dropped from the list, once nobody needs a token from before: {', '.join(going)}")
        say("keep an old key with the backups that were made under it")


def _progress() -> Callable[[str, int], None]:
    """Give what says now and then how far it is."""
    last = time.monotonic()

    def tell(table: str, looked: int) -> None:
        nonlocal last
        if time.monotonic() - last >= TELL_SECONDS:
            last = time.monotonic()
            say(f"{table}: {looked} rows looked at")

    return tell


@click.command()
@config_option
@output_option
@click.pass_obj
def doctor(machine: Machine, config: Path | None, form: str) -> None:
    """Prove on the live database that nothing is half made, dangling or unsealed; exit code 1 otherwise.

    Also says which master keys are still in use.
    """
    from muster.store.doctor import examine  # noqa: PLC0415
    from muster.store.rekey import in_use  # noqa: PLC0415
    from muster.store.upkeep import require_current  # noqa: PLC0415

    with sentences():
        settings = configuration(config).settings
        url = machine.database_url(settings)
        require_current(url)  # before the keys: a first start makes them, nobody else needs to
        keyring = machine.keyring(settings)
        found = [asdict(each) for each in examine(url, keyring)]
        keys = [
            {"id": id_, "is_given": id_ in keyring.key_ids, **asdict(use)}
            for id_, use in in_use(url, keyring).items()
        ]
    if form == "json":
        click.echo(json.dumps({"findings": found, "master_keys": keys}, indent=2, ensure_ascii=False))
    elif found:
        show_table(["table", "row", "problem"], [[str(cell) for cell in each.values()] for each in found])
    _say_keys(keys)
    if found:
        raise Exit(UNWELL)
    say("nothing is half made, nothing dangles, every secret is sealed and opens")


def _say_keys(keys: Sequence[Mapping[str, object]]) -> None:
    """Say how much each master key of the list, and any other that sealed something, is needed for."""
    for place, key in enumerate(keys):
        which = "the newest" if not place else "older" if key["is_given"] else "not given"
        say(f"master key {key['id']} ({which}): {key['sealed']} values sealed, {key['hashed']} hashes")
    if any(key["sealed"] or key["hashed"] for key in keys[1:]):
        say("next: muster db rekey, to do without the older ones")
