"""What tells this dialect's requests from the other's, and what holds for all of its routes."""

import json
import re
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from tests.dialects.mainflux.house import GOLDEN, JSON, PASSWORD, House, unknown

pytestmark = pytest.mark.anyio

OURS, THEIRS = ["error"], ["error", "message"]


async def magistrala(house: House) -> str:
    """Give a token that the other dialect minted for the same user."""
    await house.user()
    login = {"username": house.email(), "password": PASSWORD}
    answer = await house.call("POST", "/users/tokens/issue", json=login)
    assert 201 == answer.status_code, answer.text
    token: str = answer.json()["access_token"]
    return token


def shape(answer: Any) -> list[str]:
    return list(answer.json())


async def test_the_call_that_minted_the_token_tells_the_dialect(house: House):
    """Raw or after Bearer; the other dialect's tokens are good here too, where only we have the path."""
    theirs = await magistrala(house)
    ours = await house.login()
    for token in (ours, f"Bearer {ours}"):
        assert ["id", "email"] == shape(await house.call("GET", "/users/profile", token))
    assert "credentials" in shape(await house.call("GET", "/users/profile", f"Bearer {theirs}"))
    assert 200 == (await house.call("GET", "/things", f"Bearer {theirs}")).status_code
    assert 200 == (await house.call("GET", "/domains", f"Bearer {ours}")).status_code


async def test_the_scheme_tells_the_dialect_of_what_no_token_tells(house: House):
    """A raw word or `Thing` is of this time, `Bearer` and `Client` of the other."""
    for token, expected in {"x": OURS, "Thing x": OURS, "Bearer x": THEIRS, "Client x": THEIRS}.items():
        assert (token, expected) == (token, shape(await house.call("GET", "/users/profile", token)))


@pytest.mark.parametrize("segment", ["%00", "a%00b", "%ff", "%C3%28"])
async def test_a_path_that_is_no_text_is_refused_with_words(house: House, segment: str):
    """In the shape of the dialect whose path it nearly is."""
    for path, expected in {f"/things/{segment}": OURS, f"/d1/clients/{segment}": THEIRS}.items():
        answer = await house.call("GET", path)
        assert (400, expected, "invalid path") == (answer.status_code, shape(answer), answer.json()["error"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"email": "x", "password": "y"}, OURS),
        ({"email": "x"}, OURS),
        ({"email": "x", "credentials": {}}, THEIRS),
        ({"first_name": "x", "email": "x"}, THEIRS),
        ({}, THEIRS),
    ],
)
async def test_the_body_tells_whose_user_is_made(house: House, body: dict, expected: list[str]):
    """An error follows the dialect of the request."""
    answer = await house.call("POST", "/users", json=body)
    assert (400, expected) == (answer.status_code, shape(answer))


async def test_the_port_tells_before_all_else(house: House):
    """Upstream's services each had one."""
    assert OURS == shape(await house.call("GET", "/users/profile", "Bearer x", port=8180))
    assert THEIRS == shape(await house.call("GET", "/users/profile", "x", port=9002))
    assert OURS == shape(await house.call("GET", "/nowhere", port=8182))


@pytest.mark.parametrize(
    ("port", "service"), [(8180, "users"), (8182, "things"), (8190, "provision"), (8080, "things")]
)
async def test_each_service_says_its_version(house: House, port: int, service: str):
    """As plain text, which it is not (spec B.7)."""
    answer = await house.call("GET", "/version", port=port)
    assert "text/plain; charset=utf-8" == answer.headers["content-type"]
    assert service == answer.json()["service"]


async def test_how_a_version_looks(house: House):
    """Service and version."""
    await house.seen("getVersion", 200, "GET", "/version")


async def test_health_is_said_on_every_port(house: House):
    """For the clients of 2022."""
    answer = await house.call("GET", "/health", port=8182)
    assert (200, "pass") == (answer.status_code, answer.json()["status"])


# --- all routes ----------------------------------------------------------------------------------------


async def operations(house: House) -> dict[str, tuple[str, str, dict]]:
    document = (await house.call("GET", "/openapi/mainflux.json")).json()
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }


async def test_every_route_has_a_golden_file(house: House):
    """Sealed bytes differ each time, messages need a broker: these two have tests of their own."""
    named = set(await operations(house)) - {"bootstrapSecure", "readMessages"}
    assert named == {file.stem for file in GOLDEN.glob("*.http")}


def test_every_golden_file_is_compared_beside_a_status_of_its_own():
    """A file that no test compares proves nothing, nor does a status that stands in the file alone."""
    sources = "".join(file.read_text() for file in GOLDEN.parent.glob("test_*.py"))
    compared = dict(re.findall(r'\.seen\(\s*"(\w+)", ([1-5]\d\d),', sources))
    recorded = {
        file.stem: re.search(r"^([1-5]\d\d)$", file.read_text(), re.MULTILINE)[1]
        for file in GOLDEN.glob("*.http")
    }
    assert recorded == compared


async def test_the_document_of_the_door_is_valid(house: House):
    """OpenAPI 3.1."""
    validate((await house.call("GET", "/openapi/mainflux.json")).json())


NOBODY = {
    "certs": 401,
    "users": 403,
    "keys": 403,
    "groups": 403,
    "bootstrap": 403,
    "things": 401,
    "channels": 401,
    "mapping": 401,
}


