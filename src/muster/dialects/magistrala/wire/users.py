"""Users and tokens as Magistrala writes and reads them."""

from typing import Any

import msgspec

from muster.core.model import User
from muster.dialects.magistrala.wire.common import In, Out
from muster.web.wire import rfc3339


class UserCredentials(Out, kw_only=True):
    """The name a user logs in with."""

    username: str = ""


class UserOut(Out, kw_only=True):
    """A user. Anyone but the user and admins sees the names only."""

    id: str
    first_name: str = ""
    last_name: str = ""
    tags: list[str] = []
    metadata: dict[str, Any] = {}
    status: str = ""
    role: str = ""
    profile_picture: str = ""
    credentials: UserCredentials
    email: str = ""
    created_at: str = ""
    updated_at: str = ""
    updated_by: str = ""


def user(found: User) -> UserOut:
    """Show a user to itself or an admin."""
    return UserOut(
        id=found.id,
        first_name=found.first_name,
        last_name=found.last_name,
        tags=list(found.tags),
        metadata=dict(found.metadata),
        status=found.status.value,
        role="admin" if found.is_admin else "user",
        profile_picture=found.picture,
        credentials=UserCredentials(username=found.username),
        email=found.email,
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
        updated_by=found.updated_by,
    )


def reduced_user(found: User) -> UserOut:
    """Show a user to others."""
    return UserOut(
        id=found.id,
        first_name=found.first_name,
        last_name=found.last_name,
        credentials=UserCredentials(username=found.username),
    )


class NewUserCredentials(In, kw_only=True):
    """Name and password of a user to be created."""

    username: str | None = None
    secret: str | None = None


class NewUser(In, kw_only=True):
    """A user to be created."""

    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    credentials: NewUserCredentials | None = None
    status: str | None = None
    role: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    profile_picture: str | None = None


class UserPage(msgspec.Struct, kw_only=True):
    """A window of users."""

    limit: int
    offset: int
    total: int
    users: list[UserOut]


class Login(In, kw_only=True):
    """A username or email and the password. Upstream's CLI of 2024 said `identity` and `secret`."""

    username: str | None = None
    password: str | None = None
    identity: str | None = None
    secret: str | None = None


class TokenPair(Out, kw_only=True):
    """What a user shows from now on."""

    access_token: str
    refresh_token: str = ""
    access_type: str = ""


class SecretChange(In, kw_only=True):
    """The old password and the new one."""

    old_secret: str | None = None
    new_secret: str | None = None


class UserChange(In, kw_only=True):
    """New names or metadata of a user."""

    first_name: str | None = None
    last_name: str | None = None
    metadata: dict[str, Any] | None = None


class Username(In, kw_only=True):
    """A new username."""

    username: str | None = None


class Picture(In, kw_only=True):
    """A new profile picture's address."""

    profile_picture: str | None = None


class Email(In, kw_only=True):
    """An email address."""

    email: str | None = None


class RoleName(In, kw_only=True):
    """`user` or `admin`."""

    role: str | None = None


class Reset(In, kw_only=True):
    """A new password, twice. The token may come in the body, as the user interface sends it."""

    token: str | None = None
    password: str | None = None
    confirm_password: str | None = None


class Message(Out, kw_only=True):
    """A sentence."""

    msg: str = ""


class Recovery(msgspec.Struct, kw_only=True):
    """A token that sets one new password. *expires_in*: seconds."""

    token: str
    expires_in: int
