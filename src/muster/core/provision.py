"""One-call provisioning: a layout becomes a plan, and a plan lands whole or not at all."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from muster.core import access, connections, names, pki, registry, validity, webhooks
from muster.core.access import Caller, entries
from muster.core.certificates import Certificate, CertificateRequest
from muster.core.errors import Conflict, LimitReached, Malformed, Unavailable
from muster.core.keyholders import Signer
from muster.core.layout import EXTERNAL_ID, Layout
from muster.core.mappings import has_devices, lock_name
from muster.core.model import (
    BootstrapConfig,
    Channel,
    ChannelId,
    Device,
    DeviceId,
    Flow,
    Json,
    Kind,
    Metadata,
    ProvisionRecord,
    Secret,
    TenantId,
)
from muster.core.planning import Plan, Request, plan
from muster.core.ports import OneOf, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class Provisioned:
    """What a provisioning call answers. The devices show their metadata as the layout has it."""

    devices: tuple[Device, ...]
    channels: tuple[Channel, ...]
    whitelisted: tuple[DeviceId, ...] = ()
    client_cert: Metadata = field(default_factory=dict)
    """Certificate (PEM) by device id; empty unless the layout makes certificates."""
    client_key: Metadata = field(default_factory=dict)
    ca_cert: str = ""


# --- the plan: pure ------------------------------------------------------------------------------------


def _gateway(device: Device, channels: Sequence[Channel]) -> Device:
    """Give the bootstrapped device with what upstream writes into its metadata (spec C.4, 6), no key."""
    by_type = {c.metadata.get("type"): c.id for c in channels}
    extra = {
        "type": "gateway",
        EXTERNAL_ID: device.mapping_id,
        "ctrl_channel_id": by_type.get("control", ""),
        "data_channel_id": by_type.get("data", ""),
        "export_channel_id": by_type.get("export", ""),
        "cfg_id": device.id,
    }
    return replace(device, metadata={**device.metadata, **extra})


# --- the transaction -----------------------------------------------------------------------------------


def provision(
    tx: Tx,
    caller: Caller,
    tenant_id: TenantId,
    layout: Layout,
    layout_digest: bytes,
    request: Request,
    signer: Signer | None = None,
) -> Provisioned:
    """Create everything the layout asks for, or give what the same call created before.

    Conflict when the external id is in use with another key, name or layout; then nothing has changed.
    A layout that makes certificates needs the *signer*; Malformed for a signing request where none is made.
    """
    if request.csr and not layout.makes_certificates:
        raise Malformed("the layout makes no certificates")
    standing = _enter(tx, caller, tenant_id, request)
    tx.lock(lock_name(tenant_id, request.external_id))
    asked = _asked(layout_digest, request)
    made = tx.find(ProvisionRecord, tenant_id, external_id=request.external_id)
    if made is not None and has_devices(tx, made):
        return _again(tx, standing, made, asked, signer)
    if made is not None:  # its devices were deleted by hand: the mapping is over
        tx.remove(ProvisionRecord, tenant_id, external_id=made.external_id)
    registry.keep_limit(tx, standing, len(layout.devices))
    planned = plan(layout, request, tenant_id, caller.id, tx.now, tx.new_id, tx.new_secret)
    certificates = _certify(tx, caller, planned, layout, request, signer)
    answer = _with_certificates(answer_of(planned), certificates, signer)
    _write(tx, standing, planned, request.external_id, asked, answer, certificates)
    return answer


def new_ids(tx: Tx, layout: Layout) -> tuple[DeviceId, ...]:
    """Give ids for the devices of one call, for who must know them before it."""
    return tuple(DeviceId(tx.new_id()) for _ in layout.devices)


def _certify(
    tx: Tx, caller: Caller, planned: Plan, layout: Layout, request: Request, signer: Signer | None
) -> list[Certificate]:
    """Sign one certificate for each device; the gateway's for the key it made, if it sent a request."""
    if not layout.makes_certificates:
        return []
    if signer is None:
        raise Unavailable("there is no CA")
    gateway = planned.config.device_id if planned.config is not None else planned.devices[0].id
    made = []
    for device in planned.devices:
        wanted = CertificateRequest(
            ttl_seconds=int(layout.certificate_ttl_hours * 3600),
            key_type=layout.key_type,
            key_bits=layout.key_bits,
            csr=request.csr if device.id == gateway else "",
        )
        issued = signer.issue(device.tenant_id, device.id, wanted, tx.now)
        made.append(pki.recorded(tx, caller.id, device, issued))
    return made


