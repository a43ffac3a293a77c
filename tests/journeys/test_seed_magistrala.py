"""Magistrala's provisioning document, request by request, in its order, against a real server.

The lines are the document's, with three changes: URLs with `&` are quoted for the shell, long bodies wrapped,
and the administrator's password is another: Muster does not start with a published one.
"""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.journeys.layout import printed_layout
from tests.journeys.printed import Document, Reply
from tests.journeys.server import Server

DOMAIN = "cd992e16-f2b2-4f85-90c5-39bd7fc3e516"
CURL = "curl -s -S -i --cacert docker/ssl/certs/ca.crt"
AS_USER = '-H "Authorization: Bearer $USER_TOKEN"'
JSON = '-H "Content-Type: application/json"'
HOME = f"https://localhost/{DOMAIN}"
WEIO = "78fbb74b-1a5f-4da2-a15d-3ef18c3cf418"
HUMIDIFIER = "1d441e97-dff8-4db5-b822-3bab0a867284"
MYCHAN = "bdf084ff-45ac-4f89-b003-09fe83326238"
PASSWORD = "correct horse battery"
NEVER = "0001-01-01T00:00:00Z"


def test_every_request_in_order(tmp_path: Path, kind: str, database_url: Callable[..., str]) -> None:
    """Each request as printed gets the printed reply; ids, times, tokens and secrets are its own."""
    environment = {"MUSTER_DATABASE_URL": database_url(kind)} if kind == "postgresql" else {}
    with Server(tmp_path, **environment) as server:
        document = Document(server.url.removeprefix("http://"))
        document.variables['"admin", "password":"12345678"'] = f'"admin", "password":"{PASSWORD}"'
        users(document)
        open_domain(server, document)
        clients(document)
        channels(document)
        access(document)
        server.stop()
        # The provision service's settings, as its document spells them, and then its layout.
        server.set_environment(
            MG_PROVISION_USER="admin",
            MG_PROVISION_PASSWORD=PASSWORD,
            MG_PROVISION_DOMAIN_ID=document.ids[DOMAIN],
        )
        server.start()
        mapping_without_a_header(document)
        mapping_with_a_header(document)
        server.stop()
        (server.folder / "config.toml").write_text(LAYOUT)
        server.start()
        mapping_by_the_printed_layout(document)
        example(document)


def expect(document: Document, reply: Reply, status: int, printed: Any, **headers: str) -> None:
    """Status, headers and body are the printed ones; those of upstream's proxy, too, but for its name."""
    assert status == reply.status, reply.body
    assert "Location" == reply.headers["access-control-expose-headers"]
    if printed is not None:
        assert "application/json" == reply.headers["content-type"]
        assert [] == document.compare(printed, reply.json()), reply.body
    for name, value in headers.items():
        assert [] == document.compare(value, reply.headers[name])


# --- users -----------------------------------------------------------------------------------------------


def users(document: Document) -> None:
    """Users Management."""
    reply = document.curl(
        f'{CURL} -X POST {JSON} https://localhost/users -d \'{{"first_name": "Jane", "last_name":"Doe",'
        '"email":"janedoe@example.com", "credentials": {"username": "janedoe", "secret": "12345678"}, '
        '"status": "enabled"}\''
    )
    jane = {
        "id": "156005cc-df12-4809-aa93-842be168f2ab",
        "first_name": "Jane",
        "last_name": "Doe",
        "status": "enabled",
        "role": "user",
        "credentials": {"username": "janedoe"},
        "email": "janedoe@example.com",
        "created_at": "2025-02-13T21:19:38.863268Z",
        "updated_at": NEVER,
    }
    expect(document, reply, 201, jane)
    assert f"/users/{document.ids[jane['id']]}" == reply.headers["location"]

    reply = document.curl(
        f"{CURL} -X POST {JSON} https://localhost/users/tokens/issue "
        '-d \'{"username":"admin", "password":"12345678"}\''
    )
    expect(document, reply, 201, {"access_token": "a.b.c", "refresh_token": "a.b.c"})
    document.variables["$USER_TOKEN"] = reply.json()["access_token"]


