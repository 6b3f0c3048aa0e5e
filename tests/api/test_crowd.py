"""Deadlines that no trickle moves, shares of addresses, and what silent or greedy connections cost others: nothing."""

import contextlib
import errno
import socket
from collections.abc import Iterator

import msgspec
import pytest
from waitress.channel import HTTPChannel

from api import streams
from api.connection import MOST_IN_A_ROW, share_of
from api.crowd import Crowd, Limits
from api.server import Server
from sando.model.answers import Accepted
from tests.api.room import Room, an_operation, ask, dial, get, read_all, read_head, serving, until

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /confirm/a HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"


class Hours:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Hours:
    return Hours()


@contextlib.contextmanager
def crowded(room: Room, hours: Hours, **limits: float) -> Iterator[tuple[Server, Crowd]]:
    crowd = Crowd(Limits(**limits), hours)
    with serving(room, crowd=crowd) as server:
        yield server, crowd


def call(server: Server, address: str = "127.0.0.1") -> socket.socket:
    """A connection from that address of this machine."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=20, source_address=(address, 0))


def say(sock: socket.socket, crowd: Crowd, text: bytes) -> None:
    """Sends, and waits until the server has read it."""
    guest = crowd_of(crowd)[-1]
    before = guest.last_heard
    sock.sendall(text)
    until(lambda: guest.last_heard != before)


def crowd_of(crowd: Crowd) -> list:
    return [g for there in crowd._guests.values() for g in there]


@pytest.fixture(autouse=True)
def _count_what_is_heard(monkeypatch):
    """`last_heard` grows with each piece that the server has taken from a connection, `served` with each request."""
    from api.connection import Channel

    plain = Channel.received

    def received(self, data: bytes) -> bool:
        try:
            return plain(self, data)
        finally:
            self.last_heard += 1

    answer = Channel.service

    def service(self) -> None:
        answer(self)
        self.served += 1

    monkeypatch.setattr(Channel, "served", 0, raising=False)
    monkeypatch.setattr(Channel, "service", service)
    monkeypatch.setattr(Channel, "last_heard", 0, raising=False)
    monkeypatch.setattr(Channel, "received", received)


def ended(sock: socket.socket) -> bytes:
    """What was said at the end; a test that waits here in vain runs into the time-out of its socket."""
    return read_all(sock)


def answered(sock: socket.socket, crowd: Crowd) -> None:
    """One request and its answer, until the server has noted when that was."""
    until(lambda: crowd_of(crowd))
    [guest] = crowd_of(crowd)
    before = guest.served
    sock.sendall(GET)
    read_head(sock)
    sock.recv(100)
    until(lambda: guest.served > before)


def code_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), msgspec.json.decode(body)["code"]


def pour(sock: socket.socket, piece: bytes) -> None:
    """Sends a gigabyte, if it is let."""
    for _ in range(2**30 // len(piece)):
        sock.sendall(piece)


# -- deadlines -------------------------------------------------------------------------------------------------


def test_headers_that_trickle_are_ended_after_their_time_however_they_trickle(room, hours):
    with crowded(room, hours) as (server, crowd):
        slow = dial(server)
        until(lambda: len(crowd) == 1)
        for byte in GET[:10]:
            say(slow, crowd, bytes([byte]))
            hours.now += 1.0
        assert len(crowd) == 1
        hours.now += 0.5
        assert code_of(ended(slow)) == (408, "request_timeout")
        assert get(server, "/healthz")[0] == 200


def test_headers_that_come_slowly_and_in_time_are_served(room, hours):
    with crowded(room, hours) as (server, crowd):
        slow = dial(server)
        until(lambda: len(crowd) == 1)
        say(slow, crowd, GET[:10])
        hours.now += 9.5
        slow.sendall(GET[10:])
        assert read_head(slow).startswith(b"HTTP/1.1 200")
        slow.close()


def test_a_body_that_trickles_has_its_own_time(room, hours):
    with crowded(room, hours) as (server, crowd):
        slow = dial(server)
        until(lambda: len(crowd) == 1)
        hours.now += 9.0
        say(slow, crowd, POST)
        hours.now += 29.0
        say(slow, crowd, b"{")
        assert len(crowd) == 1
        hours.now += 1.5
        assert code_of(ended(slow)) == (408, "request_timeout")
    assert room.told == []


def test_chunks_that_trickle_win_no_time(room, hours):
    start = b"POST /confirm/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with crowded(room, hours) as (server, crowd):
        slow = dial(server)
        until(lambda: len(crowd) == 1)
        say(slow, crowd, start)
        for _ in range(6):
            hours.now += 5.0
            say(slow, crowd, b"1\r\n \r\n")
        hours.now += 0.5
        assert code_of(ended(slow)) == (408, "request_timeout")


def test_who_never_says_anything_is_let_go_without_a_word(room, hours):
    with crowded(room, hours) as (server, crowd):
        silent = dial(server)
        until(lambda: len(crowd) == 1)
        hours.now += 10.5
        assert ended(silent) == b""
        until(lambda: len(crowd) == 0)


def test_a_connection_that_is_kept_waits_longer_for_its_next_request_and_not_for_ever(room, hours):
    with crowded(room, hours) as (server, crowd):
        kept = dial(server)
        for _ in range(3):
            answered(kept, crowd)
            hours.now += 29.0
        hours.now += 1.5
        assert ended(kept) == b""


def test_who_is_just_answered_is_not_taken_for_silent_before_that_is_noted(room, hours, monkeypatch):
    plain = HTTPChannel.service

    def service(self) -> None:
        plain(self)
        hours.now += 2.0
        self.crowd.sweep()

    with crowded(room, hours) as (server, crowd):
        kept = dial(server)
        answered(kept, crowd)
        hours.now += 29.0
        monkeypatch.setattr(HTTPChannel, "service", service)
        answered(kept, crowd)
        assert len(crowd) == 1
        kept.close()


def test_blank_lines_are_no_request_and_win_no_time(room, hours):
    with crowded(room, hours) as (server, crowd):
        blank = dial(server)
        until(lambda: len(crowd) == 1)
        for _ in range(4):
            say(blank, crowd, b"\r\n\r\n\r")
            hours.now += 4.9
            say(blank, crowd, b"\n")
        hours.now += 1.0
        ended(blank)
        until(lambda: len(crowd) == 0)


def test_a_request_whose_answer_takes_long_is_not_hurried(room, hours):
    room.answer = None
    with crowded(room, hours) as (server, crowd):
        sock = ask(server, "/confirm/a", "POST", b"{}")
        until(lambda: room.told)
        hours.now += 1000.0
        crowd.sweep()
        room.told[0].reply.answer(Accepted(an_operation(44)))
        assert read_head(sock).startswith(b"HTTP/1.1 202")
        sock.close()


def test_who_takes_nothing_of_its_answer_is_let_go_and_holds_no_thread_meanwhile(room, hours):
    room.happen(500, text="x" * 2000)
    with crowded(room, hours, most_of_one=100, taken_s=1e9) as (server, crowd):
        greedy = [dial(server) for _ in range(20)]
        for sock in greedy:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"GET /events?since=0&limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n" * MOST_IN_A_ROW)
        until(lambda: sum(bool(g.total_outbufs_len and not g.requests) for g in crowd_of(crowd)) == 20)
        assert get(server, "/healthz")[0] == 200, "eight threads, and twenty that read nothing"

        def all_gone() -> bool:
            hours.now += (
                30.5  # again: what the kernel still took of an answer may have been sent after the first time
            )
            return len(crowd) == 0

        until(all_gone)
        for sock in greedy:
            sock.close()


# -- shares ----------------------------------------------------------------------------------------------------


def test_where_one_address_has_its_share_the_longest_silent_one_goes_for_the_next(room, hours):
    with crowded(room, hours, most_of_one=5) as (server, crowd):
        first = dial(server)
        until(lambda: len(crowd) == 1)
        hours.now += 1.0
        rest = [dial(server) for _ in range(4)]
        until(lambda: len(crowd) == 5)
        first.sendall(b"GET /sta")  # a trickle makes nobody less silent
        assert get(server, "/healthz")[0] == 200
        assert ended(first) == b""
        rest[-1].sendall(GET)
        assert read_head(rest[-1]).startswith(b"HTTP/1.1 200")
        for sock in rest:
            sock.close()


def test_another_address_keeps_its_connections(room, hours):
    with crowded(room, hours, most=6, most_of_one=5) as (server, crowd):
        other = call(server, "127.0.0.2")
        until(lambda: len(crowd) == 1)
        hours.now += 1.0
        many = [call(server, "127.0.0.3") for _ in range(5)]
        until(lambda: len(crowd) == 6)
        third = call(server, "127.0.0.4")
        third.sendall(GET)
        assert read_head(third).startswith(b"HTTP/1.1 200"), "the limit is never all used by silent ones"
        assert sorted(crowd._guests, key=lambda a: a) == ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        assert len(crowd._guests["127.0.0.3"]) == 4
        other.sendall(GET)
        assert read_head(other).startswith(b"HTTP/1.1 200")
        for sock in (other, third, *many):
            sock.close()


def test_only_where_all_are_being_answered_is_one_more_refused(room, hours):
    room.answer = None
    with crowded(room, hours, most_of_one=3) as (server, _):
        busy = [ask(server, "/confirm/a", "POST", b"{}") for _ in range(3)]
        until(lambda: len(room.told) == 3)
        assert code_of(read_all(dial(server))) == (503, "too_many_connections")
        for command in room.told:
            command.reply.answer(Accepted(an_operation(44)))
        for sock in busy:
            assert read_head(sock).startswith(b"HTTP/1.1 202")
            sock.close()


def test_many_that_come_at_once_are_all_let_in(room, hours):
    with crowded(room, hours) as (server, crowd):
        socks = [dial(server) for _ in range(190)]
        until(lambda: len(crowd) == 190)
        socks[-1].sendall(GET)
        assert read_head(socks[-1]).startswith(b"HTTP/1.1 200")
        for sock in socks:
            sock.close()
        until(lambda: len(crowd) == 0)


def test_an_ipv6_client_has_the_share_of_its_network():
    assert share_of("2001:db8::1") == share_of("2001:db8::ffff:1") == "2001:db8::/64"
    assert share_of("2001:db8:0:1::1") != share_of("2001:db8::1")
    assert share_of("fe80::1%eth0") == "fe80::/64"
    assert share_of("::ffff:10.0.0.1") == share_of("10.0.0.1") == "10.0.0.1"


def test_without_a_descriptor_a_silent_one_gives_up_its_own(room, hours, monkeypatch):
    with crowded(room, hours) as (server, crowd):
        silent = dial(server)
        until(lambda: len(crowd) == 1)
        plain, left = server._waitress.accept, [errno.EMFILE]

        def accept():
            if left:
                raise OSError(left.pop(), "Too many open files")
            return plain()

        monkeypatch.setattr(server._waitress, "accept", accept)
        assert get(server, "/healthz")[0] == 200
        assert ended(silent) == b""


def test_without_a_descriptor_and_without_a_silent_one_the_next_try_comes_a_moment_later(room, hours):
    with crowded(room, hours) as (server, _):
        server._waitress._cannot(OSError(errno.EMFILE, "Too many open files"))
        assert not server._waitress.readable()
        hours.now += 0.5
        assert server._waitress.readable()
        assert get(server, "/healthz")[0] == 200


def test_streams_have_shares_too(room, server, monkeypatch):
    monkeypatch.setattr(streams, "MOST_OF_ONE", 2)
    room.run_operation(44)
    waiting = [ask(server, "/operations/44?wait=30") for _ in range(2)]
    until(lambda: len(server._streams._all) == 2)
    assert get(server, "/operations/44?wait=30")[0] == 503
    room.end_operation(44)
    for sock in waiting:
        assert b"succeeded" in read_all(sock)
    until(lambda: not server._streams._shares)


# -- too much --------------------------------------------------------------------------------------------------


def test_requests_that_are_sent_far_ahead_of_their_answers_are_refused_at_the_fifth(server):
    with dial(server) as sock:
        sock.sendall(GET * 200)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200") == MOST_IN_A_ROW
    assert answer.count(b"HTTP/1.1 400") == 1
    assert b"ahead of their answers" in answer


def test_a_few_requests_ahead_are_answered_in_order(server):
    with dial(server) as sock:
        sock.sendall(GET * 3 + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200") == 4


@pytest.mark.parametrize("size", [70_000, 1_000_000])
def test_a_refusal_is_read_by_who_is_still_sending(server, size):
    with dial(server) as sock:
        head = f"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n"
        sock.sendall(head.encode() + b"x" * size)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert code_of(answer) == (413, "too_large")


@pytest.mark.parametrize(
    "start",
    [
        b"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: x\r\nX: ",
    ],
)
def test_what_never_ends_is_cut(server, start):
    with dial(server) as sock:
        sock.sendall(start)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            pour(sock, b"fffff\r\n" + b"x" * 0xFFFFF + b"\r\n")
    assert get(server, "/healthz")[0] == 200


def test_what_expects_to_go_on_and_may_not_is_refused_at_once(server):
    with dial(server) as sock:
        sock.sendall(
            b"POST /reload HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 70000\r\n\r\n"
        )
        assert read_head(sock).startswith(b"HTTP/1.1 413")


def test_what_expects_to_go_on_and_has_no_body_is_answered(server):
    with dial(server) as sock:
        sock.sendall(GET.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert read_head(sock).startswith(b"HTTP/1.1 200")


def test_what_expects_to_go_on_goes_on(room, server):
    with dial(server) as sock:
        sock.sendall(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert read_head(sock) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert read_head(sock).startswith(b"HTTP/1.1 200")


def test_a_follower_that_talks_without_end_is_cut_off(room, server):
    room.run_operation(44)
    with ask(server, "/operations/44?wait=60") as sock:
        until(lambda: len(server._streams._all) == 1)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            pour(sock, b"x" * 65536)
    until(lambda: not server._streams._all)
