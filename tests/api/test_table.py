"""The table of routes: falcon, the authorisation, openapi.json and the README have its rows, and no others."""

import hashlib
import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import falcon.inspect
import jsonschema_rs
import msgspec
import pytest

from api.routes import ROUTES
from sando.model.codes import CODES, NOTES
from sando.model.topology import TokenSpec
from tests.api.conforming import DOCUMENT
from tests.api.room import Room

pytestmark = pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
README = Path(__file__).resolve().parents[2] / "README.md"

NEEDS = {
    ("GET", "/state"): "read",
    ("POST", "/rebuild"): "build",
    ("POST", "/promote/{tier}"): "operate",
    ("POST", "/rollback/{tier}"): "operate",
    ("GET", "/plan/promote/{tier}"): "read",
    ("GET", "/plan/rollback/{tier}"): "read",
    ("POST", "/confirm/{tier}"): "operate",
    ("POST", "/reject/{tier}"): "operate",
    ("POST", "/gates/{tier}/{gate}/run"): "operate",
    ("POST", "/lock/{tier}"): "operate",
    ("DELETE", "/lock/{tier}"): "operate",
    ("POST", "/backup/fetch"): "operate",
    ("POST", "/reload"): "operate",
    ("POST", "/notify/test"): "operate",
    ("GET", "/operations"): "read",
    ("GET", "/operations/{operation}"): "read",
    ("POST", "/operations/{operation}/abort"): "operate",
    ("GET", "/operations/{operation}/log"): "read",
    ("GET", "/releases"): "read",
    ("GET", "/releases/{version}"): "read",
    ("GET", "/dora"): "read",
    ("GET", "/events"): "read",
    ("GET", "/metrics"): "read",
    ("GET", "/healthz"): "open",
    ("GET", "/openapi.json"): "read",
}
"""Written out a second time, by hand: who gives a route another scope, or adds one, says so here too."""

SCOPES = ("read", "build", "operate")
METHODS = ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "BREW")
CALLERS = ("nobody", "wrong", *SCOPES)
PATHS = {"tier": "a", "gate": "boot_smoke", "version": "0.8.2", "operation": "44"}


def test_every_route_of_the_application_stands_in_the_table_with_the_scope_that_it_needs(room: Room) -> None:
    assert {(r.method, r.path): r.scope for r in ROUTES} == NEEDS
    served = {
        (method.method, route.path)
        for route in falcon.inspect.inspect_routes(room.app)
        for method in route.methods
        if not method.internal
    }
    assert served - {("HEAD", path) for _, path in NEEDS} == NEEDS.keys()
    described = {(m.upper(), path) for path, told in DOCUMENT["paths"].items() for m in told}
    assert described == NEEDS.keys()


def callers(room: Room) -> dict[str, dict[str, str]]:
    """Headers by caller; the room has one token for each scope."""
    room.tokens = [TokenSpec(f"the-{s}", s, hashlib.sha256(s.encode()).hexdigest()) for s in SCOPES]
    known = {s: {"Authorization": f"Bearer {s}"} for s in SCOPES}
    return {"nobody": {}, "wrong": {"Authorization": "Bearer read x"}, **known}


def noted(room: Room, actor: str) -> Any:
    room.told.append(SimpleNamespace(actor=actor))
    return SimpleNamespace(done=list)


def expected(method: str, path: str, caller: str) -> tuple[int, str] | None:
    """What the table says that the caller is refused with; None: the way is free."""
    needed = NEEDS.get(("GET" if method == "HEAD" else method, path))
    if caller in {"nobody", "wrong"} and path != "/healthz":
        return 401, "auth_required"
    if needed is None:
        return None if method == "OPTIONS" else (405, "method_not_allowed")
    if caller in SCOPES and needed != "open" and SCOPES.index(caller) < SCOPES.index(needed):
        return 403, "scope_required"
    return None


@pytest.mark.parametrize("path", sorted({path for _, path in NEEDS}))
def test_each_caller_may_do_what_the_table_says_and_nothing_else(room: Room, path: str) -> None:
    room.configure(notifiers=lambda: ("chat",), test_notifiers=lambda _, actor: noted(room, actor))
    who = callers(room)
    for method, caller in itertools.product(METHODS, CALLERS):
        room.told.clear()
        at = f"{method} {path} by {caller}"
        body = {"json": {"reason": "why"}} if (method, path) == ("POST", "/lock/{tier}") else {}
        answer = room.client.simulate_request(method, path.format_map(PATHS), headers=who[caller], **body)
        refused = expected(method, path, caller)
        if refused is None:
            assert answer.status_code not in {401, 403, 405}, at
            if NEEDS.get((method, path)) in {"build", "operate"}:
                assert [m.actor for m in room.told] == [f"the-{caller}"], at
            continue
        assert answer.status_code == refused[0], at
        assert method == "HEAD" or answer.json["code"] == refused[1], at
        assert room.told == [], at
        if refused[0] == 405:
            allowed = {m for m, p in NEEDS if p == path} | {"OPTIONS"}
            assert set(answer.headers["allow"].split(", ")) == allowed | (
                {"HEAD"} if "GET" in allowed else set()
            ), at
        assert (answer.headers.get("www-authenticate") == "Bearer") is (refused[0] == 401), at


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/state/", "//state", "/STATE", "/promote", "/promote/a/b", "/healthz/"]
)
def test_what_is_not_in_the_table_needs_a_token_all_the_same_and_is_not_found(room: Room, path: str) -> None:
    who = callers(room)
    for method, caller in itertools.product(("GET", "POST", "BREW"), CALLERS):
        answer = room.client.simulate_request(method, path, headers=who[caller])
        wanted = (404, "not_found") if caller in SCOPES else (401, "auth_required")
        assert (answer.status_code, answer.json["code"]) == wanted, (method, caller)


