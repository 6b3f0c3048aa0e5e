#!/usr/bin/env python3
"""1,000 events to 100 WebSocket subscribers: sandod against an asyncio broadcast with `websockets`, in one run.

Usage: .venv/bin/python contrib/bench/events [ROUNDS] [SUBSCRIBERS] [EVENTS]        (default 9, 100 and 1000)

Each server is a process of its own that makes and encodes the same events and sends them one by one. The clock runs from
the first one until the last subscriber has the last one. All subscribers are plain sockets in one process, which look
for the last `seq` in what comes and do nothing else; the ways take turns. In the ways `… one deaf` one more has connected
that never reads. `websockets` is installed by pip into an environment of the run's own.
"""

import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
HANDSHAKE = (
    b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2tra2tra2tra2tra2traw==\r\n\r\n"
)
PATIENCE_S = 60.0


def connect(port: int, *, deaf: bool = False) -> socket.socket:
    sock = socket.socket()
    if deaf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(PATIENCE_S)
    sock.connect(("127.0.0.1", port))
    sock.sendall(HANDSHAKE)
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    if not head.startswith(b"HTTP/1.1 101"):
        raise SystemExit(f"no WebSocket: {head!r}")
    return sock


class Way:
    """One server, and who listens to it."""

    def __init__(self, name: str, argv: list[str], subscribers: int, events: int, *, deaf: bool) -> None:
        self.name, self.events, self.seq = name, events, 0
        self.process = subprocess.Popen(
            [*argv, str(events)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.port = int(self.process.stdout.readline())
        self.socks = [connect(self.port) for _ in range(subscribers)]
        self.deaf = deaf
        self.times: list[float] = []

    def run(self) -> float:
        """Milliseconds. A new deaf one each time: sandod sends it away after a while."""
        silent = connect(self.port, deaf=True) if self.deaf else None
        time.sleep(0.2)  # whoever has just connected is served live by now
        self.seq += self.events
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        ended = hear_all(self.socks, b'"seq":%d' % self.seq)
        began = float(self.process.stdout.readline())
        if silent is not None:
            silent.close()
        return (ended - began) * 1000

    def end(self) -> None:
        for sock in self.socks:
            sock.close()
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def hear_all(socks: list[socket.socket], last: bytes) -> float:
    """When the last of them had the last event."""
    with selectors.DefaultSelector() as selector:
        tails = {}
        for sock in socks:
            tails[sock] = b""
            selector.register(sock, selectors.EVENT_READ)
        while tails:
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise SystemExit(f"{len(tails)} subscribers wait in vain for {last!r}")
            for key, _ in ready:
                data = key.fileobj.recv(262144)
                if not data:
                    raise SystemExit("a subscriber that reads was cut off")
                if last in tails[key.fileobj] + data:
                    selector.unregister(key.fileobj)
                    del tails[key.fileobj]
                else:
                    tails[key.fileobj] = data[-len(last) :]
    return time.monotonic()


def peer(folder: Path) -> str:
    """The interpreter of an environment that has the peer, beside what makes the events."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "websockets", "msgspec"], check=True)
    return python


def main() -> None:
    rounds, subscribers, events = (
        int(word) for word in [*sys.argv[1:], *("9", "100", "1000")[len(sys.argv) - 1 :]]
    )
    folder = Path(tempfile.mkdtemp(prefix="sando-bench-"))
    ways: list[Way] = []
    try:
        theirs = [peer(folder / "venv"), str(HERE / "theirs.py")]
        ours = [sys.executable, str(HERE / "ours.py")]
        for name, argv, deaf in (
            ("asyncio `websockets`, broadcast", theirs, False),
            ("sandod", ours, False),
            ("sandod, one deaf", ours, True),
        ):
            ways.append(Way(name, argv, subscribers, events, deaf=deaf))
        for number in range(rounds + 1):
            for way in ways[number % 3 :] + ways[: number % 3]:
                took = way.run()
                if number:  # the first one warms up
                    way.times.append(took)
        print(
            f"{rounds} rounds, {events} events to {subscribers} subscribers, {os.cpu_count()} cores; milliseconds\n"
        )
        print("| way | median | range |\n| --- | --- | --- |")
        for way in ways:
            print(
                f"| {way.name} | {statistics.median(way.times):.0f} | {min(way.times):.0f} - {max(way.times):.0f} |"
            )
        peers, own, beside = (statistics.median(way.times) for way in ways)
        print(f"\nsandod / websockets = {own / peers:.2f} (bar: 1)")
        print(f"one deaf / none = {beside / own:.2f} (bar: 1, but for noise)")
    finally:
        for way in ways:
            way.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
