"""What the load of the kill test does at each door; done again it must find what was acknowledged before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx

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


def total(http: httpx.Client, path: str, headers: Headers) -> int:
    """Ask how long a list is."""
    answer = http.get(path, params={"limit": 1}, headers=headers)
    assert 200 == answer.status_code, answer.text
    count: int = answer.json()["total"]
    return count
