"""Roles, members and invitations: sharing a tenant, group, device or channel with other users."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from muster.core import access, events
from muster.core.access import Caller, Standing, record
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
from muster.core.ports import ANYWHERE, Condition, HeldBy, Is, OneOf, Order, Page, Tx, Window

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


def _enter(tx: Tx, caller: Caller, target: Target, action: str) -> tuple[Standing, str]:
    """Check the right to see or change the roles of the target; give the standing and its creator."""
    standing = access.enter(tx, caller, target.tenant_id)
    if target.kind is Kind.TENANT:
        standing.require(action)
        return standing, standing.tenant.created_by
    entity = tx.get(NOUNS[target.kind], target.tenant_id, target.id)
    access.require(tx, standing, target.kind, entity, action)
    return standing, entity.created_by if entity is not None else ""


def available_actions(tx: Tx, caller: Caller, target_kind: Kind) -> tuple[str, ...]:
    """Give what a role on such an entity can allow."""
    return access.ACTIONS[target_kind]


def create_role(
    tx: Tx, caller: Caller, target: Target, *, name: str, actions: Sequence[str], members: Sequence[str]
) -> RoleView:
    """Create a role with its actions and members. Conflict when the entity has one of that name."""
    _enter(tx, caller, target, "manage_role")
    _check_actions(target.kind, actions)
    if name == access.BUILTIN_ROLE:
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
    return RoleView(role=role, members=_join(tx, role, members))


def list_roles(tx: Tx, caller: Caller, target: Target, window: Window) -> Page[RoleView]:
    """List the roles of an entity; the role `admin` first."""
    _, creator = _enter(tx, caller, target, "read")
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
    end = None if window.limit is None else window.offset + window.limit
    return Page([_view(tx, role, creator) for role in stored[window.offset : end]], len(stored))


def get_role(tx: Tx, caller: Caller, target: Target, role_id: str) -> RoleView:
    """Give a role of the entity; NotFound when it has none of that id."""
    _, creator = _enter(tx, caller, target, "read")
    return _view(tx, _find(tx, target, creator, role_id), creator)


def rename_role(tx: Tx, caller: Caller, target: Target, role_id: str, name: str) -> RoleView:
    """Rename a role. The built-in one keeps its name."""
    _, creator = _enter(tx, caller, target, "manage_role")
    role = _find(tx, target, creator, role_id)
    if role.is_builtin:
        raise Forbidden("the built-in role keeps its name")
    changed = replace(role, name=name, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    record(tx, caller, target.tenant_id, "role.update", [role.id], {"entity": target.id})
    return _view(tx, changed, creator)


def delete_role(tx: Tx, caller: Caller, target: Target, role_id: str) -> None:
    """Delete a role and its memberships. The built-in one stays."""
    _, creator = _enter(tx, caller, target, "manage_role")
    role = _find(tx, target, creator, role_id)
    if role.is_builtin:
        raise Forbidden("the built-in role cannot be deleted")
    tx.remove(Member, target.tenant_id, role_id=role.id)
    tx.remove(Invitation, target.tenant_id, role_id=role.id)
    tx.remove(Role, target.tenant_id, id=role.id)
    record(tx, caller, target.tenant_id, "role.delete", [role.id], {"entity": target.id})


def add_actions(tx: Tx, caller: Caller, target: Target, role_id: str, actions: Sequence[str]) -> Role:
    """Let a role allow more."""
    _check_actions(target.kind, actions)
    return _set_actions(tx, caller, target, role_id, add=actions, drop=())


def remove_actions(
    tx: Tx, caller: Caller, target: Target, role_id: str, actions: Sequence[str] | None
) -> Role:
    """Let a role allow less; None: nothing any more."""
    drop = access.ACTIONS[target.kind] if actions is None else actions
    return _set_actions(tx, caller, target, role_id, add=(), drop=drop)


def _set_actions(
    tx: Tx, caller: Caller, target: Target, role_id: str, *, add: Sequence[str], drop: Sequence[str]
) -> Role:
    _, creator = _enter(tx, caller, target, "manage_role")
    role = _find(tx, target, creator, role_id)
    if role.is_builtin:
        raise Forbidden("the built-in role keeps its actions")
    kept = tuple(a for a in dict.fromkeys((*role.actions, *add)) if a not in drop)
    changed = replace(role, actions=kept, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    record(tx, caller, target.tenant_id, "role.update", [role.id], {"entity": target.id})
    return changed


def add_members(tx: Tx, caller: Caller, target: Target, role_id: str, members: Sequence[str]) -> RoleView:
    """Give a role to users; NotFound when one of them is not known. Nothing happens to those who hold it."""
    _, creator = _enter(tx, caller, target, "add_role_users")
    role = _stored(tx, _find(tx, target, creator, role_id), creator)
    _join(tx, role, members)
    record(tx, caller, target.tenant_id, "role.join", [role.id], {"users": list(members)})
    return _view(tx, role, creator)


def remove_members(
    tx: Tx, caller: Caller, target: Target, role_id: str, members: Sequence[str] | None
) -> None:
    """Take a role from users; None: from all. A tenant's built-in role keeps at least one member."""
    _, creator = _enter(tx, caller, target, "remove_role_users")
    role = _stored(tx, _find(tx, target, creator, role_id), creator)
    chosen = {} if members is None else {"user_id": list(members)}
    tx.remove(Member, target.tenant_id, role_id=role.id, **chosen)
    if role.is_builtin and target.kind is Kind.TENANT and not _members(tx, role):
        raise Conflict("a tenant keeps at least one admin")
    record(tx, caller, target.tenant_id, "role.leave", [role.id], {"users": members and list(members)})


