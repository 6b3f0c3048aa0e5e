"""Whose turn it is: which step is due on which node of a rollout. It changes nothing."""

from sando.model.plan import NodePlan, Rollout
from sando.model.task import Step


def due(rollout: Rollout) -> tuple[tuple[str, Step], ...]:
    """The steps to start now. Each is a job of its own; nothing is due twice while `doing` says so."""
    match rollout.phase:
        case "preflight":
            unsure = tuple((n.name, Step.OBSERVE) for n in rollout.nodes if n.look and not n.doing)
            return (*_all(rollout, "pending", Step.PREFLIGHT), *unsure)
        case "upload":
            return _all(rollout, "checked", Step.UPLOAD)
        case "once":
            first = rollout.nodes[0]
            return () if first.doing else ((first.name, Step.ONCE),)
        case "switch":
            return _due_switch(rollout)
        case "revert":
            return tuple(
                (n.name, Step.OBSERVE if n.look else Step.REVERT)
                for n in rollout.nodes
                if _to_revert(rollout, n)
            )
        case "settle":
            looks = tuple((n.name, Step.OBSERVE if n.look else n.proof, n.doing) for n in rollout.nodes)
            return tuple((name, step) for name, step, doing in looks if step and not doing)
        case _:
            return ()


def _all(rollout: Rollout, status: str, step: Step) -> tuple[tuple[str, Step], ...]:
    return tuple((n.name, step) for n in rollout.nodes if n.status == status and not n.doing)


_NEXT = {"uploaded": Step.SWITCH, "switched": Step.START, "started": Step.HOLD}


def _due_switch(rollout: Rollout) -> tuple[tuple[str, Step], ...]:
    return tuple((n.name, _NEXT[n.status]) for n in _turn(rollout) if not n.doing)


def _turn(rollout: Rollout) -> tuple[NodePlan, ...]:
    """The nodes whose turn it is, by canary strategy; a rollback takes all at once.

    After a fault or an abort no further node is begun. A node in work is finished first (the node
    boundary), unless the fault means that it will be reverted anyway.
    """
    waiting = tuple(n for n in rollout.nodes if n.status in _NEXT and not n.at_fault)
    if rollout.going_back:
        return waiting
    fault = any(n.at_fault for n in rollout.nodes)
    if fault or rollout.aborted:
        return tuple(n for n in waiting if n.moved and (rollout.halts(n) or not fault))
    if rollout.canary == "parallel":
        return waiting
    if rollout.canary == "first-then-rest" and rollout.nodes[0] not in waiting:
        return waiting
    return waiting[:1]


def _to_revert(rollout: Rollout, node: NodePlan) -> bool:
    if node.doing:
        return False
    if node.look or node.broken:
        return node.look
    if rollout.halts(node):
        return node.at_fault and node.touched and node.moved
    return node.touched and node.moved
