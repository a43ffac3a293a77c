"""The nouns. Frozen values, one word per concept; a dialect's words never come here."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntFlag, StrEnum
from typing import Any, NewType

from muster.core.quick import quick

UserId = NewType("UserId", str)
TenantId = NewType("TenantId", str)
GroupId = NewType("GroupId", str)
DeviceId = NewType("DeviceId", str)
ChannelId = NewType("ChannelId", str)
RoleId = NewType("RoleId", str)
KeyId = NewType("KeyId", str)
Instant = NewType("Instant", int)
"""Microseconds since 1970-01-01 UTC; 0 means it has not happened."""
NEVER = Instant(0)

Json = Any
"""A JSON value: dict, list, str, int, float, bool or None."""
Metadata = Mapping[str, Json]
NOTHING: Metadata = {}


class Secret:
    """A plain secret that does not show itself in logs, errors or tracebacks."""

    __slots__ = ("_plain",)

    def __init__(self, plain: str) -> None:
        self._plain = plain

    def reveal(self) -> str:
        """Give the plain value; for the one who may see it."""
        return self._plain

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        return isinstance(other, Secret) and hmac.compare_digest(self._plain.encode(), other._plain.encode())

    def __hash__(self) -> int:
        return hash(self._plain)

    def __repr__(self) -> str:
        return "Secret(…)"


class Status(StrEnum):
    """Whether something takes part. Deleted rows are kept only where a dialect can show them."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    FROZEN = "frozen"
    DELETED = "deleted"


class Kind(StrEnum):
    """What an identifier names; used by roles, journal and access."""

    USER = "user"
    TENANT = "tenant"
    GROUP = "group"
    DEVICE = "device"
    CHANNEL = "channel"
    BOOTSTRAP = "bootstrap"
    MAPPING = "mapping"
    KEY = "key"
    ROLE = "role"
    INVITATION = "invitation"
    CERTIFICATE = "certificate"
    CREDENTIAL = "credential"


