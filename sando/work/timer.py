"""Calls small callables later, from one thread; they may only post a message, never work or wait."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

Call = Callable[[], None]

_LONGEST_WAIT = 3600.0  # a wait without end is refused by some platforms; waking once an hour costs nothing
_COMPACT_FROM = 64


class _Entry:
    """`call` is None once it was called or cancelled, so that a long timer holds nothing in memory."""

    __slots__ = ("at", "call", "number")

    def __init__(self, at: float, number: int, call: Call) -> None:
        self.at = at
        self.number = number
        self.call: Call | None = call

    def __lt__(self, other: "_Entry") -> bool:
        return (self.at, self.number) < (other.at, other.number)


class Timer:
    """Seconds are of the monotonic clock: a jump of the wall clock moves nothing."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._heap: list[_Entry] = []
        self._dropped = 0
        self._numbers = itertools.count()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="timer", daemon=True)
        self._thread.start()

    def after(self, seconds: float, call: Call) -> Call:
        """Call `call` once, `seconds` from now; the answer cancels it, and may be called at any time."""
        entry = _Entry(time.monotonic() + max(0.0, seconds), next(self._numbers), call)
        with self._wake:
            if not self._closed:
                heapq.heappush(self._heap, entry)
                if self._heap[0] is entry:
                    self._wake.notify()
        return lambda: self._cancel(entry)

    def close(self) -> None:
        """Nothing is called any more once this has returned, unless called from a timer's own call."""
        with self._wake:
            self._closed = True
            self._heap.clear()
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(5.0)

    def _cancel(self, entry: _Entry) -> None:
        with self._wake:
            if entry.call is None:
                return
            entry.call = None
            self._dropped += 1
            if self._dropped > max(_COMPACT_FROM, len(self._heap) // 2):
                self._heap = [e for e in self._heap if e.call is not None]
                heapq.heapify(self._heap)
                self._dropped = 0

    def _loop(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:
                log.exception("timer: a call raised")

    def _next(self) -> Call | None:
        """Wait for the first entry that is due; None once closed."""
        with self._wake:
            while not self._closed:
                left = self._heap[0].at - time.monotonic() if self._heap else _LONGEST_WAIT
                if left > 0:
                    self._wake.wait(min(left, _LONGEST_WAIT))
                    continue
                entry = heapq.heappop(self._heap)
                call, entry.call = entry.call, None
                if call is not None:
                    return call
                self._dropped = max(0, self._dropped - 1)
        return None
