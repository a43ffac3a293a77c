"""Another master key: all that is sealed is sealed anew, all that is hashed and known is hashed anew.

Batch by batch, and each row tells whether it is done: so it goes on after it was killed. Servers go on
meanwhile: one that has both keys opens what either sealed, finds by either hash, writes under the newest.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import sqlalchemy as sa

from muster.core.errors import MusterError, Unavailable
from muster.core.model import Instant
from muster.store import masterkeys
from muster.store.location import File, locate
from muster.store.masterkeys import Ring
from muster.store.nouns import SHAPES
from muster.store.rows import CONTEXT_SEPARATOR, Shape
from muster.store.sqlite import claim, claimant
from muster.store.upkeep import connected, snapshot

BATCH = 500
MOST_PASSES = 10
_MOST_ATTEMPTS = 20
_PAUSE = 0.05
"""Seconds before a batch is tried again that something else was in the way of."""
LINGER = 3.0
"""Seconds for which a connection may still be named that has ended."""
Tell = Callable[[str, int], None]
"""Is told the table and how many of its rows were looked at."""
SECRETS = tuple(shape for shape in SHAPES.values() if shape.sealed)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a change of the master key did."""

    sealed: int = 0
    """Values sealed anew."""
    hashed: int = 0
    """Hashes made anew."""
    unopened: list[str] = field(default_factory=list)
    """Values that no key opens: table and key of the row, and the field."""
    clashing: list[str] = field(default_factory=list)
    """Rows whose secret another row has as well, under the other hash."""
    retired: tuple[str, ...] = ()
    """The master keys that may be dropped; none as long as anything needs them."""


@dataclass(slots=True, kw_only=True)
class InUse:
    """What still needs a master key."""

    sealed: int = 0
    hashed: int = 0


def rekey(url: str, ring: Ring, now: Instant, tell: Tell) -> Outcome:
    """Seal and hash everything anew under the newest key of the ring; to be called again after a crash.

    Unavailable when a server runs that does not write under that key, or the ring lacks one that is needed.
    """
    outcome = Outcome()
    with _alone_or_beside(url, ring.key_ids[0]) as pause:
        masterkeys.admit(url, ring, now, every=True)
        for _ in range(MOST_PASSES):
            before = outcome.sealed + outcome.hashed
            with connected(url) as connection:
                outcome.unopened, outcome.clashing = [], []
                for shape in SECRETS:
                    _sweep(connection, shape, ring, outcome, tell, pause)
            _require_same_key(url, ring.key_ids[0])
            if outcome.sealed + outcome.hashed == before:
                break
        else:
            raise Unavailable(
                "something goes on writing under another master key; start it with the newest first"
            )
        if not outcome.unopened and not outcome.clashing:
            with connected(url) as connection:
                outcome.retired = masterkeys.retire(connection, ring.key_ids[0], now)
    return outcome


def in_use(url: str, ring: Ring) -> dict[str, InUse]:
    """Count by master key what is sealed and hashed with it, newest key first."""
    counted = {id_: InUse() for id_ in ring.key_ids}
    with snapshot(url) as connection:
        for shape in SECRETS:
            query = _query(shape).execution_options(yield_per=BATCH)
            for row in connection.execute(query).mappings():
                for name, how in _keys_of(shape, row, ring):
                    use = counted.setdefault(name, InUse())
                    setattr(use, how, getattr(use, how) + 1)
    return counted


# --- who else writes -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _alone_or_beside(url: str, key_id: str) -> Iterator[float]:
    """Keep servers off a SQLite file, or go on beside the one that has it: it gets half of the time."""
    place = locate(url)
    held = None
    if isinstance(place, File):
        with contextlib.suppress(Unavailable):
            held = claim(place.path, key_id)
    try:
        _require_same_key(url, key_id)
        yield 1.0 if isinstance(place, File) and held is None else 0.0
    finally:
        if held is not None:
            held.close()


def _require_same_key(url: str, key_id: str) -> None:
    """Unavailable when a server runs that seals under another key than this one.

    PostgreSQL still names one that ended a moment ago: it is looked at for LINGER.
    """
    until = time.monotonic() + LINGER
    while any(other != key_id for other in _newest_keys(url)):
        if isinstance(locate(url), File) or time.monotonic() > until:
            raise Unavailable(
                f"a server is running that does not seal with the master key {key_id}: "
                "start all with that key first in MUSTER_MASTER_KEY and the old one after it, then try again"
            )
        time.sleep(_PAUSE)


def _newest_keys(url: str) -> list[str]:
    """Give the master key under which each server seals that has the database."""
    place = locate(url)
    return [claimant(place.path)[1]] if isinstance(place, File) else _applications(url)


def _applications(url: str) -> list[str]:
    """Give the master key of each server connected to the PostgreSQL database."""
    query = sa.text(
        "SELECT DISTINCT application_name FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'muster%'"
    )
    with connected(url) as connection:
        return [name.partition(" ")[2] for name in connection.execute(query).scalars()]


# --- row by row ----------------------------------------------------------------------------------------


def _query(shape: Shape) -> sa.Select[Any]:
    return sa.select(*_key(shape), *(shape.table.c[name] for name in _columns(shape))).order_by(*_key(shape))


def _key(shape: Shape) -> list[sa.Column[Any]]:
    return [shape.table.c[name] for name in shape.key]


