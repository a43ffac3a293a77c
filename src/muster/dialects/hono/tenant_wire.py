"""Tenants and their trusted CAs as Hono writes and reads them (spec A.3, A.4)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from muster.core import templates
from muster.core.errors import Malformed
from muster.core.identity import CaId, Name, Reissue, TrustedCa, hono
from muster.core.model import NEVER, Instant, Status, Tenant, TenantId
from muster.core.ports import Tx
from muster.core.tenancy import NewTenant
from muster.core.tenants import MakeCas, Whole
from muster.dialects.hono.options import Options
from muster.dialects.hono.times import read_base64, read_time, write_base64, write_time

Unlimited = Annotated[int, Meta(ge=-1)]


class Known(
    msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", frozen=True
):
    """What has these members and no others; what is absent or null is left out."""


class Adapter(Known, kw_only=True, frozen=True):
    """One adapter, and whether the tenant's devices may use it."""

    type: Annotated[str, Meta(min_length=1)]
    enabled: bool = False
    device_authentication_required: bool = True
    ext: dict[str, Any] | None = None


class Period(Known, kw_only=True, frozen=True):
    """How long a limit is counted for."""

    mode: str
    no_of_days: Annotated[int, Meta(ge=1)] | None = None


class DataVolume(Known, kw_only=True, frozen=True):
    """How much may be sent."""

    effective_since: str
    max_bytes: Unlimited = -1
    period: Period | None = None


class ConnectionDuration(Known, kw_only=True, frozen=True):
    """For how long devices may be connected."""

    effective_since: str
    max_minutes: Unlimited = -1
    period: Period | None = None


class ResourceLimits(Known, kw_only=True, frozen=True):
    """What the tenant's devices may use."""

    max_connections: Unlimited = -1
    max_ttl: Unlimited = -1
    max_ttl_telemetry_qos0: Unlimited = msgspec.field(default=-1, name="max-ttl-telemetry-qos0")
    max_ttl_telemetry_qos1: Unlimited = msgspec.field(default=-1, name="max-ttl-telemetry-qos1")
    max_ttl_command_response: Unlimited = -1
    data_volume: DataVolume | None = None
    connection_duration: ConnectionDuration | None = None
    ext: dict[str, Any] | None = None


class RegistrationLimits(Known, kw_only=True, frozen=True):
    """How much may be registered."""

    max_devices: Unlimited = -1
    max_credentials_per_device: Unlimited = -1


class Tracing(Known, kw_only=True, frozen=True):
    """Which messages are traced."""

    sampling_mode: Literal["default", "all", "none"] = "default"
    sampling_mode_per_auth_id: dict[str, Literal["default", "all", "none"]] | None = None


class Ca(Known, kw_only=True, frozen=True):
    """A trusted CA. The members from `auto-provisioning-max-devices` on are Muster's additions."""

    id: str | None = None
    cert: str | None = None
    subject_dn: str | None = None
    subject_dn_bytes: str | None = None
    public_key: str | None = None
    algorithm: str | None = None
    not_before: str | None = None
    not_after: str | None = None
    auto_provisioning_enabled: bool | None = None
    auto_provision_as_gateway: bool | None = None
    auto_provisioning_device_id_template: str | None = None
    auth_id_template: str | None = None
    ocsp_revocation_enabled: bool | None = None
    ocsp_responder_uri: str | None = None
    ocsp_responder_cert: str | None = None
    ocsp_nonce_enabled: bool | None = None
    auto_provisioning_max_devices: Unlimited = -1
    auto_provisioning_not_before: str | None = None
    auto_provisioning_not_after: str | None = None
    auto_provisioning_needs_approval: bool | None = None
    reissued_certificates: Literal["any", "same-ca", "none"] = "same-ca"


class TenantBody(Known, kw_only=True, frozen=True):
    """A tenant."""

    enabled: bool = True
    alias: Annotated[str, Meta(pattern="^[a-z0-9-]+$")] | None = None
    ext: dict[str, Any] | None = None
    adapters: Annotated[list[Adapter], Meta(min_length=1)] | None = None
    defaults: dict[str, Any] | None = None
    minimum_message_size: Annotated[int, Meta(ge=0)] = 0
    registration_limits: RegistrationLimits | None = None
    resource_limits: ResourceLimits | None = None
    tracing: Tracing | None = None
    trust_anchor_group: str | None = None
    trusted_ca: list[Ca] | None = None


