"""TLS of every listener: the server's certificate is swapped live, the client's is asked for but not judged.

Whoever accepts the connection verifies the chain it shows.
The standard library refuses unknown CAs inside the handshake, so the handshake is pyOpenSSL's, behind the one
method of ssl.SSLContext that asyncio and uvloop call: wrap_bio (docs/decisions/0007-tls-front.md).
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_CHAIN: Final = 10
"""Certificates a client may present; more end the handshake."""

_RECORD: Final = 16_384  # the most plain bytes one TLS record carries (RFC 8446 5.1)
_CHUNK: Final = 65_536
_CIPHERS: Final = b"ECDHE+AESGCM:ECDHE+CHACHA20"  # TLS 1.2; forward secret and authenticated only
_OPTIONS: Final = SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """What a client showed in its handshake; that it holds the leaf's key is proven, nothing else is."""

    chain_der: tuple[bytes, ...]
    """As presented, leaf first; empty when the client has no certificate."""
    sni: str | None


def client_tls(transport: asyncio.BaseTransport) -> ClientTls | None:
    """What the peer of *transport* showed; None when the connection is not TLS of a ServerTls."""
    shown = transport.get_extra_info("ssl_object")
    return shown.client if isinstance(shown, _TlsObject) else None


class ServerTls(ssl.SSLContext):
    """A server's TLS: 1.2 or newer, client certificate optional and unjudged, no resumption of any kind.

    Without resumption each connection shows its whole chain, so a revoked certificate cannot come back.
    Good for asyncio and uvloop servers (`ssl=`) and for uvicorn's `ssl_context_factory`.
    Raises ValueError when certificate and key are unreadable or do not belong together.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, *, chain_pem: bytes, key_pem: bytes) -> None:
        self.use(chain_pem=chain_pem, key_pem=key_pem)

    def use(self, *, chain_pem: bytes, key_pem: bytes) -> None:
        """Show this certificate (leaf first) from the next handshake on; running connections stay.

        Raises ValueError and keeps the old one when the two are unreadable or do not belong together.
        """
        self._current = _context(chain_pem, key_pem)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin one connection. Raises ValueError on the client's side: this is a server's TLS."""
        if not server_side or server_hostname is not None or session is not None:
            raise ValueError("ServerTls serves; it does not connect")
        connection = SSL.Connection(self._current, None)
        connection.set_accept_state()
        return cast("ssl.SSLObject", _TlsObject(self, connection, incoming, outgoing))


def _context(chain_pem: bytes, key_pem: bytes) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(_CIPHERS)
    context.set_options(_OPTIONS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_verify(SSL.VERIFY_PEER, _judge_nothing)
    _load_identity(context, chain_pem, key_pem)
    return context


def _judge_nothing(_connection: SSL.Connection, _cert: object, _error: int, _depth: int, _ok: int) -> bool:
    return True


def _load_identity(context: SSL.Context, chain_pem: bytes, key_pem: bytes) -> None:
    try:
        leaf, *issuers = x509.load_pem_x509_certificates(chain_pem)
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError) as error:
        raise ValueError("the server certificate or its key is not readable PEM") from error
    try:
        context.use_certificate(leaf)
        for issuer in issuers:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(cast("Any", key))
        context.check_privatekey()
    except (SSL.Error, TypeError) as error:
        raise ValueError("the server certificate and its key do not belong together") from error


