"""Deploys and rollbacks of one tier: admission, the rollout step by step, its end. On the tier's thread.

Every handler saves once: what has ended, what begins next, and the events that tell of both.
"""

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import (
    AbortOperation,
    Admit,
    AskAgain,
    Do,
    JobDone,
    NodeDone,
    Promoted,
    Tick,
    VouchedAgain,
)
from actors.messages import Rollback as RollbackWish
from sando.model import rollout as machine
from sando.model.answers import Accepted, Refusal, draining, unavailable
from sando.model.clock import Instant
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.operation import Operation, Status
from sando.model.policy import Admission, RollbackPlan, Wish, admit, lacking, plan_rollback, tier_busy
from sando.model.record import Unset
from sando.model.retention import kept_of
from sando.model.rollout import NodePlan, Result, Rollout
from sando.model.stay import BurnReset
from sando.model.task import NodeFacts, NodeTask, Step
from sando.model.tier import Half, Mark, NodeState, TierState
from sando.model.topology import TierSpec
from sando.work.outcome import Done, Failed

if TYPE_CHECKING:
    from actors.tier import Tier

log = logging.getLogger(__name__)


class Deploys:
    """At most one promotion or rollback of the tier at a time, as a stored `Rollout` and its operation."""

    def __init__(self, tier: "Tier") -> None:
        self.tier = tier
        self.operation: Operation | None = None
        self.rollout: Rollout | None = None
        self.checking: tuple[str, Admit] | None = None
        self.stashed: list[Any] = []
        self.declared = TierSpec("", provisioned=True)
        """The tier as sando.toml had it when the operation began: a reload changes nothing under it."""
        self.asked_again = False

    @property
    def in_motion(self) -> bool:
        return self.rollout is not None and self.rollout.in_motion

    # -- taking up what a former life left -----------------------------------------------------------------------

    def take_up(self, *, fresh: bool) -> None:
        tier = self.tier
        self.declared = tier.spec
        operations = [o for o in tier.site.store.unfinished(tier.name) if o.kind in {"promote", "rollback"}]
        if not operations:
            return
        operation = operations[0]
        rollout = tier.site.store.rollout(operation.id)
        if rollout is None:
            raise LookupError(f"operation {operation.id} has no rollout")
        kept = tuple(n for n in rollout.nodes if tier.spec.node(n.name))
        if kept != rollout.nodes:
            log.warning(
                "tier %s: operation %s goes on without nodes that sando.toml no longer names",
                tier.name,
                operation.id,
            )
            rollout = replace(rollout, nodes=kept) if kept else _without_nodes(rollout)
        self.operation, self.rollout = operation, rollout
        if fresh:
            self._interrupt(rollout)
            return
        for node in rollout.nodes:
            self.take_up_node(node.name)
        post(tier.actor_ref, _DRIVE)

    def _interrupt(self, rollout: Rollout) -> None:
        """Where this cannot be saved, the whole birth is tried again."""
        try:
            self._drive(machine.interrupt(rollout, "sandod was restarted in the middle"))
        except BaseException:
            self.operation = self.rollout = None
            raise

    def take_up_node(self, name: str) -> tuple[str, ...]:
        """Its actor, or mine, has died: its job lives on, or begins now. Answers the key of what I wait for."""
        node = next((n for n in self.rollout.nodes if n.name == name), None) if self.rollout else None
        if node is None or node.doing is None:
            return ()
        key = self._key(node)
        self.tier.order(name, Do(key, self._task(node, node.doing), adopt=True))
        return (key,)

    def jobs(self) -> tuple[str, ...]:
        """The keys of the jobs that I wait for."""
        return tuple(self._key(n) for n in self.rollout.nodes if n.doing) if self.rollout else ()

    # -- promotion: admission ------------------------------------------------------------------------------------

    def admit(self, ask: Admit) -> None:
        tier, wish = self.tier, ask.wish
        if tier.draining:
            return tier.publish(wish.reply, draining())
        if self.checking:
            self.stashed.append(ask)
            tier.hold(wish.reply)
            return None
        verdict = self._judge(ask)
        if isinstance(verdict, Refusal):
            return tier.publish(wish.reply, verdict)
        tier.hold(wish.reply)
        self.checking = (tier.new_key(f"tier/{tier.name}/verify/"), ask)
        tier.start_job(self.checking[0], partial(tier.site.work.verify, ask.vouched.version))

    def _judge(self, ask: Admit) -> Admission | Refusal:
        tier = self.tier
        if tier.state.parked:
            return parked(tier.state)
        release = tier.site.store.release(ask.vouched.version)
        return admit(
            tier.spec, tier.state, _wish(ask.wish), ask.vouched, release,
            marks={**ask.marks, tier.name: tuple(tier.state.marks.values())},
            busy=self.operation, lock=ask.lock, frozen_until=ask.frozen_until,
        )  # fmt: skip

    def waits_for(self, key: str) -> bool:
        return self.checking is not None and self.checking[0] == key

    def checked(self, done: JobDone) -> None:
        """The release was hashed against its manifest before anything is promised."""
        if self.checking is None:
            return
        key, ask = self.checking
        match done.outcome:
            case Done(None) if not self.tier.draining:
                self._accept_or_say(ask)
            case Done((code, problem)):
                self._no_release(ask, code, problem)
            case Failed(error):
                self._no_release(ask, "release_corrupt", str(error))
            case _:
                self.tier.publish(ask.wish.reply, draining())
        self.checking = None
        self.tier.site.runner.forget(key)
        self._unstash()

    def _unstash(self) -> None:
        for message in self.stashed:
            post(self.tier.actor_ref, message)
        self.stashed = []

    def _accept_or_say(self, ask: Admit) -> None:
        """While the release was checked a reload may have changed what there is to be admitted to."""
        try:
            verdict = self._judge(ask)
            if isinstance(verdict, Refusal):
                self.tier.publish(ask.wish.reply, verdict)
            else:
                self._accept(ask, verdict)
        except StoreUnavailable as error:
            log.error(
                "tier %s: cannot admit %s, the store is away: %s", self.tier.name, ask.vouched.version, error
            )
            ask.wish.reply.answer(unavailable())

    def _no_release(self, ask: Admit, code: str, problem: str) -> None:
        store = self.tier.site.store
        release = store.release(ask.vouched.version)
        if code == "release_missing" and release and release.present:
            store.save(replace(release, present=False))  # so that a push of its sha builds it again
        detail = f"the release {ask.vouched.version} in the store is not what was built: {problem}"
        hint = "build it again: POST /rebuild with its sha, and `force`"
        self.tier.publish(ask.wish.reply, Refusal(409, code, detail, hint))

    def _accept(self, ask: Admit, verdict: Admission) -> None:
        tier, wish, spec = self.tier, ask.wish, self.tier.spec
        number, release = tier.site.store.new_operation_id(), tier.site.store.release(verdict.version)
        if release is None:
            raise LookupError(verdict.version)
        repair = verdict.kind == "repair"
        half = tier.state.half
        ran = half is not None and half.version == release.version and half.once_done
        rollout = Rollout(
            operation=number, tier=tier.name, mode="repair" if repair else "promote", version=release.version,
            previous=tier.state.current_version, nodes=tuple(NodePlan(n) for n in verdict.nodes),
            canary=spec.canary, hold_s=spec.canary_hold_s, on_failure=spec.on_failure,
            once=spec.once is not None and not repair and not ran, once_ran=ran,
        )  # fmt: skip
        details: dict[str, object] = {
            "kind": rollout.mode,
            "source": ask.vouched.source,
            "source_stay": ask.vouched.stay,
        }
        if wish.hotfix:
            details |= {"hotfix": True, "skipped": ask.vouched.skipped}
        details |= {k: True for k in ("reset_burn_in", "force", "override_freeze") if getattr(wish, k)}
        operation = self._new(
            number, "promote", release.version, release.sha, wish.actor, wish.reason, details
        )
        told: list[Any] = [tier.event("DeployStart", operation, data=self._about(rollout, operation))]
        if not release.present:  # its folder was put back
            told.append(replace(release, present=True))
        if wish.hotfix:
            told.append(
                tier.event(
                    "HotfixUsed", operation, data={"skipped": ask.vouched.skipped, "reason": wish.reason}
                )
            )
        self._launch(operation, rollout, wish.reply, *told)

    def _new(
        self,
        number: int,
        kind: Any,
        version: str,
        sha: str,
        actor: str,
        reason: str,
        details: dict[str, object],
    ) -> Operation:
        now = self.tier.site.clock().at
        return Operation(
            number, kind, self.tier.name, version, sha, actor, reason, Status.RUNNING, now,
            step="preflight", started_at=now, log=f"/operations/{number}/log", details=details,
        )  # fmt: skip

    @staticmethod
    def _about(rollout: Rollout, operation: Operation) -> dict[str, object]:
        return {
            "kind": rollout.mode, "nodes": [n.name for n in rollout.nodes], "from": rollout.previous,
            "to": rollout.version, "reason": operation.reason,
        }  # fmt: skip

    def _launch(self, operation: Operation, rollout: Rollout, reply: Any, *rows: Any) -> None:
        self.declared = self.tier.spec
        self.asked_again = False
        rows_of_gates, state = self.tier.gates.cut_off(self.tier.state)
        self.operation = operation
        try:
            self._drive(rollout, *rows_of_gates, *rows, state=state)
        except BaseException:
            self.operation = None
            raise
        self.tier.gates.cancel_cut_off()
        self.tier.publish(reply, Accepted(self.operation or operation))

    # -- rollback ------------------------------------------------------------------------------------------------

    def rollback(self, wish: RollbackWish) -> None:
        tier = self.tier
        if tier.draining:
            return tier.publish(wish.reply, draining())
        if self.operation:
            return self._rollback_over(self.operation, wish)
        if self.checking:
            self.stashed.append(wish)
            tier.hold(wish.reply)
            return None
        plan = plan_rollback(tier.spec, tier.state, wish.version)
        if tier.state.parked:
            plan = parked(tier.state)
        if isinstance(plan, Refusal):
            return tier.publish(wish.reply, plan)
        self._roll(plan, wish)

    def _rollback_over(self, running: Operation, wish: RollbackWish) -> None:
        """`abort_running` stops a promotion at its node boundary; the operation says what comes after it."""
        if running.kind == "rollback" or not wish.abort_running:
            return self.tier.publish(wish.reply, busy_for_rollback(self.tier.name, running))
        then = {"version": wish.version, "force": wish.force, "actor": wish.actor, "reason": wish.reason}
        self._stop(wish, f"aborted by {wish.actor}'s rollback", {"then": "rollback", "rollback": then})
        answer = self.tier.site.store.operation(running.id)
        self.tier.publish(wish.reply, Accepted(answer or running, 202, "aborting"))

    def _roll_over(self, ended: Operation) -> None:
        """The promotion has ended: where its own revert made the tier whole, there is nothing left to do."""
        then = ended.details.get("rollback")
        if not isinstance(then, dict) or self.tier.draining:
            return
        whole = not lacking(self.tier.spec, self.tier.state)
        if whole and then["version"] is None and ended.status is not Status.SUCCEEDED:
            return
        wish = RollbackWish(
            self.tier.name, then["version"], then["force"], actor=then["actor"], reason=then["reason"]
        )
        post(self.tier.actor_ref, wish)

    def _roll(self, plan: RollbackPlan, wish: RollbackWish) -> None:
        tier, stay = self.tier, plan.stay
        number = tier.site.store.new_operation_id()
        details: dict[str, object] = {
            "kind": "rollback",
            "whole": plan.whole,
            "marks": plan.marks,
            "stay": stay.n,
            "named": wish.version is not None,
        }
        operation = self._new(number, "rollback", stay.version, stay.sha, wish.actor, wish.reason, details)
        rollout = Rollout(
            operation=number, tier=tier.name, mode="rollback", version=stay.version,
            previous=tier.state.half.version if plan.whole and tier.state.half else tier.state.current_version,
            nodes=tuple(NodePlan(n) for n in plan.nodes),
        )  # fmt: skip
        if tier.is_build_tier:
            return self._roll_pointer(operation, wish)
        told = tier.event("DeployStart", operation, data=self._about(rollout, operation))
        self._launch(operation, rollout, wish.reply, told)

    def _roll_pointer(self, operation: Operation, wish: RollbackWish) -> None:
        """On the build tier only the pointer moves."""
        tier = self.tier
        left = tier.state.current_version
        state = self._step_back(tier.state, operation)
        now = tier.site.clock().at
        ended = replace(operation, status=Status.SUCCEEDED, step="", finished_at=now)
        tier.become(
            state,
            ended,
            tier.event("Rollback", ended, data={"from": left, "to": ended.version, "reason": wish.reason}),
        )
        tier.gates.burning.schedule()
        tier.publish(wish.reply, Accepted(ended))

    def _step_back(self, state: TierState, operation: Operation) -> TierState:
        """The history as it is once the first node has switched; to make whole only marks what was half there."""
        now = self.tier.site.clock()
        bad = operation.details.get("marks")
        mark = Mark(str(bad), now.at, operation.actor, operation.reason, operation.id) if bad else None
        if operation.details.get("whole"):
            return state.marked(mark) if mark else state
        target = next(s for s in state.stays if s.n == operation.details["stay"])
        return state.pop_to(target, mark, now, keep_gates=self.tier.is_build_tier)

    # -- the rollout, step by step ---------------------------------------------------------------------------------

    def drive_on(self) -> None:
        if self.rollout:
            self.asked_again = False
            self._drive(self.rollout)

    def vouched(self, word: VouchedAgain) -> None:
        rollout = self.rollout
        if (
            rollout
            and rollout.operation == word.operation
            and rollout.phase == "vouch"
            and not self.tier.draining
        ):
            refusal = word.refusal and f"the source does not vouch for it any more: {word.refusal}"
            self._drive(machine.vouched(rollout, refusal))

    def node_done(self, done: NodeDone) -> None:
        rollout = self.rollout
        nodes = rollout.nodes if rollout else ()
        node = next((n for n in nodes if n.doing and self._key(n) == done.key), None)
        if rollout is None or node is None or node.doing is None:
            self._of_no_operation(done)
            return
        match done.outcome:
            case Done(NodeFacts() as facts):
                self._node_ended(rollout, node, node.doing, facts)
            case Failed(error):
                said = str(error) + (f"\n{error.tail}" if error.tail else "")
                self._node_failed(node, node.doing, said, errored=error.errored)
            case _ if node.doing is Step.HOLD and rollout.aborted:
                self._node_ended(rollout, node, node.doing, NodeFacts(current=rollout.version))
            case _ if self.tier.draining:
                self._leave(node)
            case _:
                self._node_failed(node, node.doing, "stopped", errored=True)
        self.tier.site.runner.forget(done.key)

    def _leave(self, node: NodePlan) -> None:
        """Stopped because the daemon ends: the row stays as it is, the next start looks at the node."""
        if self.rollout:
            rest = tuple(replace(n, doing=None) if n is node else n for n in self.rollout.nodes)
            self.rollout = replace(self.rollout, nodes=rest)
        self.tier.drained()

    def drain(self) -> None:
        """Whoever waits for a promotion to end will not see it."""
        waiting, self.stashed = self.stashed, []
        for message in waiting:
            self.tier.publish(message.reply, draining())

    def _node_ended(self, rollout: Rollout, node: NodePlan, step: Step, facts: NodeFacts) -> None:
        rows: list[Any] = []
        known = self.tier.state.nodes.get(node.name)
        looked = step in {Step.PREFLIGHT, Step.OBSERVE}
        strange = looked and known is not None and facts.current not in {known.version, known.observed}
        if strange and known and not node.touched and self.operation:
            data = {"recorded": known.version, "observed": facts.current}
            rows.append(self.tier.event("DriftDetected", self.operation, node=node.name, data=data))
        rollout = machine.ended(rollout, node.name, step, facts)
        rollout, operation = self._whole_first(rollout, self.operation)
        self._drive(rollout, *rows, operation=operation)

    def _whole_first(self, rollout: Rollout, operation: Operation | None) -> tuple[Rollout, Operation | None]:
        """What the preflight saw outweighs what was recorded: a tier that is not whole does not step back (SPEC 7)."""
        current = self.tier.state.current
        if not rollout.going_back or rollout.phase == "preflight" or operation is None or current is None:
            return rollout, operation
        said = operation.details
        begun = any(n.touched for n in rollout.nodes)
        astray = [n for n in rollout.nodes if n.seen and n.now != current.version]
        if not astray or begun or said.get("whole") or said.get("named") or said.get("stepped"):
            return rollout, operation
        details = {**said, "whole": True, "marks": None, "stay": current.n}
        operation = replace(operation, version=current.version, sha=current.sha, details=details)
        nodes = tuple(NodePlan(n.name, now=n.now, seen=True, tries=n.tries) for n in astray)
        before = next((n.now for n in astray if n.now), None)
        rollout = replace(
            rollout, version=current.version, previous=before, nodes=nodes, phase="preflight", error=None
        )
        return rollout, operation

    def _node_failed(self, node: NodePlan, step: Step, said: str, *, errored: bool) -> None:
        if self.rollout:
            self._drive(machine.failed(self.rollout, node.name, step, said, errored=errored))

    def _of_no_operation(self, done: NodeDone) -> None:
        """The end of a prune, or of a step of an operation that has ended meanwhile."""
        if not self.tier.site.runner.held(done.key):
            return
        if isinstance(done.outcome, Done) and done.key.endswith("/prune") and done.outcome.value.removed:
            now = self.tier.site.clock().at
            data: dict[str, object] = {"versions": list(done.outcome.value.removed)}
            self.tier.become(
                self.tier.state, Event("Pruned", now, tier=self.tier.name, node=done.node, data=data)
            )
            self.tier.publish()
        elif isinstance(done.outcome, Failed):
            log.warning("tier %s: %s: %s", self.tier.name, done.node, done.outcome.error)
        self.tier.site.runner.forget(done.key)

    def _drive(
        self,
        rollout: Rollout,
        *rows: Any,
        state: TierState | None = None,
        operation: Operation | None = None,
    ) -> None:
        """Save what is, start what is due. While draining nothing new is begun: the next start settles it."""
        tier, before, operation = self.tier, self.rollout, operation or self.operation
        if operation is None:
            raise RuntimeError("no operation to drive")
        tasks = tuple(t for t in machine.due(rollout) if not tier.draining or t[1] is Step.START)
        for name, step in tasks:
            rollout = machine.start(rollout, name, step)
        state, operation = self._seen(state or tier.state, rollout, operation)
        events = self._node_events(
            before if before and before.operation == rollout.operation else None, rollout, operation
        )
        ended = machine.result(rollout)
        if ended:
            self._finish(state, rollout, operation, ended, *rows, *events)
            return
        operation = replace(operation, step=rollout.phase, nodes=tuple(n.report() for n in rollout.nodes))
        tier.become(state, operation, rollout, *rows, *events)
        self.operation, self.rollout = operation, rollout
        for name, step in tasks:
            tier.order(name, Do(self._key(rollout.node(name)), self._task(rollout.node(name), step)))
        if rollout.phase == "vouch" and not self.asked_again and not tier.draining:
            self.asked_again = True
            hotfix, force = bool(operation.details.get("hotfix")), bool(operation.details.get("force"))
            post(tier.parent, AskAgain(operation.id, tier.name, rollout.version, hotfix, force))
        tier.publish()
        tier.drained()

    def _seen(self, state: TierState, rollout: Rollout, operation: Operation) -> tuple[TierState, Operation]:
        """The nodes as the rollout knows them; a rollback moves the tier with its first node."""
        for plan in rollout.nodes:
            node = _node_state(state.nodes.get(plan.name) or NodeState(plan.name), plan)
            if node != state.nodes.get(plan.name):
                state = state.with_node(node)
        stepped = rollout.going_back and rollout.first_moved and not operation.details.get("stepped")
        if stepped:
            state = self._step_back(state, operation)
            operation = replace(operation, details={**operation.details, "stepped": True})
        return state, operation

    def _node_events(self, before: Rollout | None, rollout: Rollout, operation: Operation) -> list[Event]:
        told = []
        for plan in rollout.nodes:
            was = before.node(plan.name).status if before else "pending"
            if plan.status != was and plan.status in {"ok", "reverted"}:
                kind = "NodeDeployed" if plan.status == "ok" else "NodeReverted"
                version = rollout.version if plan.status == "ok" else plan.former
                told.append(self.tier.event(kind, operation, node=plan.name, version=version))
        return told

    def _key(self, node: NodePlan) -> str:
        if self.rollout is None or node.doing is None:
            raise RuntimeError(f"{node.name} does nothing")
        return f"{self.tier.jobs_of(node.name)}{self.rollout.operation}/{node.tries}/{node.doing}"

    def _task(self, node: NodePlan, step: Step) -> NodeTask:
        tier, rollout, operation = self.tier, self.rollout, self.operation
        spec = self.declared.node(node.name)
        if rollout is None or operation is None or spec is None:
            raise RuntimeError(f"{node.name}: no task without an operation")
        back = rollout.going_back
        return NodeTask(
            operation=operation.id, tier=tier.name, node=spec, step=step, version=rollout.version, former=node.former,
            previous=rollout.previous, store=tier.site.work.release_root, log=tier.site.work.log_path(operation.id),
            timeout_s=self.declared.timeout_s, restart=spec.restart, probe=spec.probe,
            once=None if back else self.declared.once, before_switch=None if back else self.declared.before_switch,
            hold_s=rollout.hold_s, force=bool(operation.details.get("force")) or back,
            run=tier.topology.build.start_command(),
        )  # fmt: skip

    # -- aborting ------------------------------------------------------------------------------------------------

    def abort(self, wish: AbortOperation) -> None:
        operation = self.operation
        if operation is None:
            return None
        if operation.kind == "rollback":
            refusal = Refusal(
                409,
                "not_abortable",
                f"rollback {operation.id} goes on to its end",
                "roll back or promote when it has ended",
                operation,
            )
            return self.tier.publish(wish.reply, refusal)
        self._stop(wish, f"aborted by {wish.actor}" + (f": {wish.reason}" if wish.reason else ""), {})
        answer = self.tier.site.store.operation(operation.id)
        self.tier.publish(wish.reply, Accepted(answer or operation))

    def _stop(self, wish: AbortOperation | RollbackWish, why: str, then: dict[str, object]) -> None:
        rollout, operation = self.rollout, self.operation
        if rollout is None or operation is None or rollout.going_back or (rollout.aborted and not then):
            return
        details = {**operation.details, "abort": wish.actor, "abort_reason": wish.reason, **then}
        stopped = rollout if rollout.aborted else machine.abort(rollout, why)
        self._drive(stopped, operation=replace(operation, details=details))
        for node in self.rollout.nodes if self.rollout else ():
            if node.doing in {Step.UPLOAD, Step.PREFLIGHT, Step.HOLD}:
                self.tier.cancel(node.name, self._key(node))

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(
        self, state: TierState, rollout: Rollout, operation: Operation, ended: Result, *rows: Any
    ) -> None:
        tier, now = self.tier, self.tier.site.clock()
        seconds = (now.at - operation.created_at).total_seconds()
        operation = replace(
            operation, status=Status(ended.status), step="", error=ended.error, finished_at=now.at,
            rolled_back=ended.rolled_back, recovered=ended.recovered, nodes=tuple(n.report() for n in rollout.nodes),
        )  # fmt: skip
        about = {**self._about(rollout, operation), "seconds": seconds}
        if ended.status == "succeeded":
            state, more = self._succeed(state, rollout, operation, now, about)
        else:
            state, more = self._fail(state, rollout, operation, about)
        gate_rows, state, gate_start = tier.gates.arrivals.after_deploy(state, rollout, operation)
        tier.become(state, operation, Unset(Rollout, operation.id), *rows, *more, *gate_rows)
        self.operation = self.rollout = None
        gate_start()
        if ended.status == "succeeded":
            self._tell_success(rollout, operation)
        self._unstash()
        self._roll_over(operation)
        tier.gates.burning.schedule()
        tier.publish()
        tier.drained()

    def _succeed(
        self, state: TierState, rollout: Rollout, operation: Operation, now: Instant, about: dict[str, Any]
    ) -> tuple[TierState, list[Any]]:
        tier = self.tier
        ok = tier.event("DeployOk", operation, data=about)
        if rollout.going_back:
            data = {
                "from": rollout.previous,
                "to": rollout.version,
                "whole": bool(operation.details.get("whole")),
                "reason": operation.reason,
            }
            return replace(state, half=None), [ok, tier.event("Rollback", operation, data=data)]
        if rollout.mode == "repair":
            return state, [ok]
        release = tier.site.store.release(rollout.version)
        if release is None:
            raise LookupError(rollout.version)
        state = state.enter(release, operation.id, now)
        rows: list[Any] = [ok, tier.event("PromoteComplete", operation, data=about)]
        if operation.details.get("force"):
            state = state.lifted(rollout.version)
        if operation.details.get("reset_burn_in"):
            source = str(operation.details["source"])
            rows.append(BurnReset(source, int(str(operation.details["source_stay"])), now, operation.id))
            rows.append(
                Event(
                    "BurnInReset", now.at, operation.id, source, actor=operation.actor, data={"by": tier.name}
                )
            )
        return state, rows

    def _fail(
        self, state: TierState, rollout: Rollout, operation: Operation, about: dict[str, Any]
    ) -> tuple[TierState, list[Any]]:
        tier = self.tier
        about = {
            **about,
            "error": operation.error,
            "status": operation.status,
            "rolled_back": operation.rolled_back,
        }
        rows: list[Any] = [tier.event("DeployFailed", operation, data=about)]
        if rollout.going_back:
            rows.append(tier.event("RollbackFailed", operation, data=about))
        nodes = [state.nodes[n.name] for n in tier.spec.nodes_in() if n.name in state.nodes]
        if rollout.going_back:
            held = state.half is not None and any(n.version == state.half.version for n in nodes)
            half = state.half if held else None
        else:
            held = rollout.version != state.current_version and any(
                n.version == rollout.version for n in nodes
            )
            half = Half(rollout.version, operation.id, rollout.once_ran) if held else None
        return replace(state, half=half), rows

    def _tell_success(self, rollout: Rollout, operation: Operation) -> None:
        tier, details = self.tier, operation.details
        reset = str(details["source"]) if details.get("reset_burn_in") and rollout.mode == "promote" else None
        post(tier.parent, Promoted(tier.name, rollout.version, bool(details.get("force")), reset))
        keep = tuple(sorted(kept_of(tier.state, tier.spec.keep_releases)))
        for node in rollout.nodes:
            task = self._prune_task(node, operation, keep)
            if task and node.name in tier.children and not tier.draining:
                tier.order(node.name, Do(f"{tier.jobs_of(node.name)}{operation.id}/prune", task))

    def _prune_task(self, node: NodePlan, operation: Operation, keep: tuple[str, ...]) -> NodeTask | None:
        spec = self.tier.spec.node(node.name)
        if spec is None or operation.version is None:
            return None
        return NodeTask(
            operation=operation.id, tier=self.tier.name, node=spec, step=Step.PRUNE, version=operation.version, former=None,
            previous=None, store=self.tier.site.work.release_root, log=self.tier.site.work.log_path(operation.id), keep=keep,
        )  # fmt: skip


