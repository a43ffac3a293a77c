"""A webhook's story with the real program: it is set, hears of a device after a restart, and verifies it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.dialects.hono.receiver import Call
from tests.journeys.server import Server, admin_token

CALLS: list[Call] = []
HEARD = threading.Event()


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        CALLS.append(Call({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()
        HEARD.set()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_was_written_before_a_crash_is_told_after_it(tmp_path: Path, receiver: ThreadingHTTPServer):
    """At least once: the notice is in the database with the device, whatever happens to the process."""
    port = receiver.server_address[1]
    away = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    nobody = away.server_address[1]
    away.server_close()
    server = Server(tmp_path / "server", MUSTER_CALLS_PRIVATE="true")
    with server:
        with server.client(admin_token(server)) as http:
            assert 201 == http.post("/v1/tenants/acme").status_code
            body = {"url": f"http://127.0.0.1:{nobody}/", "topics": ["device.created"]}
            secret = http.put("/v1/tenants/acme/webhook", json=body).json()["secret"]
            assert 201 == http.post("/v1/devices/acme/pump").status_code
        server.kill()
        server.start()
        with server.client(admin_token(server)) as http:
            body["url"] = f"http://127.0.0.1:{port}/"
            assert 200 == http.put("/v1/tenants/acme/webhook", json=body).status_code
            assert HEARD.wait(20), server.output()
    assert CALLS[0].is_signed_with(secret)
    assert {"tenant-id": "acme", "device-id": "pump"} == CALLS[0].said["data"]
