"""Statements are written in SQLAlchemy Core, compiled once for each shape, and then run as text."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ClauseElement,
    CompoundSelect,
    Select,
    bindparam,
    column,
    delete,
    func,
    insert,
    literal_column,
    select,
    union_all,
    update,
)

from muster.core import errors
from muster.core.model import Status, TenantId
from muster.core.ports import ANYWHERE, Condition, Order, Window
from muster.store.conditions import Build, Clause, clause_of, equal, numbered, order_field
from muster.store.flavor import Flavor, Term
from muster.store.rows import Seals, Shape

MOST_ROWS = 64
"""Of one INSERT: each number of rows is a statement of its own."""
MOST_ROWS_READ = 2**61
MOST_IN_TEXT = 100
"""Rows of a first page: each number is a statement of its own."""
_NARROW: frozenset[Hashable] = frozenset(
    [("is", "id"), ("one of", "id"), ("is", "group_id"), ("is", "parent_id"), ("connected", True)]
)
"""Conditions that find few rows by an index of theirs: better than to walk the tenant's list for them."""

_NOT_STATUS: Hashable = ("Not", "status")
"""Of a list that is read status by status: said by which are read, not once more of every row."""


class Statement(NamedTuple):
    """SQL text, which of the values given goes where, and the values that are always the same."""

    sql: str
    takes: int
    """How many values; more may be given."""
    places: tuple[int, ...]
    constants: tuple[Any, ...]
    is_plain: bool
    """The values go in as they are given."""

    def bind(self, values: Sequence[Any]) -> Sequence[Any]:
        if self.is_plain and len(values) == self.takes:
            return values
        given = (*values[: self.takes], *self.constants)
        return tuple([given[place] for place in self.places])


