"""ServerTls: what clients show arrives whole, unjudged and never resumed; certificates swap live."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
import trustme
import uvicorn
from websockets.asyncio.client import connect as ws_connect

from muster.web.tls import MAX_CHAIN, ClientTls, ServerTls, TlsHttpProtocol, TlsWebSocketProtocol, client_tls
from tests.front.tls_kit import EC, Party, Pki, Run, issue


class Echo(asyncio.Protocol):
    """Sends back what comes and keeps what the client showed."""

    shown: ClassVar[list[ClientTls | None]] = []

    def connection_made(self, transport):
        self.transport = transport
        Echo.shown.append(client_tls(transport))

    def data_received(self, data):
        self.transport.write(data)


@pytest.fixture(autouse=True)
def _forget():
    Echo.shown.clear()


@pytest.fixture
def tls(pki: Pki) -> ServerTls:
    return ServerTls(chain_pem=pki.server.chain_pem, key_pem=pki.server.key_pem)


@asynccontextmanager
async def echoing(tls: ServerTls) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def echoed(port: int, context: ssl.SSLContext, data: bytes = b"ping") -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )
    writer.write(data)
    back = await asyncio.wait_for(reader.readexactly(len(data)), 30)
    writer.close()
    await writer.wait_closed()
    return back


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", ["ec", "ec-intermediate", "rsa", "rsa-intermediate"])
def test_the_whole_presented_chain_arrives(run: Run, pki: Pki, tls, name, version, tmp_path) -> None:
    """Leaf and intermediates come as shown, in both TLS versions, from a CA nobody told the server about."""

    async def story():
        async with echoing(tls) as port:
            assert await echoed(port, pki.client(pki.devices[name], tmp_path, version)) == b"ping"

    run(story())
    assert [ClientTls(chain_der=tuple(pki.devices[name].chain_der), sni="localhost")] == Echo.shown


def test_a_client_without_certificate_is_welcome(run: Run, pki: Pki, tls, tmp_path) -> None:
    """The client certificate is optional; its absence is told."""

    async def story():
        async with echoing(tls) as port:
            assert await echoed(port, pki.client(None, tmp_path)) == b"ping"

    run(story())
    assert [ClientTls(chain_der=(), sni="localhost")] == Echo.shown


def test_plain_connections_show_nothing(run: Run) -> None:
    """Without TLS there is nothing to tell."""

    async def story():
        server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"ping")
        await reader.readexactly(4)
        writer.close()
        server.close()

    run(story())
    assert Echo.shown == [None]


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 3_000_000])
def test_every_byte_passes(run: Run, pki: Pki, tls, size, tmp_path) -> None:
    """One byte, one record, a little more than a record, and far more than every buffer."""
    data = bytes(i % 251 for i in range(size))

    async def story():
        async with echoing(tls) as port:
            assert await echoed(port, pki.client(pki.devices["ec"], tmp_path), data) == data

    run(story())


def test_a_chain_without_end_is_refused(run: Run, pki: Pki, tls, tmp_path) -> None:
    """More certificates than MAX_CHAIN end the handshake."""
    leaf = pki.devices["ec"]
    padding = b"".join(trustme.CA(key_type=EC).cert_pem.bytes() for _ in range(MAX_CHAIN))
    too_long = Party(leaf.chain_pem + padding, leaf.key_pem)

    async def story():
        async with echoing(tls) as port:
            with pytest.raises((OSError, asyncio.IncompleteReadError)):
                await echoed(port, pki.client(too_long, tmp_path))

    run(story())
    assert Echo.shown == []


def test_the_server_certificate_swaps_without_a_refused_handshake(run: Run, pki: Pki, tls, tmp_path) -> None:
    """While clients come all the time, use() changes the certificate; every handshake succeeds."""
    servers = [issue(pki.root, "localhost") for _ in range(5)]
    context = pki.client(None, tmp_path)
    seen = set()

    async def one(port):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        seen.add(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
        writer.close()

    async def story():
        async with echoing(tls) as port:
            for server in servers:
                running = [asyncio.create_task(one(port)) for _ in range(8)]
                await asyncio.sleep(0)
                tls.use(chain_pem=server.chain_pem, key_pem=server.key_pem)
                await asyncio.gather(*running)
            await one(port)

    run(story())
    assert servers[-1].chain_der[0] in seen


@pytest.mark.parametrize(
    ("chain", "key"), [(b"", b""), (b"no", b"pem"), ("server", b"pem"), (b"", "server"), ("server", "other")]
)
def test_a_bad_certificate_is_a_value_error_and_the_old_one_stays(
    run: Run, pki: Pki, tls, chain, key, tmp_path
):
    """Nothing unreadable or mismatched replaces what works; the error shows no key material."""
    parties = {"server": pki.server, "other": issue(pki.root, "localhost")}
    chain_pem = chain if isinstance(chain, bytes) else parties[chain].chain_pem
    key_pem = key if isinstance(key, bytes) else parties[key].key_pem
    with pytest.raises(ValueError, match="the server certificate"):
        tls.use(chain_pem=chain_pem, key_pem=key_pem)

    async def story():
        async with echoing(tls) as port:
            assert await echoed(port, pki.client(None, tmp_path)) == b"ping"

    run(story())


def test_it_never_connects(tls: ServerTls) -> None:
    """As a client's context it would judge nothing, so it refuses to be one."""
    with pytest.raises(ValueError, match="does not connect"):
        tls.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")


