"""The backup: one fetch of the production backup at a time, and what is known of the last good one.

It fetches when asked, and by itself where `schedule` says so. A timer only reminds it to compare the stored times with
the clocks: neither a restart nor a reload nor a jump of a clock makes it forget, or begin twice.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from msgspec.structs import replace

from actors.base import Actor, Site, post
from actors.messages import (
    AbortOperation,
    Begin,
    Configured,
    Drained,
    FetchBackup,
    JobDone,
    JobProgress,
    Ref,
    Reply,
    Shutdown,
    Tick,
)
from sando.model.answers import Accepted, Refusal, draining
from sando.model.backup import (
    TRIES,
    Arriving,
    Fetched,
    Tries,
    brought,
    brought_nothing,
    due_in,
    stale_in,
    told_age,
    why_now,
)
from sando.model.clock import span
from sando.model.errors import StoreUnavailable
from sando.model.operation import Operation, Status
from sando.model.record import Fact
from sando.model.topology import BackupSpec
from sando.work.outcome import Aborted, Done, Failed, Outcome

log = logging.getLogger(__name__)

LOOK_S = 3600.0
"""So often the clocks are compared, so that a jump of one is noticed within the hour."""
WARN_S = 86400.0


def _nothing() -> None:
    """No timer runs."""


class Backup(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, spec: BackupSpec | None) -> None:
        super().__init__(site, parent, name)
        self.spec = spec
        self.operation: Operation | None = None
        self.draining = False
        self.stop_timer: Callable[[], None] = _nothing
        self.warned_at: float | None = None

    def handle(self, message: Any) -> None:
        match message:
            case Begin():
                self._take_up()
            case AbortOperation():
                self._abort(message)
            case FetchBackup():
                self._fetch(message)
            case JobProgress(key, Arriving() as arriving):
                self._arriving(key, arriving)
            case JobDone():
                self._done(message)
            case Configured(topology):
                self.spec = topology.backup
                post(
                    self.actor_ref, Tick("clocks")
                )  # of its own: tried again later, this one would bring back the old
            case Tick("clocks"):
                self._look_at_clocks()
            case Shutdown():
                self.draining = True
                self.stop_timer()
                if self.operation:
                    self.site.runner.cancel(self._key(self.operation))
                self._drained()
            case _:
                raise TypeError(message)

    def _key(self, operation: Operation) -> str:
        return f"backup/{operation.id}"

    def _take_up(self) -> None:
        for operation in self.site.store.unfinished():
            if operation.kind != "backup":
                continue
            if self.adopt_job(self._key(operation)):
                self.operation = operation
            else:
                why = "sandod was restarted during the fetch"
                self._brought_nothing(operation, Status.INTERRUPTED, why)
        if self.operation and "abort" in self.operation.details:
            self.site.runner.cancel(self._key(self.operation))
        self.sweep("backup/", *([self._key(self.operation)] if self.operation else []))
        post(self.actor_ref, Tick("clocks"))

    # -- how a fetch begins ------------------------------------------------------------------------------------

    def _fetch(self, wish: FetchBackup) -> None:
        if self.operation:
            return self.publish(wish.reply, Accepted(self.operation, 200, "already_running"))
        if self.draining:
            return self.publish(wish.reply, draining())
        if self.spec is None:
            hint = "add a [backup] section with `source` and `local_path` to sando.toml, then POST /reload"
            return self.publish(
                wish.reply, Refusal(409, "no_backup_configured", "sando.toml has no [backup] section", hint)
            )
        self.publish(wish.reply, Accepted(self._begin(self.spec, wish.actor, wish.reason, wish.reply)))

    def _begin(self, spec: BackupSpec, actor: str, reason: str, reply: Reply | None = None) -> Operation:
        now = self.site.clock().at
        number = self.site.store.new_operation_id()
        operation = Operation(
            number, "backup", "", None, None, actor, reason, Status.RUNNING, now,
            step="fetch", started_at=now, log=f"/operations/{number}/log", details={"source": spec.source},
        )  # fmt: skip
        self.site.store.save(operation, *(reply.keep(Accepted(operation)) if reply else ()))
        self.operation = operation
        self.stop_timer()
        key = self._key(operation)
        tell = partial(self.site.runner.say, key)
        self.start_job(key, partial(self.site.work.fetch_backup, spec, operation.id, tell))
        return operation

    def _look_at_clocks(self) -> None:
        """Fetch, warn, and look again when there may be something to do. The end of a fetch looks again, too."""
        self.stop_timer()
        self.stop_timer = _nothing
        spec = self.spec
        if spec is None or self.operation or self.draining:
            return
        store, now = self.site.store, self.site.clock()
        known, tries = store.backup(), store.tries()
        due, stale = due_in(spec, known, tries, now), stale_in(spec, known, now)
        if due == 0.0:
            self._begin(spec, "schedule", why_now(spec, known, tries))
            self.publish()
            return
        if stale == 0.0 and known:
            self._warn(told_age(known.age(now)), span(spec.max_age_s or 0.0), now.up)
        if due is not None or stale is not None:
            self.stop_timer = self.tick(min(LOOK_S, due or LOOK_S, stale or LOOK_S), "clocks")

    def _warn(self, age: str, most: str, up: float) -> None:
        if self.warned_at is None or up - self.warned_at >= WARN_S:
            self.warned_at = up
            log.warning("backup: %s, and max_age is %s: fetch a new one, or see why that fails", age, most)

    # -- how it goes on and ends -------------------------------------------------------------------------------

    def _arriving(self, key: str, arriving: Arriving) -> None:
        """Some seconds apart, so that it may be kept; where the store is away, the next one says more."""
        operation = self.operation
        if operation is None or key != self._key(operation):
            return
        details = {**operation.details, "bytes": arriving.bytes, "of": arriving.of}
        operation = replace(operation, step=arriving.step, details=details)
        with suppress(StoreUnavailable):
            self.site.store.save(operation)
            self.operation = operation
            self.publish()

    def _abort(self, wish: AbortOperation) -> None:
        operation = self.operation
        if operation is None or operation.id != wish.operation:
            hint = f"GET /operations/{wish.operation} tells how"
            refusal = Refusal(409, "not_running", f"operation {wish.operation} has ended", hint)
            return self.publish(wish.reply, refusal)
        details = {**operation.details, "abort": wish.actor, "abort_reason": wish.reason}
        operation = replace(operation, details=details)
        self.site.store.save(operation, *wish.reply.keep(Accepted(operation)))
        self.operation = operation
        self.site.runner.cancel(self._key(operation))
        self.publish(wish.reply, Accepted(operation))

    def _done(self, done: JobDone) -> None:
        operation = self.operation
        if operation and done.key == self._key(operation):
            self._ended(operation, done.outcome)
            self.operation = None
            post(self.actor_ref, Tick("clocks"))
        self.site.runner.forget(done.key)
        self._drained()

    def _ended(self, operation: Operation, outcome: Outcome) -> None:
        match outcome:
            case Done(fetched):
                self._brought(operation, fetched)
            case Failed(error):
                status = Status.ERRORED if error.errored else Status.FAILED
                self._brought_nothing(operation, status, str(error), error.tail)
            case Aborted() if "abort" in operation.details:
                self._brought_nothing(operation, Status.ABORTED, f"aborted by {operation.details['abort']}")
            case _:
                self._brought_nothing(operation, Status.INTERRUPTED, "sandod was stopped during the fetch")

    def _brought(self, operation: Operation, fetched: Fetched) -> None:
        self.site.store.save(*brought(operation, fetched, self.site.clock()))
        self.warned_at = None
        for warning in fetched.warnings:
            log.warning("backup: %s: %s", fetched.source, warning)
        self.publish()

    def _brought_nothing(self, operation: Operation, status: Status, error: str, tail: str = "") -> None:
        """That it was stopped with sandod is nobody's fault: the next start goes on where this one left off."""
        store, now = self.site.store, self.site.clock()
        known, source = store.backup(), str(operation.details.get("source", ""))
        tries = Tries.after(store.tries(), source, now, stopped=status is Status.ABORTED)
        rows = brought_nothing(operation, status, error, tail, now.at)
        store.save(*rows, *([] if self.draining else [Fact(TRIES, tries)]))
        due = None if self.draining else due_in(self.spec, known, tries, now)
        again = f"; the schedule tries again in {span(due)}" if due else ""
        log.warning(
            "backup: operation %s %s: %s%s", operation.id, status, error.removeprefix("backup: "), again
        )
        self.publish()

    def _drained(self) -> None:
        if self.draining and self.operation is None:
            post(self.parent, Drained(self.name))
