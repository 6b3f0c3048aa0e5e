"""Deploys and rollbacks of one tier: admission, the rollout step by step, its end. On the tier's thread.

Every handler saves once: what has ended, what begins next, and the events that tell of both.
"""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.admissions import Admissions
from actors.base import post
from actors.deploy_stops import DeployStops
from actors.endings import Endings
from actors.messages import (
    AskAgain,
    Do,
    NodeDone,
    Tick,
    VouchedAgain,
)
from actors.plans import Plans
from actors.queued import Queued
from actors.rollbacks import Rollbacks
from actors.step_ends import StepEnds
from sando.model import rollout as machine
from sando.model.answers import Accepted
from sando.model.events import Event
from sando.model.node_state import node_state
from sando.model.operation import Operation, Status
from sando.model.rollout import NodePlan, Rollout
from sando.model.task import NodeTask, Step
from sando.model.tier import NodeState, TierState
from sando.model.topology import TierSpec

if TYPE_CHECKING:
    from actors.tier import Tier

log = logging.getLogger(__name__)


class Deploys:
    """At most one promotion or rollback of the tier at a time, as a stored `Rollout` and its operation."""

    def __init__(self, tier: "Tier") -> None:
        self.tier = tier
        self.operation: Operation | None = None
        self.rollout: Rollout | None = None
        self.admissions = Admissions(self)
        self.rollbacks = Rollbacks(self)
        self.queued = Queued(self)
        self.plans = Plans(self)
        self.endings = Endings(self)
        self.stops = DeployStops(self)
        self.steps = StepEnds(self)
        self.declared = TierSpec("", provisioned=True)
        """The tier as sando.toml had it when the operation began: a reload changes nothing under it."""
        self.asked_again = False

    @property
    def holder(self) -> Operation | None:
        """What holds the tier: the operation that runs, or the rollback that is about to."""
        return self.operation or self.queued.operation

    @property
    def in_motion(self) -> bool:
        return self.rollout is not None and self.rollout.in_motion

    @property
    def at_work(self) -> int:
        """Nodes on which a step runs."""
        return sum(1 for n in self.rollout.nodes if n.doing) if self.rollout else 0

    # -- taking up what a former life left -----------------------------------------------------------------------

    def take_up(self, *, fresh: bool) -> None:
        tier = self.tier
        self.declared = tier.spec
        operations = [o for o in tier.site.store.unfinished(tier.name) if o.kind in {"promote", "rollback"}]
        self.queued.take_up(operations)
        operation = next((o for o in operations if o is not self.queued.operation), None)
        if operation is None:
            return
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
            rollout = replace(rollout, nodes=kept) if kept else machine.without_nodes(rollout)
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
            self.drive(machine.interrupt(rollout, "sandod was restarted in the middle"))
        except BaseException:
            self.operation = self.rollout = None
            raise

    def take_up_node(self, name: str) -> tuple[str, ...]:
        """Its actor, or mine, has died: its job lives on, or begins now. Answers the key of what I wait for."""
        node = next((n for n in self.rollout.nodes if n.name == name), None) if self.rollout else None
        if node is None or node.doing is None:
            return ()
        key = self.key(node)
        self.tier.order(name, Do(key, self._task(node, node.doing), adopt=True))
        return (key,)

    def jobs(self) -> tuple[str, ...]:
        """The keys of the jobs that I wait for."""
        return tuple(self.key(n) for n in self.rollout.nodes if n.doing) if self.rollout else ()

    def new(
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
    def about(rollout: Rollout, operation: Operation) -> dict[str, object]:
        return {
            "kind": rollout.mode, "nodes": [n.name for n in rollout.nodes], "from": rollout.previous,
            "to": rollout.version, "reason": operation.reason,
        }  # fmt: skip

    def launch(self, operation: Operation, rollout: Rollout, reply: Any, *rows: Any) -> None:
        self.declared = self.tier.spec
        self.asked_again = False
        rows_of_gates, state = self.tier.gates.stops.cut_off(self.tier.state)
        self.operation = operation
        try:
            self.drive(rollout, *rows_of_gates, *rows, *reply.keep(Accepted(operation)), state=state)
        except BaseException:
            self.operation = None
            raise
        self.tier.gates.stops.cancel_cut_off()
        log.info(
            "tier %s: %s %s (operation %s) by %s",
            self.tier.name,
            operation.kind,
            operation.version,
            operation.id,
            operation.actor,
        )
        self.tier.publish(reply, Accepted(self.operation or operation))

    # -- the rollout, step by step ---------------------------------------------------------------------------------

    def drive_on(self) -> None:
        if self.rollout:
            self.asked_again = False
            self.drive(self.rollout)

    def vouched(self, word: VouchedAgain) -> None:
        rollout = self.rollout
        if (
            rollout
            and rollout.operation == word.operation
            and rollout.phase == "vouch"
            and not self.tier.draining
        ):
            refusal = word.refusal and f"the source does not vouch for it any more: {word.refusal}"
            self.drive(machine.vouched(rollout, refusal))

    def waits_for(self, done: NodeDone) -> NodePlan | None:
        """The node, where this ends the step that it does."""
        nodes = self.rollout.nodes if self.rollout else ()
        node = next((n for n in nodes if n.name == done.node), None)
        return node if node and node.doing and self.key(node) == done.key else None

    def drive(
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
        same = before is not None and before.operation == rollout.operation
        changes = rollout.since(before if same else None)
        moved = [now for _, now in changes]
        state, operation = self._seen(state or tier.state, rollout, moved, operation)
        events = self._node_events(rollout, changes, operation)
        ended = machine.result(rollout)
        if ended:
            self.endings.finish(state, rollout, operation, ended, *rows, *events)
            return
        operation = replace(operation, step=rollout.phase, nodes=rollout.reports(operation.nodes, *moved))
        tier.become(state, operation, rollout, *rows, *events)
        self.operation, self.rollout = operation, rollout
        for name, step in tasks:
            tier.order(name, Do(self.key(rollout.node(name)), self._task(rollout.node(name), step)))
        if rollout.phase == "vouch" and not self.asked_again and not tier.draining:
            self.asked_again = True
            hotfix, force = bool(operation.details.get("hotfix")), bool(operation.details.get("force"))
            post(tier.parent, AskAgain(operation.id, tier.name, rollout.version, hotfix, force))
        tier.publish()
        tier.drained()

    def _seen(
        self, state: TierState, rollout: Rollout, moved: list[NodePlan], operation: Operation
    ) -> tuple[TierState, Operation]:
        """The nodes as the rollout knows them now; a rollback moves the tier with its first node."""
        for plan in moved:
            node = node_state(state.nodes.get(plan.name) or NodeState(plan.name), plan, rollout.version)
            if node != (was := state.nodes.get(plan.name)):
                if not node.reachable and (was is None or was.reachable):
                    log.warning("tier %s: %s is away: %s", self.tier.name, plan.name, node.detail)
                state = state.with_node(node)
        stepped = rollout.going_back and rollout.first_moved and not operation.details.get("stepped")
        if stepped:
            state = self.rollbacks.step_back(state, operation)
            operation = replace(operation, details={**operation.details, "stepped": True})
        return state, operation

    def _node_events(
        self, rollout: Rollout, changes: Iterable[tuple[NodePlan | None, NodePlan]], operation: Operation
    ) -> list[Event]:
        told = []
        for was, plan in changes:
            if plan.status in {"ok", "reverted"} and (was is None or was.status != plan.status):
                kind = "NodeDeployed" if plan.status == "ok" else "NodeReverted"
                version = rollout.version if plan.status == "ok" else plan.former
                told.append(self.tier.event(kind, operation, node=plan.name, version=version))
        return told

    def key(self, node: NodePlan) -> str:
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
            hold_s=rollout.hold_s, confirm_within_s=rollout.armed_for(node), settles=node.touched, force=bool(operation.details.get("force")) or back,
            back=back, run=tier.topology.build.start_command(),
        )  # fmt: skip


_DRIVE = Tick("drive")
