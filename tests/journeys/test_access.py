"""The access matrix, generated from the OpenAPI document: every operation for every kind of caller.

A new route joins by being there; one that takes a body needs a line in BODIES, or this fails and names it.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from muster.assembly.parts import keyring_of
from muster.ca.tokens import Tokens
from muster.settings import load
from tests.journeys.access_world import Callers, World, callers, member_without_rights, send
from tests.journeys.server import Server
from tests.ports import free_port

EMPTY_LISTS = re.compile(
    r"^(list|search|getProfile|get(Layout|Available))|^(createUser|createDomain|refresh|provision$|bootstrap)"
)
ANYBODY = {
    # What is one's own, or is there for everybody who is somebody.
    "getProfile",
    "searchUsers",
    "listDomains",
    "createDomain",
    "getUser",
    "listInvitations",
    "createKey",
    "createPat",
    "listPats",
    "provision",
    "getLayoutContent",
}
SECOND_TOKEN = {"refreshToken"}
"""Takes a token of another kind: tested with the tokens."""


def signing_request() -> str:
    """Give a CSR of a fresh key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return asked.public_bytes(Encoding.PEM).decode()


def bodies(ids: dict[str, str]) -> dict[str, Any]:
    """Give a valid body for each operation that takes one."""
    connect = {"channel_ids": [ids["channel"]], "client_ids": [ids["spare"]], "types": ["publish"]}
    clients = {"client_ids": [ids["spare"]], "types": ["publish"]}
    members, actions = {"members": [ids["user"]]}, {"actions": ["read"]}
    mark = ids["mark"]
    return {
        "issueCert": {"client_id": ids["client"], "ttl": "1h"},
        "issueCertFor": {"ttl": "1h", "options": {"common_name": "x"}},
        "signCsr": {"csr": signing_request(), "ttl": "1h"},
        "renewCert": {"ttl": "1h"},
        "renewCertByPost": {"ttl": "1h"},
        "rollOver": {},
        "importAuthority": {"certificates": "x", "key": "y"},
        "createDomain": {"name": "d", "alias": f"d-{mark}"},
        "updateDomain": {"name": "d2"},
        "provision": {"external_id": f"x-{mark}", "external_key": "k"},
        "provisionInDomain": {"external_id": f"x-{mark}", "external_key": "k"},
        "updateUserSecret": {"old_secret": "12345678", "new_secret": "12345678"},
        "updateUser": {"first_name": "Al"},
        "updateEmail": {"email": f"a{mark}@example.com"},
        "updatePicture": {"profile_picture": "https://example.com/a.png"},
        "updateUserRole": {"role": "admin"},
        "updateUserTags": {"tags": ["a"]},
        "updateUsername": {"username": f"alice{mark}"},
        "createChannel": {"name": "c"},
        "createChannels": [{"name": "c"}],
        "connect": connect,
        "disconnect": connect,
        "connectAll": [connect],
        "updateChannel": {"name": "c2"},
        "connectClients": clients,
        "putClients": clients,
        "disconnectClients": clients,
        "deleteClients": clients,
        "setChannelParent": {"parent_group_id": ids["group"]},
        "updateChannelTags": {"tags": ["a"]},
        "createClient": {"name": "c"},
        "createClients": [{"name": "c"}],
        "createConfig": {"external_id": f"y-{mark}", "external_key": "k", "channels": [ids["channel"]]},
        "updateConfigCertificates": {"client_cert": "c"},
        "updateConfigConnections": {"channels": [ids["channel"]]},
        "updateConfig": {"name": "n"},
        "setState": {"state": 1},
        "updateClient": {"name": "c2"},
        "setClientParent": {"parent_group_id": ids["group"]},
        "updateClientSecret": {"secret": f"new-secret-{mark}"},
        "updateClientTags": {"tags": ["a"]},
        "createGroup": {"name": "g"},
        "updateGroup": {"name": "g2"},
        "updateGroupTags": {"tags": ["a"]},
        "setGroupParent": {"parent_id": ids["child"]},
        "addGroupChildren": {"children_ids": [ids["child"]]},
        "removeGroupChildren": {"children_ids": [ids["child"]]},
        "createInvitation": {"invitee_user_id": ids["user"], "role_id": ids["role of domains"]},
        "acceptInvitation": {"domain_id": ids["domain"]},
        "rejectInvitation": {"domain_id": ids["domain"]},
        "createKey": {"type": 3, "duration": 60},
        "createPat": {"name": f"p-{mark}", "duration": "1h"},
        "updatePatName": {"name": f"p2-{mark}"},
        "updatePatDescription": {"description": "d"},
        "resetPat": {"duration": "2h"},
        "addPatScope": {"scopes": [{"entity_type": "clients", "operation": "read"}]},
        "removePatScope": {"scopes": [{"entity_type": "clients", "operation": "read"}]},
        "createRole": {"role_name": f"r-{mark}"},
        "updateRole": {"name": f"r2-{mark}"},
        "addRoleActions": actions,
        "deleteRoleActions": actions,
        "addRoleMembers": members,
        "deleteRoleMembers": members,
        "removeMembers": {"member_ids": [ids["user"]]},
    }


