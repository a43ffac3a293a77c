"""Alembic's way in. upkeep.py hands over the connection; there is no offline mode."""

from typing import Any

from alembic import context

from muster.store.nouns import SCHEMA


def include_object(thing: Any, _name: Any, kind: str, _is_reflected: Any, _counterpart: Any) -> bool:
    """Compare what this database can have: SQLite has no index for `metadata @> …`."""
    dialect = context.get_context().dialect.name
    return not (
        kind == "index" and dialect == "sqlite" and thing.dialect_kwargs.get("postgresql_using") == "gin"
    )


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SCHEMA,
    include_object=include_object,
    compare_server_default=True,
    render_as_batch=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
