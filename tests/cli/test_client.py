"""The HTTP client against servers that misbehave: what is repeated, what never is, what a failure says."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from muster.client import Api, Failure, Tokens, path, rows_of
from tests.cli.conftest import Person
from tests.journeys.server import Server
from tests.ports import free_port

Reply = tuple[int, dict[str, str], bytes] | None
"""Status, headers, body; None: the connection is dropped after the request was read."""


class Scripted(BaseHTTPRequestHandler):
    """Answers as it was told, one reply a request, and remembers what it was asked."""

    replies: ClassVar[list[Reply]] = []
    asked: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.asked.append((self.command, self.path, headers, body))
        reply = self.replies.pop(0)
        if reply is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, fields, content = reply
        self.send_response(status)
        for name, value in {
            "Content-Type": "application/json",
            **fields,
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 the library's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


class Scene:
    """A server with a script, and a client of it."""

    def __init__(self, url: str) -> None:
        self.waits: list[float] = []
        self.api = Api(url, sleep=self.waits.append)
        self.asked = Scripted.asked

    def script(self, *replies: Reply) -> None:
        Scripted.replies[:] = replies
        Scripted.asked.clear()
        self.waits.clear()


@pytest.fixture
def scene() -> Iterator[Scene]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        made = Scene(f"http://127.0.0.1:{server.server_port}")
        with made.api:
            yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(body: Any, status: int = 200, **headers: str) -> Reply:
    return (
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps(body).encode(),
    )


def test_reading_is_repeated_when_the_answer_is_lost(scene: Scene) -> None:
    """It changes nothing."""
    scene.script(None, None, said({"id": "x"}))
    assert {"id": "x"} == scene.api.get("/clients")
    assert 3 == len(scene.asked)


def test_creating_is_repeated_with_the_same_key(scene: Scene) -> None:
    """So that it happens once, whichever answer is lost."""
    scene.script(None, said({"id": "x"}, 201))
    assert {"id": "x"} == scene.api.create("/things", {"name": "a"})
    keys = [headers["idempotency-key"] for _, _, headers, _ in scene.asked]
    assert (2, 1) == (len(keys), len(set(keys)))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_may_not_happen_twice_is_not_repeated(scene: Scene, method: str) -> None:
    """The failure says that nobody knows."""
    scene.script(None, said({}))
    with pytest.raises(Failure, match="may have happened or not") as failed:
        scene.api.request(method, "/x", body={})
    assert (1, None, True) == (len(scene.asked), failed.value.status, failed.value.is_unreachable)


def test_a_busy_server_is_asked_again_when_it_says_so(scene: Scene) -> None:
    """After the time it names; a longer one than it is worth waiting for is left to the caller."""
    busy = said({"message": "service unavailable"}, 503, Retry_After="3")
    scene.script(busy, said({"id": "x"}))
    assert {"id": "x"} == scene.api.get("/x")
    assert [3] == scene.waits
    scene.script(said({"message": "service unavailable"}, 503, Retry_After="3600"))
    with pytest.raises(Failure) as failed:
        scene.api.get("/x")
    assert (503, 3600, []) == (failed.value.status, failed.value.retry_after, scene.waits)
    scene.script(busy)
    with pytest.raises(Failure):
        scene.api.request("PATCH", "/x", body={})


def test_it_gives_up_in_the_end(scene: Scene) -> None:
    """A server that is always busy is told so."""
    scene.script(*[said({}, 503)] * 3)
    with pytest.raises(Failure, match="503"):
        scene.api.get("/x")
    scene.script(None, None, None)
    with pytest.raises(Failure, match="did not answer"):
        scene.api.get("/x")


def test_a_failure_says_what_the_server_said(scene: Scene) -> None:
    """Status, reason in Magistrala's two parts, the request's number."""
    scene.script(said({"message": "bad", "error": "missing name"}, 400, X_Request_Id="r1"))
    with pytest.raises(Failure) as failed:
        scene.api.create("/users", {})
    failure = failed.value
    told = (failure.status, failure.reason, failure.request_id, failure.request)
    assert (400, "bad: missing name", "r1", "POST /users") == told


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b'{"message": 5}', b"{", b"\xff", b"null"])
def test_errors_that_are_not_musters_are_errors_all_the_same(scene: Scene, body: bytes) -> None:
    """A proxy's page, for instance."""
    scene.script((418, {}, body))
    with pytest.raises(Failure, match="418"):
        scene.api.get("/x")
    scene.script((200, {}, body))
    with pytest.raises(Failure, match="does not answer as Muster does"):
        scene.api.page("/x")
    scene.script((201, {}, body))
    with pytest.raises(Failure, match="does not answer as Muster does"):
        scene.api.login("a", "b")