class Operation:
    """One operation of the document."""

    def __init__(self, method: str, template: str, said: dict[str, Any]) -> None:
        self.method = method.upper()
        self.template = template
        self.id: str = said["operationId"]
        self.is_public = {} in said.get("security", [{}]) or said.get("security") == []
        self.takes_body = "requestBody" in said

    def path(self, ids: dict[str, str]) -> str:
        kind = re.match(r"/(?:\{domain\}/)?(domains|clients|channels|groups)/", self.template)
        role = ids.get(f"role of {kind[1]}", "") if kind else ""
        path = re.sub(r"\{(\w+)\}", lambda m: role if m[1].startswith("role") else ids[m[1]], self.template)
        return f"{path}?username=alice" if self.id == "searchUsers" else path

    def body(self, ids: dict[str, str]) -> Any:
        known = bodies(ids)
        base = re.sub(r"(Of)?(Domain|Client|Channel|Group)s?$", "", self.id)
        return known.get(self.id, known.get(base)) if self.takes_body else None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With a broker, so that what speaks of messages is there as well."""
    folder, mqtt = tmp_path_factory.mktemp("access"), f"127.0.0.1:{free_port()}"
    with Server(folder, MUSTER_THROTTLE_ATTEMPTS="1000000", MUSTER_MQTT=mqtt) as running:
        yield running


@pytest.fixture(scope="module")
def who(server: Server) -> Callers:
    settings = load({"MUSTER_DATA_DIR": str(server.folder / "data")}).settings
    past = int(time.time()) - 7200
    claims = {"iss": "supermq.auth", "iat": past, "exp": past + 3600, "type": 0, "user": "x", "epoch": 0}
    return callers(server, Tokens(keyring_of(settings)).mint(claims))


@pytest.fixture(scope="module")
def operations(server: Server) -> list[Operation]:
    document = httpx.get(f"{server.url}/openapi/magistrala.json").json()
    return [
        Operation(method, template, said)
        for template, methods in document["paths"].items()
        for method, said in methods.items()
    ]


def make_world(server: Server, who: Callers) -> World:
    return World.make(server, who.owner_id, who.owner_token, who.friend_id)


def test_every_operation_that_takes_a_body_has_one_here(
    server: Server, who: Callers, operations: list[Operation]
) -> None:
    """Without a valid body a cell would show the check of the body, not that of the caller."""
    ids = make_world(server, who).ids
    lacking = [o.id for o in operations if o.takes_body and not o.is_public and o.body(ids) is None]
    assert [] == [name for name in lacking if name not in SECOND_TOKEN]


@pytest.mark.parametrize("caller", ["nobody", "expired", "disabled", "device"])
def test_who_is_nobody_gets_401(
    server: Server, who: Callers, operations: list[Operation], caller: str
) -> None:
    """Whoever shows nothing, something expired, a disabled user's token or a device's secret is nobody."""
    ids = make_world(server, who).ids
    wrong = {}
    for operation in operations:
        if operation.is_public:
            continue
        body = operation.body(ids)
        answer = send(server, operation.method, operation.path(ids), who.headers[caller], body)
        if answer.status_code != 401 or "message" not in answer.json():
            wrong[operation.id] = (answer.status_code, answer.text)
    assert {} == wrong


def test_foreign_and_unknown_look_the_same_and_are_closed(
    server: Server, who: Callers, operations: list[Operation]
) -> None:
    """The admin of another tenant is refused, in the very words used for what does not exist."""
    world = make_world(server, who)
    unknown, wrong = world.unknown(), {}
    for operation in operations:
        if operation.is_public or operation.id in ANYBODY | SECOND_TOKEN:
            continue
        if not re.search(r"\{(domain|client|channel|group\w*|external_id)\}", operation.template):
            continue
        headers = who.headers["foreign"]
        theirs = send(server, operation.method, operation.path(world.ids), headers, operation.body(world.ids))
        none = send(server, operation.method, operation.path(unknown), headers, operation.body(unknown))
        if theirs.status_code not in (403, 404) or answer_of(theirs) != answer_of(none):
            wrong[operation.id] = (answer_of(theirs), answer_of(none))
    assert {} == wrong


def answer_of(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, json.loads(answer.content or b"null")


def test_a_member_without_rights_sees_and_does_nothing(
    server: Server, who: Callers, operations: list[Operation]
) -> None:
    """Being in the domain is not enough: 403 or 404, or a list that is empty."""
    world = make_world(server, who)
    headers, wrong = member_without_rights(server, world), {}
    for operation in operations:
        if operation.is_public or "{domain}" not in operation.template or operation.id == "acceptInvitation":
            continue
        answer = send(server, operation.method, operation.path(world.ids), headers, operation.body(world.ids))
        if answer.status_code in (403, 404):
            continue
        if answer.status_code == 200 and is_harmless(operation, answer):
            continue
        wrong[operation.id] = answer_of(answer)
    assert {} == wrong


def is_harmless(operation: Operation, answer: httpx.Response) -> bool:
    """An empty list, the domain's own card, or what says nothing about anybody."""
    if operation.id in ("getDomain", "getLayoutContentInDomain") or operation.id.startswith(
        "availableActions"
    ):
        return True
    said = answer.json()
    return isinstance(said, dict) and said.get("total") == 0


