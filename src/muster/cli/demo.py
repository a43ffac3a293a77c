"""`muster demo`: a gateway onboarded end to end, each step shown with the curl command that does it."""

import json
import re
import shlex
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from string import Template

import rich_click as click

from muster.cli import output
from muster.cli.failures import Stop
from muster.cli.session import Session, speaks
from muster.client import Answer, Failure, Json, Row

_SHOWN = 240
"""Characters of an answer that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A request, with shell variables in it."""

    why: str
    method: str
    where: str
    body: Json = None
    authorization: str = ""
    keeps: str = ""
    """Variable that holds a part of the answer from now on."""
    part: str = ""
    """That part's field; if there are several, the last."""
    needs_broker: bool = False

    def curl(self) -> str:
        """Give the command that does it."""
        words = ["curl -sS" if self.method == "GET" else f"curl -sS -X {self.method}"]
        words.append(f'"$MUSTER{self.where}"')
        if self.authorization:
            words.append(f'-H "Authorization: {self.authorization}"')
        if self.body is not None:
            words.append("-H 'Content-Type: application/json'")
            words.append('-d "' + json.dumps(self.body).replace('"', '\\"') + '"')
        command = " ".join(words)
        if not self.keeps:
            return command
        return f'{self.keeps}=$({command} | sed -n \'s/.*"{self.part}":"\\([^"]*\\)".*/\\1/p\')'


_AS_USER = "Bearer $TOKEN"
_GATEWAY = {"external_id": "$ID", "external_key": "$KEY", "name": "$NAME"}
STEPS = (
    Step(why="Is the server there?", method="GET", where="/health"),
    Step(
        why="Register a user.",
        method="POST",
        where="/users",
        body={
            "first_name": "Demo",
            "last_name": "User",
            "email": "$NAME@example.com",
            "credentials": {"username": "$NAME", "secret": "$PASSWORD"},
        },
    ),
    Step(
        why="Log in.",
        method="POST",
        where="/users/tokens/issue",
        body={"username": "$NAME", "password": "$PASSWORD"},
        keeps="TOKEN",
        part="access_token",
    ),
    Step(
        why="Make a domain; it is the user's own.",
        method="POST",
        where="/domains",
        body={"name": "$NAME", "alias": "$NAME"},
        authorization=_AS_USER,
        keeps="DOMAIN",
        part="id",
    ),
    Step(
        why="Provision a gateway: clients, channels, connections, bootstrap configuration; all or nothing.",
        method="POST",
        where="/$DOMAIN/mapping",
        body=_GATEWAY,
        authorization=_AS_USER,
        keeps="CHANNEL",
        part="id",
    ),
    Step(
        why="Again, as after a lost answer: the same answer, and nothing more is made.",
        method="POST",
        where="/$DOMAIN/mapping",
        body=_GATEWAY,
        authorization=_AS_USER,
    ),
    Step(
        why="Be the gateway: fetch the configuration with external id and key alone.",
        method="GET",
        where="/clients/bootstrap/$ID",
        authorization="Client $KEY",
        keeps="SECRET",
        part="client_secret",
    ),
    Step(
        why="Send the gateway's first message.",
        method="POST",
        where="/channels/$CHANNEL/messages",
        body=[{"n": "voltage", "u": "V", "v": 3.3}],
        authorization="Client $SECRET",
        needs_broker=True,
    ),
)
_CLEAN = Step(
    why="Take the gateway back: exactly what the one call made.",
    method="DELETE",
    where="/$DOMAIN/mapping/$ID",
    authorization=_AS_USER,
)


@click.command()
@click.option("--clean", is_flag=True, help="Take the gateway back at the end.")
@speaks
def demo(session: Session, *, clean: bool) -> None:
    """Onboard a gateway end to end on a running server; show each step with the curl command that does it.

    Makes a user, a domain and a gateway of its own; --clean takes the gateway back. What it prints is a shell
    script that does the same again once its first line has other values.
    """
    # Whoever is logged in has nothing to do with it.
    session.api.tokens = session.api.on_tokens = None
    known = _values(session.api.url)
    told = []
    if not session.is_json:
        click.echo(" ".join(f"{name}={shlex.quote(value)}" for name, value in known.items()))
    for row in _story(session, known, (*STEPS, *((_CLEAN,) if clean else ()))):
        told.append(row)
        if not session.is_json:
            _print(row)
    if session.is_json:
        output.show_json({"variables": known, "steps": told})
    else:
        output.say(f"\nlook around: muster login {known['NAME']} --profile demo --url {known['MUSTER']}")


def _values(url: str) -> dict[str, str]:
    mark = uuid.uuid4().hex[:8]
    name = f"demo-{mark}"
    return {
        "MUSTER": url,
        "NAME": name,
        "PASSWORD": uuid.uuid4().hex,
        "ID": f"gw-{mark}",
        "KEY": uuid.uuid4().hex,
    }


def _story(session: Session, known: dict[str, str], steps: tuple[Step, ...]) -> Iterator[Row]:
    """Do step after step; each gives what a person is shown."""
    for step in steps:
        row = {"why": step.why, "curl": step.curl()}
        try:
            answer = _do(session, step, known)
        except Failure as failure:
            if step.where == "/users" and failure.status in (401, 403):
                raise Stop(
                    "this server lets nobody register without an admin",
                    hint="log in as a user an admin made, then: muster provision EXTERNAL_ID --make-key",
                ) from None
            if not (step.needs_broker and failure.status in (404, 503)):
                raise
            yield row | {
                "status": failure.status,
                "answer": "this server carries no messages now (MUSTER_MQTT)",
            }
            continue
        yield row | {"status": answer.status, "answer": answer.body}


def _do(session: Session, step: Step, known: dict[str, str]) -> Answer:
    def filled(text: str) -> str:
        return Template(text).substitute(known)

    body = None if step.body is None else json.loads(filled(json.dumps(step.body)))
    asked = filled(step.authorization)
    answer = session.api.request(step.method, filled(step.where), body=body, authorization=asked)
    if step.keeps:
        known[step.keeps] = re.findall(rf'"{step.part}":"([^"]*)"', answer.content.decode())[-1]
    return answer


def _print(row: Row) -> None:
    text = row["answer"] if isinstance(row["answer"], str) else json.dumps(row["answer"], ensure_ascii=False)
    shown = output.harmless("" if row["answer"] is None else text)
    click.echo(click.style(f"\n# {row['why']}", bold=True))
    click.echo(row["curl"])
    cut = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    click.echo(click.style(f"# {row['status']} {cut}", fg="green"))
