"""One app behind several sockets: each tells its port, TLS shows who connects, a stop is clean."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trustme

from muster.web.serve import Listener, bind, serve
from muster.web.tls import ServerTls
from tests.web.toys import Door

pytestmark = pytest.mark.anyio


class Echo:
    """Tells what it sees of a request; one that waits holds its request until `go`."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.entered = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/wait":
            self.entered.set()
            await self.go.wait()
        shown = scope.get("extensions", {}).get("tls", {}).get("client_chain_der", [])
        chain = [ssl.DER_cert_to_PEM_cert(each) for each in shown]
        seen = f"{scope['scheme']} {scope['server'][1]} {scope['client'][0]} {''.join(chain)}".strip()
        headers = [(b"content-length", str(len(seen)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": seen.encode()})


class Running:
    def __init__(self, task: asyncio.Task[None], stop: asyncio.Event, ports: list[int]) -> None:
        self.task = task
        self.stop = stop
        self.ports = ports

    def url(self, number: int = 0, scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.ports[number]}"


@asynccontextmanager
async def serving(
    app: Any, *contexts: ServerTls | None, count: int = 1, **options: Any
) -> AsyncIterator[Running]:
    sockets = [bind("127.0.0.1", 0) for _ in contexts or range(count)]
    listeners = [
        Listener(socket=one, tls=tls) for one, tls in zip(sockets, contexts or [None] * count, strict=True)
    ]
    ports = [one.getsockname()[1] for one in sockets]
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(serve(app, listeners, stop=stop, on_ready=ready.set, **options))
    try:
        async with asyncio.timeout(10):
            await ready.wait()
        yield Running(task, stop, ports)
    finally:
        stop.set()
        await asyncio.wait_for(task, 15)


async def test_each_listener_tells_its_port():
    """So that the port can tell the dialect."""
    async with serving(Echo(), count=3) as running, httpx.AsyncClient() as client:
        seen = [(await client.get(running.url(n))).text for n in range(3)]
    assert seen == [f"http {port} 127.0.0.1" for port in running.ports]
    assert len(set(seen)) == 3


async def test_the_whole_door_answers_over_a_socket(door: Door):
    """Encoded paths, bodies, HEAD and no server's name, as a real client sees them."""
    token = door.token(await door.user())
    async with serving(door.app) as running, httpx.AsyncClient(base_url=running.url()) as client:
        assert (await client.get("/things/a%2Fb%3Ac")).json() == "a/b:c"
        made = await client.post("/t/notes", json={"name": "x"}, headers={"Authorization": f"Bearer {token}"})
        assert (made.status_code, made.json()["name"]) == (201, "x")
        head = await client.head("/things/7")
        assert (head.headers["content-length"], head.content) == ("3", b"")
        assert "server" not in head.headers
        assert "date" in head.headers
        large = await client.post("/users", content=b"x" * (9 * 1024 * 1024))
        assert large.status_code == 413


async def test_what_is_no_http_is_answered_and_noted(door: Door):
    """The server lives on."""
    async with serving(door.app, log=door.log) as running:
        for garbage in (b"\x16\x03\x01\x02\x00\n\n", b"GET / HTTP/9.9\r\n\r\n", b"GET \xff HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[0])
            writer.write(garbage)
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
            writer.close()
        async with httpx.AsyncClient(base_url=running.url()) as client:
            assert (await client.get("/things/7")).status_code == 200
    notes = [line for line in door.lines() if line["event"] == "http server"]
    assert [note["detail"] for note in notes] == ["Invalid HTTP request received."] * 3


async def test_a_head_without_end_is_refused(door: Door):
    """In one line or in many; a long one that ends is fine."""
    async with serving(door.app) as running:
        for line in (b"X-A: " + b"a" * 300_000, b"X-A: aaaaaaaaaaaaaaaaaaaaaaa\r\n" * 10_000):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[0])
            writer.write(b"GET /things/7 HTTP/1.1\r\nHost: a\r\n" + line)
            # Whoever still sends when the connection is closed may see the reset before the reason.
            with contextlib.suppress(ConnectionResetError):
                assert b"too long" in await asyncio.wait_for(reader.read(), 30)
            writer.close()
        assert door.lines() == []
        async with httpx.AsyncClient(base_url=running.url()) as client:
            assert (await client.get("/things/7", headers={"X-A": "a" * 30_000})).status_code == 200


async def test_a_slow_head_is_given_up(door: Door):
    """Who sends nothing, or half a line, is not waited for; who waits between requests is."""
    serving_it = serving(door.app, head_seconds=0.3)
    async with serving_it as running, httpx.AsyncClient(base_url=running.url()) as client:
        assert (await client.get("/things/7")).status_code == 200
        connections = client._transport._pool.connections
        for start in (b"", b"GET /things/7 HT"):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.ports[0])
            writer.write(start)
            assert await asyncio.wait_for(reader.read(), 30) == b""
            writer.close()
        assert (await client.get("/things/7")).status_code == 200
        assert client._transport._pool.connections == connections


async def test_a_websocket_is_declined_where_there_is_no_door_for_it(door: Door):
    """An app made without one opens none, whether the handshake is good or not."""
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    async with serving(door.app) as running, httpx.AsyncClient(base_url=running.url()) as client:
        assert (await client.get("/things/7", headers=headers)).status_code == 403
        headers["Sec-WebSocket-Key"] = "x"
        assert (await client.get("/things/7", headers=headers)).status_code == 400


# --- TLS -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA) -> ServerTls:
    own = authority.issue_cert("localhost")
    chain = b"".join(each.bytes() for each in own.cert_chain_pems)
    return ServerTls(chain_pem=chain, key_pem=own.private_key_pem.bytes())


async def test_plain_and_tls_are_served_together(authority: trustme.CA):
    """Without a client certificate there is none to see."""
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    both = serving(Echo(), None, server_context(authority))
    async with both as running, httpx.AsyncClient(verify=trust) as client:
        plain = (await client.get(running.url(0))).text
        tls = (await client.get(running.url(1, "https"))).text
    assert [plain.split()[0], tls] == ["http", f"https {running.ports[1]} 127.0.0.1"]


async def test_the_certificate_of_a_client_is_seen(authority: trustme.CA):
    """As the ASGI extension `tls` has it, for every request of the connection."""
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    leaf = authority.issue_cert("device-1")
    leaf.configure_cert(trust)
    async with (
        serving(Echo(), server_context(authority)) as running,
        httpx.AsyncClient(verify=trust) as client,
    ):
        seen = [(await client.get(running.url(0, "https"))).text for _ in range(2)]
    # The client sends along what it trusts above it; all of what it shows is seen, leaf first.
    pem = (leaf.cert_chain_pems[0].bytes() + authority.cert_pem.bytes()).decode().strip()
    assert [one.split(" ", 3)[3] for one in seen] == [pem, pem]


# --- proxies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [([], "127.0.0.1"), (["10.0.0.0/8"], "127.0.0.1"), (["127.0.0.1"], "203.0.113.9")],
)
async def test_a_forwarded_address_counts_from_trusted_proxies_only(trusted: list[str], seen: str):
    """Anyone else could write there what he wants."""
    headers = {"X-Forwarded-For": "203.0.113.9"}
    async with serving(Echo(), trusted_proxies=trusted) as running, httpx.AsyncClient() as client:
        answer = await client.get(running.url(), headers=headers)
    assert answer.text.split()[2] == seen


# --- the end -------------------------------------------------------------------------------------------


async def test_a_stop_finishes_what_was_accepted():
    """The request under way is answered, idle connections are closed, new ones refused."""
    echo = Echo()
    async with serving(echo) as running:
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", running.ports[0])
        async with httpx.AsyncClient() as client:
            waiting = asyncio.create_task(client.get(running.url() + "/wait", timeout=30))
            await asyncio.wait_for(echo.entered.wait(), 30)
            running.stop.set()
            assert await asyncio.wait_for(idle_reader.read(), 30) == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", running.ports[0])
            assert not running.task.done()
            echo.go.set()
            assert (await waiting).status_code == 200
            await asyncio.wait_for(running.task, 30)
        idle_writer.close()


async def test_a_stop_does_not_wait_for_ever():
    """What does not finish in time is given up, and its caller is told."""
    echo = Echo()
    async with serving(echo, grace=1) as running, httpx.AsyncClient() as client:
        waiting = asyncio.create_task(client.get(running.url() + "/wait", timeout=30))
        await asyncio.wait_for(echo.entered.wait(), 30)
        running.stop.set()
        await asyncio.wait_for(running.task, 30)
        assert (await waiting).status_code == 500


async def test_a_half_sent_body_does_not_hold_the_stop(door: Door):
    """Who never finishes the request is not waited for."""
    async with serving(door.app, grace=1) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.ports[0])
        writer.write(b"POST /t/notes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 100\r\n\r\n{")
        await writer.drain()
        running.stop.set()
        await asyncio.wait_for(running.task, 30)
        writer.close()


def test_an_address_in_use_is_an_error():
    """Of the operating system, told at once; a free port is found for 0."""
    first = bind("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", first.getsockname()[1])
    first.close()


def test_an_address_of_ipv6_can_be_had():
    """Written without brackets."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    bound = bind("::1", 0)
    assert bound.family is socket.AF_INET6
    bound.close()
