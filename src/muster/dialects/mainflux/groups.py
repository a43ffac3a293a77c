"""Groups of the auth service, and who is in them (spec B.3); a thing or channel is in one group at most."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from litestar import delete, get, post, put

from muster.core import groups, registry, roles
from muster.core.access import Caller
from muster.core.errors import Conflict, Malformed, NotFound
from muster.core.groups import NewGroup, Node
from muster.core.model import Channel, Device, Group, GroupId, Kind, TenantId
from muster.core.names import check_name
from muster.core.ports import Is, Order, Page, Tx, Window
from muster.core.roles import Target
from muster.dialects.mainflux import queries, wire
from muster.dialects.mainflux.options import Options
from muster.dialects.mainflux.places import home, tenant_of
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import flag, number, raw, rfc3339, window

DEEPEST = 5
"""How many levels upstream shows at most."""
MEMBER = "member"
"""The role that the users of a group hold on it."""
HELD: Mapping[str, type[Any]] = {"things": Device, "channels": Channel}
TYPES = (*HELD, "users")


class GroupOut(wire.Out, kw_only=True):
    """A group, where it hangs, and what hangs on it as far as asked."""

    id: str
    name: str = ""
    owner_id: str = ""
    parent_id: str = ""
    description: str = ""
    metadata: wire.Metadata = {}
    level: int
    path: str
    children: list["GroupOut"] = []
    created_at: str
    updated_at: str


def _group(node: Node, *, has_children: bool = False) -> GroupOut:
    found = node.group
    return GroupOut(
        id=found.id,
        name=found.name,
        owner_id=found.created_by,
        parent_id=found.parent_id or "",
        description=found.description,
        metadata=dict(found.metadata),
        level=len(node.path),
        path=".".join(node.path),
        children=[_group(child, has_children=True) for child in node.children] if has_children else [],
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
    )


class GroupIn(wire.In, kw_only=True):
    """A group to be created, or what takes the place of what it was."""

    name: str | None = None
    description: str | None = None
    parent_id: str | None = None
    metadata: wire.Metadata | None = None


class GroupPage(wire.Out, kw_only=True):
    """A window of groups."""

    total: int
    offset: int
    limit: int
    groups: list[GroupOut]


class Members(wire.In, kw_only=True):
    """Who goes into a group or out of it: things, channels or users. Who goes out needs no type."""

    members: list[str] | None = None
    type: str | None = None


class Member(msgspec.Struct, kw_only=True, rename={"id": "ID", "type": "Type"}):
    """One in a group; the names are upstream's, which gave it none for the wire."""

    id: str
    type: str


class MemberPage(wire.Out, kw_only=True):
    """A window of those in a group."""

    total: int
    offset: int
    limit: int
    name: str = ""
    members: list[Member] = msgspec.field(name="Members")


# --- groups --------------------------------------------------------------------------------------------


def _name(name: str | None) -> str:
    if not name:
        raise Malformed("missing group name")
    return check_name(name)


def _create(tx: Tx, caller: Caller, new: NewGroup) -> Node:
    return groups.create_group(tx, caller, home(caller), new)


@post("/groups", operation_id="createGroup", status_code=201, opt={"errors": (NotFound,)})
async def create_group(request: AnyRequest, data: GroupIn, desk: Desk, options: Options) -> Rendered[None]:
    """Create a group, under another one or not."""
    new = NewGroup(
        name=_name(data.name),
        description=data.description or "",
        parent_id=GroupId(data.parent_id) if data.parent_id else None,
        metadata=options.metadata(data.metadata),
    )

    def made(node: Node) -> Reply:
        return wire.empty(201, Location=f"/groups/{node.group.id}")

    return await desk.run(request, _create, new, reply=made)


def _page(nodes: list[GroupOut], total: int, part: Window) -> Reply:
    return Reply(body=GroupPage(total=total, offset=part.offset, limit=part.limit or 0, groups=nodes))


_QUERY = {**queries.PAGE, "name": None, "metadata": queries.DOCUMENT}


@get("/groups", operation_id="listGroups", opt={"query": _QUERY})
async def list_groups(request: AnyRequest, desk: Desk) -> Rendered[GroupPage]:
    """List the caller's groups."""
    part, conditions = window(request, queries.LIST), queries.filters(request)

    def listed(tx: Tx, caller: Caller) -> Page[Node]:
        return groups.list_groups(tx, caller, home(caller), *conditions, order=Order(), window=part)

    def answer(page: Page[Node]) -> Reply:
        return _page([_group(node) for node in page.items], page.total, part)

    return await desk.read(request, listed, reply=answer)


def _get(tx: Tx, caller: Caller, group: str) -> Node:
    return groups.get_group(tx, caller, tenant_of(tx, caller, Group, group), group)


