"""The schema, once, for SQLite and PostgreSQL. A noun's columns are its fields, written as rows.py says.

What proves anything is in proofs.py.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from muster.store import columns as c
from muster.store.columns import is_slow, metadata

users = Table(
    "users",
    metadata,
    c.key("id"),
    c.text("username"),
    c.folded("email"),
    c.text("password"),
    c.text("first_name"),
    c.text("last_name"),
    c.truth("is_admin"),
    *c.describe(),
    c.text("picture"),
    c.text("personal_tenant"),
    c.number("epoch"),
    c.instant("created_at"),
    c.instant("updated_at"),
    c.text("updated_by"),
    UniqueConstraint("username"),
)
Index("users_email", func.lower(users.c.email), unique=True)

tenants = Table(
    "tenants",
    metadata,
    c.key("id"),
    c.text("name"),
    c.text("alias", nullable=True),
    *c.describe(),
    c.truth("is_personal"),
    c.number("max_devices"),
    c.json("extensions"),
    c.number("revision"),
    *c.history(),
    Index("tenants_alias", "alias", unique=True, **c.where("alias")),
)

groups = Table(
    "groups",
    metadata,
    c.key("id"),
    c.text("tenant_id"),
    c.text("parent_id", nullable=True),
    c.text("name"),
    c.text("description"),
    *c.describe(),
    *c.history(),
    c.list_index("groups"),
    c.contains_index("groups"),
    Index("groups_parent_id", "parent_id", **c.where("parent_id")),
)

# A device's id is unique in its tenant only: Hono's users choose it.
devices = Table(
    "devices",
    metadata,
    c.key("id"),
    c.key("tenant_id"),
    c.text("name"),
    c.text("identity"),
    *c.secret("secret", nullable=True),
    *c.describe(),
    c.text("group_id", nullable=True),
    c.text("mapping_id", nullable=True),
    c.json("via"),
    c.json("extensions"),
    c.number("revision"),
    *c.history(),
    c.list_index("devices"),
    c.contains_index("devices"),
    # The secret comes first: a device may show it without naming its tenant.
    Index("devices_secret", "secret_digest", "tenant_id", unique=True, **c.where("secret_digest")),
    Index("devices_group_id", "group_id", **c.where("group_id")),
    Index("devices_by_id", "tenant_id", "id"),
)

channels = Table(
    "channels",
    metadata,
    c.key("id"),
    c.text("tenant_id"),
    c.text("name"),
    c.text("route", nullable=True),
    *c.describe(),
    c.text("group_id", nullable=True),
    c.text("mapping_id", nullable=True),
    *c.history(),
    c.list_index("channels"),
    c.contains_index("channels"),
    Index("channels_route", "tenant_id", "route", unique=True, **c.where("route")),
    Index("channels_group_id", "group_id", **c.where("group_id")),
)

connections = Table(
    "connections",
    metadata,
    c.key("channel_id"),
    c.key("device_id"),
    c.key("tenant_id"),
    Column("flow", SmallInteger(), nullable=False),
    ForeignKeyConstraint(["channel_id"], ["channels.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"], ondelete="CASCADE"),
    Index("connections_device", "device_id", "tenant_id"),
    sqlite_with_rowid=False,
)

roles = Table(
    "roles",
    metadata,
    c.key("id"),
    c.text("tenant_id"),
    c.text("entity_kind"),
    c.text("entity_id"),
    c.text("name"),
    c.json("actions"),
    c.truth("is_builtin"),
    *c.history(),
    UniqueConstraint("tenant_id", "entity_id", "entity_kind", "name", name="roles_name"),
)

members = Table(
    "members",
    metadata,
    Column("role_id", Text(), ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
    c.key("user_id"),
    c.text("tenant_id"),
    Index("members_user_id", "user_id"),
    sqlite_with_rowid=False,
)

invitations = Table(
    "invitations",
    metadata,
    c.key("tenant_id"),
    c.key("user_id"),
    c.text("role_id"),
    c.text("invited_by"),
    c.instant("created_at"),
    c.instant("updated_at"),
    c.instant("accepted_at"),
    c.instant("rejected_at"),
    Index("invitations_user_id", "user_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    c.key("id"),
    c.text("user_id"),
    Column("digest", LargeBinary(), nullable=False, unique=True),
    c.text("name"),
    c.text("description"),
    c.truth("is_personal"),
    c.json("scope", nullable=True),
    c.number("kind"),
    c.instant("issued_at"),
    c.instant("expires_at"),
    c.instant("updated_at"),
    c.instant("last_used_at"),
    c.instant("revoked_at"),
    Index("api_keys_user_id", "user_id"),
)

# A device that fetches names no tenant: it is found by the pair of external id and key, unique everywhere.
bootstrap_configs = Table(
    "bootstrap_configs",
    metadata,
    c.key("tenant_id"),
    c.key("device_id"),
    c.text("external_id"),
    *c.secret("external_key"),
    c.text("name"),
    c.text("content"),
    c.json("channels"),
    c.text("client_cert"),
    c.sealed("client_key", nullable=True),
    c.text("ca_cert"),
    c.text("created_by"),
    c.instant("created_at"),
    c.instant("updated_at"),
    ForeignKeyConstraint(["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"]),
    UniqueConstraint("tenant_id", "external_id", name="bootstrap_configs_external_id"),
    UniqueConstraint("external_id", "external_key_digest", name="bootstrap_configs_external_key"),
)

provision_records = Table(
    "provision_records",
    metadata,
    c.key("tenant_id"),
    c.key("external_id"),
    c.digest("request_digest"),
    c.json("device_ids"),
    c.json("channel_ids"),
    c.sealed("answer", nullable=True),
    c.text("created_by"),
    c.instant("created_at"),
)

# Clustered by time within the tenant, which is how it is read.
journal = Table(
    "journal",
    metadata,
    c.key("tenant_id"),
    Column("at", BigInteger(), primary_key=True),
    c.key("id"),
    c.text("actor"),
    c.text("operation"),
    c.text("entity_kind"),
    c.text("entity_id"),
    c.json("details", nullable=True),
    Index("journal_entity", "tenant_id", "entity_id", "at", "id"),
    sqlite_with_rowid=False,
)

stored_replies = Table(
    "stored_replies",
    metadata,
    c.key("id"),
    c.digest("body_digest"),
    c.number("status"),
    c.json("headers"),
    c.sealed("body"),
    c.instant("created_at"),
    Index("stored_replies_created_at", "created_at"),
)

events = Table(
    "events",
    metadata,
    c.text("topic"),
    c.text("tenant_id"),
    c.text("key"),
    c.json("payload", nullable=True),
    c.instant("created_at"),
    Column("id", c.SERIAL, primary_key=True, autoincrement=True),
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
    Index(
        "events_slow", "id", sqlite_where=is_slow(Column("topic")), postgresql_where=is_slow(Column("topic"))
    ),
    sqlite_autoincrement=True,
)

master_keys = Table(
    "master_keys",
    metadata,
    c.key("id"),
    c.sealed("hash_key"),
    c.instant("created_at"),
    c.instant("retired_at"),
)

presences = Table(
    "presences",
    metadata,
    c.key("tenant_id"),
    c.key("device_id"),
    c.instant("connected_at"),
    c.instant("disconnected_at"),
    c.text("protocol"),
    c.text("source"),
    ForeignKeyConstraint(["device_id", "tenant_id"], ["devices.id", "devices.tenant_id"], ondelete="CASCADE"),
)

client_id_claims = Table(
    "client_id_claims",
    metadata,
    c.key("id"),
    c.text("tenant_id"),
    c.text("device_id"),
    c.instant("created_at"),
    # No foreign key: the id stays claimed until the broker has dropped the sessions of a deleted device.
    Index("client_id_claims_device", "device_id", "tenant_id"),
)


# --- what tenants want to be told --------------------------------------------------------------------

webhooks = Table(
    "webhooks",
    metadata,
    c.key("tenant_id"),
    c.text("url"),
    c.json("topics"),
    c.sealed("secret"),
    c.sealed("former_secret", nullable=True),
    c.instant("former_until"),
    c.truth("is_enabled"),
    c.number("failures"),
    c.instant("failing_since"),
    c.instant("next_at"),
    c.instant("delivered_at"),
    c.text("last_error"),
    c.number("lost"),
    c.number("revision"),
    c.text("created_by"),
    c.instant("created_at"),
    c.instant("updated_at"),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE"),
)

notices = Table(
    "notices",
    metadata,
    c.key("tenant_id"),
    c.key("id"),
    c.text("topic"),
    c.text("key"),
    c.json("data", nullable=True),
    c.number("attempts"),
    c.instant("next_at"),
    c.instant("created_at"),
    Index("notices_order", "tenant_id", "created_at", "id"),
    Index("notices_due", "tenant_id", "next_at"),
)

usages = Table(
    "usages",
    metadata,
    c.key("tenant_id"),
    c.key("what"),
    Column("since", BigInteger(), primary_key=True),
    c.number("amount"),
)

# How many rows there are, so that nothing counts them. PostgreSQL appends deltas and folds them later:
# a row that every provisioning of a tenant must update would make them wait for each other.
tallies = Table(
    "tallies",
    metadata,
    c.key("kind"),
    c.key("tenant_id"),
    c.key("status"),
    c.number("n"),
    sqlite_with_rowid=False,
)
tally_deltas = Table(
    "tally_deltas",
    metadata,
    Column("id", c.SERIAL, primary_key=True, autoincrement=True),
    c.text("kind"),
    c.text("tenant_id"),
    c.text("status"),
    c.number("n"),
    Index("tally_deltas_tenant", "kind", "tenant_id"),
)
