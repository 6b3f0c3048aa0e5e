"""The one thread that serves every connection that waits or follows. It owns their sockets and never blocks on one."""

import contextlib
import logging
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic

from api.board import Board, News
from api.line import Line

log = logging.getLogger(__name__)

NEVER = float("inf")
TOGETHER = 200
"""So many events at most are taken as one: a client's buffer must not overflow by our own doing."""
MOST, MOST_OF_ONE = 1000, 500
"""Streams at once, and of one address; more are refused rather than running out of descriptors."""
LAST_WORD_BYTES = 2**20
"""So much of what a refused client still sends is read, that it comes to read the refusal."""


class Stream:
    """What happens on one line. Every method runs on the streams thread; none may block."""

    subscriber = False
    """Counted in sando_event_subscribers."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.due = NEVER
        self.permitted: Callable[[], bool] = _always
        """Asked after the tokens have changed."""

    def begin(self, seq: int, /) -> None:
        """The stream is in: from now on it hears all news after the one with `seq`."""

    def heard(self, news: News) -> None:
        """Something was published."""

    def received(self, data: bytes) -> None:
        """The client sent something; what waits for an answer has nothing to hear."""

    def drained(self) -> None:
        """The client has taken some of what waited for it."""

    def tick(self, now: float) -> None:
        """`due` has come; it is NEVER again unless this sets it anew."""

    def overheard(self) -> None:
        """The client says more than anybody listens to."""
        self.line.lost = True

    def banish(self) -> None:
        """The token that it came with is none any more."""
        self.line.lost = True

    def shut(self) -> None:
        """The daemon ends: a last word, if there is one."""
        self.line.finish(0)


class LastWord(Stream):
    """An answer to somebody who may still be sending: a connection that is closed over unread bytes loses it."""

    def __init__(self, line: Line, answer: bytes) -> None:
        super().__init__(line)
        line.patience = LAST_WORD_BYTES
        line.send(answer)
        line.finish()


class Streams:
    """Start, adopt from any thread, close; after `close` nothing of it is left, neither thread nor descriptor."""

    def __init__(self, board: Board, *, on_end: Callable[[], None] = lambda: None) -> None:
        self._board = board
        self._on_end = on_end
        self._selector = selectors.DefaultSelector()
        self._awake, self._waker = socket.socketpair()
        self._awake.setblocking(False)
        self._waker.setblocking(False)
        self._inbox: deque[_Item] = deque()
        self._all: dict[Stream, int] = {}
        self._seq = 0
        self._next = NEVER
        self._ending = NEVER
        self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
        self._leave_board: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._open = False
        self._count = 0
        self._shares: dict[str, int] = {}
        self.subscribers = 0

    def start(self) -> None:
        self._selector.register(self._awake, selectors.EVENT_READ)
        self._leave_board = self._board.subscribe(self._post)
        latest = self._board.latest
        self._seq = latest.seq if latest else 0
        self._open = True
        self._thread.start()

    def reserve(self, address: str) -> bool:
        """A place for one more, to be filled by `adopt` or given back by `unreserve`; False when full or closed."""
        with self._lock:
            share = self._shares.get(address, 0)
            if not self._open or self._count >= MOST or share >= MOST_OF_ONE:
                return False
            self._count += 1
            self._shares[address] = share + 1
            return True

    def unreserve(self, address: str) -> None:
        with self._lock:
            self._count -= 1
            self._shares[address] -= 1
            if not self._shares[address]:
                del self._shares[address]

    def adopt(self, stream: Stream) -> None:
        with self._lock:
            if self._open:
                self._inbox.append(stream)
                self._wake()
                return
        stream.line.close()

    def close(self, within: float = 1.0) -> None:
        """Every client is told the end and gets `within` seconds to read it."""
        with self._lock:
            was_open, self._open = self._open, False
        if was_open:
            self._leave_board()
            self._post(within)
            self._thread.join(within + 5)
        self._awake.close()
        self._waker.close()
        self._selector.close()

    def check_permits(self) -> None:
        """From any thread: who is not permitted any more is banished."""
        self._post(_Permits())

    def _post(self, item: "_Item") -> None:
        self._inbox.append(item)
        self._wake()

    def _wake(self) -> None:
        # A full pipe is as good as a wake-up; a closed one means that nobody is left to be woken.
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    # -- on the thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._all or self._inbox or self._ending == NEVER:
                self._turn()
        except Exception:
            log.exception("the streams thread ended; followers and subscribers are cut off")
        finally:
            with self._lock:
                self._open = False
            for stream in [*self._all, *(i for i in self._inbox if isinstance(i, Stream))]:
                stream.line.close()
            self._on_end()

    def _turn(self) -> None:
        timeout = None if self._next == NEVER else max(0.0, self._next - monotonic())
        for key, mask in self._selector.select(timeout):
            if key.data is None:
                with contextlib.suppress(BlockingIOError):
                    self._awake.recv(4096)
            else:
                self._guarded(key.data, partial(_ready, mask=mask))
        while self._inbox:
            self._take(self._next_item())
        now = monotonic()
        if now >= self._next:
            self._fire(now)

    def _next_item(self) -> "_Item":
        """News that piled up is taken together: one send to each subscriber instead of many."""
        item = self._inbox.popleft()
        while isinstance(item, News) and self._inbox and isinstance(later := self._inbox[0], News):
            if not item.goes_on_in(later, TOGETHER):
                break
            item = item.then(later)
            self._inbox.popleft()
        return item

    def _take(self, item: "_Item") -> None:
        match item:
            case Stream():
                self._enter(item)
            case News():
                self._seq = max(self._seq, item.snapshot.seq)
                self._each(lambda s: s.heard(item))
            case _Permits():
                self._each(_check_permit)
            case _:
                self._ending = monotonic() + item
                self._next = min(self._next, self._ending)
                self._each(lambda s: s.shut())

    def _each(self, act: Callable[[Stream], None]) -> None:
        """Of those that have not had their last word."""
        for stream in [s for s in self._all if not s.line.finishing]:
            self._guarded(stream, act)

    def _enter(self, stream: Stream) -> None:
        try:
            self._selector.register(stream.line.sock, selectors.EVENT_READ, stream)
        except OSError as error:  # the system's limit of watched descriptors
            log.warning("a stream cannot be watched: %s", error)
            stream.line.close()
            return self.unreserve(stream.line.address)
        self._all[stream] = selectors.EVENT_READ
        self.subscribers += stream.subscriber
        self._guarded(stream, _check_permit)  # it may have been on its way here while the tokens changed
        self._guarded(stream, lambda s: s.begin(self._seq))
        if self._ending != NEVER:
            self._guarded(stream, lambda s: s.shut())

    def _guarded(self, stream: Stream, act: Callable[[Stream], None]) -> None:
        """A stream that fails ends alone."""
        if stream not in self._all:
            return
        try:
            act(stream)
        except Exception:
            log.exception("a stream failed and is cut off")
            stream.line.lost = True
        self._settle(stream)

    def _settle(self, stream: Stream) -> None:
        line = stream.line
        if line.finishing:
            stream.due = NEVER
            line.hang_up()
        if line.lost:
            return self._drop(stream)
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.size else 0)
        if mask != self._all[stream]:
            self._all[stream] = mask
            self._selector.modify(line.sock, mask, stream)
        self._next = min(self._next, stream.due, line.deadline)

    def _drop(self, stream: Stream) -> None:
        del self._all[stream]
        self._selector.unregister(stream.line.sock)
        stream.line.close()
        self.subscribers -= stream.subscriber
        self.unreserve(stream.line.address)

    def _fire(self, now: float) -> None:
        self._next = NEVER
        for stream in list(self._all):
            if now >= min(stream.line.deadline, self._ending):
                self._drop(stream)
            elif now >= stream.due:
                stream.due = NEVER
                self._guarded(stream, lambda s: s.tick(now))
            else:
                self._next = min(self._next, stream.due, stream.line.deadline)
        self._next = min(self._next, self._ending) if self._all else self._next


def _ready(stream: Stream, mask: int) -> None:
    if mask & selectors.EVENT_WRITE:
        stream.line.flush()
        if not stream.line.finishing:
            stream.drained()
    if mask & selectors.EVENT_READ and (data := stream.line.receive()):
        if stream.line.patience < 0:
            stream.line.lost = stream.line.lost or stream.line.finishing
            stream.overheard()
        elif not stream.line.finishing:
            stream.received(data)


def _check_permit(stream: Stream) -> None:
    if not stream.permitted():
        stream.banish()


def _always() -> bool:
    return True


class _Permits:
    """The tokens have changed."""


_Item = Stream | News | _Permits | float
