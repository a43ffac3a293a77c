"""Health and documents answer by themselves; the documents say what the door does."""

import os
import re
import subprocess
import sys

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from muster.web import app
from muster.web.app import About
from tests.web.toys import Door, dialects

pytestmark = pytest.mark.anyio

PAGES = ["/health", "/metrics", "/docs", "/openapi.json", "/openapi/north.json", "/openapi/south.json"]


async def test_health_says_what_upstream_says(door: Door):
    """Spec A.0: status, version, commit, description, build_time, instance_id."""
    answer = await door("GET", "/health")
    assert answer.headers["content-type"] == "application/health+json"
    said = answer.json()
    assert re.fullmatch("[0-9a-f]{16}", said.pop("instance_id"))
    assert said == {
        "status": "pass",
        "version": "1.2.3",
        "commit": "",
        "description": "muster service",
        "build_time": "",
    }


async def test_health_says_when_it_is_bad(door: Door):
    """So that a load balancer stops sending requests."""
    sick = app.build(
        dialects(),
        store=door.store,
        tokens=door.tokens,
        passwords=door.passwords,
        clock=door.clock,
        registry=type(door.registry)(),
        log=door.log,
        about=About(is_well=lambda: False),
    )
    door.app = sick
    answer = await door("GET", "/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "fail")


@pytest.mark.parametrize("path", PAGES)
async def test_pages_are_for_reading(door: Door, path: str):
    """GET and HEAD, with or without a slash at the end; anything else is a wrong method."""
    got = await door("GET", path + "/")
    head = await door("HEAD", path)
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    for method in ("POST", "DELETE"):
        answer = await door(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (await door("OPTIONS", path)).headers["allow"] == "GET, HEAD, OPTIONS"


async def test_a_document_of_no_dialect_is_not_found(door: Door):
    """There is one for each dialect and one for all."""
    assert (await door("GET", "/openapi/east.json")).status_code == 404


# --- documents -----------------------------------------------------------------------------------------

WRITTEN = """
import msgspec
from muster.web import app, openapi
from muster.web.endpoints import endpoints
from tests.web.toys import dialects
for dialect in dialects():
    given = {"desk": None, **dialect.given}
    written = openapi.document(dialect, endpoints(app._litestar(dialect, given), dialect.name, given), "1")
    print(msgspec.json.encode(written).decode())
"""


def test_the_documents_are_the_same_after_each_start():
    """To the byte, whatever order sets have in a process: what is generated from them does not change."""

    def start(seed: str) -> bytes:
        env = {**os.environ, "PYTHONHASHSEED": seed}
        return subprocess.run(
            [sys.executable, "-c", WRITTEN], env=env, capture_output=True, check=True
        ).stdout

    first = start("1")
    assert first.count(b'"openapi":') == 2
    assert [first, first] == [start("2"), start("3")]


async def document(door: Door, path: str = "/openapi.json"):
    return (await door("GET", path)).json()


@pytest.mark.parametrize("path", ["/openapi.json", "/openapi/north.json", "/openapi/south.json"])
async def test_a_document_is_valid_openapi(door: Door, path: str):
    """3.1, by the validator everyone uses; operation ids are unique."""
    written = await document(door, path)
    assert list(OpenAPIV31SpecValidator(written).iter_errors()) == []
    assert written["openapi"] == "3.1.0"
    ids = [op["operationId"] for item in written["paths"].values() for op in item.values()]
    assert len(ids) == len(set(ids))


async def test_an_operation_says_what_goes_in(door: Door):
    """Variables, query, the body with its exact schema, and the Idempotency-Key of a POST."""
    written = await document(door, "/openapi/north.json")
    create = written["paths"]["/{tenant}/notes"]["post"]
    assert [(p["in"], p["name"], p["required"]) for p in create["parameters"]] == [
        ("path", "tenant", True),
        ("header", "Idempotency-Key", False),
    ]
    assert create["requestBody"] == {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewNote"}}},
    }
    assert written["components"]["schemas"]["NewNote"]["additionalProperties"] is False
    assert (create["summary"], create["description"]) == ("Create a note.", "Its name is kept.")
    listed = written["paths"]["/{tenant}/notes"]["get"]["parameters"]
    assert {p["name"]: p["schema"] for p in listed if p["in"] == "query"} == {
        "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "offset": {"type": "integer", "minimum": 0, "default": 0},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
    }


async def test_an_operation_says_what_comes_out(door: Door):
    """The answer, and each error it may end in with the dialect's own status and body."""
    written = await document(door, "/openapi/north.json")
    responses = written["paths"]["/{tenant}/notes"]["post"]["responses"]
    assert list(responses) == ["201", "400", "401", "403", "404", "409", "413", "415", "422", "500", "503"]
    bodies = {
        status: response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for status, response in responses.items()
    }
    assert bodies == {status: "Note" if status == "201" else "Problem" for status in responses}
    sealed = written["paths"]["/fetch/secure/{external_id}"]["get"]["responses"]["200"]
    assert list(sealed["content"].values()) == [{"schema": {"type": "string"}}]


async def test_an_operation_says_who_may_call_it(door: Door):
    """Public ones nobody; a dialect of raw tokens takes these too."""
    written = await document(door)
    paths = written["paths"]
    assert paths["/things/{id}"]["get"]["security"] == []
    assert paths["/optional"]["get"]["security"] == [{}, {"bearer": []}]
    assert paths["/{tenant}/notes"]["get"]["security"] == [{"bearer": []}]
    assert paths["/users/{user}"]["delete"]["security"] == [{"bearer": []}, {"token": []}]


async def test_what_two_dialects_share_is_described_by_both(door: Door):
    """One spelling of the variables; bodies and answers of either."""
    written = await document(door)
    assert "/users/{id}" not in written["paths"]
    shown = written["paths"]["/users/{user}"]["get"]
    assert [p["name"] for p in shown["parameters"]] == ["user"]
    register = written["paths"]["/users"]["post"]
    body = register["requestBody"]["content"]["application/json"]["schema"]
    assert body == {
        "anyOf": [
            {"$ref": "#/components/schemas/north.North"},
            {"$ref": "#/components/schemas/south.South"},
        ]
    }
    problems = register["responses"]["400"]["content"]["application/json"]["schema"]["anyOf"]
    assert problems == [
        {"$ref": "#/components/schemas/north.Problem"},
        {"$ref": "#/components/schemas/south.ShortProblem"},
    ]


async def test_every_endpoint_is_described(door: Door):
    """Each path and method of each dialect, and no other."""
    written = await document(door)
    described = {(path, method) for path, item in written["paths"].items() for method in item}
    assert ("/{tenant}/notes/{note}", "patch") in described
    assert ("/users/{user}", "delete") in described
    assert len(described) == 19


async def test_the_page_of_documents_loads_nothing(door: Door):
    """It works offline, names every operation, and a strict policy lets no other content in."""
    answer = await door("GET", "/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert not re.search(r"https?://|<script|src=|@import|url\(", answer.text)
    for path in (await document(door))["paths"]:
        assert f"<code>{path}</code>" in answer.text
