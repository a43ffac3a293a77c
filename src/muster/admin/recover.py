"""`muster users recover`: a way back in for who lost the password, from the machine Muster runs on."""

import json
import time
from pathlib import Path

import rich_click as click

from muster.admin.start import Machine, config_option, configuration, output_option, say, sentences

LIFETIME = 3600
"""Seconds a recovery token can be used."""
_ISSUER, _RECOVERY = "supermq.auth", 2


@click.command()
@click.argument("name", metavar="USERNAME|EMAIL")
@config_option
@output_option
@click.pass_obj
def recover(machine: Machine, name: str, config: Path | None, form: str) -> None:
    """Print a recovery token for a user, valid for an hour and one new password; the server may run.

    For the owner of this machine: it reads the database and the master key.
    """
    from muster.ca.tokens import Tokens  # noqa: PLC0415 slow to import
    from muster.store.lookup import find_user  # noqa: PLC0415
    from muster.store.upkeep import require_current  # noqa: PLC0415

    settings = configuration(config).settings
    with sentences():
        require_current(machine.database_url(settings))
        user = find_user(machine.database_url(settings), name)
        if user is None or not user.is_enabled:
            raise click.ClickException(f"there is no enabled user {name!r}")
        now = int(time.time())
        claims = {"iss": _ISSUER, "type": _RECOVERY, "iat": now, "exp": now + LIFETIME}
        token = Tokens(machine.keyring(settings)).mint({**claims, "user": user.id, "epoch": user.epoch})
    if form == "json":
        click.echo(json.dumps({"user_id": user.id, "username": user.username, "recovery_token": token}))
        return
    click.echo(token)
    say("next: muster users reset-password, and give it this token")
