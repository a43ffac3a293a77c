"""Devices as Hono writes and reads them (spec A.5)."""

from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from muster.core.errors import Malformed
from muster.core.identity import FirstContact, hono
from muster.core.model import Device, Status
from muster.core.registry import NewDevice
from muster.dialects.hono.tenant_wire import Known
from muster.dialects.hono.times import write_time

Names = str | list[str] | None


class CommandEndpoint(Known, kw_only=True, frozen=True):
    """Where commands of devices behind a callback go."""

    uri: Annotated[str, Meta(min_length=1)]
    headers: dict[str, str] | None = None
    payload_properties: dict[str, Any] | None = None


class DeviceBody(Known, kw_only=True, frozen=True):
    """A device. `status` is read-only and ignored."""

    enabled: bool = True
    defaults: dict[str, Any] | None = None
    ext: dict[str, Any] | None = None
    via: Names = None
    via_groups: Names = msgspec.field(default=None, name="viaGroups")
    member_of: Names = msgspec.field(default=None, name="memberOf")
    authorities: list[Literal["auto-provisioning-enabled"]] | None = None
    downstream_message_mapper: str | None = None
    upstream_message_mapper: str | None = None
    command_endpoint: CommandEndpoint | None = None
    status: Any = None


class NewDeviceBody(DeviceBody, kw_only=True, frozen=True):
    """A device of a bulk request, with its credentials."""

    id: str | None = None
    credentials: list[dict[str, Any]] | None = None


KEPT = ("defaults", "ext", "downstream-message-mapper", "upstream-message-mapper", "command-endpoint")
PROVENANCE = ("auto-provisioned",)
"""What the registry notes about a device, and no update takes away."""


def _names(value: Names) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def _kept(data: DeviceBody) -> dict[str, Any]:
    if data.member_of and (data.via or data.via_groups):
        raise Malformed("a device with memberOf is a gateway: it has neither via nor viaGroups")
    written = msgspec.to_builtins(data)
    kept: dict[str, Any] = {name: written[name] for name in KEPT if written.get(name)}
    lists = {
        "viaGroups": _names(data.via_groups),
        "memberOf": _names(data.member_of),
        "authorities": list(dict.fromkeys(data.authorities or ())),
    }
    return kept | {name: value for name, value in lists.items() if value}


def new_device(device_id: str | None, data: DeviceBody) -> NewDevice:
    """Read a device to be created: it logs in with credentials, so it needs no secret."""
    return NewDevice(
        id=device_id,
        needs_secret=False,
        status=Status.ENABLED if data.enabled else Status.DISABLED,
        via=tuple(_names(data.via)),
        extensions={"hono": _kept(data)},
    )


def change(device: Device, data: DeviceBody) -> Device:
    """Give the device as a PUT wants it; where it came from stays."""
    noted = {name: value for name, value in hono(device.extensions).items() if name in PROVENANCE}
    return replace(
        device,
        status=Status.ENABLED if data.enabled else Status.DISABLED,
        via=tuple(_names(data.via)),
        extensions={**device.extensions, "hono": _kept(data) | noted},
    )


def shown(device: Device, contact: FirstContact | None, *, with_id: bool = False) -> dict[str, Any]:
    """Show a device; its id only in search results."""
    kept = hono(device.extensions)
    is_provisioned = kept.pop("auto-provisioned", False)
    status = {
        "created": write_time(device.created_at),
        "updated": write_time(device.updated_at),
        "auto-provisioned": is_provisioned or None,
        "auto-provisioning-notification-sent": (contact is not None and contact.is_announced) or None,
        "first-contact": _shown_contact(contact) if contact is not None else None,
    }
    document: dict[str, Any] = {"id": device.id} if with_id else {}
    document["enabled"] = device.status is Status.ENABLED
    if device.via:
        document["via"] = list(device.via)
    document.update(kept)
    document["status"] = {name: value for name, value in status.items() if value is not None}
    return document


def _shown_contact(contact: FirstContact) -> dict[str, str]:
    """Show by what the device provisioned itself (an addition of Muster's): who lets it in wants to know."""
    kept = {
        "auth-id": contact.auth_id,
        "gateway-id": contact.gateway_id,
        "serial-number": contact.serial,
        "fingerprint": contact.fingerprint,
        "not-after": write_time(contact.not_after),
        "source": contact.source,
    }
    return {name: value for name, value in kept.items() if value}
