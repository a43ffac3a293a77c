"""Who are you, and may you: one function decides by the table in actions.py."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Protocol

from muster.core.actions import ACTIONS, BUILTIN_ROLE, GROUP_ACTIONS, INSIDE, TENANT_ACTIONS
from muster.core.errors import Forbidden, NotFound, TenantClosed, Unauthenticated
from muster.core.model import (
    ApiKey,
    Group,
    GroupId,
    JournalEntry,
    Json,
    Kind,
    Role,
    Status,
    Tenant,
    TenantId,
    User,
    UserId,
)
from muster.core.ports import ANYWHERE, Condition, HeldBy, Is, OneOf, Tx, VisibleTo, Window


class Entity(Protocol):
    """What rights are asked for: a group, device or channel."""

    @property
    def id(self) -> str:
        """Its identifier."""

    @property
    def created_by(self) -> str:
        """Who made it."""


# --- who are you ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class UserToken:
    """A verified token says who: it holds as long as the user's epoch is the same."""

    user_id: UserId
    epoch: int


@dataclass(frozen=True, slots=True)
class KeySecret:
    """An API key or personal access token, as sent."""

    plain: str


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A user whose password was just verified, or whom the settings name."""

    user_id: UserId


Evidence = UserToken | KeySecret | KnownUser


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever asks, after authentication."""

    user: User
    key: ApiKey | None = None

    @property
    def id(self) -> UserId:
        """The user's id."""
        return self.user.id

    @property
    def is_admin(self) -> bool:
        """Whether the whole installation is open to the caller; never through a scoped key."""
        return self.user.is_admin and (self.key is None or self.key.scope is None)


KEY_DIGEST = "api-key"


def authenticate(tx: Tx, evidence: Evidence) -> Caller:
    """Turn evidence into a caller, or raise Unauthenticated; disabled users and ended keys are nobody."""
    if isinstance(evidence, KeySecret):
        return _by_key(tx, evidence.plain)
    user = tx.get(User, ANYWHERE, evidence.user_id)
    if user is None or user.status is not Status.ENABLED:
        raise Unauthenticated
    if isinstance(evidence, UserToken) and user.epoch != evidence.epoch:
        raise Unauthenticated
    return Caller(user=user)


def _by_key(tx: Tx, plain: str) -> Caller:
    digests = tx.digests(KEY_DIGEST, plain)
    found = (tx.find(ApiKey, ANYWHERE, digest=digest) for digest in digests)
    key = next((each for each in found if each is not None), None)
    if key is None or key.revoked_at or (key.expires_at and key.expires_at <= tx.now):
        raise Unauthenticated
    user = tx.get(User, ANYWHERE, key.user_id)
    if user is None or user.status is not Status.ENABLED:
        raise Unauthenticated
    return Caller(user=user, key=key)


# --- may you -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the caller may do in one tenant."""

    caller: Caller
    tenant: Tenant
    actions: frozenset[str]
    """What the caller's roles on the tenant itself allow, before the scope of a token."""

    def allows(self, action: str, entity_id: str = "") -> bool:
        """Say whether a role on the tenant itself allows it, and the token's scope too."""
        return action in self.actions and self.in_scope(action, entity_id)

    def in_scope(self, action: str, entity_id: str = "") -> bool:
        """Say whether the token the caller used is good for the action; without a scope it always is."""
        key = self.caller.key
        if key is None or key.scope is None:
            return True
        return any(_covers(entry, self.tenant.id, action, entity_id) for entry in key.scope)

    def require(self, *actions: str) -> None:
        """Raise Forbidden unless roles on the tenant itself allow all *actions*."""
        if not all(self.allows(action) for action in actions):
            raise Forbidden

    def visible(self, kind: Kind) -> list[Condition]:
        """Give the conditions that leave of a list of that kind what the caller may read."""
        action = f"{kind.value}_read"
        conditions: list[Condition] = []
        if action not in self.actions:
            conditions.append(VisibleTo(self.caller.id, ("read", action)))
        if not self.in_scope(action):
            conditions.append(OneOf("id", self._scoped_ids(action)))
        return conditions

    def _scoped_ids(self, action: str) -> list[str]:
        key = self.caller.key
        scope = key.scope if key is not None else []
        return [e["id"] for e in scope if _covers(e, self.tenant.id, action, e["id"])]


