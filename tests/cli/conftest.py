"""A real server for each worker of a run, and command lines with profile folders of their own."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from muster.__main__ import main
from muster.client import Api
from tests.journeys.server import Server
from tests.ports import free_port

ADMIN_PASSWORD = "correct horse battery"
BOOTSTRAP_KEY = "sixteen bytes ok"


@pytest.fixture(scope="session")
def mqtt_port() -> int:
    """Give the port of the server's broker."""
    return free_port()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, mqtt_port: int) -> Iterator[Server]:
    """Start one Muster for all tests of a worker; with a broker, kept messages and secure bootstrap."""
    settings = {
        "MUSTER_MQTT": f"127.0.0.1:{mqtt_port}",
        "MUSTER_MESSAGES_MAX_AGE": "1h",
        "MUSTER_BOOTSTRAP_ENCRYPT_KEY": BOOTSTRAP_KEY,
    }
    with Server(tmp_path_factory.mktemp("server"), **settings) as started:
        yield started


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its result, which must be one JSON document."""
        return json.loads(self.out)

    def refused(self, *words: str, code: int = 1) -> "Ran":
        """Assert that it failed in words: an error, these words in it, what to do next, never a traceback."""
        assert code == self.code, self
        assert any(line.startswith("error: ") for line in self.err.splitlines()), self
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err, self.err
        return self


class Shell:
    """Runs `muster` in this process, as a person without a terminal would."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **environment}

    def try_(self, *args: str, stdin: str = "") -> Ran:
        """Run it, whatever comes of it."""
        cleared = dict.fromkeys(("MUSTER_URL", "MUSTER_TOKEN", "MUSTER_PROFILE", "MUSTER_OUTPUT"))
        environment = {**cleared, **self.environment}
        done = CliRunner().invoke(main, list(args), input=stdin, env=environment, prog_name="muster")
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def __call__(self, *args: str, stdin: str = "") -> Ran:
        """Run it; it must succeed."""
        ran = self.try_(*args, stdin=stdin)
        assert ran.code == 0, ran
        return ran

    def json(self, *args: str, stdin: str = "") -> Any:
        """Run it with `-o json`; it must succeed; give the result."""
        return self(*args, "-o", "json", stdin=stdin).json

    def file(self, name: str, text: str) -> str:
        """Write a file; give its path."""
        where = self.folder / name
        where.write_text(text, encoding="utf-8")
        return str(where)


@pytest.fixture(scope="session")
def admin_api(server: Server) -> Iterator[Api]:
    """Give a client of the admin's."""
    with Api(server.url) as api:
        api.login("admin", ADMIN_PASSWORD)
        yield api


@dataclass(frozen=True)
class Person:
    """A user of the server."""

    id: str
    name: str
    password: str


@pytest.fixture
def jane(server: Server) -> Person:
    """Register a user."""
    name, password = f"jane-{uuid.uuid4().hex[:8]}", uuid.uuid4().hex
    with Api(server.url) as api:
        made = api.register(name, password, email=f"{name}@example.com", first_name="Jane", last_name="Doe")
    return Person(made["id"], name, password)


@pytest.fixture
def bare(server: Server, tmp_path: Path) -> Shell:
    """Give a command line that nobody has logged in to, pointed at the server."""
    return Shell(tmp_path, MUSTER_URL=server.url)


@pytest.fixture
def muster(bare: Shell, jane: Person) -> Shell:
    """Give a command line that a user has logged in to, with a domain of the user's own as the default."""
    bare("login", jane.name, "--password", "-", stdin=jane.password + "\n")
    alias = f"plant-{uuid.uuid4().hex[:8]}"
    bare("domains", "create", "Plant", alias)
    bare("domains", "use", alias)
    return bare


@pytest.fixture
def admin(server: Server, tmp_path: Path) -> Shell:
    """Give a command line of the installation's admin."""
    shell = Shell(tmp_path / "admin", MUSTER_URL=server.url)
    shell.folder.mkdir()
    shell("login", "admin", "--password", "-", stdin=ADMIN_PASSWORD + "\n")
    return shell
