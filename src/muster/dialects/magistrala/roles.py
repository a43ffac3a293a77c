"""Roles and members: one declaration, served under domains, clients, channels and groups (spec A.3)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from litestar import delete, get, post, put
from litestar.handlers import HTTPRouteHandler

from muster.core import access, roles
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import Kind, TenantId
from muster.core.names import check_name
from muster.core.ports import Tx
from muster.core.roles import RoleView, Target
from muster.dialects.magistrala import queries, wire
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.request import incoming
from muster.web.wire import window

MAX_NAME = 200
"""Bytes of a role's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A kind of entity that has roles: where it is found, and how its operations are called."""

    kind: Kind
    path: str
    variable: str
    """The variable of the path that names the entity."""
    word: str

    def target(self, request: AnyRequest) -> Target:
        """Give the entity that the path of the request names."""
        params = incoming(request).params
        return Target(tenant_id=TenantId(params["domain"]), kind=self.kind, id=params[self.variable])


BASES = (
    Base(kind=Kind.TENANT, path="/domains/{domain:str}", variable="domain", word="Domain"),
    Base(kind=Kind.DEVICE, path="/{domain:str}/clients/{client:str}", variable="client", word="Client"),
    Base(kind=Kind.CHANNEL, path="/{domain:str}/channels/{channel:str}", variable="channel", word="Channel"),
    Base(kind=Kind.GROUP, path="/{domain:str}/groups/{group:str}", variable="group", word="Group"),
)


# --- roles -----------------------------------------------------------------------------------------------


def _role(request: AnyRequest) -> str:
    return incoming(request).params["role"]


def _name(name: str | None) -> str:
    if not name:
        raise Malformed("empty role name")
    return check_name(name, MAX_NAME)


def _listed(given: Sequence[str] | None, missing: str) -> list[str]:
    if not given:
        raise Malformed(missing)
    return list(dict.fromkeys(given))


def _actions(data: wire.Actions) -> list[str]:
    return [wire.action_in(action) for action in _listed(data.actions, "empty role operations")]


def _nothing(_: object) -> Reply:
    return Reply(status=204)


async def _available_actions(request: AnyRequest, desk: Desk, base: Base) -> Rendered[wire.AvailableActions]:
    """List all that a role on the entity can allow."""
    body = wire.AvailableActions(available_actions=wire.available_actions(base.kind))
    target = base.target(request)
    return await desk.read(request, roles.available_actions, target, reply=lambda _: Reply(body=body))


async def _create(request: AnyRequest, desk: Desk, base: Base, data: wire.NewRole) -> Rendered[wire.RoleOut]:
    """Create a role, with what it allows and who holds it."""
    return await desk.run(
        request,
        roles.create_role,
        base.target(request),
        name=_name(data.role_name),
        actions=[wire.action_in(action) for action in data.optional_actions or ()],
        members=data.optional_members or (),
        reply=lambda view: Reply(status=201, body=wire.role(view)),
    )


async def _list(request: AnyRequest, desk: Desk, base: Base) -> Rendered[wire.RolePage]:
    """List the roles of the entity, the built-in one first."""
    asked = window(request)

    def listed(tx: Tx, caller: Caller) -> Reply:
        page = roles.list_roles(tx, caller, base.target(request), window=asked)
        shown = [wire.role(view) for view in page.items]
        body = wire.RolePage(total=page.total, offset=asked.offset, limit=asked.limit or 0, roles=shown)
        return Reply(body=body)

    return await desk.read(request, listed, reply=lambda reply: reply)


def _shown(view: RoleView) -> Reply:
    return Reply(body=wire.role(view))


async def _get(request: AnyRequest, desk: Desk, base: Base) -> Rendered[wire.RoleOut]:
    """Show a role."""
    return await desk.read(request, roles.get_role, base.target(request), _role(request), reply=_shown)


async def _rename(
    request: AnyRequest, desk: Desk, base: Base, data: wire.RoleRename
) -> Rendered[wire.RoleOut]:
    """Rename a role; the built-in one keeps its name."""
    args = (base.target(request), _role(request), _name(data.name))
    return await desk.run(request, roles.rename_role, *args, reply=_shown)


