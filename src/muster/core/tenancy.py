"""Tenants: how they come into being, change and close. Their end is in tenants.py."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from muster.core import access, events, names
from muster.core.access import Caller, record, require_scope
from muster.core.actions import BUILTIN_ROLE, TENANT_ACTIONS
from muster.core.errors import Forbidden, Malformed, NotFound, SameStatus
from muster.core.model import (
    Kind,
    Member,
    Metadata,
    Role,
    RoleId,
    Status,
    Tenant,
    TenantId,
    UserId,
)
from muster.core.ports import ANYWHERE, Condition, HeldBy, Is, Not, Order, Page, Tx, Window

VERBS = {
    Status.ENABLED: "enable",
    Status.DISABLED: "disable",
    Status.FROZEN: "freeze",
    Status.DELETED: "delete",
}
"""What the journal calls a change to that status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTenant:
    """What a tenant is created from."""

    id: TenantId | None = None
    name: str = ""
    alias: str | None = None
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    max_devices: int = -1
    extensions: Metadata = field(default_factory=dict)


def create_tenant(tx: Tx, caller: Caller, new: NewTenant) -> Tenant:
    """Create a tenant; its creator holds the role `admin`. Conflict when the id or alias is taken.

    Malformed for an id that no topic can hold.
    """
    require_scope(caller, Kind.TENANT, "create")
    names.check_tenant_id(new.id or "")
    tenant = Tenant(
        id=new.id or TenantId(tx.new_id()),
        name=new.name,
        alias=new.alias,
        status=new.status,
        tags=new.tags,
        metadata=new.metadata,
        max_devices=new.max_devices,
        extensions=new.extensions,
        created_by=caller.id,
        created_at=tx.now,
    )
    names.claim_tenant(tx, tenant)
    add_tenant(tx, tenant, caller.id)
    record(tx, caller, tenant.id, "tenant.create", [tenant.id])
    return tenant


def add_tenant(tx: Tx, tenant: Tenant, owner: UserId) -> None:
    """Write a tenant whose *owner* holds the role `admin` of it, whoever asked."""
    role = Role(
        id=RoleId(tx.new_id()),
        tenant_id=tenant.id,
        entity_kind=Kind.TENANT,
        entity_id=tenant.id,
        name=BUILTIN_ROLE,
        actions=TENANT_ACTIONS,
        is_builtin=True,
        created_by=owner,
        created_at=tx.now,
    )
    tx.add(tenant, role, Member(tenant_id=tenant.id, role_id=role.id, user_id=owner))


def get_tenant(tx: Tx, caller: Caller, tenant_id: TenantId) -> Tenant:
    """Give the tenant to whoever may enter it; TenantClosed else."""
    standing = access.enter(tx, caller, tenant_id)
    if not standing.in_scope("read"):
        raise Forbidden
    return standing.tenant


def list_tenants(
    tx: Tx, caller: Caller, *conditions: Condition, order: Order, window: Window
) -> Page[Tenant]:
    """List the caller's tenants; an admin sees all."""
    own = [] if caller.is_admin else [HeldBy(caller.id)]
    alive = Not("status", Status.DELETED)
    seen = (*own, *access.tenants_in_scope(caller), alive)
    return tx.page(Tenant, ANYWHERE, *seen, *conditions, order=order, window=window)


def update_tenant(tx: Tx, caller: Caller, tenant_id: TenantId, change: Callable[[Tenant], Tenant]) -> Tenant:
    """Change a tenant's data. Conflict when the alias is taken; NotFound while it is not enabled."""
    standing = access.enter(tx, caller, tenant_id)
    standing.require("update")
    if standing.tenant.status is not Status.ENABLED:
        raise NotFound
    changed = replace(
        change(standing.tenant),
        revision=standing.tenant.revision + 1,
        updated_at=tx.now,
        updated_by=caller.id,
    )
    if changed.alias != standing.tenant.alias:
        names.claim_tenant(tx, changed)
    tx.change(changed)
    record(tx, caller, tenant_id, "tenant.update", [tenant_id])
    return changed


def set_tenant_status(tx: Tx, caller: Caller, tenant_id: TenantId, status: Status) -> Tenant:
    """Enable, disable or freeze a tenant; frozen ones answer to the installation's admins only."""
    standing = access.enter(tx, caller, tenant_id)
    standing.require("enable" if status is Status.ENABLED else "disable")
    if Status.FROZEN in (status, standing.tenant.status) and not caller.is_admin:
        raise Forbidden
    if standing.tenant.status is status:
        raise SameStatus
    tenant = replace(standing.tenant, status=status, updated_at=tx.now, updated_by=caller.id)
    tenant = replace(tenant, revision=tenant.revision + 1)
    tx.change(tenant)
    if status is not Status.ENABLED:
        events.tenant_closed(tx, tenant_id)
    record(tx, caller, tenant_id, f"tenant.{VERBS[status]}", [tenant_id])
    return tenant


def tenant_for(tx: Tx, caller: Caller, configured: TenantId | None = None) -> TenantId:
    """Give the tenant of a request that names none: the configured, or the personal, or the only one."""
    if configured:
        return configured
    mine = tx.select(
        Tenant,
        ANYWHERE,
        HeldBy(caller.id),
        Is("is_personal", value=False),
        Not("status", Status.DELETED),
        window=Window(limit=2),
    )
    personal = tx.get(Tenant, ANYWHERE, caller.user.personal_tenant)
    if personal is not None and personal.status is Status.ENABLED:
        return personal.id
    if len(mine) == 1:
        return mine[0].id
    raise Malformed("name the tenant: there is no single one to choose")
