"""`muster clients watch`: devices as they come and go."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import rich_click as click

from muster.cli import output
from muster.cli.session import Session, speaks_in_domain
from muster.client import Row, path

MOST: Final = 1000
"""Clients looked at in each round: those that came last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A client that came or went."""

    at: str
    client_id: str
    has_come: bool
    protocol: str
    source: str

    def as_row(self) -> Row:
        """Give it for a program."""
        event = "connected" if self.has_come else "disconnected"
        return {
            "at": self.at,
            "event": event,
            "client_id": self.client_id,
            "protocol": self.protocol,
            "source": self.source,
        }


def changes(before: dict[str, Row], now: dict[str, Row]) -> list[Sight]:
    """Say who came and went between two looks, in the order of time."""
    found = [sight for id_, row in now.items() for sight in _of(before.get(id_, {}), row)]
    return sorted(found, key=lambda sight: sight.at)


def _of(old: Row, new: Row) -> Iterator[Sight]:
    for name, has_come in (("connected_at", True), ("disconnected_at", False)):
        at = new.get(name, "")
        if at and at != old.get(name, ""):
            yield Sight(
                at=at,
                client_id=new["client_id"],
                has_come=has_come,
                protocol=new.get("protocol", ""),
                source=new.get("source", ""),
            )


@click.command()
@click.option(
    "--every", "seconds", type=click.FloatRange(0.2, 3600), default=2.0, help="Seconds between looks."
)
@click.option(
    "--rounds", type=click.IntRange(1), help="Looks after which to end; without it, Ctrl-C ends it."
)
@click.option("--new", "only_new", is_flag=True, help="Begin with what happens from now on.")
@speaks_in_domain
def watch(session: Session, seconds: float, rounds: int | None, *, only_new: bool) -> None:
    """Show clients as they connect and disconnect: the latest known first, then live, a line each."""
    seen = _look(session)
    if not only_new:
        _print(session, changes({}, seen))
    done = 1
    while rounds is None or done < rounds:
        time.sleep(seconds)
        now = _look(session)
        _print(session, changes(seen, now))
        seen, done = now, done + 1


def _look(session: Session) -> dict[str, Row]:
    where = path("/{d}/clients/presence", d=session.domain)
    found: dict[str, Row] = {}
    for offset in range(0, MOST, 100):
        page = session.api.page(where, limit=100, offset=offset)
        found |= {row["client_id"]: row for row in page.rows}
        if offset + len(page.rows) >= page.total:
            break
    return found


def _print(session: Session, sights: list[Sight]) -> None:
    for sight in sights:
        click.echo(json.dumps(sight.as_row()) if session.is_json else _line(sight))


def _line(sight: Sight) -> str:
    mark = (
        click.style("● connected   ", fg="green")
        if sight.has_come
        else click.style("○ disconnected", fg="red")
    )
    told = f"{sight.at}  {mark}  {sight.client_id}  {sight.protocol}  {sight.source}"
    return told if sight.source.isprintable() else output.harmless(told)
