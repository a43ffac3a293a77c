"""Things (spec B.2): devices of the user."""

import re

from litestar import delete, get, patch, post, put

from muster.core import registry, roles
from muster.core.access import Caller
from muster.core.errors import Malformed, NotFound
from muster.core.model import Channel, Device, Kind, Secret
from muster.core.names import check_name
from muster.core.ports import Condition, Connected, Page, Tx, Window
from muster.core.roles import Target
from muster.dialects.mainflux import queries, wire
from muster.dialects.mainflux.options import Options
from muster.dialects.mainflux.places import describe, home, tenant_of
from muster.dialects.mainflux.queries import Asked
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.errors import BadLimit, BadOffset

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MAX_KEY = 1024
"""Bytes of a key."""
POLICIES = {"read": "read", "write": "update", "delete": "delete"}
"""What a thing can be shared for, and the action that is in the core."""


def _draft(data: wire.NewThing, options: Options) -> registry.NewDevice:
    if data.id and not UUID.fullmatch(data.id):
        raise Malformed("invalid id format provided")
    return registry.NewDevice(
        id=data.id or None,
        name=check_name(data.name or ""),
        secret=_key(data.key) if data.key else None,
        metadata=options.metadata(data.metadata),
    )


def _key(plain: str | None) -> Secret:
    if not plain or len(plain.encode()) > MAX_KEY:
        raise Malformed("missing or too long thing key")
    return Secret(plain)


def _create(tx: Tx, caller: Caller, new: list[registry.NewDevice]) -> list[Device]:
    return registry.create_devices(tx, caller, home(caller), new)


def _created(made: list[Device]) -> Reply:
    by = wire.superseded("currently found at /things/bulk")
    return wire.empty(201, Location=f"/things/{made[0].id}", Warning_Deprecated=by)


@post("/things", operation_id="createThing", status_code=201)
async def create_thing(
    request: AnyRequest, data: wire.NewThing, desk: Desk, options: Options
) -> Rendered[None]:
    """Create a thing; a key is made unless one is given."""
    return await desk.run(request, _create, [_draft(data, options)], reply=_created)


@post("/things/bulk", operation_id="createThings", status_code=201)
async def create_things(
    request: AnyRequest, data: list[wire.NewThing], desk: Desk, options: Options
) -> Rendered[wire.Things]:
    """Create all of the things or none."""
    if not data:
        raise Malformed("empty list provided")
    if len(data) > options.max_bulk:
        raise Malformed(f"at most {options.max_bulk} at once")

    def made(devices: list[Device]) -> Reply:
        return Reply(status=201, body=wire.Things(things=[wire.thing(d) for d in devices]))

    return await desk.run(request, _create, [_draft(each, options) for each in data], reply=made)


# --- lists ---------------------------------------------------------------------------------------------


def _listed(tx: Tx, caller: Caller, conditions: list[Condition], part: Asked) -> Page[Device]:
    return registry.list_devices(
        tx, caller, home(caller), *conditions, order=part.sorting, window=part.window
    )


async def _list(
    request: AnyRequest, desk: Desk, conditions: list[Condition], part: Asked
) -> Rendered[wire.ThingPage]:
    def answer(page: Page[Device]) -> Reply:
        return _page(page, part)

    return await desk.read(request, _listed, conditions, part, reply=answer)


def _page(page: Page[Device], part: Asked) -> Reply:
    return queries.page(wire.ThingPage, part, page.total, things=[wire.thing(d) for d in page.items])


@get("/things", operation_id="listThings", opt={"query": queries.LISTED})
async def list_things(request: AnyRequest, desk: Desk) -> Rendered[wire.ThingPage]:
    """List the caller's own things, their keys with them."""
    return await _list(request, desk, queries.filters(request), queries.asked(request))


@post("/things/search", operation_id="searchThings", status_code=200)
async def search_things(request: AnyRequest, data: wire.Search, desk: Desk) -> Rendered[wire.ThingPage]:
    """Find the caller's own things by a part of their name or metadata."""
    limit = data.limit or queries.LIST.limit
    if not 1 <= limit <= queries.LIST.most:
        raise BadLimit
    if data.offset < 0:
        raise BadOffset
    part = queries.checked(Window(data.offset, limit), data.order, data.dir)
    return await _list(request, desk, queries.conditions(data.name, data.metadata), part)