async def test_every_route_refuses_nobody_as_its_service_does(house: House):
    """403 or 401 by service (spec B.0), whatever else is wrong with the request."""
    for name, (method, path, operation) in (await operations(house)).items():
        if not operation["security"]:
            continue
        path = path.replace("{", "").replace("}", "")
        for token in ("nonsense",) if {} in operation["security"] else ("nonsense", None):
            answer = await house.call(method, path, token, content="{", port=8182)
            assert (name, NOBODY[operation["tags"][0]]) == (name, answer.status_code)


BROKEN = [
    "",
    "{",
    "[1",
    '{"a":}',
    "\xff",
    "nonsense",
    "1",
    '"x"',
    '{"name":"\\u0000"}',
    '{"a":' * 200 + "1" + "}" * 200,
]


async def test_every_body_that_is_none_is_refused(house: House):
    """400 in this dialect's shape, never 500, and nothing has changed."""
    token = await house.user()
    with_body = {k: v for k, v in (await operations(house)).items() if "requestBody" in v[2]}
    assert len(with_body) > 20
    for name, (method, path, _) in with_body.items():
        path = path.replace("{", "").replace("}", "")
        for body in BROKEN:
            sent = body.encode("latin-1")
            answer = await house.call(method, path, token, content=sent, headers=JSON, port=8182)
            assert (name, body, 400) == (name, body, answer.status_code)
            assert answer.content == b"" or OURS == shape(answer)
    assert 0 == (await house.call("GET", "/things", token)).json()["total"]


async def test_every_body_of_another_type_is_refused(house: House):
    """415, but where upstream's SDK sends none."""
    token = await house.user()
    for name, (method, path, operation) in (await operations(house)).items():
        if "requestBody" not in operation:
            continue
        path = path.replace("{", "").replace("}", "")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await house.call(method, path, token, content="{}", headers=headers, port=8182)
        assert (name, 200 if name == "updateUser" else 415) == (name, answer.status_code)


async def test_other_methods_are_refused_with_a_true_allow(house: House):
    """405, and Allow names the others."""
    answer = await house.call("PATCH", f"/channels/{unknown()}", "x")
    assert (405, OURS) == (answer.status_code, shape(answer))
    assert {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"} == set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize("noun", ["things", "channels", "groups"])
async def test_names_have_a_length(house: House, noun: str):
    """1024 bytes, in whatever alphabet."""
    token = await house.user()
    for name, status in (("x" * 1024, 201), ("x" * 1025, 400), ("я" * 512, 201), ("я" * 513, 400)):
        assert status == (await house.call("POST", f"/{noun}", token, json={"name": name})).status_code


async def test_metadata_comes_back_as_it_was(house: House):
    """Nested, with odd characters and large numbers."""
    token = await house.user()
    metadata = {"a": {"b": [1, 2.5, None, True, "я😀\u2028"]}, "n": 2**53 + 1, "": ""}
    thing = await house.new("things", token, metadata=metadata)
    shown = await house.call("GET", f"/things/{thing['id']}", token)
    assert metadata == json.loads(shown.content)["metadata"]
    assert metadata == msgspec.json.decode(shown.content)["metadata"]


async def test_an_idempotency_key_makes_a_creation_once(house: House):
    """The reply is repeated, Location and all."""
    token = await house.user()
    headers = {"Idempotency-Key": house.own("once")}
    first = await house.call("POST", "/things", token, json={}, headers=headers)
    again = await house.call("POST", "/things", token, json={}, headers=headers)
    assert first.headers["location"] == again.headers["location"]
    assert 1 == (await house.call("GET", "/things", token)).json()["total"]


# --- through the other door ----------------------------------------------------------------------------


async def test_a_thing_is_a_client_of_the_users_own_domain(house: House):
    """Made here, seen and disabled there, refused here; made there, seen here."""
    theirs = f"Bearer {await magistrala(house)}"
    ours = await house.login()
    thing, channel = await house.connected(ours)
    body = {"thing_id": thing["id"], "external_id": house.own("gw"), "external_key": "key"}
    assert 201 == (await house.call("POST", "/things/configs", ours, json=body)).status_code
    domains = (await house.call("GET", "/domains", theirs)).json()["domains"]
    domain = domains[0]["id"]
    clients = (await house.call("GET", f"/{domain}/clients?channel={channel['id']}", theirs)).json()
    assert [(thing["id"], thing["key"])] == [
        (client["id"], client["credentials"]["secret"]) for client in clients["clients"]
    ]
    by_key = f"/identify/channels/{channel['id']}/access-by-key"
    fetch = f"/things/bootstrap/{house.own('gw')}"
    key = {"token": thing["key"]}
    assert 200 == (await house.call("POST", by_key, json=key)).status_code
    assert 200 == (await house.call("GET", fetch, "key")).status_code
    off = await house.call("POST", f"/{domain}/clients/{thing['id']}/disable", theirs)
    assert 200 == off.status_code
    assert 403 == (await house.call("POST", by_key, json=key)).status_code
    assert 404 == (await house.call("POST", "/identify", json=key)).status_code
    assert 404 == (await house.call("GET", fetch, "key")).status_code
    made = await house.call("POST", f"/{domain}/clients", theirs, json={"name": "made there"})
    shown = await house.call("GET", f"/things/{made.json()['id']}", ours)
    assert "made there" == shown.json()["name"]
