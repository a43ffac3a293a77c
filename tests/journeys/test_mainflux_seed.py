"""Mainflux's two provisioning documents, request by request, in their order, against a real server.

The lines are the documents', with these changes: URLs with `&` are quoted for the shell, and the settings of
the provision service name the documents' user.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.layout import printed_layout
from tests.journeys.printed import Reply
from tests.journeys.upstream import PortDocument, upstream_server

CURL = "curl -s -S -i --cacert docker/ssl/certs/ca.crt"
JSON = '-H "Content-Type: application/json"'
AUTH = '-H "Authorization: <user_auth_token>"'
HOST = "https://localhost"
LOGIN = '{"email":"john.doe@email.com", "password":"12345678"}'
THING, CHANNEL = "1b86eea5-94b6-41fa-be9f-d10c85a8994d", "19daa7a8-a489-4571-8714-ef1a214ed914"
PEM = re.compile(r"-----BEGIN [A-Z ]+-----\n(.*\n)+-----END [A-Z ]+-----\n")


@pytest.fixture
def database(kind: str, database_url: Callable[..., str]) -> dict[str, str]:
    """Give the setting of each database in turn."""
    return {"MUSTER_DATABASE_URL": database_url(kind)} if kind == "postgresql" else {}


def test_every_request_of_the_platforms_document(tmp_path: Path, database: dict[str, str]) -> None:
    """Each request as printed gets the printed reply; ids, keys and tokens are its own."""
    server = upstream_server(tmp_path, **database)
    with server:
        document = PortDocument(server.url.removeprefix("http://"))
        account(document)
        things(document)
        channels(document)
        access(document)
        server.stop()
        server.environment |= {
            "MF_PROVISION_USER": "john.doe@email.com",
            "MF_PROVISION_PASSWORD": "12345678",
        }
        server.start()
        provision(document)
        example(document)
        certificates(document)


def test_every_request_of_the_provision_services_document(tmp_path: Path, database: dict[str, str]) -> None:
    """Run standalone as printed, with the layout that is printed; the locations of services do no harm."""
    file = tmp_path / "docker/addons/provision/configs/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(LAYOUT)
    server = upstream_server(
        tmp_path,
        MF_PROVISION_BS_SVC_URL="http://localhost:8202/things",
        MF_PROVISION_THINGS_LOCATION="http://localhost:8182",
        MF_PROVISION_USERS_LOCATION="http://localhost:8180",
        MF_PROVISION_CONFIG_FILE="docker/addons/provision/configs/config.toml",
        MF_PROVISION_USER="john.doe@email.com",
        MF_PROVISION_PASSWORD="12345678",
        **database,
    )
    with server:
        document = PortDocument(server.url.removeprefix("http://"))
        account(document)
        made = provision(document, MAPPED_BY_LAYOUT)
        fetched = document.curl(f"curl {HOST}/things/bootstrap/33:52:77:99:43 -H 'Authorization: 223334fw2'")
        assert 200 == fetched.status
        names = [channel["name"] for channel in fetched.json()["mainflux_channels"]]
        assert ["control-channel", "data-channel", "export-channel"] == names
        assert made["things"][0]["id"] == fetched.json()["mainflux_id"]
        content = document.curl("curl http://localhost:8190/mapping -H 'Content-Type: application/json'")
        assert "9000" == content.json()["agent"]["server"]["port"]


def expect(document: PortDocument, reply: Reply, status: int, printed: Any = None) -> None:
    """Status and body are the printed ones; without a printed body there is none."""
    assert status == reply.status, reply.body
    if printed is None:
        assert b"" == reply.body
    else:
        assert "application/json" == reply.headers["content-type"]
        assert [] == document.compare(printed, reply.json()), reply.body


def created(document: PortDocument, reply: Reply, printed: str) -> None:
    """201 with the printed headers."""
    expect(document, reply, 201)
    assert ("application/json", "0") == (reply.headers["content-type"], reply.headers["content-length"])
    assert [] == document.compare(printed, reply.headers["location"].rpartition("/")[2])


def log_in(document: PortDocument, email: str) -> None:
    """Have a fresh user for a section whose printed lists begin with none."""
    body = f'{{"email":"{email}", "password":"12345678"}}'
    assert 201 == document.curl(f"{CURL} -X POST {JSON} {HOST}/users -d '{body}'").status
    reply = document.curl(f"{CURL} -X POST {JSON} {HOST}/tokens -d '{body}'")
    document.variables["<user_auth_token>"] = reply.json()["token"]


# --- platform management -----------------------------------------------------------------------------------


def account(document: PortDocument) -> None:
    """Users Management."""
    reply = document.curl(f"{CURL} -X POST {JSON} {HOST}/users -d '{LOGIN}'")
    expect(document, reply, 201)
    assert re.fullmatch(r"/users/[0-9a-f-]{36}", reply.headers["location"])
    reply = document.curl(f"{CURL} -X POST {JSON} {HOST}/tokens -d '{LOGIN}'")
    expect(document, reply, 201, {"token": "a.b.c"})
    document.variables["<user_auth_token>"] = reply.json()["token"]


def things(document: PortDocument) -> None:
    """Provisioning Things."""
    reply = document.curl(f'{CURL} -X POST {JSON} {AUTH} {HOST}/things -d \'{{"name":"weio"}}\'')
    created(document, reply, "81380742-7116-4f6f-9800-14fe464f6773")
    assert "/things/bulk" in reply.headers["warning-deprecated"]

    body = '[{"name":"weio"},{"name":"bob"}]'
    reply = document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/things/bulk -d '{body}'")
    expect(document, reply, 201, {"things": [thing(0, "weio"), thing(1, "bob")]})
    assert "222" == reply.headers["content-length"]
    assert "Location" == reply.headers["access-control-expose-headers"]

    log_in(document, "lists@email.com")
    for name in ("weio", "myapp"):
        body = f'{{"name":"{name}"}}'
        assert 201 == document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/things -d '{body}'").status
    page = {"total": 2, "offset": 0, "limit": 10, "things": [thing(2, "weio"), thing(3, "myapp")]}
    expect(document, document.curl(f"{CURL} {AUTH} {HOST}/things"), 200, page)
    reply = document.curl(f"{CURL} {AUTH} '{HOST}/things?offset=0&limit=5'")
    expect(document, reply, 200, {**page, "limit": 5})

    body = '[{"name":"serial","metadata":{"serial":"123456","more":1}}]'
    assert 201 == document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/things/bulk -d '{body}'").status
    for written in ('"\\{\\"serial\\":\\"123456\\"\\}"', '\\{"serial":"123456"\\}'):
        # Once as printed, once as a shell leaves it of that.
        reply = document.curl(f"{CURL} {AUTH} '{HOST}/things?offset=0&limit=5&metadata={written}'")
        assert (200, ["serial"]) == (reply.status, [each["name"] for each in reply.json()["things"]])

    body = (
        '[{"name":"bob","metadata":{"foo":"bar"}},{"name":"bob"},{"name":"other","metadata":{"foo":"bar"}}]'
    )
    assert 201 == document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/things/bulk -d '{body}'").status
    body = '{"metadata":{"foo":"bar"}, "name":"bob", "limit": 10, "offset":0, "order":"name", "dir":"desc"}'
    reply = document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/things/search -d '{body}'")
    found = {**thing(4, "bob"), "id": THING, "metadata": {"foo": "bar"}}
    page = {"total": 1, "offset": 0, "limit": 10, "order": "name", "direction": "desc", "things": [found]}
    expect(document, reply, 200, page)

    document.variables["<thing_id>"] = document.ids[THING]
    expect(document, document.curl(f"{CURL} -X DELETE {AUTH} {HOST}/things/<thing_id>"), 204)
    assert 404 == document.curl(f"{CURL} {AUTH} {HOST}/things/<thing_id>").status


IDS = (
    ("8909adbf-312f-41eb-8cfc-ccc8c4e3655e", "4ef103cc-964a-41b5-b75b-b7415c3a3619"),
    ("2fcd2349-38f7-4b5c-8a29-9607b2ca8ff5", "ff0d1490-355c-4dcf-b322-a4c536c8c3bf"),
    ("91380742-7116-4f6f-9800-14fe464f6773", "7aa91f7a-cbea-4fed-b427-07e029577590"),
    ("cb63f852-2d48-44f0-a0cf-e450496c6c92", "cbf02d60-72f2-4180-9f82-2c957db929d1"),
    (THING, "d72de10f-4963-4bf1-a454-874a39bb498e"),
    ("3ffb3880-d1e6-4edd-acd9-4294d013f35b", "b1996995-237a-4552-94b2-83ec2e92a040"),
    ("94d166d6-6477-43dc-93b7-5c3707dbef1e", "e4588a68-6028-4740-9f12-c356796aebe8"),
)
"""The printed ids and keys. One thing's id is printed twice, in sessions of two users: here it has two."""


