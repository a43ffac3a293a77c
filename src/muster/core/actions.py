"""The one table of rights: what roles on an entity can allow."""

from muster.core.model import Kind

_ROLES = ("manage_role", "add_role_users", "remove_role_users", "view_role_users")
DEVICE_ACTIONS = ("update", "read", "delete", "set_parent_group", "connect_to_channel", *_ROLES)
CHANNEL_ACTIONS = (
    "update",
    "read",
    "delete",
    "set_parent_group",
    "connect_to_device",
    "publish",
    "subscribe",
    *_ROLES,
)
_GROUP_OWN = ("update", "read", "membership", "delete", "set_child", "set_parent", *_ROLES)
INSIDE = (
    "device_create",
    *(f"device_{a}" for a in DEVICE_ACTIONS),
    "channel_create",
    *(f"channel_{a}" for a in CHANNEL_ACTIONS),
    "group_create",
    *(f"group_{a}" for a in _GROUP_OWN),
)
"""What a role on a tenant or group can allow to do to what is in it."""
GROUP_ACTIONS = (*_GROUP_OWN, *INSIDE)
TENANT_ACTIONS = ("update", "enable", "disable", "read", "delete", "membership", *_ROLES, *INSIDE)
ACTIONS: dict[Kind, tuple[str, ...]] = {
    Kind.TENANT: TENANT_ACTIONS,
    Kind.GROUP: GROUP_ACTIONS,
    Kind.DEVICE: DEVICE_ACTIONS,
    Kind.CHANNEL: CHANNEL_ACTIONS,
}
"""What a role on an entity of that kind can allow. In a role on a tenant or group, `device_read` is the
action `read` on the devices inside it, however deep."""

BUILTIN_ROLE = "admin"
IMPLIED = "admin-"
"""Before an entity's id: the id of its role `admin` until one is stored."""
