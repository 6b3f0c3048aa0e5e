"""The backup: one fetch of the production backup at a time, and what is known of the last good one."""

from functools import partial
from typing import Any

from msgspec.structs import replace

from actors.base import Actor, Site, post
from actors.messages import AbortOperation, Begin, Configured, Drained, FetchBackup, JobDone, Ref, Shutdown
from sando.model.answers import Accepted, Refusal, draining
from sando.model.clock import stamp
from sando.model.events import Event
from sando.model.operation import Operation, Status
from sando.model.record import Fact
from sando.model.topology import BackupSpec
from sando.work.outcome import Done, Failed, Outcome


class Backup(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, spec: BackupSpec | None) -> None:
        super().__init__(site, parent, name)
        self.spec = spec
        self.operation: Operation | None = None
        self.draining = False

    def handle(self, message: Any) -> None:
        match message:
            case Begin():
                self._take_up()
            case AbortOperation():
                self._abort(message)
            case FetchBackup():
                self._fetch(message)
            case JobDone():
                self._done(message)
            case Configured(topology):
                self.spec = topology.backup
            case Shutdown():
                self.draining = True
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
                self._end(operation, Status.INTERRUPTED, "sandod was restarted during the fetch")
        self.sweep("backup/", *([self._key(self.operation)] if self.operation else []))

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
        now = self.site.clock().at
        number = self.site.store.new_operation_id()
        operation = Operation(
            number, "backup", "", None, None, wish.actor, wish.reason, Status.RUNNING, now,
            step="fetch", started_at=now, log=f"/operations/{number}/log",
        )  # fmt: skip
        self.site.store.save(operation)
        self.operation = operation
        self.start_job(self._key(operation), partial(self.site.work.fetch_backup, self.spec, operation.id))
        self.publish(wish.reply, Accepted(operation))

    def _abort(self, wish: AbortOperation) -> None:
        operation = self.operation
        if operation is None or operation.id != wish.operation:
            hint = f"GET /operations/{wish.operation} tells how"
            refusal = Refusal(409, "not_running", f"operation {wish.operation} has ended", hint)
            return self.publish(wish.reply, refusal)
        self.site.runner.cancel(self._key(operation))
        self.publish(wish.reply, Accepted(operation))

    def _done(self, done: JobDone) -> None:
        operation = self.operation
        if operation and done.key == self._key(operation):
            self._ended(operation, done.outcome)
            self.operation = None
        self.site.runner.forget(done.key)
        self._drained()

    def _ended(self, operation: Operation, outcome: Outcome) -> None:
        match outcome:
            case Done(facts):
                self._end(operation, Status.SUCCEEDED, None, facts)
            case Failed(error):
                self._end(operation, Status.ERRORED if error.errored else Status.FAILED, str(error))
            case _:
                why = "sandod was stopped during the fetch" if self.draining else "aborted"
                self._end(operation, Status.INTERRUPTED if self.draining else Status.ABORTED, why)

    def _end(
        self, operation: Operation, status: Status, error: str | None, facts: dict[str, Any] | None = None
    ) -> None:
        now = self.site.clock().at
        ended = replace(operation, status=status, error=error, finished_at=now)
        if facts is None:
            self.site.store.save(
                ended,
                Event("BackupFailed", now, operation.id, actor=operation.actor, data={"error": error or ""}),
            )
        else:
            known = {**facts, "fetched_at": stamp(now), "last_restore_ok_at": None}
            told = Event("BackupFetched", now, operation.id, actor=operation.actor, data=facts)
            self.site.store.save(ended, Fact("backup", known), told)
        self.publish()

    def _drained(self) -> None:
        if self.draining and self.operation is None:
            post(self.parent, Drained(self.name))
