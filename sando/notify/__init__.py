"""Webhooks and commands on events (SPEC 2 `[[notify]]`): at least once, in order for each, and nobody waits for them.

It knows no actor and no HTTP server: it reads the store, posts or runs, and keeps how far each notifier has come.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from sando.model.clock import Clock
from sando.model.errors import StoreUnavailable, Undelivered
from sando.model.events import Event
from sando.model.notices import delivery, environment
from sando.model.record import Fact
from sando.model.topology import Command, NotifySpec
from sando.notify.queue import Attempt, Notifier, Store
from sando.notify.webhook import Webhook, headers

log = logging.getLogger(__name__)

PLACES = "notify"
"""The fact that has the place of each notifier: the `seq` up to which it has been told."""

TEST = "Test"
"""The type of what a test sends: no event of the store is called so, and its `seq` is 0."""

Run = Callable[[str, Command, bytes, dict[str, str]], Attempt]
"""Name, command, its stdin, what it gets in its environment -> an attempt to run it."""


class Trial(Struct, frozen=True):
    """What came of a test."""

    name: str
    ok: bool
    detail: str
    seconds: float


class Notifiers:
    """`adopt` the configured ones, at start and at each reload; `heard` when something was published; `close`."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        encode: Callable[[Event], bytes],
        run: Run,
        told: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._encode = encode
        self._run = run
        self._told = told
        self._lock = threading.Lock()
        self._all: dict[str, Notifier] = {}
        self._places: dict[str, int] = {}

    def names(self) -> Collection[str]:
        return tuple(self._all)

    def adopt(self, specs: Sequence[NotifySpec]) -> None:
        """One that is new begins with what happens from now on; one that is gone forgets its place."""
        wanted = {spec.name: spec for spec in specs}
        for name in [n for n in self._all if n not in wanted]:
            gone = self._all.pop(name)
            gone.finish()
            threading.Thread(target=gone.end, args=(0.0,), name=f"end {name}", daemon=True).start()
        new = [spec for name, spec in wanted.items() if name not in self._all]
        for name, notifier in self._all.items():
            notifier.change(wanted[name])
        self._begin(new)

    def _begin(self, new: list[NotifySpec]) -> None:
        try:
            kept, last = self._store.fact(PLACES) or {}, self._store.last_seq()
            with self._lock:
                places = {name: self._places.get(name, 0) for name in self._all}
                self._places = places | {spec.name: int(kept.get(spec.name, last)) for spec in new}
                if self._places != kept:
                    self._store.save(Fact(PLACES, self._places))
        except StoreUnavailable as error:
            log.error("notify: the store is away, so nothing new is sent until the next reload: %s", error)
            return
        for spec in new:
            notifier = Notifier(
                spec, self._places[spec.name], self._store, self._clock, self._attempt, self._moved
            )
            self._all[spec.name] = notifier
            notifier.start()

    def heard(self) -> None:
        """Something was published; returns at once."""
        for notifier in tuple(self._all.values()):
            notifier.wake()

    def close(self, seconds: float) -> None:
        """What can be delivered within these seconds still is; the rest is sent after the next start."""
        until = time.monotonic() + seconds
        for notifier in self._all.values():
            notifier.finish()
        hanging = [name for name, n in self._all.items() if not n.end(until - time.monotonic())]
        if hanging:
            log.warning("notify: not ended in time: %s", ", ".join(hanging))

    def _moved(self, name: str, seq: int, told: Event | None) -> None:
        with self._lock:
            if name not in self._places:  # it was removed meanwhile
                return
            places = self._places | {name: seq}
            self._store.save(Fact(PLACES, places), *([told] if told else []))
            self._places = places
        if told:
            self._told()

    # -- attempts ----------------------------------------------------------------------------------------------

    def _attempt(self, spec: NotifySpec, event: Event) -> Attempt:
        return self._make(spec, event.type, delivery(event), self._encode(event), environment(event))

    def _make(self, spec: NotifySpec, kind: str, number: str, body: bytes, env: dict[str, str]) -> Attempt:
        if spec.url is not None:
            return Webhook(spec.url, headers(kind, number, body, spec.secret), body)
        assert spec.command is not None
        return self._run(spec.name, spec.command, body, env)

    def test(self, names: Collection[str], actor: str) -> "Test":
        """Sends each of these (all, where there are none named) a `Test` event, at once and beside what waits."""
        chosen = [n.spec for name, n in self._all.items() if name in names or not names]
        return Test(chosen, lambda spec: self._trial(spec, actor))

    def _trial(self, spec: NotifySpec, actor: str) -> Trial:
        began, now = time.monotonic(), self._clock().at
        event = Event(TEST, now, actor=actor, data={"notifier": spec.name})  # type: ignore[arg-type]
        number = f"test-{int(now.timestamp() * 1000)}"
        try:
            self._make(spec, TEST, number, self._encode(event), environment(event)).send()
        except Undelivered as error:
            return Trial(spec.name, ok=False, detail=str(error), seconds=time.monotonic() - began)
        return Trial(spec.name, ok=True, detail="delivered", seconds=time.monotonic() - began)


class Test:
    """Runs on threads of its own; `done` answers the trials once there are all of them."""

    def __init__(self, specs: Sequence[NotifySpec], attempt: Callable[[NotifySpec], Trial]) -> None:
        self._wanted = len(specs)
        self._trials: list[Trial] = []
        self._attempt = attempt
        for spec in specs:
            threading.Thread(target=self._run, args=(spec,), name=f"test {spec.name}", daemon=True).start()

    def done(self) -> list[Trial] | None:
        trials = list(self._trials)
        return sorted(trials, key=lambda t: t.name) if len(trials) == self._wanted else None

    def _run(self, spec: NotifySpec) -> None:
        try:
            trial = self._attempt(spec)
        except Exception as error:
            log.exception("notify %s: its test failed by a bug", spec.name)
            trial = Trial(spec.name, ok=False, detail=type(error).__name__, seconds=0.0)
        self._trials.append(trial)


__all__ = ["Notifiers", "Test", "Trial"]
