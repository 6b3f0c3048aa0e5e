"""Retention, for the Supervisor, on its thread: releases of the store, logs and events, once an hour and after a promotion."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.base import Site, post
from actors.messages import Tick
from sando.model.events import Event
from sando.model.retention import removable
from sando.work.cancel import CancelToken
from sando.work.outcome import Done, Failed
from sando.work.outcome import Outcome as JobOutcome

if TYPE_CHECKING:
    from actors.supervisor import Supervisor

log = logging.getLogger(__name__)

PRUNE, FORGET = "prune/", "forget/"
PRUNE_S = 3600.0
KEPT = timedelta(days=90)
MOST_EVENTS, LEAST_EVENTS = 1_000_000, 1_000
MOST_LOGS = 1_000
MANY = 100_000


def _nothing() -> None:
    """No timer runs yet."""


def _forget(site: Site, unfinished: frozenset[int], now: datetime, cancel: CancelToken) -> None:
    """Events and logs by age and count; on a job's thread, whose connection to the store ends with it."""
    try:
        site.store.forget_events(now - KEPT, MOST_EVENTS, LEAST_EVENTS)
    finally:
        site.store.close()
    site.work.forget_logs(unfinished, (now - KEPT).timestamp(), MOST_LOGS, cancel)


class Pruning:
    def __init__(self, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor
        self.stop_timer: Callable[[], None] = _nothing

    def take_up(self, *, fresh: bool) -> None:
        """At a start what a dead daemon had begun to remove is removed: its folder may be half there, or gone."""
        self.stop_timer = self.supervisor.tick(PRUNE_S, "prune")
        if fresh:
            post(self.supervisor.actor_ref, Tick("settle"))

    def prune(self) -> None:
        """The store keeps what any tier may still need; the folders of the rest are removed by a job."""
        self.stop_timer()
        self.stop_timer = self.supervisor.tick(PRUNE_S, "prune")
        if self.supervisor.stopping or self.supervisor.site.runner.held(PRUNE):
            return
        store = self.supervisor.site.store
        states = [store.tier(name) for name in store.tier_names()]
        gone = removable(
            store.releases(limit=MANY),
            self.supervisor.topology,
            states,
            store.unfinished(),
            self.supervisor.site.clock().at,
        )
        if gone:
            self.supervisor.start_job(
                self.supervisor.new_key(PRUNE), partial(self.supervisor.site.work.remove, gone)
            )

    def hourly(self) -> None:
        self.prune()
        supervisor, site = self.supervisor, self.supervisor.site
        if not supervisor.stopping and not site.runner.held(FORGET):
            unfinished = frozenset(o.id for o in site.store.unfinished())
            supervisor.start_job(
                supervisor.new_key(FORGET), partial(_forget, site, unfinished, site.clock().at)
            )

    def done(self, key: str, outcome: JobOutcome) -> None:
        """A release of the same name that was built meanwhile is another one, and is there."""
        match outcome:
            case Done(removed) if removed:
                gone = [r for r in removed if self.supervisor.site.store.release(r.version) == r]
                data: dict[str, object] = {"versions": [r.version for r in gone], "where": "store"}
                rows = [replace(r, present=False, lost=False) for r in gone]
                self.supervisor.site.store.save(
                    *rows, Event("Pruned", self.supervisor.site.clock().at, data=data)
                )
                self.supervisor.publish()
            case Failed(error):
                log.warning("prune: %s", error)
        self.supervisor.site.runner.forget(key)
