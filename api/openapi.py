"""openapi.json from the table of routes: every path, parameter, body, answer and error, as they are checked and made.

The schemas are those of the types that bodies are decoded into and answers are made of. It describes, and serves nothing.
"""

import http
from collections.abc import Sequence

import msgspec
from msgspec import Struct

import sando
from api.claims import HEADER, MOST_CHARS, REPLAYED
from api.errors import PROBLEM
from api.query import Query
from api.route import PARAMETER, Route
from api.schemas import Document, portable, ref, schema_of, schemas
from sando.model.codes import CODES, NOTES

_FEW = 3
_JSON = "application/json"

_ABOUT = """\
Errors are `application/problem+json` with a stable `code`; the codes of an answer stand with its status. An unknown or
doubled parameter is refused, and so is an unknown or doubled key of a body. HEAD goes wherever GET does.\
"""


def describe(routes: Sequence[Route]) -> Document:
    """The document, OpenAPI 3.1."""
    paths: Document = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sando",
            "version": sando.__version__,
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas(routes),
            "responses": _all_errors(routes),
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": _WHO}},
        },
        "x-codes": {name: {"status": code.status, "when": code.when} for name, code in CODES.items()},
        "x-notes": {name: {"status": note.status, "when": note.when} for name, note in NOTES.items()},
    }


_WHO = """\
A [[token]] of daemon.toml; where there is none, everybody may do everything. The role of an operation is the least scope
that it needs: read < build < operate.\
"""

_IDEMPOTENCY_KEY = {
    "name": HEADER,
    "in": "header",
    "description": "The same key with the same request within a day is answered as the first time, and does nothing again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MOST_CHARS, "pattern": "^[!-~]+$"},
}


# -- one operation ---------------------------------------------------------------------------------------------------


def _operation(route: Route) -> Document:
    told: Document = {
        "operationId": _identifier(route),
        "summary": route.about,
        "parameters": _parameters(route),
        "responses": _answers(route) | _errors(route),
    }
    if route.acts:
        told["parameters"].append({"$ref": "#/components/parameters/IdempotencyKey"})
    if route.body and msgspec.structs.fields(route.body):
        content = {_JSON: {"schema": ref(route.body.__name__)}}
        required = any(f.required for f in msgspec.structs.fields(route.body))
        told["requestBody"] = {"content": content, "required": required}
    told["security"] = [] if route.scope == "open" else [{"token": [route.scope]}]
    return told


def _identifier(route: Route) -> str:
    words = [w for w in PARAMETER.sub("", route.path).removesuffix(".json").split("/") if w]
    one = ["one"] if route.path.endswith("}") and not route.acts else []
    return "_".join([route.method.lower(), *words, *one])


def _parameters(route: Route) -> list[Document]:
    named = [
        {"name": name, "in": "path", "required": True, "schema": kind.schema}
        for name, kind in route.names.items()
    ]
    return [*named, *_query(route.query)]


def _query(kind: type[Query]) -> list[Document]:
    properties = schema_of(kind)["properties"]
    fields = msgspec.structs.fields(kind)
    return [{"name": f.name, "in": "query", "schema": _plain(properties[f.encode_name])} for f in fields]


def _plain(schema: Document) -> Document:
    """Of a parameter that may be left out: there is no way to say null in a query. Flags are read as 1 and 0, too."""
    schema = {k: v for k, v in schema.items() if k != "default" or v is not None}
    if "anyOf" in schema:
        (schema,) = (s for s in schema["anyOf"] if s != {"type": "null"})
    if schema.get("type") == "boolean":
        return {"type": "string", "enum": ["1", "0", "true", "false"], "default": "0"}
    plain: Document = portable(schema)
    return plain


def _answers(route: Route) -> Document:
    return {str(status): _answer(route, status, kind) for status, kind in route.answers.items()}


def _answer(route: Route, status: int, kind: type[Struct] | str | None) -> Document:
    told: Document = {"description": http.HTTPStatus(status).phrase}
    if isinstance(kind, str):
        told["content"] = {kind: {"schema": {"type": "string" if kind.startswith("text/") else "object"}}}
    elif kind is not None:
        told["content"] = {_JSON: {"schema": ref(kind.__name__)}}
    headers = [REPLAYED] if route.acts else list(route.headers)
    if headers:
        told["headers"] = {name: {"schema": {"type": "string"}} for name in headers}
    return told


def _errors(route: Route) -> Document:
    return {
        str(status): {"$ref": f"#/components/responses/{_named(route, status)}"} for status in route.errors
    }


def _named(route: Route, status: int) -> str:
    """What several paths have in common stands once, under the names of its codes."""
    codes = route.errors[status]
    return ".".join(codes) if len(codes) <= _FEW else f"{_identifier(route)}.{status}"


def _all_errors(routes: Sequence[Route]) -> Document:
    named = {_named(route, status): codes for route in routes for status, codes in route.errors.items()}
    return {name: _error(named[name]) for name in sorted(named)}


def _error(codes: tuple[str, ...]) -> Document:
    schema = {"allOf": [ref("Problem"), {"properties": {"code": {"enum": codes}}}]}
    when = "; ".join(f"`{code}`: {CODES[code].when}" for code in codes)
    told: Document = {"description": when, "content": {PROBLEM: {"schema": schema}}}
    if CODES[codes[0]].status == http.HTTPStatus.UNAUTHORIZED:
        told["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return told
