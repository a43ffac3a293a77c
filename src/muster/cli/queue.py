"""`muster hono waiting`, `approve` and `reject`: devices that provisioned themselves and are not in yet."""

import json
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

import rich_click as click

from muster.cli import output
from muster.cli.failures import USAGE, Stop
from muster.cli.session import Session, speaks
from muster.client import Failure, Row, path

_PAGE: Final = 200
_ASKED: Final = (
    ("filterJson", json.dumps({"field": "/enabled", "value": False})),
    ("filterJson", json.dumps({"field": "/status/auto-provisioned", "value": True})),
    ("sortJson", json.dumps({"field": "/status/created"})),
    ("pageSize", str(_PAGE)),
)
_COLUMNS: Final = (
    "id",
    "status.first-contact.auth-id",
    "status.first-contact.serial-number",
    "status.first-contact.source",
    "status.created",
)


@click.command()
@click.argument("tenant")
@speaks
def waiting(session: Session, tenant: str) -> None:
    """List the devices that provisioned themselves and wait for somebody to let them in."""
    found = list(_waiting(session, tenant))
    if session.is_json:
        output.show_json(found)
    elif found:
        output.show_rows(found, _COLUMNS)
        output.say(f"let them in: muster hono approve {tenant} DEVICE…; turn them away: muster hono reject")
    else:
        output.say("no device waits")


@click.command()
@click.argument("tenant")
@click.argument("devices", metavar="DEVICE…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All devices that wait.")
@speaks
def approve(session: Session, tenant: str, devices: tuple[str, ...], everything: bool) -> None:
    """Let devices in that wait. One that is in already stays in."""
    for device in _meant(session, tenant, devices, everything=everything):
        _enable(session, tenant, device)
        _say(session, device, "in")


@click.command()
@click.argument("tenant")
@click.argument("devices", metavar="DEVICE…", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All devices that wait.")
@speaks
def reject(session: Session, tenant: str, devices: tuple[str, ...], everything: bool) -> None:
    """Turn devices away that wait: they are deleted, and may not provision themselves again.

    A device that is in is not touched. `muster hono denials remove` lets one try again.
    """
    waits = {each["id"] for each in _waiting(session, tenant)}
    for device in _meant(session, tenant, devices, everything=everything):
        if device not in waits:
            raise Stop(f"{device} does not wait", hint=f"muster hono waiting {tenant} lists those that do")
        session.api.request("DELETE", path("/v1/devices/{t}/{d}", t=tenant, d=device))
        _say(session, device, "turned away")


def _meant(session: Session, tenant: str, devices: tuple[str, ...], *, everything: bool) -> list[str]:
    if bool(devices) == everything:
        raise Stop(
            "name the devices, or say --all", hint=f"muster hono waiting {tenant} lists them", code=USAGE
        )
    return list(devices) or [each["id"] for each in _waiting(session, tenant)]


def _say(session: Session, device: str, became: str) -> None:
    if session.is_json:
        click.echo(json.dumps({"id": device, "became": became}))
    else:
        click.echo(output.harmless(f"{device} is {became}"))


def _waiting(session: Session, tenant: str) -> Iterator[Row]:
    """Give the devices nobody decided about: one that was let in and is disabled now was changed since."""
    page = 0
    while True:
        query = urlencode((*_ASKED, ("pageOffset", str(page))))
        try:
            found = session.api.get(f"{path('/v1/devices/{t}', t=tenant)}?{query}")
        except Failure as failure:
            if failure.status != 404:
                raise
            _check_there(session, tenant)
            return
        yield from (each for each in found["result"] if "updated" not in each["status"])
        page += 1
        if page * _PAGE >= found["total"]:
            return


def _check_there(session: Session, tenant: str) -> None:
    """Tell an empty search from a tenant that is not there: Hono answers 404 to both."""
    try:
        session.api.get(path("/v1/tenants/{t}", t=tenant))
    except Failure as failure:
        if failure.status != 403:  # in the tenant, without the right to read all of it
            raise


def _enable(session: Session, tenant: str, device: str) -> None:
    where = path("/{t}/clients/{d}/enable", t=tenant, d=device)
    try:
        session.api.request("POST", where)
    except Failure as failure:
        if failure.status != 409:
            raise
