"""Requests that wait or follow on a real server: they hold none of its threads, and end as they should."""

import threading

import msgspec
import pytest
from msgspec.structs import replace

from sando.model.answers import Accepted
from sando.model.operation import Status
from tests.api.room import (
    Picture,
    an_event,
    ask,
    dial,
    get,
    open_files,
    read_all,
    read_head,
    serving,
    unchunked,
    until,
)


def answer_of(sock) -> tuple[int, dict]:
    head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"Cache-Control: no-store" in head
    return int(head.split()[1]), msgspec.json.decode(body)


def streams_of(server) -> int:
    return len(server._streams._all)


def test_a_wait_is_answered_when_the_operation_ends(room, server):
    room.run_operation(44)
    sock = ask(server, "/operations/44?wait=30")
    until(lambda: streams_of(server) == 1)
    room.end_operation(44, "failed", error="probe red")
    status, body = answer_of(sock)
    assert (status, body["status"], body["error"]) == (200, "failed", "probe red")


def test_a_wait_for_what_has_ended_is_answered_at_once_and_keeps_the_connection(room, server):
    room.run_operation(44)
    room.end_operation(44)
    sock = ask(server, "/operations/44?wait=30")
    assert b"Connection: close" not in read_head(sock)
    sock.close()


@pytest.mark.parametrize("path", ["/operations/44", "/operations/44?wait=30", "POST /promote/a?wait=30"])
def test_an_end_that_is_stored_is_told_when_the_state_shows_it_too(room, server, path):
    """Who hears that a deploy has ended asks /state next; sooner, he would find there what was before."""
    room.run_operation(44)
    room.board.publish(Picture(0, working=frozenset({44})), (), ())
    ended = room.store.kept_operations[44] = replace(room.store.kept_operations[44], status=Status.SUCCEEDED)
    room.answer = Accepted(ended)
    method, _, path = path.rpartition(" ")
    sock = ask(server, path, method or "GET")
    until(lambda: streams_of(server) == 1)
    room.commit(an_event(1, operation=44), ended=(ended,))
    assert answer_of(sock)[1]["status"] == "succeeded"


def test_an_end_that_the_state_never_shows_is_told_all_the_same(room, server):
    room.run_operation(44)
    room.board.publish(Picture(0, working=frozenset({44})), (), ())
    room.store.kept_operations[44] = replace(room.store.kept_operations[44], status=Status.SUCCEEDED)
    assert answer_of(ask(server, "/operations/44"))[1]["status"] == "succeeded"


@pytest.mark.parametrize("ending", ["succeeded", "failed"])
def test_a_replay_that_waits_says_that_it_is_one(room, server, ending):
    room.run_operation(44)
    headers = {"Idempotency_Key": "one"}
    first = read_head(ask(server, "/promote/a", "POST", **headers))
    assert (first.split()[1], b"Idempotent-Replayed" in first) == (b"202", False)
    sock = ask(server, "/promote/a?wait=30", "POST", **headers)
    until(lambda: streams_of(server) == 1)
    room.end_operation(44, ending)
    head = read_head(sock)
    sock.close()
    assert (head.split()[1], head.count(b"Idempotent-Replayed: true\r\n")) == (
        b"200" if ending == "succeeded" else b"409",
        1,
    )


def test_a_first_request_that_waits_is_no_replay(room, server):
    room.run_operation(44)
    sock = ask(server, "/promote/a?wait=30", "POST", Idempotency_Key="one")
    until(lambda: streams_of(server) == 1)
    room.end_operation(44)
    assert b"Idempotent-Replayed" not in read_head(sock)
    sock.close()


def test_a_wait_that_runs_out_answers_how_it_stands(room, server):
    room.run_operation(44)
    assert answer_of(ask(server, "/operations/44?wait=0.05"))[1]["status"] == "running"


