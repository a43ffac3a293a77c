"""A Muster with all its TLS ports, and devices that speak to it with the tools that devices' makers use."""

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho

from tests.journeys.server import Server, new_domain, new_user
from tests.ports import free_port


class Fleet(Server):
    """A server with HTTP, HTTPS, MQTT and MQTTS, whose layout makes certificates unless told otherwise."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.https, self.mqtt, self.mqtts = free_port(), free_port(), free_port()
        usual = {
            "MUSTER_HTTPS": f"127.0.0.1:{self.https}",
            "MUSTER_MQTT": f"127.0.0.1:{self.mqtt}",
            "MUSTER_MQTTS": f"127.0.0.1:{self.mqtts}",
            "MG_PROVISION_X509_PROVISIONING": "true",
        }
        super().__init__(folder, **usual | environment)
        self.ca = folder / "ca.crt"

    def trust(self) -> Path:
        """Fetch the CA bundle into a file, as an operator does."""
        self.ca.write_bytes(httpx.get(f"{self.url}/certs/download-ca").content)
        return self.ca

    @property
    def secure_url(self) -> str:
        """The HTTPS API."""
        return f"https://localhost:{self.https}"

    def curl(self, *arguments: str | Path, path: str = "") -> subprocess.CompletedProcess[str]:
        """Run curl against HTTPS; standard output ends with a line that holds the status."""
        command = ["curl", "-s", "-S", "--max-time", "10", "--cacert", self.ca, "-w", "\n%{http_code}"]
        command += [*arguments, f"{self.secure_url}{path}"]
        return subprocess.run(command, capture_output=True, text=True, check=False)


class Operator:
    """Somebody with a token and a domain."""

    def __init__(self, server: Server, name: str = "jane") -> None:
        self.server = server
        self.token = new_user(server, name)
        self.domain = new_domain(server, self.token, f"{name}-plant")

    def ask(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """Ask the API inside the domain."""
        with self.server.client(self.token) as http:
            return http.request(method, f"/{self.domain}{path}", **kwargs)

    def map(self, external_id: str = "gw-1", **more: Any) -> dict[str, Any]:
        """Provision a gateway; give the answer."""
        body = {"external_id": external_id, "external_key": f"key of {external_id}", **more}
        answer = self.ask("POST", "/mapping", json=body)
        assert 201 == answer.status_code, answer.text
        made: dict[str, Any] = answer.json()
        return made


def files_of(folder: Path, name: str, certificate: str, key: str) -> tuple[Path, Path]:
    """Write a certificate and its key where tools want them."""
    cert, private = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_text(certificate)
    private.write_text(key)
    return cert, private


def run(*command: str | Path, data: str | bytes = "") -> subprocess.CompletedProcess[str]:
    """Run a tool, for at most 20 seconds."""
    given = data.encode() if isinstance(data, str) else data
    done = subprocess.run(list(command), input=given, capture_output=True, check=False, timeout=20)
    text = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    return subprocess.CompletedProcess(done.args, done.returncode, *text)


class Live:
    """A paho client that stays connected by mTLS (or by password) as long as it is let."""

    def __init__(self, server: Fleet, topic: str, certificate: tuple[Path, Path] | None) -> None:
        self.messages: queue.Queue[bytes] = queue.Queue()
        self.closed = threading.Event()
        self._ready = threading.Event()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="live")
        self.client.tls_set(str(server.ca), *(map(str, certificate) if certificate else ()))
        self.client.on_connect = lambda client, *_: client.subscribe(topic)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.on_disconnect = lambda *_: self.closed.set()
        self.client.on_message = lambda _client, _data, message: self.messages.put(message.payload)
        self.client.connect("localhost", server.mqtts)
        self.client.loop_start()
        assert self._ready.wait(30), "the client was not let in"

    def leave(self) -> None:
        """Disconnect and end its thread."""
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def subscribed(server: Fleet, topic: str, certificate: tuple[Path, Path] | None) -> Iterator[Live]:
    """Keep a device subscribed over TLS."""
    live = Live(server, topic, certificate)
    try:
        yield live
    finally:
        live.leave()


def body_and_status(done: subprocess.CompletedProcess[str]) -> tuple[str, int]:
    """Take apart what Fleet.curl printed."""
    body, _, status = done.stdout.rpartition("\n")
    return body, int(status or 0)


def body_of(done: subprocess.CompletedProcess[str]) -> Any:
    """Give the JSON that curl received."""
    return json.loads(body_and_status(done)[0])