def list_members(tx: Tx, caller: Caller, target: Target) -> list[tuple[UserId, list[Role]]]:
    """List the users who hold any role of the entity, each with the roles held."""
    _, creator = _enter(tx, caller, target, "view_role_users")
    stored = tx.select(Role, target.tenant_id, Is("entity_kind", target.kind), Is("entity_id", target.id))
    if not any(role.is_builtin for role in stored):
        stored.insert(0, _implied(target, creator))
    held: dict[UserId, list[Role]] = {}
    for role in stored:
        for user_id in _view(tx, role, creator).members:
            held.setdefault(user_id, []).append(role)
    return sorted(held.items())


def leave_entity(tx: Tx, caller: Caller, target: Target, user_ids: Sequence[str]) -> None:
    """Take every role of the entity from these users; leaving a tenant takes every role inside it too."""
    _, creator = _enter(tx, caller, target, "remove_role_users")
    conditions: list[Condition] = []
    if target.kind is not Kind.TENANT:
        conditions = [Is("entity_kind", target.kind), Is("entity_id", target.id)]
        if creator in user_ids and access.builtin_role(tx, target.tenant_id, target.kind, target.id) is None:
            _stored(tx, _implied(target, creator), creator)
    role_ids = [role.id for role in tx.select(Role, target.tenant_id, *conditions)]
    tx.remove(Member, target.tenant_id, role_id=role_ids, user_id=list(user_ids))
    if target.kind is Kind.TENANT:
        _keep_an_admin(tx, target)
        for user_id in user_ids:
            events.user_changed(tx, user_id)
    operation = f"{target.kind.value}.leave"
    record(tx, caller, target.tenant_id, operation, [target.id], {"users": list(user_ids)})


def _keep_an_admin(tx: Tx, target: Target) -> None:
    admin = access.builtin_role(tx, target.tenant_id, Kind.TENANT, target.id)
    if admin is not None and not _members(tx, admin):
        raise Conflict("a tenant keeps at least one admin")


# --- the role `admin` is implied until someone changes it ---------------------------------------------


def _implied(target: Target, creator: str) -> Role:
    return Role(
        id=RoleId(f"admin-{target.id}"),
        tenant_id=target.tenant_id,
        entity_kind=target.kind,
        entity_id=target.id,
        name=access.BUILTIN_ROLE,
        actions=access.ACTIONS[target.kind],
        is_builtin=True,
        created_by=creator,
        created_at=NEVER,
    )


def _find(tx: Tx, target: Target, creator: str, role_id: str) -> Role:
    role = tx.get(Role, target.tenant_id, role_id)
    if role is not None and role.entity_kind is target.kind and role.entity_id == target.id:
        return role
    implied = _implied(target, creator)
    if role_id == implied.id and target.kind is not Kind.TENANT:
        return implied
    raise NotFound


def _stored(tx: Tx, role: Role, creator: str) -> Role:
    if not role.is_builtin or tx.get(Role, role.tenant_id, role.id) is not None:
        return role
    tx.add(role)
    if tx.get(User, ANYWHERE, creator) is not None:
        tx.add(Member(tenant_id=role.tenant_id, role_id=role.id, user_id=UserId(creator)))
    return role


def _members(tx: Tx, role: Role) -> tuple[UserId, ...]:
    found = tx.select(Member, role.tenant_id, Is("role_id", role.id), order=Order("user_id"))
    return tuple(member.user_id for member in found)


def _view(tx: Tx, role: Role, creator: str) -> RoleView:
    if (
        role.is_builtin
        and role.entity_kind is not Kind.TENANT
        and tx.get(Role, role.tenant_id, role.id) is None
    ):
        return RoleView(role=role, members=(UserId(creator),) if creator else ())
    return RoleView(role=role, members=_members(tx, role))