_ALL = frozenset(TENANT_ACTIONS)


def enter(tx: Tx, caller: Caller, tenant_id: TenantId) -> Standing:
    """Let the caller into the tenant, or raise TenantClosed: unknown, foreign and closed look the same.

    A disabled tenant lets in whoever may enable it, a frozen one the installation's admins only.
    """
    tenant = tx.get(Tenant, ANYWHERE, tenant_id)
    if tenant is None or tenant.status is Status.DELETED:
        raise TenantClosed
    if caller.is_admin:
        return Standing(caller=caller, tenant=tenant, actions=_ALL)
    roles = tx.select(
        Role, tenant_id, HeldBy(caller.id), Is("entity_kind", Kind.TENANT), Is("entity_id", tenant_id)
    )
    actions = _actions(tuple(role.actions for role in roles))
    if not roles and not tx.select(Role, tenant_id, HeldBy(caller.id), window=Window(limit=1)):
        raise TenantClosed
    if tenant.status is not Status.ENABLED and not (tenant.status is Status.DISABLED and "enable" in actions):
        raise TenantClosed
    return Standing(caller=caller, tenant=tenant, actions=actions)


@lru_cache(maxsize=1024)
def _actions(held: tuple[tuple[str, ...], ...]) -> frozenset[str]:
    return frozenset(chain.from_iterable(held))


def require(tx: Tx, standing: Standing, kind: Kind, entity: Entity | None, *actions: str) -> None:
    """Raise unless the caller may do all *actions* to the entity.

    NotFound when the caller may not even know of it (so that unknown, foreign and hidden look alike),
    Forbidden when it may be read but not this.
    """
    if entity is None:
        raise NotFound
    held = allowed(tx, standing, kind, entity)
    if all(action in held for action in actions):
        return
    if "read" in held:
        raise Forbidden
    raise NotFound


def allowed(tx: Tx, standing: Standing, kind: Kind, entity: Entity) -> frozenset[str]:
    """Give the actions the caller may do to this entity: by its tenant, itself, and the groups above it."""
    names = _NAMES[kind]
    found = _inside(kind, standing.actions)
    if not found >= names:
        found = found.union(_own(tx, standing, kind, entity), _from_above(tx, standing, kind, entity))
    return _scoped(standing, kind, entity.id, found & names)


_NAMES = {kind: frozenset(names) for kind, names in ACTIONS.items()}
_DOWNWARD = frozenset(INSIDE)


@lru_cache(maxsize=1024)
def _inside(kind: Kind, actions: frozenset[str]) -> frozenset[str]:
    """Give what *actions* of a role on a tenant or group allow to do to an entity of that kind inside it."""
    prefix = f"{kind.value}_"
    found = {action.removeprefix(prefix) for action in actions if action.startswith(prefix)}
    if kind is Kind.GROUP:
        found |= actions & _DOWNWARD  # what holds in a group holds in the groups below it
    return frozenset(found)


def _own(tx: Tx, standing: Standing, kind: Kind, entity: Entity) -> Iterator[str]:
    if _is_implied_admin(tx, standing, kind, entity):
        yield from ACTIONS[kind]
    on_it = (Is("entity_kind", kind), Is("entity_id", entity.id))
    for role in tx.select(Role, standing.tenant.id, HeldBy(standing.caller.id), *on_it):
        yield from role.actions


def _from_above(tx: Tx, standing: Standing, kind: Kind, entity: Entity) -> Iterator[str]:
    groups = list(_groups_above(tx, standing.tenant.id, kind, entity))
    if not groups:
        return
    on_them = (Is("entity_kind", Kind.GROUP), OneOf("entity_id", [group.id for group in groups]))
    held = {
        tuple(r.actions) for r in tx.select(Role, standing.tenant.id, HeldBy(standing.caller.id), *on_them)
    }
    if any(_is_implied_admin(tx, standing, Kind.GROUP, group) for group in groups):
        held.add(GROUP_ACTIONS)
    for actions in held:
        yield from _inside(kind, frozenset(actions))


def _is_implied_admin(tx: Tx, standing: Standing, kind: Kind, entity: Entity) -> bool:
    if entity.created_by != standing.caller.id:
        return False
    return builtin_role(tx, standing.tenant.id, kind, entity.id) is None


