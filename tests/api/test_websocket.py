"""GET /events as a WebSocket, on a real server."""

import base64
import contextlib
import socket
import threading

import msgspec
import pytest
from simple_websocket import Client, ConnectionClosed

from api import websocket
from tests.api.room import (
    HOST,
    an_event,
    ask,
    get,
    hear,
    listen_to,
    open_files,
    read_all,
    read_head,
    serving,
    until,
)

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": base64.b64encode(b"k" * 16).decode(),
    "Sec_WebSocket_Version": "13",
}


@contextlib.contextmanager
def listening(server, query: str = "", **options):
    client = listen_to(server, query, **options)
    try:
        yield client
    finally:
        with contextlib.suppress(ConnectionClosed, OSError):
            client.close()
        client.thread.join(5)


def live(server) -> int:
    """How many subscribers have nothing left to replay."""
    return sum(s._live for s in list(server._streams._all))


def seqs(client: Client, count: int) -> list[int]:
    return [hear(client)["seq"] for _ in range(count)]


def closed_with(client: Client) -> int:
    try:
        while True:
            assert client.receive(timeout=20) is not None
    except ConnectionClosed as closed:
        client.thread.join(5)
        return int(closed.reason)


def raw_client(server, query: str = "", **options: int) -> socket.socket:
    sock = ask(server, f"/events{query}", **UPGRADE)
    for option, value in options.items():
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
    assert b"101 Switching" in read_head(sock)
    return sock


def frames_of(data: bytes) -> list[tuple[int, bytes]]:
    """Opcode and payload of whole frames; what is cut at the end is left out."""
    found = []
    while len(data) >= 2:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + size:
            break
        found.append((data[0] & 15, data[start : start + size]))
        data = data[start + size :]
    return found


def test_an_event_reaches_its_subscriber_as_the_contract_shows_it(room, server):
    with listening(server) as client:
        until(lambda: server.subscribers == 1)
        room.commit(
            an_event(
                1, operation=44, version="0.8.2", sha="ab", actor="max", data={"gate": "x", "n": [1, "é"]}
            )
        )
        assert hear(client) == {
            "seq": 1, "at": "2026-11-23T12:00:00.250Z", "type": "GateDone", "operation": 44, "tier": "a",
            "node": None, "version": "0.8.2", "sha": "ab", "actor": "max", "data": {"gate": "x", "n": [1, "é"]},
        }  # fmt: skip


def test_without_since_only_what_is_new_is_heard(room, server):
    room.happen(10)
    with listening(server) as client:
        room.happen(2)
        assert seqs(client, 2) == [11, 12]


def test_since_replays_and_goes_live_without_a_gap_or_a_repetition_while_events_pour_in(room, server):
    room.happen(1500)
    pouring = threading.Thread(target=lambda: [room.happen(3) for _ in range(500)])
    pouring.start()
    with listening(server, "?since=100") as client:
        assert seqs(client, 2900) == list(range(101, 3001))
        pouring.join()
        room.happen(1)
        assert seqs(client, 1) == [3001]


def test_state_and_then_since_its_seq_misses_nothing(room, server):
    room.happen(5)
    seq = msgspec.json.decode(get(server, "/state")[1])["seq"]
    room.happen(5)
    with listening(server, f"?since={seq}") as client:
        assert seqs(client, 5) == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("since", [3, 4, 31, 2**60])
def test_a_since_that_is_gone_or_in_the_future_gets_the_state_and_goes_on_from_there(room, server, since):
    room.happen(30)
    del room.store.kept_events[:5]
    with listening(server, f"?since={since}") as client:
        first = hear(client)
        assert (first["type"], first["state"]["seq"]) == ("Reset", 30)
        assert first["state"]["now"].endswith("Z")
        room.happen(2)
        assert seqs(client, 2) == [31, 32]


def test_the_oldest_since_that_is_still_whole_is_replayed(room, server):
    room.happen(30)
    del room.store.kept_events[:5]
    with listening(server, "?since=5") as client:
        assert seqs(client, 25) == list(range(6, 31))


def test_what_was_never_published_is_filled_in_from_the_store(room, server):
    with listening(server) as client:
        room.happen(1)
        room.store.kept_events.extend(an_event(n) for n in range(2, 6))  # committed, and the news was lost
        room.happen(1)
        assert seqs(client, 6) == [1, 2, 3, 4, 5, 6]


def test_what_was_never_published_is_filled_in_where_news_piled_up_too(room, server):
    streams = server._streams
    with listening(server) as client:
        until(lambda: live(server) == 1)
        streams._wake = lambda: None
        room.happen(1)
        room.store.kept_events.extend(an_event(n) for n in range(2, 6))
        events = room.happen(2)
        room.board.publish(room.board.latest, events, ())
        del streams._wake
        room.happen(1)
        assert seqs(client, 8) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_an_event_that_is_published_twice_is_heard_once(room, server):
    with listening(server) as client:
        events = room.happen(2)
        room.board.publish(room.board.latest, events, ())
        room.happen(1)
        assert seqs(client, 3) == [1, 2, 3]