async def _delete(request: AnyRequest, desk: Desk, base: Base) -> Rendered[None]:
    """Delete a role; the built-in one stays."""
    return await desk.run(request, roles.delete_role, base.target(request), _role(request), reply=_nothing)


# --- what a role allows ----------------------------------------------------------------------------------


async def _add_actions(
    request: AnyRequest, desk: Desk, base: Base, data: wire.Actions
) -> Rendered[wire.ActionsOut]:
    """Let a role allow more, as far as the caller may do it."""
    actions = _actions(data)
    body = wire.ActionsOut(actions=[wire.action_out(action) for action in actions])
    args = (base.target(request), _role(request), actions)
    return await desk.run(request, roles.add_actions, *args, reply=lambda _: Reply(body=body))


async def _list_actions(request: AnyRequest, desk: Desk, base: Base) -> Rendered[wire.ActionsOut]:
    """List what a role allows."""

    def shown(view: RoleView) -> Reply:
        return Reply(body=wire.ActionsOut(actions=[wire.action_out(a) for a in view.role.actions]))

    return await desk.read(request, roles.get_role, base.target(request), _role(request), reply=shown)


async def _remove_actions(request: AnyRequest, desk: Desk, base: Base, data: wire.Actions) -> Rendered[None]:
    """Let a role allow less."""
    args = (base.target(request), _role(request), _actions(data))
    return await desk.run(request, roles.remove_actions, *args, reply=_nothing)


async def _clear_actions(request: AnyRequest, desk: Desk, base: Base) -> Rendered[None]:
    """Let a role allow nothing any more."""
    args = (base.target(request), _role(request), None)
    return await desk.run(request, roles.remove_actions, *args, reply=_nothing)


# --- who holds a role --------------------------------------------------------------------------------------


async def _add_members(
    request: AnyRequest, desk: Desk, base: Base, data: wire.Members
) -> Rendered[wire.MembersOut]:
    """Give a role to users."""
    members = _listed(data.members, "empty role members")
    args = (base.target(request), _role(request), members)
    body = wire.MembersOut(members=members)
    return await desk.run(request, roles.add_members, *args, reply=lambda _: Reply(body=body))


async def _list_members(request: AnyRequest, desk: Desk, base: Base) -> Rendered[wire.MembersPage]:
    """List the users who hold a role."""
    asked = window(request)

    def shown(view: RoleView) -> Reply:
        body = wire.MembersPage(
            total=len(view.members),
            offset=asked.offset,
            limit=asked.limit or 0,
            members=list(asked.of(view.members)),
        )
        return Reply(body=body)

    args = (base.target(request), _role(request))
    return await desk.read(request, roles.get_members, *args, reply=shown)


async def _remove_members(request: AnyRequest, desk: Desk, base: Base, data: wire.Members) -> Rendered[None]:
    """Take a role from users."""
    members = _listed(data.members, "empty role members")
    args = (base.target(request), _role(request), members)
    return await desk.run(request, roles.remove_members, *args, reply=_nothing)


async def _clear_members(request: AnyRequest, desk: Desk, base: Base) -> Rendered[None]:
    """Take a role from all users; a domain keeps one admin."""
    args = (base.target(request), _role(request), None)
    return await desk.run(request, roles.remove_members, *args, reply=_nothing)


async def _list_entity_members(
    request: AnyRequest, desk: Desk, base: Base
) -> Rendered[wire.EntityMembersPage]:
    """List the users who hold any role of the entity, each with the roles held."""
    asked = window(request)

    def listed(tx: Tx, caller: Caller) -> Reply:
        held = roles.list_members(tx, caller, base.target(request))
        body = wire.EntityMembersPage(
            total=len(held),
            offset=asked.offset,
            limit=asked.limit or 0,
            members=[wire.entity_member(*each) for each in asked.of(held)],
        )
        return Reply(body=body)

    return await desk.read(request, listed, reply=lambda reply: reply)


async def _remove_entity_members(
    request: AnyRequest, desk: Desk, base: Base, data: wire.MemberIds
) -> Rendered[None]:
    """Take every role of the entity from these users; users may leave by themselves."""
    members = _listed(data.member_ids or data.members, "empty role members")
    return await desk.run(request, roles.leave_entity, base.target(request), members, reply=_nothing)


