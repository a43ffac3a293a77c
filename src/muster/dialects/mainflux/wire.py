"""JSON as Mainflux writes and reads it. Field order is the order of upstream's replies."""

from typing import Any

import msgspec

from muster.core.model import Channel, Device, User
from muster.web.desk import Reply
from muster.web.reply import JSON

Metadata = dict[str, Any]


class Out(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What goes out: a field that has its default value is left out."""


class In(msgspec.Struct, kw_only=True):
    """What comes in: unknown fields are ignored, as upstream does."""


def empty(status: int = 200, **headers: str) -> Reply:
    """Answer without a body, but with its content type, as upstream does (seed). `_` in names means `-`."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=fields if status == 204 else {"Content-Type": JSON, **fields})


def superseded(by: str) -> str:
    """Say, for the header Warning-Deprecated, which endpoint takes the place of this one."""
    return f"This endpoint will be depreciated in v1.0.0. It will be replaced with the bulk endpoint {by}."


class Listed(Out, kw_only=True):
    """What every page of things and channels says of itself; the order only where it was asked for."""

    total: int
    offset: int
    limit: int
    order: str = ""
    direction: str = ""


# --- things --------------------------------------------------------------------------------------------


class Thing(Out, kw_only=True):
    """A device, as Mainflux shows it."""

    id: str
    name: str = ""
    key: str
    metadata: Metadata = {}


def thing(device: Device) -> Thing:
    """Show a device, its key with it."""
    key = device.secret.reveal() if device.secret is not None else ""
    return Thing(id=device.id, name=device.name, key=key, metadata=dict(device.metadata))


class NewThing(In, kw_only=True):
    """A thing to be created."""

    id: str | None = None
    name: str | None = None
    key: str | None = None
    metadata: Metadata | None = None


class Things(Out, kw_only=True):
    """What a bulk creation answers."""

    things: list[Thing]


class ThingPage(Listed, kw_only=True):
    """A window of things."""

    things: list[Thing]


class Search(In, kw_only=True):
    """Which things to find."""

    name: str | None = None
    metadata: Metadata | None = None
    offset: int = 0
    limit: int = 0
    order: str | None = None
    dir: str | None = None


class NewKey(In, kw_only=True):
    """Another key of a thing."""

    key: str | None = None


class Share(In, kw_only=True):
    """Whom to let do what to a thing."""

    user_ids: list[str] | None = None
    policies: list[str] | None = None


class Replacement(In, kw_only=True):
    """Name and metadata in place of the old ones; what is absent is gone."""

    name: str | None = None
    metadata: Metadata | None = None


# --- channels ------------------------------------------------------------------------------------------


class ChannelOut(Out, kw_only=True):
    """A channel, as Mainflux shows it."""

    id: str
    name: str = ""
    metadata: Metadata = {}


def channel(found: Channel) -> ChannelOut:
    """Show a channel."""
    return ChannelOut(id=found.id, name=found.name, metadata=dict(found.metadata))


class NewChannel(In, kw_only=True):
    """A channel to be created."""

    id: str | None = None
    name: str | None = None
    metadata: Metadata | None = None


class Channels(Out, kw_only=True):
    """What a bulk creation answers."""

    channels: list[ChannelOut]


class ChannelPage(Listed, kw_only=True):
    """A window of channels."""

    channels: list[ChannelOut]


class Connect(In, kw_only=True):
    """Which things to connect to which channels."""

    channel_ids: list[str] | None = None
    thing_ids: list[str] | None = None


# --- users ---------------------------------------------------------------------------------------------


class UserOut(Out, kw_only=True):
    """A user."""

    id: str
    email: str
    metadata: Metadata = {}


def user(found: User) -> UserOut:
    """Show a user."""
    return UserOut(id=found.id, email=found.email, metadata=dict(found.metadata))


class NewUser(In, kw_only=True):
    """A user to be created."""

    email: str | None = None
    password: str | None = None
    metadata: Metadata | None = None


class UserPage(msgspec.Struct, kw_only=True):
    """A window of users."""

    total: int
    offset: int
    limit: int
    users: list[UserOut]


class Login(In, kw_only=True):
    """An email and its password."""

    email: str | None = None
    password: str | None = None


class Token(Out, kw_only=True):
    """What a user shows from now on."""

    token: str


class UserChange(In, kw_only=True):
    """Metadata in place of the old."""

    metadata: Metadata | None = None


class PasswordChange(In, kw_only=True):
    """The old password and the new one."""

    old_password: str | None = None
    password: str | None = None


class Email(In, kw_only=True):
    """Whose password is lost."""

    email: str | None = None


class Reset(In, kw_only=True):
    """A new password, twice, with the token that was sent."""

    token: str | None = None
    password: str | None = None
    confirm_password: str | None = None


class Message(Out, kw_only=True):
    """A sentence."""

    msg: str
