"""The ends of steps on nodes: those that come together are stored together. On the tier's thread.

Nodes that are at work at once end at about the same time, and a commit takes longer than a switch. Nothing is lost
with an actor that dies in between: the Runner holds each job until its end has been committed.
"""

import logging
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import NodeDone, Tick
from sando.model import rollout as machine
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.rollout import NodePlan, Rollout
from sando.model.task import NodeFacts, Step
from sando.work.outcome import Done, Failed

if TYPE_CHECKING:
    from actors.deploys import Deploys

log = logging.getLogger(__name__)


class StepEnds:
    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier
        self._heard: list[NodeDone] = []

    def hear(self, done: NodeDone) -> None:
        """Taken up once all that lies in the inbox now has been heard, or when nobody else is at work, or in a moment."""
        if self.deploys.waits_for(done) is None:
            self._of_no_operation(done)
        elif all(done.key != other.key for other in self._heard):
            self._heard.append(done)
            together = self.tier.site.together_s
            first = len(self._heard) == 1
            if len(self._heard) == self.deploys.at_work or (first and not together):
                post(self.tier.actor_ref, TAKE_UP)
            elif first:
                self.tier.later(together, TAKE_UP)

    def take_up(self) -> None:
        if not self._heard:
            return
        rollout, operation = self.deploys.rollout, self.deploys.operation
        heard = list(self._heard)
        rows: list[Any] = []
        moved = False
        for done in heard:
            node = self.deploys.waits_for(done)
            if rollout is None or operation is None or node is None or node.doing is None:
                continue
            after, more = self._ended(rollout, operation, node, node.doing, done)
            moved = moved or after is not None
            rollout = after or _left(rollout, node)
            rollout, operation = self.deploys.rollbacks.whole_first(rollout, operation)
            rows += more
        if moved and rollout:
            self.deploys.drive(rollout, *rows, operation=operation)
        else:
            self.deploys.rollout = rollout
            self.tier.drained()
        self._heard = []
        for done in heard:
            self.tier.site.runner.forget(done.key)

    def _ended(
        self, rollout: Rollout, operation: Operation, node: NodePlan, step: Step, done: NodeDone
    ) -> tuple[Rollout | None, list[Any]]:
        """The rollout after it and what is told; None: stopped because the daemon ends."""
        match done.outcome:
            case Done(NodeFacts() as facts):
                told = self._drift(operation, node, step, facts)
                return machine.ended(rollout, node.name, step, facts), told
            case Failed(error):
                said = str(error) + (f"\n{error.tail}" if error.tail else "")
                return machine.failed(
                    rollout, node.name, step, said, errored=error.errored, lost=error.lost
                ), []
            case _ if step is Step.HOLD and rollout.aborted:
                return machine.ended(rollout, node.name, step, NodeFacts(current=rollout.version)), []
            case _ if self.tier.draining:
                return None, []
            case _:
                return machine.failed(rollout, node.name, step, "stopped", errored=True), []

    def _drift(self, operation: Operation, node: NodePlan, step: Step, facts: NodeFacts) -> list[Any]:
        known = self.tier.state.nodes.get(node.name)
        looked = step in {Step.PREFLIGHT, Step.OBSERVE} and not node.touched
        if not looked or known is None or facts.current in {known.version, known.observed}:
            return []
        data = {"recorded": known.version, "observed": facts.current}
        return [self.tier.event("DriftDetected", operation, node=node.name, data=data)]

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


def _left(rollout: Rollout, node: NodePlan) -> Rollout:
    """The row stays as it is: the next start looks at the node."""
    rest = tuple(replace(n, doing=None) if n.name == node.name else n for n in rollout.nodes)
    return replace(rollout, nodes=rest)


TAKE_UP = Tick("steps")
