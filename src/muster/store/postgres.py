"""PostgreSQL: a few threads, a connection each. Transactions that get in each other's way run again.

A use case first runs in a pipeline, without savepoints: few round trips. If a constraint stops it, or another
transaction changed what it read, it runs again step by step, with a savepoint around every write.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Identifier

from muster.core import errors, keyholders
from muster.core.model import Instant
from muster.core.ports import Tx
from muster.store.failures import is_transient, of_postgres
from muster.store.flavor import POSTGRES
from muster.store.lines import Line, Watch, lock_number
from muster.store.location import Server
from muster.store.rows import Row, Seals, Shape
from muster.store.statements import Statements
from muster.store.tally import APPEND, FOLD, Tally, rows_of
from muster.store.tx import Restart, Room, Transaction
from muster.store.work import Answer, Desk, Job, Observe, Witness, call, settle

P = ParamSpec("P")
R = TypeVar("R")
MOST_ATTEMPTS = 10
FOLD_AFTER = 500
"""Tally deltas since this process folded last."""
_ERRORS = (psycopg.Error, UnicodeEncodeError)


class ConnectionLost(BaseException):
    """The connection is gone, and nothing was committed."""


class PostgresSession:
    """A connection in use by one transaction: in a pipeline or, when *is_careful*, answer by answer."""

    def __init__(self, connection: psycopg.Connection[Row], *, is_careful: bool) -> None:
        self._connection = connection
        self._is_careful = is_careful
        self._exit = contextlib.ExitStack()
        self._pipeline = None if is_careful else self._exit.enter_context(connection.pipeline())
        self.tally = Tally()
        self.is_committing = False
        """From here on, a lost connection leaves open whether it was committed."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        with self._failing():
            return self._connection.execute(sql.encode(), parameters).fetchall()

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        with self._failing():
            cursor = self._connection.execute(sql.encode(), parameters)
            if self._pipeline is not None:
                self._pipeline.sync()
            return cursor.rowcount

    def send(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        """Run a statement of which only a failure matters; in a pipeline that shows with a later answer."""
        with self._failing():
            self._connection.execute(sql.encode(), parameters)

    def insert_many(self, shape: Shape, rows: list[Row], statements: Statements) -> None:
        """Insert through COPY, which a pipeline cannot do: leave it."""
        del statements
        columns = SQL(", ").join(map(Identifier, shape.written))
        copy = SQL("COPY {} ({}) FROM STDIN").format(Identifier(shape.name), columns)
        self.leave_pipeline()
        with self._failing(), self._connection.cursor().copy(copy) as stream:
            for row in rows:
                stream.write_row(row)

    def lock(self, name: str) -> None:
        self.send("SELECT pg_advisory_xact_lock(%s)", (lock_number(name),))

    def savepoint(self, verb: str) -> None:
        self.send(f"{verb} write_")

    def leave_pipeline(self) -> None:
        """Wait for every answer that is due; raises what any of them says."""
        self._pipeline = None
        with self._failing():
            self._exit.close()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except _ERRORS as error:
            failure = of_postgres(error)
            if is_transient(error) or (isinstance(failure, errors.Conflict) and not self._is_careful):
                raise Restart from None
            raise failure from None


class PostgresStore:
    """Implements core/ports.Store on a server that other processes use as well."""

    def __init__(
        self,
        server: Server,
        sealer: keyholders.Sealer,
        clock: Callable[[], Instant],
        *,
        writers: int = 4,
        readers: int = 2,
    ) -> None:
        """Start the threads; they connect when there is work."""
        # By this the change of a master key sees who still seals under another one: see rekey.py.
        self._server = server = replace(server, application=f"{server.application} {sealer.key_ids[0]}")
        self._clock = clock
        seals = Seals(sealer)
        self._room = Room(Statements(POSTGRES, seals), seals, sealer)
        self._watch = Watch(server)
        self._observers: list[Observe] = []
        self._witnesses: list[Witness] = []
        self._appended = 0  # by all threads, about: a fold too early or too late harms nobody
        self._writing = Desk("muster-writer", partial(self._serve, may_write=True), threads=writers)
        self._reading = Desk("muster-reader", partial(self._serve, may_write=False), threads=readers)

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
        """Say whether this process takes events out of the outbox: one of all that share the database."""
        return self._watch.is_chosen

    def on_events(self, wake: Callable[[], None]) -> None:
        """Call *wake*, from a thread of the store, whenever events may be waiting for this process."""
        self._watch.start(wake)

    @property
    def is_alone(self) -> bool:
        """Say whether no other process changes anything: of a database, nobody knows."""
        return False

    def on_emitted(self, witness: Witness) -> None:
        """Tell *witness*, from a thread of the store, what a commit emitted, before anybody is answered."""
        self._witnesses.append(witness)

    def on_commit(self, observe: Observe) -> None:
        """Tell *observe*, from a thread of the store, of every commit that was tried."""
        self._observers.append(observe)

    def close(self) -> None:
        """Finish what was accepted, then disconnect. Blocks; harmless when closed already."""
        self._watch.close()
        self._reading.close()
        self._writing.close()

    def _serve(self, desk: Desk, *, may_write: bool) -> None:
        line = Line(self._server, is_reader=not may_write)
        attempt = self._write if may_write else self._read
        while (job := desk.wait()) is not None:
            started = time.monotonic()
            settle([self._answer(line, job, attempt)])
            if may_write:
                for observe in self._observers:
                    observe(1, time.monotonic() - started)
                self._tidy(line)
        line.drop()

    def _tidy(self, line: Line) -> None:
        """Do what no answer waits for: say that there are events, fold what was appended."""
        if line.has_events:
            line.has_events = False
            self._watch.tell(line.ready)
        if self._appended >= FOLD_AFTER:
            self._appended = 0
            fold = self._room.statements.once("fold", FOLD)
            with contextlib.suppress(errors.MusterError, psycopg.Error):
                line.ready().execute(fold.sql.encode(), fold.bind(()))

    def _answer(self, line: Line, job: Job, attempt: Callable[[Line, Job, bool], Any]) -> Answer:
        for number in range(MOST_ATTEMPTS):
            try:
                return job, attempt(line, job, number > 0), None
            except Restart:
                # Wait a little, and not for the same time as the one that is in the way.
                time.sleep(random.uniform(0, 0.001) * number**2)  # noqa: S311 no secret
            except ConnectionLost:
                if number:
                    return job, None, errors.Unavailable()
            except BaseException as error:  # noqa: BLE001 it is the caller's to handle
                return job, None, error
        return job, None, errors.Unavailable("too many changes to the same thing at once; try again")

    def _read(self, line: Line, job: Job, is_careful: bool) -> Any:
        del is_careful
        session = PostgresSession(line.ready(), is_careful=True)
        transaction = Transaction(session, self._room, self._clock(), may_write=False, is_careful=False)
        try:
            return job.use_case(transaction)
        except errors.Unavailable:
            if line.is_lost:
                raise ConnectionLost from None
            raise

    def _write(self, line: Line, job: Job, is_careful: bool) -> Any:
        connection = line.ready()
        session = PostgresSession(connection, is_careful=is_careful)
        try:
            session.send("BEGIN")
            transaction = Transaction(
                session, self._room, self._clock(), may_write=True, is_careful=is_careful
            )
            result = job.use_case(transaction)
            self._commit(session, transaction)
        except BaseException as error:
            self._give_up(line, session)
            if isinstance(error, errors.Unavailable) and line.is_lost and not session.is_committing:
                raise ConnectionLost from None
            raise
        if connection.info.transaction_status != TransactionStatus.IDLE:
            line.drop()
            raise errors.Unavailable
        line.has_events = bool(transaction.events)
        return result

    def _give_up(self, line: Line, session: PostgresSession) -> None:
        try:
            # What the use case went on without may be what made it raise; then the Restart of that counts.
            session.leave_pipeline()
        except errors.MusterError:
            pass
        finally:
            line.roll_back()

    def _commit(self, session: PostgresSession, transaction: Transaction) -> None:
        try:
            self._finish(session, transaction)
        finally:
            # Also when it is not known whether it was committed.
            if session.is_committing and transaction.events:
                for witness in self._witnesses:
                    witness(transaction.events)

    def _finish(self, session: PostgresSession, transaction: Transaction) -> None:
        """Write what was put off, and commit."""
        deltas = rows_of(transaction.tally)
        for row in deltas:
            append = self._room.statements.once("append", APPEND)
            session.send(append.sql, append.bind(row))
        transaction.finish()
        session.is_committing = True
        session.send("COMMIT")
        session.leave_pipeline()
        self._appended += len(deltas)
