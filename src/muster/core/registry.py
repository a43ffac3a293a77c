"""Devices and channels: their life, from creation to deletion."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from muster.core import access, connections, events, names, validity, webhooks
from muster.core.access import Caller, Standing, record, require
from muster.core.errors import Forbidden, LimitReached, NotFound, SameStatus
from muster.core.identity import Denial, FirstContact
from muster.core.mappings import spoil_answers
from muster.core.model import (
    BootstrapConfig,
    Channel,
    ChannelId,
    Connection,
    Device,
    DeviceId,
    Group,
    GroupId,
    Kind,
    Member,
    Metadata,
    Presence,
    Role,
    Secret,
    Status,
    Tenant,
    TenantId,
)
from muster.core.ports import ANYWHERE, Condition, Is, OneOf, Order, Page, Tx, Window
from muster.core.rights import Rights, narrowed
from muster.core.webhooks import Topic

Entity = TypeVar("Entity", Device, Channel)
KINDS: dict[type, Kind] = {Device: Kind.DEVICE, Channel: Kind.CHANNEL}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    """What a device is created from; without a secret one is made, unless it needs none."""

    id: str | None = None
    name: str = ""
    identity: str = ""
    secret: Secret | None = None
    needs_secret: bool = True
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    group_id: GroupId | None = None
    via: tuple[str, ...] = ()
    extensions: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannel:
    """What a channel is created from."""

    id: str | None = None
    name: str = ""
    route: str | None = None
    status: Status = Status.ENABLED
    tags: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    group_id: GroupId | None = None


# --- creation ------------------------------------------------------------------------------------------


def create_devices(tx: Tx, caller: Caller, tenant_id: TenantId, new: Sequence[NewDevice]) -> list[Device]:
    """Create all of them or none. Conflict when an id or secret is taken, LimitReached beyond the limit."""
    standing = access.enter(tx, caller, tenant_id)
    may_create(tx, standing, Kind.DEVICE, [n.group_id for n in new])
    keep_limit(tx, standing, len(new))
    made = [_device(tx, caller, tenant_id, n) for n in new]
    ids = [d.id for d in made]
    tx.add(*made, *webhooks.notices(tx, standing.tenant, Topic.CREATED, ids))
    record(tx, caller, tenant_id, "device.create", ids)
    return made


def create_channels(tx: Tx, caller: Caller, tenant_id: TenantId, new: Sequence[NewChannel]) -> list[Channel]:
    """Create all of them or none. Conflict when an id or route is taken."""
    standing = access.enter(tx, caller, tenant_id)
    may_create(tx, standing, Kind.CHANNEL, [n.group_id for n in new])
    made = [_channel(tx, caller, tenant_id, n) for n in new]
    names.claim_channels(tx, tenant_id, made, chosen=[n.id for n in new if n.id])
    tx.add(*made)
    record(tx, caller, tenant_id, "channel.create", [c.id for c in made])
    return made


def may_create(tx: Tx, standing: Standing, kind: Kind, groups: Sequence[GroupId | None]) -> None:
    """Raise unless the caller may create such entities in the tenant, or else in each of the groups."""
    action = f"{kind.value}_create"
    for group_id in set(groups):
        group = tx.get(Group, standing.tenant.id, group_id) if group_id is not None else None
        if group_id is not None and group is None:
            raise NotFound("there is no such parent group")
        if standing.allows(action):
            continue
        if group is None:
            raise Forbidden
        require(tx, standing, Kind.GROUP, group, action)


def keep_limit(tx: Tx, standing: Standing, more: int) -> None:
    """Raise LimitReached when *more* devices would exceed the tenant's limit; exact under concurrency."""
    keep_limit_of(tx, standing.tenant, more)


def keep_limit_of(tx: Tx, tenant: Tenant, more: int) -> None:
    """Do as keep_limit where nobody stands for the tenant: a device provisions itself."""
    limit = tenant.max_devices
    if limit < 0:
        return
    tx.lock(f"devices:{tenant.id}")
    if tx.count(Device, tenant.id) + more > limit:
        raise LimitReached(f"the tenant may hold {limit} devices")


def _device(tx: Tx, caller: Caller, tenant_id: TenantId, new: NewDevice) -> Device:
    return Device(
        id=DeviceId(names.check_key("id", new.id or tx.new_id())),
        tenant_id=tenant_id,
        name=new.name,
        identity=names.check_key("identity", new.identity),
        secret=new.secret or (Secret(tx.new_secret()) if new.needs_secret else None),
        status=new.status,
        tags=new.tags,
        metadata=new.metadata,
        group_id=new.group_id,
        via=new.via,
        extensions=new.extensions,
        created_by=caller.id,
        created_at=tx.now,
    )


