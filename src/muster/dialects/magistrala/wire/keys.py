"""Keys, personal access tokens and their scopes as Magistrala writes and reads them."""

import uuid
from collections.abc import Sequence
from typing import Any

import msgspec

from muster.core.errors import Malformed
from muster.core.model import ApiKey, Json, Kind, Secret
from muster.dialects.magistrala.wire.common import In, Out, at
from muster.web.wire import rfc3339


class NewKey(In, kw_only=True):
    """A key to be issued. *type*: 0 access, 2 recovery, 3 API key. *duration*: seconds, of an API key."""

    type: int = 0
    duration: int = 0


class KeyIssued(Out, kw_only=True):
    """A key, with the value that is shown this once."""

    id: str = ""
    value: str
    issued_at: str
    expires_at: str = ""


class KeyOut(Out, kw_only=True):
    """A key, without its value."""

    id: str
    issuer_id: str
    subject: str
    type: int | msgspec.UnsetType = msgspec.UNSET
    issued_at: str
    expires_at: str = ""


def key(found: ApiKey) -> KeyOut:
    """Show an API key."""
    return KeyOut(
        id=found.id,
        issuer_id=found.user_id,
        subject=found.user_id,
        type=found.kind,
        issued_at=rfc3339(found.issued_at),
        expires_at=at(found.expires_at),
    )


# --- scopes ----------------------------------------------------------------------------------------------

_KINDS = {
    "user": Kind.USER,
    "domain": Kind.TENANT,
    "group": Kind.GROUP,
    "client": Kind.DEVICE,
    "thing": Kind.DEVICE,
    "channel": Kind.CHANNEL,
    "message": Kind.CHANNEL,
    "domain_management": Kind.TENANT,
}
_TYPES = {
    Kind.USER: "users",
    Kind.TENANT: "domains",
    Kind.GROUP: "groups",
    Kind.DEVICE: "clients",
    Kind.CHANNEL: "channels",
}
_VERBS = {
    "create": "create",
    "read": "read",
    "view": "read",
    "list": "read",
    "update": "update",
    "delete": "delete",
    "share": "update",
    "unshare": "update",
    "publish": "publish",
    "subscribe": "subscribe",
    "*": "*",
}


class ScopeEntry(In, kw_only=True):
    """What a token is good for: an operation on entities of a kind, in one domain or anywhere.

    Upstream's first form says `platform_entity_type`, `optional_domain_entity_type` and `entity_ids`.
    """

    optional_domain_id: str | None = None
    entity_type: str | None = None
    entity_id: str | None = None
    operation: str | None = None
    platform_entity_type: str | None = None
    optional_domain_entity_type: str | None = None
    entity_ids: list[str] | None = None


class ScopeChange(ScopeEntry, kw_only=True):
    """One entry, or several; to be removed, also by their ids."""

    scopes: list[ScopeEntry] | None = None
    scopes_id: list[str] | None = None


class ScopeOut(Out, kw_only=True):
    """An entry of a token's scope."""

    id: str
    pat_id: str
    optional_domain_id: str = ""
    entity_type: str
    entity_id: str
    operation: str


def scope_in(entries: Sequence[ScopeEntry]) -> list[Json]:
    """Read entries as the core keeps them; Malformed for a kind or an operation we do not know."""
    return [each for entry in entries for each in _entry_in(entry)]


def _entry_in(entry: ScopeEntry) -> list[Json]:
    named = entry.optional_domain_entity_type or entry.entity_type or entry.platform_entity_type or ""
    kind = _KINDS.get(named.removesuffix("s"))
    if kind is None:
        raise Malformed("invalid entity type")
    verb = _VERBS.get(entry.operation or "")
    if verb is None:
        raise Malformed("invalid operation")
    tenant = "*" if kind is Kind.USER else entry.optional_domain_id or "*"
    ids = entry.entity_ids or [entry.entity_id or "*"]
    return [{"tenant": tenant, "kind": kind.value, "verb": verb, "id": each or "*"} for each in ids]


def scope_changed(change: ScopeChange) -> list[Json]:
    """Read the entries of a change: those listed, else the one it is itself."""
    if change.scopes is not None:
        return scope_in(change.scopes)
    return [] if change.scopes_id is not None else scope_in([change])


def scope_id(key_id: str, entry: Json) -> str:
    """Give the id of an entry: made of what it says, so the same entry has the same id."""
    said = "\n".join([key_id, entry["tenant"], entry["kind"], entry["verb"], entry["id"]])
    return str(uuid.uuid5(uuid.NAMESPACE_OID, said))


def scope(found: ApiKey) -> list[ScopeOut]:
    """Show what a token is good for."""
    return [
        ScopeOut(
            id=scope_id(found.id, entry),
            pat_id=found.id,
            optional_domain_id="" if entry["tenant"] == "*" else entry["tenant"],
            entity_type=_TYPES[Kind(entry["kind"])],
            entity_id=entry["id"],
            operation=entry["verb"],
        )
        for entry in found.scope or ()
    ]


# --- personal access tokens ------------------------------------------------------------------------------


class NewPat(In, kw_only=True):
    """A token to be made. *duration* as Go writes it: `720h`; 30 days without one."""

    name: str | None = None
    description: str | None = None
    duration: str | None = None
    scope: list[ScopeEntry] | None = None


class PatName(In, kw_only=True):
    """A token's new name."""

    name: str | None = None


class PatDescription(In, kw_only=True):
    """A token's new description."""

    description: str | None = None


class PatLifetime(In, kw_only=True):
    """How long the new secret is good for, as Go writes it: `720h`; 30 days without one."""

    duration: str | None = None


class PatOut(Out, kw_only=True):
    """A personal access token; its secret is shown when it is made, and not again."""

    id: str
    user: str
    user_id: str
    name: str
    description: str = ""
    secret: str = ""
    scope: list[ScopeOut] | msgspec.UnsetType = msgspec.UNSET
    issued_at: str
    expires_at: str
    updated_at: str = ""
    revoked: bool | msgspec.UnsetType = msgspec.UNSET
    revoked_at: str = ""


def pat(found: ApiKey, secret: Secret | None = None) -> PatOut:
    """Show a token; with its secret when it was just made."""
    return PatOut(
        id=found.id,
        user=found.user_id,
        user_id=found.user_id,
        name=found.name,
        description=found.description,
        secret=secret.reveal() if secret is not None else "",
        scope=scope(found),
        issued_at=rfc3339(found.issued_at),
        expires_at=rfc3339(found.expires_at),
        updated_at=at(found.updated_at),
        revoked=bool(found.revoked_at),
        revoked_at=at(found.revoked_at),
    )


class PatPage(msgspec.Struct, kw_only=True):
    """A window of tokens."""

    total: int
    offset: int
    limit: int
    pats: list[PatOut]


class ScopePage(msgspec.Struct, kw_only=True):
    """A window of a token's scope."""

    total: int
    offset: int
    limit: int
    scopes: list[ScopeOut]


# --- the journal -----------------------------------------------------------------------------------------


class JournalOut(Out, kw_only=True):
    """Who did what to which entity, when."""

    operation: str
    occurred_at: str
    attributes: dict[str, Any] = {}


class JournalPage(msgspec.Struct, kw_only=True):
    """A window of the journal."""

    total: int
    offset: int
    limit: int
    journals: list[JournalOut]