@get("/groups/{group:str}", operation_id="getGroup")
async def get_group(request: AnyRequest, group: str, desk: Desk) -> Rendered[GroupOut]:
    """Show a group."""
    return await desk.read(request, _get, group, reply=lambda node: Reply(body=_group(node)))


def _update(tx: Tx, caller: Caller, group: str, name: str, description: str, metadata: wire.Metadata) -> Node:
    def change(found: Group) -> Group:
        return replace(found, name=name, description=description, metadata=metadata)

    return groups.update_group(tx, caller, tenant_of(tx, caller, Group, group), group, change)


@put("/groups/{group:str}", operation_id="updateGroup")
async def update_group(
    request: AnyRequest, group: str, data: GroupIn, desk: Desk, options: Options
) -> Rendered[None]:
    """Put name, description and metadata in place of the old ones."""
    args = (group, _name(data.name), data.description or "", options.metadata(data.metadata))
    return await desk.run(request, _update, *args, reply=lambda _: wire.empty())


def _delete(tx: Tx, caller: Caller, group: str) -> None:
    groups.delete_group(tx, caller, tenant_of(tx, caller, Group, group), group)


@delete("/groups/{group:str}", operation_id="deleteGroup", status_code=204)
async def delete_group(request: AnyRequest, group: str, desk: Desk) -> Rendered[None]:
    """Delete a group; what is in it stays."""
    return await desk.run(request, _delete, group, reply=lambda _: wire.empty(204))


# --- above and below -----------------------------------------------------------------------------------


