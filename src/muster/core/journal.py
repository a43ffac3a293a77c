"""The journal, read: who did what to which entity, when."""

from muster.core import access
from muster.core.access import Caller, require, require_scope
from muster.core.errors import Forbidden
from muster.core.model import JournalEntry, Kind, TenantId
from muster.core.ports import Condition, Is, Order, Page, Tx, Window
from muster.core.roles import NOUNS
from muster.core.users import NO_TENANT

_ALL = ("read", "group_read", "device_read", "channel_read")
"""What somebody may do who may read everything the journal of a tenant names."""


def list_entries(
    tx: Tx, caller: Caller, tenant_id: TenantId, *conditions: Condition, order: Order, window: Window
) -> Page[JournalEntry]:
    """List what happened in a tenant. Forbidden but for those who may read all its entities."""
    access.enter(tx, caller, tenant_id).require(*_ALL)
    return tx.page(JournalEntry, tenant_id, *conditions, order=order, window=window)


def list_of_entity(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    kind: Kind,
    entity_id: str,
    *conditions: Condition,
    order: Order,
    window: Window,
) -> Page[JournalEntry]:
    """List what happened to an entity, for whoever may read it; NotFound as access.require says.

    What is deleted can be looked up by those who may read the whole journal.
    """
    standing = access.enter(tx, caller, tenant_id)
    if not all(standing.allows(action) for action in _ALL):
        entity = tx.get(NOUNS[kind], tenant_id, entity_id) if kind in NOUNS else None
        require(tx, standing, kind, entity, "read")
    about = (Is("entity_id", entity_id), Is("entity_kind", kind))
    return tx.page(JournalEntry, tenant_id, *about, *conditions, order=order, window=window)


def list_of_user(
    tx: Tx, caller: Caller, user_id: str, *conditions: Condition, order: Order, window: Window
) -> Page[JournalEntry]:
    """List what happened to a user. Forbidden but for the user and admins."""
    require_scope(caller, Kind.USER, "read", user_id)
    if user_id != caller.id and not caller.is_admin:
        raise Forbidden
    about = (Is("entity_id", user_id), Is("entity_kind", Kind.USER))
    return tx.page(JournalEntry, NO_TENANT, *about, *conditions, order=order, window=window)