def test_fifty_clients_hear_everything_and_take_no_thread_of_the_server(room, server):
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(listening(server)) for _ in range(50)]
        until(lambda: server.subscribers == 50)
        assert threading.active_count() - threads == 50  # one of each client's own
        for _ in range(20):
            room.happen(5)
        for client in clients:
            assert seqs(client, 100) == list(range(1, 101))
        assert get(server, "/state")[0] == 200
    until(lambda: server.subscribers == 0)


def test_an_event_is_encoded_once_for_all(room, server, monkeypatch):
    encoded = []
    monkeypatch.setattr("api.board.event_bytes", lambda e: encoded.append(e.seq) or b'{"seq":%d}' % e.seq)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(listening(server)) for _ in range(5)]
        until(lambda: live(server) == 5)
        room.happen(3)
        assert [seqs(c, 3) for c in clients] == [[1, 2, 3]] * 5
    assert encoded == [1, 2, 3]


def test_one_that_never_reads_is_dropped_with_1013_while_a_good_one_hears_all(room, server):
    bad = raw_client(server)
    with listening(server) as good:
        until(lambda: live(server) == 2)
        heard = 0
        while not any(s.line.finishing for s in list(server._streams._all)):
            assert heard < 50_000, "the slow client was never dropped"
            room.happen(200, text="x" * 900)
            heard += 200
            assert seqs(good, 200)[-1] == heard
        room.happen(1)
        assert seqs(good, 1) == [heard + 1]
        frames = frames_of(read_all(bad))
    assert (frames[-1][0], int.from_bytes(frames[-1][1][:2], "big")) == (8, 1013)
    assert all(opcode == 1 for opcode, _ in frames[:-1])
    assert [msgspec.json.decode(text)["seq"] for _, text in frames[:-1]] == list(range(1, len(frames)))


def test_one_that_never_reads_even_the_end_is_cut(room, server, monkeypatch):
    monkeypatch.setattr("api.line.Line.finish.__defaults__", (0.05,))
    bad = raw_client(server, SO_RCVBUF=4096)
    until(lambda: live(server) == 1)
    stream = next(iter(server._streams._all))
    while not stream.line.finishing:
        assert room.store.last_seq() < 100_000
        seq = room.happen(1000, text="x" * 900)[-1].seq
        until(lambda: stream._heard == seq or stream.line.finishing)  # noqa: B023
    until(lambda: server.subscribers == 0)
    bad.close()


def test_one_that_never_reads_its_replay_is_dropped_too(room, server, monkeypatch):
    monkeypatch.setattr(websocket, "STALLED_S", 0.2)
    room.happen(10_000, text="x" * 900)
    bad = raw_client(server, "?since=0", SO_RCVBUF=4096)
    until(lambda: server.subscribers == 1)
    until(lambda: any(s.line.finishing for s in list(server._streams._all)))
    bad.close()


def test_one_that_stops_reading_what_is_live_is_dropped_after_a_while_and_not_at_some_ping(
    room, server, monkeypatch
):
    monkeypatch.setattr(websocket, "STALLED_S", 0.2)
    bad = raw_client(server, SO_RCVBUF=4096)
    until(lambda: live(server) == 1)
    stream = next(iter(server._streams._all))
    while stream.line.size < websocket.MOST_BUFFERED // 3 and not stream.line.finishing:
        assert room.store.last_seq() < 100_000
        seq = room.happen(100, text="x" * 900)[-1].seq
        until(lambda: stream._heard == seq or stream.line.finishing)  # noqa: B023
    assert stream.line.size < websocket.MOST_BUFFERED
    until(lambda: stream.line.finishing)
    bad.close()


def test_a_replay_is_read_no_faster_than_its_client_reads(room, server):
    room.happen(20_000, text="x" * 500)
    slow = raw_client(server, "?since=0", SO_RCVBUF=4096)
    until(lambda: server.subscribers == 1)
    stream = next(iter(server._streams._all))
    until(lambda: stream.line.size >= websocket.REPLAY_AHEAD)
    assert stream.line.size < 4 * websocket.REPLAY_AHEAD
    with listening(server) as good:
        room.happen(1)
        assert seqs(good, 1) == [20_001]
    slow.close()
    until(lambda: server.subscribers == 0)


def test_a_client_that_goes_away_is_told_goodbye_with_its_own_code(room, server):
    sock = raw_client(server)
    sock.sendall(b"\x88\x82" + b"\0\0\0\0" + (1000).to_bytes(2, "big"))
    assert frames_of(read_all(sock)) == [(8, (1000).to_bytes(2, "big"))]
    until(lambda: server.subscribers == 0)


def test_pings_are_answered_and_messages_ignored(room, server):
    sock = raw_client(server)
    sock.sendall(b"\x81\x85" + b"\0\0\0\0" + b"hello" + b"\x89\x82" + b"\0\0\0\0" + b"hi")
    assert sock.recv(100) == b"\x8a\x02hi"
    room.happen(1)
    assert frames_of(sock.recv(4096))[0][0] == 1
    sock.close()


