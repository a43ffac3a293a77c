"""Conditions of a query become SQL. A clause's key says all that its SQL depends on; values are bound."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import FromClause, Select, and_, bindparam, exists, func, literal, or_, select, true, tuple_

from muster.core import errors, ports
from muster.core.actions import ACTIONS, BUILTIN_ROLE, IMPLIED
from muster.core.model import Flow, Group, Kind, Secret, TenantId
from muster.store import proofs, tables
from muster.store.flavor import Bind, Flavor, Search, Term
from muster.store.rows import JsonValue, Sealed, Seals, Shape, no_nul, to_json

MOST_PATTERN = 16_000
"""Bytes of a pattern for Like: SQLite takes 50,000, and a character may have to be written with three."""
_ENTITY_KINDS = {"groups": Kind.GROUP, "devices": Kind.DEVICE, "channels": Kind.CHANNEL}


Build = Callable[[Flavor, Bind], Term]


class Clause(NamedTuple):
    """One condition, ready to be compiled once and run often."""

    key: Hashable
    values: tuple[Any, ...]
    build: Build


def numbered(prefix: str) -> Bind:
    """Give parameters named by the order in which they are asked for."""
    count = iter(range(1 << 16))
    return lambda: bindparam(f"{prefix}{next(count)}")


class _Equality(NamedTuple):
    """All of an equality but the value: the same for every question after a field."""

    key: Hashable
    build: Build
    none: Clause


_EQUALITIES: dict[tuple[str, str], _Equality] = {}


def _equality(shape: Shape, field: str) -> _Equality:
    column = shape.column(field)
    if column.info.get("folded"):

        def build(_: Flavor, bind: Bind) -> Term:
            return func.lower(column) == func.lower(bind())
    else:

        def build(_: Flavor, bind: Bind) -> Term:
            return column == bind()

    none = Clause(("null", field), (), lambda *_: column.is_(None))
    return _EQUALITIES.setdefault((shape.name, field), _Equality(("is", field), build, none))


def equal(shape: Shape, field: str, value: Any, seals: Seals) -> Clause:
    """The field equals the value, or has none when the value is None."""
    known = _EQUALITIES.get((shape.name, field)) or _equality(shape, field)
    if value is None:
        return known.none
    if seals.is_changing and isinstance(value, Secret):
        return _in(shape, field, seals.digests(f"{shape.name}.{field}", [value]))
    return Clause(known.key, (shape.value(field, value, seals),), known.build)


def _in(shape: Shape, field: str, bound: Sequence[Any]) -> Clause:
    column = shape.column(field)
    return Clause(
        ("in", field, len(bound)), tuple(bound), lambda _, bind: column.in_([bind() for _ in bound])
    )


def one_of(shape: Shape, field: str, values: Any, seals: Seals, flavor: Flavor) -> Clause:
    """The field equals one of the values."""
    column = shape.column(field)
    if seals.is_changing and (secrets := [value for value in values if isinstance(value, Secret)]):
        return _in(shape, field, seals.digests(f"{shape.name}.{field}", secrets))
    bound = [shape.value(field, value, seals) for value in values]
    if any(isinstance(value, Secret | bytes) for value in values):
        return _in(shape, field, bound)
    return Clause(("one of", field), (flavor.members(bound),), lambda f, bind: f.any_of(column, bind()))


def clause_of(
    shape: Shape, tenant: TenantId, condition: ports.Condition, seals: Seals, flavor: Flavor
) -> Clause:
    """Give the clause of a condition. ValueError when the noun has no such field or relation."""
    match condition:
        case ports.Is(field, value):
            return equal(shape, field, value, seals)
        case ports.OneOf(field, values):
            return one_of(shape, field, values, seals, flavor)
        case ports.Tagged(text):
            return _tagged(shape, flavor.has(_searched(text)))
        case ports.Has(field, text):
            return _search(shape, field, flavor.has(_searched(text)))
        case ports.Contains(field, part):
            return _search(shape, field, flavor.contains(part))
        case ports.Connected():
            return _connected(shape, condition)
        case ports.VisibleTo(user_id, actions):
            return _visible_to(shape, tenant, user_id, actions)
        case ports.InRole():
            return _in_role(shape, condition)
        case ports.HeldBy(user_id, None):
            return Clause("held by", (user_id,), lambda _, bind: _held_by(shape, bind()))
        case ports.HeldBy(user_id, action):
            return Clause("may in", (user_id, action), lambda f, bind: _may_in(shape, f, bind(), bind()))
        case ports.At(field, path, value):
            return _at(shape, field, path, value, flavor)
        case ports.Like(field, path, pattern):
            return _like(shape, field, path, pattern, flavor)
        case ports.SpeaksForOthers(is_gateway):
            return _speaks_for_others(tenant, is_gateway=is_gateway)
        case ports.Active(is_active):
            return Clause(("active", is_active), (), lambda f, _: _active(f, is_active=is_active))
        case ports.Trusts():
            return _trusts(condition, flavor)
        case ports.Due(now):
            return Clause("due", (now, now), lambda _, bind: _due(bind(), bind()))
        case _:
            return _comparison(shape, condition, seals)


def _comparison(shape: Shape, condition: Any, seals: Seals) -> Clause:
    column = shape.column(condition.field)
    key = (type(condition).__name__, condition.field)
    if condition.value is None:
        return Clause((*key, None), (), lambda *_: column.is_not(None))
    bound = shape.value(condition.field, condition.value, seals)
    builds: dict[type[Any], Callable[[Flavor, Bind], Term]] = {
        ports.Not: lambda _, bind: column.is_distinct_from(bind()),
        ports.Before: lambda _, bind: column < bind(),
        ports.After: lambda _, bind: column > bind(),
    }
    return Clause(key, (bound,), builds[type(condition)])


def _searched(text: str) -> str:
    if "\0" in text:
        raise no_nul()
    return text


def _search(shape: Shape, field: str, search: Search) -> Clause:
    column = shape.column(field)
    key = ("search", field, search.variant)
    return Clause(key, search.values, lambda _, bind: search.build(column, bind))


def _tagged(shape: Shape, search: Search) -> Clause:
    column = shape.column("tags")

    def build(flavor: Flavor, bind: Bind) -> Term:
        tag = flavor.elements(column)
        return exists(select(1).select_from(tag).where(search.build(tag.c.value, bind)))

    return Clause(("tagged", search.variant), search.values, build)


def _connected(shape: Shape, condition: ports.Connected) -> Clause:
    link = tables.connections.c
    own, other = {"devices": ("device_id", "channel_id"), "channels": ("channel_id", "device_id")}[shape.name]

    def build(_: Flavor, bind: Bind) -> Term:
        met = and_(link[other] == bind(), link.flow.bitwise_and(bind()) != 0)
        if condition.is_connected:
            own_key = tuple_(shape.table.c.id, shape.table.c.tenant_id)
            return own_key.in_(select(link[own], link.tenant_id).where(met))
        here = and_(link[own] == shape.table.c.id, link.tenant_id == shape.table.c.tenant_id)
        return ~exists(select(1).select_from(tables.connections).where(here, met))

    return Clause(("connected", condition.is_connected), (condition.id, int(Flow(condition.flow))), build)


def _active(flavor: Flavor, *, is_active: bool) -> Term:
    config, link = tables.bootstrap_configs.c, tables.connections.c
    channel, listed = tables.channels.c, flavor.elements(config.channels)
    both = (
        select(1)
        .select_from(tables.connections)
        .where(
            link.channel_id == channel.id,
            link.device_id == config.device_id,
            link.tenant_id == config.tenant_id,
            link.flow == int(Flow.BOTH),
        )
        .correlate(tables.bootstrap_configs, tables.channels)
    )
    # Channels that were deleted since do not count.
    existing = listed.join(tables.channels, channel.id == listed.c.value)
    left = select(1).select_from(existing).correlate(tables.bootstrap_configs)
    lacking = exists(left.where(~exists(both)))
    return and_(exists(left), ~lacking) if is_active else or_(~exists(left), lacking)


def _trusts(asked: ports.Trusts, flavor: Flavor) -> Clause:
    ca = proofs.trusted_cas.c
    given: list[Any] = [flavor.wildcard(asked.value) if asked.is_pattern else asked.value]
    given += [] if asked.place is None else [asked.place]

    def build(f: Flavor, bind: Bind) -> Term:
        value = bind()
        fits = f.fits(ca[asked.field], value) if asked.is_pattern else ca[asked.field] == value
        met = and_(ca.tenant_id == tables.tenants.c.id, fits)
        met = met if asked.place is None else and_(met, ca.place == bind())
        return exists(select(1).select_from(proofs.trusted_cas).where(met).correlate(tables.tenants))

    return Clause(("trusts", asked.field, asked.is_pattern, asked.place is None), tuple(given), build)


def _due(now: Term, again: Term) -> Term:
    """A notice too old is due as well: it waited for its last try not longer than that."""
    webhook, notice = tables.webhooks.c, tables.notices.c
    waiting = select(1).select_from(tables.notices)
    waiting = waiting.where(notice.tenant_id == webhook.tenant_id, notice.next_at <= again)
    return and_(webhook.is_enabled, webhook.next_at <= now, exists(waiting.correlate(tables.webhooks)))


def _at(shape: Shape, field: str, path: tuple[str, ...], value: Any, flavor: Flavor) -> Clause:
    column = shape.column(field)
    bound = (flavor.path(path), to_json(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Clause(("number", field), bound, lambda f, bind: f.number_at(column, bind(), bind()))
    return Clause(("at", field), bound, lambda f, bind: f.equals_at(column, bind(), bind()))


def _like(shape: Shape, field: str, path: tuple[str, ...], pattern: str, flavor: Flavor) -> Clause:
    if len(pattern.encode()) > MOST_PATTERN:
        raise errors.Malformed(f"a pattern has at most {MOST_PATTERN} bytes")
    column, wanted = shape.column(field), flavor.wildcard(pattern)
    if not path:
        return Clause(("like", field), (wanted,), lambda f, bind: f.fits(column, bind()))
    bound = (flavor.path(path), wanted)

    def build(f: Flavor, bind: Bind) -> Term:
        where = bind()
        return f.fits(f.text_at(column, where), bind())

    return Clause(("like at", field), bound, build)


def _speaks_for_others(tenant: TenantId, *, is_gateway: bool) -> Clause:
    """Whoever is named in a `via`, or is in a group of gateways."""
    device, other = tables.devices.c, tables.devices.alias()

    def build(f: Flavor, bind: Bind) -> Term:
        gateway = f.elements(other.c.via)
        named = (
            select(gateway.c.value)
            .select_from(other.join(gateway, true()))
            .where(other.c.tenant_id == bind(), f.is_filled(other.c.via))
        )
        speaks = or_(device.id.in_(named), f.has_groups(device.extensions))
        return speaks if is_gateway else ~speaks

    return Clause(("speaks for others", is_gateway), (tenant,), build)


# --- who may see what ---------------------------------------------------------------------------------


def _held_by(shape: Shape, user: Term) -> Term:
    """The role's member is the user, or the tenant has a role whose member is."""
    member = tables.members.alias()
    own, theirs = {
        "roles": (shape.table.c.id, member.c.role_id),
        "tenants": (shape.table.c.id, member.c.tenant_id),
    }[shape.name]
    return own.in_(select(theirs).where(member.c.user_id == user))


