"""Groups: a tenant's tree, in which rights go down from a group to all it holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from muster.core import access
from muster.core.access import Caller, Standing, record, require
from muster.core.errors import Malformed, NotFound, SameStatus
from muster.core.model import Channel, Device, Group, GroupId, Kind, Member, Metadata, Role, Status, TenantId
from muster.core.ports import Condition, Is, OneOf, Order, Page, Tx, Window
from muster.core.registry import may_create
from muster.core.rights import Rights, narrowed

DEEPEST = 20
"""How many levels a tree may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGroup:
    """What a group is created from."""

    name: str
    description: str = ""
    parent_id: GroupId | None = None
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A group, where it hangs, and what hangs on it as far as asked."""

    group: Group
    path: tuple[GroupId, ...]
    """From the root down to the group itself."""
    children: tuple["Node", ...] = ()


def create_group(tx: Tx, caller: Caller, tenant_id: TenantId, new: NewGroup) -> Node:
    """Create a group under its parent, or at the root."""
    standing = access.enter(tx, caller, tenant_id)
    may_create(tx, standing, Kind.GROUP, [new.parent_id])
    # Whoever hangs groups may not do so while another moves the branch: together they could make a ring.
    tx.lock(f"groups:{tenant_id}")
    group = Group(
        id=GroupId(tx.new_id()),
        tenant_id=tenant_id,
        parent_id=new.parent_id,
        name=new.name,
        description=new.description,
        status=new.status,
        tags=new.tags,
        metadata=new.metadata,
        created_by=caller.id,
        created_at=tx.now,
    )
    node = _node(tx, group)
    _check_depth(len(node.path))
    tx.add(group)
    record(tx, caller, tenant_id, "group.create", [group.id])
    return node


def _node(tx: Tx, group: Group) -> Node:
    return Node(group=group, path=(*_above(tx, group), group.id))


def _above(tx: Tx, group: Group) -> list[GroupId]:
    path: list[GroupId] = []
    parent = group.parent_id
    while parent is not None and parent not in path:
        path.insert(0, parent)
        found = tx.get(Group, group.tenant_id, parent)
        parent = found.parent_id if found is not None else None
    return path


def _check_depth(depth: int) -> None:
    if depth > DEEPEST:
        raise Malformed(f"groups may be at most {DEEPEST} levels deep")


def _fetch(tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str, action: str) -> tuple[Standing, Group]:
    standing = access.enter(tx, caller, tenant_id)
    group = tx.get(Group, tenant_id, group_id)
    require(tx, standing, Kind.GROUP, group, action)
    if group is None:
        raise NotFound
    return standing, group


def get_group(tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str) -> Node:
    """Give a group and its path."""
    return _node(tx, _fetch(tx, caller, tenant_id, group_id, "read")[1])


def list_groups(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    *conditions: Condition,
    asked: Rights | None = None,
    order: Order,
    window: Window,
) -> Page[Node]:
    """List the groups the caller may read; *asked* narrows it to certain rights."""
    standing = access.enter(tx, caller, tenant_id)
    seen = (*standing.visible(Kind.GROUP), *narrowed(tx, standing, Kind.GROUP, asked))
    page = tx.page(Group, tenant_id, *seen, *conditions, order=order, window=window)
    return Page(_nodes(tx, tenant_id, page.items), page.total)


def _nodes(tx: Tx, tenant_id: TenantId, groups: Sequence[Group]) -> list[Node]:
    """Find out where the groups hang, level by level for all of them at once."""
    known: dict[GroupId | None, Group] = {group.id: group for group in groups}
    for _ in range(DEEPEST):
        missing = {g.parent_id for g in known.values() if g.parent_id and g.parent_id not in known}
        if not missing:
            break
        known |= {group.id: group for group in tx.select(Group, tenant_id, OneOf("id", sorted(missing)))}
    return [Node(group=group, path=tuple(_path(known, group))) for group in groups]


def _path(known: Mapping[GroupId | None, Group], group: Group) -> list[GroupId]:
    path = [group.id]
    while (parent := known.get(known[path[0]].parent_id)) is not None and len(path) <= DEEPEST:
        path.insert(0, parent.id)
    return path


def list_children(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    group_id: str,
    *conditions: Condition,
    order: Order,
    window: Window,
) -> Page[Node]:
    """List the groups directly under a group, as far as the caller may read them."""
    standing, _ = _fetch(tx, caller, tenant_id, group_id, "read")
    children = (Is("parent_id", group_id), *standing.visible(Kind.GROUP))
    page = tx.page(Group, tenant_id, *children, *conditions, order=order, window=window)
    return Page(_nodes(tx, tenant_id, page.items), page.total)


def update_group(
    tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str, change: Callable[[Group], Group]
) -> Node:
    """Change name, description, tags or metadata."""
    _, group = _fetch(tx, caller, tenant_id, group_id, "update")
    if group.status is not Status.ENABLED:
        raise NotFound
    return _write(tx, caller, change(group), "update")


def _write(tx: Tx, caller: Caller, group: Group, verb: str) -> Node:
    changed = replace(group, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    record(tx, caller, group.tenant_id, f"group.{verb}", [group.id])
    return _node(tx, changed)


def set_status(tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str, status: Status) -> Node:
    """Enable or disable a group; it does not touch the status of what it holds."""
    _, group = _fetch(tx, caller, tenant_id, group_id, "update")
    if group.status is status:
        raise SameStatus
    return _write(tx, caller, replace(group, status=status), status.value.removesuffix("d"))


def set_parent(tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str, parent_id: str | None) -> Node:
    """Hang a group under another one, or (None) at the root. Malformed when that would make a ring."""
    tx.lock(f"groups:{tenant_id}")
    standing, group = _fetch(tx, caller, tenant_id, group_id, "set_parent")
    if parent_id is None:
        return _write(tx, caller, replace(group, parent_id=None), "parent")
    parent = tx.get(Group, tenant_id, parent_id)
    require(tx, standing, Kind.GROUP, parent, "set_child")
    if parent is None:
        raise NotFound
    path = [*_above(tx, parent), parent.id]
    if group.id in path:
        raise Malformed("self parenting not allowed")
    _check_depth(len(path) + _height(tx, group))
    return _write(tx, caller, replace(group, parent_id=parent.id), "parent")


def _height(tx: Tx, group: Group) -> int:
    levels, ids = 1, [group.id]
    while levels <= DEEPEST:
        ids = [g.id for g in tx.select(Group, group.tenant_id, OneOf("parent_id", ids))]
        if not ids:
            break
        levels += 1
    return levels


def add_children(tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str, children: Sequence[str]) -> None:
    """Hang all of these groups under a group, or none of them."""
    for child in dict.fromkeys(children):
        set_parent(tx, caller, tenant_id, child, group_id)


def remove_children(
    tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str, children: Sequence[str] | None
) -> None:
    """Hang these children (None: all) of a group at the root. What is no child of it stays where it is."""
    _fetch(tx, caller, tenant_id, group_id, "set_child")
    for child in tx.select(Group, tenant_id, Is("parent_id", group_id)):
        if children is None or child.id in children:
            _write(tx, caller, replace(child, parent_id=None), "parent")


def delete_group(tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str) -> None:
    """Delete a group; what it held is then in no group, and its groups hang at the root."""
    tx.lock(f"groups:{tenant_id}")
    _, group = _fetch(tx, caller, tenant_id, group_id, "delete")
    for child in tx.select(Group, tenant_id, Is("parent_id", group.id)):
        tx.change(replace(child, parent_id=None))
    for device in tx.select(Device, tenant_id, Is("group_id", group.id)):
        tx.change(replace(device, group_id=None))
    for channel in tx.select(Channel, tenant_id, Is("group_id", group.id)):
        tx.change(replace(channel, group_id=None))
    on_it = (Is("entity_kind", Kind.GROUP), Is("entity_id", group.id))
    role_ids = [role.id for role in tx.select(Role, tenant_id, *on_it)]
    tx.remove(Member, tenant_id, role_id=role_ids)
    tx.remove(Role, tenant_id, id=role_ids)
    tx.remove(Group, tenant_id, id=group.id)
    record(tx, caller, tenant_id, "group.delete", [group.id])


def hierarchy(
    tx: Tx, caller: Caller, tenant_id: TenantId, group_id: str, *, levels: int, goes_up: bool
) -> list[Node]:
    """Give the groups above (with the group itself, root first) or the tree below, *levels* deep.

    Of both what the caller may read.
    """
    standing, group = _fetch(tx, caller, tenant_id, group_id, "read")
    path = _node(tx, group).path
    if not goes_up:
        return [_tree(tx, standing, group, path, levels)]
    above = path[:-1][-levels:] if levels else ()
    found = {g.id: g for g in tx.select(Group, tenant_id, OneOf("id", above))}
    listed = [found[i] for i in above if i in found]
    readable = [g for g in listed if "read" in access.allowed(tx, standing, Kind.GROUP, g)]
    return _nodes(tx, tenant_id, [*readable, group])


def _tree(tx: Tx, standing: Standing, group: Group, path: tuple[GroupId, ...], levels: int) -> Node:
    if levels <= 0:
        return Node(group=group, path=path)
    conditions = (Is("parent_id", group.id), *standing.visible(Kind.GROUP))
    below = tx.select(Group, group.tenant_id, *conditions, order=Order("created_at"))
    children = tuple(_tree(tx, standing, g, (*path, g.id), levels - 1) for g in below)
    return Node(group=group, path=path, children=children)
