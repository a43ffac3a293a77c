"""How many rows there are is kept, not counted: what a transaction adds and takes away is summed here."""

from collections import Counter
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, select, union_all
from sqlalchemy.dialects.postgresql import insert as upsert_postgres
from sqlalchemy.dialects.sqlite import insert as upsert_sqlite

from muster.store.rows import Shape
from muster.store.tables import tallies, tally_deltas

Tally = Counter[tuple[str, str, str]]
"""(kind, tenant, status) to the change of the number of rows; the kind is a table's name."""

_NAMES = ("kind", "tenant_id", "status", "n")
_VALUES: dict[str, Any] = {name: bindparam(f"b_{name}") for name in _NAMES}

UPSERT_SQLITE = (
    upsert_sqlite(tallies)
    .values(_VALUES)
    .on_conflict_do_update(
        index_elements=["kind", "tenant_id", "status"],
        set_={"n": tallies.c.n + upsert_sqlite(tallies).excluded.n},
    )
)
APPEND = insert(tally_deltas).values(_VALUES)


def rows_of(tally: Tally) -> list[tuple[str, str, str, int]]:
    """Give what is to be written, always in the same order: so writers cannot wait in a ring."""
    return sorted((*key, n) for key, n in tally.items() if n)


def count_rows(tally: Tally, shape: Shape, nouns: Any, *, sign: int = 1) -> None:
    """Note that the nouns were added (or, with sign -1, taken away)."""
    for noun in nouns:
        tenant = noun.tenant_id if shape.is_scoped else ""
        status = noun.status._value_ if shape.has_status else ""
        tally[shape.name, tenant, status] += sign


def sums_of(*, of_tenant: bool, with_deltas: bool) -> Select[Any]:
    """Sum the rows of a kind by status. Parameters, for each table read: kind, then tenant if asked for."""
    asked = ["kind"] + ["tenant_id"] * of_tenant
    parts = [
        select(table.c.status, table.c.n).where(
            *(table.c[name] == bindparam(f"{table.name}_{name}") for name in asked)
        )
        for table in ([tallies, tally_deltas] if with_deltas else [tallies])
    ]
    rows = (union_all(*parts) if with_deltas else parts[0]).subquery()
    return select(rows.c.status, func.sum(rows.c.n)).group_by(rows.c.status)


def _fold() -> Any:
    """Move all deltas into the tallies, in one statement: a reader sees them either there or here."""
    gone = delete(tally_deltas).returning(*(tally_deltas.c[name] for name in _NAMES)).cte("gone")
    keys = (gone.c.kind, gone.c.tenant_id, gone.c.status)
    summed = select(*keys, func.sum(gone.c.n)).group_by(*keys)
    put = upsert_postgres(tallies).from_select(_NAMES, summed)
    return put.on_conflict_do_update(
        index_elements=["kind", "tenant_id", "status"], set_={"n": tallies.c.n + put.excluded.n}
    ).returning(tallies.c.n)


FOLD = _fold()
