"""Route by method by token: what the table of routes says is what is answered."""

import hashlib

import pytest

from actors import messages as m
from api.routes import ROUTES
from sando.model.topology import TokenSpec

SECRETS = {"read": "sando_r", "build": "sando_b", "operate": "sando_o"}
RANK = {"open": 0, "read": 1, "build": 2, "operate": 3}


@pytest.fixture
def guarded(room):
    room.tokens = [
        TokenSpec(f"the-{s}", s, hashlib.sha256(t.encode()).hexdigest()) for s, t in SECRETS.items()
    ]
    return room


def ask(room, method, path, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return room.client.simulate_request(method, path, headers=headers)


def concrete(path):
    known = {"{tier}": "a", "{gate}": "boot_smoke", "{operation}": "44", "{version}": "0.8.2"}
    for name, value in known.items():
        path = path.replace(name, value)
    return path


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r.method} {r.path}")
@pytest.mark.parametrize("scope", [None, "wrong", "read", "build", "operate"])
def test_every_route_asks_for_the_scope_of_its_row(guarded, route, scope):
    answer = ask(
        guarded, route.method, concrete(route.path), SECRETS.get(scope, "sando_x") if scope else None
    )
    if route.scope == "open":
        assert answer.status_code == 200
    elif scope in {None, "wrong"}:
        assert (answer.status_code, answer.json["code"]) == (401, "auth_required")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    elif RANK[scope] < RANK[route.scope]:
        assert (answer.status_code, answer.json["code"]) == (403, "scope_required")
    else:
        assert answer.status_code not in {401, 403}


@pytest.mark.parametrize(
    "path", ["/nowhere", "/healthz/", "/healthz/x", "//healthz", "/promote/a;.jsp", "/state%2f"]
)
def test_what_does_not_exist_needs_a_token_too(guarded, path):
    assert ask(guarded, "GET", path).status_code in {401, 404 if path == "//healthz" else 401}


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic sando_o", "sando_o", "Bearer sando_o x", "Bearer \xff"]
)
def test_an_odd_header_is_no_token(guarded, header):
    answer = guarded.client.simulate_get("/state", headers={"Authorization": header})
    assert answer.status_code == 401


def test_the_name_of_the_token_is_the_actor(guarded):
    ask(guarded, "POST", "/rebuild", SECRETS["build"])
    assert guarded.told[-1] == m.Rebuild(actor="the-build")


def test_without_tokens_everybody_is_anonymous_and_may_do_all(room):
    ask(room, "POST", "/promote/a")
    assert room.told[-1] == m.Promote("a", actor="anonymous")


def test_no_secret_is_told_in_a_refusal(guarded):
    answer = ask(guarded, "POST", "/promote/a", SECRETS["read"])
    assert SECRETS["read"] not in answer.text
