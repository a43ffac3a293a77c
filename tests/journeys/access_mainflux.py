"""The Mainflux door's side of the access matrix: every operation, and a user's things to try it on."""

import uuid
from collections.abc import Mapping
from typing import Any

import httpx

from tests.journeys.access_matrix import Body, Headers, Ids, Mint, Row, Scene

PASSWORD = "12345678"
ENTITIES = frozenset({"thing", "spare", "channel", "group", "named", "member", "key_id", "user_id"})


def _ends(ids: Mapping[str, str]) -> dict[str, Any]:
    return {"channel_ids": [ids["channel"]], "thing_ids": [ids["thing"]]}


def _members(ids: Mapping[str, str]) -> dict[str, Any]:
    return {"members": [ids["thing"]], "type": "things"}


ROWS = {
    # users: 403 to nobody, 400 for what is not there (spec B.0)
    "getProfile": Row(nobody=403, silent=401, foreign=None, guest=None, reader=None),
    "getUser": Row(nobody=403, silent=401, foreign=400, guest=400, reader=400),
    "listUsers": Row(nobody=403, silent=401, foreign=None, guest=None, reader=None),
    "updateUser": Row(
        body=lambda _: {"metadata": {"a": 1}}, nobody=403, foreign=None, guest=None, reader=None
    ),
    "updatePassword": Row(
        body=lambda _: {"old_password": PASSWORD, "password": PASSWORD},
        nobody=403,
        foreign=None,
        guest=None,
        reader=None,
        owner=201,
    ),
    # keys and groups: 403 to nobody
    "createKey": Row(
        body=lambda _: {"type": 2, "duration": 60},
        nobody=403,
        silent=401,
        foreign=None,
        guest=None,
        reader=None,
        owner=201,
    ),
    "getKey": Row(nobody=403, silent=401, reader=404),
    "deleteKey": Row(nobody=403, silent=401, reader=404, owner=204),
    "createGroup": Row(
        body=lambda ids: {"name": f"g-{uuid.uuid4().hex}", "parent_id": ids["group"]},
        nobody=403,
        reader=404,
        owner=201,
    ),
    "listGroups": Row(nobody=403, foreign=None, guest=None, reader=None),
    "getGroup": Row(nobody=403, reader=200),
    "updateGroup": Row(body=lambda _: {"name": f"g-{uuid.uuid4().hex}"}, nobody=403),
    "deleteGroup": Row(nobody=403, owner=204),
    "listChildrenOfGroup": Row(nobody=403, reader=200),
    "listParentsOfGroup": Row(nobody=403, reader=200),
    "assignMembers": Row(body=_members, nobody=403),
    "unassignMembers": Row(body=_members, nobody=403, owner=204),
    "listMembersOfGroup": Row(nobody=403, reader=200),
    "listGroupsOfMember": Row(nobody=403, reader=200),
    # things
    "createThing": Row(body=lambda _: {"name": "t"}, foreign=None, guest=None, reader=None, owner=201),
    "createThings": Row(body=lambda _: [{"name": "t"}], foreign=None, guest=None, reader=None, owner=201),
    "listThings": Row(foreign=None, guest=None, reader=None),
    "searchThings": Row(body=lambda _: {"limit": 100}, foreign=None, guest=None, reader=None),
    "getThing": Row(reader=200),
    "updateThing": Row(body=lambda _: {"name": "t2"}),
    "updateThingKey": Row(body=lambda _: {"key": uuid.uuid4().hex}),
    "shareThing": Row(body=lambda ids: {"user_ids": [ids["friend"]], "policies": ["read"]}),
    "deleteThing": Row(foreign=204, guest=204, owner=204),
    # channels and connections
    "createChannel": Row(body=lambda _: {"name": "c"}, foreign=None, guest=None, reader=None, owner=201),
    "createChannels": Row(body=lambda _: [{"name": "c"}], foreign=None, guest=None, reader=None, owner=201),
    "listChannels": Row(foreign=None, guest=None, reader=None),
    "listChannelsOfThing": Row(reader=200),
    "listThingsOfChannel": Row(reader=200),
    "getChannel": Row(reader=200),
    "updateChannel": Row(body=lambda _: {"name": "c2"}),
    "deleteChannel": Row(foreign=204, guest=204, owner=204),
    "connect": Row(body=_ends),
    "disconnect": Row(body=lambda ids: {"channel_ids": [ids["channel"]], "thing_ids": [ids["spare"]]}),
    "connectThing": Row(),
    "disconnectThing": Row(owner=204),
    # bootstrap: 403 to nobody
    "createConfig": Row(
        body=lambda ids: {
            "thing_id": ids["spare"],
            "external_id": uuid.uuid4().hex,
            "external_key": "k",
            "channels": [ids["channel"]],
        },
        nobody=403,
        owner=201,
    ),
    "listConfigs": Row(nobody=403, foreign=None, guest=None, reader=None),
    "getConfig": Row(nobody=403, reader=200),
    "updateConfig": Row(body=lambda _: {"name": "n", "content": "{}"}, nobody=403),
    "deleteConfig": Row(nobody=403, owner=204),
    "updateConfigCertificates": Row(body=lambda _: {"client_cert": "c"}, nobody=403),
    "updateConfigConnections": Row(body=lambda ids: {"channels": [ids["channel"]]}, nobody=403),
    "setState": Row(body=lambda _: {"state": 1}, nobody=403),
    # provision and certs
    "provision": Row(
        body=lambda _: {"external_id": uuid.uuid4().hex, "external_key": "k"},
        foreign=None,
        guest=None,
        reader=None,
        owner=201,
    ),
    "getLayoutContent": Row(foreign=None, guest=None, reader=None),
    "issueCert": Row(body=lambda ids: {"thing_id": ids["spare"]}, owner=201),
    "listCerts": Row(reader=201, owner=201),
    "revokeCert": Row(),
    "revokeCerts": Row(body=lambda ids: {"thing_id": ids["thing"]}),
}

