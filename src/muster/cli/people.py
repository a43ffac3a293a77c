"""`muster users`, `tokens`, `domains` and `invitations`: who may do what where."""

from collections.abc import Callable
from copy import copy
from typing import Any, Final

import rich_click as click

from muster.cli.declare import Field, Kind, Verb, group, lists
from muster.cli.failures import USAGE, Stop
from muster.cli.session import Session, log_in, secret, speaks
from muster.client import Tokens, path

_TAGS: Final = Field("--tag", "tags", "Tag; may be given several times.", Kind.TEXTS)
_METADATA: Final = Field("--metadata", "metadata", "Free-form object; it is replaced as a whole.", Kind.JSON)
_NAMES: Final = (
    Field("--first-name", "first_name", "First name."),
    Field("--last-name", "last_name", "Last name."),
)
_USER_COLUMNS: Final = ("id", "credentials.username", "email", "first_name", "last_name", "role", "status")


def _of_user(name: str, help_: str, *fields: Field) -> Verb:
    return Verb(name=name, method="PATCH", path=f"/users/{{id}}/{name}", help=help_, fields=fields)


def _password_option(help_: str) -> Callable[[Any], Any]:
    return click.option("--password", metavar="FILE|-", help=help_)


@click.command()
@click.argument("username")
@_password_option("Where the password stands; asked for without it.")
@speaks
def token(session: Session, username: str, password: str | None) -> None:
    """Exchange name and password for an access and a refresh token; nothing is remembered."""
    plain = secret(password, "password", option="--password")
    _show_tokens(session, log_in(session, username, plain))


def _show_tokens(session: Session, tokens: Tokens) -> None:
    session.show({"access_token": tokens.access, "refresh_token": tokens.refresh})


@click.command()
@click.option("--old", metavar="FILE|-", help="Where the old password stands; asked for without it.")
@click.option("--new", metavar="FILE|-", help="Where the new one stands; asked for without it.")
@speaks
def password(session: Session, old: str | None, new: str | None) -> None:
    """Change your own password; all your tokens end."""
    body = {
        "old_secret": secret(old, "old password", option="--old"),
        "new_secret": secret(new, "new password", option="--new", confirm=True),
    }
    session.show(session.api.request("PATCH", "/users/secret", body=body).body)


@click.command("reset-password")
@click.option("--token", metavar="FILE|-", help="Where the recovery token stands; asked for without it.")
@click.option("--new", metavar="FILE|-", help="Where the new password stands; asked for without it.")
@speaks
def reset_password(session: Session, token: str | None, new: str | None) -> None:
    """Set a new password with a recovery token, as `muster users recover` prints it."""
    shown = secret(token, "recovery token", option="--token")
    plain = secret(new, "new password", option="--new", confirm=True)
    body = {"password": plain, "confirm_password": plain}
    session.api.request("PUT", "/password/reset", body=body, authorization=f"Bearer {shown}")
    session.show(None, said="the password is changed; log in with it: muster login")


users = group(
    "users",
    "People and programs that set things up.",
    Verb(
        name="create",
        method="POST",
        path="/users",
        help="Create a user; anyone may where self-registration is on.",
        fields=(
            Field("USERNAME", "credentials.username"),
            Field("--email", "email", "E-mail address.", is_required=True),
            Field("--first-name", "first_name", "First name.", is_required=True),
            Field("--last-name", "last_name", "Last name.", is_required=True),
            Field("--password", "credentials.secret", "The user's password.", Kind.SECRET, is_required=True),
            Field("--role", "role", "Admins may make admins.", choices=("user", "admin")),
            _TAGS,
            _METADATA,
        ),
    ),
    lists(
        "/users",
        "List users; admins only.",
        Field("--username", "username", "Part of the username."),
        Field("--email", "email", "Part of the e-mail address."),
        *_NAMES,
        columns=_USER_COLUMNS,
    ),
    Verb(
        name="search",
        method="GET",
        path="/users/search",
        help="Find users by parts of their names.",
        query=(Field("--username", "username", "Part of the username."), *_NAMES),
        columns=_USER_COLUMNS[:2] + _USER_COLUMNS[3:5],
        is_list=True,
    ),
    Verb(name="get", method="GET", path="/users/{id}", help="Show a user."),
    Verb(name="profile", method="GET", path="/users/profile", help="Show yourself."),
    Verb(
        name="update",
        method="PATCH",
        path="/users/{id}",
        help="Change names or metadata.",
        fields=(*_NAMES, _METADATA),
        takes_file=True,
    ),
    _of_user("username", "Change the username.", Field("USERNAME", "username")),
    _of_user("email", "Change the e-mail address.", Field("EMAIL", "email")),
    _of_user("picture", "Change the address of the picture.", Field("PICTURE_URL", "profile_picture")),
    _of_user("tags", "Replace the tags.", Field("TAG", "tags", kind=Kind.TEXTS, is_required=True)),
    _of_user("role", "Make a user an admin, or no longer.", Field("ROLE", "role", choices=("user", "admin"))),
    Verb(
        name="recovery",
        method="POST",
        path="/users/{id}/recovery",
        help="Make a recovery token for a user; admins only.",
    ),
    Verb(name="enable", method="POST", path="/users/{id}/enable", help="Let a user in again."),
    Verb(name="disable", method="POST", path="/users/{id}/disable", help="Keep a user out; all tokens end."),
    Verb(name="delete", method="DELETE", path="/users/{id}", help="End a user.", said="{id} is deleted"),
    password,
    reset_password,
    token,
)

