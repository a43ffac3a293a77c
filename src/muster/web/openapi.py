"""OpenAPI 3.1 documents, written from what the handlers declare; schemas by msgspec, which also decodes.

Of a handler's `opt` it reads, besides what app.py names: `query` (names of query parameters the handler reads
by itself; a mapping gives their schemas), `body` = "optional" (a body it does not need), `errors` (kinds
beyond the usual ones).
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from inspect import cleandoc
from typing import Any

import msgspec
from litestar.enums import MediaType
from litestar.params import ParameterKwarg
from litestar.types import Empty

from muster.core.errors import (
    Conflict,
    Forbidden,
    NotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from muster.web.choose import Dialect
from muster.web.endpoints import Endpoint
from muster.web.errors import BadBody, BadQuery, Broken, KeyReused
from muster.web.reply import JSON

Json = dict[str, Any]

_REF = "#/components/schemas/{name}"
_COUNTS = {"offset": 0, "limit": 1}
"""Query parameters that are numbers, and their least value."""


def document(dialect: Dialect, endpoints: Iterable[Endpoint], version: str) -> Json:
    """Write the document of one dialect."""
    mine = [endpoint for endpoint in endpoints if endpoint.dialect == dialect.name]
    schemas = _Schemas(dialect, mine)
    paths: dict[str, Json] = {}
    for endpoint in mine:
        if endpoint.handler.resolve_include_in_schema():
            operation = _operation(dialect, endpoint, schemas)
            paths.setdefault(endpoint.template, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": dialect.title, "version": version},
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas.components, "securitySchemes": _security_schemes(dialect)},
    }


class _Schemas:
    """The schemas of all types that a dialect's handlers mention."""

    def __init__(self, dialect: Dialect, endpoints: Sequence[Endpoint]) -> None:
        types = [kind for endpoint in endpoints for kind in _types(endpoint)]
        if dialect.problem_type is not None:
            types.append(dialect.problem_type)
        schemas, self.components = msgspec.json.schema_components(types, ref_template=_REF)
        self._by_type = {repr(kind): schema for kind, schema in zip(types, schemas, strict=True)}

    def of(self, kind: Any) -> Json:
        return self._by_type[repr(kind)]


def _types(endpoint: Endpoint) -> list[Any]:
    data = endpoint.handler.parsed_fn_signature.parameters.get("data")
    found = [field.raw for field in endpoint.arguments.values()] + ([] if data is None else [data.raw])
    answers = [_answer_type(endpoint)]
    answers += [spec.data_container for spec in (endpoint.handler.responses or {}).values()]
    return [kind for kind in (*found, *answers) if kind not in _NO_SCHEMA]


_NO_SCHEMA = (None, type(None), bytes)


def _answer_type(endpoint: Endpoint) -> Any:
    """Give what the body of the answer is: the parameter of Rendered."""
    inner = endpoint.handler.parsed_fn_signature.return_type.inner_types
    return inner[0].raw if inner else None


def _operation(dialect: Dialect, endpoint: Endpoint, schemas: _Schemas) -> Json:
    handler = endpoint.handler
    name = handler.operation_id if isinstance(handler.operation_id, str) else handler.handler_name
    summary, _, description = cleandoc(handler.fn.__doc__ or "").partition("\n")
    operation: Json = {
        "operationId": name,
        "summary": handler.summary or summary,
        "tags": sorted(handler.resolve_tags()) or [handler.fn.__module__.rpartition(".")[2]],
        "parameters": _parameters(endpoint, schemas),
        "responses": _responses(dialect, endpoint, schemas),
        "security": _security(dialect, endpoint),
    }
    if description.strip():
        operation["description"] = description.strip()
    body = _request_body(endpoint, schemas)
    if body is not None:
        operation["requestBody"] = body
    return operation


def _security(dialect: Dialect, endpoint: Endpoint) -> list[Json]:
    if endpoint.kinds is None:
        return []
    schemes: list[Json] = [{name: []} for name in _security_schemes(dialect)]
    return [{}, *schemes] if endpoint.is_token_optional else schemes


def _security_schemes(dialect: Dialect) -> Json:
    schemes: Json = {"bearer": {"type": "http", "scheme": "bearer"}}
    if "" in dialect.schemes:
        schemes["token"] = {"type": "apiKey", "in": "header", "name": "Authorization"}
    return schemes


# --- what goes in --------------------------------------------------------------------------------------


