"""Route by method by token: what the table of routes says is what is answered."""

import hashlib

import pytest

from actors import messages as m
from api.routes import ROUTES
from sando.model.topology import TokenSpec
from tests.api.room import ask as dial_in
from tests.api.room import dial, read_all, read_head, serving, unchunked, until

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


def test_a_token_may_have_any_bytes(room):
    room.tokens = [TokenSpec("odd", "read", hashlib.sha256('gr\u00fcn/+"%'.encode()).hexdigest())]
    with serving(room) as server:
        sock = dial_in(server, "/state", Connection="close")
        assert b" 401 " in read_all(sock)
        text = 'gr\u00fcn/+"%'.encode().decode("latin-1")
        with dial(server) as line:
            line.sendall(
                f"GET /state HTTP/1.0\r\nHost: localhost\r\nAuthorization: bearer {text}\r\n\r\n".encode(
                    "latin-1"
                )
            )
            assert b" 200 " in read_head(line)


def test_the_name_of_the_token_is_the_actor(guarded):
    ask(guarded, "POST", "/rebuild", SECRETS["build"])
    assert guarded.told[-1] == m.Rebuild(actor="the-build")


def test_without_tokens_everybody_is_anonymous_and_may_do_all(room):
    ask(room, "POST", "/promote/a")
    assert room.told[-1] == m.Promote("a", actor="anonymous")


def test_no_secret_is_told_in_a_refusal(guarded):
    answer = ask(guarded, "POST", "/promote/a", SECRETS["read"])
    assert SECRETS["read"] not in answer.text


# -- who came with a token that is none any more ---------------------------------------------------------------


def bearer(scope):
    return {"Authorization": f"Bearer {SECRETS[scope]}"}


def without(room, *scopes):
    room.tokens = [t for t in room.tokens if t.scope not in scopes]


def upgraded(server, **headers):
    sock = dial_in(server, "/events", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13",
                   Sec_WebSocket_Key="a2tra2tra2tra2tra2traw==", **headers)  # fmt: skip
    assert b"101 Switching" in read_head(sock)
    return sock


def test_a_reload_ends_the_websockets_of_a_token_that_is_gone_and_no_other(guarded):
    with (
        serving(guarded) as server,
        upgraded(server, **bearer("read")) as gone,
        upgraded(server, **bearer("build")) as stays,
    ):
        until(lambda: server.subscribers == 2)
        without(guarded, "read")
        server.check_permits()
        closing = gone.recv(4)
        assert (closing[:1], int.from_bytes(closing[2:], "big")) == (b"\x88", 1008)
        gone.close()
        until(lambda: server.subscribers == 1)
        guarded.happen(1)
        assert b'"seq":1' in stays.recv(4096)


def test_a_reload_ends_who_waits_with_401_and_who_follows_in_the_middle(guarded):
    guarded.run_operation(44)
    guarded.logs[44] = b"secret output\n"
    with serving(guarded) as server:
        waits = dial_in(server, "/operations/44?wait=60", **bearer("read"))
        follows = dial_in(server, "/operations/44/log?follow=1", **bearer("read"))
        other = dial_in(server, "/operations/44?wait=60", **bearer("operate"))
        assert b"200 OK" in read_head(follows)
        until(lambda: len(server._streams._all) == 3)
        without(guarded, "read")
        server.check_permits()
        answer = read_all(waits)
        assert b" 401 " in answer
        assert b"auth_required" in answer
        with pytest.raises(ValueError, match="not found"):
            unchunked(read_all(follows))
        guarded.end_operation(44)
        assert b'"status":"succeeded"' in read_all(other)


def test_whoever_came_without_a_token_is_ended_when_tokens_are_asked_for(room):
    with serving(room) as server, upgraded(server) as anonymous:
        until(lambda: server.subscribers == 1)
        server.check_permits()
        room.happen(1)
        assert b'"seq":1' in anonymous.recv(4096)
        room.tokens = [TokenSpec("max", "operate", "a" * 64)]
        server.check_permits()
        assert anonymous.recv(4)[:1] == b"\x88"


def test_who_was_on_the_way_while_the_tokens_changed_does_not_come_in(guarded):
    guarded.run_operation(44)
    plain = guarded.store.operation

    def operation(number):
        without(guarded, "read")
        return plain(number)

    guarded.store.operation = operation
    with serving(guarded) as server:
        assert b" 401 " in read_all(dial_in(server, "/operations/44?wait=60", **bearer("read")))


def test_the_old_token_of_a_name_is_refused_and_the_new_one_works(guarded):
    new = TokenSpec("the-operate", "operate", hashlib.sha256(b"sando_new").hexdigest())
    without(guarded, "operate")
    guarded.tokens.append(new)
    assert ask(guarded, "POST", "/rebuild", SECRETS["operate"]).status_code == 401
    assert ask(guarded, "POST", "/rebuild", "sando_new").status_code == 202
    assert guarded.told[-1].actor == "the-operate"