class Statements:
    """The statements of one flavor."""

    def __init__(self, flavor: Flavor, seals: Seals) -> None:
        self.flavor = flavor
        self.seals = seals
        self._known: dict[Hashable, Statement] = {}
        self._owned: dict[tuple[str, bool], Build] = {}

    # --- writing --------------------------------------------------------------------------------------

    def insert(self, shape: Shape, rows: int) -> str:
        """Insert so many rows; the parameters are the rows' values one after another."""
        key = ("insert", shape.name, rows)
        known = self._known.get(key)
        if known is None:
            values: list[dict[str, Any]] = [
                {name: bindparam(f"c{row}_{name}") for name in shape.written} for row in range(rows)
            ]
            known = self._known[key] = self._compile(insert(shape.table).values(values))
        return known.sql

    def update(self, shape: Shape, *, is_versioned: bool) -> Statement:
        """Write a row over the one with its key; takes the row's values, then its version if versioned."""
        key = ("update", shape.name, is_versioned)
        known = self._known.get(key)
        if known is None:
            # The tenant is part of the identity even where the key does not need it: no row changes hands.
            fixed = {*shape.key, "tenant_id"} & {*shape.columns}
            binds: dict[str, Term] = {
                name: bindparam(f"v{place}") for place, name in enumerate(shape.columns)
            }
            statement = update(shape.table).where(*(shape.table.c[name] == binds[name] for name in fixed))
            if is_versioned:
                statement = statement.where(version_of(shape) == bindparam(f"v{len(binds)}"))
            statement = statement.values({n: b for n, b in binds.items() if n not in fixed})
            known = self._known[key] = self._compile(statement)
        return known

    def delete(self, shape: Shape, clauses: list[Clause]) -> Statement:
        """Delete what meets all clauses; tallied rows come back as tenant and status."""
        key = ("delete", shape.name, *(clause.key for clause in clauses))
        known = self._known.get(key)
        if known is None:
            statement = delete(shape.table).where(*self._terms(clauses))
            known = self._known[key] = self._compile(
                statement.returning(*tally_columns(shape)) if shape.is_tallied else statement
            )
        return known

    # --- reading --------------------------------------------------------------------------------------

    def clauses(self, shape: Shape, tenant: TenantId, conditions: Sequence[Condition]) -> list[Clause]:
        """Give all that a query asks: first the tenant, which nothing else adds, then its conditions."""
        asked = [clause_of(shape, tenant, one, self.seals, self.flavor) for one in conditions]
        is_narrow = shape.is_listed and not _NARROW.isdisjoint([clause.key for clause in asked])
        return [*self.scope(shape, tenant, is_indexed=not is_narrow), *asked]

    def scope(self, shape: Shape, tenant: TenantId, *, is_indexed: bool = True) -> list[Clause]:
        """Confine to the tenant's rows. ValueError when the noun belongs to no tenant."""
        if tenant == ANYWHERE:
            return []
        if not shape.is_scoped:
            raise ValueError(f"{shape.noun.__name__} belongs to no tenant: ask ANYWHERE")
        key = (shape.name, is_indexed)
        build = self._owned.get(key) or self._owned.setdefault(key, _owned(shape, is_indexed=is_indexed))
        return [Clause("tenant" if is_indexed else "any tenant", (tenant,), build)]

    def find(
        self, shape: Shape, tenant: TenantId, equals: Mapping[str, Any], *, is_versioned: bool
    ) -> tuple[str, Sequence[Any]]:
        """Give SQL and parameters that read one row by fields none of which is None or one of several.

        Most questions are such; for them no clauses are made, once the text is known.
        """
        values = [shape.value(field, value, self.seals) for field, value in equals.items()]
        key = ("find", shape.name, tenant == ANYWHERE, is_versioned, *equals)
        known = self._known.get(key)
        if known is None:
            fields = [equal(shape, field, value, self.seals) for field, value in equals.items()]
            clauses = [*self.scope(shape, tenant), *fields]
            query = self._select(shape, clauses, None, is_versioned=is_versioned)
            known = self._known[key] = self._compile(query.limit(literal_column("1")))
        return known.sql, known.bind(values if tenant == ANYWHERE else [tenant, *values])

    def select(
        self,
        shape: Shape,
        clauses: list[Clause],
        *,
        order: Order | None = None,
        window: Window | None = None,
        is_versioned: bool = False,
    ) -> tuple[str, Sequence[Any]]:
        """Give SQL and parameters that read the rows that meet all clauses."""
        keys = tuple([clause.key for clause in clauses])
        counted = () if window is None else _checked(window)
        first = self._first_rows(window)
        is_split = window is not None and window.limit is not None and _is_split(shape, keys, order)
        barred = [clause.values[0] for clause in clauses if clause.key == _NOT_STATUS] if is_split else []
        if barred:
            clauses = [clause for clause in clauses if clause.key != _NOT_STATUS]
        key = (
            "select",
            shape.name,
            keys,
            *barred,
            order and _order_key(order),
            first or (window and (window.limit is None)),
            is_versioned,
        )
        known = self._known.get(key)
        if known is None:
            most: Term = bindparam("w2", type_=BigInteger) if first is None else literal_column(str(first[1]))
            query: Select[Any] | CompoundSelect[Any]
            if is_split:
                statuses = [status.value for status in Status if status.value not in barred]
                query = self._by_status(shape, clauses, order, statuses, most, is_versioned=is_versioned)
            else:
                query = self._select(shape, clauses, order, is_versioned=is_versioned)
            if first is not None:
                query = query.limit(most)
            elif window is not None:
                query = query.offset(bindparam("w0", type_=BigInteger))
                query = query if window.limit is None else query.limit(bindparam("w1", type_=BigInteger))
            known = self._known[key] = self._compile(query)
        values = [value for clause in clauses for value in clause.values]
        if order is not None:
            values += [self.flavor.path(each.path) for each in _chain(order) if each.path]
        if first is None:
            values += counted
        return known.sql, known.bind(values)

    def _first_rows(self, window: Window | None) -> tuple[str, int] | None:
        """Say how many first rows are asked for, where their number is better part of the text.

        PostgreSQL does not keep a plan for a number of rows that it does not know: it plans each time anew.
        """
        if window is None or window.offset or window.limit is None or window.limit > MOST_IN_TEXT:
            return None
        return ("first", window.limit) if self.flavor.has_row_versions else None

    def count(self, shape: Shape, clauses: list[Clause]) -> tuple[str, Sequence[Any]]:
        """Count the rows that meet all clauses."""
        key = ("count", shape.name, *(clause.key for clause in clauses))
        known = self._known.get(key)
        if known is None:
            query = select(func.count()).select_from(shape.table).where(*self._terms(clauses))
            known = self._known[key] = self._compile(query)
        return known.sql, known.bind([value for clause in clauses for value in clause.values])

    def _select(
        self, shape: Shape, clauses: list[Clause], order: Order | None, *, is_versioned: bool
    ) -> Select[Any]:
        columns: list[Any] = [shape.table.c[name] for name in shape.columns]
        if is_versioned:
            columns.append(version_of(shape).label("version"))
        sorting = _sorting(shape, order, shape.table.c, self.flavor)
        return select(*columns).where(*self._terms(clauses)).order_by(*sorting)

    def _by_status(
        self,
        shape: Shape,
        clauses: list[Clause],
        order: Order | None,
        statuses: Sequence[str],
        most: Term,
        *,
        is_versioned: bool,
    ) -> CompoundSelect[Any]:
        """Read the first rows of each status in the order of its index, then the first of those."""
        parts = [
            self._select(shape, clauses, order, is_versioned=is_versioned)
            .where(shape.table.c.status == literal_column(f"'{status}'"))
            .limit(most)
            .offset(literal_column("0"))
            .subquery()
            for status in statuses
        ]
        names: dict[str, Term] = {name: column(name) for name in shape.columns}
        return union_all(*map(select, parts)).order_by(*_sorting(shape, order, names, self.flavor))

    def _terms(self, clauses: list[Clause]) -> list[Term]:
        bind = numbered("p")
        return [clause.build(self.flavor, bind) for clause in clauses]

    def once(self, key: Hashable, statement: ClauseElement | Callable[[], ClauseElement]) -> Statement:
        """Compile a statement without clauses, or what builds it; values in the order of the text."""
        known = self._known.get(key)
        if known is None:
            if not isinstance(statement, ClauseElement):
                statement = statement()
            known = self._known[key] = self._compile(statement, in_order_of_text=True)
        return known

    def _compile(self, statement: ClauseElement, *, in_order_of_text: bool = False) -> Statement:
        compiled: Any = statement.compile(dialect=self.flavor.dialect)
        names: list[str] = compiled.positiontup or []
        given = list(dict.fromkeys(name for name in names if compiled.binds[name].required))
        if not in_order_of_text:
            given.sort(key=_place)
        fixed = sorted({*names} - {*given})
        known = given + fixed
        constants = tuple(compiled.binds[name].value for name in fixed)
        places = tuple(known.index(name) for name in names)
        is_plain = places == tuple(range(len(given)))
        return Statement(str(compiled), len(given), places, constants, is_plain)


