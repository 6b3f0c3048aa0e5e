"""What a tier says of a node while and after a rollout has its hands on it. Pure."""

from typing import Any

from msgspec.structs import replace

from sando.model.rollout import NodePlan
from sando.model.tier import NodeState


def node_state(known: NodeState, plan: NodePlan) -> NodeState:
    if plan.status in {"pending", "checked", "uploaded"}:
        status: Any = "ok" if known.status == "unknown" else known.status
        return replace(known, observed=plan.now, reachable=True, status=status) if plan.seen else known
    if plan.status in {"switched", "started", "ok", "reverted"}:
        detail = plan.detail if plan.at_fault and plan.status != "reverted" else ""
        return NodeState(plan.name, plan.now, plan.now, status="failed" if detail else "ok", detail=detail)
    if plan.status == "unknown":
        return replace(known, reachable=False, status="unknown", detail=plan.detail)
    if plan.broken:
        return NodeState(plan.name, plan.now, plan.now, status="failed", detail=plan.detail)
    return replace(known, observed=plan.now if plan.seen else known.observed, detail=plan.detail)
