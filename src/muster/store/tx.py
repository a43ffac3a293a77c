"""One transaction, as the core sees it. When to begin, commit or try again is decided by the engines."""

import secrets
import uuid
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NoReturn, Protocol, TypeVar

from sqlalchemy import ClauseElement

from muster.core import errors, keyholders, ports
from muster.core.model import Event, Instant, Secret, Status, TenantId
from muster.core.ports import ANYWHERE, Condition, Order, Page, Window
from muster.store.conditions import Clause, equal, one_of
from muster.store.failures import taken
from muster.store.ids import Ids
from muster.store.nouns import RANK, SHAPES
from muster.store.rows import Row, Seals, Shape
from muster.store.statements import MOST_ROWS, Statements
from muster.store.tally import Tally, count_rows, sums_of

N = TypeVar("N")
R = TypeVar("R")
FIRST_PAGE = Order()


class Restart(BaseException):
    """The use case must run again from its start; never seen by a use case that does not catch everything."""


class Session(Protocol):
    """A connection inside a transaction."""

    tally: Tally
    """Changes by earlier transactions of the group that are not in the tables yet; else empty."""

    def rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        """Run a statement and give its rows. An error of the store's vocabulary when it fails."""

    def write(self, sql: str, parameters: Sequence[Any]) -> int:
        """Run a statement and say how many rows it touched."""

    def send(self, sql: str, parameters: Sequence[Any]) -> None:
        """Run a statement of which only a failure matters."""

    def insert_many(self, shape: Shape, rows: list[Row], statements: Statements) -> None:
        """Insert more rows than one statement takes."""

    def lock(self, name: str) -> None:
        """Hold the name until the transaction ends."""

    def savepoint(self, verb: str) -> None:
        """SAVEPOINT, ROLLBACK TO or RELEASE the one savepoint of a write."""


class Room:
    """What all transactions of a store share."""

    def __init__(self, statements: Statements, seals: Seals, sealer: keyholders.Sealer) -> None:
        self.statements = statements
        self.seals = seals
        self.sealer = sealer
        self.ids = Ids()
        self.many: tuple[type[Any], ...] = (list, tuple, Secret) if seals.is_changing else (list, tuple)
        """What a field of a question may equal in several ways."""


