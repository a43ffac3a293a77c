"""`muster hono`: what operators and applications of Hono's tenants see and decide."""

import json
from typing import Final

import rich_click as click

from muster.cli import output
from muster.cli.declare import Field, Kind, Verb, group
from muster.cli.queue import approve, reject, waiting
from muster.cli.session import Session, speaks
from muster.client import Row, path

_TOPICS: Final = (
    "device.provisioned",
    "device.created",
    "device.updated",
    "device.deleted",
    "credentials.updated",
    "tenant.emptied",
)


@click.command()
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


@click.command()
@click.argument("tenant")
@speaks
def usage(session: Session, tenant: str) -> None:
    """Show what of a tenant's limits is used in the period that runs now.

    Adapters tell every two seconds what they took in. Without a limit nothing is counted.
    """
    limits = session.api.get(path("/v1/tenants/{t}/usage", t=tenant))
    if session.is_json:
        output.show_json(limits)
    elif limits:
        output.show_rows(
            [_limit(name, limit) for name, limit in limits.items()],
            ("limit", "used", "most", "unit", "since", "until"),
        )
    else:
        output.say(f"no limit of {tenant} counts now, so nothing is counted")


def _limit(name: str, limit: Row) -> Row:
    unit = next(key.removeprefix("used-") for key in limit if key.startswith("used-"))
    used, most = limit[f"used-{unit}"], limit[f"max-{unit}"]
    return {"limit": name, "used": used, "most": most, "unit": unit, **limit}


@click.command("list")
@click.argument("tenant")
@speaks
def denials(session: Session, tenant: str) -> None:
    """List what may not provision itself: subjects of certificates, and ids that gateways announce."""
    listed = session.api.get(path("/v1/denials/{t}", t=tenant))
    if session.is_json:
        output.show_json(listed)
    else:
        output.show_rows(listed, ("subject-dn", "device-id", "comment", "created"))


_WEBHOOK: Final = "/v1/tenants/{tenant}/webhook"
_DENIALS: Final = "/v1/denials/{tenant}"
_DENIED: Final = (
    Field("--subject", "subject-dn", "Subject of certificates, such as CN=pump-1,O=ACME."),
    Field("--device", "device-id", "Device id that gateways announce."),
)

_webhooks = group(
    "webhook",
    "Where a tenant wants to be told what becomes of its devices.",
    Verb(
        name="set",
        method="PUT",
        path=_WEBHOOK,
        help="Call a URL from now on; the signing secret is shown the first time. Again: try at once.",
        fields=(
            Field("URL", "url"),
            Field(
                "--topic",
                "topics",
                "What to tell; may be given several times.",
                Kind.TEXTS,
                is_required=True,
                choices=_TOPICS,
            ),
        ),
    ),
    Verb(name="get", method="GET", path=_WEBHOOK, help="Show it, what waits, and how the last calls went."),
    Verb(
        name="secret",
        method="POST",
        path=f"{_WEBHOOK}/secret",
        help="Make another signing secret, shown once; for a day the one before signs as well.",
    ),
    Verb(
        name="delete",
        method="DELETE",
        path=_WEBHOOK,
        help="Tell nobody any more; what waits is dropped.",
        said="{tenant} has no webhook any more",
    ),
)

_denied = group(
    "denials",
    "What may not provision itself in a tenant.",
    denials,
    Verb(
        name="add",
        method="POST",
        path=_DENIALS,
        help="Keep a device from provisioning itself: give --subject or --device.",
        fields=(*_DENIED, Field("--comment", "comment", "Why.")),
        said="it may not provision itself in {tenant}",
    ),
    Verb(
        name="remove",
        method="POST",
        path=f"{_DENIALS}/remove",
        help="Let a device provision itself again: give --subject or --device.",
        fields=_DENIED,
        said="it may provision itself in {tenant} again",
    ),
)

hono = group(
    "hono",
    "Hono's tenants: messages, devices that wait, denials, webhooks, limits.",
    consume,
    waiting,
    approve,
    reject,
    _denied,
    _webhooks,
    usage,
)
