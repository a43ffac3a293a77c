"""A webhook's story with the real program: it is set, hears of a device after a restart, and verifies it."""

from pathlib import Path

from tests.journeys.receiver import Receiver
from tests.journeys.server import Server, admin_token
from tests.ports import free_port


def test_what_was_written_before_a_crash_is_told_after_it(tmp_path: Path):
    """At least once: the notice is in the database with the device, whatever happens to the process."""
    nobody = free_port()
    server = Server(tmp_path / "server", MUSTER_CALLS_PRIVATE="true")
    with Receiver() as receiver, server:
        with server.client(admin_token(server)) as http:
            assert 201 == http.post("/v1/tenants/acme").status_code
            body = {"url": f"http://127.0.0.1:{nobody}/", "topics": ["device.created"]}
            secret = http.put("/v1/tenants/acme/webhook", json=body).json()["secret"]
            assert 201 == http.post("/v1/devices/acme/pump").status_code
        server.kill()
        server.start()
        with server.client(admin_token(server)) as http:
            body["url"] = receiver.url("/")
            assert 200 == http.put("/v1/tenants/acme/webhook", json=body).status_code
            called = receiver.heard("/", patience=20)[0]
    assert called.is_signed_with(secret)
    assert {"tenant-id": "acme", "device-id": "pump"} == called.said["data"]
