"""What each command that speaks to a server has: profile, address, token, domain, form of output."""

import functools
import os
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import rich_click as click
from click import prompt

from muster.cli import output, profiles
from muster.cli.failures import USAGE, Stop
from muster.cli.profiles import Profile
from muster.client import Api, Failure, Json, Row, Tokens, path

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Session:
    """One run of one command against one server."""

    def __init__(self, profile: Profile, api: Api, form: str, domain: str | None) -> None:
        self.profile = profile
        self.api = api
        self.form = form
        self._asked = domain

    @property
    def is_json(self) -> bool:
        """Whether a program reads."""
        return self.form == "json"

    @functools.cached_property
    def domain(self) -> str:
        """The id of the domain meant: --domain, else the profile's, else the user's only one."""
        if self._asked:
            return self.domain_id(self._asked)
        if self.profile.domain and self.profile.url == self.api.url:
            return self.profile.domain
        found = self.api.page("/domains", limit=2)
        if found.total == 1:
            return str(found.rows[0]["id"])
        if not found.total:
            raise Stop("you are in no domain", hint="make one: muster domains create NAME ALIAS", code=USAGE)
        raise Stop(
            f"you are in {found.total} domains and said not which",
            hint="add --domain ALIAS, or choose one for good: muster domains use ALIAS",
            code=USAGE,
        )

    def domain_id(self, wanted: str) -> str:
        """Give the id of a domain that is named by id or alias. Failure 404 if there is none for the user."""
        if _UUID.fullmatch(wanted):
            return wanted
        for row in self.api.every("/domains", alias=wanted, status="all"):
            if row.get("alias") == wanted:
                return str(row["id"])
        try:
            return str(self.api.get(path("/domains/{id}", id=wanted))["id"])
        except Failure as failure:
            if failure.status not in (400, 403, 404):
                raise
        raise Stop(f"there is no domain {wanted!r} that you can see", hint="muster domains list shows yours")

    def show(self, body: Json, columns: tuple[str, ...] = (), said: str = "") -> None:
        """Print an answer in the form that was asked for."""
        output.show(self.form, body, columns, said)

    def remember(self, **changed: str) -> None:
        """Change the profile in its file."""
        self.profile = replace(self.profile, **changed)
        profiles.keep(self.profile)


def open_session(
    profile: str | None, url: str | None, authority: str | None, form: str, domain: str | None = None
) -> Session:
    """Put a session together. The profile's tokens go to the profile's server and to no other."""
    known = profiles.load().get(profile)
    where = url or known.url
    trusted = authority or known.authority
    try:
        api = Api(where, authority=Path(trusted) if trusted else None)
    except (ValueError, OSError) as error:
        raise Stop(f"--url or --ca: {error}", code=USAGE) from None
    session = Session(known, api, form, domain)
    given = os.environ.get("MUSTER_TOKEN", "").strip()
    if given:
        api.tokens = Tokens(access=given)
    elif known.access and api.url == known.url:
        api.tokens = Tokens(access=known.access, refresh=known.refresh)
        api.on_tokens = lambda new: session.remember(access=new.access, refresh=new.refresh)
    return session


_OPTIONS: Final = (
    click.option("--profile", metavar="NAME", envvar="MUSTER_PROFILE", help="Profile to use."),
    click.option("--url", metavar="URL", envvar="MUSTER_URL", help="Address of the server."),
    click.option("--ca", "authority", metavar="FILE", help="PEM file to trust for https."),
    click.option(
        "-o",
        "--output",
        "form",
        type=click.Choice(output.FORMATS),
        envvar="MUSTER_OUTPUT",
        default="table",
        help="How results are printed.",
    ),
)
_DOMAIN: Final = click.option("-d", "--domain", metavar="DOMAIN", help="Domain, by id or alias.")

Command = Callable[..., Any]


def speaks(function: Command, *, in_domain: bool = False) -> Command:
    """Make a command's function speak to the server: the Session comes first, its options are added."""

    @functools.wraps(function)
    def command(
        profile: str | None,
        url: str | None,
        authority: str | None,
        form: str,
        domain: str | None = None,
        **rest: Any,
    ) -> Any:
        session = open_session(profile, url, authority, form, domain)
        with session.api:
            return function(session, **rest)

    for option in (*reversed(_OPTIONS), *((_DOMAIN,) if in_domain else ())):
        command = option(command)
    return command


def speaks_in_domain(function: Command) -> Command:
    """Do as `speaks`, for commands that work in a domain."""
    return speaks(function, in_domain=True)


# --- what is typed, piped or read from files --------------------------------------------------------------


def secret(source: str | None, what: str, *, option: str, confirm: bool = False) -> str:
    """Read a secret: `-` is a line of standard input, else a file's first line; None asks at a terminal.

    Never from the command line itself, where every process of the machine could read it.
    """
    if source is None:
        if not sys.stdin.isatty():
            raise Stop(
                f"{what} is missing",
                hint=f"{option} - reads it from standard input, {option} FILE from a file",
                code=USAGE,
            )
        return str(prompt(what, hide_input=True, confirmation_prompt=confirm, err=True))
    line = (sys.stdin.readline() if source == "-" else first_line(source)).rstrip("\r\n")
    if not line or not line.isprintable():
        raise Stop(
            f"{what}: {'standard input' if source == '-' else source} has no usable first line", code=USAGE
        )
    return line


def log_in(session: Session, username: str, password: str) -> Tokens:
    """Log in, for this run; Stop when name or password are wrong: the server does not say which."""
    session.api.on_tokens = None
    try:
        return session.api.login(username, password)
    except Failure as failure:
        if failure.status != 401:
            raise
        request = f" [request {failure.request_id}]" if failure.request_id else ""
        raise Stop(
            f"username or password is wrong, or the user is disabled{request}",
            hint="an admin can help: muster users recovery; on the server's machine: muster users recover",
        ) from None


def first_line(source: str) -> str:
    """Read a file's first line."""
    return text_of(source).partition("\n")[0]


def text_of(source: str) -> str:
    """Read a file, or standard input for `-`. Stop when it is no text."""
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Stop(f"{source} is no UTF-8 text", code=USAGE) from None
    except OSError as error:
        raise Stop(f"{source}: {error.strerror}", code=USAGE) from None


def required(row: Row, name: str) -> str:
    """Give a field that the server always sends."""
    return str(row[name])
