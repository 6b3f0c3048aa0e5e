"""Holds each answer against openapi.json: its status, its type and its shape are what the file says, or the test is red."""

import re
from functools import cache
from typing import Any

import falcon.testing
import jsonschema_rs
import msgspec

from api.openapi import describe
from api.routes import ROUTES

DOCUMENT = msgspec.json.decode(msgspec.json.encode(describe(ROUTES)))
PROBLEM = "application/problem+json"
ANYWHERE = {400, 401, 403, 404, 405, 408, 413, 431, 500, 503}
"""Of a path that is not in the file, or a method that it does not have there."""


def template_of(path: str) -> str | None:
    """The path of the file that a request path falls under."""
    for template in DOCUMENT["paths"]:
        if re.fullmatch(re.sub(r"\\\{[a-z]+\\\}", "[^/]+", re.escape(template)), path):
            return template
    return None


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    template = template_of(path)
    return DOCUMENT["paths"][template].get(method.lower().replace("head", "get")) if template else None


@cache
def validator(text: str) -> Any:
    """Of a schema whose references are those of the file."""
    schema = {**msgspec.json.decode(text), "components": DOCUMENT["components"]}
    return jsonschema_rs.validator_for(schema, validate_formats=True)


def check(method: str, path: str, status: int, kind: str, body: bytes) -> None:
    """Raises AssertionError with what is not as the file says."""
    where = f"{method} {path[:100]} answered {status}"
    operation = operation_of(method, path)
    if method == "OPTIONS" and status == 200:
        return
    if operation is None or method == "OPTIONS":
        assert status in ANYWHERE, f"{where}, where there is nothing"
        check_problem(where, status, kind, body, None if method == "HEAD" else PROBLEM_SCHEMA)
        return
    assert str(status) in operation["responses"], f"{where}, which openapi.json does not have: {body[:300]!r}"
    told = operation["responses"][str(status)]
    if "$ref" in told:
        told = DOCUMENT["components"]["responses"][told["$ref"].rpartition("/")[2]]
    content = told.get("content")
    if content is None:
        assert body == b"", where
        return
    ((media, described),) = content.items()
    assert kind == media, f"{where} as {kind}, not {media}"
    if method == "HEAD":
        assert body == b"", where
    elif media == PROBLEM:
        check_problem(where, status, kind, body, described["schema"])
    elif media == "application/json":
        valid(where, described["schema"], body)


PROBLEM_SCHEMA = {"$ref": "#/components/schemas/Problem"}


def check_problem(where: str, status: int, kind: str, body: bytes, schema: dict[str, Any] | None) -> None:
    assert kind == PROBLEM, f"{where} as {kind}: {body[:300]!r}"
    if schema is None:
        return
    valid(where, schema, body)
    told = msgspec.json.decode(body)
    known = DOCUMENT["x-codes"][told["code"]]
    assert (told["status"], known["status"]) == (status, status), f"{where} with {told}"
    assert told["type"] == f"urn:sando:problem:{told['code']}"
    assert told["detail"], where


def valid(where: str, schema: dict[str, Any], body: bytes) -> None:
    errors = list(validator(msgspec.json.encode(schema).decode()).iter_errors(msgspec.json.decode(body)))
    assert not errors, f"{where} with {body[:500]!r}: {[(e.instance_path, e.message) for e in errors[:3]]}"


class Client(falcon.testing.TestClient):
    """Every answer that a test gets has been checked."""

    def simulate_request(self, *args: Any, **options: Any) -> Any:
        result = super().simulate_request(*args, **options)
        method = args[0] if args else options["method"]
        path = (args[1] if len(args) > 1 else options["path"]).partition("?")[0]
        kind = result.headers.get("content-type", "")
        check(method, falcon.uri.decode(path, unquote_plus=False), result.status_code, kind, result.content)
        return result
