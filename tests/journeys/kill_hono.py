"""What the load of the kill test does with Hono's tenants: webhooks, approval, limits, bulk, denials."""

import asyncio
import base64
import json
import time

import httpx

from tests.ca.pki import Foreign, der, subject
from tests.journeys.kill_works import BULK, Acknowledged, Headers, total
from tests.journeys.receiver import Receiver

PATIENCE = 60


class Contacts(Acknowledged):
    """A device that provisions itself with its certificate, as an adapter tells it."""

    def __init__(self, headers: Headers, tenant: str, ca: Foreign) -> None:
        super().__init__()
        self._headers, self._tenant, self._ca = headers, tenant, ca
        self._certificates: dict[str, str] = {}

    async def contact(self, http: httpx.AsyncClient, name: str) -> httpx.Response:
        """Show the device's certificate."""
        if name not in self._certificates:
            issued = der(self._ca.sign(name=subject(name, o="ACME")))
            self._certificates[name] = base64.b64encode(issued).decode()
        asked = {
            "type": "x509-cert",
            "auth-id": f"CN={name},O=ACME",
            "client-certificate": self._certificates[name],
        }
        path = f"/v1/southbound/credentials/{self._tenant}"
        return await http.post(path, json=asked, headers=self._headers)

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        answer = await self.contact(http, name)
        allowed = (200,) if name in self.known else (200, 201)
        assert answer.status_code in allowed, f"{name}: {answer.status_code} {answer.text}"
        assert self.known.setdefault(name, answer.content) == answer.content

    def expect(self, http: httpx.Client, count: int) -> None:
        devices = {json.loads(answer)["device-id"] for answer in self.known.values()}
        assert count == len(self.known) == len(devices)
        assert count == total(http, f"/v1/devices/{self._tenant}", self._headers)


class Approvals(Contacts):
    """A device that provisions itself, waits, and is let in by an operator; its id is its name."""

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        await super().do(http, name)
        approved = f"{name} approved"
        assert await self._is_in(http, name) or approved not in self.known
        path = f"/v1/devices/{self._tenant}/{name}"
        put = await http.put(path, json={"enabled": True}, headers=self._headers)
        assert 204 == put.status_code, put.text
        self.known[approved] = b""
        assert await self._is_in(http, name)

    async def _is_in(self, http: httpx.AsyncClient, name: str) -> bool:
        path = f"/v1/southbound/registration/{self._tenant}"
        answer = await http.post(path, json={"device-id": name}, headers=self._headers)
        assert answer.status_code in (200, 404), answer.text
        return answer.status_code == 200

    def expect(self, http: httpx.Client, count: int) -> None:
        path = f"/v1/devices/{self._tenant}"
        assert count == total(http, path, self._headers)
        assert count == len([key for key in self.known if key.endswith(" approved")])
        waiting = {"filterJson": '{"field": "/enabled", "value": false}'}
        assert 404 == http.get(path, params=waiting, headers=self._headers).status_code


class Denials(Contacts):
    """A device that provisioned itself, is deleted and stays out; and one that a gateway may not announce."""

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        answer = await self.contact(http, name)
        allowed = (404,) if name in self.known else (200, 201, 404)
        assert answer.status_code in allowed, f"{name}: {answer.status_code} {answer.text}"
        if answer.status_code != 404:
            path = f"/v1/devices/{self._tenant}/{name}"
            gone = await http.delete(path, headers=self._headers)
            assert 204 == gone.status_code, gone.text
            self.known[name] = b""
            assert 404 == (await self.contact(http, name)).status_code
        self.known[name] = b""
        denied = await http.post(
            f"/v1/denials/{self._tenant}", json={"device-id": name}, headers=self._headers
        )
        self.once(f"{name} denied", denied, 204)

    def expect(self, http: httpx.Client, count: int) -> None:
        listed = http.get(f"/v1/denials/{self._tenant}", headers=self._headers).json()
        subjects = [each["subject-dn"] for each in listed if "subject-dn" in each]
        devices = [each["device-id"] for each in listed if "device-id" in each]
        assert count == len(set(subjects)) == len(subjects) == len(set(devices)) == len(devices)
        assert 404 == http.get(f"/v1/devices/{self._tenant}", headers=self._headers).status_code


class Bulks(Acknowledged):
    """Devices with their credentials, in one request."""

    def __init__(self, headers: Headers, tenant: str) -> None:
        super().__init__()
        self._headers, self._tenant = headers, tenant

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        ids = [f"{name}-{number}" for number in range(BULK)]
        body = [{"id": each, "credentials": [_shared_key(each)]} for each in ids]
        made = await http.post(f"/v1/bulk/devices/{self._tenant}", json=body, headers=self._headers)
        self.once(name, made, 201)
        for each in ids:
            held = await http.get(f"/v1/credentials/{self._tenant}/{each}", headers=self._headers)
            self.same(each, held, 200)
            assert [each] == [credential["auth-id"] for credential in held.json()]

    def expect(self, http: httpx.Client, count: int) -> None:
        assert BULK * count == total(http, f"/v1/devices/{self._tenant}", self._headers)


