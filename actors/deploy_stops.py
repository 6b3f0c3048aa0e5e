"""Stopping a promotion at its next node boundary (SPEC 6); a rollback goes on to its end. On the tier's thread."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.messages import AbortOperation
from actors.messages import Rollback as RollbackWish
from sando.model import rollout as machine
from sando.model.answers import Accepted, Refusal
from sando.model.task import Step

if TYPE_CHECKING:
    from actors.deploys import Deploys


class DeployStops:
    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier

    def abort(self, wish: AbortOperation) -> None:
        operation = self.deploys.operation
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
        why = f"aborted by {wish.actor}" + (f": {wish.reason}" if wish.reason else "")
        self.stop(wish, why, {}, Accepted(operation))
        answer = self.tier.site.store.operation(operation.id)
        self.tier.publish(wish.reply, Accepted(answer or operation))

    def stop(
        self, wish: AbortOperation | RollbackWish, why: str, then: dict[str, object], answer: Accepted
    ) -> None:
        rollout, operation = self.deploys.rollout, self.deploys.operation
        if rollout is None or operation is None or rollout.going_back or (rollout.aborted and not then):
            return
        details = {**operation.details, "abort": wish.actor, "abort_reason": wish.reason, **then}
        stopped = rollout if rollout.aborted else machine.abort(rollout, why)
        operation = replace(operation, details=details)
        self.deploys.drive(stopped, *wish.reply.keep(answer), operation=operation)
        for node in self.deploys.rollout.nodes if self.deploys.rollout else ():
            if node.doing in {Step.UPLOAD, Step.PREFLIGHT, Step.HOLD}:
                self.tier.cancel(node.name, self.deploys.key(node))
