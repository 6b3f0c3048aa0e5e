"""The API as sandod has it, with somebody else than the actors who publishes. Run by __main__, not by hand.

It says its port; at each line that it reads it publishes as many events as its argument says, one by one as they would be
committed, and says when it began (CLOCK_MONOTONIC, which is the same for all processes).
"""

import sys
import threading
import time

from made import NOON, event, say

from api.app import create_app
from api.board import Board
from api.collaborators import Collaborators
from api.server import Server
from sando.model.clock import Instant
from sando.model.events import Event


class Kept:
    """The store, as far as subscribers read it."""

    def __init__(self) -> None:
        self.seq = 0

    def last_seq(self) -> int:
        return self.seq

    def first_seq(self) -> int:
        return 1

    def events(self, since: int, limit: int) -> list[Event]:
        return [event(seq) for seq in range(since + 1, min(self.seq, since + limit) + 1)]


class Picture:
    """A snapshot; nobody asks for more than its place."""

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.etag = f'"{seq}"'
        self.state: dict = {}

    def has_end_of(self, _operation: int) -> bool:
        return True

    def render(self, _now: Instant) -> bytes:
        return b"{}"


def publish(kept: Kept, board: Board, server: Server, count: int) -> None:
    for _ in sys.stdin:
        began = time.monotonic()
        for seq in range(kept.seq + 1, kept.seq + count + 1):
            kept.seq = seq
            board.publish(Picture(seq), (event(seq),), ())
        say(began)
    server.stop()


def main() -> None:
    kept, board = Kept(), Board()
    board.publish(Picture(0), (), ())
    given = Collaborators(
        store=kept, board=board, tell=lambda _message: None, clock=lambda: Instant(NOON, "boot", 1.0),
        read_log=lambda *_: (b"", 0), manifest=lambda _version: None, metrics=lambda: (b"", "text/plain"),
        listen=("127.0.0.1", 0),
    )  # fmt: skip
    server = Server(create_app(given), "127.0.0.1", 0, board=board)
    server.bind()
    say(server.port)
    threading.Thread(target=publish, args=(kept, board, server, int(sys.argv[1]))).start()
    server.run()
    server.close()


if __name__ == "__main__":
    main()
