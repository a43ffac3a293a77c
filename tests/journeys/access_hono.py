"""The Hono door's side of the access matrix: every operation, and an operator's tenant to try it on."""

import base64
import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from tests.journeys.access_matrix import Body, Headers, Ids, Mint, Row, Scene

ENTITIES = frozenset({"tenant", "device"})
PASSWORD = "12345678"
"""Of every user that register makes."""


def _password(auth_id: str) -> dict[str, Any]:
    return {"type": "hashed-password", "auth-id": auth_id, "secrets": [{"pwd-plain": "s3cret"}]}


def _login(ids: Mapping[str, str]) -> dict[str, Any]:
    return {"type": "hashed-password", "auth-id": ids["auth_id"]}


def _denial(ids: Mapping[str, str]) -> dict[str, Any]:
    return {"device-id": ids["denied"]}


HOOK = {"url": "https://hooks.invalid/", "topics": ["credentials.updated"]}
"""A name that no resolver knows (RFC 6761)."""
ROWS = {
    # tenants
    "createTenantWithGeneratedId": Row(body=lambda _: {}, foreign=None, guest=None, reader=None, owner=201),
    "createTenant": Row(body=lambda _: {}, makes="tenant", foreign=409, guest=409, reader=409, owner=409),
    "searchTenants": Row(query="?pageSize=200", foreign=None, guest=None, reader=200),
    "getTenant": Row(guest=403, reader=200),
    "updateTenant": Row(body=lambda _: {"ext": {"a": 1}}, guest=403, owner=204),
    "deleteTenant": Row(guest=403, owner=204),
    "getUsage": Row(guest=403, reader=200),
    # devices and credentials
    "createDeviceWithGeneratedId": Row(body=lambda _: {}, guest=403, owner=201),
    "createDevice": Row(body=lambda _: {}, makes="device", guest=403, owner=409),
    "createDevices": Row(body=lambda _: [{"id": uuid.uuid4().hex}], guest=403, owner=201),
    "searchDevices": Row(reader=200),
    "getDevice": Row(reader=200),
    "updateDevice": Row(body=lambda ids: {"via": [ids["gateway"]]}, owner=204),
    "deleteDevice": Row(owner=204),
    "deleteDevicesOfTenant": Row(guest=403, owner=204),
    "getAllCredentials": Row(reader=200),
    "updateCredentials": Row(body=lambda ids: [_password(ids["auth_id"])], owner=204),
    # what may not provision itself
    "listDenials": Row(guest=403, reader=200),
    "addDenial": Row(body=lambda _: {"device-id": uuid.uuid4().hex}, guest=403, owner=204),
    "removeDenial": Row(body=_denial, guest=403, owner=204),
    # what adapters and applications ask
    "southboundGetTenant": Row(body=lambda ids: {"tenant-id": ids["tenant"]}, guest=403),
    "southboundAssertRegistration": Row(body=lambda ids: {"device-id": ids["device"]}, guest=403),
    "southboundGetCredentials": Row(body=_login, guest=403),
    "consumeMessages": Row(query="?wait=0", guest=403, reader=200),
    "sendCommand": Row(body=lambda _: {}, owner=409),
    # where the tenant wants to be told
    "setWebhook": Row(body=lambda _: HOOK, guest=403),
    "getWebhook": Row(guest=403),
    "renewWebhookSecret": Row(guest=403),
    "deleteWebhook": Row(guest=403, owner=204),
}

PUBLIC = dict.fromkeys(
    (
        "postTelemetry",
        "putTelemetry",
        "postEvent",
        "putEvent",
        "postCommandResponse",
        "putCommandResponse",
    ),
    "test_hono: a registered device speaks with its password",
)