def _may_in(tenants: Shape, flavor: Flavor, user: Term, action: Term) -> Term:
    """A role on the tenant itself lets the user do it."""
    own = tenants.table.c.id
    return own.in_(_roles_held(Kind.TENANT, user, own, flavor, None, None, action))


def _visible_to(shape: Shape, tenant: TenantId, user_id: str, actions: Sequence[str]) -> Clause:
    kind = _ENTITY_KINDS[shape.name]
    on_itself, on_group = actions
    bounds = (tenant,) if tenant else ()

    def build(flavor: Flavor, bind: Bind) -> Term:
        user, own, above = bind(), bind(), bind()
        groups = _groups_held(user, above, flavor, bind() if bounds else None)
        return or_(
            _created(shape.table, kind, user),
            shape.table.c.id.in_(_entities_held(kind, user, own, flavor, shape.table.c.tenant_id)),
            shape.table.c["parent_id" if shape.noun is Group else "group_id"].in_(groups),
        )

    return Clause(("visible to", bool(bounds)), (user_id, on_itself, on_group, *bounds), build)


def _created(table: FromClause, kind: Kind, user: Term) -> Term:
    """Its creator, as long as no builtin role says who administers it."""
    role = tables.roles.alias()
    builtin = (
        select(1)
        .select_from(role)
        .where(
            role.c.tenant_id == table.c.tenant_id,
            role.c.entity_id == table.c.id,
            role.c.entity_kind == kind.value,
            role.c.is_builtin,
        )
    )
    return and_(table.c.created_by == user, ~exists(builtin))


