"""Where things are: Mainflux knows no tenants, so its tokens act in the user's personal one."""

from dataclasses import replace
from typing import TypeVar

from muster.core import registry, roles
from muster.core.access import Caller
from muster.core.model import Channel, Device, Group, Metadata, TenantId
from muster.core.ports import ANYWHERE, Is, Tx

Entity = TypeVar("Entity", Device, Channel, Group)


def home(caller: Caller) -> TenantId:
    """Give the tenant where the caller's own things are."""
    return caller.user.personal_tenant


def tenant_of(tx: Tx, caller: Caller, kind: type[Entity], entity_id: str) -> TenantId:
    """Give the tenant of the one the caller means: home, else one where the caller is a member.

    What is nowhere, or nowhere the caller belongs to, is looked for at home, and not found there.
    """
    if tx.get(kind, home(caller), entity_id) is None:
        for found in tx.select(kind, ANYWHERE, Is("id", entity_id)):
            if roles.is_member(tx, found.tenant_id, caller.id):
                return found.tenant_id
    return home(caller)


def describe(
    tx: Tx, caller: Caller, kind: type[registry.Entity], entity_id: str, name: str, metadata: Metadata
) -> registry.Entity:
    """Put name and metadata in place of the old ones."""

    def change(found: registry.Entity) -> registry.Entity:
        return replace(found, name=name, metadata=metadata)

    return registry.update(tx, caller, tenant_of(tx, caller, kind, entity_id), kind, entity_id, change)