@get("/channels/{channel:str}/things", operation_id="listThingsOfChannel", opt={"query": queries.RELATED})
async def list_things_of_channel(request: AnyRequest, channel: str, desk: Desk) -> Rendered[wire.ThingPage]:
    """List the things connected to a channel, or those that are not."""
    related = Connected(channel, is_connected=queries.is_connected(request))
    conditions, part = queries.filters(request), queries.asked(request, queries.RELATIONS)

    def found(tx: Tx, caller: Caller) -> Page[Device]:
        tenant = tenant_of(tx, caller, Channel, channel)
        registry.get_channel(tx, caller, tenant, channel)
        return registry.list_devices(
            tx, caller, tenant, related, *conditions, order=part.sorting, window=part.window
        )

    return await desk.read(request, found, reply=lambda page: _page(page, part))


# --- one thing -----------------------------------------------------------------------------------------


def _get(tx: Tx, caller: Caller, thing: str) -> Device:
    return registry.get_device(tx, caller, tenant_of(tx, caller, Device, thing), thing)


@get("/things/{thing:str}", operation_id="getThing")
async def get_thing(request: AnyRequest, thing: str, desk: Desk) -> Rendered[wire.Thing]:
    """Show a thing."""
    return await desk.read(request, _get, thing, reply=lambda device: Reply(body=wire.thing(device)))


@put("/things/{thing:str}", operation_id="updateThing")
async def update_thing(
    request: AnyRequest, thing: str, data: wire.Replacement, desk: Desk, options: Options
) -> Rendered[None]:
    """Put name and metadata in place of the old ones."""
    args = (Device, thing, check_name(data.name or ""), options.metadata(data.metadata))
    return await desk.run(request, describe, *args, reply=lambda _: wire.empty())


def _rotate(tx: Tx, caller: Caller, thing: str, key: Secret) -> Device:
    return registry.rotate_secret(tx, caller, tenant_of(tx, caller, Device, thing), thing, key)


@patch("/things/{thing:str}/key", operation_id="updateThingKey")
async def update_key(request: AnyRequest, thing: str, data: wire.NewKey, desk: Desk) -> Rendered[None]:
    """Give a thing another key; the old one ends at once everywhere."""
    return await desk.run(request, _rotate, thing, _key(data.key), reply=lambda _: wire.empty())


def _share(tx: Tx, caller: Caller, thing: str, users: list[str], policies: list[str]) -> None:
    """Let the users do that to the thing: they hold a role on it, one for each set of policies."""
    target = Target(tenant_id=tenant_of(tx, caller, Device, thing), kind=Kind.DEVICE, id=thing)
    name = f"shared: {', '.join(policies)}"
    known = roles.list_roles(tx, caller, target, window=Window(limit=None)).items
    role = next((view.role for view in known if view.role.name == name), None)
    if role is not None:
        roles.add_members(tx, caller, target, role.id, users)
    else:
        actions = [POLICIES[policy] for policy in policies]
        roles.create_role(tx, caller, target, name=name, actions=actions, members=users)


@post("/things/{thing:str}/share", operation_id="shareThing", status_code=200)
async def share_thing(request: AnyRequest, thing: str, data: wire.Share, desk: Desk) -> Rendered[None]:
    """Share a thing with other users."""
    policies = sorted(set(data.policies or ()))
    if not data.user_ids or not policies or not set(policies) <= POLICIES.keys():
        raise Malformed
    users = queries.unique(data.user_ids)
    return await desk.run(request, _share, thing, users, policies, reply=lambda _: wire.empty())


def _delete(tx: Tx, caller: Caller, thing: str) -> None:
    try:
        registry.delete_device(tx, caller, tenant_of(tx, caller, Device, thing), thing)
    except NotFound:
        return  # upstream does not say that there was none


@delete("/things/{thing:str}", operation_id="deleteThing", status_code=204)
async def delete_thing(request: AnyRequest, thing: str, desk: Desk) -> Rendered[None]:
    """Delete a thing and all that hangs on it; nothing happens when there is none."""
    return await desk.run(request, _delete, thing, reply=lambda _: wire.empty(204))


HANDLERS = [
    create_thing,
    create_things,
    list_things,
    search_things,
    list_things_of_channel,
    get_thing,
    update_thing,
    update_key,
    share_thing,
    delete_thing,
]
