"""A request as handlers get it: Litestar's, with what the door has already read of it."""

import re
from collections.abc import Callable
from random import Random
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from litestar import Request as LitestarRequest
from litestar.types import HTTPScope, Receive, Send

from muster.core.access import Evidence
from muster.web.errors import BadHeader, BadPath, BadQuery
from muster.web.reply import Reply

AnyRequest: TypeAlias = LitestarRequest[Any, Any, Any]


class Request(LitestarRequest[Any, Any, Any]):
    """One HTTP request: its header fields, its query, its whole body, and what is known of its caller."""

    __slots__ = (
        "_query",
        "caller_id",
        "dialect",
        "evidence",
        "fields",
        "id",
        "is_read",
        "params",
        "problem",
        "received",
        "template",
        "tenant",
    )

    fields: dict[bytes, bytes]
    """The header fields by lower-case name; of repeated ones the last."""
    id: str
    """The header X-Request-Id if it is a plain word, else made here."""
    received: bytes
    """The whole body."""
    is_read: bool
    """Whether the body was read already, though it may be empty: a second time nothing would come."""
    evidence: Evidence | None
    """Who calls, if the door read it already."""
    params: dict[str, str]
    """The variable parts of the path, percent-decoded."""
    problem: Callable[[Exception], Reply] | None
    """How the endpoint says its errors; None: as its dialect does."""

    def __init__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        super().__init__(scope, receive, send)
        self.fields = dict(scope["headers"])
        self.received = b""
        self.is_read = False
        self.evidence = None
        self.params = {}
        self.problem = None
        self.id = _request_id(self.fields)
        self.template = ""
        self.dialect = ""
        self.caller_id = ""
        self.tenant = ""
        self._query: dict[str, list[str]] | None = None

    @property
    def query(self) -> dict[str, list[str]]:
        """The query parameters by name, in the order sent. BadQuery when they are no text."""
        if self._query is None:
            self._query = parse_query(self.scope["query_string"])
        return self._query

    def field(self, name: bytes) -> str:
        """Give a header field as text, empty if absent; *name* in lower case. BadHeader with a NUL in it."""
        value = self.fields.get(name)
        if value is None:
            return ""
        if b"\0" in value:
            raise BadHeader
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value.decode("latin-1")

    @property
    def client_chain(self) -> tuple[bytes, ...]:
        """The certificates the client showed in its handshake, DER, leaf first; nobody judged them yet."""
        extensions: dict[str, Any] = self.scope.get("extensions") or {}
        chain: tuple[bytes, ...] = extensions.get("tls", {}).get("client_chain_der", ())
        return chain

    @property
    def source(self) -> str:
        """The address it came from, empty if unknown."""
        client = self.scope["client"]
        return client[0] if client else ""


_IDS = Random()  # noqa: S311 an id of a request is no secret
_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/=+-]{0,63}")


def _request_id(fields: dict[bytes, bytes]) -> str:
    given = fields.get(b"x-request-id")
    if given is not None and _SANE_ID.fullmatch(given):
        return given.decode("ascii")
    return f"{_IDS.getrandbits(64):016x}"


def incoming(request: AnyRequest) -> Request:
    """Give the request as our own kind; TypeError if it did not come through our door."""
    if isinstance(request, Request):
        return request
    raise TypeError("not a request of muster.web")


def parse_query(query: bytes) -> dict[str, list[str]]:
    """Read `a=1&b=x%20y`; BadQuery for a NUL or for bytes that are no UTF-8."""
    found: dict[str, list[str]] = {}
    if not query:
        return found
    for part in query.split(b"&"):
        name, _, value = part.partition(b"=")
        if part:
            found.setdefault(_query_text(name), []).append(_query_text(value))
    return found


def _query_text(value: bytes) -> str:
    if b"+" in value:
        value = value.replace(b"+", b" ")
    return _text(value, BadQuery)


def path_text(segment: bytes) -> str:
    """Decode one segment of a path; BadPath for a NUL or for bytes that are no UTF-8."""
    return _text(segment, BadPath)


def path_guess(segment: bytes) -> str:
    """Decode a segment of a path that path_text refuses, for looking up whom it was meant for."""
    return unquote_to_bytes(segment).decode(errors="replace").replace("\0", "\ufffd")


def _text(value: bytes, error: type[BadQuery | BadPath]) -> str:
    if b"%" in value:
        value = unquote_to_bytes(value)
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise error from None
    if "\0" in text:
        raise error
    return text
