"""`muster provision` and `unprovision`: a gateway in one call, or clients and channels by the file."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import rich_click as click

from muster.cli import files, jobs, output, rows
from muster.cli.declare import json_argument
from muster.cli.jobs import Plan
from muster.cli.rows import Item, Noun
from muster.cli.session import Session, secret, speaks_in_domain, text_of
from muster.cli.tryout import tryout
from muster.client import Row, path

_PREVIEW: Final = 20


class DefaultGroup(click.RichGroup):
    """A group whose first word, when it is none of its commands, belongs to the command `gateway`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["gateway", *args]
        return super().parse_args(ctx, args)


@click.group("provision", cls=DefaultGroup)
def provision() -> None:
    """Provision a gateway with all it needs in one call, or many clients and channels from a file.

    `muster provision EXTERNAL_ID` is short for `muster provision gateway EXTERNAL_ID`.
    """


@click.command()
@click.argument("external_id", metavar="EXTERNAL_ID")
@click.option("--key", metavar="FILE|-", help="Where the external key stands; asked for without it.")
@click.option("--make-key", is_flag=True, help="Make a random external key and show it.")
@click.option("--name", default="", help="Name for what is made.")
@click.option("--metadata", metavar="JSON|@FILE", help="Object that goes to every client that is made.")
@click.option("--dry-run", is_flag=True, help="Show what would be made, and make nothing.")
@speaks_in_domain
def gateway(
    session: Session,
    external_id: str,
    key: str | None,
    name: str,
    metadata: str | None,
    *,
    make_key: bool,
    dry_run: bool,
) -> None:
    """Make clients, channels, connections and bootstrap configuration of a gateway: all of it or nothing.

    Asked again with the same key, the answer is the same and nothing more is made.
    """
    plain = uuid.uuid4().hex if make_key else secret(key, "external key", option="--key")
    made = session.api.provision(
        session.domain,
        external_id,
        plain,
        name=name,
        metadata=json_argument(metadata, "--metadata") if metadata else None,
        dry_run=dry_run,
    )
    if session.is_json:
        output.show_json({**made, "external_key": plain} if make_key else made)
        return
    _show_mapping(made)
    if dry_run:
        output.say("nothing was made")
    else:
        if make_key:
            click.echo(f"\nexternal key  {plain}")
        output.say(f"\nthe gateway fetches it with: muster bootstrap fetch {external_id} --key -")


def _show_mapping(made: Row) -> None:
    clients, channels = made.get("clients") or [], made.get("channels") or []
    allowed = made.get("whitelisted") or {}
    cells = [
        ["client", c["id"], c.get("name", ""), _secret(c), "yes" if allowed.get(c["id"]) else ""]
        for c in clients
    ]
    cells += [["channel", c["id"], c.get("name", ""), _type(c), ""] for c in channels]
    output.show_table(["WHAT", "ID", "NAME", "SECRET OR TYPE", "WHITELISTED"], cells)
    for id_ in made.get("client_cert") or {}:
        click.echo(f"certificate for {id_}: -o json shows it with its key")


def _secret(client: Row) -> str:
    return str((client.get("credentials") or {}).get("secret", ""))


def _type(channel: Row) -> str:
    return str((channel.get("metadata") or {}).get("type", ""))


@click.command()
@click.argument("external_id", metavar="EXTERNAL_ID")
@click.option("--force", is_flag=True, help="Also delete what was changed or shared since.")
@speaks_in_domain
def unprovision(session: Session, external_id: str, *, force: bool) -> None:
    """Delete exactly what provisioning a gateway made; what was changed or shared since is kept, and said."""
    removed = session.api.unprovision(session.domain, external_id, force=force)
    if session.is_json:
        output.show_json(removed)
        return
    output.show_table(
        ["WHAT", "ID", "BECAME"],
        [["client", id_, "deleted"] for id_ in removed["clients"]]
        + [["channel", id_, "deleted"] for id_ in removed["channels"]]
        + [["", id_, f"kept: {reason}"] for id_, reason in removed["kept"].items()],
    )
    if removed["kept"]:
        output.say("--force deletes what was kept, too")


