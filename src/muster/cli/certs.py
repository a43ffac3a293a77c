"""`muster ca`, `muster certs` and `muster revoke`: certificates of clients, and the CAs that sign them."""

from typing import Final

import rich_click as click

from muster.cli.declare import Field, Kind, Verb, group
from muster.cli.session import Session, secret, speaks, speaks_in_domain, text_of
from muster.client import path

_AUTHORITIES: Final = "/certs/authorities"
_COLUMNS: Final = ("id", "role", "subject", "not_after", "is_current")
_CERTIFICATES: Final = ("serial_number", "client_id", "expiry_time", "revoked")
_SURFACES: Final = ("surface", "takes_effect", "note")
_SHAPE: Final = (
    Field("--ttl", "ttl", "How long it lives, such as 720h."),
    Field("--key-type", "key_type", "Kind of key made for it.", choices=("ec", "rsa", "ed25519")),
    Field("--key-bits", "key_bits", "Size of the key.", Kind.NUMBER),
    Field("--csr", "csr", "Signing request of a key the client made.", Kind.FILE),
)


def _page(session: Session, body: object) -> None:
    found = body.get("authorities", []) if isinstance(body, dict) else []
    shown = body if session.is_json else {"total": len(found), "authorities": found}
    session.show(shown, _COLUMNS)


@click.command()
@speaks
def show(session: Session) -> None:
    """Show all CAs, the newest first; for admins."""
    _page(session, session.api.get(_AUTHORITIES))


@click.command()
@speaks
def export(session: Session) -> None:
    """Print the CA certificates to trust, PEM, root first; keys never leave the server."""
    body = session.api.get("/certs/view-ca")
    if session.is_json:
        session.show(body)
    else:
        click.echo(body["ca_bundle"], nl=False)


@click.command("import")
@click.argument("certificates", metavar="CERTIFICATES")
@click.argument("key", metavar="KEY")
@click.option("--password", metavar="FILE|-", help="Where the key's password stands.")
@speaks
def import_ca(session: Session, certificates: str, key: str, password: str | None) -> None:
    """Sign with an existing CA from now on: its certificate with those above it, and its key, PEM."""
    body = {"certificates": text_of(certificates), "key": text_of(key)}
    if password is not None:
        body["password"] = secret(password, "password of the key", option="--password")
    _page(session, session.api.create(f"{_AUTHORITIES}/import", body))


@click.command()
@click.option("--root", is_flag=True, help="Make a new root too, certified by the old one.")
@speaks
def rollover(session: Session, *, root: bool) -> None:
    """Sign with a new CA from now on; certificates of the old ones stay good."""
    _page(session, session.api.create(f"{_AUTHORITIES}/rollover", {"root": root}))


ca = group("ca", "The CAs that sign clients' certificates.", show, export, import_ca, rollover)


@click.command()
@click.argument("device", metavar="CLIENT|SERIAL")
@click.option("--reason", type=click.IntRange(0, 9), default=0, help="Number of RFC 5280, 5.3.1.")
@speaks_in_domain
def revoke(session: Session, device: str, reason: int) -> None:
    """Revoke a client's certificates, or one by its serial; say from when on they are refused where."""
    where = path("/{domain}/certs/{device}", domain=session.domain, device=device)
    body = session.api.request("DELETE", where, query={"reason": str(reason)}).body
    found = body.get("surfaces", []) if isinstance(body, dict) else []
    session.show(body if session.is_json else {"total": len(found), "surfaces": found}, _SURFACES)


certs = group(
    "certs",
    "Certificates of clients.",
    Verb(
        name="list",
        method="GET",
        path="/{domain}/certs",
        help="List certificates, the first to expire first.",
        query=(
            Field("--client", "entity_id", "Those of one client."),
            Field("--expires-before", "expires_before", "Those that end before a time (RFC 3339)."),
            Field("--revoked", "revoked", "Which of them.", choices=("true", "false", "all")),
        ),
        columns=_CERTIFICATES,
        is_list=True,
    ),
    Verb(
        name="issue",
        method="POST",
        path="/{domain}/certs/issue/{client}",
        help="Issue a certificate; its key is in the answer.",
        fields=_SHAPE,
    ),
    Verb(name="view", method="GET", path="/{domain}/certs/{serial}", help="Show a certificate, and its key."),
    Verb(
        name="renew",
        method="PATCH",
        path="/{domain}/certs/{serial}/renew",
        help="Issue a successor; the old one stays good.",
    ),
    revoke,
)