def _owned(shape: Shape, *, is_indexed: bool) -> Build:
    owner = shape.table.c.tenant_id
    if is_indexed:
        return lambda _, bind: owner == bind()
    return lambda flavor, bind: flavor.unindexed(owner) == bind()


def _place(name: str) -> tuple[int, int]:
    """Sort parameters as their values are given: of the clauses or the row, of the order, of the window."""
    return ("ow".find(name[0]), int(name[1:]) if name[1:].isdigit() else 0)


def version_of(shape: Shape) -> Term:
    """Give what PostgreSQL changes with every write of a row."""
    return literal_column(f"{shape.name}.xmin::text")


def tally_columns(shape: Shape) -> list[Term]:
    """Give what a tally is kept by: the tenant and the status, empty where the noun has none."""
    nothing: Term = literal_column("''")
    return [
        shape.table.c.tenant_id if shape.is_scoped else nothing,
        shape.table.c.status if shape.has_status else nothing,
    ]


def _is_split(shape: Shape, keys: tuple[Hashable, ...], order: Order | None) -> bool:
    """Say whether a list is best read status by status, because its index begins with tenant and status."""
    is_default = order is not None and order.field == Order().field
    return is_default and shape.is_listed and "tenant" in keys and ("is", "status") not in keys


def _chain(order: Order | None) -> Iterator[Order]:
    while order is not None:
        yield order
        order = order.then


def _order_key(order: Order | None) -> Hashable:
    """Say what the SQL of an order depends on: not the paths, which are bound."""
    return tuple((each.field, each.is_descending, bool(each.path)) for each in _chain(order))


def _sorting(shape: Shape, order: Order | None, columns: Any, flavor: Flavor) -> list[Term]:
    if order is None:
        return []
    bind, by, seen = numbered("o"), [], set()
    for each in _chain(order):
        if each.path:
            term = flavor.at(columns[shape.column(each.field).name], bind())
        else:
            name = order_field(shape, each.field)
            term = columns[name]
            seen.add(name)
        by.append(term.desc() if each.is_descending else term.asc())
    # An id is unique in its tenant: nothing can tie.
    ties = (
        [] if "id" in seen else [name for name in ("created_at", "id") if name in shape.columns] or shape.key
    )
    last = [columns[name] for name in ties if name not in seen]
    return by + [each.desc() if order.is_descending else each.asc() for each in last]


def _checked(window: Window) -> tuple[int, ...]:
    """Give offset, limit, and how many rows come before the end of the window."""
    if window.offset < 0 or (window.limit is not None and window.limit < 0):
        raise errors.Malformed("offset and limit must not be negative")
    offset = min(window.offset, MOST_ROWS_READ)
    if window.limit is None:
        return (offset,)
    limit = min(window.limit, MOST_ROWS_READ)
    return offset, limit, offset + limit
