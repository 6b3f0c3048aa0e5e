"""Odd clients of GET /events: whatever they send, they harm nobody but themselves, and sandod says why they go."""

import logging
import socket
import struct

import pytest

from api.line import HEARD_MOST
from tests.api.room import ask, get, read_all, read_head, until
from tests.api.test_websocket import UPGRADE, frames_of, listening, raw_client, seqs

TEXT, BINARY, CLOSE, PING, PONG, MORE = 1, 2, 8, 9, 10, 0


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, mask: bool = True, rsv: int = 0) -> bytes:
    size = len(payload)
    first = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    masked = 0x80 if mask else 0
    if size < 126:
        length = bytes([masked | size])
    elif size < 65536:
        length = bytes([masked | 126]) + struct.pack("!H", size)
    else:
        length = bytes([masked | 127]) + struct.pack("!Q", size)
    return first + length + (b"\0\0\0\0" if mask else b"") + payload


def closing(sock: socket.socket) -> int:
    """The code with which sandod ends it; also where the client has gone on talking."""
    opcode, payload = frames_of(read_all(sock))[-1]
    assert opcode == CLOSE
    return int.from_bytes(payload[:2], "big")


@pytest.fixture(autouse=True)
def _nothing_breaks(caplog):
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.records == []


@pytest.mark.parametrize(
    "said",
    [
        frame(TEXT, b"hello") + frame(BINARY, bytes(range(256))),
        frame(TEXT, b"hel", fin=False) + frame(PING, b"in between") + frame(MORE, b"lo"),
        frame(BINARY, b"\xff", fin=False) + frame(MORE, b"", fin=False) + frame(MORE, b"\xfe"),
        frame(TEXT, "é".encode()[:1], fin=False) + frame(MORE, "é".encode()[1:]),
        frame(TEXT) + frame(BINARY) + frame(PONG, b"never asked for"),
        frame(TEXT, b"x" * 4096),
    ],
)
def test_what_a_client_says_is_passed_over(room, server, said):
    with raw_client(server) as sock:
        sock.sendall(said + frame(PING, b"are you there"))
        heard = b""
        while b"are you there" not in heard:
            heard += sock.recv(4096)
        room.happen(1)
        assert b'"seq":1' in sock.recv(4096)


def test_frames_may_come_byte_by_byte(room, server):
    with raw_client(server) as sock:
        for byte in frame(TEXT, b"hello") + frame(PING, b"!"):
            sock.sendall(bytes([byte]))
        assert sock.recv(100) == b"\x8a\x01!"


@pytest.mark.parametrize(
    "said, code",
    [
        (frame(TEXT, b"hello", mask=False), 1002),
        (frame(TEXT, b"hello", rsv=4), 1002),
        (frame(3, b""), 1002),
        (frame(11, b""), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", fin=False), 1002),
        (frame(MORE, b"of nothing"), 1002),
        (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(TEXT, "\ud800".encode("utf-8", "surrogatepass")), 1007),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, struct.pack("!H", 999)), 1002),
        (frame(CLOSE, struct.pack("!H", 1005)), 1002),
        (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), 1007),
        (frame(TEXT, b"x" * 4097), 1009),
        (frame(TEXT, b"x" * 3000, fin=False) + frame(MORE, b"x" * 3000), 1009),
        (b"\x81\xff" + struct.pack("!Q", 2**62) + b"\0\0\0\0" + b"x" * 5000, 1009),
        (b"\x81\xff" + struct.pack("!Q", 2**63) + b"\0\0\0\0" + b"x" * 5000, 1002),
        (b"GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n", 1002),
        (bytes(range(256)), 1002),
    ],
)
def test_what_breaks_the_protocol_or_is_too_large_is_told_in_the_close(server, said, code):
    sock = raw_client(server)
    sock.sendall(said)
    assert closing(sock) == code
    assert get(server, "/state")[0] == 200


@pytest.mark.parametrize(
    "said, answered",
    [
        (frame(CLOSE), b""),
        (frame(CLOSE, struct.pack("!H", 1000)), struct.pack("!H", 1000)),
        (frame(CLOSE, struct.pack("!H", 1001) + b"going home"), struct.pack("!H", 1001) + b"going home"),
        (frame(CLOSE, struct.pack("!H", 3000)), struct.pack("!H", 3000)),
        (frame(CLOSE, struct.pack("!H", 1000)) + frame(TEXT, b"and another thing"), struct.pack("!H", 1000)),
    ],
)
def test_a_goodbye_is_answered_with_the_same(server, said, answered):
    sock = raw_client(server)
    sock.sendall(said)
    opcode, payload = frames_of(read_all(sock))[-1]
    assert (opcode, payload) == (CLOSE, answered)
    until(lambda: server.subscribers == 0)


@pytest.mark.parametrize(
    "flood", [frame(PING), frame(TEXT), frame(PONG, b"x" * 100), frame(MORE, b"", fin=False)]
)
def test_one_that_never_stops_talking_is_sent_away_and_delays_nobody(room, server, flood):
    loud = raw_client(server)
    first = frame(TEXT, b"", fin=False) if flood == frame(MORE, b"", fin=False) else b""
    with listening(server) as good:
        until(lambda: server.subscribers == 2)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe|timed out"):
            pour(loud, first + flood * (2 * HEARD_MOST // len(flood)))
        until(lambda: server.subscribers == 1)
        room.happen(1)
        assert seqs(good, 1) == [1]
    loud.close()


def pour(sock: socket.socket, piece: bytes) -> None:
    for _ in range(10_000):
        sock.sendall(piece)


def test_too_much_is_told_in_the_close(server):
    loud = raw_client(server)
    loud.sendall(frame(PONG) * (HEARD_MOST // 6 + 600))
    assert closing(loud) == 1008


def test_a_client_that_closes_its_sending_side_only_is_gone(server):
    sock = raw_client(server)
    sock.shutdown(socket.SHUT_WR)
    read_all(sock)
    until(lambda: server.subscribers == 0)


def test_a_client_that_is_cut_off_is_gone(server):
    sock = raw_client(server)
    until(lambda: server.subscribers == 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    until(lambda: server.subscribers == 0)


def test_what_was_said_before_the_answer_to_the_handshake_is_not_lost_and_harms_nothing(room, server):
    """A client that cannot wait: its ping may go with the handshake, into the hands of Waitress."""
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in ({"Host": "localhost"} | UPGRADE).items())
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(f"GET /events HTTP/1.1\r\n{lines}\r\n".encode() + frame(PING, b"early"))
        head = read_head(sock)
        assert head.startswith((b"HTTP/1.1 101", b"HTTP/1.1 400"))
    assert get(server, "/state")[0] == 200


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE", "OPTIONS"])
def test_only_a_get_can_become_a_websocket(server, method):
    with ask(server, "/events", method, **UPGRADE) as sock:
        assert b" 101 " not in read_head(sock).split(b"\r\n")[0]
    assert server.subscribers == 0


@pytest.mark.parametrize("upgrade", ["h2c", "websocket2", "", "WEBSOCKET, h2c"])
def test_another_upgrade_is_no_websocket(server, upgrade):
    answer = read_all(
        ask(server, "/events?limit=1", **(UPGRADE | {"Upgrade": upgrade, "Connection": "close"}))
    )
    assert answer.startswith(b"HTTP/1.1 200")
