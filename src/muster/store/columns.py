"""What the columns of a table are made of: one function for each kind of value. See rows.py."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    literal_column,
    or_,
)
from sqlalchemy.dialects.postgresql import JSONB

from muster.core.events import SLOW

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


def text(name: str, **options: Any) -> Column[Any]:
    return Column(name, Text(), nullable=options.pop("nullable", False), **options)


def key(name: str) -> Column[Any]:
    return Column(name, Text(), primary_key=True)


def folded(name: str) -> Column[Any]:
    """Give a text column whose equality does not see the case of ASCII letters; index it as lower(name)."""
    return text(name, info={"folded": True})


def instant(name: str) -> Column[Any]:
    return Column(name, BigInteger(), nullable=False)


def number(name: str) -> Column[Any]:
    return Column(name, BigInteger(), nullable=False)


def truth(name: str) -> Column[Any]:
    return Column(name, Boolean(), nullable=False)


def json(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, JSON, nullable=nullable)


def digest(name: str) -> Column[Any]:
    return Column(name, LargeBinary(), nullable=False)


def sealed(name: str, *, nullable: bool = False, is_found: bool = False) -> Column[Any]:
    """Give the column of a Secret that is shown again; without a digest it cannot be looked for."""
    return Column(f"{name}_sealed", LargeBinary(), nullable=nullable, info={"is_found": is_found})


def secret(name: str, *, nullable: bool = False) -> tuple[Column[Any], Column[Any]]:
    """Give the two columns of a Secret: the keyed hash it is found by, and the value, sealed."""
    digest: Column[Any] = Column(f"{name}_digest", LargeBinary(), nullable=nullable)
    return digest, sealed(name, nullable=nullable, is_found=True)


def where(column: str) -> dict[str, Any]:
    """Limit an index to the rows that have the column."""
    condition = Column(column).is_not(None)
    return {"sqlite_where": condition, "postgresql_where": condition}


def is_slow(topic: Column[Any]) -> ColumnElement[bool]:
    """Say whether it is of an event for the slow outbox; the topics stand in the text, as in its index."""
    return or_(*(topic == literal_column(f"'{each}'") for each in sorted(SLOW)))


def contains_index(table: str) -> Index:
    """Let PostgreSQL answer `metadata @> …` from an index; SQLite has none (see migrations/env.py)."""
    return Index(
        f"{table}_metadata", "metadata", postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}
    ).ddl_if(dialect="postgresql")


def list_index(table: str) -> Index:
    """Serve the default order of lists, of all rows and of those with one status."""
    return Index(f"{table}_list", "tenant_id", "status", "updated_at", "created_at", "id")


def history() -> tuple[Column[Any], ...]:
    return text("created_by"), instant("created_at"), instant("updated_at"), text("updated_by")


def describe() -> tuple[Column[Any], ...]:
    return text("status"), json("tags"), json("metadata")
