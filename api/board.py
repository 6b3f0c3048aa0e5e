"""The latest snapshot, and who is told of a new one. It never blocks the thread that publishes, and never reads a store."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from api.frame import frame
from api.shown import event_bytes
from sando.model.clock import Instant
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.topology import Topology

log = logging.getLogger(__name__)


class Snapshot(Protocol):
    """The published state. `etag` comes with its quotes; `state` is the structure of GET /state.

    `topology` is the one that it was composed for.
    """

    seq: int
    etag: str
    state: dict[str, Any]
    topology: Topology

    def has_end_of(self, operation: int, /) -> bool:
        """Whether it shows what came of an operation that has ended."""
        ...

    def render(self, now: Instant) -> bytes:
        """The body of GET /state, encoded; only `now` and the running clocks are filled in."""
        ...


@dataclass(frozen=True)
class News:
    """One publication. What many subscribers need is made once, by the first that asks."""

    snapshot: Snapshot
    events: tuple[Event, ...]
    ended: tuple[Operation, ...]

    @property
    def first(self) -> int:
        """The place of the first event; 0 where there is none."""
        return self.events[0].seq if self.events else 0

    @property
    def last(self) -> int:
        return self.events[-1].seq if self.events else 0

    @cached_property
    def frames(self) -> list[tuple[int, bytes]]:
        """Each event's place and its WebSocket frame, in order."""
        return [(e.seq, frame(event_bytes(e))) for e in self.events]

    @cached_property
    def blob(self) -> bytes:
        return b"".join(f for _, f in self.frames)

    @cached_property
    def ended_by_id(self) -> dict[int, Operation]:
        return {o.id: o for o in self.ended}

    def goes_on_in(self, later: "News", most: int) -> bool:
        """Both may be taken as one: no event is missing between them, none is in both, and there are not too many."""
        joined = not self.events or not later.events or self.last + 1 == later.first
        return joined and len(self.events) + len(later.events) <= most

    def then(self, later: "News") -> "News":
        """Both as one, as a reader hears them who was busy meanwhile."""
        return News(later.snapshot, self.events + later.events, self.ended + later.ended)


Sink = Callable[[News], None]


class Board:
    """Written by the Journal, read by every request. A sink only puts the news into an inbox of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: Snapshot | None = None
        self._sinks: tuple[Sink, ...] = ()

    @property
    def latest(self) -> Snapshot | None:
        """None until the Journal has published for the first time."""
        return self._latest

    def tells_end(self, operation: Operation) -> bool:
        """Whether it has ended and /state shows it too, where who hears of the end looks next."""
        latest = self._latest
        return operation.status.ended and (latest is None or latest.has_end_of(operation.id))

    def publish(self, snapshot: Snapshot, events: Sequence[Event], ended: Sequence[Operation]) -> None:
        with self._lock:
            self._latest = snapshot
            sinks = self._sinks
        news = News(snapshot, tuple(events), tuple(ended))
        for sink in sinks:
            try:
                sink(news)
            except Exception:  # a broken subscriber must not end the Journal, nor keep the news from others
                log.exception("a subscriber of the board failed")

    def subscribe(self, sink: Sink) -> Callable[[], None]:
        """From now on `sink` hears every publication; what is returned ends that."""
        with self._lock:
            self._sinks = (*self._sinks, sink)

        def leave() -> None:
            with self._lock:
                self._sinks = tuple(s for s in self._sinks if s is not sink)

        return leave
