"""Roles, members and invitations: sharing a tenant, group, device or channel with other users."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from muster.core import access, events
from muster.core.access import Caller, record
from muster.core.actions import ACTIONS, BUILTIN_ROLE, IMPLIED
from muster.core.errors import Conflict, Forbidden, Malformed, NotFound
from muster.core.model import (
    NEVER,
    Channel,
    Device,
    Group,
    Invitation,
    Kind,
    Member,
    Role,
    RoleId,
    Status,
    TenantId,
    User,
    UserId,
)
from muster.core.ports import ANYWHERE, HeldBy, Is, OneOf, Order, Page, Tx, Window

NOUNS: dict[Kind, type[Group] | type[Device] | type[Channel]] = {
    Kind.GROUP: Group,
    Kind.DEVICE: Device,
    Kind.CHANNEL: Channel,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The entity whose roles are meant."""

    tenant_id: TenantId
    kind: Kind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleView:
    """A role and who holds it."""

    role: Role
    members: tuple[UserId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """The target, as far as its roles need it."""

    creator: str
    held: frozenset[str]
    """What the caller may do to the target."""

    def require_all(self, actions: Sequence[str]) -> None:
        """Raise Forbidden unless the caller may do all of it: nobody gives away more than she has."""
        if not self.held.issuperset(actions):
            raise Forbidden("a right you do not have yourself cannot be given")

    def shown(self, view: RoleView) -> RoleView:
        """Leave the members out for those who may not see them."""
        return view if "view_role_users" in self.held else replace(view, members=())


def enter(tx: Tx, caller: Caller, target: Target, action: str) -> Entered:
    """Check the right to see or change the roles of the target."""
    standing = access.enter(tx, caller, target.tenant_id)
    if target.kind is Kind.TENANT:
        standing.require(action)
        held = frozenset(a for a in standing.actions if standing.in_scope(a))
        return Entered(creator=standing.tenant.created_by, held=held)
    entity = tx.get(NOUNS[target.kind], target.tenant_id, target.id)
    access.require(tx, standing, target.kind, entity, action)
    if entity is None:
        raise NotFound
    return Entered(creator=entity.created_by, held=access.allowed(tx, standing, target.kind, entity))


def available_actions(tx: Tx, caller: Caller, target: Target) -> tuple[str, ...]:
    """Give what a role on that entity can allow."""
    enter(tx, caller, target, "read")
    return ACTIONS[target.kind]


def create_role(
    tx: Tx, caller: Caller, target: Target, *, name: str, actions: Sequence[str], members: Sequence[str]
) -> RoleView:
    """Create a role with its actions and members. Conflict when the entity has one of that name.

    Forbidden for an action the caller may not do: nobody gives away more than she has.
    """
    entered = enter(tx, caller, target, "manage_role")
    _check_actions(target.kind, actions)
    entered.require_all(actions)
    if members:
        entered.require_all(["add_role_users"])
    if name == BUILTIN_ROLE:
        raise Conflict("the role admin exists already")
    role = Role(
        id=RoleId(tx.new_id()),
        tenant_id=target.tenant_id,
        entity_kind=target.kind,
        entity_id=target.id,
        name=name,
        actions=tuple(dict.fromkeys(actions)),
        created_by=caller.id,
        created_at=tx.now,
    )
    tx.add(role)
    record(tx, caller, target.tenant_id, "role.create", [role.id], {"entity": target.id})
    return RoleView(role=role, members=join(tx, role, members))


def list_roles(tx: Tx, caller: Caller, target: Target, *, window: Window) -> Page[RoleView]:
    """List the roles of an entity; the role `admin` first."""
    entered = enter(tx, caller, target, "read")
    creator = entered.creator
    stored = tx.select(
        Role,
        target.tenant_id,
        Is("entity_kind", target.kind),
        Is("entity_id", target.id),
        order=Order("created_at"),
    )
    if not any(role.is_builtin for role in stored):
        stored.insert(0, _implied(target, creator))
    stored.sort(key=lambda role: not role.is_builtin)
    return Page([entered.shown(_view(tx, role, creator)) for role in window.of(stored)], len(stored))


def get_role(tx: Tx, caller: Caller, target: Target, role_id: str) -> RoleView:
    """Give a role of the entity; NotFound when it has none of that id."""
    entered = enter(tx, caller, target, "read")
    return entered.shown(_view(tx, find(tx, target, entered.creator, role_id), entered.creator))


def get_members(tx: Tx, caller: Caller, target: Target, role_id: str) -> RoleView:
    """Give a role of the entity to those who may see who holds it."""
    creator = enter(tx, caller, target, "view_role_users").creator
    return _view(tx, find(tx, target, creator, role_id), creator)


def rename_role(tx: Tx, caller: Caller, target: Target, role_id: str, name: str) -> RoleView:
    """Rename a role. The built-in one keeps its name."""
    creator = enter(tx, caller, target, "manage_role").creator
    role = find(tx, target, creator, role_id)
    if role.is_builtin:
        raise Forbidden("the built-in role keeps its name")
    if name == BUILTIN_ROLE:
        raise Conflict("the role admin exists already")
    changed = replace(role, name=name, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    record(tx, caller, target.tenant_id, "role.update", [role.id], {"entity": target.id})
    return _view(tx, changed, creator)


def delete_role(tx: Tx, caller: Caller, target: Target, role_id: str) -> None:
    """Delete a role and its memberships. The built-in one stays."""
    creator = enter(tx, caller, target, "manage_role").creator
    role = find(tx, target, creator, role_id)
    if role.is_builtin:
        raise Forbidden("the built-in role cannot be deleted")
    tx.remove(Member, target.tenant_id, role_id=role.id)
    tx.remove(Invitation, target.tenant_id, role_id=role.id)
    tx.remove(Role, target.tenant_id, id=role.id)
    record(tx, caller, target.tenant_id, "role.delete", [role.id], {"entity": target.id})


def add_actions(tx: Tx, caller: Caller, target: Target, role_id: str, actions: Sequence[str]) -> Role:
    """Let a role allow more. Forbidden for an action the caller may not do."""
    _check_actions(target.kind, actions)
    return _set_actions(tx, caller, target, role_id, add=actions, drop=())


def remove_actions(
    tx: Tx, caller: Caller, target: Target, role_id: str, actions: Sequence[str] | None
) -> Role:
    """Let a role allow less; None: nothing any more."""
    drop = ACTIONS[target.kind] if actions is None else actions
    return _set_actions(tx, caller, target, role_id, add=(), drop=drop)


def _set_actions(
    tx: Tx, caller: Caller, target: Target, role_id: str, *, add: Sequence[str], drop: Sequence[str]
) -> Role:
    entered = enter(tx, caller, target, "manage_role")
    role = find(tx, target, entered.creator, role_id)
    if role.is_builtin:
        raise Forbidden("the built-in role keeps its actions")
    entered.require_all(add)
    kept = tuple(a for a in dict.fromkeys((*role.actions, *add)) if a not in drop)
    changed = replace(role, actions=kept, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    record(tx, caller, target.tenant_id, "role.update", [role.id], {"entity": target.id})
    return changed


def add_members(tx: Tx, caller: Caller, target: Target, role_id: str, members: Sequence[str]) -> RoleView:
    """Give a role to users; NotFound when one of them is not known. Nothing happens to those who hold it.

    Forbidden when the role allows what the caller may not do.
    """
    entered = enter(tx, caller, target, "add_role_users")
    found = find(tx, target, entered.creator, role_id)
    entered.require_all(found.actions)
    role = _stored(tx, found, entered.creator)
    join(tx, role, members)
    record(tx, caller, target.tenant_id, "role.join", [role.id], {"users": list(members)})
    return _view(tx, role, entered.creator)


def remove_members(
    tx: Tx, caller: Caller, target: Target, role_id: str, members: Sequence[str] | None
) -> None:
    """Take a role from users; None: from all. A tenant's built-in role keeps at least one member."""
    creator = enter(tx, caller, target, "remove_role_users").creator
    role = _stored(tx, find(tx, target, creator, role_id), creator)
    chosen = {} if members is None else {"user_id": list(members)}
    tx.remove(Member, target.tenant_id, role_id=role.id, **chosen)
    if role.is_builtin and target.kind is Kind.TENANT and not members_of(tx, role):
        raise Conflict("a tenant keeps at least one admin")
    record(tx, caller, target.tenant_id, "role.leave", [role.id], {"users": members and list(members)})


def list_members(tx: Tx, caller: Caller, target: Target) -> list[tuple[UserId, list[Role]]]:
    """List the users who hold any role of the entity, each with the roles held."""
    creator = enter(tx, caller, target, "view_role_users").creator
    stored = tx.select(Role, target.tenant_id, Is("entity_kind", target.kind), Is("entity_id", target.id))
    if not any(role.is_builtin for role in stored):
        stored.insert(0, _implied(target, creator))
    held: dict[UserId, list[Role]] = {}
    for role in stored:
        for user_id in _view(tx, role, creator).members:
            held.setdefault(user_id, []).append(role)
    return sorted(held.items())


def leave_entity(tx: Tx, caller: Caller, target: Target, user_ids: Sequence[str]) -> None:
    """Take every role of the entity from these users; leaving a tenant takes every role inside it too.

    Users may leave by themselves. A tenant keeps at least one admin: Conflict.
    """
    creator = _enter_to_leave(tx, caller, target, user_ids)
    if target.kind is Kind.TENANT:
        tx.remove(Member, target.tenant_id, user_id=list(user_ids))
        _keep_an_admin(tx, target)
        for user_id in user_ids:
            events.user_changed(tx, user_id)
    else:
        if creator in user_ids and access.builtin_role(tx, target.tenant_id, target.kind, target.id) is None:
            _stored(tx, _implied(target, creator), creator)
        on_it = (Is("entity_kind", target.kind), Is("entity_id", target.id))
        role_ids = [role.id for role in tx.select(Role, target.tenant_id, *on_it)]
        tx.remove(Member, target.tenant_id, role_id=role_ids, user_id=list(user_ids))
    operation = f"{target.kind.value}.leave"
    record(tx, caller, target.tenant_id, operation, [target.id], {"users": list(user_ids)})


def _enter_to_leave(tx: Tx, caller: Caller, target: Target, user_ids: Sequence[str]) -> str:
    if set(user_ids) != {caller.id}:
        return enter(tx, caller, target, "remove_role_users").creator
    access.require_scope(caller, Kind.USER, "update", caller.id)
    standing = access.enter(tx, caller, target.tenant_id)
    if target.kind is Kind.TENANT:
        return standing.tenant.created_by
    entity = tx.get(NOUNS[target.kind], target.tenant_id, target.id)
    access.require(tx, standing, target.kind, entity)
    return entity.created_by if entity is not None else ""


def _keep_an_admin(tx: Tx, target: Target) -> None:
    admin = access.builtin_role(tx, target.tenant_id, Kind.TENANT, target.id)
    if admin is not None and not members_of(tx, admin):
        raise Conflict("a tenant keeps at least one admin")


# --- the role `admin` is implied until someone changes it ---------------------------------------------


def implied(tenant_id: TenantId, kind: Kind, entity_id: str, creator: str) -> Role:
    """Give the role `admin` that an entity has until one is stored; its creator is the one member."""
    return Role(
        id=RoleId(f"{IMPLIED}{entity_id}"),
        tenant_id=tenant_id,
        entity_kind=kind,
        entity_id=entity_id,
        name=BUILTIN_ROLE,
        actions=ACTIONS[kind],
        is_builtin=True,
        created_by=creator,
        created_at=NEVER,
    )


def _implied(target: Target, creator: str) -> Role:
    return implied(target.tenant_id, target.kind, target.id, creator)


def find(tx: Tx, target: Target, creator: str, role_id: str) -> Role:
    """Give a role of the target; the id of the implied one names it also when it is stored under another."""
    role = tx.get(Role, target.tenant_id, role_id)
    if role is not None and role.entity_kind is target.kind and role.entity_id == target.id:
        return role
    builtin = _implied(target, creator)
    if role_id == builtin.id and target.kind is not Kind.TENANT:
        return access.builtin_role(tx, target.tenant_id, target.kind, target.id) or builtin
    raise NotFound


def _stored(tx: Tx, role: Role, creator: str) -> Role:
    if not role.is_builtin or tx.get(Role, role.tenant_id, role.id) is not None:
        return role
    # Another tenant, or a channel here, may have an entity of that id: a role's own id is unique everywhere.
    role = replace(role, id=RoleId(tx.new_id()))
    tx.add(role)
    if tx.get(User, ANYWHERE, creator) is not None:
        tx.add(Member(tenant_id=role.tenant_id, role_id=role.id, user_id=UserId(creator)))
    return role


def members_of(tx: Tx, role: Role) -> tuple[UserId, ...]:
    found = tx.select(Member, role.tenant_id, Is("role_id", role.id), order=Order("user_id"))
    return tuple(member.user_id for member in found)


def _view(tx: Tx, role: Role, creator: str) -> RoleView:
    if (
        role.is_builtin
        and role.entity_kind is not Kind.TENANT
        and tx.get(Role, role.tenant_id, role.id) is None
    ):
        return RoleView(role=role, members=(UserId(creator),) if creator else ())
    return RoleView(role=role, members=members_of(tx, role))


def join(tx: Tx, role: Role, members: Sequence[str]) -> tuple[UserId, ...]:
    asked = list(dict.fromkeys(members))
    users = tx.select(User, ANYWHERE, OneOf("id", asked), Is("status", Status.ENABLED))
    if len(users) != len(asked):
        raise NotFound("one of the users is not known")
    held = set(members_of(tx, role))
    fresh = [UserId(u) for u in asked if u not in held]
    tx.add(*(Member(tenant_id=role.tenant_id, role_id=role.id, user_id=u) for u in fresh))
    return tuple(sorted(held.union(fresh)))


def _check_actions(kind: Kind, actions: Sequence[str]) -> None:
    unknown = [a for a in actions if a not in ACTIONS[kind]]
    if unknown:
        raise Malformed(f"no such action for a {kind.value}: {', '.join(unknown)}")


def is_member(tx: Tx, tenant_id: TenantId, user_id: str) -> bool:
    """Say whether the user holds any role in the tenant."""
    return bool(tx.select(Role, tenant_id, HeldBy(user_id), window=Window(limit=1)))