def thing(number: int, name: str) -> dict[str, Any]:
    return {"id": IDS[number][0], "name": name, "key": IDS[number][1]}


def channels(document: PortDocument) -> None:
    """Provisioning Channels."""
    reply = document.curl(f'{CURL} -X POST {JSON} {AUTH} {HOST}/channels -d \'{{"name":"mychan"}}\'')
    created(document, reply, CHANNEL)
    assert "/channels/bulk" in reply.headers["warning-deprecated"]
    page = {"total": 1, "offset": 0, "limit": 10, "channels": [{"id": CHANNEL, "name": "mychan"}]}
    expect(document, document.curl(f"{CURL} {AUTH} {HOST}/channels"), 200, page)
    reply = document.curl(f"{CURL} {AUTH} '{HOST}/channels?offset=0&limit=5'")
    expect(document, reply, 200, {**page, "limit": 5})

    body = '[{"name":"joe"},{"name":"betty"}]'
    reply = document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/channels/bulk -d '{body}'")
    joe = {"id": "5a21bbcb-4c9a-4bb4-af31-9982d00f7a6e", "name": "joe"}
    betty = {"id": "d74b119b-2eea-4285-a999-9f747869bb45", "name": "betty"}
    expect(document, reply, 201, {"channels": [joe, betty]})
    assert "135" == reply.headers["content-length"]

    document.variables["<channel_id>"] = document.ids[CHANNEL]
    expect(document, document.curl(f"{CURL} -X DELETE {AUTH} {HOST}/channels/<channel_id>"), 204)
    assert 404 == document.curl(f"{CURL} {AUTH} {HOST}/channels/<channel_id>").status