async def s_client(port: int, *args: str | Path) -> str:
    command = [
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-servername",
        "localhost",
        *map(str, args),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"ping\n")
    output = b""
    async with asyncio.timeout(20):
        while b"ping" not in output and (line := await process.stdout.readline()):
            output += line
    process.stdin.close()
    return (output + (await process.communicate())[0]).decode(errors="replace")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_no_session_is_resumed(pki: Pki, tls, version, tmp_path) -> None:
    """openssl offers its session again and gets a full handshake, in which it shows its chain again."""
    chain, key = pki.devices["ec-intermediate"].write(tmp_path, "device")
    identity = ("-cert", chain, "-cert_chain", chain, "-key", key, version)
    session = tmp_path / "session"

    async def story():
        async with echoing(tls) as port:
            first = await s_client(port, *identity, "-sess_out", session)
            again = ("-sess_in", session) if session.exists() else ("-no_ticket",)
            return first, await s_client(port, *identity, *again)

    first, second = asyncio.run(story())
    assert "New, TLSv1" in first
    assert "New, TLSv1" in second
    assert "Reused" not in first + second
    assert [len(shown.chain_der) for shown in Echo.shown if shown] == [2, 2]


def test_old_tls_is_refused(tls) -> None:
    """TLS 1.1 does not get through the handshake."""

    async def story():
        async with echoing(tls) as port:
            return await s_client(port, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")

    assert "New, TLSv1" not in asyncio.run(story())
    assert Echo.shown == []


async def app(scope, receive, send):
    """Answers with what the TLS extension of the scope says."""
    said = scope.get("extensions", {}).get("tls")
    text = "nothing" if said is None else f"{said['sni']} {[der.hex() for der in said['client_chain_der']]}"
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": text})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})


@asynccontextmanager
async def uvicorn_serving(tls: ServerTls | None) -> AsyncIterator[int]:
    factory = None if tls is None else (lambda _config, _default: tls)
    config = uvicorn.Config(
        app,
        port=0,
        http=TlsHttpProtocol,
        ws=TlsWebSocketProtocol,
        ssl_context_factory=factory,
        lifespan="off",
        log_level="error",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
        await asyncio.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def test_uvicorn_tells_the_app_what_the_client_showed(run: Run, pki: Pki, tls, tmp_path) -> None:
    """HTTPS and WSS find the full chain and the SNI in the scope, without a fixed store of CAs."""
    device = pki.devices["rsa-intermediate"]
    context = pki.client(device, tmp_path)
    expected = f"localhost {[der.hex() for der in device.chain_der]}"

    async def story():
        async with uvicorn_serving(tls) as port:
            async with httpx.AsyncClient(verify=context) as client:
                replies = [(await client.get(f"https://localhost:{port}/")).text for _ in range(2)]
            async with ws_connect(f"wss://localhost:{port}/", ssl=context) as socket:
                replies.append(await socket.recv())
            assert [expected] * 3 == replies

    run(story())


def test_uvicorn_without_tls_has_no_extension(run: Run) -> None:
    """On the plain listener the scope says nothing of TLS."""

    async def story():
        async with uvicorn_serving(None) as port, httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "nothing"

    run(story())
