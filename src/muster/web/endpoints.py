"""Handlers as Litestar declares them, made ready to be called without its per-request machinery.

Litestar reads the declarations and writes the OpenAPI document. Of its kinds of arguments a handler may take
variables of the path, query and header parameters, `data`, `request`, what the dialect is given (`desk`), and
dependencies that take the same; anything else is refused at the start.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from operator import itemgetter
from typing import Any, TypeAlias, get_type_hints

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg
from litestar.routes import HTTPRoute
from litestar.types import Empty
from litestar.typing import FieldDefinition

from muster.core.errors import Unsupported
from muster.web import body
from muster.web.auth import ACCESS
from muster.web.errors import BadHeader, BadPath, BadQuery
from muster.web.reply import Reply
from muster.web.request import Request

Getter: TypeAlias = Callable[[Request], Any]
Rule: TypeAlias = Callable[[Request], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Endpoint:
    """One method of one path of one dialect, ready to be called."""

    dialect: str
    method: str
    template: str
    segments: tuple[str | None, ...]
    takes_rest: bool
    names: tuple[str, ...]
    """The variables of the path, in order."""
    arguments: Mapping[str, FieldDefinition]
    """What the handler and its dependencies take from path, query and header, by argument."""
    kinds: frozenset[int] | None
    """The kinds of token it takes; None: whether it needs one is for the handler to say."""
    is_token_optional: bool
    has_body: bool
    problem: Callable[[Exception], Reply] | None
    """How it says its errors, where that is not how its dialect does."""
    call: Callable[[Request], Awaitable[Any]]
    handler: HTTPRouteHandler


def endpoints(app: Litestar, dialect: str, given: Mapping[str, Any]) -> list[Endpoint]:
    """Make all handlers of a dialect's app ready. TypeError for one that asks for what we do not give."""
    return [
        _endpoint(handler, method, route, dialect, given)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        # Litestar keeps them in a set; in the documents they stand the same way after each start.
        for method, (handler, _) in sorted(route.route_handler_map.items(), key=itemgetter(0))
        if method != "OPTIONS"
    ]


def _endpoint(
    handler: HTTPRouteHandler, method: str, route: HTTPRoute, dialect: str, given: Mapping[str, Any]
) -> Endpoint:
    variables = [part for part in route.path_components if not isinstance(part, str)]
    plan = _Plan(handler, {variable.name for variable in variables}, given)
    return Endpoint(
        dialect=dialect,
        method=method,
        template=route.path_format,
        segments=tuple(part if isinstance(part, str) else None for part in route.path_components),
        takes_rest=bool(variables) and variables[-1].full.endswith(":path"),
        names=tuple(variable.name for variable in variables),
        arguments=plan.arguments,
        kinds=None if handler.opt.get("public") else frozenset(handler.opt.get("kinds", ACCESS)),
        is_token_optional=handler.opt.get("token") == "optional",
        has_body=plan.has_body,
        problem=handler.opt.get("problem"),
        call=plan.caller(),
        handler=handler,
    )


class _Plan:
    """How each argument of one handler is got from a request."""

    def __init__(self, handler: HTTPRouteHandler, variables: set[str], given: Mapping[str, Any]) -> None:
        self.handler = handler
        self.given = given
        self.variables = variables
        self.dependencies = handler.resolve_dependencies()
        self.has_body = False
        self.arguments: dict[str, FieldDefinition] = {}
        fields = handler.parsed_fn_signature.parameters
        hints = get_type_hints(handler.signature_model, include_extras=True)
        self.getters = {name: self._getter(name, field, hints) for name, field in fields.items()}

    def caller(self) -> Callable[[Request], Awaitable[Any]]:
        function, getters = self.handler.fn, tuple(self.getters.items())
        rule = _content_rule(self.handler, has_body=self.has_body)

        async def call(request: Request) -> Any:
            if rule is not None:
                rule(request)
            answer = function(**{name: get(request) for name, get in getters})
            return await answer if isawaitable(answer) else answer

        return call

    def _getter(self, name: str, field: FieldDefinition, hints: Mapping[str, Any]) -> Getter:
        if name == "request":
            return _itself
        if name in self.given:
            return _constant(self.given[name])
        if name == "data":
            self.has_body = True
            return _data(field)
        if name in self.variables:
            self.arguments[name] = field
            return _variable(name, hints.get(name, field.annotation))
        if name in self.dependencies:
            return self._dependency(name)
        if name in _REFUSED:
            raise TypeError(f"{self.handler}: the argument {name} is not given; take it from the request")
        self.arguments[name] = field
        return _parameter(name, field, hints.get(name, field.annotation))

    def _dependency(self, name: str) -> Getter:
        provide = self.dependencies[name]
        fields = provide.parsed_fn_signature.parameters
        if not provide.has_sync_callable:
            raise TypeError(f"{self.handler}: the dependency {name} must be a plain function")
        hints = {key: field.raw for key, field in fields.items()}
        getters = tuple((key, self._getter(key, field, hints)) for key, field in fields.items())
        function = provide.dependency

        def get(request: Request) -> Any:
            return function(**{key: value(request) for key, value in getters})

        return get


