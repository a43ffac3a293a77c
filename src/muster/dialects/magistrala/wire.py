"""JSON as Magistrala writes and reads it. Field order is the order of upstream's replies."""

from typing import Any

import msgspec

from muster.core import access
from muster.core.errors import Malformed
from muster.core.groups import Node
from muster.core.model import (
    NEVER,
    Channel,
    Device,
    Flow,
    Instant,
    Kind,
    Status,
    Tenant,
    User,
)
from muster.web.wire import rfc3339

NEVER_TEXT = rfc3339(NEVER)


class Out(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What goes out: a field that has its default value is left out."""


class In(msgspec.Struct, kw_only=True):
    """What comes in: unknown fields are ignored, as upstream does."""


STATUS = {Status.FROZEN: "freezed"}
"""Upstream's own spelling of one status."""


def status_text(status: Status) -> str:
    """Write a status."""
    return STATUS.get(status, status.value)


def status_of(text: str | None) -> Status:
    """Read the status an entity is to be created with; Malformed for any but enabled and disabled."""
    if text in (None, "", "enabled"):
        return Status.ENABLED
    if text == "disabled":
        return Status.DISABLED
    raise Malformed("invalid status")


def at(instant: Instant) -> str:
    """Write a time that may not have come yet; empty (left out) if so."""
    return rfc3339(instant) if instant else ""


# --- clients -------------------------------------------------------------------------------------------


class Credentials(Out, kw_only=True):
    """How a client proves who it is."""

    identity: str = ""
    secret: str = ""


class Client(Out, kw_only=True):
    """A device, as Magistrala shows it."""

    id: str
    name: str = ""
    tags: list[str] = []
    domain_id: str
    parent_group_id: str = ""
    credentials: Credentials
    metadata: dict[str, Any] = {}
    created_at: str
    updated_at: str
    updated_by: str = ""
    status: str
    connection_types: list[str] = []


def client(device: Device, *, shows_secret: bool = True, flow: Flow | None = None) -> Client:
    """Show a device."""
    secret = device.secret.reveal() if shows_secret and device.secret is not None else ""
    return Client(
        id=device.id,
        name=device.name,
        tags=list(device.tags),
        domain_id=device.tenant_id,
        parent_group_id=device.group_id or "",
        credentials=Credentials(identity=device.identity if shows_secret else "", secret=secret),
        metadata=dict(device.metadata),
        created_at=rfc3339(device.created_at),
        updated_at=rfc3339(device.updated_at),
        updated_by=device.updated_by,
        status=device.status.value,
        connection_types=connection_types(flow),
    )


def connection_types(flow: Flow | None) -> list[str]:
    """Write the kinds of a connection, capitalised as upstream does."""
    return (
        [] if flow is None else [str(f.name).capitalize() for f in (Flow.PUBLISH, Flow.SUBSCRIBE) if f & flow]
    )


def flow_of(types: list[str]) -> Flow:
    """Read the kinds of a connection, whatever the case; Malformed when there are none or others."""
    if not types:
        raise Malformed("missing connection type")
    flow = Flow(0)
    for name in types:
        try:
            flow |= {"publish": Flow.PUBLISH, "subscribe": Flow.SUBSCRIBE}[name.lower()]
        except KeyError:
            raise Malformed("invalid connection type") from None
    return flow


class NewCredentials(In, kw_only=True):
    """Credentials a client is created with."""

    identity: str | None = None
    secret: str | None = None


class NewClient(In, kw_only=True):
    """A client to be created."""

    id: str | None = None
    name: str | None = None
    tags: list[str] | None = None
    credentials: NewCredentials | None = None
    metadata: dict[str, Any] | None = None
    status: str | None = None
    parent_group_id: str | None = None


class ClientPage(msgspec.Struct, kw_only=True):
    """A window of clients."""

    limit: int
    offset: int
    total: int
    clients: list[Client]


class ClientsMade(msgspec.Struct, kw_only=True):
    """What a bulk creation answers: a page without a limit."""

    offset: int = 0
    total: int
    clients: list[Client]


# --- channels ------------------------------------------------------------------------------------------


class ChannelOut(Out, kw_only=True):
    """A channel, as Magistrala shows it: its status only when it is not enabled."""

    id: str
    name: str = ""
    tags: list[str] = []
    parent_group_id: str = ""
    domain_id: str
    metadata: dict[str, Any] = {}
    route: str = ""
    created_at: str
    updated_at: str
    updated_by: str = ""
    status: str = "enabled"
    connection_types: list[str] = []


def channel(found: Channel, *, flow: Flow | None = None) -> ChannelOut:
    """Show a channel."""
    return ChannelOut(
        id=found.id,
        name=found.name,
        tags=list(found.tags),
        parent_group_id=found.group_id or "",
        domain_id=found.tenant_id,
        metadata=dict(found.metadata),
        route=found.route or "",
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
        updated_by=found.updated_by,
        status=found.status.value,
        connection_types=connection_types(flow),
    )


class NewChannel(In, kw_only=True):
    """A channel to be created."""

    id: str | None = None
    name: str | None = None
    route: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    status: str | None = None
    parent_group_id: str | None = None


class ChannelPage(msgspec.Struct, kw_only=True):
    """A window of channels."""

    limit: int
    offset: int
    total: int
    channels: list[ChannelOut]


class ChannelsMade(msgspec.Struct, kw_only=True):
    """What a bulk creation answers: a page without a limit."""

    offset: int = 0
    total: int
    channels: list[ChannelOut]


class Connect(In, kw_only=True):
    """Which clients to connect to which channels, and how."""

    channel_ids: list[str] | None = None
    client_ids: list[str] | None = None
    types: list[str] | None = None


class ConnectClients(In, kw_only=True):
    """Which clients to connect to the channel of the path, and how."""

    client_ids: list[str] | None = None
    types: list[str] | None = None


# --- changes shared by several nouns ---------------------------------------------------------------------


class Change(In, kw_only=True):
    """A new name or new metadata; what is absent stays."""

    name: str | None = None
    metadata: dict[str, Any] | None = None


class Tags(In, kw_only=True):
    """New tags, in place of the old."""

    tags: list[str]


class NewSecret(In, kw_only=True):
    """A secret chosen by the operator."""

    secret: str | None = None


class Parent(In, kw_only=True):
    """The group to go into."""

    parent_group_id: str | None = None


# --- users -----------------------------------------------------------------------------------------------


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


# --- domains ---------------------------------------------------------------------------------------------


class Domain(Out, kw_only=True):
    """A tenant, as Magistrala shows it."""

    id: str
    name: str = ""
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    alias: str = ""
    status: str
    created_by: str = ""
    created_at: str
    updated_by: str = ""
    updated_at: str


def domain(tenant: Tenant) -> Domain:
    """Show a tenant."""
    return Domain(
        id=tenant.id,
        name=tenant.name,
        metadata=dict(tenant.metadata),
        tags=list(tenant.tags),
        alias=tenant.alias or "",
        status=status_text(tenant.status),
        created_by=tenant.created_by,
        created_at=rfc3339(tenant.created_at),
        updated_by=tenant.updated_by,
        updated_at=rfc3339(tenant.updated_at),
    )


class NewDomain(In, kw_only=True):
    """A domain to be created."""

    id: str | None = None
    name: str | None = None
    alias: str | None = None
    route: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    status: str | None = None


class DomainChange(In, kw_only=True):
    """What to change of a domain."""

    name: str | None = None
    alias: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None


class DomainPage(msgspec.Struct, kw_only=True):
    """A window of domains."""

    limit: int
    offset: int
    total: int
    domains: list[Domain]


# --- groups ----------------------------------------------------------------------------------------------


class GroupOut(Out, kw_only=True):
    """A group, where it hangs, and what hangs on it as far as asked."""

    id: str
    domain_id: str
    parent_id: str = ""
    name: str = ""
    description: str = ""
    metadata: dict[str, Any] = {}
    level: int = 0
    path: str = ""
    children: list["GroupOut"] = []
    tags: list[str] = []
    created_at: str
    updated_at: str
    updated_by: str = ""
    status: str


def group(node: Node) -> GroupOut:
    """Show a group."""
    found = node.group
    return GroupOut(
        id=found.id,
        domain_id=found.tenant_id,
        parent_id=found.parent_id or "",
        name=found.name,
        description=found.description,
        metadata=dict(found.metadata),
        level=len(node.path),
        path=".".join(node.path),
        children=[group(child) for child in node.children],
        tags=list(found.tags),
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
        updated_by=found.updated_by,
        status=found.status.value,
    )


# --- actions: the core's words and ours -------------------------------------------------------------------


def action_out(action: str) -> str:
    """Write an action: the core's device is Magistrala's client."""
    return action.replace("device", "client")


def action_in(action: str) -> str:
    """Read an action; groups under groups are `subgroup_…` in some of upstream's roles."""
    return action.replace("client", "device").removeprefix("sub")


def available_actions(kind: Kind) -> list[str]:
    """Write all actions a role on that kind of entity can allow."""
    return [action_out(a) for a in access.ACTIONS[kind]]