def _with_certificates(
    answer: Provisioned, certificates: Sequence[Certificate], signer: Signer | None
) -> Provisioned:
    if not certificates or signer is None:
        return answer
    return replace(
        answer,
        client_cert={c.device_id: c.certificate for c in certificates},
        client_key={c.device_id: c.key.reveal() for c in certificates if c.key is not None},
        ca_cert=signer.ca_bundle,
    )


def _enter(tx: Tx, caller: Caller, tenant_id: TenantId, request: Request) -> access.Standing:
    standing = access.enter(tx, caller, tenant_id)
    registry.may_create(tx, standing, Kind.DEVICE, [None])
    registry.may_create(tx, standing, Kind.CHANNEL, [None])
    names.check_key("external_id", request.external_id)
    return standing


def preview(
    tx: Tx, caller: Caller, tenant_id: TenantId, layout: Layout, layout_digest: bytes, request: Request
) -> Plan:
    """Give the plan and write nothing: an empty one when the call was made before and would only be answered.

    Conflict when the external id is in use otherwise, as for provision.
    """
    standing = _enter(tx, caller, tenant_id, request)
    made = tx.find(ProvisionRecord, tenant_id, external_id=request.external_id)
    if made is not None and has_devices(tx, made):
        _require_same(tx, standing, made, _asked(layout_digest, request))
        return Plan(devices=(), channels=(), connections=(), config=None, is_whitelisted=False)
    if tx.find(BootstrapConfig, tenant_id, external_id=request.external_id) is not None:
        raise Conflict("the external id is in use already")
    limit = standing.tenant.max_devices
    if 0 <= limit < tx.count(Device, tenant_id) + len(layout.devices):
        raise LimitReached(f"the tenant may hold {limit} devices")
    return plan(layout, request, tenant_id, caller.id, tx.now, tx.new_id, tx.new_secret)


def answer_of(planned: Plan) -> Provisioned:
    """Give what the call answers for a plan."""
    config = planned.config
    whitelisted = tuple(d.id for d in planned.devices) if planned.is_whitelisted and config else ()
    return Provisioned(devices=planned.devices, channels=planned.channels, whitelisted=whitelisted)


def _write(
    tx: Tx,
    standing: access.Standing,
    planned: Plan,
    external_id: str,
    asked: str,
    answer: Provisioned,
    certificates: Sequence[Certificate],
) -> None:
    config = planned.config
    devices, caller = planned.devices, standing.caller
    if config is not None:
        devices = tuple(_gateway(d, planned.channels) if d.id == config.device_id else d for d in devices)
    tenant_id = planned.devices[0].tenant_id
    kept = ProvisionRecord(
        tenant_id=tenant_id,
        external_id=external_id,
        request_digest=tx.digest("mapping", asked),
        device_ids=tuple(d.id for d in planned.devices),
        channel_ids=tuple(c.id for c in planned.channels),
        answer=Secret(_dump(answer)),
        created_by=caller.id,
        created_at=tx.now,
    )
    configs = () if config is None else (config,)
    journal = [
        *entries(tx, caller, tenant_id, "device.create", kept.device_ids),
        *entries(tx, caller, tenant_id, "channel.create", kept.channel_ids),
        *entries(tx, caller, tenant_id, "certificate.issue", [c.id for c in certificates]),
        *entries(tx, caller, tenant_id, "mapping.create", [external_id]),
    ]
    told = webhooks.notices(tx, standing.tenant, webhooks.Topic.CREATED, kept.device_ids)
    made = (*devices, *planned.channels, *planned.connections, *configs, kept, *certificates)
    tx.add(*made, *journal, *told)


