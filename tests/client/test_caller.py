"""One HTTP connection: kept, opened again, never repeating an act, and clear about what went wrong."""

import socket
import threading

import pytest

from sando.client import caller as module
from sando.client.address import parse
from sando.client.caller import Caller, Refused, Unreachable
from tests.client.puppet import Answer, problem
from tests.ports import free_port


@pytest.fixture
def caller(puppet):
    with Caller(parse(puppet.url, "s3cret")) as made:
        yield made


def test_a_question_carries_its_query_and_the_token(caller, puppet):
    assert caller.get(
        "/operations", {"tier": "a", "limit": 5, "cursor": None, "hotfix": True, "force": False}
    ).ok
    asked = puppet.asked[0]
    assert (asked.path, asked.query) == ("/operations", {"tier": "a", "limit": "5", "hotfix": "1"})
    assert asked.headers["authorization"] == "Bearer s3cret"
    assert asked.headers["host"] == f"127.0.0.1:{puppet.port}"


def test_names_in_paths_are_escaped(caller, puppet):
    caller.get("/releases/0.8.2+g1 a?b#c")
    assert puppet.asked[0].path == "/releases/0.8.2%2Bg1%20a%3Fb%23c"


def test_the_connection_is_kept_and_opened_again_where_it_was_closed(caller, puppet):
    caller.get("/state")
    caller.get("/state")
    assert len(puppet._socks) == 1
    puppet.cut()
    assert caller.get("/state").status == 200
    assert len(puppet.sent("GET", "/state")) == 3


def test_an_act_is_sent_once_whatever_becomes_of_it(caller, puppet):
    puppet.answers["POST", "/promote/a"] = Answer(hang_up=True)
    caller.get("/state")
    with pytest.raises(Unreachable, match="the connection was closed") as lost:
        caller.send("POST", "/promote/a", {"version": "0.8.2"})
    assert lost.value.sent
    assert [a.body for a in puppet.sent("POST", "/promote/a")] == [{"version": "0.8.2"}]


def test_an_act_without_a_body_has_none(caller, puppet):
    puppet.answers["DELETE", "/lock/a"] = Answer(body={"unlocked": ["a"]})
    assert caller.send("DELETE", "/lock/a").json() == {"unlocked": ["a"]}
    assert "content-type" not in puppet.asked[0].headers


def test_a_daemon_that_is_slow_is_given_up_after_a_while(puppet):
    hold = threading.Event()
    puppet.answers["GET", "/state"] = Answer(body={}, hold=hold)
    with (
        Caller(parse(puppet.url), timeout=0.1) as caller,
        pytest.raises(Unreachable, match=r"no answer within 0\.1 s"),
    ):
        caller.get("/state")
    hold.set()
    assert len(puppet.asked) == 1, "who is slow is not asked twice"


def test_nobody_there_is_said_in_words():
    with (
        Caller(parse(f"http://127.0.0.1:{free_port()}")) as caller,
        pytest.raises(Unreachable, match="nothing listens there") as lost,
    ):
        caller.send("POST", "/promote/a", {})
    assert not lost.value.sent


def test_a_name_that_is_unknown_is_said_in_words():
    with (
        Caller(parse("http://nowhere.invalid:7766")) as caller,
        pytest.raises(Unreachable, match=r"nowhere\.invalid"),
    ):
        caller.get("/state")


def test_what_does_not_speak_http_is_said_in_words():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Caller(parse(f"http://127.0.0.1:{server.getsockname()[1]}")) as caller,
    ):

        def greet() -> None:
            line, _ = server.accept()
            line.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            line.close()

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(Unreachable, match="does not speak HTTP"):
            caller.get("/state")
        thread.join()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "it is there, but no TLS in time"),
        (b"", "the connection was closed"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "tls: .*"),
    ],
)
def test_who_listens_and_speaks_no_tls_is_said_to_speak_http(said, why):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Caller(
            parse(f"https://127.0.0.1:{server.getsockname()[1]}"), connect=0.2 if said is None else 30
        ) as caller,
    ):

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(65536)
                if said is None:
                    line.recv(65536)  # until the other end has given up
                else:
                    line.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match=f"{why}; sandod itself speaks http, not https$") as lost:
            caller.send("POST", "/promote/a", {})
        thread.join()
    assert not lost.value.sent


def test_nobody_there_is_nobody_with_https_too():
    with (
        Caller(parse(f"https://127.0.0.1:{free_port()}")) as caller,
        pytest.raises(Unreachable, match=r"nothing listens there$"),
    ):
        caller.get("/state")


def test_a_refusal_is_the_daemons_own_words(caller, puppet):
    puppet.answers["POST", "/promote/a"] = problem(423, "locked", "tier a is locked by max", "DELETE /lock/a")
    said = caller.send("POST", "/promote/a", {}).problem()
    assert (said.status, said.code, said.detail, said.hint) == (
        423,
        "locked",
        "tier a is locked by max",
        "DELETE /lock/a",
    )


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"<html>\x1b[31mBad Gateway</html>\nmore", "status 502: <html>\\x1b[31mBad Gateway</html>"),
        (b"", "status 502"),
        (b'{"status": "no"}', 'status 502: {"status": "no"}'),
    ],
)
def test_an_error_of_somebody_else_is_told_as_such(caller, puppet, body, detail):
    puppet.answers["GET", "/state"] = Answer(502, raw=body)
    said = caller.get("/state").problem()
    assert (said.status, said.code, said.detail) == (502, "not_sandod", detail)
    assert said.hint.startswith("what answers is no sandod")


def test_a_redirect_is_not_followed_with_our_token(caller, puppet):
    puppet.answers["GET", "/state"] = Answer(302, raw=b"", headers={"Location": f"{puppet.url}/elsewhere"})
    assert caller.get("/state").status == 302
    assert [a.path for a in puppet.asked] == ["/state"]


def test_what_is_too_large_is_not_from_sandod(caller, puppet, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    puppet.answers["GET", "/state"] = Answer(raw=b"x" * 1001)
    with pytest.raises(Unreachable, match="this is not sandod"):
        caller.get("/state")


def test_what_is_no_json_is_not_from_sandod(caller, puppet):
    puppet.answers["GET", "/state"] = Answer(raw=b"hello")
    with pytest.raises(Unreachable, match="not sandod"):
        caller.get("/state").json()


def test_a_body_can_be_read_as_it_comes(caller, puppet):
    puppet.answers["GET", "/operations/1/log"] = Answer(raw=b"line\n" * 50_000)
    assert b"".join(caller.stream("/operations/1/log", {"follow": True})) == b"line\n" * 50_000
    puppet.answers["GET", "/operations/2/log"] = problem(404, "not_found", "there is no operation 2")
    with pytest.raises(Refused, match="there is no operation 2"):
        list(caller.stream("/operations/2/log"))


def test_a_proxy_may_serve_sandod_under_a_folder(puppet):
    with Caller(parse(f"{puppet.url}/ci")) as caller:
        caller.get("/state")
    assert puppet.asked[0].path == "/ci/state"
