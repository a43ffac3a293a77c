"""Domains (spec A.2); a domain is a tenant."""

import re
from dataclasses import replace

from litestar import get, patch, post

from muster.core import tenancy
from muster.core.access import Caller
from muster.core.errors import Malformed
from muster.core.model import Kind, Status, Tenant, TenantId
from muster.core.names import check_name
from muster.core.ports import ANYWHERE, Tx
from muster.core.rights import own_roles, tenants_with
from muster.core.users import list_members
from muster.dialects.magistrala import queries, users, wire
from muster.dialects.magistrala.clients import UUID, itself
from muster.dialects.magistrala.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply
from muster.web.wire import window

_ALIAS = re.compile(r"[^\s/\x00-\x1f\x7f-\x9f]{1,254}")


def _alias(alias: str | None) -> str:
    if not alias:
        raise Malformed("missing alias")
    if not _ALIAS.fullmatch(alias):
        raise Malformed("invalid alias")
    return alias


def _name(name: str | None) -> str:
    if not name:
        raise Malformed("missing identity name")
    return check_name(name)


def _shown(tenant: Tenant) -> Reply:
    return Reply(body=wire.domain(tenant))


def _nothing(_: Tenant) -> Reply:
    return Reply()


def _created(tenant: Tenant) -> Reply:
    return Reply(status=201, body=wire.domain(tenant), headers={"Location": f"/domains/{tenant.id}"})


@post("/domains", operation_id="createDomain", status_code=201)
async def create_domain(
    request: AnyRequest, data: wire.NewDomain, desk: Desk, options: Options
) -> Rendered[wire.Domain]:
    """Create a domain; its creator becomes its first admin."""
    if data.id and not UUID.fullmatch(data.id):
        raise Malformed("invalid id format provided")
    new = tenancy.NewTenant(
        id=TenantId(data.id) if data.id else None,
        name=_name(data.name),
        alias=_alias(data.alias or data.route),
        status=wire.status_of(data.status),
        tags=tuple(data.tags or ()),
        metadata=options.metadata(data.metadata),
    )
    return await desk.run(request, tenancy.create_tenant, new, reply=_created)


_QUERY = {**queries.listed(queries.ENTITY_ORDERS, "name", "id", "alias"), **queries.RIGHTS}


@get("/domains", operation_id="listDomains", opt={"query": _QUERY})
async def list_domains(request: AnyRequest, desk: Desk) -> Rendered[wire.DomainPage]:
    """List the caller's domains, each with the caller's role; an admin sees all."""
    asked, conditions = window(request), queries.filters(request, "name", "id", "alias")
    order, rights = queries.order(request), queries.rights(request)

    def listed(tx: Tx, caller: Caller) -> Reply:
        narrow = tenants_with(tx, caller, rights)
        page = tenancy.list_tenants(tx, caller, *narrow, *conditions, order=order, window=asked)
        roles = own_roles(tx, caller, ANYWHERE, Kind.TENANT, page.items)
        domains = [wire.domain(tenant, roles.get(tenant.id)) for tenant in page.items]
        body = wire.DomainPage(limit=asked.limit or 0, offset=asked.offset, total=page.total, domains=domains)
        return Reply(body=body)

    return await desk.read(request, listed, reply=itself)


@get("/domains/{domain:str}", operation_id="getDomain")
async def get_domain(request: AnyRequest, domain: str, desk: Desk) -> Rendered[wire.Domain]:
    """Show a domain to its members."""
    return await desk.read(request, tenancy.get_tenant, TenantId(domain), reply=_shown)


@patch("/domains/{domain:str}", operation_id="updateDomain")
async def update_domain(
    request: AnyRequest, domain: str, data: wire.DomainChange, desk: Desk, options: Options
) -> Rendered[wire.Domain]:
    """Change name, metadata, tags or alias; what is absent stays."""

    def change(tenant: Tenant) -> Tenant:
        return replace(
            tenant,
            name=tenant.name if data.name is None else _name(data.name),
            alias=tenant.alias if data.alias is None else _alias(data.alias),
            tags=tenant.tags if data.tags is None else tuple(data.tags),
            metadata=options.changed_metadata(data.metadata, tenant.metadata),
        )

    return await desk.run(request, tenancy.update_tenant, TenantId(domain), change, reply=_shown)


@post("/domains/{domain:str}/enable", operation_id="enableDomain", status_code=200)
async def enable_domain(request: AnyRequest, domain: str, desk: Desk) -> Rendered[None]:
    """Open a domain again."""
    tenant = TenantId(domain)
    return await desk.run(request, tenancy.set_tenant_status, tenant, Status.ENABLED, reply=_nothing)


@post("/domains/{domain:str}/disable", operation_id="disableDomain", status_code=200)
async def disable_domain(request: AnyRequest, domain: str, desk: Desk) -> Rendered[None]:
    """Close a domain for all but those who may open it again; its devices are out."""
    tenant = TenantId(domain)
    return await desk.run(request, tenancy.set_tenant_status, tenant, Status.DISABLED, reply=_nothing)


@post("/domains/{domain:str}/freeze", operation_id="freezeDomain", status_code=200)
async def freeze_domain(request: AnyRequest, domain: str, desk: Desk) -> Rendered[None]:
    """Close a domain for all but the installation's admins, who alone may."""
    tenant = TenantId(domain)
    return await desk.run(request, tenancy.set_tenant_status, tenant, Status.FROZEN, reply=_nothing)


_USERS = queries.listed(users.ORDERS, "id", *users.NAMES)


@get("/{domain:str}/users", operation_id="listDomainUsers", opt={"query": _USERS})
async def list_users(request: AnyRequest, domain: str, desk: Desk) -> Rendered[wire.UserPage]:
    """List the users who hold any role in a domain, for those who may see members."""
    return await desk.read(
        request,
        list_members,
        TenantId(domain),
        *queries.filters(request, "id", **users.NAMES),
        order=queries.order(request, users.ORDERS, is_strict=True),
        window=window(request),
        reply=users.page(request, wire.reduced_user),
    )


HANDLERS = [
    create_domain,
    list_domains,
    get_domain,
    update_domain,
    enable_domain,
    disable_domain,
    freeze_domain,
    list_users,
]
