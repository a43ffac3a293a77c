"""What one provisioning call made, afterwards: when its answer no longer holds, and when it is over."""

from collections.abc import Iterable
from dataclasses import replace

from muster.core.model import Channel, Device, ProvisionRecord, TenantId
from muster.core.ports import OneOf, Tx, Window


def lock_name(tenant_id: TenantId, external_id: str) -> str:
    """Give the name of the lock under which a mapping comes and goes."""
    return f"mapping:{tenant_id}:{external_id}"


def spoil_answers(tx: Tx, tenant_id: TenantId, entities: Iterable[Device | Channel]) -> None:
    """Have the answers of the calls that made these built afresh: what they show has changed.

    When nothing a call made is left the mapping is over, and its external id free for another.
    """
    for mapping_id in sorted({e.mapping_id for e in entities if e.mapping_id is not None}):
        made = tx.find(ProvisionRecord, tenant_id, external_id=mapping_id)
        if made is None:
            continue
        if not has_devices(tx, made) and not _has_channels(tx, made):
            tx.remove(ProvisionRecord, tenant_id, external_id=mapping_id)
        elif made.answer is not None:
            tx.change(replace(made, answer=None))


def has_devices(tx: Tx, made: ProvisionRecord) -> bool:
    """Say whether a device that the call made still exists."""
    return bool(tx.select(Device, made.tenant_id, OneOf("id", made.device_ids), window=Window(limit=1)))


def _has_channels(tx: Tx, made: ProvisionRecord) -> bool:
    return bool(tx.select(Channel, made.tenant_id, OneOf("id", made.channel_ids), window=Window(limit=1)))
