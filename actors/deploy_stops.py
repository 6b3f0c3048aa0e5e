"""Stopping a promotion at its next node boundary (SPEC 6); a rollback goes on to its end. On the tier's thread."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.messages import AbortOperation
from sando.model import rollout as machine
from sando.model.answers import Accepted, Refusal
from sando.model.operation import Operation
from sando.model.task import Step

if TYPE_CHECKING:
    from actors.deploys import Deploys


class DeployStops:
    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier

    def abort(self, wish: AbortOperation) -> None:
        queued = self.deploys.queued.operation
        operation = queued if queued and queued.id == wish.operation else self.deploys.operation
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
        about: dict[str, object] = {"abort": wish.actor, "abort_reason": wish.reason}
        if self.deploys.rollout and not self.deploys.rollout.aborted:
            self._stop(why, about, *wish.reply.keep(Accepted(operation)))
        answer = self.tier.site.store.operation(operation.id)
        self.tier.publish(wish.reply, Accepted(answer or operation))

    def stop_for(self, rollback: Operation, *rows: Any) -> None:
        """A rollback that waits for the end of what runs, stored with the stop itself; the promotion says what comes after it."""
        about: dict[str, object] = {
            "abort": rollback.actor,
            "abort_reason": rollback.reason,
            "rollback": rollback.id,
        }
        self._stop(f"aborted by {rollback.actor}'s rollback {rollback.id}", about, rollback, *rows)

    def _stop(self, why: str, about: dict[str, object], *rows: Any) -> None:
        rollout, operation = self.deploys.rollout, self.deploys.operation
        if rollout is None or operation is None:
            raise RuntimeError(f"tier {self.tier.name}: nothing is to be stopped")
        stopped = rollout if rollout.aborted else machine.abort(rollout, why)
        operation = replace(operation, details={**operation.details, **about})
        self.deploys.drive(stopped, *rows, operation=operation)
        for node in self.deploys.rollout.nodes if self.deploys.rollout else ():
            if node.doing in {Step.UPLOAD, Step.PREFLIGHT, Step.HOLD}:
                self.tier.cancel(node.name, self.deploys.key(node))
