"""`muster connect` and `disconnect`: two ids, or a file of many."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import rich_click as click

from muster.cli import files, jobs, output, rows
from muster.cli.failures import USAGE, Stop
from muster.cli.provision import bulk_options, plan_for
from muster.cli.rows import Item
from muster.cli.session import Session, speaks_in_domain, text_of
from muster.client import BOTH, Row, path

_PIECE: Final = 1000
"""Connections of one set in a file too large for one call."""

_types_option = click.option(
    "--type", "types", multiple=True, type=click.Choice(BOTH), help="Kind of connection; both without it."
)


def _ids(text: str) -> list[str]:
    return [each for each in dict.fromkeys(part.strip() for part in text.split(",")) if each]


def _file_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("what", metavar="FILE | CLIENT[,…] CHANNEL[,…]", nargs=-1, required=True)(function)


@click.command()
@_file_argument
@_types_option
@bulk_options
@speaks_in_domain
def connect(session: Session, what: tuple[str, ...], types: tuple[str, ...], **file_options: Any) -> None:
    """Connect clients to channels: `muster connect CLIENT CHANNEL`, or `muster connect FILE`.

    A CSV has client_id,channel_id and, if not both kinds are meant, publish or subscribe; a JSON file objects
    with client_ids, channel_ids and types. Either all of it happens or nothing.
    """
    if len(what) == 1:
        _connect_file(session, what[0], **file_options)
        return
    clients, channels = _two(what)
    session.api.connect(session.domain, clients=clients, channels=channels, types=types or BOTH)
    session.show(None, said=f"{len(clients)} to {len(channels)} connected")


@click.command()
@click.argument("clients", metavar="CLIENT[,…]")
@click.argument("channels", metavar="CHANNEL[,…]")
@_types_option
@speaks_in_domain
def disconnect(session: Session, clients: str, channels: str, types: tuple[str, ...]) -> None:
    """Disconnect clients from channels; live sessions lose the right at once."""
    session.api.disconnect(
        session.domain, clients=_ids(clients), channels=_ids(channels), types=types or BOTH
    )
    session.show(None, said="disconnected")


def _two(what: Sequence[str]) -> tuple[list[str], list[str]]:
    if len(what) != 2:
        raise Stop("name a file, or clients and channels: two words, ids joined by commas", code=USAGE)
    return _ids(what[0]), _ids(what[1])


def _connect_file(
    session: Session,
    file: str,
    form_of_file: str | None,
    chunk: int | None,
    *,
    dry_run: bool,
    keep_going: bool,
    restart: bool,
) -> None:
    found, flaws = rows.read_connections(text_of(file), files.format_of(file, form_of_file))
    if flaws:
        raise files.refuse(file, flaws)
    files.check_any(file, len(found), "connections")
    sets = found if keep_going else rows.merged(found)
    total = sum(map(_weight, sets))
    if dry_run:
        _preview(session, sets, total)
        return
    is_one_call = chunk is None and total <= jobs.ONE_CALL_ROWS and not keep_going
    pieces = sets if is_one_call else [piece for item in sets for piece in _pieces(item)]
    size = len(pieces) if is_one_call else chunk or jobs.CHUNK // _PIECE
    plan = plan_for(session, file, "connections", pieces, chunk=size, keep_going=keep_going)
    outcome = jobs.run(plan, _sender(session), restart=restart)
    done = total - sum(_weight(item) for item, _ in outcome.refused)
    session.show({"connections": done} if session.is_json else None, said=f"{done} connections made")
    jobs.end(plan, outcome)


def _weight(item: Item) -> int:
    return len(item.body["client_ids"]) * len(item.body["channel_ids"])


def _pieces(item: Item) -> list[Item]:
    """Take a set apart into sets of not more than so many connections."""
    clients, channels = item.body["client_ids"], item.body["channel_ids"]
    if _weight(item) <= _PIECE:
        return [item]
    wide = min(len(channels), _PIECE)
    high = max(1, _PIECE // wide)
    return [
        Item(
            item.line,
            {**item.body, "client_ids": clients[c : c + high], "channel_ids": channels[h : h + wide]},
        )
        for h in range(0, len(channels), wide)
        for c in range(0, len(clients), high)
    ]


def _sender(session: Session) -> jobs.Send:
    where = path("/{d}/channels/connect/bulk", d=session.domain)

    def send(sets: Sequence[Row], key: str) -> list[Row]:
        session.api.request("POST", where, body=list(sets), key=key, timeout=600.0)
        return []

    return send


def _preview(session: Session, sets: Sequence[Item], total: int) -> None:
    if session.is_json:
        output.show_json({"dry_run": True, "total": total, "connections": [item.body for item in sets]})
        return
    output.show_rows([item.body for item in sets[:20]], ("client_ids", "channel_ids", "types"))
    output.say(f"{total} connections can be made; nothing was sent")
