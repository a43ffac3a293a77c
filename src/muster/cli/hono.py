"""`muster hono`: what applications of Hono's tenants see."""

import json

import rich_click as click

from muster.cli import output
from muster.cli.session import Session, speaks
from muster.client import Row, path


@click.group()
def hono() -> None:
    """What applications of Hono's tenants see."""


@hono.command()
@click.argument("tenant")
@click.option(
    "--after", type=click.IntRange(0), default=0, help="Begin after this event; 0: all that is kept."
)
@click.option(
    "--rounds", type=click.IntRange(1), help="Looks after which to end; without it, Ctrl-C ends it."
)
@click.option(
    "--wait", type=click.IntRange(0, 30), default=20, help="Seconds a look waits for the first message."
)
@speaks
def consume(session: Session, tenant: str, after: int, rounds: int | None, wait: int) -> None:
    """Print events as they are kept, and telemetry as it passes, a line each."""
    done = 0
    while rounds is None or done < rounds:
        body = session.api.get(path("/v1/messages/{t}", t=tenant), after=after, wait=wait)
        for message in body["messages"]:
            click.echo(json.dumps(message) if session.is_json else _line(message))
        after, done = body["next"], done + 1


def _line(message: Row) -> str:
    said = message["headers"]
    text = message.get("payload") or message.get("payload_base64", "")
    told = f"{message['kind']:9}  {said.get('device_id', '')}  {said.get('content-type', '')}  {text}"
    return told if told.isprintable() else output.harmless(told)
