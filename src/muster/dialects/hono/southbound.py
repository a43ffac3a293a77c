"""What adapters ask, over HTTP: the shapes, statuses and cache hints of Hono's AMQP operations (spec B)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from litestar import post

from muster.core import access, contacts, gateways, southbound, tenants
from muster.core.access import Caller
from muster.core.errors import Malformed, NotFound, TenantClosed, Unauthenticated
from muster.core.gateways import Unannounced
from muster.core.identity import CERTIFICATE, PASSWORD, Shown, hono
from muster.core.model import Device, Status, Tenant, TenantId
from muster.core.ports import Tx
from muster.core.southbound import Login, Unregistered
from muster.dialects.hono import credential_wire
from muster.dialects.hono.headers import answered, checked
from muster.dialects.hono.options import Options
from muster.dialects.hono.tenant_wire import shown_ca
from muster.dialects.hono.times import read_base64
from muster.web.desk import AnyRequest, Desk, Rendered, Reply

_TENANT_AGE, _CREDENTIALS_AGE, _ASSERTION_AGE = 180, 180, 300


class TenantQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A tenant's id or alias, or the subject of a CA it trusts."""

    tenant_id: str | None = None
    subject_dn: str | None = None


class AssertQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """A device, and the gateway that speaks for it."""

    device_id: str
    gateway_id: str | None = None


def _allowed(tx: Tx, caller: Caller, find: Callable[[Tx, str], Tenant], name: str) -> Tenant:
    """Whoever may change the tenant's devices may ask as an adapter does: the answers hold verifiers.

    TenantClosed for what nobody has and for what others have: it looks the same.
    """
    try:
        tenant = find(tx, name)
    except NotFound:
        raise TenantClosed from None
    access.enter(tx, caller, tenant.id).require("device_update")
    return tenant