def open_domain(server: Server, document: Document) -> None:
    """Make the active domain that the document takes for granted."""
    with httpx.Client(
        base_url=server.url, headers={"Authorization": f"Bearer {document.variables['$USER_TOKEN']}"}
    ) as http:
        answer = http.post("/domains", json={"name": "seed", "alias": "seed"})
    assert 201 == answer.status_code
    document.ids[DOMAIN] = answer.json()["id"]


# --- clients ---------------------------------------------------------------------------------------------


def client(client_id: str, name: str, secret: str, created: str) -> dict[str, Any]:
    return {
        "id": client_id,
        "name": name,
        "domain_id": DOMAIN,
        "credentials": {"secret": secret},
        "created_at": created,
        "updated_at": NEVER,
        "status": "enabled",
    }


LIGHTBULB = client(
    "3dee7975-2347-464f-b0c4-baa534d77be4",
    "lightbulb",
    "9e669b34-c73b-4a87-b9b3-1d0e0a2a5594",
    "2025-02-13T21:40:56.868242Z",
)
HUMID = client(
    HUMIDIFIER, "humidifier", "d260dc7d-65ee-43bd-a3ac-ef3a6ecdad6b", "2025-02-13T21:40:56.868245Z"
)
WEIO_MADE = client(WEIO, "weio", "3436ee7d-f2a5-4af5-b670-f907918ff442", "2025-02-13T21:38:46.728996Z")


def clients(document: Document) -> None:
    """Provision, retrieve, disable and enable clients."""
    reply = document.curl(f'{CURL} -X POST {JSON} {AS_USER} {HOME}/clients -d \'{{"name":"weio"}}\'')
    expect(document, reply, 201, WEIO_MADE)
    assert f"/clients/{document.ids[WEIO]}" == reply.headers["location"]

    reply = document.curl(
        f"{CURL} -X POST {JSON} {AS_USER} {HOME}/clients/bulk "
        '-d \'[{"name":"lightbulb"},{"name":"humidifier"}]\''
    )
    expect(document, reply, 200, {"offset": 0, "total": 2, "clients": [LIGHTBULB, HUMID]})

    # Printed: two clients, though weio was made before; and without "offset" (spec I.5: always sent).
    reply = document.curl(f"{CURL} {AS_USER} {HOME}/clients")
    everything = {"limit": 10, "offset": 0, "total": 3, "clients": [WEIO_MADE, LIGHTBULB, HUMID]}
    expect(document, reply, 200, everything)

    reply = document.curl(f"{CURL} {AS_USER} '{HOME}/clients?offset=0&limit=5'")
    expect(document, reply, 200, everything | {"limit": 5})

    reply = document.curl(f"{CURL} {AS_USER} '{HOME}/clients?offset=0&limit=5&name=\"humidifier\"'")
    expect(document, reply, 200, {"limit": 5, "offset": 0, "total": 1, "clients": [HUMID]})

    for invalid in ("limit=101", "limit=-1", "offset=-1", "limit=five"):
        reply = document.curl(f"{CURL} {AS_USER} '{HOME}/clients?{invalid}'")
        assert 400 == reply.status, "documented: invalid values are a malformed request"

    switch_client(document, "disable", "disabled")
    switch_client(document, "enable", "enabled")


def switch_client(document: Document, verb: str, status: str) -> None:
    reply = document.curl(f"{CURL} -X POST {AS_USER} {HOME}/clients/{HUMIDIFIER}/{verb}")
    changed = {
        **HUMID,
        "credentials": {},
        "updated_at": "2025-02-13T21:44:57.317573Z",
        "updated_by": "0d409482-0737-45ea-8284-5bd88059f625",
        "status": status,
    }
    expect(document, reply, 200, changed)


# --- channels --------------------------------------------------------------------------------------------


def channel(channel_id: str, name: str, created: str) -> dict[str, Any]:
    return {"id": channel_id, "name": name, "domain_id": DOMAIN, "created_at": created, "updated_at": NEVER}


MYCHAN_MADE = channel(MYCHAN, "mychan", "2025-02-13T21:50:55.324198Z")
SWITCH = channel("ce56033a-bbce-436a-9d56-bf85ec38f9b3", "switch1", "2025-02-13T21:52:02.210708Z")
TRUCK = channel("940378c0-da80-4d29-be77-d80482bded70", "truck2", "2025-02-13T21:52:02.210709Z")


