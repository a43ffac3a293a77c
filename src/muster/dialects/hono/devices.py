"""Devices (spec A.1, A.5), and what may not provision itself (ours)."""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import delete, get, post, put

from muster.core import credentials, devices, registry, tenants, versions
from muster.core.access import Caller
from muster.core.errors import Malformed, NotFound, TenantClosed
from muster.core.identity import Denial, FirstContact, denied_device, denied_subject
from muster.core.model import Device, TenantId
from muster.core.ports import OneOf, Page, Tx
from muster.dialects.hono import credential_wire, search
from muster.dialects.hono.device_wire import DeviceBody, NewDeviceBody, change, new_device, shown
from muster.dialects.hono.headers import changed, checked, created, expected, found, gone
from muster.dialects.hono.options import Options
from muster.dialects.hono.problems import MEDIA_TYPE
from muster.dialects.hono.times import write_time
from muster.web.desk import AnyRequest, Desk, Rendered, Reply

EMPTY = DeviceBody()
Seen = tuple[Device, FirstContact | None]


def _ids(tenant: str, device: str | None, options: Options) -> tuple[TenantId, str]:
    checked(tenant, options.tenant_id, "tenant id")
    return TenantId(tenant), checked(device, options.device_id, "device id") if device is not None else ""


def _made(made: list[Device]) -> Reply:
    device = made[0]
    return created("devices", versions.device_version(device), device.tenant_id, device.id)


@post(
    "/v1/devices/{tenant:str}",
    operation_id="createDeviceWithGeneratedId",
    status_code=201,
    opt={"body": "optional"},
)
async def create_device(
    request: AnyRequest, tenant: str, desk: Desk, options: Options, data: DeviceBody = EMPTY
) -> Rendered[dict[str, str]]:
    """Create a device, its id made up, with an empty set of credentials."""
    known, _ = _ids(tenant, None, options)
    return await desk.run(request, registry.create_devices, known, [new_device(None, data)], reply=_made)


@post(
    "/v1/devices/{tenant:str}/{device:str}",
    operation_id="createDevice",
    status_code=201,
    opt={"body": "optional"},
)
async def create_device_with_id(
    request: AnyRequest, tenant: str, device: str, desk: Desk, options: Options, data: DeviceBody = EMPTY
) -> Rendered[dict[str, str]]:
    """Create a device with an empty set of credentials."""
    known, name = _ids(tenant, device, options)
    return await desk.run(request, registry.create_devices, known, [new_device(name, data)], reply=_made)