def _channel(tx: Tx, caller: Caller, tenant_id: TenantId, new: NewChannel) -> Channel:
    return Channel(
        id=ChannelId(names.check_key("id", new.id or tx.new_id())),
        tenant_id=tenant_id,
        name=new.name,
        route=names.check_key("route", new.route) if new.route is not None else None,
        status=new.status,
        tags=new.tags,
        metadata=new.metadata,
        group_id=new.group_id,
        created_by=caller.id,
        created_at=tx.now,
    )


# --- reading -------------------------------------------------------------------------------------------


def fetch(
    tx: Tx, caller: Caller, tenant_id: TenantId, kind: type[Entity], entity_id: str, action: str = "read"
) -> Entity:
    """Give the entity if the caller may do *action* to it; NotFound or Forbidden as access.require says."""
    standing = access.enter(tx, caller, tenant_id)
    found = tx.get(kind, tenant_id, entity_id)
    if found is None:
        raise NotFound
    require(tx, standing, KINDS[kind], found, action)
    return found


def get_device(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str) -> Device:
    """Give a device, its secret with it."""
    return fetch(tx, caller, tenant_id, Device, device_id)


def get_channel(tx: Tx, caller: Caller, tenant_id: TenantId, channel_id: str) -> Channel:
    """Give a channel."""
    return fetch(tx, caller, tenant_id, Channel, channel_id)


def list_devices(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    *conditions: Condition,
    asked: Rights | None = None,
    order: Order,
    window: Window,
) -> Page[Device]:
    """List the devices of the tenant that the caller may read; *asked* narrows it to certain rights."""
    standing = access.enter(tx, caller, tenant_id)
    seen = (*standing.visible(Kind.DEVICE), *narrowed(tx, standing, Kind.DEVICE, asked))
    return tx.page(Device, tenant_id, *seen, *conditions, order=order, window=window)


def list_channels(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    *conditions: Condition,
    asked: Rights | None = None,
    order: Order,
    window: Window,
) -> Page[Channel]:
    """List the channels of the tenant that the caller may read; *asked* narrows it to certain rights."""
    standing = access.enter(tx, caller, tenant_id)
    seen = (*standing.visible(Kind.CHANNEL), *narrowed(tx, standing, Kind.CHANNEL, asked))
    return tx.page(Channel, tenant_id, *seen, *conditions, order=order, window=window)


# --- change --------------------------------------------------------------------------------------------


def update(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    kind: type[Entity],
    entity_id: str,
    change: Callable[[Entity], Entity],
) -> Entity:
    """Change name, tags, metadata and the like. A disabled entity cannot be changed: NotFound."""
    entity = fetch(tx, caller, tenant_id, kind, entity_id, "update")
    if entity.status is not Status.ENABLED:
        raise NotFound
    changed = change(entity)
    if isinstance(changed, Channel) and isinstance(entity, Channel) and changed.route != entity.route:
        names.check_key("route", changed.route or "")
        names.claim_channels(tx, tenant_id, [changed], chosen=[])
    return _write(tx, caller, changed, "update")


def _write(tx: Tx, caller: Caller, entity: Entity, verb: str) -> Entity:
    changed = replace(entity, updated_at=tx.now, updated_by=caller.id)
    if isinstance(changed, Device):
        changed = replace(changed, revision=changed.revision + 1)
        topic = Topic.CREDENTIALS if verb == "secret" else Topic.UPDATED
        webhooks.tell(tx, changed.tenant_id, topic, [changed.id])
    tx.change(changed)
    record(tx, caller, entity.tenant_id, f"{KINDS[type(entity)].value}.{verb}", [entity.id])
    return changed


def rotate_secret(
    tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str, secret: Secret | None = None
) -> Device:
    """Give a device another secret (a fresh one without *secret*); the old one ends at once everywhere."""
    device = fetch(tx, caller, tenant_id, Device, device_id, "update")
    if device.status is not Status.ENABLED:
        raise NotFound
    spoil_answers(tx, tenant_id, [device])
    events.access_ended(tx, tenant_id, [device.id])
    return _write(tx, caller, replace(device, secret=secret or Secret(tx.new_secret())), "secret")


def set_status(
    tx: Tx, caller: Caller, tenant_id: TenantId, kind: type[Entity], entity_id: str, status: Status
) -> Entity:
    """Enable or disable; a disabled device or channel is out everywhere. SameStatus when it is so already."""
    entity = fetch(tx, caller, tenant_id, kind, entity_id, "update")
    if entity.status is status:
        raise SameStatus
    if isinstance(entity, Device):
        if status is not Status.ENABLED:  # nothing of it is left that enabling could change
            events.access_ended(tx, tenant_id, [entity.id])
    else:
        events.rights_changed(tx, tenant_id, connections.devices_of(tx, tenant_id, entity.id))
        if status is not Status.ENABLED:
            events.channel_closed(tx, tenant_id, entity.id)
    return _write(tx, caller, replace(entity, status=status), f"{status.value.removesuffix('d')}")