def _parameters(endpoint: Endpoint, schemas: _Schemas) -> list[Json]:
    fields = endpoint.arguments
    found: list[Json] = []
    for name in endpoint.names:
        schema = schemas.of(fields[name].raw) if name in fields else {"type": "string"}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    others = [name for name in fields if name not in endpoint.names]
    found += [_parameter(name, fields[name], schemas) for name in others]
    named = {parameter["name"] for parameter in found}
    query = endpoint.handler.opt.get("query", ())
    typed = query if isinstance(query, Mapping) else {}
    found += [_by_name(name, typed.get(name)) for name in query if name not in named]
    if endpoint.method == "POST":
        found.append(_IDEMPOTENCY_KEY)
    return found


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Repeated within 24 hours with the same body, the request has its effect once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
}


def _parameter(name: str, field: Any, schemas: _Schemas) -> Json:
    kwarg = field.kwarg_definition if isinstance(field.kwarg_definition, ParameterKwarg) else None
    is_header = kwarg is not None and bool(kwarg.header)
    wire_name = (kwarg.header or kwarg.query or kwarg.name or name) if kwarg is not None else name
    schema = dict(schemas.of(field.raw))
    if field.default is not Empty and field.default is not None and "$ref" not in schema:
        schema["default"] = field.default
    place = "header" if is_header else "query"
    return {"name": wire_name, "in": place, "required": field.is_required, "schema": schema}


def _by_name(name: str, given: Json | None) -> Json:
    schema: Json = given or {"type": "string"}
    if given is None and name in _COUNTS:
        schema = {"type": "integer", "minimum": _COUNTS[name]}
        schema |= {"maximum": 100, "default": 10} if name == "limit" else {"default": 0}
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _request_body(endpoint: Endpoint, schemas: _Schemas) -> Json | None:
    field = endpoint.handler.parsed_fn_signature.parameters.get("data")
    if field is None:
        if endpoint.handler.opt.get("body") != "optional":
            return None
        return {"required": False, "content": {JSON: {"schema": {"type": "object"}}}}
    if field.annotation is bytes:
        return {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string"}}}}
    return {"required": field.is_required, "content": {JSON: {"schema": schemas.of(field.raw)}}}


# --- what comes out ------------------------------------------------------------------------------------


def _responses(dialect: Dialect, endpoint: Endpoint, schemas: _Schemas) -> dict[str, Json]:
    handler = endpoint.handler
    found: dict[str, Json] = {}
    for kind in _errors(endpoint):
        said = (endpoint.problem or dialect.problem)(kind)
        body = None if said.body is None else dialect.problem_type
        found[str(said.status)] = _response(said.status, body, JSON, schemas)
    for status, spec in (handler.responses or {}).items():
        media_type = _media_type(spec.media_type)
        found[str(status)] = _response(status, spec.data_container, media_type, schemas)
        found[str(status)]["description"] = spec.description
    media_type = _media_type(handler.media_type)
    found[str(handler.status_code)] = _response(
        handler.status_code, _answer_type(endpoint), media_type, schemas
    )
    return dict(sorted(found.items()))


def _errors(endpoint: Endpoint) -> list[Exception]:
    """Give one of each kind of error the operation may end in."""
    handler, reads = endpoint.handler, endpoint.method == "GET"
    kinds: list[Exception] = [Broken(), Unavailable()]
    if endpoint.arguments or endpoint.names or handler.opt.get("query") or not reads:
        kinds.append(BadQuery())
    if endpoint.has_body:
        kinds += [BadBody(), TooLarge()]
    if endpoint.has_body and handler.opt.get("content_type") != "any":
        kinds.append(Unsupported())
    kinds += [TooMany(1), Unauthenticated()] if endpoint.kinds is None else [Unauthenticated(), Forbidden()]
    if endpoint.names:
        kinds.append(NotFound())
    if not reads:
        kinds.append(Conflict())
    if endpoint.method == "POST":
        kinds.append(KeyReused())
    return kinds + [TooMany(1) if kind is TooMany else kind() for kind in handler.opt.get("errors", ())]


def _media_type(media_type: Any) -> str:
    if not media_type or media_type is Empty:
        return JSON
    return media_type.value if isinstance(media_type, MediaType) else str(media_type)


def _response(status: int, kind: Any, media_type: str, schemas: _Schemas) -> Json:
    response: Json = {"description": HTTPStatus(status).phrase}
    if kind is bytes:
        # A handler that answers bytes of several types names them all, with commas.
        response["content"] = {one: {"schema": {"type": "string"}} for one in media_type.split(", ")}
    elif kind not in _NO_SCHEMA:
        response["content"] = {media_type: {"schema": schemas.of(kind)}}
    return response
