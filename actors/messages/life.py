"""The life of the actors themselves: birth, death, the end of a job, the passing of time, and what is published."""

import threading
from dataclasses import dataclass, field
from typing import Any

from actors.messages.lives import Life
from actors.messages.reply import Reply, new_reply
from sando.model.answers import Answer
from sando.model.events import Event
from sando.work.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Begin:
    """parent -> child: load your state and take up what is unfinished.

    `fresh` says that the daemon has just started: what was running then died with the old one.
    """

    fresh: bool = False
    life: Life = field(default_factory=Life, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """dying child -> parent: a bug ended me; `name` is what the parent calls me, `ref` which of my lives it was.

    Of one that hangs the parent tells itself.
    """

    name: str
    ref: Any
    error: str


class Beat:
    """One walk of `Pulse` through the whole tree. Thread-safe; whoever sent it waits for its end, no actor does."""

    __slots__ = ("_done", "_lock", "_unready", "_waiting")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._waiting: set[str] = set()
        self._unready: set[str] = set()

    def sent(self, place: str) -> None:
        with self._lock:
            self._waiting.add(place)

    def heard(self, place: str, *, begun: bool = True) -> None:
        """After what was sent on from there: when nothing is left, the walk has ended."""
        with self._lock:
            self._waiting.discard(place)
            if not begun:
                self._unready.add(place)
            if not self._waiting:
                self._done.set()

    def wait(self, seconds: float) -> bool:
        return self._done.wait(max(0.0, seconds))

    @property
    def late(self) -> tuple[str, ...]:
        """Places that have not handled it yet."""
        with self._lock:
            return tuple(sorted(self._waiting))

    @property
    def unready(self) -> tuple[str, ...]:
        """Places whose state could not be read yet."""
        with self._lock:
            return tuple(sorted(self._unready))


@dataclass(frozen=True, slots=True)
class Pulse:
    """daemon -> Root -> children -> …: you have come round to this; `place` is the path of names that leads to you."""

    beat: Beat = field(default_factory=Beat, compare=False, repr=False)
    place: str = "root"


@dataclass(frozen=True, slots=True)
class LookAfter:
    """parent -> child that is a parent itself: see whether one of those below you hangs."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Supervisor -> Root: an actor without which there is no daemon failed too often."""

    why: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """daemon -> Root -> Supervisor -> children: begin nothing more, and say when you are idle."""

    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class Drained:
    """child -> parent: nothing of mine is in motion any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Note:
    """any -> itself: a fact to keep as soon as the store takes it; what it tells of has happened already."""

    event: Event


@dataclass(frozen=True, slots=True)
class JobDone:
    """job thread -> owner: the one end of the job `key`."""

    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class JobProgress:
    """job thread -> owner: how far the job `key` is; the latest one counts, and none has to arrive."""

    key: str
    said: Any


@dataclass(frozen=True, slots=True)
class Tick:
    """timer -> actor: the time for `what` has come; `number` tells an outdated one from the one waited for."""

    what: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Publish:
    """any -> Journal: something was committed; publish it, then give `answer` to `reply`."""

    reply: Reply | None = field(default=None, compare=False, repr=False)
    answer: Answer | None = None
    end: bool = False
    """An operation has ended, so somebody may wait for it: at once, not with what comes next."""
