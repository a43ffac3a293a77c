"""What the load of the kill test does at each door; done again it must find what was acknowledged before."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from tests.ca.pki import Foreign, der, subject
from tests.journeys.server import Server, new_domain, new_user

Headers = dict[str, str]
BULK = 5


class Work(Protocol):
    """Something that takes one or more requests; *name* tells one piece of it from the others."""

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        """Do it, however much of it was done before. AssertionError: an acknowledged answer was a lie."""

    def expect(self, http: httpx.Client, count: int) -> None:
        """Assert that so many of it are there, whole, and each once."""


@dataclass
class Acknowledged:
    """The answers that came back, by what was asked."""

    known: dict[str, bytes] = field(default_factory=dict)

    def same(self, key: str, answer: httpx.Response, status: int) -> None:
        """Assert that the answer is what it was the first time."""
        assert (key, status) == (key, answer.status_code), answer.text
        assert self.known.setdefault(key, answer.content) == answer.content

    def once(self, key: str, answer: httpx.Response, status: int) -> None:
        """Assert that it was done now, or is refused because it was: surely the latter if acknowledged."""
        allowed = (409,) if key in self.known else (status, 409)
        assert answer.status_code in allowed, f"{key}: {answer.status_code} {answer.text}"
        self.known[key] = b""


class Mappings(Acknowledged):
    """A gateway by one call, through either door: the same call has the same answer."""

    def __init__(self, headers: Headers, path: str, made: Mapping[str, int]) -> None:
        super().__init__()
        self._headers, self._path, self._made = headers, path, made

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        body = {"external_id": name, "external_key": f"key of {name}"}
        self.same(name, await http.post(self._path, json=body, headers=self._headers), 201)

    def expect(self, http: httpx.Client, count: int) -> None:
        assert count == len(self.known)
        for noun, each in self._made.items():
            assert (noun, each * count) == (noun, total(http, noun, self._headers))


class Things(Acknowledged):
    """Things in bulk, then all of them connected to one channel."""

    def __init__(self, headers: Headers, channel: str) -> None:
        super().__init__()
        self._headers, self._channel = headers, channel

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        body = [{"name": name, "key": f"{name} {number}"} for number in range(BULK)]
        headers = {**self._headers, "Idempotency-Key": name}
        made = await http.post("/things/bulk", json=body, headers=headers)
        self.same(name, made, 201)
        ends = {
            "channel_ids": [self._channel],
            "thing_ids": [thing["id"] for thing in made.json()["things"]],
        }
        self.once(f"{name} connected", await http.post("/connect", json=ends, headers=self._headers), 200)

    def expect(self, http: httpx.Client, count: int) -> None:
        assert BULK * count == total(http, f"/channels/{self._channel}/things", self._headers)


class Tenants(Acknowledged):
    """A Hono tenant, its device, and the device's credentials."""

    def __init__(self, headers: Headers) -> None:
        super().__init__()
        self._headers = headers

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        for path in (f"/v1/tenants/{name}", f"/v1/devices/{name}/d"):
            self.once(path, await http.post(path, json={}, headers=self._headers), 201)
        path = f"/v1/credentials/{name}/d"
        if path not in self.known:
            secret = [{"type": "psk", "auth-id": name, "secrets": [{"key": "c2VjcmV0"}]}]
            put = await http.put(path, json=secret, headers=self._headers)
            assert 204 == put.status_code, put.text
            self.known[path] = b""
        held = await http.get(path, headers=self._headers)
        self.same(f"{path} read", held, 200)
        assert [name] == [each["auth-id"] for each in held.json()]

    def expect(self, http: httpx.Client, count: int) -> None:
        tenants = [path for path in self.known if path.startswith("/v1/tenants/")]
        assert count == len(tenants)
        for path in tenants:
            name = path.rpartition("/")[2]
            assert 1 == total(http, f"/v1/devices/{name}", self._headers)
            held = http.get(f"/v1/credentials/{name}/d", headers=self._headers).json()
            assert [name] == [each["auth-id"] for each in held]


class Contacts(Acknowledged):
    """A device that provisions itself with its certificate, as an adapter tells it."""

    def __init__(self, headers: Headers, tenant: str, ca: Foreign) -> None:
        super().__init__()
        self._headers, self._tenant, self._ca = headers, tenant, ca
        self._certificates: dict[str, str] = {}

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        if name not in self._certificates:
            issued = der(self._ca.sign(name=subject(name, o="ACME")))
            self._certificates[name] = base64.b64encode(issued).decode()
        asked = {
            "type": "x509-cert",
            "auth-id": f"CN={name},O=ACME",
            "client-certificate": self._certificates[name],
        }
        path = f"/v1/southbound/credentials/{self._tenant}"
        answer = await http.post(path, json=asked, headers=self._headers)
        allowed = (200,) if name in self.known else (200, 201)
        assert answer.status_code in allowed, f"{name}: {answer.status_code} {answer.text}"
        assert self.known.setdefault(name, answer.content) == answer.content

    def expect(self, http: httpx.Client, count: int) -> None:
        assert (
            count == len(self.known) == len({json.loads(each)["device-id"] for each in self.known.values()})
        )
        assert count == total(http, f"/v1/devices/{self._tenant}", self._headers)


def every_work(server: Server) -> list[Work]:
    """Make who works at each door, each in a tenant of its own, and give their works."""
    token = new_user(server, "jane")
    jane, domain = bearer(token), new_domain(server, token, "plant")
    john, mary = (raw(server, name) for name in ("john", "mary"))
    hugo = bearer(new_user(server, "hugo"))
    ca = Foreign("Factory")
    with server.client() as http:
        trusted = {"cert": base64.b64encode(ca.der).decode(), "auto-provisioning-enabled": True}
        made = http.post("/v1/tenants/factory", json={"trusted-ca": [trusted]}, headers=hugo)
        assert 201 == made.status_code, made.text
        channel = http.post("/channels/bulk", json=[{"name": "c"}], headers=mary).json()["channels"][0]["id"]
    clients = {f"/{domain}/clients": 1, f"/{domain}/channels": 2, f"/{domain}/clients/configs": 1}
    things = {"/things": 1, "/channels": 2, "/things/configs": 1}
    return [
        Mappings(jane, f"/{domain}/mapping", clients),
        Mappings(john, "/mapping", things),
        Things(mary, channel),
        Tenants(hugo),
        Contacts(hugo, "factory", ca),
    ]


def total(http: httpx.Client, path: str, headers: Headers) -> int:
    """Ask how long a list is."""
    answer = http.get(path, params={"limit": 1}, headers=headers)
    assert 200 == answer.status_code, answer.text
    count: int = answer.json()["total"]
    return count


def bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def raw(server: Server, name: str) -> Headers:
    """Register a user of the Mainflux door."""
    body = {"email": f"{name}@example.com", "password": "12345678"}
    with server.client() as http:
        assert 201 == http.post("/users", json=body).status_code
        return {"Authorization": http.post("/tokens", json=body).json()["token"]}