@post(
    "/v1/southbound/tenant",
    operation_id="southboundGetTenant",
    status_code=200,
    opt={"errors": (NotFound,)},
)
async def get_tenant(
    request: AnyRequest, data: TenantQuery, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Find a tenant by id, alias or the subject of a trusted CA (Tenant API, get)."""
    if (data.tenant_id is None) == (data.subject_dn is None):
        raise Malformed("give tenant-id or subject-dn")
    key = options.certificates.name(data.subject_dn).key if data.subject_dn is not None else ""

    def found(tx: Tx, caller: Caller) -> Reply:
        if data.tenant_id is not None:
            tenant = _allowed(tx, caller, southbound.find_tenant, data.tenant_id)
        else:
            tenant = _allowed(tx, caller, southbound.tenant_of_ca, key)
        valid = [ca for ca in tenants.cas_of(tx, tenant.id) if ca.is_valid(tx.now)]
        kept = hono(tenant.extensions)
        for name in ("registration-limits", "trust-anchor-group"):
            kept.pop(name, None)
        document = {"tenant-id": tenant.id, "enabled": tenant.status is Status.ENABLED, **kept}
        if valid:
            document["trusted-ca"] = [shown_ca(ca, for_adapters=True) for ca in valid]
        return answered(document, max_age=_TENANT_AGE)

    return await desk.read(request, found, reply=lambda reply: reply)


@post(
    "/v1/southbound/registration/{tenant:str}", operation_id="southboundAssertRegistration", status_code=200
)
async def assert_registration(
    request: AnyRequest, tenant: str, data: AssertQuery, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Assert that a device is registered and enabled, and its gateway allowed (Registration API, assert)."""
    checked(data.device_id, options.device_id, "device id")

    def asserted(tx: Tx, caller: Caller) -> Reply:
        known = _allowed(tx, caller, southbound.find_tenant, tenant)
        device = gateways.assert_device(tx, known, data.device_id, data.gateway_id)
        if isinstance(device, Unannounced):
            ids = (data.device_id, data.gateway_id or "")
            device, _ = gateways.announce(tx, known.id, *ids, device_ids=options.device_id)
        return answered(_assertion(tx, device), max_age=_ASSERTION_AGE)

    return await desk.run(request, asserted, reply=lambda reply: reply)


def _assertion(tx: Tx, device: Device) -> dict[str, Any]:
    kept = hono(device.extensions)
    document: dict[str, Any] = {"device-id": device.id, "via": list(gateways.gateways_of(tx, device))}
    for name in ("defaults", "downstream-message-mapper", "upstream-message-mapper", "command-endpoint"):
        document[name] = kept.get(name)
    return {name: value for name, value in document.items() if value}


@post("/v1/southbound/credentials/{tenant:str}", operation_id="southboundGetCredentials", status_code=200)
async def get_credentials(
    request: AnyRequest, tenant: str, data: dict[str, Any], desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Find an enabled credential (Credentials API, get); 201 when the certificate provisioned the device.

    Besides `type`, `auth-id` and `client-certificate` any members are a context that must fit the credential.
    `client-certificate-chain` holds intermediates (an addition of Muster's).
    """
    type_, auth_id = _text(data, "type"), _text(data, "auth-id")
    if "device-id" in data:
        raise Malformed("auth-id and device-id do not go together")
    chain = _chain(data)
    context = {k: v for k, v in data.items() if k not in _QUERY}
    _, auth_key = credential_wire.names(type_, auth_id, options)

    def found(tx: Tx, caller: Caller) -> Reply:
        known = _allowed(tx, caller, southbound.find_tenant, tenant)
        try:
            login, is_new = southbound.find_login(tx, known.id, type_, auth_key, context), False
        except Unauthenticated as error:
            if not chain or type_ != CERTIFICATE:
                raise NotFound(error.message) from None
            login, is_new = _by_chain(tx, known, chain, auth_id, options)
        max_age = _CREDENTIALS_AGE if type_ in (PASSWORD, CERTIFICATE) else None
        document = credential_wire.shown(login.credential, for_adapters=True)
        return answered(document, max_age=max_age, status=201 if is_new else 200)

    return await desk.run(request, found, reply=lambda reply: reply)


_QUERY = {"type", "auth-id", "client-certificate", "client-certificate-chain"}


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{name} is missing")
    return value


def _chain(data: dict[str, Any]) -> list[bytes]:
    leaf, rest = data.get("client-certificate"), data.get("client-certificate-chain", [])
    if leaf is None:
        return []
    if not isinstance(rest, list) or not all(isinstance(each, str) for each in [leaf, *rest]):
        raise Malformed("client-certificate is Base64 of DER, client-certificate-chain a list of such")
    return [read_base64(each) for each in [leaf, *rest]]


def _by_chain(
    tx: Tx, tenant: Tenant, chain: list[bytes], auth_id: str, options: Options
) -> tuple[Login, bool]:
    """Provision what the certificate names; the adapter's word that it is valid is not enough."""
    options.certificates.read(chain[0])
    try:
        verified = options.certificates.verify(chain, tenants.cas_of(tx, tenant.id), tx.now)
        # Adapters get the tenant's OCSP settings and ask the responder themselves (spec B.2, C.1).
        shown = replace(verified, is_checked=True)
        _check_auth_id(tx, tenant.id, shown, auth_id, options)
        known = southbound.certificate_login(tx, tenant.id, shown)
        if isinstance(known, Unregistered):
            return contacts.first_contact(tx, tenant.id, shown, device_ids=options.device_id)
    except Unauthenticated as error:
        raise NotFound(error.message) from None
    return known, False


def _check_auth_id(tx: Tx, tenant_id: TenantId, shown: Shown, auth_id: str, options: Options) -> None:
    ca = next(each for each in tenants.cas_of(tx, tenant_id) if each.id == shown.ca_id)
    _, meant = credential_wire.names(CERTIFICATE, auth_id, options)
    if meant not in (southbound.auth_of(ca, shown)[1], shown.subject.key):
        raise Malformed("the certificate's subject is not the auth-id")


HANDLERS = [get_tenant, assert_registration, get_credentials]