def _asked(layout_digest: bytes, request: Request) -> str:
    """Give the text in which two requests differ that must not be taken for the same."""
    parts = [request.external_key.reveal(), request.name, layout_digest.hex()]
    if request.metadata:
        parts.append(json.dumps(request.metadata, sort_keys=True))
    if request.csr:
        parts.append(request.csr)
    return json.dumps(parts)


def _again(
    tx: Tx, standing: access.Standing, made: ProvisionRecord, asked: str, signer: Signer | None
) -> Provisioned:
    _require_same(tx, standing, made, asked)
    if made.answer is not None:
        return _load(made)
    certificates = validity.newest_of(tx, made.tenant_id, made.device_ids)
    return _with_certificates(_afresh(tx, made), list(certificates.values()), signer)


def _require_same(tx: Tx, standing: access.Standing, made: ProvisionRecord, asked: str) -> None:
    if made.created_by != standing.caller.id:
        standing.require("device_read", "channel_read")
    if made.request_digest not in tx.digests("mapping", asked):
        raise Conflict("the external id is in use with another key, name or layout")


def _afresh(tx: Tx, made: ProvisionRecord) -> Provisioned:
    """Build the answer from what is true now."""
    devices = {d.id: d for d in tx.select(Device, made.tenant_id, OneOf("id", made.device_ids))}
    channels = {c.id: c for c in tx.select(Channel, made.tenant_id, OneOf("id", made.channel_ids))}
    active = []
    for device_id in devices:
        flows = connections.flows_of(tx, made.tenant_id, device_id)
        if channels and all(flows.get(c) == Flow.BOTH for c in channels):
            active.append(device_id)
    return Provisioned(
        devices=tuple(devices[i] for i in made.device_ids if i in devices),
        channels=tuple(channels[i] for i in made.channel_ids if i in channels),
        whitelisted=tuple(active),
    )


# --- the stored answer -----------------------------------------------------------------------------------


def _dump(answer: Provisioned) -> str:
    return json.dumps(
        {
            "devices": [[d.id, d.name, d.secret and d.secret.reveal(), d.metadata] for d in answer.devices],
            "channels": [[c.id, c.name, c.metadata] for c in answer.channels],
            "whitelisted": answer.whitelisted,
            "client_cert": answer.client_cert,
            "client_key": answer.client_key,
            "ca_cert": answer.ca_cert,
        },
        separators=(",", ":"),
    )


def _load(made: ProvisionRecord) -> Provisioned:
    kept: dict[str, Json] = json.loads(made.answer.reveal()) if made.answer is not None else {}
    return Provisioned(
        devices=tuple(
            Device(
                id=DeviceId(device_id),
                tenant_id=made.tenant_id,
                name=name,
                secret=secret and Secret(secret),
                metadata=metadata,
                mapping_id=made.external_id,
                created_by=made.created_by,
                created_at=made.created_at,
            )
            for device_id, name, secret, metadata in kept["devices"]
        ),
        channels=tuple(
            Channel(
                id=ChannelId(channel_id),
                tenant_id=made.tenant_id,
                name=name,
                metadata=metadata,
                mapping_id=made.external_id,
                created_by=made.created_by,
                created_at=made.created_at,
            )
            for channel_id, name, metadata in kept["channels"]
        ),
        whitelisted=tuple(kept["whitelisted"]),
        client_cert=kept["client_cert"],
        client_key=kept["client_key"],
        ca_cert=kept["ca_cert"],
    )