class _TlsObject:
    """One connection, in the shape of ssl.SSLObject, as far as the event loops use it.

    uvloop reads only while `incoming.pending` or `pending()` say there is something, so everything that
    arrived is decrypted at once and `pending()` tells what is left of it.
    """

    __slots__ = ("_client", "_connection", "_ended", "_incoming", "_outgoing", "_plain", "_told", "context")

    server_side = True
    server_hostname = None
    session = None
    session_reused = False

    def __init__(
        self, context: ServerTls, connection: SSL.Connection, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        self.context = context
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing
        self._plain = b""
        self._ended = False
        self._told = False  # the end was read once
        self._client: ClientTls | None = None

    @property
    def client(self) -> ClientTls:
        if self._client is None:
            self._client = _shown(self._connection)
        return self._client

    def do_handshake(self) -> None:
        self._pull()
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            raise ssl.SSLWantReadError from None
        except SSL.Error as error:
            raise _as_ssl_error(error) from None
        finally:
            self._push()
        if len(self.client.chain_der) > MAX_CHAIN:
            raise ssl.SSLError(1, "the client's certificate chain is too long")
        self._decrypt()

    def read(self, size: int = _RECORD, buffer: Any = None) -> Any:
        """Up to *size* plain bytes, or their number if they go into *buffer*; nothing after close_notify."""
        if not self._plain:
            self._decrypt()
        if not self._plain and not self._ended:
            raise ssl.SSLWantReadError
        self._told = not self._plain
        taken, self._plain = self._plain[:size], self._plain[size:]
        if buffer is None:
            return taken
        buffer[: len(taken)] = taken
        return len(taken)

    def pending(self) -> int:
        return len(self._plain) or (self._ended and not self._told)

    def write(self, data: bytes | memoryview) -> int:
        """Encrypt at most one record of *data*; how many bytes were taken."""
        try:
            return self._connection.send(data)
        except SSL.Error as error:
            raise _as_ssl_error(error) from None
        finally:
            self._push()

    def unwrap(self) -> None:
        """Say close_notify and wait for the peer's."""
        self._pull()
        try:
            done = self._connection.shutdown()
        except SSL.Error as error:
            raise _as_ssl_error(error) from None
        finally:
            self._push()
        if not done:
            raise ssl.SSLWantReadError

    def getpeercert(self, binary_form: bool = False) -> Mapping[str, Any] | bytes | None:
        """Nothing is verified here, so the parsed form is empty, as the standard library has it."""
        chain = self.client.chain_der
        if not chain:
            return None
        return chain[0] if binary_form else {}

    def cipher(self) -> tuple[str, str, int] | None:
        name = self._connection.get_cipher_name()
        if name is None:
            return None
        bits = self._connection.get_cipher_bits()
        return name, self._connection.get_protocol_version_name(), bits or 0

    def version(self) -> str | None:
        return self._connection.get_protocol_version_name()

    def compression(self) -> None:
        return None

    def selected_alpn_protocol(self) -> None:
        return None

    def _decrypt(self) -> None:
        self._pull()
        records: list[bytes] = []
        try:
            while True:
                records.append(self._connection.recv(_RECORD))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._ended = True
        except SSL.Error as error:
            raise _as_ssl_error(error) from None
        finally:
            self._plain += b"".join(records)
            self._push()

    def _pull(self) -> None:
        if self._incoming.pending:
            self._connection.bio_write(self._incoming.read())

    def _push(self) -> None:
        try:
            while True:
                data = self._connection.bio_read(_CHUNK)
                self._outgoing.write(data)
                if len(data) < _CHUNK:
                    return
        except SSL.WantReadError:
            return


def _shown(connection: SSL.Connection) -> ClientTls:
    leaf, issuers = connection.get_peer_certificate(), connection.get_peer_cert_chain() or []
    ders = [crypto.dump_certificate(crypto.FILETYPE_ASN1, issuer) for issuer in issuers]
    if leaf is not None:
        # OpenSSL's list has the leaf on the client's side only (SSL_get_peer_cert_chain(3)).
        leaf_der = crypto.dump_certificate(crypto.FILETYPE_ASN1, leaf)
        ders = [leaf_der, *(der for der in ders if der != leaf_der)]
    name = connection.get_servername()
    return ClientTls(
        chain_der=tuple(ders),
        sni=None if name is None else name.decode("ascii", "replace").lower(),
    )


def _as_ssl_error(error: SSL.Error) -> ssl.SSLError:
    """The same reason as the loops expect it; pyOpenSSL gives triples (library, function, reason)."""
    if isinstance(error, SSL.ZeroReturnError):
        return ssl.SSLZeroReturnError(6, "the peer closed the TLS connection")
    reasons = error.args[0] if error.args else ()
    if isinstance(reasons, list):
        return ssl.SSLError(1, "; ".join(str(triple[-1]) for triple in reasons))
    return ssl.SSLError(1, str(error))


_App = Callable[
    [dict[str, Any], Callable[..., Awaitable[Any]], Callable[..., Awaitable[None]]], Awaitable[None]
]


def with_tls(app: _App, shown: ClientTls) -> _App:
    """The same ASGI app, told in `scope["extensions"]["tls"]` what the client showed."""
    extension = {"client_chain_der": list(shown.chain_der), "sni": shown.sni}

    async def told(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["extensions"] = {**scope.get("extensions", {}), "tls": extension}
        await app(scope, receive, send)

    return told


class TlsHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP that hands on what the client showed in its handshake; pass it as `http=`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        shown = client_tls(transport)
        if shown is not None:
            self.app = with_tls(self.app, shown)


class TlsWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket that hands on what the client showed in its handshake; pass it as `ws=`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        shown = client_tls(transport)
        if shown is not None:
            self.app = with_tls(self.app, shown)

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # A refusal is an answer, too; uvicorn would complain that there was none.
            self.handshake_complete = True
