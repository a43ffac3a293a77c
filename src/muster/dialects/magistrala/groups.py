"""Groups (spec A.6)."""

from dataclasses import replace
from typing import Any

from litestar import delete, get, patch, post, put

from muster.core import groups
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.groups import Node
from muster.core.model import Group, GroupId, Kind, Status, TenantId
from muster.core.names import check_name
from muster.core.ports import Condition, Is, Page, Tx, Window
from muster.core.rights import own_roles
from muster.dialects.magistrala import queries, wire
from muster.dialects.magistrala.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import flag, number, raw, text, window

MAX_LEVELS = 5
"""How many levels of a tree one request shows."""
_LEVEL = {"type": "integer", "minimum": 0, "maximum": MAX_LEVELS}
_LISTED = queries.listed(queries.ENTITY_ORDERS, "name", "id")
_QUERY: queries.Schemas = {
    **_LISTED,
    **queries.RIGHTS,
    "user": queries.TEXT,
    "parent_id": queries.TEXT,
    "root_group": {"type": "boolean"},
}


def _name(name: str | None) -> str:
    if not name:
        raise Malformed("invalid name size")
    return check_name(name)


def _shown(node: Node) -> Reply:
    return Reply(body=wire.group(node))


def _nothing(_: object) -> Reply:
    return Reply(status=204)


@post("/{domain:str}/groups", operation_id="createGroup", status_code=201)
async def create_group(
    request: AnyRequest, domain: str, data: wire.NewGroup, desk: Desk, options: Options
) -> Rendered[wire.GroupOut]:
    """Create a group, under another one or at the root."""
    new = groups.NewGroup(
        name=_name(data.name),
        description=data.description or "",
        parent_id=GroupId(data.parent_id) if data.parent_id else None,
        status=wire.status_of(data.status),
        tags=tuple(data.tags or ()),
        metadata=options.metadata(data.metadata),
    )

    def created(node: Node) -> Reply:
        location = {"Location": f"/groups/{node.group.id}"}
        return Reply(status=201, body=wire.group(node), headers=location)

    return await desk.run(request, groups.create_group, TenantId(domain), new, reply=created)


def _page(page: Page[Node], asked: Window, roles: dict[str, Any]) -> Reply:
    shown = [wire.group(node, roles.get(node.group.id)) for node in page.items]
    return Reply(
        body=wire.GroupPage(limit=asked.limit or 0, offset=asked.offset, total=page.total, groups=shown)
    )


@get("/{domain:str}/groups", operation_id="listGroups", opt={"query": _QUERY})
async def list_groups(request: AnyRequest, domain: str, desk: Desk) -> Rendered[wire.GroupPage]:
    """List the groups the caller may read."""
    conditions = [*queries.filters(request, "name", "id"), *_places(request)]
    order, asked, rights = queries.order(request), window(request), queries.rights(request)
    tenant = TenantId(domain)

    def listed(tx: Tx, caller: Caller) -> Reply:
        page = groups.list_groups(tx, caller, tenant, *conditions, asked=rights, order=order, window=asked)
        found = [node.group for node in page.items]
        return _page(page, asked, own_roles(tx, caller, tenant, Kind.GROUP, found) if rights else {})

    return await desk.read(request, listed, reply=lambda reply: reply)


def _places(request: AnyRequest) -> list[Condition]:
    parent = text(request, "parent_id")
    conditions: list[Condition] = [] if parent is None else [Is("parent_id", parent)]
    return [*conditions, Is("parent_id", None)] if flag(request, "root_group") else conditions