class Transaction:
    """Implements core/ports.Tx over a session.

    *is_careful* puts a savepoint around every write, so that a use case may go on after a Conflict. The
    first attempt goes without; if it does go on after one, Restart makes the engine run it once more.
    """

    def __init__(
        self, session: Session, room: Room, now: Instant, *, may_write: bool, is_careful: bool
    ) -> None:
        self._session = session
        self._room = room
        self._now = now
        self._may_write = may_write
        self._is_careful = is_careful
        self._is_versioned = may_write and room.statements.flavor.has_row_versions
        self._seen: dict[tuple[Any, ...], tuple[str | None, Status | None]] = {}
        self._is_broken = False
        self.tally = Tally()
        self.events: list[Event] = []

    # --- what a use case needs besides rows -----------------------------------------------------------

    @property
    def now(self) -> Instant:
        return self._now

    def new_id(self) -> str:
        return self._room.ids.next(self._now)

    def new_secret(self) -> str:
        return str(uuid.uuid4())

    def new_token(self) -> str:
        return secrets.token_urlsafe(32)

    def digest(self, purpose: str, plain: str) -> bytes:
        return self._room.sealer.digest(purpose, plain)

    def digests(self, purpose: str, plain: str) -> tuple[bytes, ...]:
        sealer = self._room.sealer
        return sealer.digests(purpose, plain) + sealer.former_digests(purpose, plain)

    def lock(self, name: str) -> None:
        self._session.lock(name)

    def emit(self, *events: Event) -> None:
        self._require_writable()
        self.events += events

    @property
    def seals(self) -> Seals:
        return self._room.seals

    def execute(self, key: str, statement: ClauseElement, values: Sequence[Any] = ()) -> list[Row]:
        """Run a statement of the store's own, compiled once under its key; values as they stand in it."""
        known = self._room.statements.once(key, statement)
        return self._rows(known.sql, known.bind(values))

    # --- writing --------------------------------------------------------------------------------------

    def add(self, *nouns: Any) -> None:
        by_noun: dict[type[Any], list[Any]] = {}
        for noun in nouns:
            by_noun.setdefault(type(noun), []).append(noun)
        kinds = sorted(by_noun, key=RANK.__getitem__)
        seals = self._room.seals
        if seals.is_changing:
            for kind in kinds:
                self._require_new_secrets(SHAPES[kind], by_noun[kind])
        batches = [
            (SHAPES[kind], [SHAPES[kind].encode(noun, seals) for noun in by_noun[kind]]) for kind in kinds
        ]
        self._attempt(lambda: self._insert(batches))
        for kind in kinds:
            if SHAPES[kind].is_tallied:
                count_rows(self.tally, SHAPES[kind], by_noun[kind])

    def _insert(self, batches: list[tuple[Shape, list[Row]]]) -> None:
        statements = self._room.statements
        for shape, rows in batches:
            if len(rows) == 1:
                self._session.send(statements.insert(shape, 1), rows[0])
            elif len(rows) <= MOST_ROWS:
                flat = [value for row in rows for value in row]
                self._session.send(statements.insert(shape, len(rows)), flat)
            else:
                self._session.insert_many(shape, rows, statements)

    def change(self, noun: Any) -> None:
        shape = SHAPES[type(noun)]
        known = self._known(shape, noun)
        version, status = known or (None, None)
        if self._room.seals.is_changing:
            self._require_new_secrets(shape, [noun])
        row: Row = shape.encode(noun, self._room.seals)
        update = self._room.statements.update(shape, is_versioned=version is not None)
        values = row if version is None else (*row, version)
        touched = self._attempt(lambda: self._session.write(update.sql, update.bind(values)))
        if not touched:
            self._refuse_change(noun, was_read=version is not None)
        if shape.has_status and noun.status is not status:
            tenant = noun.tenant_id if shape.is_scoped else ""
            self.tally[shape.name, tenant, status.value if status else ""] -= 1
            count_rows(self.tally, shape, [noun])
        self._seen[(shape.name, *shape.identity(noun))] = (None, noun.status if shape.has_status else None)

    def _require_new_secrets(self, shape: Shape, nouns: list[Any]) -> None:
        """Refuse a secret that is taken under the hash of an older master key, where no index tells of it.

        Conflict, as the index would say it. What is written under the newest key meanwhile, the index sees.
        """
        for field, columns in shape.found.items():
            names = [name.removesuffix("_digest") for name in columns]
            given = [noun for noun in nouns if getattr(noun, field) is not None]
            for start in range(0, len(given), MOST_ROWS):
                some = given[start : start + MOST_ROWS]
                wanted = {_values(noun, names): shape.identity(noun) for noun in some}
                for held in self._with_secrets(shape, field, some):
                    if wanted.get(_values(held, names), shape.identity(held)) != shape.identity(held):
                        raise taken(shape.name, [*columns])

    def _with_secrets(self, shape: Shape, field: str, nouns: list[Any]) -> list[Any]:
        """Give the rows that have the secrets of these; nothing of them is remembered as read."""
        statements, secrets = self._room.statements, [getattr(noun, field) for noun in nouns]
        clause = one_of(shape, field, secrets, self._room.seals, statements.flavor)
        return [
            shape.decode(row, self._room.seals) for row in self._rows(*statements.select(shape, [clause]))
        ]

    def _known(self, shape: Shape, noun: Any) -> tuple[str | None, Status | None] | None:
        """Give version and status of the row as last seen here; read it if the tally needs the status."""
        key = (shape.name, *shape.identity(noun))
        known = self._seen.get(key)
        if known is None and shape.has_status:
            tenant = noun.tenant_id if shape.is_scoped else ANYWHERE
            if self.find(shape.noun, tenant, **dict(zip(shape.key, key[1:], strict=True))) is None:
                self._refuse_change(noun, was_read=False)
            known = self._seen[key]
        return known

    def _refuse_change(self, noun: Any, *, was_read: bool) -> NoReturn:
        if was_read:
            raise Restart  # another transaction changed it after this one read it
        raise errors.NotFound(f"there is no such {type(noun).__name__.lower()}")

    def remove(self, kind: type[Any], tenant: TenantId, **equals: Any) -> int:
        shape = SHAPES[kind]
        statement = self._room.statements.delete(shape, clauses := self._equals(shape, tenant, equals))
        values = statement.bind([value for clause in clauses for value in clause.values])
        if not shape.is_tallied:
            return self._attempt(lambda: self._session.write(statement.sql, values))
        gone = self._attempt(lambda: self._session.rows(statement.sql, values))
        for of_tenant, status in gone:
            self.tally[shape.name, of_tenant, status] -= 1
        return len(gone)

    def _attempt(self, write: Callable[[], R]) -> R:
        self._require_writable()
        if self._is_careful:
            self._session.savepoint("SAVEPOINT")
        try:
            done = write()
        except Exception:
            self._is_broken = True
            if self._is_careful:
                self._session.savepoint("ROLLBACK TO")
                self._session.savepoint("RELEASE")
                self._is_broken = False
            raise
        if self._is_careful:
            self._session.savepoint("RELEASE")
        return done

    def _require_writable(self) -> None:
        if not self._may_write:
            raise TypeError("this use case only reads; run it with Store.run")
        self.require_whole()

    def require_whole(self) -> None:
        """Raise Restart if a write failed and was not undone: then nothing may follow, and no commit."""
        if self._is_broken:
            raise Restart

    def finish(self) -> None:
        """Write what was put off: events come last, so that their numbers follow the order of row locks."""
        self.require_whole()
        if self.events:
            shape = SHAPES[Event]
            self._insert([(shape, [shape.encode(event, self._room.seals) for event in self.events])])

    # --- reading --------------------------------------------------------------------------------------

    def get(self, kind: type[N], tenant: TenantId, id: str) -> N | None:  # noqa: A002 the port's name
        return self.find(kind, tenant, id=id)

    def find(self, kind: type[N], tenant: TenantId, **equals: Any) -> N | None:
        shape = SHAPES[kind]
        if any(value is None or isinstance(value, self._room.many) for value in equals.values()):
            found = self._read(shape, self._equals(shape, tenant, equals))
        else:
            find = self._room.statements.find
            found = self._nouns(shape, *find(shape, tenant, equals, is_versioned=self._is_versioned))
        return found[0] if found else None

    def select(
        self,
        kind: type[N],
        tenant: TenantId,
        *conditions: Condition,
        order: Order | None = None,
        window: Window | None = None,
    ) -> list[N]:
        shape = SHAPES[kind]
        clauses = self._room.statements.clauses(shape, tenant, conditions)
        return self._read(shape, clauses, order=order, window=window)

    def page(
        self,
        kind: type[N],
        tenant: TenantId,
        *conditions: Condition,
        order: Order = FIRST_PAGE,
        window: Window = Window(),  # noqa: B008 a frozen value
    ) -> Page[N]:
        items = self.select(kind, tenant, *conditions, order=order, window=window)
        is_last = window.limit is None or len(items) < window.limit
        if is_last and (items or not window.offset) and window.limit != 0:
            return Page(items, window.offset + len(items))
        return Page(items, self.count(kind, tenant, *conditions))

    def count(self, kind: type[Any], tenant: TenantId, *conditions: Condition) -> int:
        shape = SHAPES[kind]
        statuses = _only_status(conditions)
        if shape.is_tallied and statuses is not None and (shape.has_status or not conditions):
            self._room.statements.scope(shape, tenant)
            return self._tallied(shape, tenant, statuses)
        clauses = self._room.statements.clauses(shape, tenant, conditions)
        ((n,),) = self._rows(*self._room.statements.count(shape, clauses))
        return int(n)

    def _tallied(self, shape: Shape, tenant: TenantId, statuses: Sequence[str | None]) -> int:
        with_deltas = self._room.statements.flavor.has_row_versions
        by = {"of_tenant": tenant != ANYWHERE, "with_deltas": with_deltas}
        sums = self._room.statements.once(("tally", *by.values()), partial(sums_of, **by))
        asked = [shape.name, tenant] if tenant != ANYWHERE else [shape.name]
        found = self._rows(sums.sql, sums.bind(asked * (1 + with_deltas)))
        pending = [
            (of_status, change)
            for tally in (self._session.tally, self.tally)
            for (kind, of_tenant, of_status), change in tally.items()
            if kind == shape.name and tenant in (ANYWHERE, of_tenant)
        ]
        return sum(int(n) for status, n in (*found, *pending) if None in statuses or status in statuses)

    def _equals(self, shape: Shape, tenant: TenantId, equals: dict[str, Any]) -> list[Clause]:
        statements = self._room.statements
        clauses = statements.scope(shape, tenant)
        for field, value in equals.items():
            if isinstance(value, list | tuple):
                clauses.append(one_of(shape, field, value, self._room.seals, statements.flavor))
            else:
                clauses.append(equal(shape, field, value, self._room.seals))
        return clauses

    def _read(
        self,
        shape: Shape,
        clauses: list[Clause],
        *,
        order: Order | None = None,
        window: Window | None = None,
    ) -> list[Any]:
        select = self._room.statements.select
        return self._nouns(
            shape, *select(shape, clauses, order=order, window=window, is_versioned=self._is_versioned)
        )

    def _nouns(self, shape: Shape, sql: str, values: Sequence[Any]) -> list[Any]:
        rows = self._rows(sql, values)
        nouns = [shape.decode(row, self._room.seals) for row in rows]
        if self._may_write and (self._is_versioned or shape.has_status):
            self._remember(shape, nouns, rows)
        return nouns

    def _remember(self, shape: Shape, nouns: list[Any], rows: Iterable[Row]) -> None:
        for noun, row in zip(nouns, rows, strict=True):
            version = row[-1] if self._is_versioned else None
            status = noun.status if shape.has_status else None
            self._seen[(shape.name, *shape.identity(noun))] = (version, status)

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Row]:
        self.require_whole()
        return self._session.rows(sql, parameters)


def _values(noun: Any, names: list[str]) -> tuple[Any, ...]:
    return tuple([getattr(noun, name) for name in names])


def _only_status(conditions: Sequence[Condition]) -> list[str | None] | None:
    """Give the statuses that the conditions ask for, [None] for all; None when they ask for anything else."""
    match conditions:
        case ():
            return [None]
        case (ports.Is("status", Status() as status),):
            return [status.value]
        case (ports.OneOf("status", statuses),):
            return [Status(status).value for status in {*statuses}]
        case (ports.Not("status", Status() as status),):
            return [other.value for other in Status if other is not status]
    return None
