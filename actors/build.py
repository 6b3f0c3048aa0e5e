"""Builds: one in flight, one waiting, the latest accepted request wins (SPEC 3).

Build owns the lane and the rows of what goes through it: build operations with the gates of the build
tier, and gates of it that are run again. It is long-lived and holds both the queue and the job, so that
one actor's row says all there is to know after a crash.
"""

import logging
from collections import deque
from functools import partial
from typing import Any

from msgspec.structs import replace

from actors.base import Actor, Site, post
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
    Reply,
    ReturnTo,
    RunGate,
    Shutdown,
    Tick,
)
from sando.model.answers import Accepted, Refusal, draining, unavailable
from sando.model.errors import StoreUnavailable, WorkError
from sando.model.events import Event, EventType
from sando.model.operation import Operation, Status
from sando.model.record import Fact
from sando.model.release import Release
from sando.model.topology import Topology
from sando.work.outcome import Aborted, Done, Failed, Outcome

log = logging.getLogger(__name__)

TIP_S = 60.0
"""How often a tip that nobody told of is looked for."""
TIP = "tip"
"""The fact that names the tip of the branch that was last accepted."""
RETURNING = "returning"
"""The fact that names the version that the build tier is to return to, until it has."""
LATEST = 50
"""Builds among which that of the tip is looked for."""
ATTEMPTS = 2
"""A build that took the daemon with it is tried again once."""


