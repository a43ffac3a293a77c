"""Tenants (spec A.1, A.3)."""

from typing import Any

from litestar import delete, get, post, put

from muster.core import metering, tenants, versions
from muster.core.access import Caller
from muster.core.errors import NotFound
from muster.core.metering import Allowance, Kind
from muster.core.model import Tenant, TenantId
from muster.core.ports import Page, Tx
from muster.core.tenants import Whole
from muster.dialects.hono import search
from muster.dialects.hono.headers import changed, checked, created, expected, found, gone
from muster.dialects.hono.options import Options
from muster.dialects.hono.problems import MEDIA_TYPE
from muster.dialects.hono.tenant_wire import TenantBody, cas, change, new_tenant, shown
from muster.dialects.hono.times import write_time
from muster.web.desk import AnyRequest, Desk, Rendered, Reply

EMPTY = TenantBody()


def _made(whole: Whole) -> Reply:
    return created("tenants", versions.tenant_version(whole.tenant), whole.tenant.id)


@post("/v1/tenants", operation_id="createTenantWithGeneratedId", status_code=201, opt={"body": "optional"})
async def create_tenant(
    request: AnyRequest, desk: Desk, options: Options, data: TenantBody = EMPTY
) -> Rendered[dict[str, str]]:
    """Create a tenant; its id is made up."""
    new = new_tenant(None, data)
    return await desk.run(request, tenants.create, new, cas(data, options), reply=_made)


@post("/v1/tenants/{tenant:str}", operation_id="createTenant", status_code=201, opt={"body": "optional"})
async def create_tenant_with_id(
    request: AnyRequest, tenant: str, desk: Desk, options: Options, data: TenantBody = EMPTY
) -> Rendered[dict[str, str]]:
    """Create a tenant, with its trusted CAs, in one request."""
    new = new_tenant(checked(tenant, options.tenant_id, "tenant id"), data)
    return await desk.run(request, tenants.create, new, cas(data, options), reply=_made)


@get("/v1/tenants", operation_id="searchTenants", opt={"query": search.PARAMETERS})
async def search_tenants(request: AnyRequest, desk: Desk, options: Options) -> Rendered[dict[str, Any]]:
    """Search the tenants the caller may read; 404 when there is none."""
    conditions = search.conditions(request, search.tenant_place, options.certificates)
    order, window = search.order(request, search.tenant_place), search.window(request)

    def listed(tx: Tx, caller: Caller) -> tuple[Page[Tenant], list[Whole]]:
        page = tenants.search(tx, caller, *conditions, order=order, window=window)
        return page, [Whole(tenant=each, cas=tenants.cas_of(tx, each.id)) for each in page.items]

    def answer(result: tuple[Page[Tenant], list[Whole]]) -> Reply:
        page, wholes = result
        if not page.total:
            raise NotFound("no tenant matches")
        body = {"total": page.total, "result": [shown(each, with_id=True) for each in wholes]}
        return Reply(body=body, media_type=MEDIA_TYPE)

    return await desk.read(request, listed, reply=answer)


@get("/v1/tenants/{tenant:str}", operation_id="getTenant")
async def get_tenant(
    request: AnyRequest, tenant: str, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Show a tenant."""
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))

    def answer(whole: Whole) -> Reply:
        return found(shown(whole), versions.tenant_version(whole.tenant))

    return await desk.read(request, tenants.get, known, reply=answer)


@put("/v1/tenants/{tenant:str}", operation_id="updateTenant", status_code=204)
async def update_tenant(
    request: AnyRequest, tenant: str, data: TenantBody, desk: Desk, options: Options
) -> Rendered[None]:
    """Put another description in the place of the tenant's."""

    def wanted(old: Tenant) -> Tenant:
        return change(old, data)

    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))
    args = (known, wanted, cas(data, options), expected(request))
    return await desk.run(
        request, tenants.replace_tenant, *args, reply=lambda w: changed(versions.tenant_version(w.tenant))
    )


@delete("/v1/tenants/{tenant:str}", operation_id="deleteTenant", status_code=204)
async def delete_tenant(request: AnyRequest, tenant: str, desk: Desk, options: Options) -> Rendered[None]:
    """Delete a tenant with all its devices and credentials."""
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))
    return await desk.run(request, tenants.delete, known, expected(request), reply=gone)


_LIMITS = {Kind.BYTES: "data-volume", Kind.SECONDS: "connection-duration"}


def _used(allowed: Allowance, amount: int) -> dict[str, Any]:
    return {
        f"used-{allowed.kind}": amount,
        f"max-{allowed.kind}": allowed.most,
        "since": write_time(allowed.since),
        "until": write_time(allowed.until),
    }


@get("/v1/tenants/{tenant:str}/usage", operation_id="getUsage")
async def get_usage(
    request: AnyRequest, tenant: str, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Show what of a tenant's limits is used in the period that runs now (an addition of Muster's).

    Limits that do not count now are left out; adapters tell what they took in every two seconds.
    """
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))

    def answer(held: list[tuple[Allowance, int]]) -> Reply:
        body = {_LIMITS[allowed.kind]: _used(allowed, amount) for allowed, amount in held}
        return Reply(body=body, media_type=MEDIA_TYPE)

    return await desk.read(request, metering.usage, known, reply=answer)


HANDLERS = [
    create_tenant,
    create_tenant_with_id,
    search_tenants,
    get_tenant,
    update_tenant,
    delete_tenant,
    get_usage,
]
