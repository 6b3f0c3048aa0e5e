"""Rollbacks: where they go, and the step back itself. On the tier's thread."""

import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from actors.messages import Rollback as RollbackWish
from actors.parked import parked
from sando.model.answers import Accepted, Refusal, bars, draining
from sando.model.operation import Operation, Status
from sando.model.policy import Holder, Return, RollbackPlan, WayBack, weigh_back, weigh_release
from sando.model.rollout import NodePlan, Rollout
from sando.model.safety import Pairs, arrivals
from sando.model.tier import Mark, TierState

if TYPE_CHECKING:
    from actors.deploys import Deploys

log = logging.getLogger(__name__)


class Rollbacks:
    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier

    def begin(self, wish: RollbackWish) -> None:
        tier = self.tier
        if tier.draining:
            return tier.publish(wish.reply, draining())
        if self.deploys.holder is None and self.deploys.admissions.stash(wish):
            return None
        way = self.weigh(wish)
        match way.verdict:
            case Refusal() as refusal:
                log.info("tier %s: rollback by %s refused: %s", tier.name, wish.actor, refusal.detail)
                tier.publish(wish.reply, refusal)
            case RollbackPlan() as plan if way.first:
                self.deploys.queued.enter(wish, plan, way.first)
            case RollbackPlan() as plan:
                self.roll(plan, wish)

    def weigh(self, wish: RollbackWish) -> WayBack:
        """What stands in the way, and where it goes: for the act and for its plan."""
        tier, operation, rollout = (
            self.tier,
            self.deploys.queued.operation or self.deploys.operation,
            self.deploys.rollout,
        )
        begun = rollout is not None and rollout.may_have_migrated
        way = weigh_back(
            tier.spec, tier.state, Return(wish.version, wish.force, wish.abort_running),
            Holder(operation, begun=begun) if operation else None,
            self.pairs(),
            pointer=tier.is_build_tier, rehearsed=tier.topology.rehearsal() is not None,
        )  # fmt: skip
        way = self.with_release(way, force=wish.force)
        if tier.state.parked and operation is None:
            return replace(way, rulings=(bars("tier", parked(tier.state)), *way.rulings))
        return way

    def with_release(self, way: WayBack, *, force: bool) -> WayBack:
        """And whether the release that it steps back to is kept."""
        release = self.tier.site.store.release(way.plan.stay.version) if way.plan else None
        return weigh_release(way, release, force=force)

    def pairs(self) -> Pairs:
        """What is known of the way back from all that may have migrated the tier's database, or does so now."""
        running = self.deploys.operation
        more = {running.version} if running and running.version else set()
        pairs: Pairs = self.tier.site.store.safety(*{*arrivals(self.tier.state), *more})
        return pairs

    def roll(self, plan: RollbackPlan, wish: RollbackWish, waiting: Operation | None = None) -> None:
        """`waiting`: the operation that was accepted before; where there is nothing left to do, it succeeds at once."""
        tier, stay = self.tier, plan.stay
        number = waiting.id if waiting else tier.site.store.new_operation_id()
        details: dict[str, object] = {
            **(waiting.details if waiting else {}),
            "kind": "rollback",
            "whole": plan.whole,
            "marks": plan.marks,
            "stay": stay.n,
            "named": wish.version is not None,
            **({"note": whole_note(stay.version)} if plan.whole and not waiting else {}),
        }
        operation = self.deploys.new(
            number, "rollback", stay.version, stay.sha, wish.actor, wish.reason, details
        )
        if waiting:
            operation = replace(operation, created_at=waiting.created_at)
        rollout = Rollout(
            operation=number, tier=tier.name, mode="rollback", version=stay.version,
            previous=tier.state.half.version if plan.whole and tier.state.half else tier.state.current_version,
            nodes=tuple(NodePlan(n) for n in plan.nodes), phase="preflight" if plan.nodes else "done",
        )  # fmt: skip
        if tier.is_build_tier:
            return self._roll_pointer(operation, wish)
        told = tier.event("DeployStart", operation, data=self.deploys.about(rollout, operation))
        self.deploys.launch(operation, rollout, wish.reply, told)

    def _roll_pointer(self, operation: Operation, wish: RollbackWish) -> None:
        """On the build tier only the pointer moves."""
        tier = self.tier
        left = tier.state.current_version
        state = self.step_back(tier.state, operation)
        now = tier.site.clock().at
        ended = replace(operation, status=Status.SUCCEEDED, step="", finished_at=now)
        tier.become(
            state,
            ended,
            tier.event("Rollback", ended, data={"from": left, "to": ended.version, "reason": wish.reason}),
            *wish.reply.keep(Accepted(ended)),
        )
        tier.gates.burning.schedule()
        tier.publish(wish.reply, Accepted(ended))

    def step_back(self, state: TierState, operation: Operation) -> TierState:
        """The history as it is once the first node has switched; to make whole only marks what was half there."""
        now = self.tier.site.clock()
        bad = operation.details.get("marks")
        mark = Mark(str(bad), now.at, operation.actor, operation.reason, operation.id) if bad else None
        if operation.details.get("whole"):
            return state.marked(mark) if mark else state
        target = next(s for s in state.stays if s.n == operation.details["stay"])
        return state.pop_to(target, mark, now, keep_gates=self.tier.is_build_tier)

    def whole_first(self, rollout: Rollout, operation: Operation | None) -> tuple[Rollout, Operation | None]:
        """What the preflight saw outweighs what was recorded: a tier that is not whole does not step back (SPEC 7)."""
        current = self.tier.state.current
        if not rollout.going_back or rollout.phase == "preflight" or operation is None or current is None:
            return rollout, operation
        said = operation.details
        begun = any(n.touched for n in rollout.nodes)
        astray = [n for n in rollout.nodes if n.seen and n.now != current.version]
        if not astray or begun or said.get("whole") or said.get("named") or said.get("stepped"):
            return rollout, operation
        details = {
            **said,
            "whole": True,
            "marks": None,
            "stay": current.n,
            "note": whole_note(current.version),
        }
        operation = replace(operation, version=current.version, sha=current.sha, details=details)
        nodes = tuple(NodePlan(n.name, now=n.now, seen=True, tries=n.tries) for n in astray)
        before = next((n.now for n in astray if n.now), None)
        rollout = replace(
            rollout, version=current.version, previous=before, nodes=nodes, phase="preflight", error=None
        )
        return rollout, operation


def whole_note(version: str) -> str:
    """What a rollback that found the tier not whole did, and did not."""
    return f"not every node was on {version}, so the tier was made whole on it and has not stepped back; roll back again for that"
