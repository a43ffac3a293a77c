"""Answers: as a dialect says them, and as bytes."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import msgspec
from litestar import Response

B = TypeVar("B")

JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer before it is bytes. *body*: whatever msgspec encodes; bytes go as they are; None is empty."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = JSON


class Rendered(Response[B], Generic[B]):
    """An answer as bytes. The type parameter says, for the OpenAPI document, what the body is."""

    __slots__ = ("fields", "payload", "status")

    def __init__(self, status: int, fields: list[tuple[bytes, bytes]], payload: bytes) -> None:
        # Litestar's own constructor prepares much that is not needed once the bytes are there.
        self.status = status
        self.fields = fields
        self.payload = payload


_encode = msgspec.json.Encoder().encode
_CONTENT_TYPES: dict[str, tuple[bytes, bytes]] = {}
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def render(reply: Reply, line_end: bytes = b"") -> Rendered[Any]:
    """Turn an answer into bytes; JSON ends with *line_end*. An empty body has no content type."""
    fields = [(name.lower().encode("ascii"), field_value(value)) for name, value in reply.headers.items()]
    body = reply.body
    if body is None:
        return Rendered(reply.status, fields, b"")
    payload = body if isinstance(body, bytes) else _encode(body) + line_end
    fields.append(_CONTENT_TYPES.get(reply.media_type) or _content_type(reply.media_type))
    return Rendered(reply.status, fields, payload)


def _content_type(media_type: str) -> tuple[bytes, bytes]:
    return _CONTENT_TYPES.setdefault(media_type, (b"content-type", media_type.encode("ascii")))


def segment(name: str) -> str:
    """Spell an id as one segment of a path (RFC 3986, 3.3)."""
    return quote(name, safe="!$&'()*+,;=:@")


def field_value(value: str) -> bytes:
    """Encode a header's value; what is not printable ASCII is percent-encoded, so no line can be broken."""
    if not (value.isascii() and value.isprintable()):
        value = quote(value, safe=_PRINTABLE)
    return value.encode("ascii")