def _in_role(shape: Shape, asked: ports.InRole) -> Clause:
    kind = _ENTITY_KINDS[shape.name]
    is_implied = asked.role_name in (None, BUILTIN_ROLE) and asked.action in (None, *ACTIONS[kind])
    given = (asked.role_id, asked.role_name, asked.action)

    def build(flavor: Flavor, bind: Bind) -> Term:
        user = bind()
        role_id, role_name, action = (None if value is None else bind() for value in given)
        held = _roles_held(kind, user, shape.table.c.tenant_id, flavor, role_id, role_name, action)
        if not is_implied:
            return shape.table.c.id.in_(held)
        implied = _created(shape.table, kind, user)
        if role_id is not None:
            implied = and_(implied, role_id == literal(IMPLIED).concat(shape.table.c.id))
        return or_(shape.table.c.id.in_(held), implied)

    key = ("in role", is_implied, *(value is not None for value in given))
    return Clause(key, (asked.user_id, *(value for value in given if value is not None)), build)


def _roles_held(
    kind: Kind,
    user: Term,
    tenant: Term,
    flavor: Flavor,
    role_id: Term | None,
    role_name: Term | None,
    wanted: Term | None,
) -> Select[Any]:
    """Give the ids of the entities of that kind on which the user holds such a role."""
    role, member = tables.roles.alias(), tables.members.alias()
    action = flavor.elements(role.c.actions)
    held = (
        select(role.c.entity_id)
        .select_from(member.join(role, role.c.id == member.c.role_id))
        .where(member.c.user_id == user, role.c.entity_kind == kind.value, role.c.tenant_id == tenant)
    )
    if role_id is not None:
        # The role `admin` goes by its implied name also when it is stored under an id of its own.
        is_named = and_(role.c.is_builtin, role_id == literal(IMPLIED).concat(role.c.entity_id))
        held = held.where(or_(role.c.id == role_id, is_named))
    if role_name is not None:
        held = held.where(role.c.name == role_name)
    if wanted is not None:
        held = held.where(exists(select(1).select_from(action).where(action.c.value == wanted)))
    return held


