"""Why active gates begin: a build, a deploy, a person, or a restart that cut them short. On the tier's thread."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import (
    EnterBuildTier,
    GateAgain,
    GatesDone,
    RunGate,
)
from sando.model.answers import Accepted, Refusal, draining
from sando.model.gates import Outcome
from sando.model.judge import not_run
from sando.model.operation import Operation, Status
from sando.model.policy import tier_busy
from sando.model.promotion import lacking
from sando.model.rollout import Rollout
from sando.model.tier import Gating, TierState

if TYPE_CHECKING:
    from actors.gating import Gates

ATTEMPTS = 2
"""Gates that may have ended the daemon are run again once."""

Begun = tuple[list[Any], TierState, Callable[[], None]]
"""Rows to save, the state with them, and what to do once both are saved."""


def _nothing() -> None:
    """Nothing is to be started after the save."""


class Arrivals:
    def __init__(self, gates: "Gates") -> None:
        self.gates = gates
        self.tier = gates.tier

    def after_deploy(self, state: TierState, rollout: Rollout, operation: Operation) -> Begun:
        """A version has arrived: its active gates run, as an operation of their own.

        Where nodes were only brought to what is current, what was judged stays, and what never was is now.
        """
        if operation.status is not Status.SUCCEEDED:
            return [], state, _nothing
        names = [g.name for g in self.tier.spec.active_gates()]
        if rollout.mode == "repair" or (rollout.going_back and operation.details.get("whole")):
            names = self._unjudged(state)
        return self._begin(state, names, f"{rollout.version} arrived by operation {rollout.operation}", {})

    def settle(self) -> None:
        """A rollback that failed on some node is complete after all: that one is back by itself, or out of service now."""
        tier, state = self.tier, self.tier.state
        held = tier.deploys.holder or self.gates.gating or tier.draining
        if held or state.settled or lacking(tier.spec, state):
            return
        reason = f"{state.current_version} is on every node"
        rows, state, start = self._begin(state.settle(tier.site.clock()), self._unjudged(state), reason, {})
        tier.become(state, *rows)
        start()
        tier.gates.burning.schedule()
        tier.publish()

    def _unjudged(self, state: TierState) -> list[str]:
        runs = {
            g.name: state.current.gate(g.name) if state.current else None
            for g in self.tier.spec.active_gates()
        }
        return [name for name, run in runs.items() if run is None or run.outcome is Outcome.ABORTED]

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
        rows, state, start = self.gates.next(state, Gating(operation.id, current.version, tuple(todo)))
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
        if self.gates.gating and self.gates.gating.operation == operation.id:
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
        rows, state, start = self.gates.next(replace(tier.state, tried=()), gating)
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
        if self.gates.gating and self.gates.gating.operation == ask.operation.id:
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
        rows, state, start = self.gates.next(
            tier.state, Gating(ask.operation.id, str(ask.operation.version), (ask.gate,))
        )
        tier.become(state, *rows)
        start()
        tier.publish()

    def run_again(self, wish: RunGate) -> None:
        """One gate of this tier's current version, in an operation of its own; it does not hold the tier."""
        tier, current = self.tier, self.tier.state.current
        busy = tier.deploys.holder
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
        if self.gates.gating:
            return self._while_gating(self.gates.gating, wish)
        if refusal := not_run(tier.spec, wish.gate):  # a reload came before it
            return tier.publish(wish.reply, refusal)
        operation = self._operation(
            current.version, current.sha, wish.actor, wish.reason, {"gates": [wish.gate]}
        )
        rows, state, start = self.gates.next(tier.state, Gating(operation.id, current.version, (wish.gate,)))
        tier.become(state, operation, *rows, *wish.reply.keep(Accepted(operation)))
        start()
        tier.publish(wish.reply, Accepted(operation))

    def _while_gating(self, gating: Gating, wish: RunGate) -> None:
        operation = self.tier.site.store.operation(gating.operation)
        if wish.gate in {gating.running, *gating.queue}:
            return self.tier.publish(wish.reply, Accepted(operation, 200, "already_running"))
        self.tier.publish(wish.reply, tier_busy(self.tier.name, operation))

    def drive_on(self) -> None:
        """What a restart cut short is run again, once if it may have been the gates that ended the daemon."""
        tier, current = self.tier, self.tier.state.current
        if current is None or self.gates.gating or tier.deploys.holder or tier.is_build_tier or tier.draining:
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


def _word(outcome: Outcome) -> str:
    return "interrupted" if outcome is Outcome.ABORTED else str(outcome)
