"""Lists by right: which of the entities somebody may do something to, and by which role."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.core.access import Caller, Entity, Standing
from muster.core.model import Kind, Role, TenantId
from muster.core.ports import ANYWHERE, Condition, HeldBy, InRole, Is, OneOf, Order, Tx, VisibleTo
from muster.core.roles import implied


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What somebody must be able to do, for an entity to be listed."""

    user_id: str | None = None
    """Who; None: the caller."""
    role_id: str | None = None
    role_name: str | None = None
    actions: tuple[str, ...] = ()


def narrowed(tx: Tx, standing: Standing, kind: Kind, asked: Rights | None) -> list[Condition]:
    """Give the conditions that leave of a list what was asked for, besides what the caller may read.

    Forbidden to ask for another user without the right to see members.
    """
    if asked is None:
        return []
    subject = asked.user_id or standing.caller.id
    if subject != standing.caller.id:
        standing.require("view_role_users")
    if asked.role_id is not None or asked.role_name is not None:
        wanted: Sequence[str | None] = asked.actions or (None,)
        return [InRole(subject, asked.role_id, asked.role_name, action) for action in wanted]
    everywhere = _everywhere(tx, standing, subject)
    names = [(action, f"{kind.value}_{action}") for action in asked.actions or ("read",)]
    return [VisibleTo(subject, pair) for pair in names if pair[1] not in everywhere]


def _everywhere(tx: Tx, standing: Standing, user_id: str) -> frozenset[str]:
    """Give what the user's roles on the tenant allow in all of it."""
    if user_id == standing.caller.id:
        return standing.actions
    on_it = (Is("entity_kind", Kind.TENANT), Is("entity_id", standing.tenant.id))
    held = tx.select(Role, standing.tenant.id, HeldBy(user_id), *on_it)
    return frozenset(action for role in held for action in role.actions)


def tenants_with(tx: Tx, caller: Caller, asked: Rights | None) -> list[Condition]:
    """Give the conditions that leave of a list of tenants those where the caller holds what was asked for."""
    if asked is None:
        return []
    held = tx.select(Role, ANYWHERE, HeldBy(caller.id), Is("entity_kind", Kind.TENANT))
    fitting = [role for role in held if _fits(role, asked)]
    return [OneOf("id", sorted({role.entity_id for role in fitting}))]


def _fits(role: Role, asked: Rights) -> bool:
    return (
        asked.role_id in (None, role.id)
        and asked.role_name in (None, role.name)
        and set(asked.actions) <= set(role.actions)
    )


def own_roles(
    tx: Tx, caller: Caller, tenant_id: TenantId, kind: Kind, entities: Sequence[Entity]
) -> dict[str, Role]:
    """Give the caller's role on each of the entities, by their ids; of several `admin`, else the oldest.

    Tenants are looked for ANYWHERE. Where the caller holds none on the entity itself there is none.
    """
    on_them = (Is("entity_kind", kind), OneOf("entity_id", [entity.id for entity in entities]))
    held = tx.select(Role, tenant_id, HeldBy(caller.id), *on_them, order=Order("created_at"))
    found: dict[str, Role] = {}
    for role in sorted(held, key=lambda role: not role.is_builtin):
        found.setdefault(role.entity_id, role)
    if tenant_id != ANYWHERE:
        made = [e.id for e in entities if e.created_by == caller.id and e.id not in found]
        found |= _implied_on(tx, caller, tenant_id, kind, made)
    return found


def _implied_on(
    tx: Tx, caller: Caller, tenant_id: TenantId, kind: Kind, ids: Sequence[str]
) -> dict[str, Role]:
    on_them = (Is("entity_kind", kind), OneOf("entity_id", ids), Is("is_builtin", value=True))
    stored = {role.entity_id for role in tx.select(Role, tenant_id, *on_them)} if ids else set()
    return {i: implied(tenant_id, kind, i, caller.id) for i in ids if i not in stored}
