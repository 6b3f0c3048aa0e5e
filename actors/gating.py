"""Active gates of one tier: one after the other, the first red one ends it; and the burn-in timer. On the tier's thread.

What is under way stands in the tier's state (`Gating`), so that a restarted tier takes it up again.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import (
    AbortOperation,
    Do,
    EnterBuildTier,
    GateAgain,
    GatesDone,
    JobDone,
    NodeDone,
    RunGate,
    Tick,
)
from sando.model.answers import Accepted, Refusal, draining
from sando.model.events import Event
from sando.model.gates import GateRun, Outcome, Verdict
from sando.model.operation import Operation, Status
from sando.model.policy import active_green, judge, tier_busy
from sando.model.rollout import Rollout
from sando.model.stay import Stay
from sando.model.task import NodeFacts, NodeTask, Step
from sando.model.tier import Gating, TierState
from sando.model.topology import GateSpec
from sando.work.outcome import Aborted, Done, Failed
from sando.work.outcome import Outcome as JobOutcome

if TYPE_CHECKING:
    from actors.tier import Tier

LOOK_S = 3600.0
"""So often a burn-in clock is read and kept, so that a jump of a clock costs or gives an hour at most."""

ATTEMPTS = 2
"""Gates that may have ended the daemon are run again once."""

_ENDS = {
    "passed": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "errored": Status.ERRORED,
    "aborted": Status.ABORTED,
    "interrupted": Status.INTERRUPTED,
}

Begun = tuple[list[Any], TierState, Callable[[], None]]
"""Rows to save, the state with them, and what to do once both are saved."""


def _nothing() -> None:
    """Nothing is to be started after the save."""


class Gates:
    def __init__(self, tier: "Tier") -> None:
        self.tier = tier
        self.cut: Gating | None = None
        self.stop_timer: Callable[[], None] = _nothing

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
            if spec and not fresh and self._on_nodes(spec):
                for node in self._silent(gating):
                    self.take_up_node(node)
            elif fresh:
                self._ended(gating, Outcome.ABORTED, "sandod was restarted", "interrupted")
            else:
                self._take_up_job(gating, spec)
        elif fresh:
            post(self.tier.actor_ref, _AGAIN)
        self.schedule_burn()

    def _take_up_job(self, gating: Gating, spec: GateSpec | None) -> None:
        """The Runner forgets no job before its end is committed: where nobody holds it, it was never begun."""
        known = self.tier.adopt_job(self._key(gating))
        if gating.aborted and known:
            self._cancel(gating)
        elif not known and (gating.aborted or spec is None):
            self._ended(gating, Outcome.ABORTED, "stopped", "aborted")
        elif not known and spec:
            self._start(gating, spec)

    def take_up_node(self, name: str) -> tuple[str, ...]:
        """Its actor, or mine, has died: its job lives on, or begins now. Answers the key of what I wait for."""
        gating = self.gating
        spec = gating and gating.running and self.tier.spec.gate(gating.running)
        if not gating or not spec or not self._on_nodes(spec) or name not in self._silent(gating):
            return ()
        key, task = self._node_key(gating, name), self._task(gating, spec, name)
        if task is None:
            return ()
        if gating.aborted and not self.tier.site.runner.held(key):
            post(self.tier.actor_ref, NodeDone(name, key, Aborted()))
        else:
            self.tier.order(name, Do(key, task, adopt=True))
            if gating.aborted:
                self.tier.cancel(name, key)
        return (key,)

    def jobs(self) -> tuple[str, ...]:
        """The keys of the jobs that I wait for."""
        gating = self.gating
        if gating is None:
            return ()
        return (self._key(gating), *(self._node_key(gating, n.name) for n in self.tier.spec.nodes))

    def configured(self) -> None:
        """A reload changed the nodes that a gate waits for: those that are gone say nothing any more."""
        gating = self.gating
        spec = gating and gating.running and self.tier.spec.gate(gating.running)
        if not gating or (not gating.nodes and not spec):
            return
        if spec and self.tier.site.runner.held(self._key(gating)):
            return
        for name in self._silent(gating):
            self.take_up_node(name)
        self._all_said(gating)

    def _silent(self, gating: Gating) -> tuple[str, ...]:
        """The nodes that have not said yet how a gate went on them."""
        return tuple(n.name for n in self.tier.spec.nodes_in() if n.name not in gating.nodes)

    def drive_on(self) -> None:
        """What a restart cut short is run again, once if it may have been the gates that ended the daemon."""
        tier, current = self.tier, self.tier.state.current
        if current is None or self.gating or tier.deploys.operation or tier.is_build_tier or tier.draining:
            return
        last = next(iter(tier.site.store.operations(tier=tier.name, kind="gate", limit=1)), None)
        if last is None or last.status is not Status.INTERRUPTED or last.version != current.version:
            return
        attempts = int(str(last.details.get("attempts", 1))) + (not last.details.get("drained"))
        if attempts > ATTEMPTS:
            return
        wanted = last.details.get("gates")
        reason = f"operation {last.id} was interrupted"
        rows, state, start = self._begin(tier.state, wanted, reason, {"attempts": attempts, "again": last.id})
        if rows:
            tier.become(state, *rows)
            start()
            tier.publish()

    # -- beginning -----------------------------------------------------------------------------------------------

    def after_deploy(self, state: TierState, rollout: Rollout, operation: Operation) -> Begun:
        """A version has arrived: its active gates run, as an operation of their own."""
        if operation.status is not Status.SUCCEEDED or rollout.mode == "repair":
            return [], state, _nothing
        names = [g.name for g in self.tier.spec.active_gates()]
        if rollout.going_back and operation.details.get("whole"):
            names = [n for n in names if self._unjudged(state, n)]
        return self._begin(state, names, f"{rollout.version} arrived by operation {rollout.operation}", {})

    @staticmethod
    def _unjudged(state: TierState, name: str) -> bool:
        """A rollback that made the tier whole is no new stay: what was judged stays, what never was is now."""
        run = state.current.gate(name) if state.current else None
        return run is None or run.outcome is Outcome.ABORTED

    def _begin(self, state: TierState, wanted: Any, reason: str, details: dict[str, object]) -> Begun:
        """An operation of its own for those of the wanted gates that are not green."""
        current = state.current
        if current is None:
            return [], state, _nothing
        runs = {n: current.gate(n) for n in wanted or () if self.tier.spec.gate(n)}
        todo = [n for n, run in runs.items() if run is None or run.outcome is not Outcome.PASSED]
        if not todo:
            return [], state, _nothing
        details = {"gates": todo, **details}
        operation = self._operation(current.version, current.sha, "sandod", reason, details)
        rows, state, start = self._next(state, Gating(operation.id, current.version, tuple(todo)))
        return [operation, *rows], state, start

    def _operation(
        self, version: str, sha: str, actor: str, reason: str, details: dict[str, object]
    ) -> Operation:
        number, now = self.tier.site.store.new_operation_id(), self.tier.site.clock().at
        return Operation(
            number, "gate", self.tier.name, version, sha, actor, reason, Status.RUNNING, now,
            step="gates", started_at=now, log=f"/operations/{number}/log", details=details,
        )  # fmt: skip

    def enter_build_tier(self, entry: EnterBuildTier) -> None:
        """The door of the build tier. Asked again after a restart, it says what it knows, or begins."""
        tier, operation, release = self.tier, entry.operation, entry.release
        if self.gating and self.gating.operation == operation.id:
            return
        now = tier.site.store.operation(operation.id)
        if now is None or now.status.ended:
            return
        stopping = now.superseded_by is not None or "abort" in now.details
        known = self._known(operation) if entry.again else None
        if known is None and (stopping or tier.draining):
            how = "aborted" if stopping else "interrupted"
            known = GatesDone(operation.id, how, "stopped before its gates began")
        if known:
            post(tier.parent, known)
            return
        gating = Gating(
            operation.id, release.version, tuple(g.name for g in tier.spec.active_gates()), candidate=release
        )
        rows, state, start = self._next(replace(tier.state, tried=()), gating)
        tier.become(state, *rows)
        start()
        tier.publish()

    def _known(self, operation: Operation) -> GatesDone | None:
        """How the gates of a build ended, as the store has it; None: they never began."""
        if any(s.operation == operation.id for s in self.tier.state.stays):
            return GatesDone(operation.id, "passed")
        runs = self.tier.site.store.gate_runs(operation.id)
        if not runs:
            return None
        red = next((r for r in runs if r.outcome is not Outcome.PASSED), None)
        if red is None:
            return GatesDone(operation.id, "interrupted", "stopped between two gates")
        return GatesDone(operation.id, _word(red.outcome), red.message)

    def gate_again(self, ask: GateAgain) -> None:
        """One gate of the build tier's current version, in an operation that Build owns."""
        tier, current = self.tier, self.tier.state.current
        if self.gating and self.gating.operation == ask.operation.id:
            return
        now = tier.site.store.operation(ask.operation.id)
        if now is None or now.status.ended:
            return
        run = current.gate(ask.gate) if current else None
        if run and run.operation == ask.operation.id and run.outcome is not Outcome.RUNNING:
            post(tier.parent, GatesDone(ask.operation.id, _word(run.outcome), run.message))
            return
        gone = current is None or current.version != ask.operation.version or tier.spec.gate(ask.gate) is None
        if gone or now.superseded_by is not None or "abort" in now.details or tier.draining:
            why = "the gate or the version is gone" if gone else "stopped before it began"
            post(tier.parent, GatesDone(ask.operation.id, "aborted", why))
            return
        rows, state, start = self._next(
            tier.state, Gating(ask.operation.id, str(ask.operation.version), (ask.gate,))
        )
        tier.become(state, *rows)
        start()
        tier.publish()

    def run_again(self, wish: RunGate) -> None:
        """One gate of this tier's current version, in an operation of its own; it does not hold the tier."""
        tier, current = self.tier, self.tier.state.current
        busy = tier.deploys.operation
        if tier.draining:
            return tier.publish(wish.reply, draining())
        if current is None:
            return tier.publish(
                wish.reply,
                Refusal(
                    409,
                    "tier_empty",
                    f"nothing runs on tier {tier.name} yet",
                    f"promote into {tier.name} first",
                ),
            )
        if busy:
            return tier.publish(wish.reply, tier_busy(tier.name, busy))
        if self.gating:
            return self._while_gating(self.gating, wish)
        operation = self._operation(
            current.version, current.sha, wish.actor, wish.reason, {"gates": [wish.gate]}
        )
        rows, state, start = self._next(tier.state, Gating(operation.id, current.version, (wish.gate,)))
        tier.become(state, operation, *rows)
        start()
        tier.publish(wish.reply, Accepted(operation))

    def _while_gating(self, gating: Gating, wish: RunGate) -> None:
        operation = self.tier.site.store.operation(gating.operation)
        if wish.gate in {gating.running, *gating.queue}:
            return self.tier.publish(wish.reply, Accepted(operation, 200, "already_running"))
        self.tier.publish(wish.reply, tier_busy(self.tier.name, operation))

    # -- one gate after the other ----------------------------------------------------------------------------------

    def _next(self, state: TierState, gating: Gating) -> Begun:
        if not gating.queue:
            return self._finish(state, gating, "passed", "")
        name, *rest = gating.queue
        spec = self.tier.spec.gate(name)
        if spec is None:  # a reload took it away
            return self._next(state, replace(gating, queue=tuple(rest)))
        before = self._last_run(state, gating, name)
        attempt = before.attempt + 1 if before else 1
        gating = replace(gating, queue=tuple(rest), running=name, attempt=attempt, nodes={})
        now = self.tier.site.clock().at
        run = GateRun(
            self.tier.name, name, spec.kind, gating.version, gating.operation, attempt, Outcome.RUNNING, now
        )
        state = replace(self._put(state, gating, run), gating=gating)
        told = self._event("GateStart", gating, {"gate": name, "kind": spec.kind, "attempt": attempt})
        return [run, told], state, partial(self._start, gating, spec)

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

    def _start(self, gating: Gating, spec: GateSpec) -> None:
        if self._on_nodes(spec):
            self._on_each_node(gating, spec)
            return
        tier = self.tier
        sha = (
            gating.candidate.sha if gating.candidate else tier.state.current.sha if tier.state.current else ""
        )
        work = partial(
            tier.site.work.gate, tier.topology, tier.name, spec, gating.operation, gating.version, sha
        )
        tier.start_job(self._key(gating), work)

    def _on_nodes(self, spec: GateSpec) -> bool:
        return bool(self.tier.spec.nodes_in()) and (
            spec.kind == "boot_smoke" or (spec.kind == "command" and spec.on == "nodes")
        )

    def _key(self, gating: Gating) -> str:
        return f"tier/{self.tier.name}/{gating.operation}/gate/{gating.running}/{gating.attempt}"

    def _node_key(self, gating: Gating, node: str) -> str:
        return f"{self.tier.jobs_of(node)}{gating.operation}/gate/{gating.running}/{gating.attempt}"

    def _on_each_node(self, gating: Gating, spec: GateSpec) -> None:
        for node in self.tier.spec.nodes_in():
            task = self._task(gating, spec, node.name)
            if task:
                self.tier.order(node.name, Do(self._node_key(gating, node.name), task))

    def _task(self, gating: Gating, spec: GateSpec, name: str) -> NodeTask | None:
        tier, node = self.tier, self.tier.spec.node(name)
        if node is None:
            return None
        return NodeTask(
            operation=gating.operation, tier=tier.name, node=node, step=Step.GATE, version=gating.version, former=None,
            previous=tier.state.previous.version if tier.state.previous else None, store=tier.site.work.release_root,
            log=tier.site.work.log_path(gating.operation), timeout_s=spec.timeout_s or tier.spec.timeout_s,
            restart=node.restart, probe=node.probe, gate=spec, run=tier.topology.build.start_command(),
        )  # fmt: skip

    # -- ends --------------------------------------------------------------------------------------------------------

    def waits_for(self, done: NodeDone) -> bool:
        gating = self.gating
        return (
            gating is not None
            and done.key == self._node_key(gating, done.node)
            and done.node in self._silent(gating)
        )

    def node_done(self, done: NodeDone) -> None:
        gating = self.gating
        if gating is None:
            return
        match done.outcome:
            case Done(NodeFacts() as facts):
                said = f"{done.node}: {facts.detail}" if facts.green is False else None
            case Failed(error):
                said = f"{done.node}: {error}"
                if error.errored:
                    gating = replace(gating, errored=(*gating.errored, done.node))
            case _:
                said = f"{done.node}: stopped"
                gating = replace(gating, stopped=True)
        gating = replace(gating, nodes={**gating.nodes, done.node: said})
        if not self._all_said(gating):
            self.tier.become(replace(self.tier.state, gating=gating))
        self.tier.site.runner.forget(done.key)

    def _all_said(self, gating: Gating) -> bool:
        if self._silent(gating):
            return False
        reds = [r for r in gating.nodes.values() if r]
        said_no = any(red and node not in gating.errored for node, red in gating.nodes.items())
        if gating.aborted:
            self._ended(gating, Outcome.ABORTED, "stopped", "aborted")
        elif gating.stopped:
            self._ended(gating, Outcome.ABORTED, "stopped", self._why_stopped())
        else:
            count = len(gating.nodes)
            message = "; ".join(reds) or f"green on {count} node{'s' if count > 1 else ''}"
            red = Outcome.FAILED if said_no else Outcome.ERRORED
            self._ended(gating, red if reds else Outcome.PASSED, message)
        return True

    def _why_stopped(self) -> str:
        return "interrupted" if self.tier.draining else "aborted"

    def job_done(self, done: JobDone) -> None:
        gating = self.gating
        if gating is None or done.key != self._key(gating):
            self.tier.site.runner.forget(done.key)
            return
        self._job_ended(gating, done.outcome)
        self.tier.site.runner.forget(done.key)

    def _job_ended(self, gating: Gating, outcome: JobOutcome) -> None:
        match outcome:
            case _ if gating.aborted:
                self._ended(gating, Outcome.ABORTED, "stopped", "aborted")
            case Done(Verdict(passed=passed, message=message)):
                self._ended(gating, Outcome.PASSED if passed else Outcome.FAILED, message)
            case Failed(error):
                said = error.detail + (f"\n{error.tail}" if error.tail else "")
                self._ended(gating, Outcome.ERRORED if error.errored else Outcome.FAILED, said)
            case _:
                self._ended(gating, Outcome.ABORTED, "stopped", self._why_stopped())

    def _ended(self, gating: Gating, outcome: Outcome, message: str, how: str | None = None) -> None:
        """A gate has its outcome: save it with the start of the next one, or with the end of all."""
        tier = self.tier
        rows, state = self._close(tier.state, gating, outcome, message)
        if how is None and outcome is Outcome.PASSED and gating.queue and tier.draining:
            more, state, then = self._finish(state, gating, "interrupted", "sandod was stopped")
        elif how is None and outcome is Outcome.PASSED:
            more, state, then = self._next(state, gating)
        else:
            more, state, then = self._finish(state, gating, how or str(outcome), message)
        tier.become(state, *rows, *more)
        then()
        tier.publish()
        tier.drained()

    def _close(
        self, state: TierState, gating: Gating, outcome: Outcome, message: str
    ) -> tuple[list[Any], TierState]:
        run = self._last_run(state, gating, gating.running or "")
        if run is None or (run.operation, run.attempt) != (gating.operation, gating.attempt):
            return [], state
        now = self.tier.site.clock().at
        seconds = round((now - run.at).total_seconds(), 3)
        run = replace(run, outcome=outcome, seconds=seconds, message=message)
        data = {
            "gate": run.gate,
            "kind": run.kind,
            "outcome": outcome,
            "message": message,
            "seconds": seconds,
            "attempt": run.attempt,
        }
        return [run, self._event("GateDone", gating, data)], self._put(state, gating, run)

    def _finish(self, state: TierState, gating: Gating, outcome: str, message: str) -> Begun:
        """All are green, or one was not, or they were stopped. A build's release becomes current when all are green."""
        tier, now = self.tier, self.tier.site.clock()
        state, rows = replace(state, gating=None), []
        if gating.candidate and outcome == "passed":
            green = replace(gating.candidate, green=True)
            runs = tuple(r for r in state.tried if r.version == green.version)
            state = state.enter(green, gating.operation, now, runs)
            rows.append(green)
        if tier.is_build_tier:
            return rows, state, partial(self._tell_build, GatesDone(gating.operation, outcome, message))
        operation = tier.site.store.operation(gating.operation)
        if operation:
            error = None if outcome == "passed" else f"{gating.running}: {message}"
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
        self.schedule_burn()

    def _after(self, outcome: str) -> None:
        self.schedule_burn()
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

    # -- stopping ----------------------------------------------------------------------------------------------------

    def cut_off(self, state: TierState) -> tuple[list[Any], TierState]:
        """A deploy or a rollback takes the tier: gates under way are aborted, in its transaction."""
        self.cut = gating = state.gating
        if gating is None:
            return [], state
        rows, state = self._close(state, gating, Outcome.ABORTED, "a deploy or rollback of the tier began")
        more, state, _ = self._finish(
            state, replace(gating, candidate=None), "aborted", "a deploy or rollback began"
        )
        return [*rows, *more], state

    def cancel_cut_off(self) -> None:
        gating, self.cut = self.cut, None
        if gating:
            self._cancel(gating)

    def _cancel(self, gating: Gating) -> None:
        spec = self.tier.spec.gate(gating.running or "")
        if spec and self._on_nodes(spec):
            for node in self.tier.spec.nodes:
                self.tier.cancel(node.name, self._node_key(gating, node.name))
        else:
            self.tier.site.runner.cancel(self._key(gating))

    def abort(self, operation: int) -> None:
        """Build asks: a newer push came, or a person stopped the build."""
        gating = self.gating
        if gating is None or gating.operation != operation:
            entered = any(s.operation == operation for s in self.tier.state.stays)
            done = "passed" if entered else "aborted"
            post(self.tier.parent, GatesDone(operation, done, "no gate was running"))
            return
        self.tier.become(replace(self.tier.state, gating=replace(gating, aborted=True)))
        self._cancel(gating)

    def abort_by(self, wish: AbortOperation) -> None:
        gating = self.gating
        operation = self.tier.site.store.operation(wish.operation)
        if gating is None or gating.operation != wish.operation or operation is None:
            refusal = Refusal(
                409,
                "not_running",
                f"operation {wish.operation} has ended",
                f"GET /operations/{wish.operation} tells how",
            )
            return self.tier.publish(wish.reply, refusal)
        self.tier.become(replace(self.tier.state, gating=replace(gating, aborted=True)))
        self._cancel(gating)
        self.tier.publish(wish.reply, Accepted(operation))

    def drain(self) -> None:
        self.stop_timer()
        if self.gating:
            self._cancel(self.gating)

    # -- burn-in -------------------------------------------------------------------------------------------------------

    def schedule_burn(self) -> None:
        """A timer, not a poll, records the end of a burn-in."""
        self.stop_timer()
        self.stop_timer = _nothing
        tier, current = self.tier, self.tier.state.current
        gate = next((g for g in tier.spec.gates if g.kind == "burn_in"), None)
        if gate is None or current is None or not active_green(tier.spec, current):
            return
        run = current.gate(gate.name)
        left = gate.duration_s - current.burnt(tier.site.clock())
        if run is None or left > 0:
            self.stop_timer = tier.tick(max(0.0, min(left, LOOK_S)), "burn", current.n)

    def burn_tick(self, number: int) -> None:
        tier, current = self.tier, self.tier.state.current
        if current is None or current.n != number or current.burn is None:
            return
        now = tier.site.clock()
        stay = replace(current, burn=current.burn.advance(now))
        view = next((v for v in judge(tier.spec, stay, now) if v.kind == "burn_in"), None)
        if view and view.outcome is Outcome.PASSED and stay.gate(view.name) is None:
            seconds = round(stay.burnt(now), 3)
            run = GateRun(
                tier.name,
                view.name,
                "burn_in",
                stay.version,
                stay.operation,
                1,
                Outcome.PASSED,
                now.at,
                seconds,
            )
            data = {
                "gate": view.name,
                "kind": "burn_in",
                "outcome": "passed",
                "message": "",
                "seconds": seconds,
            }
            told = Event(
                "GateDone", now.at, stay.operation, tier.name, version=stay.version, sha=stay.sha, data=data
            )
            tier.become(tier.state.update(stay.record(run)), run, told)
            tier.publish()
            return
        tier.become(tier.state.update(stay))
        self.schedule_burn()


def _word(outcome: Outcome) -> str:
    return "interrupted" if outcome is Outcome.ABORTED else str(outcome)


_AGAIN = Tick("gates")
