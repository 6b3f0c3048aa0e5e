"""A rollback that was accepted while a promotion runs: it waits until that has been stopped, then it begins. On the tier's thread.

It is an operation from the start, so that whoever asked for it waits for it, and so that no restart loses it.
"""

import logging
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import Rollback as RollbackWish
from actors.messages import Tick
from sando.model.answers import Accepted, Refusal
from sando.model.operation import Operation, Status
from sando.model.policy import Return, RollbackPlan, WayBack, weigh_after

if TYPE_CHECKING:
    from actors.deploys import Deploys

log = logging.getLogger(__name__)

WAITING = "waiting"
"""The step of an operation that has begun nothing yet."""


class Queued:
    """`operation` is the rollback that waits; it holds the tier, so that nobody gets in between."""

    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier
        self.operation: Operation | None = None

    def enter(self, wish: RollbackWish, plan: RollbackPlan, running: Operation) -> None:
        """Accepted and committed with the word that stops the promotion."""
        tier, stay = self.tier, plan.stay
        operation = self.deploys.new(
            tier.site.store.new_operation_id(), "rollback", stay.version, stay.sha, wish.actor, wish.reason,
            {
                "kind": "rollback",
                "after": running.id,
                "was": tier.state.current_version,
                "asked": {"version": wish.version, "force": wish.force},
            },
        )  # fmt: skip
        operation = replace(operation, status=Status.QUEUED, step=WAITING, started_at=None)
        answer = Accepted(operation, 202, "aborting")
        self.operation = operation
        try:
            self.deploys.stops.stop_for(operation, *wish.reply.keep(answer))
        except BaseException:
            self.operation = None
            raise
        log.info("tier %s: rollback by %s waits for the end of promote %s", tier.name, wish.actor, running.id)
        tier.publish(wish.reply, answer)

    def take_up(self, operations: list[Operation]) -> None:
        """What a former life accepted is done, once its promotion is settled."""
        self.operation = next((o for o in operations if o.status is Status.QUEUED), None)
        if all(o is self.operation for o in operations):
            self.soon()

    def soon(self) -> None:
        """Nothing runs on the tier any more. It begins in a message of its own: one save a handler."""
        if self.operation is not None:
            post(self.tier.actor_ref, _BEGIN)

    def begin(self) -> None:
        waiting, tier = self.operation, self.tier
        if waiting is None or self.deploys.operation is not None or tier.draining:
            return
        match self._weigh(waiting).verdict:
            case Refusal() as refusal:
                self._fail(waiting, refusal)
            case RollbackPlan() as plan:
                self.deploys.rollbacks.roll(plan, _wish(waiting), waiting)
        self.operation = None

    def _weigh(self, waiting: Operation) -> WayBack:
        tier, wish = self.tier, _wish(waiting)
        was = waiting.details.get("was")
        way = weigh_after(
            tier.spec, tier.state, Return(wish.version, wish.force), str(was) if was else None,
            self.deploys.rollbacks.pairs(), rehearsed=tier.topology.rehearsal() is not None,
        )  # fmt: skip
        return self.deploys.rollbacks.with_release(way, force=wish.force)

    def _fail(self, waiting: Operation, refusal: Refusal) -> None:
        """The promotion came to an end that leaves no way back: it ran and was told no."""
        tier = self.tier
        error = f"{refusal.detail}; {refusal.hint}" if refusal.hint else refusal.detail
        ended = replace(waiting, status=Status.FAILED, step="", error=error, finished_at=tier.site.clock().at)
        data: dict[str, Any] = {
            "kind": "rollback", "to": ended.version, "reason": ended.reason, "error": error, "status": ended.status,
        }  # fmt: skip
        tier.become(tier.state, ended, tier.event("RollbackFailed", ended, data=data))
        log.warning("tier %s: rollback (operation %s) failed: %s", tier.name, ended.id, error)
        tier.publish(end=True)


def _wish(waiting: Operation) -> RollbackWish:
    """What was asked for, as the operation keeps it. Whoever asked has been answered."""
    asked: Any = waiting.details["asked"]
    return RollbackWish(
        waiting.tier, asked["version"], asked["force"], actor=waiting.actor, reason=waiting.reason
    )


_BEGIN = Tick("queued")
