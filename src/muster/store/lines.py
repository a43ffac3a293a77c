"""Connections to PostgreSQL: one a thread, and one that hears of events and chooses who delivers them."""

import contextlib
import hashlib
import select
import threading
from collections.abc import Callable

import psycopg
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.types.string import TextLoader

from muster.core import errors
from muster.store.location import Server
from muster.store.rows import Row

_OPTIONS = "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
CHANNEL = "muster_events"
POLL = 1.0
"""Seconds between two looks for what no notice told of."""


def connect(server: Server, *, is_reader: bool = False) -> psycopg.Connection[Row]:
    """Connect as every part of the store does. Unavailable when the server does not answer."""
    options = f"{_OPTIONS} -c default_transaction_read_only={'on' if is_reader else 'off'}"
    try:
        connection = psycopg.connect(
            server.conninfo,
            autocommit=True,
            connect_timeout=5,
            options=options,
            application_name=server.application,
            prepare_threshold=2,
        )
    except psycopg.Error:
        raise errors.Unavailable(f"the database {server.name} does not answer") from None
    connection.adapters.register_loader("jsonb", TextLoader)
    connection.prepared_max = 1000
    return connection


class Line:
    """A thread's connection, made when it is needed and again when it broke."""

    def __init__(self, server: Server, *, is_reader: bool) -> None:
        self._server = server
        self._is_reader = is_reader
        self._connection: psycopg.Connection[Row] | None = None
        self.has_events = False

    def ready(self) -> psycopg.Connection[Row]:
        """Give a connection outside a transaction. Unavailable when there is none to be had."""
        if self._connection is None or self._is_gone(self._connection):
            self.drop()
            self._connection = connect(self._server, is_reader=self._is_reader)
        return self._connection

    def _is_gone(self, connection: psycopg.Connection[Row]) -> bool:
        """Say whether the server ended it: an idle connection has nothing to read but its end."""
        if not connection.closed and _readable(connection.fileno()):
            with contextlib.suppress(psycopg.Error):
                connection.pgconn.consume_input()
        return connection.closed or connection.pgconn.status != ConnStatus.OK

    def roll_back(self) -> None:
        """End the transaction, whatever state it is in; drop the connection if it does not answer."""
        try:
            if self._connection is not None:
                self._forget(self._connection)
        except psycopg.Error:
            self.drop()

    def _forget(self, connection: psycopg.Connection[Row]) -> None:
        # psycopg takes a statement for prepared that the server never came to, because one before it in the
        # pipeline failed. Only its own rollback, of a transaction that is open, always forgets them all.
        if connection.info.transaction_status == TransactionStatus.IDLE:
            connection.execute("BEGIN", prepare=False)
        connection.rollback()

    @property
    def is_lost(self) -> bool:
        """Say whether the connection it used last is gone."""
        return self._connection is None or self._is_gone(self._connection)

    def drop(self) -> None:
        """Close the connection; the next use makes another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def lock_number(name: str) -> int:
    """Give the number under which PostgreSQL knows a lock: the same in every process."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


class Watch:
    """Listens for events, and holds the lock that makes one process of all deliver them."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._thread: threading.Thread | None = None
        self._wakes: list[Callable[[], None]] = []
        self._is_closing = threading.Event()
        self.is_chosen = False

    def start(self, wake: Callable[[], None]) -> None:
        """Call *wake* on notices and on every look, while this process is the one that delivers."""
        self._wakes.append(wake)
        if self._thread is None:
            self._thread = threading.Thread(target=self._listen, name="muster-watch", daemon=True)
            self._thread.start()

    def tell(self, ready: Callable[[], psycopg.Connection[Row]]) -> None:
        """Say that events were committed: here if this process delivers, else to the one that does."""
        if self.is_chosen:
            self._wake()
        else:
            # Not inside the transaction: there, notices make all commits wait for each other.
            with contextlib.suppress(psycopg.Error, errors.MusterError):
                ready().execute(f"NOTIFY {CHANNEL}".encode())

    def close(self) -> None:
        """Let another process deliver."""
        self._is_closing.set()
        if self._thread is not None:
            self._thread.join()

    def _listen(self) -> None:
        while not self._is_closing.is_set():
            try:
                with connect(self._server) as connection:
                    connection.execute(f"LISTEN {CHANNEL}".encode())
                    while not self._is_closing.is_set():
                        self._look(connection)
            except (psycopg.Error, errors.MusterError):
                self._is_closing.wait(POLL)
            finally:
                self.is_chosen = False

    def _look(self, connection: psycopg.Connection[Row]) -> None:
        if not self.is_chosen:
            lock = lock_number(CHANNEL)
            ((self.is_chosen,),) = connection.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchall()
        if self.is_chosen:
            self._wake()
        for _ in connection.notifies(timeout=POLL, stop_after=1):
            break

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()