@pytest.mark.parametrize("status", ["failed", "errored", "aborted", "superseded", "interrupted"])
def test_a_command_that_waits_is_409_with_the_operation_when_it_did_not_succeed(room, server, status):
    room.answer = Accepted(room.run_operation(44))
    sock = ask(server, "/promote/a?wait=30", "POST")
    until(lambda: streams_of(server) == 1)
    room.end_operation(44, status)
    code, body = answer_of(sock)
    assert (code, body["code"], body["operation"]["status"]) == (409, f"operation_{status}", status)


def test_a_command_that_waits_is_200_when_it_succeeded_and_202_while_it_runs(room, server):
    room.answer = Accepted(room.run_operation(44))
    assert answer_of(ask(server, "/promote/a?wait=0.05", "POST", b"{}"))[0] == 202
    sock = ask(server, "/promote/a?wait=30", "POST", b"{}")
    until(lambda: streams_of(server) == 1)
    room.end_operation(44)
    code, body = answer_of(sock)
    assert (code, body["id"], body["status"]) == (200, 44, "succeeded")


def test_a_command_that_found_an_operation_that_ended_does_not_wait(room, server):
    room.run_operation(44)
    room.answer = Accepted(room.end_operation(44), 200, "already_built")
    assert get(server, "/state")[0] == 200
    sock = ask(server, "/rebuild?wait=30", "POST", Connection="close")
    assert read_all(sock).startswith(b"HTTP/1.1 200")


def test_the_end_that_comes_while_the_request_is_leaving_is_not_missed(room, server):
    room.answer = Accepted(room.run_operation(44))
    room.end_operation(44)  # committed and told, while the answer still carries it as running
    assert answer_of(ask(server, "/promote/a?wait=30", "POST"))[0] == 200


def test_a_long_poll_of_events_is_answered_by_the_next_one(room, server):
    room.happen(3)
    sock = ask(server, "/events?since=3&wait=30")
    until(lambda: streams_of(server) == 1)
    room.happen(2)
    status, body = answer_of(sock)
    assert (status, [e["seq"] for e in body["events"]], body["seq"]) == (200, [4, 5], 5)


def test_a_long_poll_that_runs_out_is_empty_and_says_where_it_stands(room, server):
    room.happen(3)
    assert answer_of(ask(server, "/events?since=3&wait=0.05")) == (200, {"events": [], "seq": 3})


def test_a_store_that_fails_while_somebody_waits_is_told_to_him(room, server):
    sock = ask(server, "/events?since=0&wait=30")
    until(lambda: streams_of(server) == 1)
    room.store.broken = True
    room.board.publish(type(room.board.latest)(7), (), ())
    assert answer_of(sock)[1]["code"] == "store_unavailable"


def test_a_followed_log_comes_as_it_is_written_and_ends_with_its_operation(room, server):
    room.run_operation(5)
    sock = ask(server, "/operations/5/log?follow=1")
    head = read_head(sock)
    assert b"200 OK" in head
    assert b"Content-Type: text/plain; charset=utf-8" in head
    room.logs[5] = b"one\n"
    assert sock.recv(100) == b"4\r\none\n\r\n"
    room.logs[5] += b"zw\xc3"
    assert sock.recv(100) == b"2\r\nzw\r\n"
    room.logs[5] += b"\xb6lf\n\xff\n\xc3"
    room.end_operation(5)
    assert unchunked(read_all(sock)) == "ölf\n\ufffd\n\ufffd".encode()


def test_a_followed_log_of_an_ended_operation_is_the_whole_of_it(room, server):
    room.run_operation(5)
    room.logs[5] = b"line\n" * 100_000
    room.end_operation(5)
    body = read_all(ask(server, "/operations/5/log?follow=1&offset=5")).partition(b"\r\n\r\n")[2]
    assert unchunked(body) == room.logs[5][5:]


def test_a_long_log_that_is_only_read_says_where_to_go_on(room, server):
    room.run_operation(5)
    room.logs[5] = b"line\n" * 100_000
    head, _, body = read_all(ask(server, "/operations/5/log")).partition(b"\r\n\r\n")
    assert b"X-Next-Offset: 500000" in head
    assert unchunked(body) == room.logs[5]