def test_a_method_in_a_header_or_a_query_changes_nothing(room: Room) -> None:
    who = callers(room)["read"]
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert room.client.simulate_post("/lock/a", headers=who | {name: "GET"}).status_code == 403
        assert room.client.simulate_get("/state", headers=who | {name: "DELETE"}).status_code == 200
    assert (
        room.client.simulate_get("/state", params={"_method": "DELETE"}, headers=who).json["code"]
        == "bad_field"
    )
    assert room.told == []


# -- openapi.json ----------------------------------------------------------------------------------------------------


def test_the_document_is_served_and_is_the_one_that_all_answers_are_held_against(room: Room) -> None:
    answer = room.client.simulate_get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == DOCUMENT
    assert answer.json["openapi"] == "3.1.0"


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}), name
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    for reference in references(DOCUMENT):
        found = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references(value: object) -> set[str]:
    match value:
        case {"$ref": str(reference)}:
            return {reference}
        case dict():
            return set().union(*(references(v) for v in value.values()))
        case list():
            return set().union(*(references(v) for v in value))
        case _:
            return set()


def test_the_document_names_every_code_and_says_at_each_route_which_it_can_answer() -> None:
    assert DOCUMENT["x-codes"].keys() == CODES.keys()
    assert DOCUMENT["x-notes"].keys() == NOTES.keys()
    assert set(DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]) == set(CODES)
    said: set[str] = set()
    for told in DOCUMENT["components"]["responses"].values():
        ((_, described),) = told["content"].items()
        said |= set(described["schema"]["allOf"][1]["properties"]["code"]["enum"])
    assert set(CODES) - said == {"method_not_allowed"}, "that is of methods that are not in the file"
    identifiers = [o["operationId"] for told in DOCUMENT["paths"].values() for o in told.values()]
    assert len(set(identifiers)) == len(identifiers) == len(ROUTES)


def test_every_operation_says_which_scope_it_needs_and_what_its_path_and_key_look_like() -> None:
    for (method, path), needed in NEEDS.items():
        told = DOCUMENT["paths"][path][method.lower()]
        assert told["security"] == ([] if needed == "open" else [{"token": [needed]}])
        named = {p["name"]: p for p in told["parameters"] if p.get("in") == "path"}
        assert all("{" + name + "}" in path for name in named)
        assert path.count("{") == len(named)
        assert all("pattern" in p["schema"] or p["schema"]["type"] == "integer" for p in named.values())
        keyed = {"$ref": "#/components/parameters/IdempotencyKey"} in told["parameters"]
        assert keyed is (method != "GET")


# -- the README ------------------------------------------------------------------------------------------------------


def readme_row(method: str, path: str) -> str:
    (route,) = (r for r in ROUTES if (r.method, r.path) == (method, path))
    query = "&".join(f"{f.encode_name}=" for f in msgspec.structs.fields(route.query))
    fields = msgspec.structs.fields(route.body) if route.body else ()
    body = ", ".join(f"{f.encode_name}{'' if f.required else '?'}" for f in fields)
    needs = "-" if route.scope == "open" else route.scope
    where = f"{method} `{path}{'?' + query if query else ''}`"
    return f"| {where} | {needs} | {f'`{{{body}}}`' if body else ''} | {route.about} |"


def test_the_readme_has_the_rows_of_the_table() -> None:
    _, _, after = README.read_text().partition("| method, path | needs | body | answer |\n")
    rows = after.partition("\n\n")[0].split("\n")[1:]
    wanted = [readme_row(r.method, r.path) for r in ROUTES]
    assert rows == wanted, "\n" + "\n".join(wanted)


def test_the_readme_names_what_keeps_sandod_from_planning() -> None:
    _, _, plans = README.read_text().partition("### What would happen: `/plan`\n")
    told = plans.partition("\n## ")[0]
    codes = {code for r in ROUTES if r.path.startswith("/plan/") for code in r.codes}
    assert {code for code in codes if f"`{code}`" not in told} == set()
