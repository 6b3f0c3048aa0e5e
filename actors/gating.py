"""Active gates of one tier: one after the other, the first red one ends it. On the tier's thread.

What is under way stands in the tier's state (`Gating`), so that a restarted tier takes it up again.
"""

from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.arrivals import Arrivals, Begun
from actors.base import post
from actors.burning import Burning
from actors.gate_stops import GateStops
from actors.messages import (
    GatesDone,
    JobDone,
    Tick,
)
from actors.node_gates import NodeGates
from actors.rehearsals import ahead, learned
from sando.model.ahead import Ahead
from sando.model.events import Event
from sando.model.gates import GateRun, Outcome, Verdict
from sando.model.operation import Status
from sando.model.stay import Stay
from sando.model.tier import Gating, TierState
from sando.model.topology import GateSpec
from sando.work.outcome import Done, Failed
from sando.work.outcome import Outcome as JobOutcome

if TYPE_CHECKING:
    from actors.tier import Tier

_ENDS = {
    "passed": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "errored": Status.ERRORED,
    "aborted": Status.ABORTED,
    "interrupted": Status.INTERRUPTED,
}


class Gates:
    def __init__(self, tier: "Tier") -> None:
        self.tier = tier
        self.nodes = NodeGates(self)
        self.burning = Burning(tier)
        self.arrivals = Arrivals(self)
        self.stops = GateStops(self)

    @property
    def gating(self) -> Gating | None:
        return self.tier.state.gating

    @property
    def in_motion(self) -> bool:
        return self.gating is not None

    # -- taking up what a former life left -----------------------------------------------------------------------

    def take_up(self, *, fresh: bool) -> None:
        """What is under way goes on, or was cut short; what a restart had cut short is run again."""
        gating = self.gating
        if gating and gating.running:
            spec = self.tier.spec.gate(gating.running)
            if spec and not fresh and self.nodes.on_nodes(spec):
                for node in self.nodes.silent(gating):
                    self.nodes.take_up(node)
            elif fresh:
                self.ended(gating, Outcome.ABORTED, "sandod was restarted", "interrupted")
            else:
                self._take_up_job(gating, spec)
        elif fresh:
            post(self.tier.actor_ref, _AGAIN)
        self.burning.schedule()

    def _take_up_job(self, gating: Gating, spec: GateSpec | None) -> None:
        """The Runner forgets no job before its end is committed: where nobody holds it, it was never begun."""
        known = self.tier.adopt_job(self.key(gating))
        if gating.aborted and known:
            self.stops.cancel(gating)
        elif not known and (gating.aborted or spec is None):
            self.ended(gating, Outcome.ABORTED, "stopped", "aborted")
        elif not known and spec:
            self.start(gating, spec, ahead(self.tier, gating.version))

    def jobs(self) -> tuple[str, ...]:
        """The keys of the jobs that I wait for."""
        gating = self.gating
        if gating is None:
            return ()
        return (self.key(gating), *(self.nodes.key(gating, n.name) for n in self.tier.spec.nodes))

    # -- one gate after the other ----------------------------------------------------------------------------------

    def next(self, state: TierState, gating: Gating) -> Begun:
        if not gating.queue:
            return self.finish(state, gating, "passed", "")
        name, *rest = gating.queue
        spec = self.tier.spec.gate(name)
        if spec is None:  # a reload took it away
            return self.next(state, replace(gating, queue=tuple(rest)))
        before = self._last_run(state, gating, name)
        attempt = before.attempt + 1 if before else 1
        gating = replace(gating, queue=tuple(rest), running=name, attempt=attempt, nodes={})
        now = self.tier.site.clock().at
        run = GateRun(
            self.tier.name, name, spec.kind, gating.version, gating.operation, attempt, Outcome.RUNNING, now
        )
        state = replace(self._put(state, gating, run), gating=gating)
        told = self._event("GateStart", gating, {"gate": name, "kind": spec.kind, "attempt": attempt})
        return [run, told], state, partial(self.start, gating, spec, ahead(self.tier, gating.version))

    def _last_run(self, state: TierState, gating: Gating, name: str) -> GateRun | None:
        if gating.candidate:
            return next((r for r in state.tried if r.gate == name), None)
        stay = self._stay_of(state, gating)
        return stay.gate(name) if stay else None

    @staticmethod
    def _stay_of(state: TierState, gating: Gating) -> Stay | None:
        """The stay that the gates judge; on the build tier it may have left meanwhile."""
        return state.judged(gating.version)

    def _put(self, state: TierState, gating: Gating, run: GateRun) -> TierState:
        if gating.candidate:
            return replace(state, tried=(*(r for r in state.tried if r.gate != run.gate), run))
        stay = self._stay_of(state, gating)
        return state.update(stay.record(run)) if stay else state

    def start(self, gating: Gating, spec: GateSpec, told: Ahead) -> None:
        if self.nodes.on_nodes(spec):
            self.nodes.begin(gating, spec)
            return
        tier = self.tier
        sha = (
            gating.candidate.sha if gating.candidate else tier.state.current.sha if tier.state.current else ""
        )
        work = partial(
            tier.site.work.gate, tier.topology, tier.name, spec, gating.operation, gating.version, sha, told
        )
        tier.start_job(self.key(gating), work)

    def key(self, gating: Gating) -> str:
        return f"tier/{self.tier.name}/{gating.operation}/gate/{gating.running}/{gating.attempt}"

    # -- ends --------------------------------------------------------------------------------------------------------

    def why_stopped(self) -> str:
        return "interrupted" if self.tier.draining else "aborted"

    def job_done(self, done: JobDone) -> None:
        gating = self.gating
        if gating is None or done.key != self.key(gating):
            self.tier.site.runner.forget(done.key)
            return
        self._job_ended(gating, done.outcome)
        self.tier.site.runner.forget(done.key)

    def _job_ended(self, gating: Gating, outcome: JobOutcome) -> None:
        match outcome:
            case _ if gating.aborted:
                self.ended(gating, Outcome.ABORTED, "stopped", "aborted")
            case Done(Verdict(passed=passed) as verdict):
                judged = Outcome.PASSED if passed else Outcome.FAILED
                self.ended(gating, judged, verdict.message, verdict=verdict)
            case Failed(error):
                said = error.detail + (f"\n{error.tail}" if error.tail else "")
                self.ended(gating, Outcome.ERRORED if error.errored else Outcome.FAILED, said)
            case _:
                self.ended(gating, Outcome.ABORTED, "stopped", self.why_stopped())

    def ended(
        self,
        gating: Gating,
        outcome: Outcome,
        message: str,
        how: str | None = None,
        verdict: Verdict | None = None,
    ) -> None:
        """A gate has its outcome: save it with the start of the next one, or with the end of all."""
        tier = self.tier
        rows, state = self.close(tier.state, gating, outcome, message, verdict)
        if how is None and outcome is Outcome.PASSED and gating.queue and tier.draining:
            more, state, then = self.finish(state, gating, "interrupted", "sandod was stopped")
        elif how is None and outcome is Outcome.PASSED:
            more, state, then = self.next(state, gating)
        else:
            more, state, then = self.finish(state, gating, how or str(outcome), message)
        tier.become(state, *rows, *learned(tier, gating, verdict), *more)
        then()
        tier.publish()
        tier.drained()

    def close(
        self,
        state: TierState,
        gating: Gating,
        outcome: Outcome,
        message: str,
        verdict: Verdict | None = None,
    ) -> tuple[list[Any], TierState]:
        run = self._last_run(state, gating, gating.running or "")
        if run is None or (run.operation, run.attempt) != (gating.operation, gating.attempt):
            return [], state
        now = self.tier.site.clock().at
        seconds = max(0.0, round((now - run.at).total_seconds(), 3))
        facts = verdict.facts if verdict and run.kind == "migration_dry_run" else {}
        run = replace(run, outcome=outcome, seconds=seconds, message=message, facts=facts)
        data: dict[str, object] = {
            "gate": run.gate,
            "kind": run.kind,
            "outcome": outcome,
            "message": message,
            "seconds": seconds,
            "attempt": run.attempt,
        }
        if run.facts:
            data["facts"] = run.facts
        return [run, self._event("GateDone", gating, data)], self._put(state, gating, run)

    def finish(self, state: TierState, gating: Gating, outcome: str, message: str) -> Begun:
        """All are green, or one was not, or they were stopped. A build's release becomes current when all are green."""
        tier, now = self.tier, self.tier.site.clock()
        said = f"gate {gating.running}: {message}" if gating.running else message
        state, rows = replace(state, gating=None), []
        if gating.candidate and outcome == "passed":
            green = replace(gating.candidate, green=True)
            runs = tuple(r for r in state.tried if r.version == green.version)
            state = state.enter(green, gating.operation, now, runs)
            rows.append(green)
        if tier.is_build_tier:
            return rows, state, partial(self._tell_build, GatesDone(gating.operation, outcome, said))
        operation = tier.site.store.operation(gating.operation)
        if operation:
            error = None if outcome == "passed" else said
            drained = {"drained": True} if outcome == "interrupted" and tier.draining else {}
            rows.append(
                replace(
                    operation,
                    status=_ENDS[outcome],
                    step="",
                    error=error,
                    finished_at=now.at,
                    details={**operation.details, **drained},
                )
            )
        return rows, state, partial(self._after, outcome)

    def _tell_build(self, done: GatesDone) -> None:
        post(self.tier.parent, done)
        self.burning.schedule()

    def _after(self, outcome: str) -> None:
        self.burning.schedule()
        if outcome == "interrupted" and not self.tier.draining:
            post(self.tier.actor_ref, _AGAIN)

    def _event(self, kind: Any, gating: Gating, data: dict[str, object]) -> Event:
        sha = gating.candidate.sha if gating.candidate else None
        return Event(
            kind,
            self.tier.site.clock().at,
            gating.operation,
            self.tier.name,
            version=gating.version,
            sha=sha,
            data=data,
        )


_AGAIN = Tick("gates")
