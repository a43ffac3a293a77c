"""SQLite: one thread writes, a few read. Many use cases share one commit, each in a savepoint of its own."""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from muster.core import errors, keyholders
from muster.core.model import Event, Instant
from muster.core.ports import Tx
from muster.store.failures import of_sqlite
from muster.store.flavor import FUNCTIONS, SQLITE
from muster.store.rows import Row, Seals, Shape
from muster.store.statements import MOST_ROWS, Statements
from muster.store.tally import UPSERT_SQLITE, Tally, rows_of
from muster.store.tx import Restart, Room, Transaction
from muster.store.work import Answer, Desk, Job, Observe, Witness, call, settle

P = ParamSpec("P")
R = TypeVar("R")
MOST_IN_GROUP = 256
BACKLOG, MOST_SILENT = 4, 16
"""With more reads waiting than the first, up to the second go without a wake-up of their own."""
LONGEST_GROUP = 0.015
"""Seconds after which a group takes no more in, so that the first of it is not kept waiting."""
_ERRORS = (sqlite3.Error, UnicodeEncodeError, OverflowError)


class TransactionLost(BaseException):
    """SQLite rolled back by itself, as it does when the disk is full: nothing of the group is left."""


class SqliteSession:
    """A connection of one thread, between BEGIN and COMMIT when it is used."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._cursor = connection.cursor()
        self.tally = Tally()
        self.events: list[Event] = []

    def begin(self, statement: str) -> None:
        """Begin a transaction; Unavailable when the file cannot be locked or read."""
        self._run(statement, ())

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        self._require_transaction()
        try:
            return self._cursor.execute(sql, parameters).fetchall()
        except _ERRORS as error:
            raise of_sqlite(error) from None

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        self._require_transaction()
        return self._run(sql, parameters)

    def send(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        self._require_transaction()
        self._run(sql, parameters)

    def _require_transaction(self) -> None:
        """Never let a statement through that would be a transaction of its own."""
        if not self.connection.in_transaction:
            raise TransactionLost

    def _run(self, sql: str, parameters: Sequence[Any]) -> int:
        try:
            return self._cursor.execute(sql, parameters).rowcount
        except _ERRORS as error:
            raise of_sqlite(error) from None

    def insert_many(self, shape: Shape, rows: list[Row], statements: Statements) -> None:
        whole, rest = divmod(len(rows), MOST_ROWS)
        for start in range(0, whole * MOST_ROWS, MOST_ROWS):
            flat = [value for row in rows[start : start + MOST_ROWS] for value in row]
            self.write(statements.insert(shape, MOST_ROWS), flat)
        if rest:
            self.write(statements.insert(shape, rest), [value for row in rows[-rest:] for value in row])

    def lock(self, name: str) -> None:
        """Do nothing: one thread writes, one use case at a time."""

    def savepoint(self, verb: str) -> None:
        self.write(f"{verb} write_")


class SqliteStore:
    """Implements core/ports.Store on a file. Open at most once at a time, by any process."""

    def __init__(
        self, path: Path, sealer: keyholders.Sealer, clock: Callable[[], Instant], *, readers: int = 2
    ) -> None:
        """Open the file. Unavailable when another server has it open, or when it cannot be opened."""
        self._clock = clock
        seals = Seals(sealer)
        self._room = Room(Statements(SQLITE, seals), seals, sealer)
        self._listeners: list[Callable[[], None]] = []
        self._observers: list[Observe] = []
        self._witnesses: list[Witness] = []
        with contextlib.ExitStack() as undo:
            self._claim = undo.enter_context(claim(path, sealer.key_ids[0]))
            # Connected here, so that what is wrong with the file stops the start and not a thread.
            self._writer = SqliteSession(connect(path))
            self._idle_readers = [SqliteSession(connect(path, is_reader=True)) for _ in range(readers)]
            undo.pop_all()
        self._writing = Desk("muster-writer", self._write_forever)
        self._reading = Desk("muster-reader", self._read_forever, threads=readers)

    async def run(self, use_case: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        answer: R = await self._writing.submit(partial(call, use_case, args, kwargs))
        return answer

    async def read(
        self, use_case: Callable[Concatenate[Tx, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        answer: R = await self._reading.submit(partial(call, use_case, args, kwargs))
        return answer

    @property
    def depth(self) -> int:
        """Say how many use cases wait."""
        return self._writing.depth + self._reading.depth

    @property
    def delivers(self) -> bool:
        """Say whether this process takes events out of the outbox: always, there is no other."""
        return True

    def on_events(self, wake: Callable[[], None]) -> None:
        """Call *wake*, from a thread of the store, whenever events were committed."""
        self._listeners.append(wake)

    @property
    def is_alone(self) -> bool:
        """Say whether no other process changes anything: a file has one server."""
        return True

    def on_emitted(self, witness: Witness) -> None:
        """Tell *witness*, from a thread of the store, what a commit emitted, before anybody is answered."""
        self._witnesses.append(witness)

    def on_commit(self, observe: Observe) -> None:
        """Tell *observe*, from a thread of the store, of every commit that was tried."""
        self._observers.append(observe)

    def close(self) -> None:
        """Finish what was accepted, then let go of the file. Blocks; harmless when closed already."""
        self._reading.close()
        self._writing.close()
        self._claim.close()

    # --- the reading threads --------------------------------------------------------------------------

    def _read_forever(self, desk: Desk) -> None:
        session = self._idle_readers.pop()
        silent, owed = 0, None
        while (job := desk.wait(owed)) is not None:
            answer = self._answer_read(session, job)
            # While much waits, answers share a wake-up of the loop: it costs more than a look-up. Should the
            # next read take long, the answers of another thread wake the loop for these.
            silent = silent + 1 if desk.depth > BACKLOG and silent < MOST_SILENT else 0
            if owed is not None and owed is not job.mailbox:
                owed.call()
            job.mailbox.put([answer], calls=not silent)
            owed = job.mailbox if silent else None
        session.connection.close()

    def _answer_read(self, session: SqliteSession, job: Job) -> Answer:
        """Run one job in a snapshot of its own, so that it sees all that was acknowledged before."""
        try:
            session.begin("BEGIN")
            transaction = Transaction(session, self._room, self._clock(), may_write=False, is_careful=False)
            answer: Answer = (job, job.use_case(transaction), None)
            session.send("COMMIT")
        except BaseException as error:  # noqa: BLE001 a thread that dies answers nobody
            session.connection.rollback()
            return job, None, errors.Unavailable() if isinstance(error, TransactionLost) else error
        return answer

    # --- the writing thread ---------------------------------------------------------------------------

    def _write_forever(self, desk: Desk) -> None:
        session = self._writer
        while (job := desk.wait()) is not None:
            started = time.monotonic()
            answers = self._write_group(session, desk, job)
            emitted, session.events = session.events, []
            if emitted:
                for witness in self._witnesses:
                    witness(emitted)
            settle(answers)
            for observe in self._observers:
                observe(len(answers), time.monotonic() - started)
            if emitted:
                for wake in self._listeners:
                    wake()
        with contextlib.suppress(sqlite3.Error):
            session.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        session.connection.close()

    def _write_group(self, session: SqliteSession, desk: Desk, first: Job) -> list[Answer]:
        """Run a group of jobs and commit them together; when that fails, none of them happened."""
        answers: list[Answer] = []
        jobs = [first]
        try:
            session.begin("BEGIN IMMEDIATE")
            answers.append(self._answer_write(session, first))
            end = time.monotonic() + LONGEST_GROUP
            while len(jobs) < MOST_IN_GROUP and time.monotonic() < end and (job := desk.more()) is not None:
                jobs.append(job)
                answers.append(self._answer_write(session, job))
            self._write_tally(session)
            session.send("COMMIT")
        except BaseException as error:  # noqa: BLE001 a thread that dies answers nobody
            answers = [(job, None, as_unavailable(error)) for job in jobs]
            with contextlib.suppress(sqlite3.Error):
                session.connection.rollback()
        finally:
            session.tally.clear()
        return answers

    def _answer_write(self, session: SqliteSession, job: Job) -> Answer:
        """Run one job in its savepoint, once more if need be. Raises only what ends the whole group."""
        for is_careful in (False, True):
            try:
                return job, self._attempt(session, job, is_careful=is_careful), None
            except Restart:
                continue
            except TransactionLost:
                raise
            except BaseException as error:  # noqa: BLE001 it is the caller's
                return job, None, error
        return job, None, errors.Unavailable()

    def _attempt(self, session: SqliteSession, job: Job, *, is_careful: bool) -> Any:
        transaction = Transaction(session, self._room, self._clock(), may_write=True, is_careful=is_careful)
        session.send("SAVEPOINT use_case")
        try:
            result = job.use_case(transaction)
            transaction.finish()
        except BaseException:
            session.send("ROLLBACK TO use_case")
            session.send("RELEASE use_case")
            raise
        session.send("RELEASE use_case")
        session.tally.update(transaction.tally)
        session.events += transaction.events
        return result

    def _write_tally(self, session: SqliteSession) -> None:
        upsert = self._room.statements.once("tally", UPSERT_SQLITE)
        for row in rows_of(session.tally):
            session.write(upsert.sql, upsert.bind(row))


def as_unavailable(error: BaseException) -> Exception:
    """Say to a whole group that nothing of it happened."""
    return error if isinstance(error, errors.Unavailable) else errors.Unavailable()


def connect(path: Path, *, is_reader: bool = False) -> sqlite3.Connection:
    """Open the file as every part of the store does. Unavailable when it cannot be opened."""
    try:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        for pragma in (
            "busy_timeout = 10000",
            "journal_mode = WAL",
            "synchronous = FULL",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            "cache_size = -32768",
            f"query_only = {'ON' if is_reader else 'OFF'}",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except sqlite3.Error as error:
        raise errors.Unavailable(f"the database file {path} cannot be opened: {error}") from None
    for name, function in FUNCTIONS.items():
        connection.create_function(name, 2, function, deterministic=True)
    return connection


def claim(path: Path, key_id: str = "") -> Any:
    """Hold the file for this process until the claim is closed. Unavailable when another one holds it.

    Who writes secrets says under which master key: see claimant.
    """
    lock = _lock_of(path)
    try:
        held = os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
    except OSError as error:
        raise errors.Unavailable(f"the database file {path} cannot be claimed: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = held.read().partition(" ")[0].strip() or "unknown"
        held.close()
        used = f"the database file {path} is in use by another server (process {owner})"
        raise errors.Unavailable(f"{used}; SQLite serves one at a time") from None
    held.truncate(0)
    held.write(f"{os.getpid()} {key_id}\n")
    held.flush()
    return held


def claimant(path: Path) -> tuple[str, str]:
    """Give the process that claimed the file last and the master key it seals with; each may be empty."""
    try:
        process, _, key_id = _lock_of(path).read_text().strip().partition(" ")
    except OSError:
        return "", ""
    return process, key_id


def _lock_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock")
