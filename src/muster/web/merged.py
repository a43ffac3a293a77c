"""One OpenAPI document of all dialects. Where two share a path and method, it describes both."""

from collections.abc import Mapping
from typing import Any

import msgspec

Json = dict[str, Any]


def merged(title: str, version: str, documents: Mapping[str, Json]) -> Json:
    """Write one document of all dialects; where two share a path and method, both are described."""
    paths: dict[str, Json] = {}
    spellings: dict[str, str] = {}
    schemas: Json = {}
    security: Json = {}
    for dialect, original in documents.items():
        renamed = _renamed(original, dialect)
        schemas |= renamed["components"]["schemas"]
        security |= renamed["components"]["securitySchemes"]
        for path, item in renamed["paths"].items():
            spelling = spellings.setdefault(_shape(path), path)
            _merge_item(paths.setdefault(spelling, {}), item, _variables(path), _variables(spelling))
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas, "securitySchemes": security},
    }


def _variables(path: str) -> list[str]:
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def _shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _renamed(document: Json, dialect: str) -> Json:
    """Put the dialect's name before those of schemas, operations and tags, so that they stay apart."""
    text = msgspec.json.encode(document).decode()
    text = text.replace('"#/components/schemas/', f'"#/components/schemas/{dialect}.')
    copy: Json = msgspec.json.decode(text)
    schemas = copy["components"]["schemas"]
    copy["components"]["schemas"] = {f"{dialect}.{name}": schema for name, schema in schemas.items()}
    for item in copy["paths"].values():
        for operation in item.values():
            operation["operationId"] = f"{dialect}.{operation['operationId']}"
            operation["tags"] = [f"{dialect}: {tag}" for tag in operation["tags"]]
    return copy


def _merge_item(into: Json, item: Json, names: list[str], wanted: list[str]) -> None:
    spelled = dict(zip(names, wanted, strict=True))
    for method, operation in item.items():
        for parameter in operation["parameters"]:
            if parameter["in"] == "path":
                parameter["name"] = spelled[parameter["name"]]
        into[method] = _both(into[method], operation) if method in into else operation


def _both(one: Json, other: Json) -> Json:
    result: Json = {
        "operationId": one["operationId"],
        "summary": f"{one['summary']} / {other['summary']}",
        "tags": [*one["tags"], *(tag for tag in other["tags"] if tag not in one["tags"])],
        "parameters": _both_parameters(one["parameters"], other["parameters"]),
        "responses": _both_responses(one["responses"], other["responses"]),
        "security": _both_security(one["security"], other["security"]),
    }
    descriptions = [d for d in (one.get("description"), other.get("description")) if d]
    if descriptions:
        result["description"] = "\n\n".join(descriptions)
    bodies = [operation["requestBody"] for operation in (one, other) if "requestBody" in operation]
    if bodies:
        content: Json = {}
        for body in bodies:
            content = _both_contents(content, body["content"])
        is_required = len(bodies) == 2 and all(body["required"] for body in bodies)
        result["requestBody"] = {"required": is_required, "content": content}
    return result


def _both_parameters(one: list[Json], other: list[Json]) -> list[Json]:
    found = {(parameter["in"], parameter["name"]): parameter for parameter in one}
    for parameter in other:
        key = (parameter["in"], parameter["name"])
        if key in found:
            schema = _either(found[key]["schema"], parameter["schema"])
            found[key] = {**found[key], "schema": schema}
        found.setdefault(key, parameter)
    shared = {(p["in"], p["name"]) for p in one} & {(p["in"], p["name"]) for p in other}
    return [p if key in shared else {**p, "required": p["in"] == "path"} for key, p in found.items()]


def _both_responses(one: Json, other: Json) -> Json:
    found = dict(one)
    for status, response in other.items():
        if status in found:
            contents = _both_contents(found[status].get("content", {}), response.get("content", {}))
            response = {"description": found[status]["description"]}
            if contents:
                response["content"] = contents
        found[status] = response
    return dict(sorted(found.items()))


def _both_contents(one: Json, other: Json) -> Json:
    found = dict(one)
    for media_type, content in other.items():
        schema = content["schema"]
        if media_type in found:
            schema = _either(found[media_type]["schema"], schema)
        found[media_type] = {"schema": schema}
    return found


def _either(one: Json, other: Json) -> Json:
    choices = list(one.get("anyOf", [one]))
    choices += [choice for choice in other.get("anyOf", [other]) if choice not in choices]
    return choices[0] if len(choices) == 1 else {"anyOf": choices}


def _both_security(one: list[Json], other: list[Json]) -> list[Json]:
    # An operation that one dialect leaves open is open to who speaks that dialect: {} says so.
    found = [*(one or [{}])]
    found += [scheme for scheme in (other or [{}]) if scheme not in found]
    return [] if found == [{}] else found
