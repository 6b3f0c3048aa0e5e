"""Old releases leave the nodes some time after a deploy, when nobody waits for anything. On the tier's thread.

Not at once: sixteen nodes that prune are in the way of the answer to the deploy itself, and of a rollback right after.
"""

from typing import TYPE_CHECKING

from actors.messages import Do
from sando.model.operation import Operation
from sando.model.retention import kept_of
from sando.model.task import NodeTask, Step
from sando.model.topology import NodeSpec

if TYPE_CHECKING:
    from actors.tier import Tier

PRUNE_S = 2.0


class NodePruning:
    """Nothing of it is stored: what is not pruned before a restart is after the next deploy."""

    def __init__(self, tier: "Tier") -> None:
        self.tier = tier
        self._after: Operation | None = None

    def soon(self, operation: Operation) -> None:
        if self._after is None:
            self.tier.tick(PRUNE_S, "prune")
        self._after = operation

    def due(self) -> None:
        tier, operation, self._after = self.tier, self._after, None
        if operation is None or tier.draining:
            return None
        if tier.deploys.holder:
            return self.soon(operation)
        keep = tuple(sorted(kept_of(tier.state, tier.spec.keep_releases)))
        for node in tier.spec.nodes_in():
            if node.name in tier.children:
                key = f"{tier.jobs_of(node.name)}{operation.id}/prune"
                tier.order(node.name, Do(key, self._task(node, operation, keep)))

    def _task(self, node: NodeSpec, operation: Operation, keep: tuple[str, ...]) -> NodeTask:
        work = self.tier.site.work
        return NodeTask(
            operation.id, self.tier.name, node, Step.PRUNE, operation.version or "", former=None, previous=None,
            store=work.release_root, log=work.log_path(operation.id), keep=keep,
        )  # fmt: skip
