"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

JSON = sa.Text().with_variant(JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("is_personal", sa.Boolean(), nullable=False),
        sa.Column("scope", JSON, nullable=True),
        sa.Column("kind", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("api_keys_pk")),
        sa.UniqueConstraint("digest", name=op.f("api_keys_digest")),
    )
    op.create_index("api_keys_user_id", "api_keys", ["user_id"])

    op.create_table(
        "channels",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("mapping_id", sa.Text(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("channels_pk")),
    )
    op.create_index(
        "channels_group_id",
        "channels",
        ["group_id"],
        sqlite_where=sa.text("group_id IS NOT NULL"),
        postgresql_where=sa.text("group_id IS NOT NULL"),
    )
    op.create_index("channels_list", "channels", ["tenant_id", "status", "updated_at", "created_at", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "channels_metadata",
            "channels",
            ["metadata"],
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        )
    op.create_index(
        "channels_route",
        "channels",
        ["tenant_id", "route"],
        unique=True,
        sqlite_where=sa.text("route IS NOT NULL"),
        postgresql_where=sa.text("route IS NOT NULL"),
    )

    op.create_table(
        "devices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("identity", sa.Text(), nullable=False),
        sa.Column("secret_digest", sa.LargeBinary(), nullable=True),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("mapping_id", sa.Text(), nullable=True),
        sa.Column("via", JSON, nullable=False),
        sa.Column("extensions", JSON, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", "tenant_id", name=op.f("devices_pk")),
    )
    op.create_index(
        "devices_group_id",
        "devices",
        ["group_id"],
        sqlite_where=sa.text("group_id IS NOT NULL"),
        postgresql_where=sa.text("group_id IS NOT NULL"),
    )
    op.create_index("devices_list", "devices", ["tenant_id", "status", "updated_at", "created_at", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "devices_metadata",
            "devices",
            ["metadata"],
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        )
    op.create_index(
        "devices_secret",
        "devices",
        ["secret_digest", "tenant_id"],
        unique=True,
        sqlite_where=sa.text("secret_digest IS NOT NULL"),
        postgresql_where=sa.text("secret_digest IS NOT NULL"),
    )

    op.create_table(
        "events",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("payload", JSON, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pk")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "events_waiting",
        "events",
        ["tenant_id", "key", "next_at"],
        sqlite_where=sa.text("next_at > 0"),
        postgresql_where=sa.text("next_at > 0"),
    )

    op.create_table(
        "groups",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("groups_pk")),
    )
    op.create_index("groups_list", "groups", ["tenant_id", "status", "updated_at", "created_at", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.create_index(
            "groups_metadata",
            "groups",
            ["metadata"],
            postgresql_using="gin",
            postgresql_ops={"metadata": "jsonb_path_ops"},
        )
    op.create_index(
        "groups_parent_id",
        "groups",
        ["parent_id"],
        sqlite_where=sa.text("parent_id IS NOT NULL"),
        postgresql_where=sa.text("parent_id IS NOT NULL"),
    )

    op.create_table(
        "invitations",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role_id", sa.Text(), nullable=False),
        sa.Column("invited_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("rejected_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name=op.f("invitations_pk")),
    )
    op.create_index("invitations_user_id", "invitations", ["user_id"])

    op.create_table(
        "journal",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("entity_kind", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("details", JSON, nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "at", "id", name=op.f("journal_pk")),
        sqlite_with_rowid=False,
    )
    op.create_index("journal_entity", "journal", ["tenant_id", "entity_id", "at", "id"])

    op.create_table(
        "provision_records",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(), nullable=False),
        sa.Column("device_ids", JSON, nullable=False),
        sa.Column("channel_ids", JSON, nullable=False),
        sa.Column("answer_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "external_id", name=op.f("provision_records_pk")),
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("entity_kind", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("actions", JSON, nullable=False),
        sa.Column("is_builtin", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("roles_pk")),
        sa.UniqueConstraint("tenant_id", "entity_id", "entity_kind", "name", name="roles_name"),
    )
    op.create_table(
        "stored_replies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("body_digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("headers", JSON, nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("stored_replies_pk")),
    )
    op.create_index("stored_replies_created_at", "stored_replies", ["created_at"])

    op.create_table(
        "tallies",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "tenant_id", "status", name=op.f("tallies_pk")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tally_deltas",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tally_deltas_pk")),
    )
    op.create_index("tally_deltas_tenant", "tally_deltas", ["kind", "tenant_id"])

    op.create_table(
        "tenants",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("is_personal", sa.Boolean(), nullable=False),
        sa.Column("max_devices", sa.BigInteger(), nullable=False),
        sa.Column("extensions", JSON, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("tenants_pk")),
    )
    op.create_index(
        "tenants_alias",
        "tenants",
        ["alias"],
        unique=True,
        sqlite_where=sa.text("alias IS NOT NULL"),
        postgresql_where=sa.text("alias IS NOT NULL"),
    )

    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=False),
        sa.Column("last_name", sa.Text(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("tags", JSON, nullable=False),
        sa.Column("metadata", JSON, nullable=False),
        sa.Column("picture", sa.Text(), nullable=False),
        sa.Column("personal_tenant", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pk")),
        sa.UniqueConstraint("username", name=op.f("users_username")),
    )
    op.create_index("users_email", "users", [sa.literal_column("lower(email)")], unique=True)

    op.create_table(
        "bootstrap_configs",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("external_key_digest", sa.LargeBinary(), nullable=False),
        sa.Column("external_key_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("channels", JSON, nullable=False),
        sa.Column("client_cert", sa.Text(), nullable=False),
        sa.Column("client_key_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("ca_cert", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id", "tenant_id"],
            ["devices.id", "devices.tenant_id"],
            name=op.f("bootstrap_configs_device_id_tenant_id_fk"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", name=op.f("bootstrap_configs_pk")),
        sa.UniqueConstraint("external_id", "external_key_digest", name="bootstrap_configs_external_key"),
        sa.UniqueConstraint("tenant_id", "external_id", name="bootstrap_configs_external_id"),
    )
    op.create_table(
        "client_id_claims",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("client_id_claims_pk")),
    )
    op.create_index("client_id_claims_device", "client_id_claims", ["device_id", "tenant_id"])

    op.create_table(
        "connections",
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("flow", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channels.id"], name=op.f("connections_channel_id_fk"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["device_id", "tenant_id"],
            ["devices.id", "devices.tenant_id"],
            name=op.f("connections_device_id_tenant_id_fk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("channel_id", "device_id", "tenant_id", name=op.f("connections_pk")),
        sqlite_with_rowid=False,
    )
    op.create_index("connections_device", "connections", ["device_id", "tenant_id"])

    op.create_table(
        "members",
        sa.Column("role_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("members_role_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("role_id", "user_id", name=op.f("members_pk")),
        sqlite_with_rowid=False,
    )
    op.create_index("members_user_id", "members", ["user_id"])

    op.create_table(
        "presences",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("connected_at", sa.BigInteger(), nullable=False),
        sa.Column("disconnected_at", sa.BigInteger(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id", "tenant_id"],
            ["devices.id", "devices.tenant_id"],
            name=op.f("presences_device_id_tenant_id_fk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", name=op.f("presences_pk")),
    )
