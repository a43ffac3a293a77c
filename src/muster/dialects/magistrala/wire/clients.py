"""Clients as Magistrala writes and reads them."""

from typing import Any

import msgspec

from muster.core.model import Device, Flow, Role
from muster.dialects.magistrala.wire.common import In, Out, connection_types, role_fields
from muster.web.wire import rfc3339


class Credentials(Out, kw_only=True):
    """How a client proves who it is."""

    identity: str = ""
    secret: str = ""


class Client(Out, kw_only=True):
    """A device, as Magistrala shows it."""

    id: str
    name: str = ""
    tags: list[str] = []
    domain_id: str
    parent_group_id: str = ""
    credentials: Credentials
    metadata: dict[str, Any] = {}
    created_at: str
    updated_at: str
    updated_by: str = ""
    status: str
    connection_types: list[str] = []
    role_id: str = ""
    role_name: str = ""
    actions: list[str] = []


def client(
    device: Device, *, shows_secret: bool = True, flow: Flow | None = None, role: Role | None = None
) -> Client:
    """Show a device; in a list with how it is connected and the caller's role, if that was asked."""
    secret = device.secret.reveal() if shows_secret and device.secret is not None else ""
    return Client(
        id=device.id,
        name=device.name,
        tags=list(device.tags),
        domain_id=device.tenant_id,
        parent_group_id=device.group_id or "",
        credentials=Credentials(identity=device.identity if shows_secret else "", secret=secret),
        metadata=dict(device.metadata),
        created_at=rfc3339(device.created_at),
        updated_at=rfc3339(device.updated_at),
        updated_by=device.updated_by,
        status=device.status._value_,
        connection_types=connection_types(flow),
        **role_fields(role),
    )


class NewCredentials(In, kw_only=True):
    """Credentials a client is created with."""

    identity: str | None = None
    secret: str | None = None


class NewClient(In, kw_only=True):
    """A client to be created."""

    id: str | None = None
    name: str | None = None
    tags: list[str] | None = None
    credentials: NewCredentials | None = None
    metadata: dict[str, Any] | None = None
    status: str | None = None
    parent_group_id: str | None = None


class ClientPage(msgspec.Struct, kw_only=True):
    """A window of clients."""

    limit: int
    offset: int
    total: int
    clients: list[Client]


class ClientsMade(msgspec.Struct, kw_only=True):
    """What a bulk creation answers: a page without a limit."""

    offset: int = 0
    total: int
    clients: list[Client]
