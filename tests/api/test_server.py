"""The seam into Waitress, its own errors in our form, and the server's life."""

import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
from importlib.metadata import version

import msgspec
import pytest

from api.server import Server
from tests.api.room import Room, ask, dial, get, open_files, read_all, read_head, serving, until


def exchange(server, text: bytes) -> tuple[int, bytes, bytes]:
    sock = dial(server)
    sock.sendall(text)
    head, _, body = read_all(sock).partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


PATHS = ["/state", "/operations", "/releases", "/events", "/metrics", "/healthz", "/nowhere", "//state"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_forbids_caching_and_sniffing(server, path):
    head = read_all(ask(server, path, Connection="close")).partition(b"\r\n\r\n")[0]
    for line in (
        b"Cache-Control: no-store",
        b"X-Content-Type-Options: nosniff",
        b"Content-Security-Policy: default-src",
    ):
        assert head.count(line) == 1


def test_who_asks_again_for_a_state_that_has_not_changed_keeps_the_connection(server):
    sock, etag = dial(server), b""
    for status in (b"200 OK", b"304 Not Modified", b"304 Not Modified"):
        sock.sendall(
            b"GET /state HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: " + (etag or b'"none"') + b"\r\n\r\n"
        )
        head = read_head(sock)
        assert head.startswith(b"HTTP/1.1 " + status)
        assert b"Connection:" not in head
        etag = head.partition(b"Etag: ")[2].partition(b"\r")[0]
        if status == b"200 OK":
            left = int(head.partition(b"Content-Length: ")[2].partition(b"\r")[0])
            while left:
                left -= len(sock.recv(left))
    sock.sendall(
        b"GET /state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIf-None-Match: " + etag + b"\r\n\r\n"
    )
    last = read_all(sock)
    assert last.startswith(b"HTTP/1.1 304")
    assert b"Connection: close" in last


def test_what_is_in_memory_is_answered_while_every_thread_is_busy(room):
    begun, go_on = threading.Event(), threading.Event()

    def metrics():
        begun.set()
        assert go_on.wait(20)
        return b"", "text/plain"

    room.configure(metrics=metrics)
    with serving(room, threads=1) as server:
        waiting = ask(server, "/metrics", Connection="close")
        assert begun.wait(20)
        assert get(server, "/state")[0] == 200
        assert get(server, "/healthz")[0] == 200
        go_on.set()
        assert read_all(waiting).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("paths", list(itertools.permutations(["/state", "/metrics", "/nowhere"])))
def test_requests_sent_ahead_are_answered_in_their_order_whoever_answers_them(server, paths):
    def request(path, how):
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {how}\r\n\r\n"

    sock = dial(server)
    sock.sendall("".join([*(request(p, "keep-alive") for p in paths), request("/healthz", "close")]).encode())
    said = read_all(sock)
    marks = {"/state": b'"tiers"', "/metrics": b"sando_up", "/nowhere": b"nothing is at", "/healthz": b'"ok"'}
    at = [said.find(marks[p]) for p in (*paths, "/healthz")]
    assert -1 not in at
    assert at == sorted(at)


def test_a_descriptor_that_is_used_again_is_waited_for_again(server):
    for _ in range(50):
        assert get(server, "/state")[0] == 200
        assert get(server, "/metrics")[0] == 200


def test_the_seam_is_written_for_waitress_3():
    assert version("waitress").startswith("3.")


@pytest.mark.parametrize(
    "text, status, code",
    [
        (b"GET\r\n\r\n", 400, "bad_request"),
        (b"get /state HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /state HTTP/1.1\r\nHost : x\r\n\r\n", 400, "bad_request"),
        (b"GET /state HTTP/1.1\nHost: x\n\n\r\n\r\n", 400, "bad_request"),
        (b"GET /state HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (16384 - 33), 431, "headers_too_large"),
        (b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n", 413, "too_large"),
        (b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400, "bad_request"),
        (b"POST /reload HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
        (b"POST /reload HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "bad_request"),
        (b"POST /reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400, "bad_request"),
        (b"POST /reload HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400, "bad_request"),
        (b"POST /reload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400, "bad_request"),
    ],
)  # fmt: skip
def test_what_the_parser_of_waitress_refuses_is_a_problem_document_too(server, text, status, code):
    got, head, body = exchange(server, text)
    told = msgspec.json.decode(body)
    assert (got, told["status"], told["code"]) == (status, status, code)
    assert b"Content-Type: application/problem+json" in head
    assert b"Server:" not in head


def test_a_chunked_body_is_read_up_to_the_limit_and_refused_above_it(room, server):
    start = b"POST /confirm/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    start += b"Transfer-Encoding: chunked\r\n\r\n"

    def chunked(body: bytes) -> bytes:
        return start + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    assert exchange(server, chunked(b'{"reason": "seen"}'))[0] == 200
    assert exchange(server, chunked(b"{}" + b" " * 65534))[0] == 200
    for length in (65535, 75000):
        status, _, said = exchange(server, chunked(b"{}" + b" " * length))
        assert (status, msgspec.json.decode(said)["detail"]) == (413, "the body is larger than 65536 bytes")
    assert [m.reason for m in room.told] == ["seen", ""]


@pytest.mark.parametrize(
    "target, host, status",
    [
        (b"/state", b"Host: localhost\r\n", 200),
        (b"/state", b"", 403),
        (b"/state", b"Host: localhost\r\nHost: evil.example\r\n", 403),
        (b"/state", b"Host: localhost\r\nHost: localhost\r\n", 403),
        (b"http://localhost/state", b"Host: localhost\r\n", 200),
        (b"HTTP://LocalHost:80/state?", b"Host: localhost\r\n", 200),
        (
            b"http://localhost/state",
            b"Host: evil.example\r\n",
            200,
        ),  # RFC 9112 3.2.2: the target's host counts
        (b"http://evil.example/state", b"Host: localhost\r\n", 403),
        (b"http://evil.example?/state", b"Host: localhost\r\n", 403),
        (b"http://localhost@evil.example/state", b"Host: localhost\r\n", 403),
        (b"http://evil.example@localhost/state", b"Host: localhost\r\n", 403),
        (b"http://evil.example\\@localhost/state", b"Host: localhost\r\n", 403),
        (b"http://local\thost/state", b"Host: localhost\r\n", 403),
        (b"http:///state", b"Host: localhost\r\n", 403),
        (b"http://localhost//state", b"Host: localhost\r\n", 404),
        (b"http://localhost", b"Host: localhost\r\n", 404),
        (b"ftp://localhost/state", b"Host: localhost\r\n", 400),
        (b"http:/state", b"Host: localhost\r\n", 400),
        (b"//state", b"Host: localhost\r\n", 404),
        (b"/state/", b"Host: localhost\r\n", 404),
        (b"/%2fstate", b"Host: localhost\r\n", 404),
        (b"/./state", b"Host: localhost\r\n", 404),
        (b"/state%00", b"Host: localhost\r\n", 404),
        (b"/%ff%fe", b"Host: localhost\r\n", 404),
    ],
)
def test_host_and_path_are_taken_as_they_were_sent(server, target, host, status):
    got, _, _ = exchange(server, b"GET " + target + b" HTTP/1.1\r\nConnection: close\r\n" + host + b"\r\n")
    assert got == status


def test_a_promotion_hides_behind_no_double_slash(room, server):
    answer = read_all(ask(server, "//promote/a", "POST", b"{}", Connection="close"))
    assert answer.startswith(b"HTTP/1.1 404")
    assert room.told == []


@pytest.mark.parametrize(("host", "status", "told"), [(b"evil.example", 403, 0), (b"localhost", 202, 1)])
def test_an_act_is_done_only_where_its_target_names_a_host_of_ours(room, server, host, status, told):
    head = b"POST http://" + host + b"/promote/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert exchange(server, head)[0] == status
    assert len(room.told) == told


def test_head_sends_no_body(server):
    _, head, body = exchange(server, b"HEAD /state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert body == b""
    assert b"Content-Length: " in head


def test_a_connection_is_kept_for_the_next_request(server):
    with dial(server) as sock:
        for _ in range(3):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"Connection" not in read_head(sock)
            assert sock.recv(100) == b'{"status":"ok"}'


def test_an_error_past_all_handlers_is_told_in_the_same_form_and_without_its_text(room, caplog):
    def app(environ, start_response):
        raise ZeroDivisionError("the secret")

    room.app = app
    with serving(room) as server, caplog.at_level(logging.ERROR, "waitress"):
        status, body = get(server, "/state")
    assert (status, msgspec.json.decode(body)["code"]) == (500, "internal")
    assert b"secret" not in body
    assert "the secret" in caplog.text


def test_an_error_after_a_request_has_left_writes_nothing_into_its_answer(room, caplog):
    inner = room.app

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/state":
            return inner(environ, start_response)
        inner(environ, start_response)
        raise ZeroDivisionError

    room.app = app
    room.run_operation(44)
    with serving(room) as server, caplog.at_level(logging.CRITICAL, "waitress"):
        sock = ask(server, "/operations/44?wait=30")
        until(lambda: len(server._streams._all) == 1)
        assert get(server, "/state")[0] == 200
        room.end_operation(44)
        answer = read_all(sock)
    assert answer.count(b"HTTP/1.1") == 1
    assert b'"status":"succeeded"' in answer


def test_every_thread_of_the_server_lets_go_of_what_it_opened(room):
    ended = []
    with serving(
        room, threads=3, on_thread_end=lambda: ended.append(threading.current_thread().name)
    ) as server:
        assert get(server, "/state")[0] == 200
    until(lambda: len(ended) == 4)
    assert sorted(ended) == ["streams", "waitress-0", "waitress-1", "waitress-2"]


def test_a_server_that_was_closed_leaves_nothing(room):
    with serving(room):
        pass
    files, threads = open_files(), threading.active_count()
    for _ in range(3):
        with serving(room) as server:
            assert get(server, "/state")[0] == 200
    until(lambda: threading.active_count() <= threads)
    assert open_files() <= files


def test_a_server_that_was_never_bound_or_never_run_can_be_closed(room):
    Server(room.app, "127.0.0.1", 0, board=room.board).close()
    server = Server(room.app, "127.0.0.1", 0, board=room.board)
    server.bind()
    assert server.port > 0
    server.close()


def test_an_address_that_is_taken_is_an_os_error(room, server):
    second = Server(room.app, "127.0.0.1", server.port, board=room.board)
    with pytest.raises(OSError, match="in use"):
        second.bind()
    second.close()


def test_it_listens_on_ipv6_too(room):
    server = Server(room.app, "::1", 0, board=room.board)
    try:
        server.bind()
        assert server.port > 0
    finally:
        server.close()


MAIN = """
import signal, sys
from api.server import Server
from tests.api.room import Room

def end(*_):
    raise SystemExit

room = Room()
server = Server(room.app, "127.0.0.1", 0, board=room.board)
signal.signal(signal.SIGTERM, end)
server.bind()
print(server.port, flush=True)
server.run()
print("run returned", flush=True)
server.close()
print("closed", flush=True)
"""


def test_sigterm_ends_run_on_the_main_thread_and_the_process_ends_whole():
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.curdir},
    )
    with process:
        port = int(process.stdout.readline())
        there = Server(Room().app, "127.0.0.1", port, board=Room().board)
        there._waitress = type("Bound", (), {"effective_port": port})()
        assert get(there, "/healthz")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().split("\n") == ["run returned", "closed", ""]
        assert process.wait(20) == 0
