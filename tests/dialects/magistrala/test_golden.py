"""Every operation of the door answers as recorded: status, headers and body.

`MUSTER_RECORD=1 pytest tests/dialects/magistrala/test_golden.py` writes the files anew; read what changed.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from muster.ca import secrets
from muster.web import openapi
from tests.dialects.magistrala.harness import Muster, written_plain
from tests.dialects.magistrala.story import STORY, Step, tell

GOLDEN = Path(__file__).parent / "golden"
ENCRYPT_KEY = "0123456789abcdef0123456789abcdef"
HEADERS = ("content-type", "location", "cache-control")

pytestmark = pytest.mark.xdist_group("magistrala-golden")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Muster, dict[str, httpx.Response]]]:
    folder = tmp_path_factory.mktemp("story")
    key = secrets.cfb_key(ENCRYPT_KEY)
    with Muster(folder, MUSTER_BOOTSTRAP_ENCRYPT_KEY=ENCRYPT_KEY) as muster:
        yield muster, tell(muster, lambda plain: secrets.cfb_seal(key, plain.encode()).hex())


@pytest.mark.parametrize("step", STORY, ids=lambda step: step.operation)
def test_each_operation_answers_as_recorded(
    told: tuple[Muster, dict[str, httpx.Response]], step: Step
) -> None:
    """The status is the one the story says; the rest is compared with the file."""
    answer = told[1][step.operation]
    assert step.status == answer.status_code, answer.text
    file = GOLDEN / f"{step.operation}.txt"
    written = shown(answer)
    if os.environ.get("MUSTER_RECORD"):
        file.write_text(written)
    assert file.read_text() == written


def shown(answer: httpx.Response) -> str:
    """Write an answer so that two runs write the same."""
    lines = [f"HTTP {answer.status_code}"]
    lines += [f"{name}: {answer.headers[name]}" for name in HEADERS if name in answer.headers]
    if answer.headers.get("content-type") == "application/octet-stream":
        return "\n".join([*lines, "", "<sealed>", ""])
    body = answer.text
    if body:
        assert body.endswith("\n")
        json.loads(body)
    return written_plain("\n".join([*lines, "", body]))


def operations(muster: Muster) -> list[dict[str, Any]]:
    """Give the door's part of the OpenAPI document; certificates and messages tests/journeys has."""
    app = muster.app
    document = openapi.document(app._dialects["magistrala"], app._operations._endpoints, "0")
    found = [one for item in document["paths"].values() for one in item.values()]
    elsewhere = {"lastMessages", "listPresence", "getPresence"}
    found = [one for one in found if one["operationId"] not in elsewhere]
    return [one for one in found if one["tags"] not in (["certs"], ["authority"])]


def test_the_story_tells_every_operation(told: tuple[Muster, dict[str, httpx.Response]]) -> None:
    """No route without an example of its answer."""
    known = {one["operationId"] for one in operations(told[0])}
    assert known == {step.operation.removesuffix(" dry").rstrip("2") for step in STORY}


def test_every_query_of_the_story_is_in_the_document(
    told: tuple[Muster, dict[str, httpx.Response]],
) -> None:
    """With a type, and so is the status of every answer."""
    described = {one["operationId"]: one for one in operations(told[0])}
    for step in STORY:
        operation = described[step.operation.removesuffix(" dry").rstrip("2")]
        typed = {p["name"] for p in operation["parameters"] if p["in"] == "query" and "type" in p["schema"]}
        sent = {part.partition("=")[0] for part in step.path.partition("?")[2].split("&") if part}
        assert sent <= typed, step.operation
        assert str(step.status) in operation["responses"], step.operation
    for operation in described.values():
        assert all("type" in p["schema"] for p in operation["parameters"] if p["in"] == "query")


def test_what_the_secure_fetch_answers_opens_with_the_key(
    told: tuple[Muster, dict[str, httpx.Response]],
) -> None:
    """Raw bytes: the IV, then what the plain fetch answers, without the line end (spec A.9)."""
    sealed, plain = told[1]["bootstrapSecure"], told[1]["bootstrap"]
    opened = secrets.cfb_open(secrets.cfb_key(ENCRYPT_KEY), sealed.content.hex())
    assert plain.text == opened + "\n"