def test_a_message_larger_than_4_kib_ends_the_connection(room, server):
    sock = raw_client(server)
    sock.sendall(b"\x81\xfe" + (5000).to_bytes(2, "big") + b"\0\0\0\0" + b"x" * 5000)
    frames = frames_of(read_all(sock))
    assert (frames[0][0], int.from_bytes(frames[0][1][:2], "big")) == (8, 1009)


@pytest.mark.parametrize(
    "junk", [b"\x81\x05hello", b"\xf1\x80\0\0\0\0", b"\x83\x80\0\0\0\0", b"\x81\x81\0\0\0\0\xff"]
)
def test_what_breaks_the_protocol_ends_the_connection_and_nothing_else(room, server, junk):
    sock = raw_client(server)
    sock.sendall(junk)
    frames = frames_of(read_all(sock))
    assert frames[0][0] == 8
    assert int.from_bytes(frames[0][1][:2], "big") in {1002, 1007}
    assert get(server, "/state")[0] == 200


def test_who_does_not_answer_a_ping_is_let_go(room, monkeypatch):
    monkeypatch.setattr(websocket, "PING_S", 0.1)
    with serving(room) as server:
        silent = raw_client(server)
        frames = frames_of(read_all(silent))
        assert [opcode for opcode, _ in frames] == [9, 8]
        assert int.from_bytes(frames[1][1][:2], "big") == 1008


def test_who_answers_pings_stays(room, monkeypatch):
    monkeypatch.setattr(websocket, "PING_S", 0.05)
    with serving(room) as server, listening(server) as client:
        until(lambda: server.subscribers == 1)
        stream = next(iter(server._streams._all))
        first = stream._ping_at
        until(lambda: stream._ping_at > first + 0.2)
        room.happen(1)
        assert seqs(client, 1) == [1]


def test_compression_is_not_negotiated(room, server):
    sock = ask(server, "/events", Sec_WebSocket_Extensions="permessage-deflate", **UPGRADE)
    head = read_head(sock).lower()
    assert b"101 switching" in head
    assert b"sec-websocket-extensions" not in head
    sock.close()


def test_when_sandod_ends_its_clients_hear_1001(room):
    with serving(room) as server:
        client = listen_to(server)
        until(lambda: server.subscribers == 1)
    assert closed_with(client) == 1001


@pytest.mark.parametrize(
    "query, change, status",
    [
        ("?since=x", {}, 422),
        ("?since=-1", {}, 422),
        ("?since=1&since=2", {}, 422),
        ("?since=" + "9" * 30, {}, 422),
        ("?since=0&limit=5", {}, 422),
        ("?wait=0", {}, 422),
        ("", {"Sec_WebSocket_Key": "short"}, 400),
        ("", {"Sec_WebSocket_Key": "!" * 24}, 400),
        ("", {"Sec_WebSocket_Version": "8"}, 426),
        ("", {"Connection": "close"}, 400),
        ("", {"Host": "evil.example"}, 403),
        ("", {"Origin": "http://evil.example"}, 403),
        ("", {"Origin": "null"}, 403),
    ],
)
def test_a_handshake_that_may_not_be_is_refused_before_it_begins(room, server, query, change, status):
    sock = ask(server, f"/events{query}", **(UPGRADE | change))
    head = read_head(sock)
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"application/problem+json" in head
    sock.close()
    assert server.subscribers == 0


@pytest.mark.parametrize("name", ["limit", "wait"])
def test_what_only_a_page_takes_is_refused_by_its_name(room, server, name):
    with contextlib.closing(ask(server, f"/events?{name}=1", **UPGRADE)) as sock:
        length = int(read_head(sock).partition(b"Content-Length: ")[2].partition(b"\r")[0])
        problem = msgspec.json.decode(sock.makefile("rb").read(length))
    assert (problem["status"], problem["code"]) == (422, "bad_field")
    assert problem["detail"] == f"{name}: belongs to the JSON answer; a WebSocket takes `since` alone"


def test_a_page_of_our_own_may_open_a_websocket(room, server):
    sock = ask(server, "/events", **UPGRADE, Origin=f"http://127.0.0.1:{server.port}")
    assert b"101 Switching" in read_head(sock)
    sock.close()


def test_without_the_seam_a_websocket_is_501(room):
    headers = {k.replace("_", "-"): v for k, v in UPGRADE.items()} | {"Host": HOST}
    answer = room.client.simulate_get("/events", headers=headers)
    assert (answer.status_code, answer.json["code"]) == (501, "not_implemented")


def test_a_store_that_fails_in_a_replay_asks_to_come_back(room, server):
    room.happen(3)
    room.store.broken = True
    with listening(server, "?since=0") as client:
        assert closed_with(client) == 1013


def test_fifty_rounds_of_connecting_and_leaving_leave_no_thread_and_no_descriptor(room, server):
    with listening(server):
        until(lambda: server.subscribers == 1)
    until(lambda: server.subscribers == 0)
    files, threads = open_files(), threading.active_count()
    for round_ in range(50):
        with listening(server, "?since=0" if round_ % 2 else ""):
            until(lambda: server.subscribers == 1)
        until(lambda: server.subscribers == 0)
    until(lambda: open_files() <= files)
    until(lambda: threading.active_count() <= threads)
