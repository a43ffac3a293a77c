"""Invitations: users are asked into a role of a tenant, and answer."""

from dataclasses import replace

from muster.core import access
from muster.core.access import Caller, record
from muster.core.errors import Conflict, NotFound
from muster.core.model import NEVER, Invitation, Kind, Role, Status, Tenant, TenantId, User
from muster.core.ports import ANYWHERE, Condition, Is, Order, Page, Tx, Window
from muster.core.roles import Target, enter, find, join, members_of


class AlreadyAccepted(Conflict):
    """The invitation was accepted before."""


class AlreadyRejected(Conflict):
    """The invitation was rejected before."""


def invite(tx: Tx, caller: Caller, tenant_id: TenantId, *, user_id: str, role_id: str) -> Invitation:
    """Ask a user into a role of the tenant. Conflict when an invitation is pending or the user is in.

    Forbidden when the role allows what the caller may not do.
    """
    target = Target(tenant_id=tenant_id, kind=Kind.TENANT, id=tenant_id)
    entered = enter(tx, caller, target, "add_role_users")
    role = find(tx, target, entered.creator, role_id)
    entered.require_all(role.actions)
    user = tx.get(User, ANYWHERE, user_id)
    if user is None or user.status is not Status.ENABLED:
        raise NotFound
    if user.id in members_of(tx, role):
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
        access.require_scope(caller, Kind.USER, "read", caller.id)
        conditions = (Is("user_id", caller.id), *conditions)
    else:
        access.enter(tx, caller, tenant_id).require("view_role_users")
    page = tx.page(Invitation, tenant_id, *conditions, order=Order("created_at"), window=window)
    return Page([(i, tx.get(Role, i.tenant_id, i.role_id)) for i in page.items], page.total)


def get_invitation(
    tx: Tx, caller: Caller, tenant_id: TenantId, user_id: str
) -> tuple[Invitation, Role | None]:
    """Give the invitation of a user into a tenant, to the user and to those who may see members."""
    _enter_for(tx, caller, tenant_id, user_id, "view_role_users", verb="read")
    found = tx.find(Invitation, tenant_id, user_id=user_id)
    if found is None:
        raise NotFound
    return found, tx.get(Role, tenant_id, found.role_id)


def answer_invitation(tx: Tx, caller: Caller, tenant_id: TenantId, *, is_accepted: bool) -> None:
    """Accept or reject the caller's invitation. AlreadyAccepted or AlreadyRejected when it was answered."""
    access.require_scope(caller, Kind.USER, "update", caller.id)
    found = tx.find(Invitation, tenant_id, user_id=caller.id) if tenant_id != ANYWHERE else None
    if found is None:
        raise NotFound
    if found.accepted_at:
        raise AlreadyAccepted
    if found.rejected_at:
        raise AlreadyRejected
    if is_accepted:
        join(tx, _invited_to(tx, found), [caller.id])
    at = (tx.now, NEVER) if is_accepted else (NEVER, tx.now)
    tx.change(replace(found, updated_at=tx.now, accepted_at=at[0], rejected_at=at[1]))
    operation = "invitation.accept" if is_accepted else "invitation.reject"
    record(tx, caller, tenant_id, operation, [caller.id])


def _invited_to(tx: Tx, invitation: Invitation) -> Role:
    tenant = tx.get(Tenant, ANYWHERE, invitation.tenant_id)
    role = tx.get(Role, invitation.tenant_id, invitation.role_id)
    if role is None or tenant is None or tenant.status is Status.DELETED:
        raise NotFound
    return role


def _enter_for(tx: Tx, caller: Caller, tenant_id: TenantId, user_id: str, action: str, *, verb: str) -> None:
    """Let users see to their own invitation, and others with the right to *action*."""
    if user_id == caller.id:
        access.require_scope(caller, Kind.USER, verb, caller.id)
    else:
        access.enter(tx, caller, tenant_id).require(action)


def delete_invitation(tx: Tx, caller: Caller, tenant_id: TenantId, user_id: str) -> None:
    """Take an invitation back; the invited user may, and those who may invite."""
    _enter_for(tx, caller, tenant_id, user_id, "add_role_users", verb="update")
    if not tx.remove(Invitation, tenant_id, user_id=user_id):
        raise NotFound
    record(tx, caller, tenant_id, "invitation.delete", [user_id])
