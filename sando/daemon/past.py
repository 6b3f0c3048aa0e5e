"""The counters of all that the store has kept, on a thread of its own: who starts sandod does not wait for statistics."""

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from sando.metrics import Metrics
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.store import Store

log = logging.getLogger("sandod")

BATCH = 2_000
AGAIN_S = 1.0
AT_ONCE_S = 0.2
"""A start waits so long for it: with some thousands of events it is over before anybody can ask."""


def lead_from(store: Store, event: Event) -> datetime | None:
    """When the version was pushed that the event tells of; None where it had been on the tier before, as /dora has it.

    The store is asked, and no list of what was counted: what happens is counted beside the past, in no order. While it is
    away one number less is counted, until the next start.
    """
    tier, version = event.tier, event.version
    try:
        if not tier or not version or store.first_promotion(tier, version) != event.operation:
            return None
        release = store.release(version)
    except StoreUnavailable as error:
        log.warning("metrics: the store is away (%s)", error)
        return None
    return release.pushed_at if release else None


class _OverError(Exception):
    """sandod ends first: half a past is none, and is never exposed."""


class Past:
    """`count` once, with the number of the last event that is past; until that is done /metrics is 503."""

    def __init__(self, store: Store, metrics: Metrics) -> None:
        self._store = store
        self._metrics = metrics
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, last: int) -> None:
        self._thread = threading.Thread(target=self._run, args=(last,), name="past", daemon=True)
        self._thread.start()
        self._thread.join(AT_ONCE_S)

    def close(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def _run(self, last: int) -> None:
        try:
            with suppress(_OverError):
                self._metrics.count(self._events(last))
        finally:
            self._store.close()

    def _events(self, last: int) -> Iterator[Event]:
        seq = 0
        while True:
            if self._over.is_set():
                raise _OverError
            try:
                batch = self._store.events(seq, BATCH)
            except StoreUnavailable as error:
                log.warning("metrics: the store is away (%s)", error)
                self._over.wait(AGAIN_S)
                continue
            yield from (event for event in batch if event.seq <= last)
            if not batch or batch[-1].seq >= last:
                return
            seq = batch[-1].seq
