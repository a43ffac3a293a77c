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

from tests.journeys.access_hono import Hono
from tests.journeys.access_mainflux import Mainflux
from tests.journeys.access_world import World, bearer, register
from tests.journeys.server import Server, admin_token
from tests.journeys.test_access import Operation
from tests.ports import free_port

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FEW = 4
MANY = int(os.environ.get("MUSTER_EXAMPLES", "100"))
METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE")
"""In this order: what is made is seen, then changed, then taken away."""
DIALECTS = ("magistrala", "mainflux", "hono")

Ids = dict[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, mqtt = tmp_path_factory.mktemp("generated"), f"127.0.0.1:{free_port()}"
    with Server(folder, MUSTER_THROTTLE_ATTEMPTS="1000000", MUSTER_MQTT=mqtt) as running:
        yield running


OPEN_BODIES: dict[str, Callable[[Ids], Any]] = {
    "createUser": lambda _: {
        "first_name": "Ann",
        "last_name": "Doe",
        "email": f"{uuid.uuid4().hex}@example.com",
        "credentials": {"username": f"ann{uuid.uuid4().hex[:8]}", "secret": "12345678"},
    },
    "issueToken": lambda _: {"username": "admin", "password": "correct horse battery"},
}
"""Of the Magistrala door's operations that need no user."""


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
        self.callers = [bearer(token), bearer(token), self._admin, {"Authorization": "Client k"}]
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
        asked = Operation(operation.method, operation.path, operation.definition.raw)
        return OPEN_BODIES[asked.id](ids) if asked.id in OPEN_BODIES else asked.body(ids)

    def made_up(self, _: Any) -> str:
        """Give the variable of the path that the caller makes up; here there is none."""
        return ""


class Elsewhere:
    """What the access matrix makes and asks at the Mainflux or the Hono door, and who asks."""

    def __init__(self, server: Server, http: httpx.Client, door: type[Mainflux] | type[Hono]) -> None:
        admin = admin_token(server)
        # Nobody asks with it here, so it need not have expired.
        self._door = door(http, admin, lambda _: admin)
        self._admin = self._door.login("admin", "correct horse battery")
        self.callers: list[dict[str, str]] = []

    def make(self) -> Ids:
        """Make a fresh scene; give what the variables of the path name in it."""
        scene = self._door.scene()
        self.callers = [scene.owner, scene.owner, self._admin, scene.device]
        return scene.ids

    def body(self, operation: Any, ids: Ids) -> Any:
        """Give a good body, or None."""
        name = operation.definition.raw["operationId"]
        row = self._door.rows.get(name)
        body = self._door.open_bodies.get(name) if row is None else row.body
        return body(ids) if body is not None else None

    def made_up(self, operation: Any) -> str:
        """Give the variable of the path that the caller makes up; empty if none."""
        row = self._door.rows.get(operation.definition.raw["operationId"])
        return row.makes if row is not None else ""


WORLDS: dict[str, Callable[[Server, httpx.Client], Magistrala | Elsewhere]] = {
    "magistrala": lambda server, _: Magistrala(server),
    "mainflux": lambda server, http: Elsewhere(server, http, Mainflux),
    "hono": lambda server, http: Elsewhere(server, http, Hono),
}


def role_kind(template: str) -> str:
    """Say what kind of entity the role in the path belongs to."""
    return next((k for k in ("clients", "channels", "groups") if f"/{k}/{{" in template), "domains")


def is_lasting(method: str, template: str) -> bool:
    """Say whether what the path names is surely there afterwards, and enabled."""
    if template.startswith("/v1/") or template == "/channels/{channel}/things/{thing}":
        return method == "GET"
    takes_away = (
        "connect",
        "disable",
        "freeze",
        "delete",
        "revoke",
        "remove",
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
    with server.client() as http:
        return _explore(schema, WORLDS[dialect](server, http), examples)


def _explore(
    schema: Any, world: Magistrala | Elsewhere, examples: int
) -> tuple[list[str], dict[str, set[int]]]:
    wrong: list[str] = []
    statuses: dict[str, set[int]] = {}
    ids: Ids | None = None
    every = (result.ok() for result in schema.get_all_operations())
    for operation in sorted(every, key=lambda each: (each.path, METHODS.index(each.method.upper()))):
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
    operation: Any, world: Magistrala | Elsewhere, ids: Ids, examples: int, seen: set[int]
) -> None:
    good = world.body(operation, ids)

    def ask(case: Any, caller: dict[str, str]) -> None:
        # On this path the body tells the dialect: one without either sign may speak to the other.
        hypothesis.assume(operation.label != "POST /users" or {"credentials", "password"} & _keys(case.body))
        answer = case.call(headers=caller, timeout=60)
        seen.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    def name(case: Any) -> None:
        for variable in case.path_parameters:
            known = uuid.uuid4().hex if variable == world.made_up(operation) else ids.get(variable)
            case.path_parameters[variable] = known or case.path_parameters[variable]

    def give(case: Any) -> None:
        case.body, case.media_type = good, "application/json"

    @hypothesis.settings(_ONCE, max_examples=1)
    @hypothesis.given(case=operation.as_strategy())
    def properly(case: Any) -> None:
        """As whoever knows what is there would ask: without options, the owner, else the admin."""
        name(case)
        case.query.clear()
        case.headers.clear()
        if good is not None:
            give(case)
        for caller in world.callers[1:]:
            if not any(status < 300 for status in seen):
                ask(case, caller)

    @hypothesis.settings(_ONCE, max_examples=examples)
    @hypothesis.given(
        case=operation.as_strategy(),
        caller=st.sampled_from(world.callers),
        is_real=st.integers(0, 4).map(bool),
        is_good=st.booleans(),
    )
    def anyhow(case: Any, caller: dict[str, str], is_real: bool, is_good: bool) -> None:
        if is_real:
            name(case)
        if is_good and good is not None:
            give(case)
        ask(case, caller)

    properly()
    anyhow()


_ONCE = hypothesis.settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def _keys(body: Any) -> set[str]:
    return {*body} if isinstance(body, dict) else set()


UNREACHED: dict[str, set[str]] = {
    "magistrala": {
        # They need a CA's id, or a CA of one's own.
        "POST /certs/authorities/import",
        "GET /certs/ca/{issuer}",
        "GET /certs/crl/{issuer}",
        # They need something disabled, an invitation, a device that was there, a token of another kind, mail.
        "POST /domains/{domain}/enable",
        "POST /users/{user_id}/enable",
        "POST /{domain}/channels/{channel}/enable",
        "POST /{domain}/clients/{client}/enable",
        "POST /{domain}/groups/{group}/enable",
        "POST /invitations/accept",
        "POST /invitations/reject",
        "GET /{domain}/clients/{client}/presence",
        "POST /users/tokens/refresh",
        "POST /password/reset-request",
        "PUT /password/reset",
        # It needs a key of the installation.
        "GET /clients/bootstrap/secure/{external_id}",
    },
    "mainflux": {
        "POST /password/reset-request",
        "PUT /password/reset",
        "GET /things/bootstrap/secure/{external_id}",
        # It needs a thing's key.
        "GET /channels/{channel}/messages",
    },
    "hono": {
        # Their paths go on over several segments, which a generator cannot say; the fourth needs a status.
        "PUT /command/res/{target}",
        "PUT /event/{target}",
        "PUT /telemetry/{target}",
        "POST /command/res/{command}",
        # It needs a device that listens.
        "POST /v1/commands/{tenant}/{device}/{command}",
    },
}
"""What is never answered 2xx here, since it needs a state or a secret that nobody generates."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_generated_requests_are_answered_as_documented(server: Server, dialect: str) -> None:
    """0 server errors, 0 answers that the document does not describe; all the rest is really reached."""
    wrong, statuses = explore(server, dialect, FEW)
    print("\n".join(wrong))
    assert [] == wrong
    unreached = {label: found for label, found in statuses.items() if not any(s < 300 for s in found)}
    print(unreached)
    assert UNREACHED[dialect] == {*unreached}


@pytest.mark.long
@pytest.mark.parametrize("dialect", DIALECTS)
def test_many_generated_requests_are_answered_as_documented(server: Server, dialect: str) -> None:
    """The same with 100 requests an operation; MUSTER_EXAMPLES sets another number."""
    wrong, _ = explore(server, dialect, MANY)
    print("\n".join(wrong))
    assert [] == wrong
