"""Which master keys sealed what is here, and the hash keys of those that are gone; events that may wait."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "master_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("hash_key_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("master_keys_pk")),
    )
    op.create_index(
        "events_slow",
        "events",
        ["id"],
        sqlite_where=sa.text("topic = 'recovery.asked'"),
        postgresql_where=sa.text("topic = 'recovery.asked'"),
    )
