"""Who works at the doors of the kill test, each in a tenant of its own, and the server they work at."""

import base64
import ssl
from pathlib import Path
from typing import Any

import httpx

from tests.ca.pki import Foreign
from tests.journeys.kill_certificates import Enrolments, Renewals
from tests.journeys.kill_hono import Approvals, Bulks, Contacts, Denials, Usages, Webhooks
from tests.journeys.kill_works import Headers, Mappings, Tenants, Things, Work
from tests.journeys.receiver import Receiver
from tests.journeys.server import Server, new_domain, new_user
from tests.ports import free_port


class Target(Server):
    """A server with HTTPS, an adapter with its broker, and webhooks that may call the loopback."""

    def __init__(self, folder: Path, **environment: str) -> None:
        https, adapter = free_port(), free_port()
        self.secure = f"https://localhost:{https}"
        super().__init__(
            folder,
            MUSTER_HTTPS=f"127.0.0.1:{https}",
            MUSTER_ADAPTER_MQTT=f"127.0.0.1:{adapter}",
            MUSTER_CALLS_PRIVATE="true",
            **environment,
        )

    def trust(self) -> ssl.SSLContext:
        """Trust its CA, as a device's maker does."""
        return ssl.create_default_context(cadata=httpx.get(f"{self.url}/certs/download-ca").text)


def every_work(server: Target, receiver: Receiver) -> list[Work]:
    """Make who works at each door, and give their works."""
    return [*_magistrala(server), *_mainflux(server), *_hono(server, receiver)]


def _magistrala(server: Target) -> list[Work]:
    jane, jack, jill = (new_user(server, name) for name in ("jane", "jack", "jill"))
    plant, yard, mill = (
        new_domain(server, *each) for each in ((jane, "plant"), (jack, "yard"), (jill, "mill"))
    )
    clients = {f"/{plant}/clients": 1, f"/{plant}/channels": 2, f"/{plant}/clients/configs": 1}
    return [
        Mappings(bearer(jane), f"/{plant}/mapping", clients),
        Renewals(bearer(jack), yard),
        Enrolments(bearer(jill), mill, server.secure),
    ]


def _mainflux(server: Server) -> list[Work]:
    john, mary = (raw(server, name) for name in ("john", "mary"))
    with server.client() as http:
        channel = http.post("/channels/bulk", json=[{"name": "c"}], headers=mary).json()["channels"][0]["id"]
    things = {"/things": 1, "/channels": 2, "/things/configs": 1}
    return [Mappings(john, "/mapping", things), Things(mary, channel)]


def _hono(server: Server, receiver: Receiver) -> list[Work]:
    hugo = bearer(new_user(server, "hugo"))
    factory, gate, exile = Foreign("Factory"), Foreign("Gate"), Foreign("Exile")
    named = {"auto-provisioning-device-id-template": "{{subject-cn}}"}
    usages = Usages(hugo, "meter")
    bodies: dict[str, dict[str, Any]] = {
        "factory": _trusting(factory),
        "gate": _trusting(gate, **named, **{"auto-provisioning-needs-approval": True}),
        "exile": _trusting(exile, **named),
        "bulk": {},
        "meter": usages.limits(),
    }
    with server.client() as http:
        for name, body in bodies.items():
            made = http.post(f"/v1/tenants/{name}", json=body, headers=hugo)
            assert 201 == made.status_code, made.text
        assert 201 == http.post("/v1/devices/meter/d", headers=hugo).status_code
        secret = {"type": "hashed-password", "auth-id": "d", "secrets": [{"pwd-plain": "s3cret"}]}
        assert 204 == http.put("/v1/credentials/meter/d", json=[secret], headers=hugo).status_code
    return [
        Tenants(hugo),
        Contacts(hugo, "factory", factory),
        Approvals(hugo, "gate", gate),
        Denials(hugo, "exile", exile),
        Bulks(hugo, "bulk"),
        Webhooks(hugo, receiver),
        usages,
    ]


def _trusting(ca: Foreign, **more: Any) -> dict[str, Any]:
    cert = base64.b64encode(ca.der).decode()
    return {"trusted-ca": [{"cert": cert, "auto-provisioning-enabled": True, **more}]}


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def raw(server: Server, name: str) -> Headers:
    """Register a user of the Mainflux door."""
    body = {"email": f"{name}@example.com", "password": "12345678"}
    with server.client() as http:
        assert 201 == http.post("/users", json=body).status_code
        return {"Authorization": http.post("/tokens", json=body).json()["token"]}