def _wish(message: Any) -> Wish:
    return Wish(
        message.tier, message.version, message.hotfix, message.reset_burn_in, message.force, message.override_freeze,
        message.actor, message.reason,
    )  # fmt: skip


def _node_state(known: NodeState, plan: NodePlan) -> NodeState:
    """What the tier says of a node while and after a rollout has its hands on it."""
    if plan.status in {"pending", "checked", "uploaded"}:
        status: Any = "ok" if known.status == "unknown" else known.status
        return replace(known, observed=plan.now, reachable=True, status=status) if plan.seen else known
    if plan.status in {"switched", "started", "ok", "reverted"}:
        detail = plan.detail if plan.at_fault and plan.status != "reverted" else ""
        return NodeState(plan.name, plan.now, plan.now, status="failed" if detail else "ok", detail=detail)
    if plan.status == "unknown":
        return replace(known, reachable=False, status="unknown", detail=plan.detail)
    if plan.broken:
        return NodeState(plan.name, plan.now, plan.now, status="failed", detail=plan.detail)
    return replace(known, observed=plan.now if plan.seen else known.observed, detail=plan.detail)


def busy_for_rollback(tier: str, running: Operation) -> Refusal:
    """At 3 a.m. the next step is what counts: a rollback may stop a promotion, but not another rollback."""
    refusal = tier_busy(tier, running)
    if running.kind != "promote":
        return refusal
    return replace(
        refusal, hint=f"`abort_running`: true stops it at its next node; or wait for /operations/{running.id}"
    )


def parked(state: TierState) -> Refusal:
    return Refusal(
        503,
        "degraded",
        f"tier {state.name} is parked: {state.parked}",
        "see the log of sandod; restarting it tries again",
    )


def _without_nodes(rollout: Rollout) -> Rollout:
    error = "sando.toml names none of its nodes any more"
    return replace(rollout, nodes=(), phase="done", interrupted=True, error=error)


_DRIVE = Tick("drive")