def _join(tx: Tx, role: Role, members: Sequence[str]) -> tuple[UserId, ...]:
    asked = list(dict.fromkeys(members))
    users = tx.select(User, ANYWHERE, OneOf("id", asked), Is("status", Status.ENABLED))
    if len(users) != len(asked):
        raise NotFound("one of the users is not known")
    held = set(_members(tx, role))
    fresh = [UserId(u) for u in asked if u not in held]
    tx.add(*(Member(tenant_id=role.tenant_id, role_id=role.id, user_id=u) for u in fresh))
    return tuple(sorted(held.union(fresh)))


def _check_actions(kind: Kind, actions: Sequence[str]) -> None:
    unknown = [a for a in actions if a not in access.ACTIONS[kind]]
    if unknown:
        raise Malformed(f"no such action for a {kind.value}: {', '.join(unknown)}")


# --- invitations ---------------------------------------------------------------------------------------


def invite(tx: Tx, caller: Caller, tenant_id: TenantId, *, user_id: str, role_id: str) -> Invitation:
    """Ask a user into a role of the tenant. Conflict when an invitation is pending or the user is in."""
    target = Target(tenant_id=tenant_id, kind=Kind.TENANT, id=tenant_id)
    _, creator = _enter(tx, caller, target, "add_role_users")
    role = _find(tx, target, creator, role_id)
    user = tx.get(User, ANYWHERE, user_id)
    if user is None or user.status is not Status.ENABLED:
        raise NotFound
    if user.id in _members(tx, role):
        raise Conflict("the user holds the role already")
    earlier = tx.find(Invitation, tenant_id, user_id=user_id)
    if earlier is not None and not (earlier.rejected_at or earlier.accepted_at):
        raise Conflict("the user is invited already")
    tx.remove(Invitation, tenant_id, user_id=user_id)
    invitation = Invitation(
        tenant_id=tenant_id, user_id=user.id, role_id=role.id, invited_by=caller.id, created_at=tx.now
    )
    tx.add(invitation)
    record(tx, caller, tenant_id, "invitation.create", [user_id], {"role": role.id})
    return invitation


def list_invitations(
    tx: Tx, caller: Caller, tenant_id: TenantId, *conditions: Condition, window: Window
) -> Page[tuple[Invitation, Role | None]]:
    """List a tenant's invitations; with ANYWHERE the caller's own."""
    if tenant_id == ANYWHERE:
        conditions = (Is("user_id", caller.id), *conditions)
    else:
        access.enter(tx, caller, tenant_id).require("view_role_users")
    page = tx.page(Invitation, tenant_id, *conditions, order=Order("created_at"), window=window)
    return Page([(i, tx.get(Role, i.tenant_id, i.role_id)) for i in page.items], page.total)


def get_invitation(
    tx: Tx, caller: Caller, tenant_id: TenantId, user_id: str
) -> tuple[Invitation, Role | None]:
    """Give the invitation of a user into a tenant, to the user and to those who may see members."""
    if user_id != caller.id:
        access.enter(tx, caller, tenant_id).require("view_role_users")
    found = tx.find(Invitation, tenant_id, user_id=user_id)
    if found is None:
        raise NotFound
    return found, tx.get(Role, tenant_id, found.role_id)


def answer_invitation(tx: Tx, caller: Caller, tenant_id: TenantId, *, is_accepted: bool) -> None:
    """Accept or reject the caller's invitation. Conflict when it was answered before."""
    found = tx.find(Invitation, tenant_id, user_id=caller.id)
    if found is None:
        raise NotFound
    if found.accepted_at:
        raise Conflict("invitation already accepted")
    if found.rejected_at:
        raise Conflict("invitation already rejected")
    if is_accepted:
        role = tx.get(Role, tenant_id, found.role_id)
        if role is None:
            raise NotFound
        _join(tx, role, [caller.id])
    at = (tx.now, NEVER) if is_accepted else (NEVER, tx.now)
    tx.change(replace(found, updated_at=tx.now, accepted_at=at[0], rejected_at=at[1]))
    operation = "invitation.accept" if is_accepted else "invitation.reject"
    record(tx, caller, tenant_id, operation, [caller.id])


def delete_invitation(tx: Tx, caller: Caller, tenant_id: TenantId, user_id: str) -> None:
    """Take an invitation back; the invited user may, and those who may invite."""
    if user_id != caller.id:
        access.enter(tx, caller, tenant_id).require("add_role_users")
    if not tx.remove(Invitation, tenant_id, user_id=user_id):
        raise NotFound
    record(tx, caller, tenant_id, "invitation.delete", [user_id])


def is_member(tx: Tx, tenant_id: TenantId, user_id: str) -> bool:
    """Say whether the user holds any role in the tenant."""
    return bool(tx.select(Role, tenant_id, HeldBy(user_id), window=Window(limit=1)))
