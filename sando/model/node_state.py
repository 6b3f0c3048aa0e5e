"""What a tier says of a node while and after a rollout has its hands on it. Pure."""

from msgspec.structs import replace

from sando.model.rollout import NodePlan
from sando.model.tier import NodeState


def node_state(known: NodeState, plan: NodePlan, version: str) -> NodeState:
    """`version` is what the rollout brings."""
    if plan.status in {"pending", "checked", "uploaded"}:
        if not plan.seen:
            return known
        if known.status == "unknown":
            found = known.found(plan.now)
            return (
                found
                if found.status == "failed"
                else replace(found, version=known.version, detail=known.detail)
            )
        return replace(known, observed=plan.now, reachable=True)
    if plan.status in {"switched", "started", "ok", "reverted"}:
        detail = plan.detail if plan.at_fault and plan.status != "reverted" else ""
        return NodeState(plan.name, plan.now, plan.now, status="failed" if detail else "ok", detail=detail)
    if plan.status == "unknown":
        lost = version if plan.touched else known.unproven
        return replace(known, reachable=False, status="unknown", detail=plan.detail, unproven=lost)
    if plan.broken:
        return NodeState(plan.name, plan.now, plan.now, status="failed", detail=plan.detail)
    return replace(known, observed=plan.now if plan.seen else known.observed, detail=plan.detail)