def access(document: PortDocument) -> None:
    """Access Control: t0 and t1, connected to what the document's lists leave out."""
    log_in(document, "access@email.com")
    body = '[{"name":"t"},{"name":"d0"},{"name":"d1"}]'
    reply = document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/things/bulk -d '{body}'")
    document.variables["<thing_id>"] = reply.json()["things"][0]["id"]
    body = '[{"name":"c"},{"name":"c1"},{"name":"c0"}]'
    reply = document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/channels/bulk -d '{body}'")
    document.variables["<channel_id>"] = reply.json()["channels"][0]["id"]
    pair = f"{HOST}/channels/<channel_id>/things/<thing_id>"

    reply = document.curl(f"{CURL} -X PUT {AUTH} {pair}")
    expect(document, reply, 200)
    assert "/connect" in reply.headers["warning-deprecated"]
    expect(document, document.curl(f"{CURL} -X DELETE {AUTH} {pair}"), 204)
    body = '{"channel_ids":["<channel_id>", "<channel_id>"],"thing_ids":["<thing_id>", "<thing_id>"]}'
    expect(document, document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/connect -d '{body}'"), 200)

    reply = document.curl(f"{CURL} {AUTH} {HOST}/channels/<channel_id>/things")
    assert (200, ["t"]) == (reply.status, [each["name"] for each in reply.json()["things"]])
    reply = document.curl(f"{CURL} {AUTH} {HOST}/channels/<channel_id>/things?connected=false")
    # Printed with `"metadata": "{}"`; upstream leaves empty metadata out (spec I, row 15).
    page = {"total": 2, "offset": 0, "limit": 10, "things": [thing(5, "d0"), thing(6, "d1")]}
    expect(document, reply, 200, page)

    reply = document.curl(f"{CURL} {AUTH} {HOST}/things/<thing_id>/channels")
    assert (200, ["c"]) == (reply.status, [each["name"] for each in reply.json()["channels"]])
    reply = document.curl(f"{CURL} {AUTH} {HOST}/things/<thing_id>/channels?connected=false")
    c1 = {"id": "5e62eb13-2695-4860-8d87-85b8a2f80fd4", "name": "c1"}
    c0 = {"id": "c4b5e19a-7ffe-4172-b2c5-c8b9d570a165", "name": "c0"}
    expect(document, reply, 200, {"total": 2, "offset": 0, "limit": 10, "channels": [c1, c0]})
    expect(document, document.curl(f"{CURL} -X DELETE {AUTH} {pair}"), 204)
    reply = document.curl(f"{CURL} {AUTH} {HOST}/channels/<channel_id>/things")
    assert 0 == reply.json()["total"]


# --- the provision service ---------------------------------------------------------------------------------

GATEWAY = "c22b0c0f-8c03-40da-a06b-37ed3a72c8d1"
CONTROL = {
    "id": "064c680e-181b-4b58-975e-6983313a5170",
    "name": "control-channel",
    "metadata": {"type": "control"},
}
DATA = {"id": "579da92d-6078-4801-a18a-dd1cfa2aa44f", "name": "data-channel", "metadata": {"type": "data"}}
EXPORT = {
    "id": "679da92d-6078-4801-a18a-dd1cfa2aa44f",
    "name": "export-channel",
    "metadata": {"type": "export"},
}
MAPPED: dict[str, Any] = {
    "things": [
        {
            "id": GATEWAY,
            "name": "thing",
            "key": "007cce56-e0eb-40d6-b2b9-ed348a97d1eb",
            # Printed is another external id than was sent.
            "metadata": {"external_id": "33:52:77:99:43"},
        }
    ],
    "channels": [CONTROL, DATA],
}
MAPPED_BY_LAYOUT = {**MAPPED, "channels": [CONTROL, DATA, EXPORT]}


def provision(document: PortDocument, printed: dict[str, Any] = MAPPED) -> Any:
    """Provision: without a header on the port of one line, with one on that of the other."""
    body = '{"external_id": "33:52:77:99:43", "external_key": "223334fw2"}'
    typed = "-H 'Content-Type: application/json'"
    reply = document.curl(f"curl -s -S  -X POST  http://localhost:8888/mapping  {typed} -d '{body}'")
    made = reply.json()
    expect(document, reply, 201, {**printed, "whitelisted": {made["things"][0]["id"]: True}})

    log_in(document, "mapping@email.com")
    body = '{"external_id": "33:52:77:99:44", "external_key": "223334fw2"}'
    key = document.curl(f"{CURL} -X POST {JSON} {AUTH} {HOST}/keys -d '{{\"type\":2}}'").json()["value"]
    for secret in (document.variables["<user_auth_token>"], key):
        document.variables["<token|api_key>"] = secret
        line = (
            f'curl -s -S  -X POST  http://localhost:8091/mapping -H "Authorization: <token|api_key>" {typed}'
        )
        assert 201 == document.curl(f"{line} -d '{body}'").status
    body = '{"name": "<name>", "external_id": "<external_id>", "external_key": "<external_key>"}'
    reply = document.curl(f"{line} -d '{body}'")
    assert (201, "<name>") == (reply.status, reply.json()["things"][0]["name"])
    return made


def example(document: PortDocument) -> None:
    """Example: what `mainflux-cli … users create` and `users token` send, then the gateway and its agent."""
    body = '{"email":"gateways@email.com","password":"12345678"}'
    assert 201 == document.curl(f"curl -X POST {JSON} https://mainflux.com/users -d '{body}'").status
    token = document.curl(f"curl -X POST {JSON} https://mainflux.com/tokens -d '{body}'").json()["token"]
    document.variables["$TOK"] = token
    typed = "-H 'Content-Type: application/json'"
    body = '{"name":"edge-gw",  "external_id" : "gateway", "external_key":"external_key" }'
    reply = document.curl(
        'curl -s -S  -X POST  http://mainflux.com:8190/mapping -H "Authorization: $TOK" '
        f"{typed}   -d '{body}'"
    )
    assert (201, ["edge-gw"]) == (reply.status, [each["name"] for each in reply.json()["things"]])
    made = reply.json()["things"][0]
    reply = document.curl(
        "curl -s -S -X GET http://mainflux.com:8202/things/bootstrap/gateway "
        f'-H "Authorization: external_key" {typed}'
    )
    assert (200, made["id"], made["key"]) == (
        reply.status,
        reply.json()["mainflux_id"],
        reply.json()["mainflux_key"],
    )
    assert {} == json.loads(reply.json()["content"])


def certificates(document: PortDocument) -> None:
    """Certs Service."""
    body = '{"email":"edge@email.com","password":"12345678"}'
    assert 201 == document.curl(f"curl -X POST {JSON} http://localhost/users -d '{body}'").status
    login = "curl  -s --insecure -S -X POST http://localhost/tokens -H 'Content-Type: application/json'"
    login = login.replace(" --insecure", "")  # there is no TLS to be careless about
    document.variables["$TOK"] = document.curl(f"{login} -d '{body}'").json()["token"]
    reply = document.curl(f"{CURL} -X POST {JSON} -H \"Authorization: $TOK\" {HOST}/things -d '{{}}'")
    document.variables["<thing_id>"] = reply.headers["location"].rpartition("/")[2]
    typed = "-H 'Content-Type: application/json'"
    # In the document the id has no quotes of its own.
    body = '{"thing_id":"<thing_id>", "rsa_bits":2048, "key_type":"rsa"}'
    reply = document.curl(
        f"curl -s -S  -X POST  http://localhost:8204/certs -H \"Authorization: $TOK\" {typed}   -d '{body}'"
    )
    made = reply.json()
    assert 201 == reply.status
    printed = {
        "ThingID", "ClientCert", "IssuingCA", "CAChain", "ClientKey", "PrivateKeyType", "Serial", "Expire",
    }  # fmt: skip
    assert printed <= set(made)
    assert PEM.fullmatch(made["ClientCert"])
    assert made["ClientKey"].startswith("-----BEGIN")
    reply = document.curl(
        'curl -s -S -X DELETE http://localhost:8204/certs/revoke -H "Authorization: $TOK" '
        f'{typed}   -d \'{{"thing_id":"<thing_id>"}}\''
    )
    assert (200, ["RevocationTime"]) == (reply.status, list(reply.json()))


LAYOUT = printed_layout("thing")
