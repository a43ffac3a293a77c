"""Credentials (spec A.1, A.7)."""

from typing import Any

from litestar import get, put

from muster.core import access, credentials
from muster.core.access import Caller
from muster.core.credentials import Held
from muster.core.model import TenantId
from muster.core.ports import Tx
from muster.dialects.hono import credential_wire
from muster.dialects.hono.headers import changed, checked, expected, found
from muster.dialects.hono.options import Options
from muster.web.desk import AnyRequest, Desk, Rendered, Reply


def _shown(held: Held) -> Reply:
    made, version = held
    return found([credential_wire.shown(each) for each in made], version)


@get("/v1/credentials/{tenant:str}/{device:str}", operation_id="getAllCredentials")
async def get_credentials(
    request: AnyRequest, tenant: str, device: str, desk: Desk, options: Options
) -> Rendered[list[dict[str, Any]]]:
    """Show a device's credentials without what is confidential."""
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))
    checked(device, options.device_id, "device id")
    return await desk.read(request, credentials.get_credentials, known, device, reply=_shown)


@put("/v1/credentials/{tenant:str}/{device:str}", operation_id="updateCredentials", status_code=204)
async def update_credentials(
    request: AnyRequest,
    tenant: str,
    device: str,
    data: list[dict[str, Any]],
    desk: Desk,
    options: Options,
) -> Rendered[None]:
    """Put another set of credentials in the place of the device's; secrets named by id keep what they had."""
    known = TenantId(checked(tenant, options.tenant_id, "tenant id"))
    checked(device, options.device_id, "device id")
    read = await credential_wire.read(data, credential_wire.Reading(known, device, options))
    version = expected(request)

    def replaced(tx: Tx, caller: Caller) -> Held:
        access.enter(tx, caller, known)
        wanted = credential_wire.named(tx, known, read, options)
        return credentials.replace_credentials(tx, caller, known, device, wanted, version)

    return await desk.run(request, replaced, reply=lambda held: changed(held[1]))


HANDLERS = [get_credentials, update_credentials]
