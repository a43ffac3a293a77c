"""The first column of the access matrix for the Mainflux and the Hono door: who is nobody is refused."""

import re
import time
import uuid
from collections.abc import Iterator

import httpx
import pytest

from muster.assembly.parts import keyring_of
from muster.ca.tokens import Tokens
from muster.settings import load
from tests.journeys.access_world import Callers, callers, send
from tests.journeys.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("elsewhere"), MUSTER_THROTTLE_ATTEMPTS="1000000") as running:
        yield running


@pytest.fixture(scope="module")
def who(server: Server) -> Callers:
    settings = load({"MUSTER_DATA_DIR": str(server.folder / "data")}).settings
    past = int(time.time()) - 7200
    claims = {"iss": "supermq.auth", "iat": past, "exp": past + 3600, "type": 0, "user": "x", "epoch": 0}
    return callers(server, Tokens(keyring_of(settings)).mint(claims))


# Mainflux answers 403 where its users, keys, groups and bootstrap services did (spec B.0).
REFUSED = {"mainflux": (401, 403), "hono": (401,)}


@pytest.mark.parametrize("caller", ["nobody", "expired", "disabled", "device"])
@pytest.mark.parametrize("dialect", ["mainflux", "hono"])
def test_who_is_nobody_is_refused(server: Server, who: Callers, dialect: str, caller: str) -> None:
    """Before anything else is looked at: path, query or body."""
    document = httpx.get(f"{server.url}/openapi/{dialect}.json").json()
    wrong, asked = {}, 0
    for template, methods in document["paths"].items():
        path = re.sub(r"\{\w+\}", lambda _: str(uuid.uuid4()), template)
        for method, said in methods.items():
            security = said.get("security", [])
            if not security or {} in security:
                continue
            asked += 1
            body = {} if "requestBody" in said else None
            answer = send(server, method.upper(), path, who.headers[caller], body)
            # That a user is disabled shows in the transaction, after the body was looked at.
            early = (400,) if caller == "disabled" else ()
            if answer.status_code not in REFUSED[dialect] + early:
                wrong[f"{method} {template}"] = (answer.status_code, answer.text[:200])
    assert {} == wrong
    assert asked > 10
