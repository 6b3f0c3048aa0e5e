"""One life of an actor: what it has in hand since when, and the door through which all goes that others see of it."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

from actors.messages.reply import Reply

_here = threading.local()
"""`life` is the one in whose turn this thread works."""
_nobody: AbstractContextManager[None] = nullcontext()


class DeposedError(BaseException):
    """The life in whose turn this thread works is over: nothing more that it does counts. Nobody but the boundary meets it."""


class Hand(NamedTuple):
    """A message that is being handled, `since` this many seconds of the boot clock."""

    message: Any
    since: float


class Life:
    """One life of an actor, known to it and to its parent: once it is over, nothing more is done in it, nor in those below.

    An actor that is told to stop would first handle all that its inbox holds, and one that hangs may go on some day in
    the middle of a handler; its successor is at work on the same rows by then. So each message is handled in a `turn`,
    and what others see of that (a save, a message, a job) is an act, done inside of `acting()`. A life ends between two
    acts: what was saved before is there for the successor, and nothing comes after.
    """

    __slots__ = ("_below", "_cut", "_door", "_hand", "_over", "_suspect", "held", "ref")

    def __init__(self, ref: Any = None) -> None:
        self.ref = ref
        self.held: list[Reply] = []
        """Replies that wait for a job: whoever ends this life answers them."""
        self._door = threading.RLock()
        """Held during an act. Acts lie in one another: a job that has ended tells so while it is adopted."""
        self._hand: Hand | None = None
        self._suspect: Hand | None = None
        self._over = self._cut = False
        self._below: list[Life] = []

    @property
    def over(self) -> bool:
        return self._over

    @property
    def cut(self) -> bool:
        """It was ended in the middle of a turn: what is in hand then may never be put down."""
        return self._cut

    @property
    def hand(self) -> Hand | None:
        return self._hand

    @property
    def is_parent(self) -> bool:
        return bool(self._below)

    # -- in the thread of the actor ------------------------------------------------------------------------------

    @contextmanager
    def turn(self, message: Any, up: float) -> Iterator[bool]:
        """One message is handled, if what this gives is true. After a bug it stays in hand: somebody may wait for it."""
        with self._door:
            mine = not self._over
            if mine:
                self._hand = Hand(message, up)
        _here.life = self if mine else None
        try:
            yield mine
        finally:
            _here.life = None
        with self._door:
            self._hand = None

    def __enter__(self) -> None:
        self._door.acquire()
        if self._over:
            self._door.release()
            raise DeposedError

    def __exit__(self, *_: object) -> None:
        self._door.release()

    def begin_below(self, ref: Any) -> "Life":
        """The life of a child; called by its parent, in an act."""
        life = Life(ref)
        self._below = [*(b for b in self._below if not b.over), life]
        return life

    # -- in that of its parent -----------------------------------------------------------------------------------

    def hangs(self, now: float, seconds: float) -> Hand | None:
        """What it has had in hand for so long, now and already at the look before.

        One look alone would take a process that was stopped for a while, or a machine that slept, for one that hangs.
        """
        hand = self._hand
        late = hand if hand is not None and now - hand.since >= seconds else None
        found, self._suspect = late if late is self._suspect else None, late
        return found

    def end(self) -> "list[Life]":
        """It is over, and so are those below; answers all of them, the topmost first. An act under way is finished before."""
        with self._door:
            if self._over:
                return []
            self._over, self._cut = True, self._hand is not None
            below, self._below = self._below, []
            return [self, *(ended for life in below for ended in life.end())]

    def depose(self, hand: Hand) -> "list[Life]":
        """The same of one that hangs with this in hand; none where it has come back meanwhile, or is in an act.

        What holds up an act (a disk, the runner, a lock) would hold up a successor's as well.
        """
        if not self._door.acquire(blocking=False):
            return []
        try:
            return self.end() if self._hand is hand else []
        finally:
            self._door.release()


def acting() -> AbstractContextManager[object]:
    """Around whatever an actor does that others see: done if its life goes on, else DeposedError is raised.

    For threads that work in no turn (HTTP, jobs, timers) it is no bar.
    """
    life: Life | None = getattr(_here, "life", None)
    return _nobody if life is None else life