def test_the_owner_may_do_everything(server: Server, who: Callers, operations: list[Operation]) -> None:
    """Each operation really works for whom it is meant: the matrix has no cell that is closed to all."""
    # Reading comes first, in one world for all: what changes things gets a fresh one each.
    operations = sorted(operations, key=lambda operation: operation.method != "GET")
    wrong, looked_at = {}, make_world(server, who)
    for operation in operations:
        if operation.is_public or operation.id in SECOND_TOKEN or operation.id in ADMINS_ONLY:
            continue
        if "{user_id}" in operation.template or operation.id in ONES_OWN:
            continue  # changes the caller itself: told as stories in other tests
        world = looked_at if operation.method == "GET" else make_world(server, who)
        headers = who.headers["owner"]
        answer = send(server, operation.method, operation.path(world.ids), headers, operation.body(world.ids))
        if answer.status_code >= 400 and (operation.id, answer.status_code) not in STATE:
            wrong[operation.id] = answer_of(answer)
    assert {} == wrong


ADMINS_ONLY = {
    "listUsers",
    "freezeDomain",
    "listUserJournal",
    "listAuthorities",
    "rollOver",
    "importAuthority",
}
ONES_OWN = {"updateUserSecret", "acceptInvitation", "rejectInvitation"}
STATE = {
    ("enableClient", 409),
    ("enableChannel", 409),
    ("enableGroup", 409),
    ("enableDomain", 409),
    ("getPresence", 404),
    ("getInvitation", 404),
    ("deleteInvitation", 404),
}
"""Where a fresh world is in the state that is asked for already, or has nothing to show."""