def _shared_key(auth_id: str) -> dict[str, object]:
    return {"type": "psk", "auth-id": auth_id, "secrets": [{"key": "c2VjcmV0"}]}


class Webhooks(Acknowledged):
    """A tenant with a webhook, and a device that it is to be told of."""

    def __init__(self, headers: Headers, receiver: Receiver) -> None:
        super().__init__()
        self._headers, self._receiver = headers, receiver
        self._secrets: dict[str, str] = {}

    def _hook(self, name: str) -> dict[str, object]:
        return {"url": self._receiver.url(f"/{name}"), "topics": ["device.created"]}

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        tenant = f"/v1/tenants/{name}"
        self.once(tenant, await http.post(tenant, json={}, headers=self._headers), 201)
        put = await http.put(f"{tenant}/webhook", json=self._hook(name), headers=self._headers)
        assert 200 == put.status_code, put.text
        if "secret" in put.json():
            assert name not in self.known, "an acknowledged webhook was made again"
            self._secrets[name] = put.json()["secret"]
        self.known[name] = b""
        device = f"/v1/devices/{name}/d"
        self.once(device, await http.post(device, json={}, headers=self._headers), 201)

    def expect(self, http: httpx.Client, count: int) -> None:
        """Each device was told of, signed with the secret that was shown; nothing waits or was given up."""
        names = [key for key in self.known if not key.startswith("/")]
        assert count == len(names)
        for name in names:
            for call in self._receiver.heard(f"/{name}", patience=PATIENCE):
                assert {"tenant-id": name, "device-id": "d"} == call.said["data"]
                assert name not in self._secrets or call.is_signed_with(self._secrets[name])
            held = self._settled(http, name)
            assert self._hook(name) == {each: held[each] for each in ("url", "topics")}
            assert "given-up" not in held["state"]

    def _settled(self, http: httpx.Client, name: str) -> dict[str, dict[str, int]]:
        deadline = time.monotonic() + PATIENCE
        while True:
            held = http.get(f"/v1/tenants/{name}/webhook", headers=self._headers).json()
            if not held["state"]["pending"]:
                return dict(held)
            assert time.monotonic() < deadline, held
            time.sleep(0.1)


class Usages(Acknowledged):
    """Telemetry over HTTP of a tenant with a limit: what was shown as used stays used, and no more is."""

    SIZE = 10

    def __init__(self, headers: Headers, tenant: str) -> None:
        super().__init__()
        self._headers, self._tenant = headers, tenant
        self._sent = self._seen = 0

    def limits(self) -> dict[str, object]:
        """Give the tenant's body."""
        volume = {"effective-since": "2026-01-01T00:00:00Z", "max-bytes": 10**12}
        period = {"mode": "days", "no-of-days": 36_500}
        return {
            "minimum-message-size": self.SIZE,
            "resource-limits": {"data-volume": {**volume, "period": period}},
        }

    async def do(self, http: httpx.AsyncClient, name: str) -> None:
        await self._send(http, name)
        least = self._seen
        answer = await http.get(f"/v1/tenants/{self._tenant}/usage", headers=self._headers)
        assert 200 == answer.status_code, answer.text
        used = answer.json()["data-volume"]["used-bytes"]
        assert least <= used <= self._sent
        self._seen = max(self._seen, used)

    async def _send(self, http: httpx.AsyncClient, name: str) -> None:
        login, plain = (f"d@{self._tenant}", "s3cret"), {"Content-Type": "text/plain"}
        deadline = time.monotonic() + PATIENCE
        while True:
            self._sent += self.SIZE
            sent = await http.post("/telemetry", content=name[:1], auth=login, headers=plain)
            if sent.status_code == 202:
                return
            assert 503 == sent.status_code, sent.text  # the broker is still coming up
            assert time.monotonic() < deadline, sent.text
            await asyncio.sleep(0.1)

    def expect(self, http: httpx.Client, count: int) -> None:
        """Say so once more; that something was counted at all is seen two seconds after the last message."""
        assert count
        deadline = time.monotonic() + PATIENCE
        used = 0
        while not used:
            assert time.monotonic() < deadline, "nothing was counted"
            time.sleep(0.1)
            answer = http.get(f"/v1/tenants/{self._tenant}/usage", headers=self._headers)
            used = answer.json()["data-volume"]["used-bytes"]
        assert self._seen <= used <= self._sent