PUBLIC = {
    "getVersion": "says nothing of anybody",
    "createUser": "test_users",
    "createToken": "test_users",
    "requestPasswordReset": "test_users",
    "resetPassword": "test_users",
    "bootstrap": "test_a_thing_learns_nothing_of_others",
    "bootstrapSecure": "test_bootstrap",
    "identify": "test_a_thing_learns_nothing_of_others",
    "accessByKey": "test_a_thing_learns_nothing_of_others",
    "accessById": "test_a_thing_learns_nothing_of_others",
    "readMessages": "test_messages",
}

OPEN_BODIES: Mapping[str, Body] = {
    "createUser": lambda _: {"email": f"{uuid.uuid4().hex}@example.com", "password": PASSWORD},
    "createToken": lambda ids: {"email": ids["email"], "password": PASSWORD},
    "identify": lambda ids: {"token": ids["key"]},
    "accessByKey": lambda ids: {"token": ids["key"]},
    "accessById": lambda ids: {"thing_id": ids["spare"]},
}
"""Of operations that need no user."""


class Mainflux:
    """Users of the Mainflux door, each with a world of things."""

    name = "mainflux"
    rows: Mapping[str, Row] = ROWS
    public: Mapping[str, str] = PUBLIC
    open_bodies: Mapping[str, Body] = OPEN_BODIES
    entities = ENTITIES

    def __init__(self, http: httpx.Client, admin: str, expired: Mint) -> None:
        """Make everybody who is nobody. *admin* is a token of the installation's admin."""
        self._http = http
        _, owner = self._register()
        gone_id, gone = self._register()
        ended = http.post(f"/users/{gone_id}/disable", headers=raw(f"Bearer {admin}"))
        assert 200 == ended.status_code
        key = self._made(owner, "/things/bulk", [{"name": "t"}]).json()["things"][0]["key"]
        deleted = self._made(owner, "/keys", {"type": 2}).json()
        assert 204 == http.delete(f"/keys/{deleted['id']}", headers=owner).status_code
        self.nobodies = {
            "nobody": {},
            "expired token": raw(expired("mainflux.auth")),
            "disabled user": gone,
            "device, raw key": raw(key),
            "device": raw(f"Thing {key}"),
            "key that was deleted": raw(deleted["value"]),
        }

    def _register(self, email: str = "") -> tuple[str, Headers]:
        """Give id and raw token of a new user."""
        body = {"email": email or f"{uuid.uuid4().hex}@example.com", "password": PASSWORD}
        return self._created({}, "/users", body), self._login(body["email"], PASSWORD)

    def _login(self, email: str, password: str) -> Headers:
        return raw(self._made({}, "/tokens", {"email": email, "password": password}).json()["token"])

    def login(self, name: str, password: str) -> Headers:
        """Give the headers of a user who is there."""
        return self._login(f"{name}@example.com", password)

    def _made(self, owner: Headers, path: str, body: Any) -> httpx.Response:
        answer = self._http.post(path, headers=owner, json=body)
        assert answer.status_code in (200, 201), f"{path}: {answer.text}"
        return answer

    def _created(self, owner: Headers, path: str, body: Any) -> str:
        return str(self._made(owner, path, body).headers["location"].rpartition("/")[2])

    def scene(self) -> Scene:
        """Make a user with things, a channel, groups, a configuration, a certificate and a key."""
        mark = uuid.uuid4().hex
        email, key = f"{mark}@example.com", f"key {mark}"
        user, owner = self._register(email)
        friend, _ = self._register()
        channel = self._created(owner, "/channels", {"name": "c"})
        config = {"external_id": mark, "external_key": f"k-{mark}", "channels": [channel]}
        ids = {
            "user_id": user,
            "email": email,
            "key": key,
            "friend": friend,
            "channel": channel,
            "thing": self._created(owner, "/things/configs", config),
            "spare": self._created(owner, "/things", {"name": "spare", "key": key}),
            "group": self._created(owner, "/groups", {"name": f"g-{mark}"}),
            "external_id": mark,
            "key_id": self._made(owner, "/keys", {"type": 2, "duration": 3600}).json()["id"],
        }
        ids["named"] = ids["member"] = ids["thing"]
        self._made(owner, "/groups", {"name": f"h-{mark}", "parent_id": ids["group"]})
        self._made(owner, "/certs", {"thing_id": ids["thing"]})
        self._made(owner, "/connect", {"channel_ids": [channel], "thing_ids": [ids["spare"]]})
        self._made(owner, f"/groups/{ids['group']}/members", _members(ids))
        manager = raw(f"Bearer {owner['Authorization']}")
        home = self._http.get("/domains", headers=manager).json()["domains"][0]["id"]
        return Scene(ids=ids, owner=owner, home=home, manager=manager, device=raw(f"k-{mark}"))

    def member(self, scene: Scene, actions: list[str]) -> Headers:
        """Let somebody in, through the Magistrala door: Mainflux shares single things alone."""
        user, headers = self._register()
        body = {"role_name": uuid.uuid4().hex, "optional_actions": actions, "optional_members": [user]}
        self._made(scene.manager, f"/domains/{scene.home}/roles", body)
        return headers

    def unknown(self) -> Ids:
        """Give ids of the same form that name nothing."""
        names = (
            "user_id",
            "email",
            "key",
            "friend",
            "channel",
            "thing",
            "spare",
            "group",
            "external_id",
            "key_id",
        )
        ids = {name: str(uuid.uuid4()) for name in names}
        return {**ids, "named": ids["thing"], "member": ids["thing"]}

    def snapshot(self, scene: Scene) -> Any:
        """Give all that the owner has."""
        thing, spare, group = scene.ids["thing"], scene.ids["spare"], scene.ids["group"]
        paths = (
            "/things",
            "/channels",
            "/groups",
            "/things/configs",
            f"/things/{thing}/channels",
            f"/things/{spare}/channels",
            f"/certs/{thing}",
            f"/groups/{group}/members",
            f"/keys/{scene.ids['key_id']}",
            "/users/profile",
        )
        return {path: self._http.get(path, headers=scene.owner).json() for path in paths}


def raw(token: str) -> Headers:
    return {"Authorization": token}
