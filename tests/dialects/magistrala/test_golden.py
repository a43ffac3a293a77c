"""Every operation of the door answers as recorded: status, headers and body.

`MUSTER_RECORD=1 pytest tests/dialects/magistrala/test_golden.py` writes the files anew; read what changed.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

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


def test_the_story_tells_every_operation(told: tuple[Muster, dict[str, httpx.Response]]) -> None:
    """No route without an example of its answer."""
    app = told[0].app
    dialect = app._dialects["magistrala"]
    document = openapi.document(dialect, app._operations._endpoints, "0")
    known = {one["operationId"] for item in document["paths"].values() for one in item.values()}
    assert known == {step.operation.removesuffix(" dry").rstrip("2") for step in STORY}


def test_what_the_secure_fetch_answers_opens_with_the_key(
    told: tuple[Muster, dict[str, httpx.Response]],
) -> None:
    """Raw bytes: the IV, then what the plain fetch answers, without the line end (spec A.9)."""
    sealed, plain = told[1]["bootstrapSecure"], told[1]["bootstrap"]
    opened = secrets.cfb_open(secrets.cfb_key(ENCRYPT_KEY), sealed.content.hex())
    assert plain.text == opened + "\n"
