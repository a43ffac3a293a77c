"""Roles, members and invitations as Magistrala writes and reads them."""

import msgspec

from muster.core.model import Invitation, Role
from muster.core.roles import RoleView
from muster.dialects.magistrala.wire.common import In, Out, action_out
from muster.web.wire import rfc3339


class RoleOut(Out, kw_only=True):
    """A role, what it allows and who holds it."""

    id: str
    name: str
    entity_id: str
    created_by: str = ""
    created_at: str
    updated_by: str = ""
    updated_at: str
    actions: list[str] | msgspec.UnsetType = msgspec.UNSET
    members: list[str] | msgspec.UnsetType = msgspec.UNSET


def role(view: RoleView) -> RoleOut:
    """Show a role."""
    found = view.role
    return RoleOut(
        id=found.id,
        name=found.name,
        entity_id=found.entity_id,
        created_by=found.created_by,
        created_at=rfc3339(found.created_at),
        updated_by=found.updated_by,
        updated_at=rfc3339(found.updated_at),
        actions=[action_out(action) for action in found.actions],
        members=list(view.members),
    )


class NewRole(In, kw_only=True):
    """A role to be created."""

    role_name: str | None = None
    optional_actions: list[str] | None = None
    optional_members: list[str] | None = None


class RoleRename(In, kw_only=True):
    """A role's new name."""

    name: str | None = None


class RolePage(msgspec.Struct, kw_only=True):
    """A window of roles."""

    total: int
    offset: int
    limit: int
    roles: list[RoleOut]


class AvailableActions(msgspec.Struct, kw_only=True):
    """All that a role on such an entity can allow."""

    available_actions: list[str]


class Actions(In, kw_only=True):
    """What a role allows."""

    actions: list[str] | None = None


class ActionsOut(msgspec.Struct, kw_only=True):
    """What a role allows."""

    actions: list[str]


class Members(In, kw_only=True):
    """Users, by id."""

    members: list[str] | None = None


class MembersOut(msgspec.Struct, kw_only=True):
    """Users, by id."""

    members: list[str]


class MembersPage(msgspec.Struct, kw_only=True):
    """A window of the members of a role."""

    total: int
    offset: int
    limit: int
    members: list[str]


class MemberIds(In, kw_only=True):
    """The users who shall hold no role any more; clients name them in either way."""

    member_ids: list[str] | None = None
    members: list[str] | None = None


class HeldRole(msgspec.Struct, kw_only=True):
    """A role that somebody holds."""

    role_id: str
    role_name: str
    actions: list[str]


class EntityMember(msgspec.Struct, kw_only=True):
    """Somebody who holds roles on an entity."""

    member_id: str
    roles: list[HeldRole]


class EntityMembersPage(msgspec.Struct, kw_only=True):
    """A window of those who hold roles on an entity."""

    total: int
    offset: int
    limit: int
    members: list[EntityMember]


def entity_member(user_id: str, held: list[Role]) -> EntityMember:
    """Show somebody who holds roles."""
    return EntityMember(
        member_id=user_id,
        roles=[
            HeldRole(role_id=r.id, role_name=r.name, actions=[action_out(a) for a in r.actions]) for r in held
        ],
    )


# --- invitations -----------------------------------------------------------------------------------------


class InvitationOut(Out, kw_only=True):
    """A user asked into a role of a domain."""

    invited_by: str
    invitee_user_id: str
    domain_id: str
    role_id: str
    role_name: str = ""
    actions: list[str] = []
    created_at: str
    updated_at: str
    confirmed_at: str
    rejected_at: str


def invitation(found: Invitation, into: Role | None) -> InvitationOut:
    """Show an invitation."""
    return InvitationOut(
        invited_by=found.invited_by,
        invitee_user_id=found.user_id,
        domain_id=found.tenant_id,
        role_id=found.role_id,
        role_name=into.name if into is not None else "",
        actions=[action_out(action) for action in into.actions] if into is not None else [],
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
        confirmed_at=rfc3339(found.accepted_at),
        rejected_at=rfc3339(found.rejected_at),
    )


class NewInvitation(In, kw_only=True):
    """Who is asked into which role."""

    invitee_user_id: str | None = None
    role_id: str | None = None


class InvitationAnswer(In, kw_only=True):
    """Which domain's invitation is answered."""

    domain_id: str | None = None


class InvitationPage(msgspec.Struct, kw_only=True):
    """A window of invitations."""

    limit: int
    offset: int
    total: int
    invitations: list[InvitationOut]
