"""A real Muster in a process of its own, for tests that tell a story over the network."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from tests.ports import free_port

READY_SECONDS = 60


class Server:
    """Starts `muster serve` on free ports and a folder of its own; stops it at the end of the `with`."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "server.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._arguments = arguments
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "MUSTER_DATA_DIR": str(folder / "data"),
            "MUSTER_HTTP": f"127.0.0.1:{self.port}",
            "MUSTER_HTTPS": "",
            "MUSTER_MQTT": "",
            "MUSTER_MQTTS": "",
            "MUSTER_MQTT_WS": "",
            "MUSTER_ADAPTER_MQTT": "",
            "MUSTER_ADMIN_PASSWORD": "correct horse battery",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        """Start it and wait until it answers; fails with its output if it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "muster", *(self._arguments or ("serve",))],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                if httpx.get(f"{self.url}/health", timeout=2).status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the server did not start:\n{self.output()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, as an init system does; give its exit code. What it said of a failure is shown."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(timeout=30)
        if code:
            sys.stderr.write(self.output()[-4000:])
        return code

    def set_environment(self, **environment: str) -> None:
        """Change what the next start finds in its environment."""
        self.environment |= environment

    def kill(self) -> None:
        """End it with kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The process id of the parent process."""
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        """Give everything it printed so far."""
        return self.log.read_text(errors="replace")

    def client(self, token: str | None = None) -> httpx.Client:
        """Give an HTTP client, with a token or without."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
        if error is None:
            assert not re.search(r"Traceback|unexpected error", self.output()), self.output()


def admin_token(server: Server) -> str:
    """Log in as the first admin."""
    return login(server, "admin", "correct horse battery")


def login(server: Server, username: str, password: str) -> str:
    """Give an access token of the Magistrala door."""
    answer = httpx.post(f"{server.url}/users/tokens/issue", json={"username": username, "password": password})
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["access_token"]
    return token


def new_user(server: Server, name: str) -> str:
    """Register a user; give an access token."""
    body = {
        "first_name": name.title(),
        "last_name": "Doe",
        "email": f"{name}@example.com",
        "credentials": {"username": name, "secret": "12345678"},
    }
    answer = httpx.post(f"{server.url}/users", json=body)
    assert answer.status_code == 201, answer.text
    return login(server, name, "12345678")


def new_domain(server: Server, token: str, alias: str) -> str:
    """Create a domain; give its id."""
    with server.client(token) as http:
        answer = http.post("/domains", json={"name": alias, "alias": alias})
    assert answer.status_code == 201, answer.text
    domain: str = answer.json()["id"]
    return domain