# --- many, from a file -----------------------------------------------------------------------------------

_BULK: Final = (
    click.option(
        "--format", "form_of_file", type=click.Choice(files.FORMATS), help="How the file is written."
    ),
    click.option("--dry-run", is_flag=True, help="Check the file, show its first rows, send nothing."),
    click.option(
        "--chunk", type=click.IntRange(1), help="Rows of one call; without it all, if a server takes them."
    ),
    click.option(
        "--keep-going", is_flag=True, help="Do the rows that can be done; list the others in a file."
    ),
    click.option("--restart", is_flag=True, help="Do not go on where an interrupted run of this file ended."),
)


def bulk_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add what commands on files have in common."""
    for option in reversed(_BULK):
        function = option(function)
    return function


def plan_for(
    session: Session,
    file: str,
    noun: str,
    items: list[Item],
    *,
    chunk: int,
    keep_going: bool,
    out: str | None = None,
) -> Plan:
    """Put the plan of a file together."""
    return Plan(
        source=file,
        noun=noun,
        where=f"{session.api.url} {session.domain}",
        items=items,
        chunk=chunk,
        keeps_going=keep_going,
        resume=jobs.resume_file(file),
        out=Path(out) if out else None,
    )


def _bulk(noun: Noun, help_: str) -> click.Command:
    def run(
        session: Session,
        file: str,
        form_of_file: str | None,
        chunk: int | None,
        out: str | None,
        *,
        dry_run: bool,
        keep_going: bool,
        restart: bool,
    ) -> None:
        items, flaws = rows.read(text_of(file), files.format_of(file, form_of_file), noun)
        if flaws:
            raise files.refuse(file, flaws)
        files.check_any(file, len(items), noun.name)
        if dry_run:
            _preview(session, noun.name, items)
            return
        size = jobs.chunk_for(items, chunk)
        plan = plan_for(session, file, noun.name, items, chunk=size, keep_going=keep_going, out=out)
        outcome = jobs.run(plan, _sender(session, noun), restart=restart)
        _show_made(session, noun.name, outcome.made)
        jobs.end(plan, outcome)

    out_option = click.option(
        "--out", metavar="FILE", help="CSV for what is made: name, id, secret (mode 0600)."
    )
    file_argument = click.argument("file", metavar="FILE|-")
    command = file_argument(bulk_options(out_option(speaks_in_domain(run))))
    return click.command(noun.name, help=help_)(command)


def _sender(session: Session, noun: Noun) -> jobs.Send:
    where = path("/{d}/" + noun.name + "/bulk", d=session.domain)

    def send(bodies: Any, key: str) -> list[Row]:
        return session.api.create_all(where, bodies, key=key)

    return send


def _preview(session: Session, noun: str, items: list[Item]) -> None:
    if session.is_json:
        output.show_json({"dry_run": True, "total": len(items), noun: [item.body for item in items]})
        return
    output.show_rows([item.body for item in items[:_PREVIEW]], ("name", "id", "tags", "metadata", "status"))
    output.say(f"{len(items)} {noun} can be sent; nothing was")


def _show_made(session: Session, noun: str, made: list[Row]) -> None:
    if session.is_json:
        output.show_json({"offset": 0, "total": len(made), noun: made})
        return
    output.show_rows(
        made[:_PREVIEW], ("id", "name", "credentials.secret") if noun == "clients" else ("id", "name")
    )
    rest = f"; the first {_PREVIEW} are shown" if len(made) > _PREVIEW else ""
    output.say(f"{len(made)} {noun} made{rest}")


provision.add_command(gateway)
provision.add_command(
    _bulk(
        rows.CLIENTS,
        "Create the clients of a CSV, JSON or NDJSON file. In CSV, column 1 is the name, unless the first "
        "line has headings: name, id, identity, secret, tags, metadata, status, group.",
    )
)
provision.add_command(
    _bulk(
        rows.CHANNELS,
        "Create the channels of a CSV, JSON or NDJSON file. In CSV, column 1 is the name, unless the first "
        "line has headings: name, id, route, tags, metadata, status, group.",
    )
)
provision.add_command(tryout)