# --- tokens ------------------------------------------------------------------------------------------------

issue = copy(token)
issue.name = "issue"


@click.command()
@click.option(
    "--token", "given", metavar="FILE|-", help="Where the refresh token stands; the profile's without it."
)
@speaks
def refresh(session: Session, given: str | None) -> None:
    """Exchange a refresh token for new tokens; the profile's are remembered."""
    if given is not None:
        session.api.tokens = Tokens(access="", refresh=secret(given, "refresh token", option="--token"))
        session.api.on_tokens = None
    elif session.api.tokens is None or not session.api.tokens.refresh:
        raise Stop(
            "there is no refresh token",
            hint="log in first: muster login; or give one: --token FILE",
            code=USAGE,
        )
    _show_tokens(session, session.api.refresh())


keys = group(
    "keys",
    "API keys: secrets for programs, without a login.",
    Verb(
        name="create",
        method="POST",
        path="/keys",
        help="Make an API key; its value is shown once.",
        fields=(
            Field(
                "--duration", "duration", "How long it lasts: 720h, 30d; for ever without it.", Kind.SECONDS
            ),
        ),
        more={"type": 3},
    ),
    Verb(name="get", method="GET", path="/keys/{id}", help="Show when a key was issued and expires."),
    Verb(
        name="delete", method="DELETE", path="/keys/{id}", help="End a key at once.", said="{id} is deleted"
    ),
)

_DURATION: Final = Field("--duration", "duration", "How long it lasts: 720h.", is_required=True)
_PAT_COLUMNS: Final = ("id", "name", "description", "issued_at", "expires_at", "revoked")


def _renaming(what: str) -> Verb:
    where = f"/pats/{{id}}/{what}"
    fields = (Field(what.upper(), what),)
    said = "{id} is changed"
    return Verb(name=what, method="PATCH", path=where, help=f"Change the {what}.", fields=fields, said=said)


pats = group(
    "pats",
    "Personal access tokens: keys with a name that can be reset and revoked.",
    Verb(
        name="create",
        method="POST",
        path="/pats",
        help="Make a token; its secret is shown once.",
        fields=(Field("NAME", "name"), _DURATION, Field("--description", "description", "What it is for.")),
        takes_file=True,
    ),
    Verb(name="list", method="GET", path="/pats", help="List yours.", columns=_PAT_COLUMNS, is_list=True),
    Verb(name="get", method="GET", path="/pats/{id}", help="Show one, without its secret."),
    _renaming("name"),
    _renaming("description"),
    Verb(
        name="reset",
        method="PATCH",
        path="/pats/{id}/secret/reset",
        help="Give it a new secret, shown once; the old one ends.",
        fields=(_DURATION,),
    ),
    Verb(
        name="revoke",
        method="PATCH",
        path="/pats/{id}/secret/revoke",
        help="End its secret; it stays listed and can be reset.",
        said="{id} is revoked",
    ),
    Verb(name="delete", method="DELETE", path="/pats/{id}", help="Delete it.", said="{id} is deleted"),
)

tokens = group(
    "tokens", "What proves who you are: tokens, API keys, personal access tokens.", issue, refresh, keys, pats
)

# --- domains -----------------------------------------------------------------------------------------------


@click.command()
@click.argument("wanted", metavar="DOMAIN")
@speaks
def use(session: Session, wanted: str) -> None:
    """Choose the domain that is meant without --domain; the profile remembers it."""
    chosen = session.api.get(path("/domains/{id}", id=session.domain_id(wanted)))
    session.remember(domain=chosen["id"], url=session.api.url)
    session.show(chosen)


def _status(name: str, help_: str) -> Verb:
    where = f"/domains/{{domain}}/{name}"
    return Verb(name=name, method="POST", path=where, help=help_, said="{domain} is changed")


