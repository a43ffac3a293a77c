"""The page /docs: an OpenAPI document as plain HTML, complete in itself, so that it works offline."""

from html import escape
from typing import Any

Json = dict[str, Any]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""The Content-Security-Policy of the page: it loads nothing."""

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:72rem;padding:1rem}
code,pre{font:13px/1.4 ui-monospace,monospace}
h2{border-bottom:1px solid var(--line);margin-top:2.5rem}
details{border:1px solid var(--line);border-radius:6px;margin:.4rem 0;padding:.3rem .7rem}
summary{cursor:pointer;overflow-wrap:anywhere}
.m{display:inline-block;font-weight:700;min-width:4.2em;text-transform:uppercase}
.get{color:#0a7}.post{color:#27c}.put,.patch{color:#b70}.delete{color:#c33}
table{border-collapse:collapse;width:100%}
td,th{border-top:1px solid var(--line);padding:.25rem .5rem;text-align:left;vertical-align:top}
pre{background:var(--soft);overflow:auto;padding:.6rem}
nav a{margin-right:1em;white-space:nowrap}
"""


def page(document: Json, documents: list[str]) -> bytes:
    """Write the page of a document; *documents* are the addresses of all documents."""
    info, by_tag = document["info"], _by_tag(document)
    links = " ".join(f'<a href="{escape(path)}">{escape(path)}</a>' for path in documents)
    tags = " ".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in by_tag)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>",
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        f"<p>OpenAPI: {links}</p><nav>{tags}</nav>",
    ]
    for tag, operations in by_tag.items():
        parts.append(f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2>')
        parts += [_operation(*operation) for operation in operations]
    parts.append('<h2 id="schemas">Schemas</h2>')
    parts += [_schema(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    return "".join(parts).encode()


def _by_tag(document: Json) -> dict[str, list[tuple[str, str, Json]]]:
    found: dict[str, list[tuple[str, str, Json]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for tag in operation["tags"]:
                found.setdefault(tag, []).append((path, method, operation))
    return dict(sorted(found.items()))


def _anchor(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name)


def _operation(path: str, method: str, operation: Json) -> str:
    said = escape(operation.get("description", "")).replace("\n\n", "<p>")
    return (
        f'<details><summary><span class="m {method}">{method}</span> <code>{escape(path)}</code> '
        f"{escape(operation['summary'])}</summary>{said and '<p>' + said}"
        f"{_access(operation['security'])}{_parameters(operation['parameters'])}"
        f"{_body(operation.get('requestBody'))}{_responses(operation['responses'])}</details>"
    )


def _access(security: list[Json]) -> str:
    names = [", ".join(scheme) or "nothing" for scheme in security]
    return f"<p>Authorization: {escape(' or '.join(names) or 'none')}"


def _parameters(parameters: list[Json]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code><td>{p['in']}<td>{_type(p['schema'])}"
        f"<td>{'required' if p['required'] else ''}<td>{escape(p.get('description', ''))}"
        for p in parameters
    )
    return f"<table><tr><th>Parameter<th>In<th>Type<th><th>{rows}</table>" if rows else ""


def _body(body: Json | None) -> str:
    if body is None:
        return ""
    kinds = ", ".join(f"{escape(media)}: {_type(c['schema'])}" for media, c in body["content"].items())
    return f"<p>Body{'' if body['required'] else ' (optional)'}: {kinds}"


def _responses(responses: Json) -> str:
    rows = "".join(
        f"<tr><td>{status}<td>{escape(r['description'])}<td>"
        + ", ".join(_type(content["schema"]) for content in r.get("content", {}).values())
        for status, r in responses.items()
    )
    return f"<table><tr><th>Status<th><th>Body{rows}</table>"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#schema-{_anchor(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("type", "anything")
    return escape(" or ".join(kind) if isinstance(kind, list) else str(kind))


def _schema(name: str, schema: Json) -> str:
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code><td>{_type(kind)}<td>{'required' if field in required else ''}"
        f"<td>{escape(kind.get('description', ''))}"
        for field, kind in schema.get("properties", {}).items()
    )
    table = f"<table>{rows}</table>" if rows else f"<p>{_type(schema)}"
    said = escape(schema.get("description", ""))
    return (
        f'<details id="schema-{_anchor(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{said}{table}</details>"
    )
