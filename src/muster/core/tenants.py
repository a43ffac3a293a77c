"""Tenants as a whole: replaced with their trusted CAs under a precondition, ended with all that is theirs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from muster.core import access, events, registry, tenancy, validity, versions, webhooks
from muster.core.access import Caller, record
from muster.core.errors import Conflict, Malformed
from muster.core.identity import Denial, FirstContact, TrustedCa
from muster.core.metering import Usage
from muster.core.model import (
    BootstrapConfig,
    Channel,
    ClientIdClaim,
    Device,
    Group,
    Invitation,
    Kind,
    ProvisionRecord,
    Role,
    Status,
    Tenant,
    TenantId,
)
from muster.core.ports import ANYWHERE, Condition, HeldBy, Is, Order, Page, Tx, Window
from muster.core.versions import Expected
from muster.core.webhooks import Notice, Topic, Webhook

_OURS = (Webhook, Notice, Usage)

MakeCas = Callable[[Tx, TenantId, Sequence[TrustedCa]], Sequence[TrustedCa]]
"""Gives a tenant's CAs, told those it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A tenant and the CAs it trusts, in the order they were given."""

    tenant: Tenant
    cas: tuple[TrustedCa, ...] = ()


def create(tx: Tx, caller: Caller, new: tenancy.NewTenant, make_cas: MakeCas) -> Whole:
    """Create a tenant that trusts these CAs; Conflict when its id, alias or a CA's name is taken."""
    tenant = tenancy.create_tenant(tx, caller, new)
    return Whole(tenant=tenant, cas=_trust(tx, tenant.id, (), make_cas))


def get(tx: Tx, caller: Caller, tenant_id: TenantId) -> Whole:
    """Give a tenant to whoever may read it; TenantClosed or Forbidden else."""
    standing = access.enter(tx, caller, tenant_id)
    standing.require("read")
    return Whole(tenant=standing.tenant, cas=cas_of(tx, tenant_id))


def search(tx: Tx, caller: Caller, *conditions: Condition, order: Order, window: Window) -> Page[Tenant]:
    """List the tenants that `get` gives the caller: to be a member is not enough, a role must let read."""
    readable = [] if caller.is_admin else [HeldBy(caller.id, "read")]
    return tenancy.list_tenants(tx, caller, *readable, *conditions, order=order, window=window)


def replace_tenant(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    change: Callable[[Tenant], Tenant],
    make_cas: MakeCas,
    expected: Expected = None,
) -> Whole:
    """Put another description in the place of the tenant's. Stale unless it has an *expected* version.

    Whoever disables it closes all sessions of its devices; so does whoever no longer trusts a CA.
    """
    standing = access.enter(tx, caller, tenant_id)
    standing.require("update")
    old = standing.tenant
    versions.expect(expected, versions.tenant_version(old))
    changed = change(old)
    if changed.status is not old.status:
        standing.require("enable" if changed.status is Status.ENABLED else "disable")
    changed = replace(changed, revision=old.revision + 1, updated_at=tx.now, updated_by=caller.id)
    tx.change(changed)
    had = cas_of(tx, tenant_id)
    cas = _trust(tx, tenant_id, had, make_cas)
    if changed.status is not Status.ENABLED or {c.id for c in had} - {c.id for c in cas}:
        events.tenant_closed(tx, tenant_id)
    record(tx, caller, tenant_id, "tenant.update", [tenant_id])
    return Whole(tenant=changed, cas=cas)


def cas_of(tx: Tx, tenant_id: TenantId) -> tuple[TrustedCa, ...]:
    """Give the CAs a tenant trusts, in the order they were given."""
    return tuple(tx.select(TrustedCa, tenant_id, order=Order("place")))


def _trust(tx: Tx, tenant_id: TenantId, had: Sequence[TrustedCa], make: MakeCas) -> tuple[TrustedCa, ...]:
    cas = tuple(replace(ca, place=place) for place, ca in enumerate(make(tx, tenant_id, had)))
    if len({ca.id for ca in cas}) < len(cas):
        raise Malformed("the ids of the trusted CAs must differ")
    keys = sorted({ca.subject_key for ca in cas})
    for key in keys:
        tx.lock(f"trusted-ca:{key}")
    for key in keys:
        mine = next(ca for ca in cas if ca.subject_key == key)
        _check_free(tx, tenant_id, mine)
    if had:
        tx.remove(TrustedCa, tenant_id, id=[ca.id for ca in had])
    if cas:
        tx.add(*cas)
    return cas


def _check_free(tx: Tx, tenant_id: TenantId, mine: TrustedCa) -> None:
    """Tenants share a CA only inside one group; exact, because the name is locked."""
    for other in tx.select(TrustedCa, ANYWHERE, Is("subject_key", mine.subject_key)):
        is_shared = mine.anchor_group is not None and other.anchor_group == mine.anchor_group
        if other.tenant_id != tenant_id and not is_shared:
            raise Conflict(f"another tenant trusts the CA {mine.subject_dn}")


def delete(tx: Tx, caller: Caller, tenant_id: TenantId, expected: Expected = None) -> None:
    """End a tenant with all that is its: nothing of it comes back when the id is used again.

    The journal stays.
    """
    standing = access.enter(tx, caller, tenant_id)
    standing.require("delete")
    versions.expect(expected, versions.tenant_version(standing.tenant))
    if standing.tenant.is_personal:
        raise Conflict("a user's own tenant goes with the user")
    empty(tx, tenant_id)
    for channel in tx.select(Channel, tenant_id):
        events.channel_deleted(tx, channel, standing.tenant.alias)
    for noun in (Channel, Group, Invitation, ProvisionRecord, Role, TrustedCa, Denial, *_OURS):
        tx.remove(noun, tenant_id)
    tx.remove(Tenant, ANYWHERE, id=tenant_id)
    events.tenant_closed(tx, tenant_id)
    record(tx, caller, tenant_id, "tenant.delete", [tenant_id])


def empty(tx: Tx, tenant_id: TenantId) -> None:
    """Delete all devices of the tenant and what hangs on them, whoever may; their sessions end."""
    # Whoever has no MQTT client id of its own has no session in the broker that outlives the connection.
    claims = tx.select(ClientIdClaim, tenant_id)
    tx.remove(BootstrapConfig, tenant_id)
    role_ids = [role.id for role in tx.select(Role, tenant_id, Is("entity_kind", Kind.DEVICE))]
    if role_ids:
        tx.remove(Role, tenant_id, id=role_ids)
    tx.remove(ProvisionRecord, tenant_id)
    validity.end_with_tenant(tx, tenant_id)
    tx.remove(Device, tenant_id)
    events.access_ended(tx, tenant_id, sorted({claim.device_id for claim in claims}))
    events.tenant_closed(tx, tenant_id)


def delete_devices(tx: Tx, caller: Caller, tenant_id: TenantId) -> None:
    """Delete all devices of a tenant. Those that provisioned themselves are denied to do so again."""
    standing = access.enter(tx, caller, tenant_id)
    standing.require("device_delete")
    contacts = [contact.device_id for contact in tx.select(FirstContact, tenant_id)]
    if contacts:
        registry.deny_again(tx, caller, tenant_id, contacts)
    empty(tx, tenant_id)
    webhooks.tell(tx, tenant_id, Topic.EMPTIED, [""])
    record(tx, caller, tenant_id, "tenant.empty", [tenant_id])
