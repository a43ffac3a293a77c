"""Which dialect a request means when several share its path; the order of the rules is decided once, here."""

from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import msgspec
from litestar.types import ControllerRouterHandler

from muster.core.access import Evidence
from muster.web.auth import scheme_and_rest
from muster.web.reply import Reply
from muster.web.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One API: its handlers, its errors, and the signs by which a request on a shared path is its own."""

    name: str
    title: str
    handlers: Sequence[ControllerRouterHandler]
    given: Mapping[str, Any] = field(default_factory=dict)
    """What its handlers get as arguments of these names, besides `desk`."""
    problem: Callable[[Exception], Reply]
    """Turns any error into the dialect's answer; what it does not know is an opaque 500."""
    problem_type: Any = None
    """The type of the body of its errors, for the OpenAPI document; None: errors have no body."""
    ports: frozenset[int] = frozenset()
    """Where upstream's services listen."""
    issuers: frozenset[str] = frozenset()
    """The claims `iss` of the tokens its calls mint."""
    schemes: frozenset[str] = frozenset()
    """Authorisation schemes in lower case; the empty one is a raw token."""
    unmarked: frozenset[str] = frozenset()
    """Path templates it answers when there is no Authorization."""
    shapes: Mapping[str, Callable[[AbstractSet[str]], bool]] = field(default_factory=dict)
    """By `POST /users`: whether a body with these names is its own."""
    line_end: bytes = b""
    """What ends its JSON bodies."""
    speaks_as: Sequence[str] = ()
    """Names of dialects of which a request means one: its errors are said in that one's way."""
    login: Callable[[Request], Awaitable[Evidence | None]] | None = None
    """Tells who calls where the header Authorization is no user's token; None: it is a token after all."""
    exposed: bytes = b""
    """Headers that scripts in pages may read from its successes, as upstream's proxy says (CORS)."""
    allows_origins: bool = False
    """Whether pages of any origin may call it (CORS); they send their credentials by themselves."""
    tenant_variable: str = ""
    """The variable of its paths that names a tenant, for the log."""


def choose(request: Request, candidates: Collection[Dialect], templates: Mapping[str, str]) -> Dialect:
    """Choose by port, body, issuer of the token, scheme, path without Authorization; else the first.

    *candidates* is in order of preference and not empty; *templates* has the path template by dialect.
    """
    for rule in (_by_port, _by_body, _by_issuer, _by_scheme, _by_path):
        chosen = [dialect for dialect in candidates if rule(request, dialect, templates)]
        if chosen:
            return chosen[0]
    return next(iter(candidates))


def _by_port(request: Request, dialect: Dialect, _: Mapping[str, str]) -> bool:
    server = request.scope["server"]
    return server is not None and server[1] in dialect.ports


def _by_body(request: Request, dialect: Dialect, templates: Mapping[str, str]) -> bool:
    fits = dialect.shapes.get(f"{request.scope['method']} {templates.get(dialect.name, '')}")
    return fits is not None and fits(_names(request.received))


def _names(body: bytes) -> AbstractSet[str]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw]).keys()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return frozenset()


def _by_issuer(request: Request, dialect: Dialect, _: Mapping[str, str]) -> bool:
    return bool(dialect.issuers) and issuer(_authorization(request)[1]) in dialect.issuers


def _by_scheme(request: Request, dialect: Dialect, _: Mapping[str, str]) -> bool:
    scheme, token = _authorization(request)
    return bool(token) and scheme in dialect.schemes


def _by_path(request: Request, dialect: Dialect, templates: Mapping[str, str]) -> bool:
    return not _authorization(request)[1] and templates.get(dialect.name) in dialect.unmarked


def _authorization(request: Request) -> tuple[str, str]:
    return scheme_and_rest(request.fields.get(b"authorization", b"").decode("latin-1"))


def issuer(token: str) -> str:
    """Read the claim `iss` of a token without verifying it: it only says where to verify. Empty if none."""
    parts = token.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return str(msgspec.json.decode(claims, type=dict[str, Any]).get("iss", ""))
    except (ValueError, RecursionError):
        return ""
