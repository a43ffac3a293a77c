"""Bodies: read with a limit, and checked for what JSON allows but no database or reader should meet.

Of equal names in one JSON object the last holds (RFC 8259, 4, leaves it open; upstream does the same).
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar.types import Receive

from muster.core.errors import TooLarge
from muster.web.errors import BadBody, BadHeader
from muster.web.request import Request

DEPTH = 100
"""How deep arrays and objects may nest."""
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may cost."""

    body: int = 8 * 1024 * 1024
    """Bytes."""
    body_seconds: float = 30.0
    """How long the rest of a body may take to arrive after its first part."""


class Gone(Exception):
    """The client has left."""


async def read(request: Request, limits: Limits) -> bytes:
    """Read the whole body. TooLarge as soon as it is known to be; BadBody if it is slow; Gone without one."""
    declared = request.fields.get(b"content-length")
    if declared is not None and _length(declared) > limits.body:
        raise _too_large(limits)
    part, is_more = await _part(request.receive)
    if is_more:
        return await _rest(request.receive, part, limits)
    if len(part) > limits.body:
        raise _too_large(limits)
    return part


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"a body has at most {limits.body:d} bytes")


async def _part(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise Gone
    return message.get("body", b""), message.get("more_body", False)


def _length(declared: bytes) -> int:
    if not declared.isdigit() or len(declared) > 18:
        raise BadHeader
    return int(declared)


async def _rest(receive: Receive, first: bytes, limits: Limits) -> bytes:
    parts, size, is_more = [first], len(first), True
    try:
        async with asyncio.timeout(limits.body_seconds):
            while is_more and size <= limits.body:
                part, is_more = await _part(receive)
                parts.append(part)
                size += len(part)
    except TimeoutError:
        raise BadBody("the body did not arrive in time") from None
    if size > limits.body:
        raise _too_large(limits)
    return b"".join(parts)


def decoder(of: Any) -> Callable[[bytes], Any]:
    """Give a function that decodes a JSON body of that type, or raises BadBody."""
    decode = msgspec.json.Decoder(of).decode

    def checked(body: bytes) -> Any:
        try:
            decoded = decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise BadBody(str(error)) from None
        except RecursionError:
            raise BadBody("nested too deeply") from None
        check(body)
        return decoded

    return checked


_SUSPECT = re.compile(rb"[0-9]{19}|\\u0000")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NUMBER = re.compile(rb"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def check(body: bytes) -> None:
    """Raise BadBody for a NUL, an integer beyond 64 bits, or nesting beyond DEPTH; *body* is valid JSON.

    PostgreSQL stores neither of the first two, and what nests too deeply breaks whoever reads it.
    """
    suspect = _SUSPECT.search(body) is not None
    if not suspect and body.count(b"{") + body.count(b"[") <= DEPTH:
        return
    if suspect and _NUL.search(body):
        raise BadBody("a string holds a NUL character")
    outside = _outside_strings(body)
    if suspect:
        _check_numbers(outside)
    _check_depth(outside.translate(None, _NOT_BRACKETS))


def _outside_strings(body: bytes) -> bytes:
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b" ".join(body.split(b'"')[::2])


def _check_numbers(outside: bytes) -> None:
    for found in _NUMBER.finditer(outside):
        whole = not (found[1] or found[2])
        if whole and (len(found[0]) > 20 or not _LEAST <= int(found[0]) <= _MOST):
            raise BadBody("an integer needs more than 64 bits")


def _check_depth(brackets: bytes) -> None:
    for _ in range(DEPTH):
        if not brackets:
            return
        brackets = _without_innermost(brackets)
    if brackets:
        raise BadBody("nested too deeply")


def _without_innermost(brackets: bytes) -> bytes:
    # One level at a time: what becomes empty by this pass is the next pass's to remove.
    return brackets.replace(b"[]", b"\0").replace(b"{}", b"\0").replace(b"\0", b"")
