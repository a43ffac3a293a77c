"""What the OpenAPI documents say is what the server does: requests generated for owner and administrator.

Paths mostly name what exists, and some bodies are known to be good, so that operations are really reached.
After one that may take something away, a fresh world is made.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.journeys.access_world import World, bearer, register
from tests.journeys.server import Server, admin_token
from tests.journeys.test_access import Operation

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FEW = 4
MANY = int(os.environ.get("MUSTER_EXAMPLES", "100"))
DIALECTS = ("magistrala", "mainflux")

Ids = dict[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("generated"), MUSTER_THROTTLE_ATTEMPTS="1000000") as running:
        yield running


class Magistrala:
    """A domain with one of each, and who asks."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._admin = bearer(admin_token(server))
        self.callers: list[dict[str, str]] = []

    def make(self) -> Ids:
        """Make a fresh world; give what the variables of the path name in it."""
        friend, _ = register(self._server, f"friend{uuid.uuid4().hex[:8]}")
        owner, token = register(self._server, f"owner{uuid.uuid4().hex[:8]}")
        self.callers = [bearer(token), bearer(token), self._admin]
        ids = World.make(self._server, owner, token, friend).ids
        return {
            **ids,
            "user_id": friend,
            "pat": ids["pat_id"],
            "key": ids["key_id"],
            "entity_type": "client",
            "entity_id": ids["client"],
        }

    def body(self, operation: Any, ids: Ids) -> Any:
        """Give a good body, or None."""
        return Operation(operation.method, operation.path, operation.definition.raw).body(ids)