domains = group(
    "domains",
    "Domains: each has its own clients and channels. A domain is named by its id or alias.",
    Verb(
        name="create",
        method="POST",
        path="/domains",
        help="Create a domain and become its admin.",
        fields=(
            Field("NAME", "name"),
            Field("ALIAS", "alias"),
            Field("--id", "id", "Id; without it one is made."),
            _TAGS,
            _METADATA,
        ),
    ),
    lists(
        "/domains", "List your domains; an admin sees all.", columns=("id", "alias", "name", "status", "tags")
    ),
    Verb(name="get", method="GET", path="/domains/{domain}", help="Show a domain."),
    Verb(
        name="update",
        method="PATCH",
        path="/domains/{domain}",
        help="Change a domain.",
        fields=(Field("--name", "name", "Name."), Field("--alias", "alias", "Alias."), _TAGS, _METADATA),
        takes_file=True,
    ),
    _status("enable", "Open a domain again."),
    _status("disable", "Close a domain for all but its admins; its devices are out."),
    _status("freeze", "Close a domain for all but the installation's admins, who alone may."),
    use,
)

_ROLES: Final = "/domains/{domain}/roles"
_ROLE: Final = _ROLES + "/{role}"


def _of_role(name: str, what: str, help_: str, argument: str, *, is_removing: bool = False) -> Verb:
    """Declare a verb that adds actions or members to a role, or takes them away."""
    where = f"{_ROLE}/{what}/delete" if is_removing else f"{_ROLE}/{what}"
    fields = (Field(argument, what, kind=Kind.TEXTS, is_required=True),)
    return Verb(name=name, method="POST", path=where, help=help_, fields=fields, said="the role is changed")


roles = group(
    "roles",
    "Roles in a domain: what their members may do.",
    Verb(
        name="create",
        method="POST",
        path=_ROLES,
        help="Create a role.",
        fields=(
            Field("NAME", "role_name"),
            Field("--action", "optional_actions", "Action it allows; several times.", Kind.TEXTS),
            Field("--member", "optional_members", "User who has it; several times.", Kind.TEXTS),
        ),
    ),
    Verb(
        name="list",
        method="GET",
        path=_ROLES,
        help="List the roles.",
        columns=("id", "name", "actions", "members"),
        is_list=True,
    ),
    Verb(name="get", method="GET", path=_ROLE, help="Show a role."),
    Verb(name="delete", method="DELETE", path=_ROLE, help="Delete a role.", said="{role} is deleted"),
    Verb(
        name="actions",
        method="GET",
        path="/domains/{domain}/roles/available-actions",
        help="List what roles can allow.",
    ),
    _of_role("allow", "actions", "Let a role allow more.", "ACTION"),
    _of_role("forbid", "actions", "Let a role allow less.", "ACTION", is_removing=True),
    _of_role("add", "members", "Give users a role.", "USER_ID"),
    _of_role("remove", "members", "Take a role from users.", "USER_ID", is_removing=True),
)

_INVITATIONS: Final = "/domains/{domain}/invitations"
_ANSWER: Final = (Field("DOMAIN_ID", "domain_id"),)
_STATE: Final = Field(
    "--state", "state", "Which of them.", choices=("all", "pending", "accepted", "rejected")
)
_INVITATION_COLUMNS: Final = (
    "domain_id",
    "invitee_user_id",
    "role_name",
    "invited_by",
    "created_at",
    "confirmed_at",
    "rejected_at",
)

invitations = group(
    "invitations",
    "Invitations of users into domains.",
    Verb(
        name="send",
        method="POST",
        path=_INVITATIONS,
        help="Invite a user into a domain, with a role.",
        fields=(Field("USER_ID", "invitee_user_id"), Field("ROLE_ID", "role_id")),
        said="invited",
    ),
    Verb(
        name="list",
        method="GET",
        path=_INVITATIONS,
        help="List a domain's invitations.",
        query=(_STATE,),
        columns=_INVITATION_COLUMNS,
        is_list=True,
    ),
    Verb(
        name="mine",
        method="GET",
        path="/invitations",
        help="List your own.",
        query=(_STATE,),
        columns=_INVITATION_COLUMNS,
        is_list=True,
    ),
    Verb(
        name="accept",
        method="POST",
        path="/invitations/accept",
        help="Join the domain.",
        fields=_ANSWER,
        said="accepted",
    ),
    Verb(
        name="reject",
        method="POST",
        path="/invitations/reject",
        help="Decline.",
        fields=_ANSWER,
        said="rejected",
    ),
    Verb(
        name="delete",
        method="DELETE",
        path=_INVITATIONS + "/{user}",
        help="Take an invitation back.",
        said="the invitation of {user} is deleted",
    ),
)