def test_a_follower_with_http_1_0_gets_plain_bytes_until_the_end(room, server):
    room.run_operation(5)
    room.logs[5] = b"one\n"
    room.end_operation(5)
    with dial(server) as sock:
        sock.sendall(b"GET /operations/5/log?follow=1 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert data.endswith(b"\r\n\r\none\n")


def test_a_hundred_that_follow_and_wait_do_not_keep_the_state_from_anybody(room):
    room.run_operation(5)
    room.answer = Accepted(room.run_operation(44))
    with serving(room, threads=2) as server:
        threads = threading.active_count()
        followers = [ask(server, "/operations/5/log?follow=1") for _ in range(50)]
        waiters = [ask(server, "/operations/44?wait=60") for _ in range(25)]
        waiters += [ask(server, "/promote/a?wait=60", "POST") for _ in range(25)]
        polls = [ask(server, "/events?since=0&wait=60") for _ in range(10)]
        until(lambda: streams_of(server) == 110)
        assert [get(server, "/state")[0] for _ in range(20)] == [200] * 20
        assert threading.active_count() == threads
        room.logs[5] = b"the end\n"
        room.end_operation(5)
        room.end_operation(44)
        assert all(b"the end" in read_all(sock) for sock in followers)
        assert {answer_of(sock)[1]["status"] for sock in waiters} == {"succeeded"}
        assert {answer_of(sock)[1]["events"][0]["seq"] for sock in polls} == {1}
        until(lambda: streams_of(server) == 0)


def test_more_streams_than_there_may_be_are_refused_and_room_is_made_again(room, server, monkeypatch):
    monkeypatch.setattr("api.streams.MOST", 2)
    room.run_operation(44)
    first, second = (ask(server, "/operations/44?wait=60") for _ in range(2))
    until(lambda: streams_of(server) == 2)
    status, body = get(server, "/operations/44?wait=60")
    assert (status, msgspec.json.decode(body)["code"]) == (503, "too_many_streams")
    first.close()
    until(lambda: streams_of(server) == 1)
    third = ask(server, "/operations/44?wait=60")
    until(lambda: streams_of(server) == 2)
    room.end_operation(44)
    assert (answer_of(second)[0], answer_of(third)[0]) == (200, 200)


def test_a_follower_that_does_not_read_is_read_for_no_further(room, server):
    room.run_operation(5)
    sock = ask(server, "/operations/5/log?follow=1")
    read_head(sock)
    room.logs[5] = b"x" * 20_000_000
    stream = next(iter(server._streams._all))
    until(lambda: stream.line.size >= 65536)
    assert stream.line.size < 3 * 65536
    assert get(server, "/state")[0] == 200
    room.end_operation(5)
    assert len(unchunked(read_all(sock))) == 20_000_000


def test_clients_that_hang_up_leave_nothing_behind(room, server):
    room.run_operation(5)
    assert get(server, "/state")[0] == 200
    files, threads = open_files(), threading.active_count()
    targets = ("/operations/5/log?follow=1", "/operations/5?wait=60", "/events?since=0&wait=60")
    for target in targets * 17:
        sock = ask(server, target)
        until(lambda: streams_of(server) == 1)
        sock.close()
        until(lambda: streams_of(server) == 0)
    until(lambda: open_files() <= files)
    assert threading.active_count() == threads


def test_when_sandod_ends_waiters_hear_how_it_stands_and_followers_that_it_was_cut(room):
    room.answer = Accepted(room.run_operation(44))
    with serving(room) as server:
        waiter = ask(server, "/promote/a?wait=60", "POST")
        follower = ask(server, "/operations/44/log?follow=1")
        until(lambda: streams_of(server) == 2)
    assert answer_of(waiter)[0] == 202
    assert not read_all(follower).endswith(b"0\r\n\r\n")


def test_requests_behind_a_waiting_one_on_the_same_connection_are_not_answered_in_its_place(room, server):
    room.run_operation(44)
    with dial(server) as sock:
        state = b"GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n"
        sock.sendall(state + b"GET /operations/44?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n" + state)
        until(lambda: streams_of(server) == 1)
        room.end_operation(44)
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert data.index(b"Etag") < data.index(b'"id":44')
