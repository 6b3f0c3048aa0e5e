"""What a look at a node says: after a failed switch, and after a crash (SPEC 11). Nothing is said without a look."""

from msgspec.structs import replace

from sando.model.plan import NodePlan, Rollout
from sando.model.task import NodeFacts, Step


def again(nodes: tuple[NodePlan, ...]) -> tuple[NodePlan, ...]:
    """A rollback goes on to its target: every step may be repeated without harm, what is done stays done."""
    return tuple(
        replace(n, look=False)
        if n.status == "ok"
        else replace(n, status="pending", look=False, at_fault=False, broken=False, detail="")
        for n in nodes
    )


def observed(rollout: Rollout, node: NodePlan, facts: NodeFacts) -> NodePlan:
    """The node said what its link names: moved or not is now known, and what has to be done about it."""
    known = replace(node, now=facts.current, look=False, seen=True)
    if rollout.phase == "preflight" or (rollout.phase == "revert" and node.broken):
        return replace(known, status="failed")
    if facts.current != rollout.version:
        return _not_there(known, was_there=node.touched and (node.moved or node.now == rollout.version))
    if rollout.phase != "settle" or node.at_fault:
        return replace(known, status="switched" if node.touched else "failed")
    if rollout.redeploys and not node.touched:
        return replace(known, status="pending")  # it names what it named before: nothing was done here yet
    if node.touched and node.status not in {"started", "ok"}:
        return replace(known, status="switched", proof=Step.START)  # its restart may not have run
    return replace(known, status="ok" if node.status == "ok" else "started", proof=Step.PROBE)


def _not_there(node: NodePlan, *, was_there: bool) -> NodePlan:
    """A link that was on the version and is no more: its revert was cut off, and its restart may not have run."""
    if was_there:
        return replace(node, status="switched", at_fault=True)
    if node.status == "reverted":
        return node
    return replace(node, status="failed" if node.at_fault else "pending")


def probed(node: NodePlan, facts: NodeFacts) -> NodePlan:
    return red(node, facts.detail) if facts.green is False else replace(node, status="ok")


def red(node: NodePlan, why: str) -> NodePlan:
    """Its link names the version, and it does not run there; one that was never switched is only told."""
    return replace(node, status="switched" if node.touched else "failed", at_fault=True, detail=why)
