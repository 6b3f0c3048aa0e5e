"""Every event reaches who reads, whoever else does not; who comes back with `since` misses none, restarts included."""

import contextlib
import itertools
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Self

from simple_websocket import Client
from simple_websocket.errors import SimpleWebsocketError
from wsproto.utilities import ProtocolError

from tests.system.sandod import PATIENCE_S, until
from tests.system.test_siege import resident
from tests.system.workspace import tier

EVENTS = int(os.environ.get("SANDO_EVENTS", "1500"))
"""100,000 is what issue and notes speak of; that takes some minutes."""
DEAF = 50
GROWTH = 20 * 2**20
TIERS = "abcdefgh"
REASON = "x" * 1000
HANDSHAKE = (
    "GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2tra2tra2tra2tra2traw==\r\n\r\n"
)


class Listener(Client):
    """Hears also what came in one packet with the handshake."""

    def handshake(self) -> None:
        super().handshake()
        self.connected = self._handle_events()


class Good:
    """A client as it should be: it reads, and comes back with the last `seq` that it has."""

    def __init__(self, port: int, since: int = 0) -> None:
        self.port = port
        self.seqs: list[int] = []
        self.since = since
        self.others: list[dict] = []
        self.over = False
        self.client: Client | None = None
        self.thread = threading.Thread(target=self._listen)

    @property
    def last(self) -> int:
        return self.seqs[-1] if self.seqs else self.since

    def _listen(self) -> None:
        while not self.over:
            with contextlib.suppress(OSError, SimpleWebsocketError, ProtocolError):
                self.client = Listener.connect(f"ws://127.0.0.1:{self.port}/events?since={self.last}")
                while not self.over:
                    self._hear(self.client.receive(timeout=0.2))
                self.client.close()

    def _hear(self, text: str | None) -> None:
        if text is not None:
            event = json.loads(text)
            if "seq" in event:
                self.seqs.append(event["seq"])
            else:
                self.others.append(event)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        self.thread.join(30)

    def cut(self) -> None:
        """As a network does that goes away."""
        if self.client is not None:
            with contextlib.suppress(OSError):
                self.client.sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def deaf(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(count):
            sock = stack.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", port))
            sock.sendall(HANDSHAKE.encode())
            assert sock.recv(12) == b"HTTP/1.1 101"
            found.append(sock)
        yield found


def make_events(port: int, count: int, reason: str = REASON) -> None:
    """That many, each a commit of its own, from as many connections as there are tiers."""

    def one(name: str, share: int) -> None:
        link = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        body, kind = json.dumps({"reason": reason}), {"Content-Type": "application/json"}
        for turn in range(share):
            if turn % 2:
                link.request("DELETE", f"/lock/{name}")
            else:
                link.request("POST", f"/lock/{name}", body, kind)
            answer = link.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
        link.close()

    shares = [count // len(TIERS) + (n < count % len(TIERS)) for n in range(len(TIERS))]
    with ThreadPoolExecutor(len(TIERS)) as pool:
        for future in [pool.submit(one, name, share) for name, share in zip(TIERS, shares, strict=True)]:
            future.result()


def subscribers(sandod) -> int:
    lines = sandod.get("/metrics").body.splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("sando_event_subscribers "))


def test_fifty_that_never_read_cost_one_that_does_nothing_and_sandod_little(sandod):
    sandod.configure(*(tier(name) for name in TIERS)).start()
    make_events(sandod.port, 200)
    with Good(sandod.port) as good, deaf(sandod.port, DEAF):
        until(lambda: subscribers(sandod) == DEAF + 1)
        until(lambda: good.last >= 200)
        before = resident(sandod.pid)
        make_events(sandod.port, EVENTS)
        last = sandod.state()["seq"]
        until(lambda: good.last == last, what="for the good one to have all")
        grown = resident(sandod.pid) - before
        print(f"{EVENTS} events, grown by {grown / 2**20:.1f} MB")  # noqa: T201
        assert good.seqs == list(range(1, last + 1))
        assert good.others == []
        assert grown < GROWTH
    assert sandod.stop() == 0


def test_who_is_cut_off_again_and_again_and_comes_back_with_since_misses_none(sandod):
    sandod.configure(*(tier(name) for name in TIERS)).start()
    with Good(sandod.port) as good, ThreadPoolExecutor(1) as pool:
        making = pool.submit(make_events, sandod.port, 400, "short")
        for edge in itertools.count(50, 50):
            until(lambda: good.last >= edge or making.done())  # noqa: B023
            if making.done():
                break
            good.cut()
        making.result()
        last = sandod.state()["seq"]
        until(lambda: good.last == last)
        assert good.seqs == list(range(1, last + 1))
        assert good.others == []


def test_who_comes_back_to_a_sandod_that_was_restarted_or_killed_misses_none(sandod):
    sandod.configure(*(tier(name) for name in TIERS)).start()
    with Good(sandod.port) as good:
        for end in (signal.SIGTERM, signal.SIGKILL):
            make_events(sandod.port, 32, "short")
            sandod.signal(end)
            sandod.wait()
            sandod.start()
        make_events(sandod.port, 32, "short")
        last = sandod.state()["seq"]
        until(lambda: good.last == last)
        assert good.seqs == list(range(1, last + 1))
        assert good.others == [], "no Reset: nothing was too old"
    kinds = [e["type"] for e in sandod.hear()]
    assert kinds.count("DaemonStarted") == 3


def test_a_since_of_a_store_that_is_gone_gets_the_state_and_goes_on(sandod):
    sandod.configure(tier("a")).start()
    seq = sandod.state()["seq"]
    with Good(sandod.port, since=seq + 1000) as good:
        until(lambda: good.others)
        assert good.others[0]["type"] == "Reset"
        assert good.others[0]["state"]["seq"] == seq
        sandod.post("/lock/a", {"reason": "x"})
        until(lambda: good.seqs)
        assert good.seqs == [seq + 1]
