"""One notifier: a thread that reads the stored events behind its place and has each delivered, in order, again and again.

The queue is the table of events itself; only the place is kept, after each delivery.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sando.model.clock import Clock
from sando.model.errors import StoreUnavailable, Undelivered
from sando.model.events import Event
from sando.model.notices import given_up, pause, too_old, wants
from sando.model.topology import NotifySpec

log = logging.getLogger(__name__)

PAGE = 500
AWAY_S = 5.0
"""How soon a store that is away is asked again."""


class Store(Protocol):
    """Any thread; raises StoreUnavailable."""

    def events(self, since: int, limit: int, /) -> Sequence[Event]: ...

    def last_seq(self) -> int: ...

    def fact(self, key: str, /) -> Any: ...

    def save(self, *values: Any) -> object: ...

    def close(self) -> None: ...


class Attempt(Protocol):
    def send(self) -> None:
        """Raises Undelivered."""
        ...

    def abort(self) -> None: ...


class Notifier:
    """`wake` it when there are new events. `moved` keeps its place, with the event that tells of a loss, in one commit."""

    def __init__(
        self,
        spec: NotifySpec,
        place: int,
        store: Store,
        clock: Clock,
        attempt: Callable[[NotifySpec, Event], Attempt],
        moved: Callable[[str, int, Event | None], None],
    ) -> None:
        self.spec = spec
        self.place = place
        self._store = store
        self._clock = clock
        self._attempt = attempt
        self._moved = moved
        self._seen = place
        self._failures = 0
        self._not_before = 0.0
        self._wake = threading.Event()
        self._closing = False
        self._now: Attempt | None = None
        self._thread = threading.Thread(target=self._run, name=f"notify {spec.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def change(self, spec: NotifySpec) -> None:
        """From a reload: the same notifier in other words; it tries at once."""
        if spec != self.spec:
            self.spec = spec
            self._not_before = 0.0
            self._wake.set()

    def finish(self) -> None:
        """It ends as soon as nothing is left to deliver, or something cannot be."""
        self._closing = True
        self._wake.set()

    def end(self, seconds: float) -> bool:
        """After `finish`: waits, then breaks off; False when its thread hangs all the same."""
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive() and (now := self._now) is not None:
            now.abort()
            self._thread.join(1.0)
        return not self._thread.is_alive()

    # -- on the thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while (left := self._turn()) is not None:
                self._wake.wait(left or None)
                self._wake.clear()
        except Exception:
            log.exception("notify %s: ended by a bug; it goes on at the next start", self.spec.name)
        finally:
            self._store.close()

    def _turn(self) -> float | None:
        """Delivers what can be; seconds until it wants to go on, 0 for as long as nothing happens, None at the end."""
        try:
            while event := self._next():
                left = self._not_before - time.monotonic()
                if left > 0:
                    return None if self._closing else left
                self._deliver(event)
        except StoreUnavailable as error:
            log.warning("notify %s: the store is away: %s", self.spec.name, error)
            return None if self._closing else AWAY_S
        return None if self._closing else 0.0

    def _next(self) -> Event | None:
        """The first event behind its place that it wants. What it does not want is passed without a commit each."""
        while page := self._store.events(self._seen, PAGE):
            for event in page:
                if wants(self.spec, event):
                    return event
                self._seen = event.seq
            if self._seen - self.place > PAGE:
                self._go_on(self._seen)
        return None

    def _deliver(self, event: Event) -> None:
        try:
            self._now = self._attempt(self.spec, event)
            self._now.send()
        except Undelivered as error:
            self._failed(event, error)
        else:
            if self._failures:
                log.info("notify %s: delivered again, at attempt %d", self.spec.name, self._failures + 1)
            self._go_on(event.seq)
        finally:
            self._now = None

    def _failed(self, event: Event, error: Undelivered) -> None:
        now = self._clock().at
        if error.never:
            return self._give_up([event], str(error))
        if not self._failures:
            log.warning("notify %s: %s of %d: %s", self.spec.name, event.type, event.seq, error)
        failures = self._failures + 1
        if too_old(event, now):
            page = self._store.events(event.seq - 1, PAGE)
            self._give_up([e for e in page if wants(self.spec, e) and too_old(e, now)], str(error))
        self._failures = failures  # also for what comes next: it goes to the same receiver
        wait = pause(failures, random.SystemRandom().random(), error.after)
        self._not_before = time.monotonic() + wait
        return None

    def _give_up(self, lost: list[Event], error: str) -> None:
        log.error("notify %s: %d events are given up: %s", self.spec.name, len(lost), error)
        self._go_on(lost[-1].seq, given_up(self.spec.name, lost, error, self._clock().at))

    def _go_on(self, seq: int, told: Event | None = None) -> None:
        self._moved(self.spec.name, seq, told)
        self.place = self._seen = max(seq, self._seen)
        self._failures = 0
        self._not_before = 0.0
