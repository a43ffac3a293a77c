"""`muster login`, `logout`, `status` and `profiles`: who you are, where."""

import base64
import json
import sys
import time
from dataclasses import replace

import rich_click as click
from click import prompt
from click.exceptions import Exit

from muster.cli import output, profiles
from muster.cli.declare import group
from muster.cli.failures import REFUSED, UNREACHABLE, USAGE, Stop
from muster.cli.profiles import Profile, Profiles
from muster.cli.session import Session, log_in, secret, speaks_in_domain
from muster.client import Failure, Row, path


@click.command()
@click.argument("username", required=False)
@click.option("--password", metavar="FILE|-", help="Where the password stands; asked for without it.")
@speaks_in_domain
def login(session: Session, username: str | None, password: str | None) -> None:
    """Log in; the profile remembers the address, the tokens and the domain, but not the password."""
    name = username or session.profile.username or _asked("username")
    tokens = log_in(session, name, secret(password, f"password of {name}", option="--password"))
    is_same = session.profile.url == session.api.url and session.profile.username == name
    session.profile = replace(
        session.profile,
        url=session.api.url,
        username=name,
        domain=session.profile.domain if is_same else "",
        access=tokens.access,
        refresh=tokens.refresh,
    )
    session.remember(domain=_domain(session))
    _show_status(session)


def _asked(what: str) -> str:
    if not sys.stdin.isatty():
        raise Stop(f"{what} is missing", hint="muster login USERNAME --password -", code=USAGE)
    return str(prompt(what, err=True))


def _domain(session: Session) -> str:
    """Give the domain to remember; none while it is not clear which."""
    try:
        return session.domain
    except Stop as stop:
        if stop.exit_code != USAGE:
            raise
        return ""


@click.command()
@click.option("--profile", metavar="NAME", envvar="MUSTER_PROFILE", help="Profile to forget the tokens of.")
def logout(profile: str | None) -> None:
    """Forget the tokens of a profile; they end by themselves when their time is over."""
    known = profiles.load().get(profile)
    profiles.keep(replace(known, access="", refresh=""))
    output.say(f"logged out of {known.url}")


@click.command()
@speaks_in_domain
def status(session: Session) -> None:
    """Show which server, user and domain commands work with, and whether the server answers."""
    _show_status(session)


def _show_status(session: Session) -> None:
    told: Row = {"profile": session.profile.name, "url": session.api.url}
    code = 0
    try:
        told["server"] = _server(session)
        told |= _user(session)
    except Failure as failure:
        told["problem"] = failure.reason
        code = UNREACHABLE if failure.is_unreachable else REFUSED
    session.show(told)
    if code:
        raise Exit(code)


def _server(session: Session) -> str:
    health = session.api.get("/health")
    if not isinstance(health, dict) or "status" not in health:
        raise Failure("there is a server, but it does not answer as Muster does", status=200)
    return f"{health['status']}, version {health.get('version', 'unknown')}"


def _user(session: Session) -> Row:
    if session.api.tokens is None:
        return {"problem": "not logged in: muster login"}
    user = session.api.get("/users/profile")
    told: Row = {"user": user["credentials"]["username"], "user_id": user["id"], "role": user.get("role", "")}
    domain = _domain(session)
    if domain:
        found = session.api.get(path("/domains/{id}", id=domain))
        told |= {"domain": found.get("alias") or found["name"], "domain_id": domain}
    return told | {"token_ends": ends(session.api.tokens.access) if session.api.tokens else ""}


def ends(token: str) -> str:
    """Say when a token ends; empty for a key, which does not show it."""
    parts = token.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(float(claims["exp"])))
    except (ValueError, KeyError, TypeError, OverflowError):
        return ""


# --- profiles ----------------------------------------------------------------------------------------------


@click.command("list")
@click.option(
    "-o", "--output", "form", type=click.Choice(output.FORMATS), envvar="MUSTER_OUTPUT", default="table"
)
def list_profiles(form: str) -> None:
    """List the profiles of this user of this machine."""
    known = profiles.load()
    rows = [_shown(profile, known) for profile in known.known.values()]
    if form == "json":
        output.show_json(rows)
    else:
        output.show_rows(rows, ("current", "name", "url", "username", "domain", "logged_in"))


def _shown(profile: Profile, known: Profiles) -> Row:
    return {
        "current": "*" if profile.name == known.current else "",
        "name": profile.name,
        "url": profile.url,
        "username": profile.username,
        "domain": profile.domain,
        "logged_in": "yes" if profile.access else "no",
    }


@click.command("set")
@click.argument("name")
@click.option("--url", metavar="URL", help="Address of the server.")
@click.option("--ca", "authority", metavar="FILE", help="PEM file to trust for https.")
def set_profile(name: str, url: str | None, authority: str | None) -> None:
    """Make a profile or change it. With another address its tokens are forgotten."""
    found = profiles.load().get(name)
    if url is not None and url != found.url:
        found = Profile(name=found.name, url=url, username=found.username, authority=found.authority)
    if authority is not None:
        found = replace(found, authority=authority)
    profiles.keep(found)
    output.say(f"profile {name} leads to {found.url}")


@click.command("use")
@click.argument("name")
def use_profile(name: str) -> None:
    """Use a profile from now on when none is named."""
    known = profiles.load()
    if name not in known.known:
        raise Stop(
            f"there is no profile {name!r}", hint=f"make it: muster profiles set {name} --url URL", code=USAGE
        )
    profiles.save(replace(known, current=name))
    output.say(f"using profile {name}: {known.known[name].url}")


@click.command("remove")
@click.argument("name")
def remove_profile(name: str) -> None:
    """Forget a profile with its tokens."""
    known = profiles.load()
    kept = {each: profile for each, profile in known.known.items() if each != name}
    if len(kept) == len(known.known):
        raise Stop(f"there is no profile {name!r}", hint="muster profiles list", code=USAGE)
    profiles.save(
        replace(known, known=kept, current=known.current if known.current != name else profiles.FIRST)
    )
    output.say(f"profile {name} is forgotten")


profile_group = group(
    "profiles",
    "Servers and users that this machine knows.",
    list_profiles,
    set_profile,
    use_profile,
    remove_profile,
)
