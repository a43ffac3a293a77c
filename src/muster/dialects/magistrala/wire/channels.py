"""Channels and connections as Magistrala writes and reads them."""

from typing import Any

import msgspec

from muster.core.model import Channel, Flow, Role
from muster.dialects.magistrala.wire.common import In, Out, connection_types, role_fields
from muster.web.wire import rfc3339


class ChannelOut(Out, kw_only=True):
    """A channel, as Magistrala shows it: its status only when it is not enabled."""

    id: str
    name: str = ""
    tags: list[str] = []
    parent_group_id: str = ""
    domain_id: str
    metadata: dict[str, Any] = {}
    route: str = ""
    created_at: str
    updated_at: str
    updated_by: str = ""
    status: str = "enabled"
    connection_types: list[str] = []
    role_id: str = ""
    role_name: str = ""
    actions: list[str] = []


def channel(found: Channel, *, flow: Flow | None = None, role: Role | None = None) -> ChannelOut:
    """Show a channel; in a list with how it is connected and the caller's role, if that was asked."""
    return ChannelOut(
        id=found.id,
        name=found.name,
        tags=list(found.tags),
        parent_group_id=found.group_id or "",
        domain_id=found.tenant_id,
        metadata=dict(found.metadata),
        route=found.route or "",
        created_at=rfc3339(found.created_at),
        updated_at=rfc3339(found.updated_at),
        updated_by=found.updated_by,
        status=found.status.value,
        connection_types=connection_types(flow),
        **role_fields(role),
    )


class NewChannel(In, kw_only=True):
    """A channel to be created."""

    id: str | None = None
    name: str | None = None
    route: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    status: str | None = None
    parent_group_id: str | None = None


class ChannelPage(msgspec.Struct, kw_only=True):
    """A window of channels."""

    limit: int
    offset: int
    total: int
    channels: list[ChannelOut]


class ChannelsMade(msgspec.Struct, kw_only=True):
    """What a bulk creation answers: a page without a limit."""

    offset: int = 0
    total: int
    channels: list[ChannelOut]


class Connect(In, kw_only=True):
    """Which clients to connect to which channels, and how."""

    channel_ids: list[str] | None = None
    client_ids: list[str] | None = None
    types: list[str] | None = None


class ConnectClients(In, kw_only=True):
    """Which clients to connect to the channel of the path, and how."""

    client_ids: list[str] | None = None
    types: list[str] | None = None
