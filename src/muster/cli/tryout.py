"""`muster provision test`: the journey upstream's program has, on whatever server it is pointed at."""

import time
import uuid
from collections.abc import Iterator

import rich_click as click

from muster.cli import output
from muster.cli.session import Session, speaks
from muster.client import Failure, Row, path


@click.command("test")
@speaks
def tryout(session: Session) -> None:
    """Try a server out: a new user, domain, two clients and two channels, connections, three messages.

    Both clients are connected to the first channel, the first client to the second one, too.
    """
    steps: list[Row] = []
    for name, detail in _journey(session):
        steps.append({"step": name, "result": detail})
        if not session.is_json:
            click.echo(f"{click.style('✓', fg='green')} {name:<12} {output.harmless(detail)}")
    if session.is_json:
        output.show_json({"steps": steps})


def _journey(session: Session) -> Iterator[tuple[str, str]]:
    api, mark = session.api, uuid.uuid4().hex[:8]
    name, password = f"test-{mark}", uuid.uuid4().hex
    # The new user's tokens are not those of the profile.
    api.on_tokens = api.tokens = None
    user = api.register(name, password, email=f"{name}@example.com", first_name="Test", last_name=mark)
    yield "user", f"{name} ({user['id']})"
    api.login(name, password)
    domain = api.create_domain(name, name)["id"]
    yield "domain", f"{name} ({domain})"
    clients = api.create_all(path("/{d}/clients/bulk", d=domain), [{"name": f"client-{n}"} for n in "01"])
    channels = api.create_all(path("/{d}/channels/bulk", d=domain), [{"name": f"channel-{n}"} for n in "01"])
    ids, places = [c["id"] for c in clients], [c["id"] for c in channels]
    yield "clients", ", ".join(ids)
    yield "channels", ", ".join(places)
    api.connect(domain, clients=ids, channels=places[:1])
    api.connect(domain, clients=ids[:1], channels=places[1:])
    yield "connections", "3"
    for client, channel in ((0, 0), (1, 0), (0, 1)):
        _send(session, clients[client], places[channel])
    yield "messages", "3 accepted"


def _send(session: Session, client: Row, channel: str) -> None:
    """Publish the message upstream's program does (spec E.4)."""
    body = [
        {"bn": "provision:", "bu": "V", "t": int(time.time()), "bver": 5, "n": "voltage", "u": "V", "v": 3.3}
    ]
    where = path("/channels/{c}/messages", c=channel)
    try:
        session.api.request(
            "POST", where, body=body, authorization=f"Client {client['credentials']['secret']}"
        )
    except Failure as failure:
        if failure.status == 503:
            failure.reason += " (is the server's broker off, MUSTER_MQTT= empty?)"
        raise
