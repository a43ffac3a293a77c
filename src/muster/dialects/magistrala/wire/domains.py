"""Domains as Magistrala writes and reads them."""

from typing import Any

import msgspec

from muster.core.model import Role, Tenant
from muster.dialects.magistrala.wire.common import In, Out, role_fields, status_text
from muster.web.wire import rfc3339


class Domain(Out, kw_only=True):
    """A tenant, as Magistrala shows it."""

    id: str
    name: str = ""
    metadata: dict[str, Any] = {}
    tags: list[str] = []
    alias: str = ""
    status: str
    created_by: str = ""
    created_at: str
    updated_by: str = ""
    updated_at: str
    role_id: str = ""
    role_name: str = ""
    actions: list[str] = []


def domain(tenant: Tenant, role: Role | None = None) -> Domain:
    """Show a tenant; in a list with the caller's role."""
    return Domain(
        id=tenant.id,
        name=tenant.name,
        metadata=dict(tenant.metadata),
        tags=list(tenant.tags),
        alias=tenant.alias or "",
        status=status_text(tenant.status),
        created_by=tenant.created_by,
        created_at=rfc3339(tenant.created_at),
        updated_by=tenant.updated_by,
        updated_at=rfc3339(tenant.updated_at),
        **role_fields(role),
    )


class NewDomain(In, kw_only=True):
    """A domain to be created."""

    id: str | None = None
    name: str | None = None
    alias: str | None = None
    route: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    status: str | None = None


class DomainChange(In, kw_only=True):
    """What to change of a domain."""

    name: str | None = None
    alias: str | None = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None


class DomainPage(msgspec.Struct, kw_only=True):
    """A window of domains."""

    limit: int
    offset: int
    total: int
    domains: list[Domain]