class Mainflux:
    """A user's own things, channels and group, and who asks."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._admin = self._token("admin@example.com", "correct horse battery")
        self.callers: list[dict[str, str]] = []

    def _register(self) -> tuple[str, dict[str, str]]:
        email = f"owner{uuid.uuid4().hex[:8]}@example.com"
        body = {"email": email, "password": "12345678"}
        answer = httpx.post(f"{self._server.url}/users", json=body)
        assert 201 == answer.status_code, answer.text
        return answer.headers["location"].rpartition("/")[2], self._token(email, "12345678")

    def _token(self, email: str, password: str) -> dict[str, str]:
        answer = httpx.post(f"{self._server.url}/tokens", json={"email": email, "password": password})
        assert 201 == answer.status_code, answer.text
        return {"Authorization": answer.json()["token"]}

    def make(self) -> Ids:
        """Make fresh things; give what the variables of the path name."""
        user, owner = self._register()
        self.callers = [owner, owner, self._admin]
        ids: Ids = {"user_id": user, "member": user}
        with httpx.Client(base_url=self._server.url, headers=owner, timeout=30) as http:

            def made(path: str, body: Any) -> str:
                answer = http.post(path, json=body)
                assert 201 == answer.status_code, f"{path}: {answer.text}"
                return answer.headers["location"].rpartition("/")[2]

            ids["channel"] = made("/channels", {"name": "c"})
            ids["group"] = made("/groups", {"name": f"g-{uuid.uuid4().hex[:8]}"})
            ids["external_id"] = f"e-{uuid.uuid4().hex}"
            config = {"external_id": ids["external_id"], "external_key": "k", "channels": [ids["channel"]]}
            ids["thing"] = made("/things/configs", config)
            key = http.post("/keys", json={"type": 2, "duration": 3600})
            ids["key_id"] = key.json()["id"]
        return ids

    def body(self, operation: Any, ids: Ids) -> Any:
        """Give a good body, or None."""
        connect = {"channel_ids": [ids["channel"]], "thing_ids": [ids["thing"]]}
        mark = uuid.uuid4().hex
        return {
            "POST /connect": connect,
            "PUT /disconnect": connect,
            "POST /groups": {"name": mark},
            "PUT /groups/{group}": {"name": mark},
            "POST /groups/{group}/members": {"members": [ids["thing"]], "type": "things"},
            "DELETE /groups/{group}/members": {"members": [ids["thing"]], "type": "things"},
            "POST /keys": {"type": 2, "duration": 60},
            "POST /things/configs": {"external_id": mark, "external_key": "k", "channels": [ids["channel"]]},
            "PUT /things/state/{thing}": {"state": 1},
            "PATCH /things/{thing}/key": {"key": mark},
            "POST /users": {"email": f"{mark}@example.com", "password": "12345678"},
            "POST /mapping": {"external_id": mark, "external_key": "k"},
            "POST /things/bulk": [{"name": mark}],
            "POST /things/search": {"name": "a"},
        }.get(operation.label)


WORLDS: dict[str, Callable[[Server], Magistrala | Mainflux]] = {
    "magistrala": Magistrala,
    "mainflux": Mainflux,
}


def role_kind(template: str) -> str:
    """Say what kind of entity the role in the path belongs to."""
    return next((k for k in ("clients", "channels", "groups") if f"/{k}/{{" in template), "domains")


def is_lasting(method: str, template: str) -> bool:
    """Say whether what the path names is surely there afterwards."""
    takes_away = (
        "disable",
        "freeze",
        "delete",
        "revoke",
        "remove",
        "disconnect",
        "scope",
        "state",
        "role",
        "secret",
        "passw",
    )
    return method == "GET" or (method != "DELETE" and not any(word in template for word in takes_away))


def explore(server: Server, dialect: str, examples: int) -> tuple[list[str], dict[str, set[int]]]:
    """Try each operation *examples* times; give what was wrong, and the statuses of each."""
    document = httpx.get(f"{server.url}/openapi/{dialect}.json").json()
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig(suppress_health_check=[]))
    schema.config.update(base_url=server.url)
    world = WORLDS[dialect](server)
    wrong: list[str] = []
    statuses: dict[str, set[int]] = {}
    ids: Ids | None = None
    for result in schema.get_all_operations():
        operation = result.ok()
        if ids is None:
            ids = world.make()
        ids["role"] = ids.get(f"role of {role_kind(operation.path)}", "")
        seen = statuses.setdefault(operation.label, set())
        try:
            _try_operation(operation, world, ids, examples, seen)
        except (Exception, FailureGroup) as error:  # noqa: BLE001 all of them are wanted
            wrong.append(f"{operation.label}: {_told(error)}")
        if not is_lasting(operation.method.upper(), operation.path):
            ids = None
    return wrong, statuses


def _told(error: BaseException) -> str:
    parts = [str(each) for each in getattr(error, "exceptions", ())] or [str(error)]
    return "\n".join(parts)[:3000]


def _try_operation(
    operation: Any, world: Magistrala | Mainflux, ids: Ids, examples: int, seen: set[int]
) -> None:
    good = world.body(operation, ids)

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=operation.as_strategy(),
        caller=st.sampled_from(world.callers),
        is_real=st.integers(0, 4).map(bool),
        is_good=st.booleans(),
    )
    def once(case: Any, caller: dict[str, str], is_real: bool, is_good: bool) -> None:
        if is_real:
            for name in case.path_parameters:
                case.path_parameters[name] = ids.get(name, case.path_parameters[name])
        if is_good and good is not None:
            case.body, case.media_type = good, "application/json"
        # On this path the body tells the dialect: one without either sign may speak to the other.
        hypothesis.assume(operation.label != "POST /users" or {"credentials", "password"} & _keys(case.body))
        answer = case.call(headers=caller, timeout=20)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    once()


def _keys(body: Any) -> set[str]:
    return {*body} if isinstance(body, dict) else set()


UNREACHED = {
    "magistrala": 24,
    "mainflux": 14,
}
"""How many operations may go without an answer below 400: they need a state or secret nobody generates."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_generated_requests_are_answered_as_documented(server: Server, dialect: str) -> None:
    """0 server errors, 0 answers that the document does not describe; reads reach what is there."""
    wrong, statuses = explore(server, dialect, FEW)
    print({label: found for label, found in statuses.items() if not any(s < 400 for s in found)})
    print("\n".join(wrong))
    assert [] == wrong


@pytest.mark.long
@pytest.mark.parametrize("dialect", DIALECTS)
def test_many_generated_requests_are_answered_as_documented(server: Server, dialect: str) -> None:
    """The same with 100 requests an operation; MUSTER_EXAMPLES sets another number."""
    wrong, _ = explore(server, dialect, MANY)
    print("\n".join(wrong))
    assert [] == wrong