def set_group(
    tx: Tx, caller: Caller, tenant_id: TenantId, kind: type[Entity], entity_id: str, group_id: str | None
) -> Entity:
    """Put it into a group, or (None) out of any; a right on both sides is needed."""
    entity = fetch(tx, caller, tenant_id, kind, entity_id, "set_parent_group")
    if group_id is not None:
        group = tx.get(Group, tenant_id, group_id)
        require(tx, access.enter(tx, caller, tenant_id), Kind.GROUP, group, "set_child")
    return _write(
        tx, caller, replace(entity, group_id=None if group_id is None else GroupId(group_id)), "group"
    )


# --- deletion ------------------------------------------------------------------------------------------


def delete_device(tx: Tx, caller: Caller, tenant_id: TenantId, device_id: str) -> None:
    """Delete a device and all that hangs on it; its sessions end."""
    device = fetch(tx, caller, tenant_id, Device, device_id, "delete")
    remove_devices(tx, caller, tenant_id, [device])


def remove_devices(tx: Tx, caller: Caller, tenant_id: TenantId, devices: Sequence[Device]) -> None:
    """Delete the devices, whoever may; with connections, bootstrap configuration, roles and presence."""
    ids = [device.id for device in devices]
    if not ids:
        return
    # The MQTT client ids stay the device's until the broker has dropped its sessions (messaging.release).
    for noun in (Connection, BootstrapConfig, Presence):
        tx.remove(noun, tenant_id, device_id=ids)
    _remove_roles(tx, tenant_id, Kind.DEVICE, ids)
    validity.end_with_devices(tx, tenant_id, ids)
    deny_again(tx, caller, tenant_id, ids)
    tx.remove(Device, tenant_id, id=ids)
    spoil_answers(tx, tenant_id, devices)
    events.access_ended(tx, tenant_id, ids)
    webhooks.tell(tx, tenant_id, Topic.DELETED, ids)
    record(tx, caller, tenant_id, "device.delete", ids)


def deny_again(tx: Tx, caller: Caller, tenant_id: TenantId, device_ids: Sequence[str]) -> None:
    """See to it that devices which provisioned themselves do not come back by themselves."""
    for contact in tx.select(FirstContact, tenant_id, OneOf("device_id", device_ids)):
        key, name = contact.denial
        if tx.find(Denial, tenant_id, key=key) is None:
            denial = Denial(
                tenant_id=tenant_id,
                key=key,
                name=name,
                comment=f"deleted: {contact.device_id}",
                created_by=caller.id,
                created_at=tx.now,
            )
            tx.add(denial)


def delete_channel(tx: Tx, caller: Caller, tenant_id: TenantId, channel_id: str) -> None:
    """Delete a channel and its connections; the devices' sessions are refreshed."""
    channel = fetch(tx, caller, tenant_id, Channel, channel_id, "delete")
    remove_channels(tx, caller, tenant_id, [channel])


def remove_channels(tx: Tx, caller: Caller, tenant_id: TenantId, channels: Sequence[Channel]) -> None:
    """Delete the channels, whoever may; with connections and roles."""
    ids = [channel.id for channel in channels]
    if not ids:
        return
    affected = {d for channel_id in ids for d in connections.devices_of(tx, tenant_id, channel_id)}
    tx.remove(Connection, tenant_id, channel_id=ids)
    _remove_roles(tx, tenant_id, Kind.CHANNEL, ids)
    tx.remove(Channel, tenant_id, id=ids)
    tenant = tx.get(Tenant, ANYWHERE, tenant_id)
    for channel in channels:
        events.channel_deleted(tx, channel, tenant.alias if tenant is not None else None)
    spoil_answers(tx, tenant_id, channels)
    events.rights_changed(tx, tenant_id, sorted(affected))
    record(tx, caller, tenant_id, "channel.delete", ids)


def _remove_roles(tx: Tx, tenant_id: TenantId, kind: Kind, entity_ids: Sequence[str]) -> None:
    on_them = (Is("entity_kind", kind), OneOf("entity_id", entity_ids))
    role_ids = [role.id for role in tx.select(Role, tenant_id, *on_them)]
    if role_ids:
        tx.remove(Member, tenant_id, role_id=role_ids)
        tx.remove(Role, tenant_id, id=role_ids)
