"""The tables of proof: certificates, their CAs, and how devices prove who they are."""

from sqlalchemy import (
    ForeignKeyConstraint,
    Index,
    Table,
)

from muster.store import columns as c
from muster.store.columns import metadata

# A device that is deleted leaves its certificates behind: revoked, and asked about until they expire.
certificates = Table(
    "certificates",
    metadata,
    c.key("id"),
    c.text("tenant_id"),
    c.text("device_id"),
    c.text("certificate"),
    c.text("chain"),
    c.sealed("key", nullable=True),
    c.digest("key_digest"),
    c.digest("fingerprint"),
    c.text("issuer_id"),
    c.instant("not_before"),
    c.instant("not_after"),
    c.text("created_by"),
    c.instant("created_at"),
    c.instant("revoked_at"),
    c.number("reason"),
    c.instant("warned_at"),
    Index("certificates_device", "device_id", "tenant_id", "created_at"),
    Index("certificates_tenant", "tenant_id", "not_after"),
    Index("certificates_key", "key_digest"),
    Index("certificates_not_after", "not_after"),
)


revocations = Table(
    "revocations",
    metadata,
    c.key("id"),
    c.text("issuer_id"),
    c.instant("revoked_at"),
    c.number("reason"),
    c.instant("not_after"),
    Index("revocations_issuer", "issuer_id", "revoked_at"),
    Index("revocations_serial", "issuer_id", "id"),
)


authorities = Table(
    "authorities",
    metadata,
    c.key("id"),
    c.text("role"),
    c.text("certificate"),
    c.sealed("material"),
    c.instant("not_after"),
    c.instant("created_at"),
    c.instant("retired_at"),
)


signing_intents = Table(
    "signing_intents",
    metadata,
    c.key("id"),
    c.text("tenant_id"),
    c.text("device_id"),
    c.digest("key_digest"),
    c.instant("created_at"),
)


def _of_device() -> ForeignKeyConstraint:
    """Have rows go with their device."""
    return ForeignKeyConstraint(
        ["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"], ondelete="CASCADE"
    )


credentials = Table(
    "credentials",
    metadata,
    c.key("tenant_id"),
    c.key("type"),
    c.key("auth_key"),
    c.text("auth_id"),
    c.text("device_id"),
    c.truth("is_enabled"),
    c.json("extensions"),
    c.text("comment"),
    c.sealed("secrets"),
    c.number("place"),
    c.instant("created_at"),
    _of_device(),
    Index("credentials_device", "device_id", "tenant_id"),
)


credential_sets = Table(
    "credential_sets",
    metadata,
    c.key("tenant_id"),
    c.key("device_id"),
    c.number("revision"),
    _of_device(),
    Index("credential_sets_device", "device_id", "tenant_id"),
)


trusted_cas = Table(
    "trusted_cas",
    metadata,
    c.key("tenant_id"),
    c.key("id"),
    c.text("subject_dn"),
    c.text("subject_key"),
    c.digest("subject_der"),
    c.digest("spki_der"),
    c.text("algorithm"),
    c.instant("not_before"),
    c.instant("not_after"),
    c.truth("is_provisioning"),
    c.truth("makes_gateways"),
    c.text("device_id_template"),
    c.text("auth_id_template"),
    c.truth("needs_approval"),
    c.number("max_devices"),
    c.instant("opens_at"),
    c.instant("closes_at"),
    c.text("reissue"),
    c.text("anchor_group", nullable=True),
    c.json("extensions"),
    c.number("place"),
    c.instant("created_at"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
    Index("trusted_cas_subject_key", "subject_key"),
)


first_contacts = Table(
    "first_contacts",
    metadata,
    c.key("tenant_id"),
    c.key("device_id"),
    c.text("ca_id"),
    c.text("ca_key"),
    c.text("gateway_id"),
    c.text("auth_id"),
    c.text("auth_key"),
    c.text("serial"),
    c.text("fingerprint"),
    c.instant("not_before"),
    c.instant("not_after"),
    c.text("source"),
    c.truth("is_announced"),
    c.instant("created_at"),
    _of_device(),
    Index("first_contacts_device", "device_id", "tenant_id"),
    Index("first_contacts_ca", "tenant_id", "ca_id"),
)


denials = Table(
    "denials",
    metadata,
    c.key("tenant_id"),
    c.key("key"),
    c.text("name"),
    c.text("comment"),
    c.text("created_by"),
    c.instant("created_at"),
)
