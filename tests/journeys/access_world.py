"""A world for the access matrix: a domain with one of each, and every kind of caller."""

import uuid
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.journeys.server import Server, admin_token, login, new_domain, new_user

STRONG = "another password"


def register(server: Server, name: str) -> tuple[str, str]:
    """Give id and token of a new user."""
    token = new_user(server, name)
    with server.client(token) as http:
        return http.get("/users/profile").json()["id"], token


@dataclass
class World:
    """What the paths and bodies of requests name."""

    server: Server
    owner: str
    token: str
    ids: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, server: Server, owner: str, token: str, friend: str) -> "World":
        """Make a fresh domain with a client, channels, a connection, a group, a configuration, a mapping."""
        world = cls(server, owner, token)
        mark = uuid.uuid4().hex[:8]
        domain = new_domain(server, token, f"plant-{mark}")
        with server.client(token) as http:

            def made(path: str, body: Any) -> Any:
                answer = http.post(path, json=body)
                assert answer.status_code in (200, 201), f"{path}: {answer.text}"
                return answer.json() if answer.content else {}

            client = made(f"/{domain}/clients", {"name": "weio"})["id"]
            spare = made(f"/{domain}/clients", {"name": "spare"})["id"]
            channel = made(f"/{domain}/channels", {"name": "mychan"})["id"]
            group = made(f"/{domain}/groups", {"name": "group"})["id"]
            child = made(f"/{domain}/groups", {"name": "child"})["id"]
            config = {
                "external_id": f"ext-{mark}",
                "external_key": "key",
                "channels": [channel],
                "client_id": client,
            }
            made(f"/{domain}/clients/configs", config)
            made(f"/{domain}/mapping", {"external_id": f"gw-{mark}", "external_key": "k", "name": "gw"})
            made(f"/{domain}/channels/connect", connect([channel], [client]))
            world.ids = {
                "domain": domain,
                "client": client,
                "spare": spare,
                "channel": channel,
                "group": group,
                "child": child,
                "external_id": f"gw-{mark}",
                "user": friend,
                "user_id": owner,
                "mark": mark,
                "entity_type": "client",
                "entity_id": client,
            }
            for kind, path in (
                ("domains", f"/domains/{domain}"),
                ("clients", f"/{domain}/clients/{client}"),
                ("channels", f"/{domain}/channels/{channel}"),
                ("groups", f"/{domain}/groups/{group}"),
            ):
                role = made(f"{path}/roles", {"role_name": "readers", "optional_actions": ["read"]})
                world.ids[f"role of {kind}"] = role["id"]
            key = made("/keys", {"type": 3, "duration": 3600})
            world.ids["key_id"] = key["id"]
            certificate = made(f"/{domain}/certs", {"client_id": client, "ttl": "1h"})
            world.ids["serial"] = world.ids["named"] = certificate["serial_number"]
            pat = made("/pats", {"name": "pat", "duration": "1h"})
            world.ids["pat_id"] = pat["id"]
        return world

    def unknown(self) -> dict[str, str]:
        """Give ids of the same form that name nothing."""
        return {**{name: str(uuid.uuid4()) for name in self.ids}, "entity_type": self.ids["entity_type"]}


def connect(channels: list[str], clients: list[str]) -> dict[str, Any]:
    return {"channel_ids": channels, "client_ids": clients, "types": ["publish"]}


@dataclass(frozen=True)
class Callers:
    """The headers by which each kind of caller asks."""

    owner_id: str
    friend_id: str
    owner_token: str
    headers: dict[str, dict[str, str]]


def callers(server: Server, expired: str) -> Callers:
    """Make every kind of caller of the matrix."""
    owner_id, owner = register(server, "alice")
    _, foreign = register(server, "bob")
    friend_id, _ = register(server, "carol")
    disabled_id, disabled = register(server, "dave")
    with server.client(admin_token(server)) as http:
        assert 200 == http.post(f"/users/{disabled_id}/disable").status_code
    with server.client(owner) as http:
        domain = new_domain(server, owner, "home")
        device = http.post(f"/{domain}/clients", json={"name": "d"}).json()["credentials"]["secret"]
    return Callers(
        owner_id=owner_id,
        friend_id=friend_id,
        owner_token=owner,
        headers={
            "nobody": {},
            "owner": bearer(owner),
            "foreign": bearer(foreign),
            "disabled": bearer(disabled),
            "expired": bearer(expired),
            "device": {"Authorization": f"Client {device}"},
        },
    )


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def member_without_rights(server: Server, world: World) -> dict[str, str]:
    """Give the headers of a user who is in the domain and may do nothing there."""
    name = f"eve{uuid.uuid4().hex[:8]}"
    user_id, token = register(server, name)
    with server.client(world.token) as http:
        role = {"role_name": "guests", "optional_actions": ["membership"], "optional_members": [user_id]}
        answer = http.post(f"/domains/{world.ids['domain']}/roles", json=role)
        assert 201 == answer.status_code, answer.text
    return bearer(token)


def send(server: Server, method: str, path: str, headers: dict[str, str], body: Any) -> httpx.Response:
    with httpx.Client(base_url=server.url, headers=headers, timeout=30) as http:
        return http.request(method, path, json=body) if body is not None else http.request(method, path)


__all__ = ["Callers", "World", "bearer", "callers", "login", "member_without_rights", "send"]