@post("/v1/bulk/devices/{tenant:str}", operation_id="createDevices", status_code=201)
async def create_devices(
    request: AnyRequest, tenant: str, data: list[NewDeviceBody], desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Create all of the devices with their credentials, or none (an addition of Muster's)."""
    known, _ = _ids(tenant, None, options)
    if not 0 < len(data) <= options.max_bulk:
        raise Malformed(f"1 to {options.max_bulk} devices at once")
    new = [new_device(_ids(tenant, each.id, options)[1] or None, each) for each in data]
    wanted = [
        await credential_wire.read(each.credentials or (), credential_wire.Reading(known, "", options))
        for each in data
    ]

    def create(tx: Tx, caller: Caller) -> list[str]:
        made = registry.create_devices(tx, caller, known, new)
        for device, its in zip(made, wanted, strict=True):
            if its:
                drafts = credential_wire.named(tx, known, its, options)
                mine = [replace(credential, device_id=device.id) for credential in drafts]
                credentials.replace_credentials(tx, caller, known, device.id, mine)
        return [device.id for device in made]

    return await desk.run(
        request, create, reply=lambda ids: Reply(status=201, body={"ids": ids}, media_type=MEDIA_TYPE)
    )


@get(
    "/v1/devices/{tenant:str}", operation_id="searchDevices", opt={"query": (*search.PARAMETERS, "isGateway")}
)
async def search_devices(
    request: AnyRequest, tenant: str, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Search the devices of a tenant; 404 when there is none."""
    known, _ = _ids(tenant, None, options)
    conditions = [*search.conditions(request, search.device_place), *search.gateways(request)]
    order, window = search.order(request, search.device_place), search.window(request)

    def listed(tx: Tx, caller: Caller) -> tuple[Page[Device], dict[str, FirstContact]]:
        page = registry.list_devices(tx, caller, known, *conditions, order=order, window=window)
        ids = [d.id for d in page.items if "auto-provisioned" in (d.extensions.get("hono") or {})]
        contacts = tx.select(FirstContact, known, OneOf("device_id", ids)) if ids else []
        return page, {each.device_id: each for each in contacts}

    def answer(result: tuple[Page[Device], dict[str, FirstContact]]) -> Reply:
        page, contacts = result
        if not page.total:
            raise NotFound("no device matches")
        listed = [shown(each, contacts.get(each.id), with_id=True) for each in page.items]
        return Reply(body={"total": page.total, "result": listed}, media_type=MEDIA_TYPE)

    return await desk.read(request, listed, reply=answer)


@delete("/v1/devices/{tenant:str}", operation_id="deleteDevicesOfTenant", status_code=204)
async def delete_devices(request: AnyRequest, tenant: str, desk: Desk, options: Options) -> Rendered[None]:
    """Delete all devices of a tenant and their credentials; to an admin also if the tenant is gone."""
    known, _ = _ids(tenant, None, options)

    def emptied(tx: Tx, caller: Caller) -> None:
        try:
            tenants.delete_devices(tx, caller, known)
        except TenantClosed:
            if not caller.is_admin:
                raise

    return await desk.run(request, emptied, reply=gone)


@get("/v1/devices/{tenant:str}/{device:str}", operation_id="getDevice")
async def get_device(
    request: AnyRequest, tenant: str, device: str, desk: Desk, options: Options
) -> Rendered[dict[str, Any]]:
    """Show a device."""
    known, name = _ids(tenant, device, options)

    def seen(tx: Tx, caller: Caller) -> Seen:
        held = registry.get_device(tx, caller, known, name)
        return held, tx.find(FirstContact, known, device_id=name)

    return await desk.read(request, seen, reply=lambda s: found(shown(*s), versions.device_version(s[0])))


@put("/v1/devices/{tenant:str}/{device:str}", operation_id="updateDevice", status_code=204)
async def update_device(
    request: AnyRequest, tenant: str, device: str, data: DeviceBody, desk: Desk, options: Options
) -> Rendered[None]:
    """Put another description in the place of the device's."""

    def wanted(old: Device) -> Device:
        return change(old, data)

    args = (*_ids(tenant, device, options), wanted, expected(request))
    return await desk.run(
        request, devices.replace_device, *args, reply=lambda d: changed(versions.device_version(d))
    )


@delete("/v1/devices/{tenant:str}/{device:str}", operation_id="deleteDevice", status_code=204)
async def delete_device(
    request: AnyRequest, tenant: str, device: str, desk: Desk, options: Options
) -> Rendered[None]:
    """Delete a device; one that provisioned itself does not come back by itself."""
    args = (*_ids(tenant, device, options), expected(request))
    return await desk.run(request, devices.delete_device, *args, reply=gone)


# --- denials (ours) -------------------------------------------------------------------------------------


class DenialBody(
    msgspec.Struct, kw_only=True, forbid_unknown_fields=True, rename="kebab", omit_defaults=True
):
    """What may not provision itself: a subject of certificates, or a device that gateways announce."""

    subject_dn: str | None = None
    device_id: str | None = None
    comment: str = ""
    created: str | None = None
    """As it is listed; means nothing when it is sent."""


def _shown_denial(denial: Denial) -> dict[str, Any]:
    kind = "device-id" if denial.key.startswith("device:") else "subject-dn"
    document = {kind: denial.name, "comment": denial.comment, "created": write_time(denial.created_at)}
    return {name: value for name, value in document.items() if value}


def _denied(data: DenialBody, options: Options) -> tuple[str, str]:
    if (data.subject_dn is None) == (data.device_id is None):
        raise Malformed("give subject-dn or device-id")
    if data.device_id is not None:
        return denied_device(data.device_id), data.device_id
    text, key = credential_wire.names("x509-cert", data.subject_dn or "", options)
    return denied_subject(key), text


@get("/v1/denials/{tenant:str}", operation_id="listDenials")
async def list_denials(
    request: AnyRequest, tenant: str, desk: Desk, options: Options
) -> Rendered[list[dict[str, Any]]]:
    """List what may not provision itself in a tenant (an addition of Muster's)."""
    known, _ = _ids(tenant, None, options)
    return await desk.read(
        request,
        devices.list_denials,
        known,
        reply=lambda held: Reply(body=[_shown_denial(each) for each in held], media_type=MEDIA_TYPE),
    )


@post("/v1/denials/{tenant:str}", operation_id="addDenial", status_code=204)
async def add_denial(
    request: AnyRequest, tenant: str, data: DenialBody, desk: Desk, options: Options
) -> Rendered[None]:
    """Keep a device from provisioning itself (an addition of Muster's)."""
    known, _ = _ids(tenant, None, options)
    args = (known, *_denied(data, options), data.comment)
    return await desk.run(request, devices.add_denial, *args, reply=gone)


@post("/v1/denials/{tenant:str}/remove", operation_id="removeDenial", status_code=204)
async def remove_denial(
    request: AnyRequest, tenant: str, data: DenialBody, desk: Desk, options: Options
) -> Rendered[None]:
    """Let a device provision itself again (an addition of Muster's)."""
    known, _ = _ids(tenant, None, options)
    return await desk.run(request, devices.remove_denial, known, _denied(data, options)[0], reply=gone)


HANDLERS = [
    create_device,
    create_device_with_id,
    create_devices,
    search_devices,
    delete_devices,
    get_device,
    update_device,
    delete_device,
    list_denials,
    add_denial,
    remove_denial,
]