def _entities_held(kind: Kind, user: Term, wanted: Term, flavor: Flavor, tenant: Term) -> Select[Any]:
    """Give the ids of the entities of that kind on which the user holds a role with the action."""
    return _roles_held(kind, user, tenant, flavor, None, None, wanted)


def _groups_held(user: Term, wanted: Term, flavor: Flavor, tenant: Term | None) -> Select[Any]:
    """Give the ids of the groups on which the user holds a role with the action, and of those below them."""
    root, below = tables.groups.alias("root"), tables.groups.alias("below")
    held = or_(
        root.c.id.in_(_entities_held(Kind.GROUP, user, wanted, flavor, root.c.tenant_id)),
        _created(root, Kind.GROUP, user),
    )
    inside = true() if tenant is None else root.c.tenant_id == tenant
    seen = select(root.c.id).where(inside, held).cte("seen", recursive=True, nesting=True)
    seen = seen.union(select(below.c.id).where(below.c.parent_id == seen.c.id))
    return select(seen.c.id)


def order_field(shape: Shape, field: str) -> str:
    """Give the column to sort by. Malformed when the noun has no such field, or not one with an order."""
    if isinstance(shape.codecs.get(field), Sealed | JsonValue | None):
        raise errors.Malformed("cannot sort by that field")
    return field
