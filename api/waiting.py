"""Waiting in the thread that asks, for servers without the seam of `api.connection`. Under sandod it is never reached."""

import threading
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from api.board import Board, News

T = TypeVar("T")
RECHECK_S = 5.0


def wait_here(board: Board, seconds: float, look: Callable[[bool], T | None]) -> T | None:
    """What `look` says first that is not None; it is asked after each publication, the last time with True."""
    news = threading.Event()

    def hear(_: News) -> None:
        news.set()

    leave = board.subscribe(hear)
    try:
        until = monotonic() + seconds
        while True:
            news.clear()
            left = until - monotonic()
            found = look(left <= 0)
            if found is not None or left <= 0:
                return found
            news.wait(min(left, RECHECK_S))
    finally:
        leave()
