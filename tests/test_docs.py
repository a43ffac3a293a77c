"""What the documents tell a reader to type works: blocks fenced as ```sh test run as printed, in order.

Printed addresses are replaced by those of the test's server; nothing else. The blocks that are not run are
listed in NOT_RUN with the reason, so that a new one has to be one or the other.
"""

from pathlib import Path

import pytest

from tests.docs_runner import Block, blocks, documents, missing, run, script, stand_in
from tests.journeys.server import Server
from tests.ports import free_port

NOT_RUN = {
    "make run": "starts the server that the other blocks use",
    "make setup": "is how this test came to run",
    "make test": "is what runs this test",
    "make lint": "changes files",
    "make bench": "takes minutes",
    "apt-get": "needs root and the network",
    "docker": "needs a container engine",
    "podman": "needs a container engine",
    "systemctl": "needs systemd",
    "pg_dump": "needs PostgreSQL's own programs",
    "muster serve": "starts a server in the foreground",
    "git clone": "needs the network",
    "muster nats-config": "is run, with its cluster, by the tests of the plane",
    "nats-server -c": "starts a broker in the foreground",
}
"""By a part of the block."""


def documents_with_tests() -> list[Path]:
    return [document for document in documents() if any(block.is_tested for block in blocks(document))]


@pytest.mark.parametrize("document", documents_with_tests(), ids=lambda path: path.name)
def test_a_document_works_as_printed(document: Path, tmp_path: Path) -> None:
    """From the first tested block to the last, in one shell; every command succeeds."""
    found = [block for block in blocks(document) if block.is_tested]
    mqtt, websocket = free_port(), free_port()
    with Server(
        tmp_path / "server", MUSTER_MQTT=f"127.0.0.1:{mqtt}", MUSTER_MQTT_WS=f"127.0.0.1:{websocket}"
    ) as server:
        places = {
            "127.0.0.1:8080": f"127.0.0.1:{server.port}",
            "localhost:8080": f"127.0.0.1:{server.port}",
            "-p 1883": f"-p {mqtt}",
            "127.0.0.1:1883": f"127.0.0.1:{mqtt}",
            "127.0.0.1:8083": f"127.0.0.1:{websocket}",
        }
        text = script(found, places)
        stand_in(missing(text), tmp_path)
        done = run(text, tmp_path)
        assert 0 == done.returncode, f"{document.name}\n{done.stdout}\n{done.stderr}"
        if document.name == "README.md":
            assert '"external_id":"33:52:77:99:43"' in done.stdout
            # Two publishers: which of them the broker hears first is nobody's promise.
            heard = sorted(line for line in done.stdout.splitlines() if line.startswith("over "))
            assert ["over HTTP", "over MQTT"] == heard
            assert '"status":"disabled"' in done.stdout


def test_every_block_is_run_or_said_why_not() -> None:
    """A shell block without `test` on its fence is one of the kinds that no test can run."""
    others = [block for document in documents() for block in blocks(document) if not block.is_tested]
    assert [] == [f"{each.document}:{each.line}" for each in others if not _reason(each)]


def _reason(block: Block) -> str:
    return next((reason for part, reason in NOT_RUN.items() if part in block.text), "")


def test_the_readme_begins_with_tested_blocks() -> None:
    """The first five minutes are among what is run."""
    found = [block.text for block in blocks(documents()[0]) if block.is_tested]
    assert any("/mapping" in text for text in found)
    assert any("bootstrap" in text for text in found)
