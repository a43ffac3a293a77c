"""What must leave the database after a commit: the outbox's topics and how their events are made."""

from collections.abc import Iterable

from muster.core.model import Channel, Event, Json, TenantId
from muster.core.ports import Tx

RIGHTS_CHANGED = "rights.changed"
"""The device's live sessions must end, it returns with its new rights. Key: the device's id."""
ACCESS_ENDED = "access.ended"
"""The device may not return, and what the broker keeps for it is dropped. Key: the device's id."""
TENANT_CLOSED = "tenant.closed"
"""All live sessions of the tenant must end. Key: the tenant's id."""
CHANNEL_CLOSED = "channel.closed"
"""The channel is disabled: nobody may go on listening at it. Key: its id."""
CHANNEL_DELETED = "channel.deleted"
"""What the broker keeps of the channel is dropped. Key: its id; payload: its other names, route and alias."""
USER_CHANGED = "user.changed"
"""What other processes remember of the user is void. Key: the user's id."""

RECOVERY_ASKED = "recovery.asked"
"""Somebody forgot a password. Key: the address, whoever has it; payload: the door where it was asked."""

CERTIFICATE_EXPIRING = "certificate.expiring"
"""A certificate ends soon. Key: the device's id; payload: the serial."""

CERTIFICATE_REVOKED = "certificate.revoked"
"""A certificate was revoked, whoever signed it must know. Key: its serial; payload: the issuer."""

DEVICE_PROVISIONED = "device.provisioned"
"""A device provisioned itself. Key: the device's id; payload: the gateway that announced it, or null."""

SLOW = frozenset({RECOVERY_ASKED})
"""Topics whose events wait for somebody else's server; they must not keep the others waiting."""


def _emit(tx: Tx, topic: str, tenant_id: str, keys: Iterable[str], payload: Json = None) -> None:
    events = [
        Event(topic=topic, tenant_id=TenantId(tenant_id), key=key, payload=payload, created_at=tx.now)
        for key in keys
    ]
    if events:
        tx.emit(*events)


def rights_changed(tx: Tx, tenant_id: str, device_ids: Iterable[str]) -> None:
    """Have the devices' sessions refreshed."""
    _emit(tx, RIGHTS_CHANGED, tenant_id, device_ids)


def access_ended(tx: Tx, tenant_id: str, device_ids: Iterable[str]) -> None:
    """Have the devices' sessions ended for good."""
    _emit(tx, ACCESS_ENDED, tenant_id, device_ids)


def tenant_closed(tx: Tx, tenant_id: str) -> None:
    """Have all sessions of the tenant ended."""
    _emit(tx, TENANT_CLOSED, tenant_id, [tenant_id])


def channel_closed(tx: Tx, tenant_id: str, channel_id: str) -> None:
    """Have all who listen at the channel sent away."""
    _emit(tx, CHANNEL_CLOSED, tenant_id, [channel_id])


def channel_deleted(tx: Tx, channel: Channel, tenant_alias: str | None) -> None:
    """Have everything forgotten that was said on the channel."""
    names = {"route": channel.route, "alias": tenant_alias}
    _emit(tx, CHANNEL_DELETED, channel.tenant_id, [channel.id], names)


def user_changed(tx: Tx, user_id: str) -> None:
    """Have what is remembered of the user forgotten."""
    _emit(tx, USER_CHANGED, "", [user_id])


def recovery_asked(tx: Tx, address: str, door: str) -> None:
    """Have a recovery token sent to whoever has the address, if anybody has."""
    _emit(tx, RECOVERY_ASKED, "", [address], {"door": door})


def certificate_expiring(tx: Tx, tenant_id: str, device_id: str, serial: str) -> None:
    """Have it announced that a certificate ends soon."""
    _emit(tx, CERTIFICATE_EXPIRING, tenant_id, [device_id], {"serial": serial})


def certificate_revoked(tx: Tx, tenant_id: str, serial: str, issuer_id: str) -> None:
    """Have whoever signed a certificate know that it was revoked."""
    _emit(tx, CERTIFICATE_REVOKED, tenant_id, [serial], {"issuer": issuer_id})


def device_provisioned(tx: Tx, tenant_id: str, device_id: str, gateway_id: str) -> None:
    """Have it announced that a device provisioned itself."""
    _emit(tx, DEVICE_PROVISIONED, tenant_id, [device_id], {"gateway": gateway_id or None})