KEPT = (
    "ext",
    "adapters",
    "defaults",
    "minimum-message-size",
    "registration-limits",
    "resource-limits",
    "tracing",
    "trust-anchor-group",
)
"""What the door keeps with a tenant in its own words."""


def _kept(data: TenantBody) -> dict[str, Any]:
    written = msgspec.to_builtins(data)
    kept = {name: written[name] for name in KEPT if written.get(name)}
    kept.get("registration-limits", {}).pop("max-devices", None)
    return kept


def check(data: TenantBody) -> None:
    """Raise Malformed for what the types do not say."""
    types = [adapter.type for adapter in data.adapters or ()]
    if len(set(types)) < len(types):
        raise Malformed("the types of the adapters must differ")
    limits = data.resource_limits or ResourceLimits()
    for volume in (limits.data_volume, limits.connection_duration):
        if volume is not None:
            read_time(volume.effective_since)
            if volume.period is not None and (volume.period.mode == "days") != bool(volume.period.no_of_days):
                raise Malformed("no-of-days goes with the mode days, and only with it")


def new_tenant(tenant_id: str | None, data: TenantBody) -> NewTenant:
    """Read a tenant to be created."""
    check(data)
    return NewTenant(
        id=TenantId(tenant_id) if tenant_id else None,
        name=tenant_id or "",
        alias=data.alias,
        status=Status.ENABLED if data.enabled else Status.DISABLED,
        max_devices=_max_devices(data),
        extensions={"hono": _kept(data)},
    )


def change(tenant: Tenant, data: TenantBody) -> Tenant:
    """Give the tenant as a PUT wants it."""
    check(data)
    return replace(
        tenant,
        alias=data.alias,
        status=_status(tenant.status, is_enabled=data.enabled),
        max_devices=_max_devices(data),
        extensions={**tenant.extensions, "hono": _kept(data)},
    )


def _status(status: Status, *, is_enabled: bool) -> Status:
    """Keep a frozen tenant frozen: Hono has no word for it."""
    if status is Status.FROZEN:
        return status
    return Status.ENABLED if is_enabled else Status.DISABLED


def _max_devices(data: TenantBody) -> int:
    return data.registration_limits.max_devices if data.registration_limits else -1


def shown(whole: Whole, *, with_id: bool = False) -> dict[str, Any]:
    """Show a tenant; its id only in search results."""
    tenant, kept = whole.tenant, hono(whole.tenant.extensions)
    limits = dict(kept.pop("registration-limits", {}))
    if tenant.max_devices >= 0:
        limits["max-devices"] = tenant.max_devices
    document: dict[str, Any] = {"id": tenant.id} if with_id else {}
    document["enabled"] = tenant.status is Status.ENABLED
    if tenant.alias is not None:
        document["alias"] = tenant.alias
    document.update(kept)
    if limits:
        document["registration-limits"] = limits
    if whole.cas:
        document["trusted-ca"] = [shown_ca(ca) for ca in whole.cas]
    return document


# --- trusted CAs ----------------------------------------------------------------------------------------


def cas(data: TenantBody, options: Options) -> MakeCas:
    """Read the trusted CAs: what needs no transaction now, the rest when it is known which there were."""
    read = [_read_ca(ca, data.trust_anchor_group, options) for ca in data.trusted_ca or ()]

    def make(tx: Tx, tenant_id: TenantId, had: Sequence[TrustedCa]) -> list[TrustedCa]:
        ids = _ids_kept(read, had)
        return [
            replace(ca, tenant_id=tenant_id, id=CaId(kept or tx.new_secret()), created_at=tx.now)
            for ca, kept in zip(read, ids, strict=True)
        ]

    return make


def _ids_kept(wanted: Sequence[TrustedCa], had: Sequence[TrustedCa]) -> list[str]:
    """Give the ids the CAs bring, else had as they are, else nothing: quotas and sessions hang on the id."""
    named = {ca.id for ca in wanted}
    free = {(ca.subject_key, ca.spki_der): ca.id for ca in reversed(had) if ca.id not in named}
    return [ca.id or free.pop((ca.subject_key, ca.spki_der), "") for ca in wanted]