# --- the declaration, four times -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Route:
    method: Callable[..., Callable[[Any], HTTPRouteHandler]]
    path: str
    operation: str
    """Its name, with the entity's word in the place of `*`."""
    status: int
    act: Callable[..., Awaitable[Any]]
    query: queries.Schemas | None = None


_ONE = "/roles/{role:str}"
_ROUTES = (
    _Route(get, "/roles/available-actions", "availableActionsOf*", 200, _available_actions),
    _Route(post, "/roles", "createRoleOf*", 201, _create),
    _Route(get, "/roles", "listRolesOf*", 200, _list, queries.PAGE),
    _Route(get, "/roles/members", "listMembersOf*", 200, _list_entity_members, queries.PAGE),
    _Route(delete, "/roles/members", "removeMembersOf*", 204, _remove_entity_members),
    _Route(get, _ONE, "getRoleOf*", 200, _get),
    _Route(put, _ONE, "updateRoleOf*", 200, _rename),
    _Route(delete, _ONE, "deleteRoleOf*", 204, _delete),
    _Route(post, f"{_ONE}/actions", "addRoleActionsOf*", 200, _add_actions),
    _Route(get, f"{_ONE}/actions", "listRoleActionsOf*", 200, _list_actions),
    _Route(post, f"{_ONE}/actions/delete", "deleteRoleActionsOf*", 204, _remove_actions),
    _Route(post, f"{_ONE}/actions/delete-all", "clearRoleActionsOf*", 204, _clear_actions),
    _Route(post, f"{_ONE}/members", "addRoleMembersOf*", 200, _add_members),
    _Route(get, f"{_ONE}/members", "listRoleMembersOf*", 200, _list_members, queries.PAGE),
    _Route(post, f"{_ONE}/members/delete", "deleteRoleMembersOf*", 204, _remove_members),
    _Route(post, f"{_ONE}/members/delete-all", "clearRoleMembersOf*", 204, _clear_members),
)


def _handler(route: _Route, base: Base) -> HTTPRouteHandler:
    """Make a handler that Litestar can read: arguments and answer are those of the route's function."""
    hints, act = get_type_hints(route.act), route.act
    handle: Callable[..., Awaitable[Any]]
    if "data" in hints:

        async def with_data(request: AnyRequest, desk: Desk, data: Any) -> Any:
            return await act(request, desk, base, data)

        handle = with_data
    else:

        async def without_data(request: AnyRequest, desk: Desk) -> Any:
            return await act(request, desk, base)

        handle = without_data
    handle.__annotations__ |= {name: hints[name] for name in ("data", "return") if name in hints}
    handle.__doc__ = act.__doc__
    opt = {} if route.query is None else {"query": route.query}
    operation = route.operation.replace("*", base.word)
    decorate = route.method(base.path + route.path, operation_id=operation, status_code=route.status, opt=opt)
    return decorate(handle)


def _available(path: str, kind: Kind, word: str) -> HTTPRouteHandler:
    """Make the handler that lists the actions without naming an entity, as upstream's clients ask."""

    @get(path, operation_id=f"availableActionsOfAny{word}")
    async def available(request: AnyRequest, desk: Desk) -> Rendered[wire.AvailableActions]:
        """List all that a role on such an entity can allow."""
        body = wire.AvailableActions(available_actions=wire.available_actions(kind))
        domain = incoming(request).params.get("domain")

        def entered(tx: Tx, caller: Caller) -> None:
            if domain is not None:
                access.enter(tx, caller, TenantId(domain))

        return await desk.read(request, entered, reply=lambda _: Reply(body=body))

    return available


HANDLERS = [
    *(_handler(route, base) for base in BASES for route in _ROUTES),
    _available("/domains/roles/available-actions", Kind.TENANT, "Domain"),
    _available("/{domain:str}/clients/roles/available-actions", Kind.DEVICE, "Client"),
    _available("/{domain:str}/channels/roles/available-actions", Kind.CHANNEL, "Channel"),
    _available("/{domain:str}/groups/roles/available-actions", Kind.GROUP, "Group"),
]
