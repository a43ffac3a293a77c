"""Groups as Magistrala writes and reads them."""

from typing import Any

import msgspec

from muster.core.groups import Node
from muster.core.model import Role
from muster.dialects.magistrala.wire.common import In, Out, role_fields
from muster.web.wire import rfc3339


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
    role_id: str = ""
    role_name: str = ""
    actions: list[str] = []


def group(node: Node, role: Role | None = None) -> GroupOut:
    """Show a group; in a list with the caller's role, if that was asked."""
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
        **role_fields(role),
    )


class NewGroup(In, kw_only=True):
    """A group to be created."""

    name: str | None = None
    description: str | None = None
    parent_id: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    status: str | None = None


class GroupChange(In, kw_only=True):
    """What to change of a group; what is absent stays."""

    name: str | None = None
    description: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None


class GroupPage(msgspec.Struct, kw_only=True):
    """A window of groups."""

    limit: int
    offset: int
    total: int
    groups: list[GroupOut]


class Hierarchy(msgspec.Struct, kw_only=True):
    """The groups above or below one. *direction*: 1 up, -1 down."""

    level: int
    direction: int
    groups: list[GroupOut]


class ParentGroup(In, kw_only=True):
    """The group to hang under."""

    parent_id: str | None = None


class Children(In, kw_only=True):
    """The groups to hang under another or to take from it."""

    children_ids: list[str] | None = None