def _scoped(standing: Standing, kind: Kind, entity_id: str, names: frozenset[str]) -> frozenset[str]:
    key = standing.caller.key
    if key is None or key.scope is None:
        return names
    return frozenset(name for name in names if standing.in_scope(_full(kind, name), entity_id))


def _full(kind: Kind, name: str) -> str:
    """Give the name an action on such an entity has in a role on the tenant."""
    return name if kind is Kind.GROUP and name in _DOWNWARD else f"{kind.value}_{name}"


def builtin_role(tx: Tx, tenant_id: TenantId, kind: Kind, entity_id: str) -> Role | None:
    """Give the entity's stored role `admin`. Until someone changes it, it is implied and not stored."""
    found = tx.find(Role, tenant_id, entity_kind=kind, entity_id=entity_id, name=BUILTIN_ROLE)
    return found if found is not None and found.is_builtin else None


def _groups_above(tx: Tx, tenant_id: TenantId, kind: Kind, entity: Entity) -> Iterator[Group]:
    parent: GroupId | None = (
        getattr(entity, "parent_id", None) if kind is Kind.GROUP else getattr(entity, "group_id", None)
    )
    seen: set[str] = set()
    while parent is not None and parent not in seen:
        seen.add(parent)
        group = tx.get(Group, tenant_id, parent)
        if group is None:
            return
        yield group
        parent = group.parent_id


# --- scopes of personal access tokens --------------------------------------------------------------

SCOPE_VERBS = ("create", "read", "update", "delete", "publish", "subscribe")
_KINDS = ("device_", "channel_", "group_")


def _covers(entry: Json, tenant_id: TenantId, action: str, entity_id: str) -> bool:
    """Say whether one entry of a scope, {tenant, kind, verb, id}, covers the action; `*` stands for any."""
    kind, _, verb = action.partition("_") if action.startswith(_KINDS) else (Kind.TENANT.value, "", action)
    if kind == Kind.TENANT:
        entity_id = tenant_id
    return entry["tenant"] in ("*", tenant_id) and _is_meant(entry, kind, verb, entity_id)


def _is_meant(entry: Json, kind: str, verb: str, entity_id: str) -> bool:
    asked = verb if verb in SCOPE_VERBS else "update"
    return entry["kind"] == kind and entry["verb"] in ("*", asked) and entry["id"] in ("*", entity_id)


def require_scope(caller: Caller, kind: Kind, verb: str, entity_id: str = "") -> None:
    """Raise Forbidden when the key the caller used is limited and not good for this, outside of tenants."""
    key = caller.key
    if key is None or key.scope is None:
        return
    if not any(entry["tenant"] == "*" and _is_meant(entry, kind, verb, entity_id) for entry in key.scope):
        raise Forbidden


def tenants_in_scope(caller: Caller) -> list[Condition]:
    """Give the conditions that leave of a list of tenants what the caller's key may read."""
    key = caller.key
    if key is None or key.scope is None:
        return []
    good = [e for e in key.scope if e["kind"] == Kind.TENANT and e["verb"] in ("*", "read")]
    meant = {_tenant_meant(entry) for entry in good}
    return [] if "*" in meant else [OneOf("id", sorted(meant))]


def _tenant_meant(entry: Json) -> str:
    tenant: str = entry["tenant"]
    entity: str = entry["id"]
    if entity == "*":
        return tenant
    return entity if tenant in ("*", entity) else ""


# --- the journal -----------------------------------------------------------------------------------


def record(
    tx: Tx,
    caller: Caller | str,
    tenant_id: TenantId,
    operation: str,
    ids: Iterable[str],
    details: Json = None,
) -> None:
    """Write in the journal who did it; *operation* is `<kind>.<verb>`. One entry for each id."""
    tx.add(*entries(tx, caller, tenant_id, operation, ids, details))


def entries(
    tx: Tx,
    caller: Caller | str,
    tenant_id: TenantId,
    operation: str,
    ids: Iterable[str],
    details: Json = None,
) -> list[JournalEntry]:
    """Give what record would write, to be added together with what it is about."""
    actor = caller if isinstance(caller, str) else caller.id
    kind = Kind(operation.partition(".")[0])
    return [
        JournalEntry(
            id=tx.new_id(),
            tenant_id=tenant_id,
            at=tx.now,
            actor=actor,
            operation=operation,
            entity_kind=kind,
            entity_id=entity_id,
            details=details,
        )
        for entity_id in ids
    ]
