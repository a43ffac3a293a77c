"""Credentials, trusted CAs, first contacts and denials."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.Text().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "credentials",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("auth_key", sa.Text(), nullable=False),
        sa.Column("auth_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("extensions", JSON, nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("secrets_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id", "tenant_id"],
            ["devices.id", "devices.tenant_id"],
            name=op.f("credentials_device_id_tenant_id_fk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "type", "auth_key", name=op.f("credentials_pk")),
    )
    op.create_index("credentials_device", "credentials", ["device_id", "tenant_id"])

    op.create_table(
        "credential_sets",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id", "tenant_id"],
            ["devices.id", "devices.tenant_id"],
            name=op.f("credential_sets_device_id_tenant_id_fk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", name=op.f("credential_sets_pk")),
    )
    op.create_index("credential_sets_device", "credential_sets", ["device_id", "tenant_id"])

    op.create_table(
        "trusted_cas",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("subject_dn", sa.Text(), nullable=False),
        sa.Column("subject_key", sa.Text(), nullable=False),
        sa.Column("subject_der", sa.LargeBinary(), nullable=False),
        sa.Column("spki_der", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("is_provisioning", sa.Boolean(), nullable=False),
        sa.Column("makes_gateways", sa.Boolean(), nullable=False),
        sa.Column("device_id_template", sa.Text(), nullable=False),
        sa.Column("auth_id_template", sa.Text(), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("max_devices", sa.BigInteger(), nullable=False),
        sa.Column("opens_at", sa.BigInteger(), nullable=False),
        sa.Column("closes_at", sa.BigInteger(), nullable=False),
        sa.Column("reissue", sa.Text(), nullable=False),
        sa.Column("anchor_group", sa.Text(), nullable=True),
        sa.Column("extensions", JSON, nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name=op.f("trusted_cas_tenant_id_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("trusted_cas_pk")),
    )
    op.create_index("trusted_cas_subject_key", "trusted_cas", ["subject_key"])

    op.create_table(
        "first_contacts",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Text(), nullable=False),
        sa.Column("ca_id", sa.Text(), nullable=False),
        sa.Column("ca_key", sa.Text(), nullable=False),
        sa.Column("gateway_id", sa.Text(), nullable=False),
        sa.Column("auth_id", sa.Text(), nullable=False),
        sa.Column("auth_key", sa.Text(), nullable=False),
        sa.Column("serial", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.Column("not_after", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("is_announced", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id", "tenant_id"],
            ["devices.id", "devices.tenant_id"],
            name=op.f("first_contacts_device_id_tenant_id_fk"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "device_id", name=op.f("first_contacts_pk")),
    )
    op.create_index("first_contacts_ca", "first_contacts", ["tenant_id", "ca_id"])
    op.create_index("first_contacts_device", "first_contacts", ["device_id", "tenant_id"])

    op.create_table(
        "denials",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("denials_pk")),
    )

    op.create_index("devices_by_id", "devices", ["tenant_id", "id"])