def channels(document: Document) -> None:
    """Provision, retrieve, disable and enable channels."""
    reply = document.curl(f'{CURL} -X POST {JSON} {AS_USER} {HOME}/channels -d \'{{"name":"mychan"}}\'')
    expect(document, reply, 201, MYCHAN_MADE)
    assert f"/channels/{document.ids[MYCHAN]}" == reply.headers["location"]

    reply = document.curl(
        f"{CURL} -X POST {JSON} {AS_USER} {HOME}/channels/bulk "
        '-d \'[{"name":"switch1"},{"name":"truck2"}]\''
    )
    expect(document, reply, 200, {"offset": 0, "total": 2, "channels": [SWITCH, TRUCK]})

    everything = {"limit": 10, "offset": 0, "total": 3, "channels": [MYCHAN_MADE, SWITCH, TRUCK]}
    expect(document, document.curl(f"{CURL} {AS_USER} {HOME}/channels"), 200, everything)
    reply = document.curl(f"{CURL} {AS_USER} '{HOME}/channels?offset=0&limit=5'")
    expect(document, reply, 200, everything | {"limit": 5})

    changed = {
        **MYCHAN_MADE,
        "updated_at": "2025-02-13T21:55:14.577701Z",
        "updated_by": "0d409482-0737-45ea-8284-5bd88059f625",
    }
    reply = document.curl(f"{CURL} -X POST {AS_USER} {HOME}/channels/{MYCHAN}/disable")
    expect(document, reply, 200, changed | {"status": "disabled"})
    reply = document.curl(f"{CURL} -X POST {AS_USER} {HOME}/channels/{MYCHAN}/enable")
    expect(document, reply, 200, changed)


# --- access control --------------------------------------------------------------------------------------


def access(document: Document) -> None:
    """Connect, look from both sides, disconnect."""
    body = f'-d \'{{"client_ids": ["{WEIO}"], "types": ["publish"]}}\''
    # Printed: 405, allow POST. We do what the text says instead: docs/divergences.md, "PUT connect".
    reply = document.curl(f"{CURL} -X PUT {AS_USER} {HOME}/channels/{MYCHAN}/connect {body}")
    assert (201, b"") == (reply.status, reply.body)

    assert [WEIO] == seen(document, f"{CURL} {AS_USER} {HOME}/channels/{MYCHAN}/clients", "clients")
    theirs = f"{CURL} {AS_USER} https://localhost/clients/{WEIO}/channels"
    assert [MYCHAN] == seen(document, theirs, "channels")

    reply = document.curl(f"{CURL} -X DELETE {AS_USER} {HOME}/channels/{MYCHAN}/disconnect {body}")
    assert (204, b"") == (reply.status, reply.body)
    assert [] == seen(document, theirs, "channels")


def seen(document: Document, line: str, noun: str) -> list[str]:
    """Give the printed ids of the entities on the page that *line* asks for."""
    reply = document.curl(line)
    assert 200 == reply.status, reply.body
    printed = {ours: name for name, ours in document.ids.items()}
    page = reply.json()
    assert (len(page[noun]), 0, 10) == (page["total"], page["offset"], page["limit"])
    return [printed[each["id"]] for each in page[noun]]


# --- provision service -----------------------------------------------------------------------------------

MAPPING = {
    "clients": [
        {
            "id": "c22b0c0f-8c03-40da-a06b-37ed3a72c8d1",
            "name": "client",
            "domain_id": DOMAIN,
            "credentials": {"secret": "9e669b34-c73b-4a87-b9b3-1d0e0a2a5594"},
            "metadata": {"external_id": "33:52:79:C3:43"},
        }
    ],
    "channels": [
        {
            "id": "064c680e-181b-4b58-975e-6983313a5170",
            "domain_id": DOMAIN,
            "name": "control-channel",
            "metadata": {"type": "control"},
        },
        {
            "id": "579da92d-6078-4801-a18a-dd1cfa2aa44f",
            "domain_id": DOMAIN,
            "name": "data-channel",
            "metadata": {"type": "data"},
        },
    ],
    "whitelisted": {"c22b0c0f-8c03-40da-a06b-37ed3a72c8d1": True},
}
"""As printed: entities shortened to what matters, and another external id than was asked for."""


