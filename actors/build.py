"""Builds: one in flight, one waiting, the latest accepted request wins (SPEC 3).

Build owns the lane and the rows of what goes through it: build operations with the gates of the build
tier, and gates of it that are run again. It is long-lived and holds both the queue and the job, so that
one actor's row says all there is to know after a crash.
"""

import logging
from functools import partial
from typing import Any

from msgspec.structs import replace

from actors.base import Actor, Site, post
from actors.lookups import Lookups
from actors.messages import (
    AbortGates,
    AbortOperation,
    Begin,
    Configured,
    Drained,
    EnterBuildTier,
    GateAgain,
    GatesDone,
    JobDone,
    Rebuild,
    Ref,
    RunGate,
    Shutdown,
    Tick,
)
from actors.people import People
from actors.requests import Requests
from sando.model.builds import ATTEMPTS, attempts, end_events, queued_again, stopping
from sando.model.events import Event
from sando.model.operation import Operation, Status
from sando.model.record import Unset
from sando.model.release import Release
from sando.model.safety import Safety
from sando.model.topology import Topology
from sando.work.outcome import Aborted, Done, Failed, Outcome

log = logging.getLogger(__name__)

DIED_TWICE = "sandod died under this build twice; POST /rebuild tries it once more"


class Build(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, topology: Topology) -> None:
        super().__init__(site, parent, name)
        self.topology = topology
        self.flight: Operation | None = None
        self.waiting: Operation | None = None
        self.lookups = Lookups(self)
        self.requests = Requests(self)
        self.people = People(self)
        self.draining = False

    def handle(self, message: Any) -> None:
        match message:
            case Begin(fresh):
                self._take_up(fresh=fresh)
            case Rebuild():
                self.lookups.take(message)
            case JobDone(key, outcome) if key == self.lookups.looking:
                self.lookups.found(outcome)
            case JobDone(key, outcome):
                self._built(key, outcome)
            case GatesDone():
                self._gated(message)
            case RunGate():
                self.people.gate_again(message)
            case AbortOperation():
                self.people.abort(message)
            case Tick("tip"):
                self.lookups.watch()
            case Tick("again"):
                self._again_to_tier()
            case Tick("next"):
                self._begin_waiting()
            case Configured(topology):
                self.topology = topology
                self.lookups.look_at_tip()
            case Shutdown():
                self._drain()
            case _:
                raise TypeError(message)

    # -- taking up what a former life left ------------------------------------------------------------------

    def _take_up(self, *, fresh: bool) -> None:
        mine = [o for o in self.site.store.unfinished() if self._is_mine(o)]
        self.flight = next((o for o in mine if o.status is Status.RUNNING), None)
        self.waiting = next((o for o in mine if o.status is Status.QUEUED), None)
        if self.flight is None:
            post(self.actor_ref, Tick("next"))
        elif self.flight.step == "gates":
            self._ask_gates_again()
        elif not self.adopt_job(self._key(self.flight)):
            self._end_lost(self.flight, fresh=fresh)
        elif stopping(self.flight):
            self.stop_flight()
        self.sweep(
            "build/", *([self._key(self.flight)] if self.flight and self.flight.step != "gates" else [])
        )
        self.requests.return_again()
        self.lookups.watch()

    def _end_lost(self, flight: Operation, *, fresh: bool) -> None:
        if stopping(flight):
            self._end_stopped(flight)
        else:
            why = "sandod was restarted during the build" if fresh else "the build was lost"
            self._end_flight(Status.INTERRUPTED, why)

    def _is_mine(self, operation: Operation) -> bool:
        return operation.kind == "build" or (operation.kind == "gate" and operation.tier == self.tier)

    @property
    def tier(self) -> str:
        return self.topology.build_tier.name

    def _key(self, operation: Operation) -> str:
        return f"build/{operation.id}"

    def new(self, kind: Any, actor: str, reason: str, sha: str | None, version: str | None) -> Operation:
        number, now = self.site.store.new_operation_id(), self.site.clock().at
        return Operation(
            number,
            kind,
            self.tier,
            version,
            sha,
            actor,
            reason,
            Status.QUEUED,
            now,
            log=f"/operations/{number}/log",
        )

    # -- the lane ---------------------------------------------------------------------------------------------

    def superseded(self, by: int) -> list[Any]:
        """A newer request was accepted: the flight, which ends when its processes have, and the rows that change."""
        rows: list[Any] = []
        flight = self.flight
        if self.waiting:
            now = self.site.clock().at
            rows.append(replace(self.waiting, status=Status.SUPERSEDED, superseded_by=by, finished_at=now))
        if flight and flight.superseded_by is None:
            flight = replace(flight, superseded_by=by)
            rows.append(flight)
        return [flight, *rows]

    def stop_flight(self) -> None:
        flight = self.flight
        if flight is None:
            return
        if flight.step == "gates":
            post(self.parent, AbortGates(flight.id))
        else:
            self.site.runner.cancel(self._key(flight))

    def begin(self, operation: Operation, *rows: Any) -> Operation:
        now = self.site.clock().at
        operation = replace(operation, status=Status.RUNNING, started_at=now, step="build")
        told = Event("BuildStart", now, operation.id, self.tier, sha=operation.sha, actor=operation.actor)
        self.site.store.save(*rows, operation, told)
        self.flight = operation
        self.start_job(
            self._key(operation),
            partial(self.site.work.build, self.topology, operation, self.site.store.taken()),
        )
        return operation

    def _begin_waiting(self) -> None:
        if self.waiting and self.flight is None and not self.draining:
            self.begin(self.waiting)
            self.waiting = None
            self.publish()

    def _built(self, key: str, outcome: Outcome) -> None:
        flight = self.flight
        if flight is None or flight.step == "gates" or key != self._key(flight):
            log.debug("build: the end of %s is not waited for", key)
            self.site.runner.forget(key)
            return
        match outcome:
            case Done(release) if not stopping(flight) and not self.draining:
                self._to_gates(flight, release)
            case Done(release):
                self._end_stopped(flight, release)
            case Failed(error):
                self._end_flight(Status.ERRORED if error.errored else Status.FAILED, str(error), error.tail)
            case Aborted():
                self._end_stopped(flight)
        self.site.runner.forget(key)

    def _to_gates(self, flight: Operation, release: Release) -> None:
        flight = replace(flight, step="gates", version=release.version)
        self.site.store.save(flight, release, Unset(Safety, release.version))
        self.flight = flight
        post(self.parent, EnterBuildTier(flight, release))
        self.publish()

    def _gates_of(self, flight: Operation, *, again: bool) -> None:
        release = self.site.store.release(flight.version) if flight.version else None
        if flight.kind == "build" and release:
            post(self.parent, EnterBuildTier(flight, release, again))
        elif "gate" in flight.details:
            post(self.parent, GateAgain(flight, str(flight.details["gate"])))

    def _again_to_tier(self) -> None:
        self.requests.return_again()
        self._ask_gates_again()

    def _ask_gates_again(self) -> None:
        flight = self.flight
        if flight and flight.step == "gates":
            self._gates_of(flight, again=True)
            if stopping(flight) or self.draining:
                post(self.parent, AbortGates(flight.id))

    def _gated(self, done: GatesDone) -> None:
        flight = self.flight
        if flight is None or flight.id != done.operation or flight.step != "gates":
            return
        match done.outcome:
            case "passed":
                self._end_flight(Status.SUCCEEDED, None)
            case "failed" | "errored" as red:
                self._end_flight(Status(red), done.message)
            case "interrupted" if not stopping(flight):
                self._end_flight(Status.INTERRUPTED, done.message)
            case _:
                self._end_stopped(flight)

    def _end_stopped(self, flight: Operation, *made: Release) -> None:
        """A release that it made all the same is red: retention takes its folder, or the next of its name does."""
        if flight.superseded_by is not None:
            self._end_flight(Status.SUPERSEDED, f"superseded by operation {flight.superseded_by}", "", *made)
        elif "abort" in flight.details:
            self._end_flight(Status.ABORTED, f"aborted by {flight.details['abort']}", "", *made)
        else:
            self._end_flight(Status.INTERRUPTED, "sandod was stopped during the build", "", *made)

    def _end_flight(self, status: Status, error: str | None, tail: str = "", *made: Release) -> None:
        """Exactly one end event; what was interrupted is queued again once if nothing newer waits."""
        flight = self.flight
        if flight is None:
            raise RuntimeError("no build in flight")
        flight = replace(flight, version=made[0].version) if made else flight
        if status is Status.INTERRUPTED and flight.superseded_by is not None:
            status = Status.SUPERSEDED
        if status is Status.INTERRUPTED and not self.draining and attempts(flight) >= ATTEMPTS:
            status, error = Status.ERRORED, DIED_TWICE
        now = self.site.clock().at
        ended = replace(flight, status=status, error=error, finished_at=now)
        stale = (Unset(Safety, r.version) for r in made)  # of another release that had the name before
        rows: list[Any] = [ended, *made, *stale, *end_events(ended, tail)]
        again = self._again(ended) if status is Status.INTERRUPTED and self.waiting is None else None
        self.site.store.save(*rows, *([again] if again else []))
        self.flight = None
        self.waiting = self.waiting or again
        self.publish()
        if not self.draining and self.waiting is None:
            self.start_job(f"build/{ended.id}/tidy", partial(self.site.work.tidy, self.topology))
        self._drained()
        post(self.actor_ref, Tick("next"))

    def _again(self, ended: Operation) -> Operation | None:
        if ended.kind != "build":
            return None
        fresh = self.new("build", ended.actor, f"operation {ended.id} was interrupted", ended.sha, None)
        return queued_again(ended, fresh, drained=self.draining)

    # -- stopping ---------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        self.draining = True
        self.lookups.drain()
        self.stop_flight()
        self._drained()

    def _drained(self) -> None:
        if self.draining and self.flight is None:
            post(self.parent, Drained(self.name))