def _read_ca(data: Ca, group: str | None, options: Options) -> TrustedCa:
    ca = _of_certificate(data, options) if data.cert is not None else _of_members(data, options)
    if ca.not_before > ca.not_after:
        raise Malformed("a trusted CA's not-before lies after its not-after")
    if data.ocsp_revocation_enabled and not (data.cert or data.ocsp_responder_cert):
        raise Malformed("ocsp-revocation-enabled needs cert or ocsp-responder-cert")
    return replace(
        ca,
        id=CaId(data.id or ""),
        is_provisioning=bool(data.auto_provisioning_enabled),
        makes_gateways=bool(data.auto_provision_as_gateway),
        device_id_template=_template(data.auto_provisioning_device_id_template),
        auth_id_template=_template(data.auth_id_template),
        needs_approval=bool(data.auto_provisioning_needs_approval),
        max_devices=data.auto_provisioning_max_devices,
        opens_at=read_time(data.auto_provisioning_not_before),
        closes_at=read_time(data.auto_provisioning_not_after),
        reissue=Reissue(data.reissued_certificates),
        anchor_group=group,
        extensions={"hono": _ocsp(data)},
    )


def _template(text: str | None) -> str:
    return templates.check_template(text) if text is not None else ""


def _of_certificate(data: Ca, options: Options) -> TrustedCa:
    facts = options.certificates.read(data.cert or "")
    return _ca(facts.subject, facts.spki_der, facts.algorithm, facts.not_before, facts.not_after)


def _of_members(data: Ca, options: Options) -> TrustedCa:
    if (
        data.subject_dn is None
        or data.public_key is None
        or data.not_before is None
        or data.not_after is None
    ):
        raise Malformed("a trusted CA needs cert, or subject-dn, public-key, not-before and not-after")
    name = options.certificates.name(data.subject_dn)
    if data.subject_dn_bytes is not None:
        exact = options.certificates.name_of(read_base64(data.subject_dn_bytes))
        if exact.key != name.key:
            raise Malformed("subject-dn and subject-dn-bytes are different names")
        name = exact
    key = read_base64(data.public_key)
    if options.certificates.check_key(key) != (data.algorithm or "RSA"):
        raise Malformed("the public key is not one of the algorithm")
    return _ca(name, key, data.algorithm or "RSA", read_time(data.not_before), read_time(data.not_after))


def _ca(name: Name, key: bytes, algorithm: str, not_before: Instant, not_after: Instant) -> TrustedCa:
    return TrustedCa(
        tenant_id=TenantId(""),
        id=CaId(""),
        subject_dn=name.text,
        subject_key=name.key,
        subject_der=name.der,
        spki_der=key,
        algorithm=algorithm,
        not_before=not_before,
        not_after=not_after,
        created_at=NEVER,
    )


def _ocsp(data: Ca) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "ocsp-revocation-enabled": data.ocsp_revocation_enabled,
        "ocsp-responder-uri": data.ocsp_responder_uri,
        "ocsp-responder-cert": data.ocsp_responder_cert,
        "ocsp-nonce-enabled": data.ocsp_nonce_enabled,
    }
    if data.ocsp_revocation_enabled and not data.ocsp_responder_cert:
        kept["ocsp-responder-cert"] = data.cert
    return {name: value for name, value in kept.items() if value is not None}


def shown_ca(ca: TrustedCa, *, for_adapters: bool = False) -> dict[str, Any]:
    """Show a trusted CA, as it is managed or as adapters get it (spec B.2)."""
    document: dict[str, Any] = {
        "id": ca.id,
        "subject-dn": ca.subject_dn,
        "subject-dn-bytes": write_base64(ca.subject_der),
        "public-key": write_base64(ca.spki_der),
        "algorithm": ca.algorithm,
        "not-before": write_time(ca.not_before),
        "not-after": write_time(ca.not_after),
        "auto-provisioning-enabled": ca.is_provisioning,
        "auto-provision-as-gateway": ca.makes_gateways,
        "auto-provisioning-device-id-template": ca.device_id_template or None,
        "auth-id-template": ca.auth_id_template or None,
        **hono(ca.extensions),
    }
    if for_adapters:
        for name in _NOT_FOR_ADAPTERS:
            del document[name]
    else:
        document |= _additions(ca)
    return {name: value for name, value in document.items() if value is not None}


_NOT_FOR_ADAPTERS = (
    "not-before",
    "not-after",
    "auto-provision-as-gateway",
    "auto-provisioning-device-id-template",
)


def _additions(ca: TrustedCa) -> dict[str, Any]:
    return {
        "auto-provisioning-max-devices": ca.max_devices if ca.max_devices >= 0 else None,
        "auto-provisioning-not-before": write_time(ca.opens_at),
        "auto-provisioning-not-after": write_time(ca.closes_at),
        "auto-provisioning-needs-approval": ca.needs_approval or None,
        "reissued-certificates": ca.reissue.value if ca.reissue is not Reissue.SAME_CA else None,
    }
