"""The one door: finds the dialect and endpoint a request means, calls it, answers, and notes that it did.

Handlers are declared with Litestar. `opt={"content_type": "any" | "json" | "exact"}` says which bodies one
takes (`json`, the default with a body: the header must contain application/json). A handler is called for
bearers of an access token only, unless its `opt` has `public`: True, `token`: "optional", or other `kinds`;
with `problem`, a function as Dialect.problem, its errors are said otherwise than the dialect's.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, TypeAlias

from litestar import Litestar
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.exceptions import LitestarDeprecationWarning
from litestar.types import Receive, Scope, Send
from prometheus_client import CollectorRegistry

from muster.core.access import Evidence
from muster.core.errors import MusterError, TooMany, Unavailable
from muster.core.keyholders import Passwords, Tokens
from muster.core.model import Instant
from muster.core.ports import Store
from muster.web import auth, body
from muster.web.auth import Remembered
from muster.web.body import Limits
from muster.web.choose import Dialect, choose
from muster.web.desk import Desk
from muster.web.endpoints import Endpoint, endpoints
from muster.web.errors import BadPath, Broken, NoRoute, WrongMethod
from muster.web.observe import Observer
from muster.web.operations import About, Operations
from muster.web.reply import Rendered, render
from muster.web.request import Request
from muster.web.routes import Routes, guess, split

__all__ = ["About", "App", "Dialect", "Limits", "build"]

Door: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def build(
    dialects: Sequence[Dialect],
    *,
    store: Store,
    tokens: Tokens,
    passwords: Passwords,
    clock: Callable[[], Instant],
    registry: CollectorRegistry,
    log: Any,
    limits: Limits | None = None,
    about: About | None = None,
    websocket: Door | None = None,
) -> "App":
    """Make the ASGI app of all dialects; the first is meant where nothing else tells.

    *websocket* is an ASGI app for the WebSockets; without it they are declined.
    *registry* is what /metrics shows, *log* a structlog logger (see observe.json_logger). TypeError or
    ValueError when a dialect declares what cannot be served.
    """
    about, remembered = about or About(), Remembered(tokens)
    targets: list[Endpoint] = []
    for dialect in dialects:
        desk = Desk(
            store=store,
            tokens=remembered,
            passwords=passwords,
            clock=clock,
            dialect=dialect.name,
            line_end=dialect.line_end,
        )
        given = {"desk": desk, **dialect.given}
        targets.extend(endpoints(_litestar(dialect, given), dialect.name, given))
    operations = Operations(dialects, targets, registry, about)
    observer, routes = Observer(registry, log), Routes(targets)
    door = websocket or _decline
    return App(dialects, routes, operations, observer, limits or Limits(), remembered, clock, door)


def _litestar(dialect: Dialect, given: Mapping[str, Any]) -> Litestar:
    with warnings.catch_warnings():
        # It asks for a marker on each argument by which it would know it; endpoints.py knows them by name.
        warnings.simplefilter("ignore", LitestarDeprecationWarning)
        return Litestar(
            route_handlers=list(dialect.handlers),
            dependencies={name: _provide(value) for name, value in given.items()},
            openapi_config=None,
            logging_config=None,
        )


def _provide(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)


class App:
    """An ASGI application."""

    def __init__(
        self,
        dialects: Sequence[Dialect],
        routes: Routes[Endpoint],
        operations: Operations,
        observer: Observer,
        limits: Limits,
        tokens: Tokens,
        clock: Callable[[], Instant],
        websocket: Door,
    ) -> None:
        self._dialects = {dialect.name: dialect for dialect in dialects}
        self._default = dialects[0]
        self._routes = routes
        self._operations = operations
        self._observer = observer
        self._limits = limits
        self._websocket = websocket
        self._tokens = tokens
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._websocket(scope, receive, send)
            return
        started = perf_counter()
        request = Request(scope, receive, send)
        try:
            answer = await self._answer(request)
        except body.Gone:
            self._observer.answered(request, 499, perf_counter() - started)
            return
        except asyncio.CancelledError:
            # The server stops and waits no longer; whether the work was done, nobody can say now.
            answer = self._problem(request, Unavailable())
        except Exception as error:  # noqa: BLE001 the one place where the unexpected becomes an answer
            answer = self._problem(request, error)
        dialect = self._dialects.get(request.dialect, self._default)
        if b"origin" in request.fields and dialect.allows_origins:
            answer.fields.extend(_CORS)
        if dialect.exposed and answer.status in _EXPOSED:
            answer.fields.append((b"access-control-expose-headers", dialect.exposed))
        await _send(request, answer, send)
        self._observer.answered(request, answer.status, perf_counter() - started)

    async def _answer(self, request: Request) -> Rendered[Any]:
        scope = request.scope
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        segments = self._segments(request, method)
        found = self._routes.one(method, segments)
        if found is None:
            own = await self._operations.answer(request, segments)
            if own is not None:
                return own
            found = await self._search(request, method, segments)
        endpoint, values = found
        self._enter(request, endpoint, values)
        # Whoever nobody knows is told so first: neither the body nor the query is looked at before.
        if endpoint.kinds is not None and not (endpoint.is_token_optional and not auth.has_token(request)):
            request.evidence = await self._evidence(request, endpoint.kinds)
        if not request.is_read and (endpoint.has_body or _announces_body(request)):
            request.received = await body.read(request, self._limits)
        answer = await endpoint.call(request)
        if not isinstance(answer, Rendered):
            raise TypeError(f"{endpoint.handler} must answer through its desk")
        return answer

    def _segments(self, request: Request, method: str) -> list[str]:
        path = request.scope.get("raw_path") or request.scope["path"].encode()
        try:
            return split(path)
        except BadPath:
            meant = guess(path)
            request.dialect = self._meant(request, meant, self._routes.find(method, meant).dialects)
            raise

    async def _evidence(self, request: Request, kinds: frozenset[int]) -> Evidence:
        login = self._dialects[request.dialect].login
        known = await login(request) if login is not None else None
        return known or auth.evidence(request, self._tokens, self._clock, kinds)

    def _enter(self, request: Request, endpoint: Endpoint, values: list[str]) -> None:
        request.dialect = endpoint.dialect
        request.problem = endpoint.problem
        request.template = endpoint.template
        request.params = dict(zip(endpoint.names, values, strict=True))
        request.tenant = request.params.get(self._dialects[endpoint.dialect].tenant_variable, "")

    async def _search(self, request: Request, method: str, segments: list[str]) -> tuple[Endpoint, list[str]]:
        found = self._routes.find(method, segments)
        if len(found.targets) == 1:
            return next(iter(found.targets.values()))
        if not found.targets:
            raise self._nowhere(request, segments, found.dialects, found.allow)
        contenders = [dialect for name, dialect in self._dialects.items() if name in found.targets]
        templates = {name: target.template for name, (target, _) in found.targets.items()}
        if any(f"{method} {templates[dialect.name]}" in dialect.shapes for dialect in contenders):
            request.dialect = choose(request, contenders, templates).name
            request.received = await body.read(request, self._limits)
            request.is_read = True
        return found.targets[choose(request, contenders, templates).name]

    def _nowhere(
        self, request: Request, segments: list[str], dialects: frozenset[str], allow: tuple[str, ...]
    ) -> MusterError:
        request.dialect = self._meant(request, segments, dialects)
        return WrongMethod(allow) if allow else NoRoute()

    def _meant(self, request: Request, segments: list[str], known: frozenset[str]) -> str:
        """Name the dialect that says there is nothing here: one of those that know the path, if any does."""
        head = self._routes.head(segments)
        names = known or ({head} if head else self._dialects.keys())
        return choose(request, [d for name, d in self._dialects.items() if name in names], {}).name

    def _spoken(self, request: Request) -> Dialect:
        dialect = self._dialects.get(request.dialect, self._default)
        if not dialect.speaks_as:
            return dialect
        return choose(request, [self._dialects[name] for name in dialect.speaks_as], {})

    def _problem(self, request: Request, error: Exception) -> Rendered[Any]:
        dialect = self._spoken(request)
        if isinstance(error, WrongMethod) and request.scope["method"] == "OPTIONS":
            return Rendered(204, [_allow(error)], b"")
        if not isinstance(error, MusterError):
            self._observer.failed(request, error)
            error = Broken()
        try:
            answer = render((request.problem or dialect.problem)(error), dialect.line_end)
        except Exception as second:  # noqa: BLE001
            self._observer.failed(request, second)
            answer = Rendered(500, [], b"")
        answer.fields.extend(_required_fields(error, answer))
        return answer


def _required_fields(error: Exception, answer: Rendered[Any]) -> list[tuple[bytes, bytes]]:
    """Give the fields RFC 9110 and RFC 6585 ask for with an error, unless the dialect gave them."""
    wanted: list[tuple[bytes, bytes]] = []
    if isinstance(error, WrongMethod):
        wanted.append(_allow(error))
    elif isinstance(error, TooMany):
        wanted.append((b"retry-after", b"%d" % error.retry_after))
    elif answer.status == 401:
        wanted.append((b"www-authenticate", b"Bearer"))
    given = {name for name, _ in answer.fields}
    return [field for field in wanted if field[0] not in given]


def _allow(error: WrongMethod) -> tuple[bytes, bytes]:
    return (b"allow", ", ".join(error.allow).encode("ascii"))


_CORS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (b"access-control-allow-headers", b"content-type, authorization, if-match"),
    (b"access-control-expose-headers", b"etag, location"),
    (b"access-control-max-age", b"600"),
)


_EXPOSED = frozenset({200, 201, 204, 206, 301, 302, 303, 304, 307, 308})
"""The statuses to which nginx adds headers."""


def _announces_body(request: Request) -> bool:
    return request.fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in request.fields


async def _send(request: Request, answer: Rendered[Any], send: Send) -> None:
    payload = answer.payload
    headers = [*answer.fields, (b"x-request-id", request.id.encode())]
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(payload)))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if request.scope["method"] == "HEAD":
        payload = b""
    await send({"type": "http.response.body", "body": payload, "more_body": False})


async def _decline(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != ScopeType.WEBSOCKET:
        raise TypeError("this app speaks HTTP only")
    await receive()
    await send({"type": "websocket.close", "code": 1000, "reason": ""})