def _flat(nodes: list[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _flat(list(node.children))


async def _relatives(request: AnyRequest, group: str, desk: Desk, *, goes_up: bool) -> Rendered[GroupPage]:
    part, level = window(request, queries.LIST), number(request, "level")
    levels, is_tree = DEEPEST if level is None else min(level, DEEPEST), flag(request, "tree")

    def found(tx: Tx, caller: Caller) -> list[GroupOut]:
        tenant = tenant_of(tx, caller, Group, group)
        nodes = groups.hierarchy(tx, caller, tenant, group, levels=levels, goes_up=goes_up)
        related = [node for node in nodes if node.group.id != group] if goes_up else list(nodes[0].children)
        if is_tree and not goes_up:
            return [_group(node, has_children=True) for node in related]
        return [_group(node) for node in _flat(related)]

    def answer(listed: list[GroupOut]) -> Reply:
        end = part.offset + (part.limit or 0)
        return _page(listed[part.offset : end], len(listed), part)

    return await desk.read(request, found, reply=answer)


_RELATIVES = {"query": {**queries.PAGE, "level": queries.COUNT, "tree": queries.FLAG}}


@get("/groups/{group:str}/children", operation_id="listChildrenOfGroup", opt=_RELATIVES)
async def list_children(request: AnyRequest, group: str, desk: Desk) -> Rendered[GroupPage]:
    """List the groups below a group."""
    return await _relatives(request, group, desk, goes_up=False)


@get("/groups/{group:str}/parents", operation_id="listParentsOfGroup", opt=_RELATIVES)
async def list_parents(request: AnyRequest, group: str, desk: Desk) -> Rendered[GroupPage]:
    """List the groups above a group, the highest first."""
    return await _relatives(request, group, desk, goes_up=True)


# --- who is in a group -----------------------------------------------------------------------------------


def _members(data: Members) -> list[str]:
    if not data.members or data.type not in (None, "", *TYPES):
        raise Malformed
    return queries.unique(data.members)


def _role(tx: Tx, caller: Caller, target: Target) -> str | None:
    known = roles.list_roles(tx, caller, target, window=Window(limit=None)).items
    return next((view.role.id for view in known if view.role.name == MEMBER), None)


def _assign(tx: Tx, caller: Caller, group: str, ids: list[str], kind: str) -> None:
    tenant = tenant_of(tx, caller, Group, group)
    groups.get_group(tx, caller, tenant, group)
    if kind in HELD:
        for each in ids:
            _put_in(tx, caller, tenant, HELD[kind], each, group)
        return
    target = Target(tenant_id=tenant, kind=Kind.GROUP, id=group)
    role = _role(tx, caller, target)
    if role is not None:
        roles.add_members(tx, caller, target, role, ids)
    else:
        roles.create_role(tx, caller, target, name=MEMBER, actions=["read", "membership"], members=ids)


def _put_in(tx: Tx, caller: Caller, tenant: TenantId, kind: type[Any], entity_id: str, group: str) -> None:
    entity = registry.fetch(tx, caller, tenant, kind, entity_id)
    if entity.group_id not in (None, group):
        raise Conflict("it is in another group already")
    registry.set_group(tx, caller, tenant, kind, entity_id, group)


def _unassign(tx: Tx, caller: Caller, group: str, ids: list[str]) -> None:
    tenant = tenant_of(tx, caller, Group, group)
    groups.get_group(tx, caller, tenant, group)
    users = [each for each in ids if not _is_taken_out(tx, caller, tenant, each, group)]
    if users:
        target = Target(tenant_id=tenant, kind=Kind.GROUP, id=group)
        role = _role(tx, caller, target)
        held = roles.get_role(tx, caller, target, role).members if role is not None else ()
        if role is None or not set(users) <= set(held):
            raise NotFound("it is not in the group")
        roles.remove_members(tx, caller, target, role, users)


def _is_taken_out(tx: Tx, caller: Caller, tenant: TenantId, member: str, group: str) -> bool:
    """Take a thing or channel out of the group; False when there is none of that id in it."""
    for kind in HELD.values():
        entity = tx.get(kind, tenant, member)
        if entity is not None and entity.group_id == group:
            registry.set_group(tx, caller, tenant, kind, member, None)
            return True
    return False


@post("/groups/{group:str}/members", operation_id="assignMembers", status_code=200)
async def assign(request: AnyRequest, group: str, data: Members, desk: Desk) -> Rendered[None]:
    """Put things, channels or users into a group."""
    ids = _members(data)
    if not data.type:
        raise Malformed
    return await desk.run(request, _assign, group, ids, data.type, reply=lambda _: wire.empty())


@delete("/groups/{group:str}/members", operation_id="unassignMembers", status_code=204)
async def unassign(request: AnyRequest, group: str, data: Members, desk: Desk) -> Rendered[None]:
    """Take things, channels or users out of a group."""
    return await desk.run(request, _unassign, group, _members(data), reply=lambda _: wire.empty(204))


def _of_type(tx: Tx, caller: Caller, target: Target, kind: str, part: Window) -> tuple[int, list[str]]:
    """Give how many of that type are in the group, and those of the window."""
    inside, order = Is("group_id", target.id), Order()
    if kind == "things":
        things = registry.list_devices(tx, caller, target.tenant_id, inside, order=order, window=part)
        return things.total, [each.id for each in things.items]
    if kind == "channels":
        channels = registry.list_channels(tx, caller, target.tenant_id, inside, order=order, window=part)
        return channels.total, [each.id for each in channels.items]
    role = _role(tx, caller, target)
    every = roles.get_role(tx, caller, target, role).members if role is not None else ()
    return len(every), list(every[part.offset : part.offset + (part.limit or 0)])


def _listed(tx: Tx, caller: Caller, group: str, kinds: Sequence[str], part: Window) -> MemberPage:
    tenant = tenant_of(tx, caller, Group, group)
    found = groups.get_group(tx, caller, tenant, group).group
    target = Target(tenant_id=tenant, kind=Kind.GROUP, id=group)
    members: list[Member] = []
    total = 0
    for kind in kinds:
        # The types follow one another: what is left of the window goes on with the next.
        rest = Window(max(0, part.offset - total), (part.limit or 0) - len(members))
        count, ids = _of_type(tx, caller, target, kind, rest)
        members += [Member(id=each, type=kind) for each in ids]
        total += count
    return MemberPage(
        total=total, offset=part.offset, limit=part.limit or 0, name=found.name, members=members
    )


_MEMBERS = {"query": {**queries.PAGE, "type": {"type": "string", "enum": [*TYPES]}}}


@get("/groups/{group:str}/members", operation_id="listMembersOfGroup", opt=_MEMBERS)
async def list_members(request: AnyRequest, group: str, desk: Desk) -> Rendered[MemberPage]:
    """List who is in a group; all types, or one of them."""
    kind, part = raw(request, "type"), window(request, queries.LIST)
    if kind not in (None, "", *TYPES):
        raise Malformed
    kinds = [kind] if kind else TYPES
    return await desk.read(request, _listed, group, kinds, part, reply=lambda page: Reply(body=page))


def _membership(tx: Tx, caller: Caller, member: str) -> list[GroupOut]:
    for kind in HELD.values():
        tenant = tenant_of(tx, caller, kind, member)
        entity = tx.get(kind, tenant, member)
        if entity is None:
            continue
        registry.fetch(tx, caller, tenant, kind, member)
        if entity.group_id is None:
            return []
        return [_group(groups.get_group(tx, caller, tenant, entity.group_id))]
    raise NotFound


@get("/members/{member:str}/groups", operation_id="listGroupsOfMember", opt={"query": queries.PAGE})
async def list_groups_of_member(request: AnyRequest, member: str, desk: Desk) -> Rendered[GroupPage]:
    """List the groups a thing or channel is in."""
    part = window(request, queries.LIST)

    def answer(found: list[GroupOut]) -> Reply:
        return _page(found[part.offset :], len(found), part)

    return await desk.read(request, _membership, member, reply=answer)


HANDLERS = [
    create_group,
    list_groups,
    get_group,
    update_group,
    delete_group,
    list_children,
    list_parents,
    assign,
    unassign,
    list_members,
    list_groups_of_member,
]