class Flow(IntFlag):
    """The kinds of a connection: what a device may do on a channel."""

    PUBLISH = 1
    SUBSCRIBE = 2
    BOTH = 3


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person or program that sets things up. *password* is an argon2id verifier, never the password."""

    id: UserId
    username: str
    email: str
    password: str
    first_name: str = ""
    last_name: str = ""
    is_admin: bool = False
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    picture: str = ""
    personal_tenant: TenantId
    epoch: int = 0
    """Counts up when every token of the user must end: password change, disable."""
    created_at: Instant
    updated_at: Instant = NEVER
    updated_by: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """The owner of devices and channels; nothing of one tenant is visible to another."""

    id: TenantId
    name: str = ""
    alias: str | None = None
    """Another name for it, unique in the installation."""
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    is_personal: bool = False
    max_devices: int = -1
    """How many devices it may hold; -1: any number."""
    extensions: Metadata = field(default_factory=dict)
    """What a dialect keeps with a tenant that means nothing to the core, under the dialect's name."""
    revision: int = 0
    """Counts the changes; optimistic concurrency compares it."""
    created_by: str = ""
    created_at: Instant
    updated_at: Instant = NEVER
    updated_by: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A node in a tenant's tree of groups; holds devices, channels and groups."""

    id: GroupId
    tenant_id: TenantId
    parent_id: GroupId | None = None
    name: str = ""
    description: str = ""
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    created_by: str = ""
    created_at: Instant
    updated_at: Instant = NEVER
    updated_by: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Something in the field that speaks for itself, or, as a gateway, for others."""

    id: DeviceId
    tenant_id: TenantId
    name: str = ""
    identity: str = ""
    """A second name that a dialect lets the operator give it; not used to log in."""
    secret: Secret | None = None
    """Unique in the tenant; None: the device logs in with credentials or certificates only."""
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    group_id: GroupId | None = None
    mapping_id: str | None = None
    """The external id of the mapping that made it."""
    via: tuple[str, ...] = ()
    """Gateways that may speak for it."""
    extensions: Metadata = field(default_factory=dict)
    revision: int = 0
    created_by: str = ""
    created_at: Instant
    updated_at: Instant = NEVER
    updated_by: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """Where devices meet. The id is unique in the installation, because a topic names no tenant."""

    id: ChannelId
    tenant_id: TenantId
    name: str = ""
    route: str | None = None
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    group_id: GroupId | None = None
    mapping_id: str | None = None
    created_by: str = ""
    created_at: Instant
    updated_at: Instant = NEVER
    updated_by: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a device may do on a channel of its tenant."""

    tenant_id: TenantId
    channel_id: ChannelId
    device_id: DeviceId
    flow: Flow


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A named set of rights on one entity (a tenant, group, device or channel), held by its members."""

    id: RoleId
    tenant_id: TenantId
    entity_kind: Kind
    entity_id: str
    name: str
    actions: tuple[str, ...] = ()
    is_builtin: bool = False
    """The role `admin` that comes with the entity: all its actions, its creator the first member."""
    created_by: str = ""
    created_at: Instant
    updated_at: Instant = NEVER
    updated_by: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A user who holds a role."""

    tenant_id: TenantId
    role_id: RoleId
    user_id: UserId


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A user is asked into a tenant's role."""

    tenant_id: TenantId
    user_id: UserId
    role_id: RoleId
    invited_by: UserId
    created_at: Instant
    updated_at: Instant = NEVER
    accepted_at: Instant = NEVER
    rejected_at: Instant = NEVER


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A long-lived secret a user gave to a program. Only its keyed hash is stored."""

    id: KeyId
    user_id: UserId
    digest: bytes
    name: str = ""
    description: str = ""
    is_personal: bool = False
    """A personal access token: named, scoped, revocable; else an API key."""
    scope: Json = None
    """None: everything its user may do. Else the entries it is limited to."""
    kind: int = 0
    """The number the dialect that made it uses for its type."""
    issued_at: Instant
    expires_at: Instant = NEVER
    updated_at: Instant = NEVER
    last_used_at: Instant = NEVER
    revoked_at: Instant = NEVER


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapConfig:
    """What a device fetches with its external id and key before it knows anything else."""

    tenant_id: TenantId
    device_id: DeviceId
    external_id: str
    external_key: Secret
    name: str = ""
    content: str = ""
    channels: tuple[ChannelId, ...] = ()
    """In the order the device must see them."""
    client_cert: str = ""
    client_key: Secret | None = None
    ca_cert: str = ""
    created_by: str = ""
    created_at: Instant
    updated_at: Instant = NEVER


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionRecord:
    """That one call made a gateway's whole set-up, and what it answered."""

    tenant_id: TenantId
    external_id: str
    request_digest: bytes
    """Of name and layout: the same id and key with another of these is a conflict."""
    device_ids: tuple[DeviceId, ...]
    channel_ids: tuple[ChannelId, ...]
    answer: Secret | None
    """The answer as JSON of the core; None: something it shows has changed, build it afresh."""
    created_by: str = ""
    created_at: Instant


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """Who did what to which entity, when. Written in the transaction that did it, never changed."""

    id: str
    tenant_id: TenantId
    at: Instant
    actor: str
    """A user's id, or `device:<id>`, or `muster` for what the system does by itself."""
    operation: str
    """`<kind>.<verb>`, such as `device.create`."""
    entity_kind: Kind
    entity_id: str
    details: Json = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """The answer to a request that carried an idempotency key; kept 24 hours."""

    id: str
    """A digest of caller, method, path and key."""
    body_digest: bytes
    status: int
    headers: Metadata
    body: Secret
    created_at: Instant


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class MasterKey:
    """A master key that sealed something here once. Its hash key stays when it goes, sealed under another."""

    id: str
    hash_key: Secret
    """Base64; by it is found what was hashed under it and kept nowhere. It opens nothing."""
    created_at: Instant
    retired_at: Instant = NEVER
    """Since then nothing is sealed with it."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that must leave the database after the commit, at least once, in order per *key*."""

    topic: str
    tenant_id: TenantId
    key: str
    """What the order is kept for: a device id, mostly."""
    payload: Json
    created_at: Instant
    id: int = 0
    """Set by the store."""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """When a device was last seen connecting and disconnecting, how and from where."""

    tenant_id: TenantId
    device_id: DeviceId
    connected_at: Instant = NEVER
    disconnected_at: Instant = NEVER
    protocol: str = ""
    source: str = ""


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIdClaim:
    """An MQTT client id belongs to the device that first used it."""

    id: str
    tenant_id: TenantId
    device_id: DeviceId
    created_at: Instant
