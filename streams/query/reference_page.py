"""/docs: the API on one page, made from its OpenAPI document. No script, and nothing is fetched from elsewhere."""

from html import escape
from typing import Any

Document = dict[str, Any]

_HEAD = (
    "<!doctype html><html lang='en'><meta charset='utf-8'><title>Consentry's API</title>"
    "<style>body{font:16px/1.5 system-ui;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}code{background:#f3f3f3}</style>"
    "<h1>Consentry's API</h1><p>The same for programs: <a href='openapi.json'>openapi.json</a>.</p>"
)


def reference_page(document: Document) -> str:
    """What can be asked, by whom, and the types that go over the wire."""
    requests = "".join(
        _request(f"{method.upper()} {path}", operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    )
    types = "".join(_type(name, schema) for name, schema in sorted(document["components"]["schemas"].items()))
    return (
        f"{_HEAD}<table><tr><th>Request</th><th>What for</th><th>Who may</th></tr>{requests}</table>"
        f"<h2>Types</h2>{types}</html>"
    )


def _request(route: str, operation: Document) -> str:
    who = operation.get("description", "No token needed.")
    return (
        f"<tr><td><code>{escape(route)}</code></td><td>{escape(operation['summary'])}</td><td>{escape(who)}</td></tr>"
    )


def _type(name: str, schema: Document) -> str:
    head = f"<h3 id='{escape(name)}'>{escape(name)}</h3><p>{escape(schema.get('description', ''))}</p>"
    if "enum" in schema:
        words = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
        return f"{head}<p>{words}</p>"
    required = schema.get("required", ())
    fields = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{_kind(kind)}</td>"
        f"<td>{'required' if field in required else ''}</td></tr>"
        for field, kind in schema.get("properties", {}).items()
    )
    return f"{head}<table>{fields}</table>"


def _kind(schema: Document) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    if "enum" in schema:
        return ", ".join(escape(str(value)) for value in schema["enum"])
    return escape(str(schema.get("type", "any")))
