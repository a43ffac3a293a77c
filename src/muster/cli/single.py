"""`muster journal`, `messages` and `api`: reading what happened, and any request there is no command for."""

import json
import sys
from typing import Final

import rich_click as click

from muster.cli.declare import Field, Kind, Verb, command, group
from muster.cli.failures import USAGE, Stop
from muster.cli.session import Session, secret, speaks, text_of
from muster.client import path

_ENTITIES: Final = ("user", "domain", "group", "client", "channel", "role", "key")
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


@click.command()
@click.argument("channel", metavar="CHANNEL[/SUBTOPIC]")
@click.argument("payload", metavar="PAYLOAD|-")
@click.option(
    "--secret", "source", metavar="FILE|-", help="Where the client's secret stands; asked for without it."
)
@speaks
def send(session: Session, channel: str, payload: str, source: str | None) -> None:
    """Publish a message over HTTP, as a client does, with its secret alone."""
    plain = secret(source, "secret", option="--secret")
    data = (sys.stdin.read() if payload == "-" else payload).encode()
    name, _, below = channel.partition("/")
    where = path("/channels/{c}/messages", c=name) + "".join(
        path("/{s}", s=level) for level in below.split("/") if level
    )
    session.api.request("POST", where, content=data, authorization=f"Client {plain}")
    session.show(None, said="accepted")


messages = group(
    "messages",
    "Messages of a channel.",
    send,
    Verb(
        name="read",
        method="GET",
        path="/{domain}/channels/{channel}/messages",
        help="Read the last messages of a channel, where the operator keeps them.",
        query=(Field("--limit", "limit", "How many.", Kind.NUMBER),),
        columns=("created", "topic", "publisher", "protocol", "payload"),
    ),
)

journal = command(
    Verb(
        name="journal",
        method="GET",
        path="/{domain}/journal",
        help="Show who did what to which entity, when.",
        query=(
            Field("--operation", "operation", "Only that operation, such as client.create."),
            Field("--entity", "entity_id", "Only what happened to that id."),
            Field("--kind", "entity_type", "Only what happened to clients, channels, …", choices=_ENTITIES),
            Field("--actor", "actor", "Only what the user with that id did."),
            Field("--dir", "dir", "The oldest or the newest first.", choices=("asc", "desc")),
        ),
        columns=("occurred_at", "operation", "attributes.id", "attributes.actor"),
        is_list=True,
    )
)


@click.command()
@click.argument("method", type=click.Choice(_METHODS, case_sensitive=False))
@click.argument("where", metavar="PATH")
@click.argument("body", metavar="[JSON|@FILE]", required=False)
@speaks
def api(session: Session, method: str, where: str, body: str | None) -> None:
    """Do any request of the API as the logged-in user; prints the answer."""
    if not where.startswith("/"):
        raise Stop(f"the path must begin with a slash, as in /users/profile: {where!r}", code=USAGE)
    text = text_of(body[1:]) if body and body.startswith("@") else body
    try:
        sent = json.loads(text) if text else None
    except ValueError as error:
        raise Stop(f"the body is no JSON: {error}", code=USAGE) from None
    answer = session.api.request(method.upper(), where, body=sent)
    if answer.body is not None or not answer.content:
        session.show(answer.body, said=f"{answer.status}")
    else:
        click.echo(answer.content.decode(errors="backslashreplace"), nl=False)