class Hono:
    """Operators of the Hono door, each with a tenant."""

    name = "hono"
    rows: Mapping[str, Row] = ROWS
    public: Mapping[str, str] = PUBLIC
    open_bodies: Mapping[str, Body] = {}
    entities = ENTITIES

    def __init__(self, http: httpx.Client, admin: str, expired: Mint) -> None:
        """Make everybody who is nobody. *admin* is a token of the installation's admin."""
        self._http = http
        gone, basic_of_gone, _ = self._register()
        ended = http.post(f"/users/{gone}/disable", headers={"Authorization": f"Bearer {admin}"})
        assert 200 == ended.status_code
        self.nobodies: dict[str, Headers] = {
            "nobody": {},
            "expired token": {"Authorization": f"Bearer {expired('supermq.auth')}"},
            "disabled user": basic_of_gone,
            "wrong password": basic("admin", "wrong"),
            "device": self.scene().device,
            "device of the Magistrala door": {"Authorization": "Client s3cret"},
        }

    def _register(self) -> tuple[str, Headers, Headers]:
        """Give a new user's id, and two ways to log in: HTTP Basic and a token of the Magistrala door."""
        name = f"o{uuid.uuid4().hex[:12]}"
        body = {
            "first_name": "Ann",
            "last_name": "Doe",
            "email": f"{name}@example.com",
            "credentials": {"username": name, "secret": PASSWORD},
        }
        user = self._made({}, "POST", "/users", body).json()["id"]
        login = {"username": name, "password": PASSWORD}
        token = self._made({}, "POST", "/users/tokens/issue", login).json()["access_token"]
        return user, basic(name, PASSWORD), {"Authorization": f"Bearer {token}"}

    def login(self, name: str, password: str) -> Headers:
        """Give the headers of a user who is there."""
        return basic(name, password)

    def _made(self, headers: Headers, method: str, path: str, body: Any) -> httpx.Response:
        answer = self._http.request(method, path, headers=headers, json=body)
        assert answer.status_code in (200, 201, 204), f"{path}: {answer.text}"
        return answer

    def scene(self) -> Scene:
        """Make an operator with a tenant that has a device, a gateway, credentials and a denial."""
        _, owner, manager = self._register()
        mark = uuid.uuid4().hex
        tenant, device, gateway = f"t-{mark}", f"d-{mark}", f"g-{mark}"
        ids = {"tenant": tenant, "device": device, "gateway": gateway, "auth_id": f"a-{mark}"}
        ids |= {"denied": f"n-{mark}", "command": "turn"}
        self._made(owner, "POST", f"/v1/tenants/{tenant}", {"ext": {"mark": mark}})
        self._made(owner, "POST", f"/v1/devices/{tenant}/{device}", {})
        self._made(owner, "POST", f"/v1/devices/{tenant}/{gateway}", {})
        self._made(owner, "PUT", f"/v1/credentials/{tenant}/{device}", [_password(ids["auth_id"])])
        self._made(owner, "POST", f"/v1/denials/{tenant}", {"device-id": ids["denied"]})
        self._made(owner, "PUT", f"/v1/tenants/{tenant}/webhook", HOOK)
        login = basic(f"{ids['auth_id']}@{tenant}", "s3cret")
        return Scene(ids=ids, owner=owner, home=tenant, manager=manager, device=login)

    def member(self, scene: Scene, actions: list[str]) -> Headers:
        """Let somebody in, through the Magistrala door: Hono has no members."""
        user, headers, _ = self._register()
        body = {"role_name": uuid.uuid4().hex, "optional_actions": actions, "optional_members": [user]}
        self._made(scene.manager, "POST", f"/domains/{scene.home}/roles", body)
        return headers

    def unknown(self) -> Ids:
        """Give ids of the same form that name nothing."""
        mark = uuid.uuid4().hex
        named = {"tenant": "t", "device": "d", "gateway": "g", "auth_id": "a", "denied": "n"}
        return {name: f"{letter}-{mark}" for name, letter in named.items()} | {"command": "turn"}

    def snapshot(self, scene: Scene) -> Any:
        """Give all that is in the tenant."""
        tenant, device = scene.ids["tenant"], scene.ids["device"]
        paths = (
            f"/v1/tenants/{tenant}",
            f"/v1/devices/{tenant}",
            f"/v1/credentials/{tenant}/{device}",
            f"/v1/denials/{tenant}",
            f"/v1/tenants/{tenant}/webhook",
        )
        return {path: self._http.get(path, headers=scene.owner).json() for path in paths}


def basic(name: str, password: str) -> Headers:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}
