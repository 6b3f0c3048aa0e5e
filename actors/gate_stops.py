"""Stopping the gates under way: for a deploy that takes the tier, for Build, for a person, or at the end. On the tier's thread."""

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import AbortOperation, GatesDone
from sando.model.answers import Accepted, Refusal
from sando.model.gates import Outcome
from sando.model.tier import Gating, TierState

if TYPE_CHECKING:
    from actors.gating import Gates


class GateStops:
    """`cut` are the gates that were cut off in a transaction, and whose jobs are to be cancelled after it."""

    def __init__(self, gates: "Gates") -> None:
        self.gates = gates
        self.tier = gates.tier
        self.cut: Gating | None = None

    def cut_off(self, state: TierState) -> tuple[list[Any], TierState]:
        """A deploy or a rollback takes the tier: gates under way are aborted, in its transaction."""
        self.cut = gating = state.gating
        if gating is None:
            return [], state
        rows, state = self.gates.close(
            state, gating, Outcome.ABORTED, "a deploy or rollback of the tier began"
        )
        more, state, _ = self.gates.finish(
            state, replace(gating, candidate=None), "aborted", "a deploy or rollback began"
        )
        return [*rows, *more], state

    def cancel_cut_off(self) -> None:
        gating, self.cut = self.cut, None
        if gating:
            self.cancel(gating)

    def cancel(self, gating: Gating) -> None:
        spec = self.tier.spec.gate(gating.running or "")
        if spec and self.gates.nodes.on_nodes(spec):
            for node in self.tier.spec.nodes:
                self.tier.cancel(node.name, self.gates.nodes.key(gating, node.name))
        else:
            self.tier.site.runner.cancel(self.gates.key(gating))

    def abort(self, operation: int) -> None:
        """Build asks: a newer push came, or a person stopped the build."""
        gating = self.gates.gating
        if gating is None or gating.operation != operation:
            entered = any(s.operation == operation for s in self.tier.state.stays)
            done = "passed" if entered else "aborted"
            post(self.tier.parent, GatesDone(operation, done, "no gate was running"))
            return
        self.tier.become(replace(self.tier.state, gating=replace(gating, aborted=True)))
        self.cancel(gating)

    def abort_by(self, wish: AbortOperation) -> None:
        gating = self.gates.gating
        operation = self.tier.site.store.operation(wish.operation)
        if gating is None or gating.operation != wish.operation or operation is None:
            refusal = Refusal(
                409,
                "not_running",
                f"operation {wish.operation} has ended",
                f"GET /operations/{wish.operation} tells how",
            )
            return self.tier.publish(wish.reply, refusal)
        kept = wish.reply.keep(Accepted(operation))
        self.tier.become(replace(self.tier.state, gating=replace(gating, aborted=True)), *kept)
        self.cancel(gating)
        self.tier.publish(wish.reply, Accepted(operation))

    def drain(self) -> None:
        self.gates.burning.stop()
        if self.gates.gating:
            self.cancel(self.gates.gating)