def _sweep(
    connection: sa.Connection, shape: Shape, ring: Ring, outcome: Outcome, tell: Tell, pause: float
) -> None:
    """Look at every row of a table once, in the order of its key."""
    looked, last = 0, None
    while True:
        query = _query(shape).limit(BATCH)
        if last is not None:
            query = query.where(sa.tuple_(*_key(shape)) > sa.tuple_(*map(sa.literal, last)))
        rows = connection.execute(query).mappings().all()
        connection.rollback()
        if not rows:
            tell(shape.name, looked)
            return
        changes = [change for row in rows if (change := _anew(shape, row, ring, outcome))]
        started = time.monotonic()
        _write(connection, shape, changes, outcome)
        time.sleep((time.monotonic() - started) * pause)
        looked, last = looked + len(rows), [rows[-1][name] for name in shape.key]
        tell(shape.name, looked)


class _Change(NamedTuple):
    row: str
    """To show."""
    values: dict[str, Any]
    """What the statement of the table takes."""
    sealed: int
    hashed: int


def _anew(shape: Shape, row: Any, ring: Ring, outcome: Outcome) -> _Change | None:
    """Give the row's secrets sealed and hashed under the newest key; None when they are."""
    old = {name: _bytes(row[name]) for name in _columns(shape)}
    new = dict(old)
    for name, codec in shape.sealed.items():
        sealed = old[f"{name}_sealed"]
        if sealed is None or (ring.is_current(sealed) and not codec.is_found):
            continue
        try:
            plain = _opened(shape, name, sealed, row, ring)
        except (MusterError, ValueError):
            outcome.unopened.append(f"{_shown(shape, row)} {name}")
            continue
        if not ring.is_current(sealed):
            new[f"{name}_sealed"] = ring.seal(plain.encode(), _context(shape, name, row))
        if codec.is_found:
            new[f"{name}_digest"] = ring.digest(f"{shape.name}.{name}", plain)
    changed = [name for name in new if new[name] != old[name]]
    if not changed:
        return None
    values = {f"k_{name}": row[name] for name in shape.key}
    values |= {f"o_{name}": value for name, value in old.items()}
    values |= {f"n_{name}": value for name, value in new.items()}
    sealed_anew = sum(name.endswith("_sealed") for name in changed)
    return _Change(_shown(shape, row), values, sealed_anew, len(changed) - sealed_anew)


def _write(connection: sa.Connection, shape: Shape, changes: Sequence[_Change], outcome: Outcome) -> None:
    """Write the rows that nobody changed meanwhile; the others are looked at again in the next pass."""
    for attempt in range(_MOST_ATTEMPTS if changes else 0):
        try:
            connection.execute(_statement(shape), [change.values for change in changes])
            connection.commit()
        except sa.exc.IntegrityError:
            connection.rollback()
            _write_each(connection, shape, changes, outcome)
            return
        except sa.exc.OperationalError:  # a deadlock, or the file was busy for too long
            connection.rollback()
            if attempt == _MOST_ATTEMPTS - 1:
                raise
            time.sleep(_PAUSE)
        else:
            outcome.sealed += sum(change.sealed for change in changes)
            outcome.hashed += sum(change.hashed for change in changes)
            return


def _write_each(
    connection: sa.Connection, shape: Shape, changes: Sequence[_Change], outcome: Outcome
) -> None:
    """Find the rows whose secret is taken."""
    if len(changes) == 1:
        outcome.clashing.append(changes[0].row)
        return
    for change in changes:
        _write(connection, shape, [change], outcome)


def _statement(shape: Shape) -> sa.Update:
    table, columns = shape.table, [shape.table.c[name] for name in _columns(shape)]
    same_row = [each == sa.bindparam(f"k_{each.name}") for each in _key(shape)]
    unchanged = [
        each.is_not_distinct_from(sa.bindparam(f"o_{each.name}", type_=each.type)) for each in columns
    ]
    new = {each.name: sa.bindparam(f"n_{each.name}", type_=each.type) for each in columns}
    return sa.update(table).where(*same_row, *unchanged).values(new)


def _keys_of(shape: Shape, row: Any, ring: Ring) -> Iterator[tuple[str, str]]:
    """Give the master key of each sealed value and hash of a row, and which of the two it is."""
    for name, codec in shape.sealed.items():
        sealed, digest = _bytes(row[f"{name}_sealed"]), _bytes(row.get(f"{name}_digest"))
        if sealed is not None:
            yield ring.key_id(sealed), "sealed"
        if sealed is not None and codec.is_found:
            with contextlib.suppress(MusterError, ValueError):
                plain = _opened(shape, name, sealed, row, ring)
                digests = ring.digests(f"{shape.name}.{name}", plain)
                yield from (
                    (id_, "hashed") for id_, one in zip(ring.key_ids, digests, strict=True) if one == digest
                )


def _columns(shape: Shape) -> list[str]:
    return [name for field_name, codec in shape.sealed.items() for name in codec.columns(field_name)]


def _opened(shape: Shape, name: str, sealed: bytes, row: Any, ring: Ring) -> str:
    return ring.open(sealed, _context(shape, name, row)).decode()


def _context(shape: Shape, name: str, row: Any) -> bytes:
    return CONTEXT_SEPARATOR.join([f"{shape.name}.{name}", *(row[each] for each in shape.key)]).encode()


def _bytes(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def _shown(shape: Shape, row: Any) -> str:
    return " ".join([shape.name, *(str(row[name]) for name in shape.key)])