_REFUSED = frozenset({"state", "scope", "headers", "cookies", "query", "socket", "body"})


def _itself(request: Request) -> Request:
    return request


def _constant(value: Any) -> Getter:
    return lambda _: value


def _content_rule(handler: HTTPRouteHandler, *, has_body: bool) -> Rule | None:
    wanted = handler.opt.get("content_type", "json" if has_body else "any")
    optional = has_body and not handler.parsed_fn_signature.parameters["data"].is_required
    if wanted == "any":
        return None
    if wanted == "exact":
        return _exactly_json
    if wanted != "json":
        raise TypeError(f"{handler}: opt content_type is `any`, `json` or `exact`, not {wanted!r}")
    return _json_if_any if optional else _json


def _json(request: Request) -> None:
    if b"application/json" not in request.fields.get(b"content-type", b"").lower():
        raise Unsupported


def _json_if_any(request: Request) -> None:
    if request.received:
        _json(request)


def _exactly_json(request: Request) -> None:
    if request.fields.get(b"content-type", b"").strip().lower() != b"application/json":
        raise Unsupported


def _data(field: FieldDefinition) -> Getter:
    if field.annotation is bytes:
        return lambda request: request.received
    decode = body.decoder(field.raw)
    if field.is_required:
        return lambda request: decode(request.received)
    default = field.default
    return lambda request: decode(request.received) if request.received else default


def _variable(name: str, annotation: Any) -> Getter:
    if annotation is str:
        return lambda request: request.params[name]
    convert = _converter(annotation, BadPath)
    return lambda request: convert(request.params[name])


def _parameter(name: str, field: FieldDefinition, annotation: Any) -> Getter:
    kwarg = field.kwarg_definition if isinstance(field.kwarg_definition, ParameterKwarg) else None
    default = None if field.default is Empty else field.default
    if kwarg is not None and kwarg.header:
        return _header(kwarg.header, annotation, default, is_required=field.is_required)
    if kwarg is not None and kwarg.cookie:
        raise TypeError(f"the parameter {name} is a cookie; we read none")
    name = (kwarg.query or kwarg.name if kwarg is not None else None) or name
    return _query(name, field, annotation, default)


def _header(name: str, annotation: Any, default: Any, *, is_required: bool) -> Getter:
    key, convert = name.lower().encode("ascii"), _converter(annotation, BadHeader)

    def get(request: Request) -> Any:
        if key in request.fields:
            return convert(request.field(key))
        if is_required:
            raise BadHeader(f"missing header {name}")
        return default

    return get


def _query(name: str, field: FieldDefinition, annotation: Any, default: Any) -> Getter:
    convert, is_many = _converter(annotation, BadQuery), field.is_non_string_sequence

    def get(request: Request) -> Any:
        values = request.query.get(name)
        if values is None:
            if field.is_required:
                raise BadQuery
            return default
        if is_many:
            return convert(values)
        if len(values) > 1:
            raise BadQuery
        return convert(values[0])

    return get


_TEXT = (str, str | None)


def _converter(annotation: Any, error: type[BadQuery | BadPath | BadHeader]) -> Callable[[Any], Any]:
    if annotation in _TEXT or annotation is Any:
        return lambda value: value

    def convert(value: Any) -> Any:
        try:
            return msgspec.convert(value, annotation, strict=False)
        except (msgspec.ValidationError, ValueError):
            raise error from None

    return convert
