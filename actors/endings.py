"""The end of a deploy or a rollback: what it means for the tier, told in one transaction. On the tier's thread."""

import logging
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from actors.base import post
from actors.messages import Promoted
from sando.model.clock import Instant
from sando.model.events import Event
from sando.model.names import visible
from sando.model.operation import Operation, Status
from sando.model.record import Unset
from sando.model.rollout import NodePlan, Result, Rollout
from sando.model.stay import BurnReset
from sando.model.tier import Half, TierState

if TYPE_CHECKING:
    from actors.deploys import Deploys

log = logging.getLogger(__name__)


class Endings:
    def __init__(self, deploys: "Deploys") -> None:
        self.deploys = deploys
        self.tier = deploys.tier

    def finish(
        self, state: TierState, rollout: Rollout, operation: Operation, ended: Result, *rows: Any
    ) -> None:
        tier, now = self.tier, self.tier.site.clock()
        seconds = max(0.0, (now.at - (operation.started_at or operation.created_at)).total_seconds())
        if ended.status != "succeeded":
            stuck = rollout.first_moved or any(n.broken for n in rollout.nodes)
            operation = replace(operation, details={**operation.details, "stuck": stuck})
        if stays := rollout.kept():
            operation = replace(operation, details={**operation.details, "note": _kept_note(rollout, stays)})
        operation = replace(
            operation, status=Status(ended.status), step="", error=ended.error, finished_at=now.at,
            rolled_back=ended.rolled_back, recovered=ended.recovered, nodes=tuple(n.report() for n in rollout.nodes),
        )  # fmt: skip
        about = {**self.deploys.about(rollout, operation), "seconds": seconds}
        if ended.status == "succeeded":
            state, more = self._succeed(state, rollout, operation, now, about)
        else:
            state, more = self._fail(state, rollout, operation, about)
        gate_rows, state, gate_start = tier.gates.arrivals.after_deploy(state, rollout, operation)
        tier.become(state, operation, Unset(Rollout, operation.id), *rows, *more, *gate_rows)
        self.deploys.operation = self.deploys.rollout = None
        _log(tier.name, operation, seconds)
        gate_start()
        if ended.status == "succeeded":
            self._tell_success(rollout, operation)
        self.deploys.admissions.unstash()
        self.deploys.queued.soon()
        tier.gates.burning.schedule()
        tier.observing.soon()
        tier.publish(end=True)
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
            state = replace(state, half=None).settle(now)
            return state, [ok, tier.event("Rollback", operation, data=data)]
        if rollout.mode == "repair":
            return state.settle(now), [ok]
        release = tier.site.store.release(rollout.version)
        if release is None:
            raise LookupError(rollout.version)
        state = state.arrive(release, operation.id, now).settle(now)
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
        if rollout.mode == "promote" and rollout.may_have_migrated:
            state = state.began(rollout.version)
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
        tier.pruning.soon(operation)


def _kept_note(rollout: Rollout, kept: tuple[NodePlan, ...]) -> str:
    """Why a failed deploy has left nodes where they are, and what can be done now."""
    names = ", ".join(n.name for n in kept)
    formers = ", ".join(sorted({str(n.former) for n in kept}))
    return (
        f"not put back: {names}. {formers} does not run on the schema of {rollout.version}, and `once` has migrated "
        f"the database; promote {rollout.version} again to resume, or roll back with `force`"
    )


def _log(tier: str, operation: Operation, seconds: float) -> None:
    """A line for whoever has only the log."""
    what = f"{operation.kind} {operation.version} (operation {operation.id})"
    if operation.status is Status.SUCCEEDED:
        log.info("tier %s: %s succeeded in %.1fs", tier, what, seconds)
        return
    first = visible((operation.error or "").partition("\n")[0])
    back = "; every switched node is back on its own former release" if operation.rolled_back else ""
    log.warning("tier %s: %s %s: %s%s", tier, what, operation.status, first, back)