@get("/{domain:str}/groups/{group:str}", operation_id="getGroup")
async def get_group(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[wire.GroupOut]:
    """Show a group."""
    return await desk.read(request, groups.get_group, TenantId(domain), group, reply=_shown)


@put("/{domain:str}/groups/{group:str}", operation_id="updateGroup")
async def update_group(
    request: AnyRequest, domain: str, group: str, data: wire.GroupChange, desk: Desk, options: Options
) -> Rendered[wire.GroupOut]:
    """Change name, description or metadata; what is absent stays."""

    def change(found: Group) -> Group:
        return replace(
            found,
            name=check_name(data.name) if data.name else found.name,
            description=found.description if data.description is None else data.description,
            tags=found.tags if data.tags is None else tuple(data.tags),
            metadata=options.changed_metadata(data.metadata, found.metadata),
        )

    return await desk.run(request, groups.update_group, TenantId(domain), group, change, reply=_shown)


@patch("/{domain:str}/groups/{group:str}/tags", operation_id="updateGroupTags")
async def update_tags(
    request: AnyRequest, domain: str, group: str, data: wire.Tags, desk: Desk
) -> Rendered[wire.GroupOut]:
    """Put other tags in the place of the old."""

    def change(found: Group) -> Group:
        return replace(found, tags=tuple(data.tags))

    return await desk.run(request, groups.update_group, TenantId(domain), group, change, reply=_shown)


@delete("/{domain:str}/groups/{group:str}", operation_id="deleteGroup", status_code=204)
async def delete_group(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[None]:
    """Delete a group; what it held is then in no group."""
    return await desk.run(request, groups.delete_group, TenantId(domain), group, reply=_nothing)


@post("/{domain:str}/groups/{group:str}/enable", operation_id="enableGroup", status_code=200)
async def enable_group(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[wire.GroupOut]:
    """Enable a group."""
    args = (TenantId(domain), group, Status.ENABLED)
    return await desk.run(request, groups.set_status, *args, reply=_shown)


@post("/{domain:str}/groups/{group:str}/disable", operation_id="disableGroup", status_code=200)
async def disable_group(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[wire.GroupOut]:
    """Disable a group; what it holds stays as it is."""
    args = (TenantId(domain), group, Status.DISABLED)
    return await desk.run(request, groups.set_status, *args, reply=_shown)


# --- the tree ----------------------------------------------------------------------------------------------


def _level(request: AnyRequest) -> int:
    level = number(request, "level")
    if level is not None and level > MAX_LEVELS:
        raise Malformed("invalid group level (should be between 0 and 5)")
    return 0 if level is None else level


def _goes_up(request: AnyRequest) -> bool:
    """Read the direction: a number, up from 0 on; down without one."""
    wanted = raw(request, "dir") or "-1"
    if not wanted.removeprefix("-").isdecimal() or len(wanted) > 18:
        raise Malformed("invalid query parameters")
    return int(wanted) >= 0


def _flat(nodes: list[Node]) -> list[Node]:
    """List a tree's nodes, each without those below it."""
    return [each for node in nodes for each in (replace(node, children=()), *_flat(list(node.children)))]


_HIERARCHY: queries.Schemas = {
    "level": {**_LEVEL, "default": 0},
    "dir": {"type": "integer", "enum": [-1, 1], "default": -1},
    "tree": {"type": "boolean", "default": False},
}


@get("/{domain:str}/groups/{group:str}/hierarchy", operation_id="getHierarchy", opt={"query": _HIERARCHY})
async def get_hierarchy(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[wire.Hierarchy]:
    """Show the groups above or below a group, `level` deep; below as a tree or as a list."""
    level, goes_up, as_tree = _level(request), _goes_up(request), bool(flag(request, "tree"))

    def shown(nodes: list[Node]) -> Reply:
        listed = nodes if as_tree else _flat(nodes)
        direction = 1 if goes_up else -1
        body = wire.Hierarchy(level=level, direction=direction, groups=[wire.group(n) for n in listed])
        return Reply(body=body)

    args = (TenantId(domain), group)
    return await desk.read(request, groups.hierarchy, *args, levels=level, goes_up=goes_up, reply=shown)


@post("/{domain:str}/groups/{group:str}/parent", operation_id="setGroupParent", status_code=200)
async def set_parent(
    request: AnyRequest, domain: str, group: str, data: wire.ParentGroup, desk: Desk
) -> Rendered[None]:
    """Hang a group under another one."""
    if not data.parent_id:
        raise Malformed("missing parent group id")
    args = (TenantId(domain), group, data.parent_id)
    return await desk.run(request, groups.set_parent, *args, reply=lambda _: Reply())


@delete("/{domain:str}/groups/{group:str}/parent", operation_id="removeGroupParent", status_code=204)
async def remove_parent(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[None]:
    """Hang a group at the root."""
    return await desk.run(request, groups.set_parent, TenantId(domain), group, None, reply=_nothing)


def _children(data: wire.Children) -> list[str]:
    if not data.children_ids:
        raise Malformed("missing children group ids")
    return data.children_ids


@post("/{domain:str}/groups/{group:str}/children", operation_id="addGroupChildren", status_code=200)
async def add_children(
    request: AnyRequest, domain: str, group: str, data: wire.Children, desk: Desk
) -> Rendered[None]:
    """Hang groups under this one, all or none."""
    args = (TenantId(domain), group, _children(data))
    return await desk.run(request, groups.add_children, *args, reply=lambda _: Reply())


@delete("/{domain:str}/groups/{group:str}/children", operation_id="removeGroupChildren", status_code=204)
async def remove_children(
    request: AnyRequest, domain: str, group: str, data: wire.Children, desk: Desk
) -> Rendered[None]:
    """Hang children of this group at the root."""
    args = (TenantId(domain), group, _children(data))
    return await desk.run(request, groups.remove_children, *args, reply=_nothing)


@delete(
    "/{domain:str}/groups/{group:str}/children/all", operation_id="removeAllGroupChildren", status_code=204
)
async def remove_all_children(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[None]:
    """Hang all children of this group at the root."""
    return await desk.run(request, groups.remove_children, TenantId(domain), group, None, reply=_nothing)


@get("/{domain:str}/groups/{group:str}/children", operation_id="listGroupChildren", opt={"query": _LISTED})
async def list_children(request: AnyRequest, domain: str, group: str, desk: Desk) -> Rendered[wire.GroupPage]:
    """List the groups directly under a group."""
    asked = window(request)
    return await desk.read(
        request,
        groups.list_children,
        TenantId(domain),
        group,
        *queries.filters(request, "name", "id"),
        order=queries.order(request),
        window=asked,
        reply=lambda page: _page(page, asked, {}),
    )


HANDLERS = [
    create_group,
    list_groups,
    get_group,
    update_group,
    update_tags,
    delete_group,
    enable_group,
    disable_group,
    get_hierarchy,
    set_parent,
    remove_parent,
    add_children,
    remove_children,
    remove_all_children,
    list_children,
]