def test_an_expired_token_is_renewed_once(scene: Scene) -> None:
    """And whoever keeps tokens is told."""
    kept: list[Tokens] = []
    scene.api.tokens, scene.api.on_tokens = Tokens(access="old", refresh="r"), kept.append
    fresh = said({"access_token": "new", "refresh_token": "r2"}, 201)
    scene.script(said({}, 401), fresh, said({"id": "x"}))
    assert {"id": "x"} == scene.api.get("/x")
    shown = [headers["authorization"] for _, _, headers, _ in scene.asked]
    assert ["Bearer old", "Bearer r", "Bearer new"] == shown
    assert [Tokens(access="new", refresh="r2")] == kept
    scene.script(said({}, 401), said({}, 401))
    with pytest.raises(Failure) as failed:
        scene.api.get("/x")
    assert (401, "GET /x") == (failed.value.status, failed.value.request)
    assert "new" not in repr(scene.api.tokens)


def test_a_list_is_read_to_its_end(scene: Scene) -> None:
    """A hundred at a time, and not for ever when it shrinks meanwhile."""
    full = {"total": 150, "offset": 0, "clients": [{"id": str(n)} for n in range(100)]}
    rest = {"total": 150, "offset": 100, "clients": [{"id": "a"}]}
    scene.script(said(full), said(rest), said({"total": 150, "offset": 101, "clients": []}))
    assert 101 == len(list(scene.api.every("/clients", name="x")))
    assert ["/clients?order=created_at&name=x&limit=100&offset=100"] == [
        where for _, where, _, _ in scene.asked[1:2]
    ]


def test_paths_are_escaped_part_by_part() -> None:
    """A slash in an id is no path."""
    assert "/a%2Fb/clients/%3Fx%3D1" == path("/{d}/clients/{id}", d="a/b", id="?x=1")
    assert None is rows_of({"id": "x"})
    assert None is rows_of({"total": 1})


def test_what_cannot_be_sent_is_a_failure(scene: Scene) -> None:
    """Control characters in a key, for instance."""
    with pytest.raises(Failure, match="it cannot be sent"):
        scene.api.bootstrap("id", "a\nkey: value")


def test_nobody_at_the_address_is_a_failure() -> None:
    """It was never sent, so that is what it says."""
    with (
        Api(f"http://127.0.0.1:{free_port()}") as api,
        pytest.raises(Failure, match="nobody answers") as failed,
    ):
        api.create("/x", {})
    assert failed.value.is_unreachable


def test_a_program_onboards_a_gateway(server: Server, jane: Person) -> None:
    """What docs say programs can do."""
    with Api(server.url) as api:
        api.login(jane.name, jane.password)
        domain = api.create_domain("Plant", f"d-{jane.name}")["id"]
        made = api.provision(domain, f"gw-{jane.name}", "key")
        assert made == api.provision(domain, f"gw-{jane.name}", "key")
        fetched = api.bootstrap(f"gw-{jane.name}", "key")
        assert made["clients"][0]["id"] == fetched["client_id"]
        [client] = api.create_all(path("/{d}/clients/bulk", d=domain), [{"name": "c"}])
        channel = fetched["channels"][0]["id"]
        api.connect(domain, clients=[client["id"]], channels=[channel], types=["publish"])
        api.disconnect(domain, clients=[client["id"]], channels=[channel])
        assert fetched["client_id"] in api.unprovision(domain, f"gw-{jane.name}")["clients"]