class Build(Actor):
    def __init__(self, site: Site, parent: Ref | None, name: str, topology: Topology) -> None:
        super().__init__(site, parent, name)
        self.topology = topology
        self.flight: Operation | None = None
        self.waiting: Operation | None = None
        self.asked: deque[Rebuild] = deque()
        self.looking = ""
        self.draining = False

    def handle(self, message: Any) -> None:
        match message:
            case Begin(fresh):
                self._take_up(fresh=fresh)
            case Rebuild():
                self._ask(message)
            case JobDone(key, outcome) if key == self.looking:
                self._found(outcome)
            case JobDone(key, outcome):
                self._built(key, outcome)
            case GatesDone():
                self._gated(message)
            case RunGate():
                self._gate_again(message)
            case AbortOperation():
                self._abort(message)
            case Tick("tip"):
                self._watch()
            case Tick("again"):
                self._again_to_tier()
            case Tick("next"):
                self._begin_waiting()
            case Configured(topology):
                self.topology = topology
                self._look_at_tip()
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
        elif self._stopping(self.flight):
            self._stop_flight()
        self.sweep(
            "build/", *([self._key(self.flight)] if self.flight and self.flight.step != "gates" else [])
        )
        self._return_again()
        self._watch()

    def _end_lost(self, flight: Operation, *, fresh: bool) -> None:
        if self._stopping(flight):
            self._end_stopped(flight)
        else:
            why = "sandod was restarted during the build" if fresh else "the build was lost"
            self._end_flight(Status.INTERRUPTED, why)

    def _is_mine(self, operation: Operation) -> bool:
        return operation.kind == "build" or (operation.kind == "gate" and operation.tier == self._tier)

    @property
    def _tier(self) -> str:
        return self.topology.build_tier.name

    def _key(self, operation: Operation) -> str:
        return f"build/{operation.id}"

    # -- requests: resolved one after the other, in the order in which they came ------------------------------

    def _watch(self) -> None:
        self._look_at_tip()
        self.tick(TIP_S, "tip")

    def _look_at_tip(self) -> None:
        """A push that nobody told of is no different from one that the hook told of."""
        self._ask(Rebuild(moved=True, actor="git", reason="the branch moved"), quiet=True)

    def _ask(self, wish: Rebuild, *, quiet: bool = False) -> None:
        if self.draining:
            return self.publish(wish.reply, draining())
        if quiet and self.asked:
            return None
        self.hold(wish.reply)
        self.asked.append(wish)
        self._look_up()

    def _look_up(self) -> None:
        if self.asked and not self.looking:
            self.looking = self.new_key("build/lookup/")
            self.start_job(
                self.looking, partial(self.site.work.resolve, self.topology.repo, self.asked[0].sha)
            )

    def _found(self, outcome: Outcome) -> None:
        wish = self.asked[0]
        match outcome:
            case _ if self.draining:
                self.publish(wish.reply, draining())
            case Done(None):
                self._unknown(wish)
            case Done(commit):
                self._decide_or_say(wish, commit)
            case Failed(error):
                self._no_repository(wish, error)
            case _:
                self.publish(wish.reply, draining())
        self.site.runner.forget(self.looking)
        self.looking = ""
        self.asked.popleft()
        self._look_up()

    def _unknown(self, wish: Rebuild) -> None:
        branch = self.topology.repo.branch
        if wish.sha is None:
            hint = f"git push {self.topology.repo.bare_path} {branch}"
            refusal = Refusal(409, "empty_repository", f"branch {branch} has no commit yet", hint)
        else:
            hint = f"push it first; GET /releases lists what was built of {branch}"
            refusal = Refusal(404, "unknown_sha", f"no commit of the repository is called {wish.sha}", hint)
        self.publish(wish.reply, refusal)

    def _no_repository(self, wish: Rebuild, error: WorkError) -> None:
        log.error("build: the repository cannot be read: %s", error)
        self.publish(
            wish.reply, Refusal(409, "repository_unusable", str(error), "mend it, then POST /rebuild")
        )

    def _decide_or_say(self, wish: Rebuild, commit: Any) -> None:
        """A store that is away refuses the request; a moved tip is found again within the minute."""
        try:
            self._decide(wish, commit)
        except StoreUnavailable as error:
            log.error("build: %s cannot be accepted, the store is away: %s", commit.sha[:7], error)
            wish.reply.answer(unavailable())

    def _decide(self, wish: Rebuild, commit: Any) -> None:
        at_tip = wish.sha is None
        if wish.moved and self.site.store.fact(TIP) == commit.sha:
            return self._told_before(wish, commit.sha)
        same = self._same(commit.sha)
        if same and not wish.force:
            if at_tip:
                self.site.store.save(Fact(TIP, commit.sha))
            return self.publish(wish.reply, Accepted(same, 200, "already_building"))
        release = next((r for r in self.site.store.releases(sha=commit.sha) if r.green and r.present), None)
        if release and not wish.force:
            return self._return_to(wish, release, at_tip=at_tip)
        self._accept(wish, commit, at_tip=at_tip)

    def _told_before(self, wish: Rebuild, sha: str) -> None:
        """A late or repeated word that the branch moved: the answer is what came of it."""
        builds = self.site.store.operations(kind="build", limit=LATEST)
        known = next((o for o in builds if o.sha == sha), None)
        if known:
            code = "already_built" if known.status is Status.SUCCEEDED else "already_accepted"
            return self.publish(wish.reply, Accepted(known, 200, code))
        self.publish(wish.reply, Refusal(409, "nothing_new", "the tip is the one that was last accepted"))

    def _same(self, sha: str) -> Operation | None:
        """The operation that builds this sha, or is about to; one that is being stopped does not count."""
        if self.waiting:
            return self.waiting if self.waiting.sha == sha else None
        flight = self.flight
        if flight and flight.kind == "build" and flight.sha == sha and not self._stopping(flight):
            return flight
        return None

    @staticmethod
    def _stopping(flight: Operation) -> bool:
        return flight.superseded_by is not None or "abort" in flight.details

    def _return_to(self, wish: Rebuild, release: Release, *, at_tip: bool) -> None:
        """A force-push back to a green sha: nothing is built, but the latest request still wins."""
        now = self.site.clock().at
        told = Event(
            "RebuildRequested", now, release.operation, self._tier,
            version=release.version, sha=release.sha, actor=wish.actor, data={"already_built": True, "reason": wish.reason},
        )  # fmt: skip
        flight, *rows = self._superseded(release.operation)
        tip = [Fact(TIP, release.sha)] if at_tip else []
        self.site.store.save(*rows, *tip, told, Fact(RETURNING, release.version))
        self.flight, self.waiting = flight, None
        self._stop_flight()
        self._tell_return(release, wish.reply)

    def _tell_return(self, release: Release, reply: Reply) -> None:
        operation = self.site.store.operation(release.operation)
        if operation is None:
            raise LookupError(f"release {release.version} has no operation")
        answer = Accepted(operation, 200, "already_built")
        post(self.parent, ReturnTo(release, reply, answer, RETURNING))

    def _return_again(self) -> None:
        """What the build tier was told before it died, or sandod did, may be lost."""
        version = self.site.store.fact(RETURNING)
        release = self.site.store.release(version) if version else None
        if release:
            self._tell_return(release, Reply())

    def _accept(self, wish: Rebuild, commit: Any, *, at_tip: bool) -> None:
        operation = self._new("build", wish.actor, wish.reason, commit.sha, None)
        details = {
            "attempts": 1,
            "author": commit.author,
            "subject": commit.subject,
            **({"force": True} if wish.force else {}),
        }
        operation = replace(operation, details=details)
        data = {"author": commit.author, "subject": commit.subject, "reason": wish.reason, "tip": at_tip}
        told = Event(
            "RebuildRequested",
            operation.created_at,
            operation.id,
            self._tier,
            sha=commit.sha,
            actor=wish.actor,
            data=data,
        )
        rows: list[Any] = [told, Fact(RETURNING, None), *([Fact(TIP, commit.sha)] if at_tip else [])]
        flight, *others = self._superseded(operation.id)
        if flight is None:
            operation = self._begin(operation, *rows, *others)
            self.waiting = None
        else:
            self.site.store.save(*rows, *others, operation)
            self.flight, self.waiting = flight, operation
            self._stop_flight()
        self.publish(wish.reply, Accepted(operation))

    def _new(self, kind: Any, actor: str, reason: str, sha: str | None, version: str | None) -> Operation:
        number, now = self.site.store.new_operation_id(), self.site.clock().at
        return Operation(
            number,
            kind,
            self._tier,
            version,
            sha,
            actor,
            reason,
            Status.QUEUED,
            now,
            log=f"/operations/{number}/log",
        )

    # -- the lane ---------------------------------------------------------------------------------------------

    def _superseded(self, by: int) -> list[Any]:
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

    def _stop_flight(self) -> None:
        flight = self.flight
        if flight is None:
            return
        if flight.step == "gates":
            post(self.parent, AbortGates(flight.id))
        else:
            self.site.runner.cancel(self._key(flight))

    def _begin(self, operation: Operation, *rows: Any) -> Operation:
        now = self.site.clock().at
        operation = replace(operation, status=Status.RUNNING, started_at=now, step="build")
        told = Event("BuildStart", now, operation.id, self._tier, sha=operation.sha, actor=operation.actor)
        self.site.store.save(*rows, operation, told)
        self.flight = operation
        self.start_job(
            self._key(operation),
            partial(self.site.work.build, self.topology, operation, self.site.store.taken()),
        )
        return operation

    def _begin_waiting(self) -> None:
        if self.waiting and self.flight is None and not self.draining:
            self._begin(self.waiting)
            self.waiting = None
            self.publish()

    def _built(self, key: str, outcome: Outcome) -> None:
        flight = self.flight
        if flight is None or flight.step == "gates" or key != self._key(flight):
            log.debug("build: the end of %s is not waited for", key)
            self.site.runner.forget(key)
            return
        match outcome:
            case Done(release) if not self._stopping(flight) and not self.draining:
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
        self.site.store.save(flight, release)
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
        self._return_again()
        self._ask_gates_again()

    def _ask_gates_again(self) -> None:
        flight = self.flight
        if flight and flight.step == "gates":
            self._gates_of(flight, again=True)
            if self._stopping(flight) or self.draining:
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
            case "interrupted" if not self._stopping(flight):
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
        attempts = int(str(flight.details.get("attempts", 1)))
        if status is Status.INTERRUPTED and not self.draining and attempts >= ATTEMPTS:
            status, error = (
                Status.ERRORED,
                "sandod died under this build twice; POST /rebuild tries it once more",
            )
        now = self.site.clock().at
        ended = replace(flight, status=status, error=error, finished_at=now)
        rows: list[Any] = [ended, *made, *self._end_events(ended, tail)]
        again = self._again(ended) if status is Status.INTERRUPTED and self.waiting is None else None
        self.site.store.save(*rows, *([again] if again else []))
        self.flight = None
        self.waiting = self.waiting or again
        self.publish()
        if not self.draining and self.waiting is None:
            self.start_job(f"build/{ended.id}/tidy", partial(self.site.work.tidy, self.topology))
        self._drained()
        post(self.actor_ref, Tick("next"))

    def _end_events(self, ended: Operation, tail: str) -> list[Event]:
        if ended.kind != "build":
            return []
        names: dict[Status, EventType] = {
            Status.SUCCEEDED: "BuildOk", Status.FAILED: "BuildFailed", Status.ERRORED: "BuildFailed",
        }  # fmt: skip
        seconds = (
            (ended.finished_at - ended.started_at).total_seconds()
            if ended.finished_at and ended.started_at
            else None
        )
        data: dict[str, Any] = {"seconds": seconds, "status": ended.status}
        if ended.error:
            data |= {"error": ended.error, "tail": tail}
        if ended.superseded_by is not None:
            data |= {"superseded_by": ended.superseded_by}
        kind = names.get(ended.status, "BuildAborted")
        at = ended.finished_at or ended.created_at
        return [
            Event(
                kind,
                at,
                ended.id,
                self._tier,
                version=ended.version,
                sha=ended.sha,
                actor=ended.actor,
                data=data,
            )
        ]

    def _again(self, ended: Operation) -> Operation | None:
        if ended.kind != "build":
            return None
        attempts = int(str(ended.details.get("attempts", 1)))
        details = {
            **ended.details,
            "attempts": attempts if self.draining else attempts + 1,
            "again": ended.id,
        }
        return replace(
            self._new("build", ended.actor, f"operation {ended.id} was interrupted", ended.sha, None),
            details=details,
        )

    # -- a gate of the build tier, once more ------------------------------------------------------------------

    def _gate_again(self, wish: RunGate) -> None:
        if self.draining:
            return self.publish(wish.reply, draining())
        if holder := self.flight or self.waiting:
            detail = f"operation {holder.id} ({holder.kind} of {(holder.sha or '')[:7]}) has the build slot"
            hint = f"wait for /operations/{holder.id}, or abort it"
            return self.publish(wish.reply, Refusal(409, "build_running", detail, hint, holder))
        current = self.site.store.tier(self._tier, recent=1).current
        if current is None:
            return self.publish(
                wish.reply,
                Refusal(409, "tier_empty", f"nothing is on tier {self._tier} yet", "push a commit"),
            )
        now = self.site.clock().at
        operation = self._new("gate", wish.actor, wish.reason, current.sha, current.version)
        operation = replace(
            operation, status=Status.RUNNING, started_at=now, step="gates", details={"gate": wish.gate}
        )
        self.site.store.save(operation)
        self.flight = operation
        post(self.parent, GateAgain(operation, wish.gate))
        self.publish(wish.reply, Accepted(operation))

    # -- stopping ---------------------------------------------------------------------------------------------

    def _abort(self, wish: AbortOperation) -> None:
        now = self.site.clock().at
        if self.waiting and self.waiting.id == wish.operation:
            ended = replace(
                self.waiting, status=Status.ABORTED, error=f"aborted by {wish.actor}", finished_at=now
            )
            self.site.store.save(ended)
            self.waiting = None
            return self.publish(wish.reply, Accepted(ended))
        flight = self.flight
        if flight is None or flight.id != wish.operation:
            detail = f"operation {wish.operation} has ended"
            return self.publish(
                wish.reply, Refusal(409, "not_running", detail, f"GET /operations/{wish.operation} tells how")
            )
        flight = replace(flight, details={**flight.details, "abort": wish.actor, "abort_reason": wish.reason})
        self.site.store.save(flight)
        self.flight = flight
        self._stop_flight()
        self.publish(wish.reply, Accepted(flight))

    def _drain(self) -> None:
        self.draining = True
        for wish in self.asked:
            wish.reply.answer(draining())
        self._stop_flight()
        self._drained()

    def _drained(self) -> None:
        if self.draining and self.flight is None:
            post(self.parent, Drained(self.name))