def expect_mapping(
    document: Document, reply: Reply, external_id: str, name: str = "client"
) -> dict[str, Any]:
    """The printed mapping, of this device; what the document leaves out of an entity may be there."""
    assert 201 == reply.status, reply.body
    assert "application/json" == reply.headers["content-type"]
    printed: dict[str, Any] = json.loads(json.dumps(MAPPING).replace("33:52:79:C3:43", external_id))
    printed["clients"][0]["name"] = name
    ours = reply.json()
    (made,) = ours["clients"]
    assert {made["id"]: True} == ours["whitelisted"]
    assert printed.keys() == ours.keys()
    fresh = Document(document.address, ids={DOMAIN: document.ids[DOMAIN]})
    for noun in ("clients", "channels"):
        assert len(printed[noun]) <= len(ours[noun])
        for one, other in zip(printed[noun], ours[noun], strict=False):
            assert [] == fresh.compare(one, {key: other[key] for key in one}, noun)
    return ours


def mapping_without_a_header(document: Document) -> None:
    """With credentials in the settings, a call needs no Authorization header."""
    line = (
        "curl -s -S  -X POST  http://localhost:9016/mapping  -H 'Content-Type: application/json' "
        '-d \'{"external_id": "33:52:77:99:43", "external_key": "223334fw2"}\''
    )
    expect_mapping(document, document.curl(line), "33:52:77:99:43")


def mapping_with_a_header(document: Document) -> None:
    """Another user's token counts before the settings; a name names the client."""
    line = (
        'curl -s -S  -X POST  http://localhost:9016/mapping -H "Authorization: Bearer $USER_TOKEN" '
        "-H 'Content-Type: application/json' -d '%s'"
    )
    given = '{"external_id": "gw-2", "external_key": "key-2"}'
    expect_mapping(document, document.curl(line % given), "gw-2")
    named = '{"name": "porch", "external_id": "gw-3", "external_key": "key-3"}'
    expect_mapping(document, document.curl(line % named), "gw-3", "porch")


def mapping_by_the_printed_layout(document: Document) -> None:
    """The printed config.toml adds a channel, and its content reaches the device."""
    line = (
        "curl -s -S  -X POST  http://localhost:9016/mapping  -H 'Content-Type: application/json' "
        '-d \'{"external_id": "33:52:79:C3:44", "external_key": "key-4"}\''
    )
    made = expect_mapping(document, document.curl(line), "33:52:79:C3:44")
    names = ["control-channel", "data-channel", "export-channel"]
    assert names == [each["name"] for each in made["channels"]]
    reply = document.curl(
        "curl -s -S -X GET http://magistrala.com:9013/clients/bootstrap/33:52:79:C3:44 "
        '-H "Authorization: Client key-4"'
    )
    assert 200 == reply.status
    assert tomllib.loads(LAYOUT)["bootstrap"]["content"] == json.loads(reply.json()["content"])


def example(document: Document) -> None:
    """Example: one call, and the gateway fetches what it needs."""
    document.variables["$TOKEN"] = document.variables["$USER_TOKEN"]
    reply = document.curl(
        'curl -s -S  -X POST  http://magistrala.com:9016/mapping -H "Authorization: Bearer $TOKEN" '
        "-H 'Content-Type: application/json'   "
        '-d \'{"name":"edge-gw",  "external_id" : "gateway", "external_key":"external_key" }\''
    )
    made = expect_mapping(document, reply, "gateway", "edge-gw")
    reply = document.curl(
        "curl -s -S -X GET http://magistrala.com:9013/clients/bootstrap/gateway "
        "-H \"Authorization: Client external_key\" -H 'Content-Type: application/json'"
    )
    assert 200 == reply.status
    fetched = reply.json()
    (gateway,) = made["clients"]
    assert (gateway["id"], gateway["credentials"]["secret"]) == (
        fetched["client_id"],
        fetched["client_secret"],
    )
    assert [c["id"] for c in made["channels"]] == [c["id"] for c in fetched["channels"]]


LAYOUT = printed_layout("client")
