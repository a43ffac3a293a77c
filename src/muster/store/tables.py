"""The schema, once, for SQLite and PostgreSQL. A noun's columns are its fields, written as rows.py says."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s",
        "pk": "%(table_name)s_pk",
        "fk": "%(table_name)s_%(column_0_N_name)s_fk",
    }
)
JSON = Text().with_variant(JSONB(), "postgresql")
SERIAL = BigInteger().with_variant(Integer(), "sqlite")
"""A number the database counts up; SQLite does so only for INTEGER."""


def _text(name: str, **options: Any) -> Column[Any]:
    return Column(name, Text(), nullable=options.pop("nullable", False), **options)


def _key(name: str) -> Column[Any]:
    return Column(name, Text(), primary_key=True)


def _folded(name: str) -> Column[Any]:
    """Give a text column whose equality does not see the case of ASCII letters; index it as lower(name)."""
    return _text(name, info={"folded": True})


def _instant(name: str) -> Column[Any]:
    return Column(name, BigInteger(), nullable=False)


def _number(name: str) -> Column[Any]:
    return Column(name, BigInteger(), nullable=False)


def _truth(name: str) -> Column[Any]:
    return Column(name, Boolean(), nullable=False)


def _json(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, JSON, nullable=nullable)


def _digest(name: str) -> Column[Any]:
    return Column(name, LargeBinary(), nullable=False)


def _sealed(name: str, *, nullable: bool = False, is_found: bool = False) -> Column[Any]:
    """Give the column of a Secret that is shown again; without a digest it cannot be looked for."""
    return Column(f"{name}_sealed", LargeBinary(), nullable=nullable, info={"is_found": is_found})


def _secret(name: str, *, nullable: bool = False) -> tuple[Column[Any], Column[Any]]:
    """Give the two columns of a Secret: the keyed hash it is found by, and the value, sealed."""
    digest: Column[Any] = Column(f"{name}_digest", LargeBinary(), nullable=nullable)
    return digest, _sealed(name, nullable=nullable, is_found=True)


def _where(column: str) -> dict[str, Any]:
    """Limit an index to the rows that have the column."""
    condition = Column(column).is_not(None)
    return {"sqlite_where": condition, "postgresql_where": condition}


def _contains_index(table: str) -> Index:
    """Let PostgreSQL answer `metadata @> …` from an index; SQLite has none (see migrations/env.py)."""
    return Index(
        f"{table}_metadata", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}
    ).ddl_if(dialect="postgresql")


def _list_index(table: str) -> Index:
    """Serve the default order of lists, of all rows and of those with one status."""
    return Index(f"{table}_list", "tenant_id", "status", "updated_at", "created_at", "id")


def _history() -> tuple[Column[Any], ...]:
    return _text("created_by"), _instant("created_at"), _instant("updated_at"), _text("updated_by")


def _describe() -> tuple[Column[Any], ...]:
    return _text("status"), _json("tags"), _json("metadata")


users = Table(
    "users",
    metadata,
    _key("id"),
    _text("username"),
    _folded("email"),
    _text("password"),
    _text("first_name"),
    _text("last_name"),
    _truth("is_admin"),
    *_describe(),
    _text("picture"),
    _text("personal_tenant"),
    _number("epoch"),
    _instant("created_at"),
    _instant("updated_at"),
    _text("updated_by"),
    UniqueConstraint("username"),
)
Index("users_email", func.lower(users.c.email), unique=True)

tenants = Table(
    "tenants",
    metadata,
    _key("id"),
    _text("name"),
    _text("alias", nullable=True),
    *_describe(),
    _truth("is_personal"),
    _number("max_devices"),
    _json("extensions"),
    _number("revision"),
    *_history(),
    Index("tenants_alias", "alias", unique=True, **_where("alias")),
)

groups = Table(
    "groups",
    metadata,
    _key("id"),
    _text("tenant_id"),
    _text("parent_id", nullable=True),
    _text("name"),
    _text("description"),
    *_describe(),
    *_history(),
    _list_index("groups"),
    _contains_index("groups"),
    Index("groups_parent_id", "parent_id", **_where("parent_id")),
)

# A device's id is unique in its tenant only: Hono's users choose it.
devices = Table(
    "devices",
    metadata,
    _key("id"),
    _key("tenant_id"),
    _text("name"),
    _text("identity"),
    *_secret("secret", nullable=True),
    *_describe(),
    _text("group_id", nullable=True),
    _text("mapping_id", nullable=True),
    _json("via"),
    _json("extensions"),
    _number("revision"),
    *_history(),
    _list_index("devices"),
    _contains_index("devices"),
    # The secret comes first: a device may show it without naming its tenant.
    Index("devices_secret", "secret_digest", "tenant_id", unique=True, **_where("secret_digest")),
    Index("devices_group_id", "group_id", **_where("group_id")),
    Index("devices_by_id", "tenant_id", "id"),
)

channels = Table(
    "channels",
    metadata,
    _key("id"),
    _text("tenant_id"),
    _text("name"),
    _text("route", nullable=True),
    *_describe(),
    _text("group_id", nullable=True),
    _text("mapping_id", nullable=True),
    *_history(),
    _list_index("channels"),
    _contains_index("channels"),
    Index("channels_route", "tenant_id", "route", unique=True, **_where("route")),
    Index("channels_group_id", "group_id", **_where("group_id")),
)

connections = Table(
    "connections",
    metadata,
    _key("channel_id"),
    _key("device_id"),
    _key("tenant_id"),
    Column("flow", SmallInteger(), nullable=False),
    ForeignKeyConstraint(["channel_id"], ["channels.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"], ondelete="CASCADE"),
    Index("connections_device", "device_id", "tenant_id"),
    sqlite_with_rowid=False,
)

roles = Table(
    "roles",
    metadata,
    _key("id"),
    _text("tenant_id"),
    _text("entity_kind"),
    _text("entity_id"),
    _text("name"),
    _json("actions"),
    _truth("is_builtin"),
    *_history(),
    UniqueConstraint("tenant_id", "entity_id", "entity_kind", "name", name="roles_name"),
)

members = Table(
    "members",
    metadata,
    Column("role_id", Text(), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    _key("user_id"),
    _text("tenant_id"),
    Index("members_user_id", "user_id"),
    sqlite_with_rowid=False,
)

invitations = Table(
    "invitations",
    metadata,
    _key("tenant_id"),
    _key("user_id"),
    _text("role_id"),
    _text("invited_by"),
    _instant("created_at"),
    _instant("updated_at"),
    _instant("accepted_at"),
    _instant("rejected_at"),
    Index("invitations_user_id", "user_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _key("id"),
    _text("user_id"),
    Column("digest", LargeBinary(), nullable=False, unique=True),
    _text("name"),
    _text("description"),
    _truth("is_personal"),
    _json("scope", nullable=True),
    _number("kind"),
    _instant("issued_at"),
    _instant("expires_at"),
    _instant("updated_at"),
    _instant("last_used_at"),
    _instant("revoked_at"),
    Index("api_keys_user_id", "user_id"),
)

# A device that fetches names no tenant: it is found by the pair of external id and key, unique everywhere.
bootstrap_configs = Table(
    "bootstrap_configs",
    metadata,
    _key("tenant_id"),
    _key("device_id"),
    _text("external_id"),
    *_secret("external_key"),
    _text("name"),
    _text("content"),
    _json("channels"),
    _text("client_cert"),
    _sealed("client_key", nullable=True),
    _text("ca_cert"),
    _text("created_by"),
    _instant("created_at"),
    _instant("updated_at"),
    ForeignKeyConstraint(["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"]),
    UniqueConstraint("tenant_id", "external_id", name="bootstrap_configs_external_id"),
    UniqueConstraint("external_id", "external_key_digest", name="bootstrap_configs_external_key"),
)

provision_records = Table(
    "provision_records",
    metadata,
    _key("tenant_id"),
    _key("external_id"),
    _digest("request_digest"),
    _json("device_ids"),
    _json("channel_ids"),
    _sealed("answer", nullable=True),
    _text("created_by"),
    _instant("created_at"),
)

# Clustered by time within the tenant, which is how it is read.
journal = Table(
    "journal",
    metadata,
    _key("tenant_id"),
    Column("at", BigInteger(), primary_key=True),
    _key("id"),
    _text("actor"),
    _text("operation"),
    _text("entity_kind"),
    _text("entity_id"),
    _json("details", nullable=True),
    Index("journal_entity", "tenant_id", "entity_id", "at", "id"),
    sqlite_with_rowid=False,
)

stored_replies = Table(
    "stored_replies",
    metadata,
    _key("id"),
    _digest("body_digest"),
    _number("status"),
    _json("headers"),
    _sealed("body"),
    _instant("created_at"),
    Index("stored_replies_created_at", "created_at"),
)

events = Table(
    "events",
    metadata,
    _text("topic"),
    _text("tenant_id"),
    _text("key"),
    _json("payload", nullable=True),
    _instant("created_at"),
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    Column("attempts", Integer(), nullable=False, server_default="0"),
    Column("next_at", BigInteger(), nullable=False, server_default="0"),
    Index(
        "events_waiting",
        "tenant_id",
        "key",
        "next_at",
        sqlite_where=Column("next_at") > 0,
        postgresql_where=Column("next_at") > 0,
    ),
    sqlite_autoincrement=True,
)

presences = Table(
    "presences",
    metadata,
    _key("tenant_id"),
    _key("device_id"),
    _instant("connected_at"),
    _instant("disconnected_at"),
    _text("protocol"),
    _text("source"),
    ForeignKeyConstraint(["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"], ondelete="CASCADE"),
)

client_id_claims = Table(
    "client_id_claims",
    metadata,
    _key("id"),
    _text("tenant_id"),
    _text("device_id"),
    _instant("created_at"),
    # No foreign key: the id stays claimed until the broker has dropped the sessions of a deleted device.
    Index("client_id_claims_device", "device_id", "tenant_id"),
)

# A device that is deleted leaves its certificates behind: revoked, and asked about until they expire.
certificates = Table(
    "certificates",
    metadata,
    _key("id"),
    _text("tenant_id"),
    _text("device_id"),
    _text("certificate"),
    _text("chain"),
    _sealed("key", nullable=True),
    _digest("key_digest"),
    _digest("fingerprint"),
    _text("issuer_id"),
    _instant("not_before"),
    _instant("not_after"),
    _text("created_by"),
    _instant("created_at"),
    _instant("revoked_at"),
    _number("reason"),
    _instant("warned_at"),
    Index("certificates_device", "device_id", "tenant_id", "created_at"),
    Index("certificates_tenant", "tenant_id", "not_after"),
    Index("certificates_key", "key_digest"),
    Index("certificates_not_after", "not_after"),
)

revocations = Table(
    "revocations",
    metadata,
    _key("id"),
    _text("issuer_id"),
    _instant("revoked_at"),
    _number("reason"),
    _instant("not_after"),
    Index("revocations_issuer", "issuer_id", "revoked_at"),
    Index("revocations_serial", "issuer_id", "id"),
)

authorities = Table(
    "authorities",
    metadata,
    _key("id"),
    _text("role"),
    _text("certificate"),
    _sealed("material"),
    _instant("not_after"),
    _instant("created_at"),
    _instant("retired_at"),
)

signing_intents = Table(
    "signing_intents",
    metadata,
    _key("id"),
    _text("tenant_id"),
    _text("device_id"),
    _digest("key_digest"),
    _instant("created_at"),
)

# --- how devices prove who they are where they name themselves ---------------------------------------------


def _of_device() -> ForeignKeyConstraint:
    """Have rows go with their device."""
    return ForeignKeyConstraint(
        ["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"], ondelete="CASCADE"
    )


credentials = Table(
    "credentials",
    metadata,
    _key("tenant_id"),
    _key("type"),
    _key("auth_key"),
    _text("auth_id"),
    _text("device_id"),
    _truth("is_enabled"),
    _json("extensions"),
    _text("comment"),
    _sealed("secrets"),
    _number("place"),
    _instant("created_at"),
    _of_device(),
    Index("credentials_device", "device_id", "tenant_id"),
)

credential_sets = Table(
    "credential_sets",
    metadata,
    _key("tenant_id"),
    _key("device_id"),
    _number("revision"),
    _of_device(),
    Index("credential_sets_device", "device_id", "tenant_id"),
)

trusted_cas = Table(
    "trusted_cas",
    metadata,
    _key("tenant_id"),
    _key("id"),
    _text("subject_dn"),
    _text("subject_key"),
    _digest("subject_der"),
    _digest("spki_der"),
    _text("algorithm"),
    _instant("not_before"),
    _instant("not_after"),
    _truth("is_provisioning"),
    _truth("makes_gateways"),
    _text("device_id_template"),
    _text("auth_id_template"),
    _truth("needs_approval"),
    _number("max_devices"),
    _instant("opens_at"),
    _instant("closes_at"),
    _text("reissue"),
    _text("anchor_group", nullable=True),
    _json("extensions"),
    _number("place"),
    _instant("created_at"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
    Index("trusted_cas_subject_key", "subject_key"),
)

first_contacts = Table(
    "first_contacts",
    metadata,
    _key("tenant_id"),
    _key("device_id"),
    _text("ca_id"),
    _text("ca_key"),
    _text("gateway_id"),
    _text("auth_id"),
    _text("auth_key"),
    _text("serial"),
    _text("fingerprint"),
    _instant("not_before"),
    _instant("not_after"),
    _text("source"),
    _truth("is_announced"),
    _instant("created_at"),
    _of_device(),
    Index("first_contacts_device", "device_id", "tenant_id"),
    Index("first_contacts_ca", "tenant_id", "ca_id"),
)

denials = Table(
    "denials",
    metadata,
    _key("tenant_id"),
    _key("key"),
    _text("name"),
    _text("comment"),
    _text("created_by"),
    _instant("created_at"),
)

# --- what tenants want to be told --------------------------------------------------------------------

webhooks = Table(
    "webhooks",
    metadata,
    _key("tenant_id"),
    _text("url"),
    _json("topics"),
    _sealed("secret"),
    _sealed("former_secret", nullable=True),
    _instant("former_until"),
    _truth("is_enabled"),
    _number("failures"),
    _instant("failing_since"),
    _instant("next_at"),
    _instant("delivered_at"),
    _text("last_error"),
    _number("lost"),
    _number("revision"),
    _text("created_by"),
    _instant("created_at"),
    _instant("updated_at"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
)

notices = Table(
    "notices",
    metadata,
    _key("tenant_id"),
    _key("id"),
    _text("topic"),
    _text("key"),
    _json("data", nullable=True),
    _number("attempts"),
    _instant("next_at"),
    _instant("created_at"),
    Index("notices_order", "tenant_id", "created_at", "id"),
    Index("notices_due", "tenant_id", "next_at"),
)

# How many rows there are, so that nothing counts them. PostgreSQL appends deltas and folds them later:
# a row that every provisioning of a tenant must update would make them wait for each other.
tallies = Table(
    "tallies",
    metadata,
    _key("kind"),
    _key("tenant_id"),
    _key("status"),
    _number("n"),
    sqlite_with_rowid=False,
)
tally_deltas = Table(
    "tally_deltas",
    metadata,
    Column("id", SERIAL, primary_key=True, autoincrement=True),
    _text("kind"),
    _text("tenant_id"),
    _text("status"),
    _number("n"),
    Index("tally_deltas_tenant", "kind", "tenant_id"),
)
