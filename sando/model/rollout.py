"""One deploy or rollback as a pure machine: what an ended step, an abort or a crash changes (SPEC 6, 7, 11).

The tier's actor stores the rollout with its operation before each step starts, so that a restarted
daemon, or a restarted actor, goes on from the row and from what the nodes themselves say. All of the
machine can be had from here; its values live in `plan`, what is due in `turn`, what a look says in `look`.
"""

from typing import Literal

from msgspec.structs import replace

from sando.model.look import again, observed, probed, red
from sando.model.plan import Mode, NodePlan, Phase, Result, Rollout, result
from sando.model.task import NodeFacts, Step
from sando.model.turn import due

__all__ = [
    "Mode",
    "NodePlan",
    "Phase",
    "Result",
    "Rollout",
    "abort",
    "advance",
    "due",
    "ended",
    "failed",
    "interrupt",
    "result",
    "start",
    "vouched",
]


def start(rollout: Rollout, node: str, step: Step) -> Rollout:
    plan = rollout.node(node)
    touched = plan.touched or step is Step.SWITCH
    if step is Step.ONCE:
        rollout = replace(rollout, once_begun=True)
    return _set(rollout, replace(plan, doing=step, touched=touched, tries=plan.tries + 1))


def abort(rollout: Rollout, why: str) -> Rollout:
    """Stop at the next node boundary; then it acts as a failure (SPEC 6). What already failed stays failed."""
    if rollout.aborted or rollout.phase == "done":
        return rollout
    late = rollout.error is not None
    return advance(replace(rollout, aborted=True, aborted_late=late, error=rollout.error or why))


def vouched(rollout: Rollout, refusal: str | None) -> Rollout:
    """The source was asked once more, right before the first switch; a word that comes too late says nothing."""
    if rollout.phase != "vouch":
        return rollout
    if refusal:
        return _finish(replace(rollout, error=refusal))
    return advance(replace(rollout, phase="once" if rollout.once else "switch"))


def interrupt(rollout: Rollout, why: str) -> Rollout:
    """The daemon died under it, or a job was lost: ask the nodes before anything is said (SPEC 11)."""
    if rollout.phase == "done":
        return rollout
    nodes = tuple(replace(n, doing=None, proof=None, look=True) for n in rollout.nodes)
    if rollout.going_back:
        return advance(replace(rollout, nodes=again(nodes), phase="preflight", recovered=True))
    return replace(rollout, nodes=nodes, phase="settle", interrupted=True, error=rollout.error or why)


def without_nodes(rollout: Rollout) -> Rollout:
    """At a start whose sando.toml names none of its nodes there is nobody to ask."""
    error = "sando.toml names none of its nodes any more"
    return replace(rollout, nodes=(), phase="done", interrupted=True, error=error)


def ended(rollout: Rollout, name: str, step: Step, facts: NodeFacts) -> Rollout:
    """A step did what it should."""
    before = rollout.node(name)
    # A look only adds what it saw: why a step failed stays told.
    said = facts.detail or (before.detail if step is Step.OBSERVE else "")
    node = replace(before, doing=None, proof=None, detail=said)
    match step:
        case Step.PREFLIGHT:
            former = node.former if node.touched else facts.current
            ready = "uploaded" if facts.has_release else "checked"
            node = replace(
                node, status=ready, former=former, now=facts.current, has_release=facts.has_release, seen=True
            )
        case Step.UPLOAD:
            node = replace(node, status="uploaded", has_release=True)
        case Step.ONCE:
            rollout = replace(rollout, once=False, once_ran=True, phase="switch")
        case Step.SWITCH:
            status = _started(rollout, name) if facts.green else "switched"
            node = replace(node, status=status, now=rollout.version, seen=True)
        case Step.START:
            node = replace(node, status=_started(rollout, name))
        case Step.HOLD:
            node = replace(node, status="ok")
        case Step.REVERT:
            node = replace(node, status="reverted", now=node.former, detail=facts.detail)
        case Step.OBSERVE:
            node = observed(rollout, node, facts)
        case Step.PROBE:
            node = probed(node, facts)
        case _:
            raise ValueError(step)
    return advance(_set(rollout, node))


def _started(rollout: Rollout, name: str) -> Literal["started", "ok"]:
    """A node whose release runs, and is green where it has a probe."""
    return "started" if _holds(rollout, name) else "ok"


def _holds(rollout: Rollout, name: str) -> bool:
    if rollout.hold_s <= 0 or rollout.going_back or rollout.phase == "settle":
        return False
    return rollout.canary != "first-then-rest" or rollout.nodes[0].name == name


def failed(
    rollout: Rollout, name: str, step: Step, error: str, *, errored: bool, lost: bool = False
) -> Rollout:
    """A step said no, or could not run; `lost`: the node could not be reached, and is not asked the same again."""
    node = replace(rollout.node(name), doing=None, proof=None, detail=error)
    told = f"{name}: {error}"
    if step is Step.PROBE and not errored:
        node = red(node, error)
    elif step in {Step.OBSERVE, Step.PROBE}:
        node = replace(node, status="unknown", look=False)
    elif step is Step.PREFLIGHT and lost:
        node = replace(node, status="unknown", at_fault=True, broken=node.touched)
    elif step in {Step.START, Step.HOLD}:
        back = rollout.going_back
        node = replace(node, status="failed" if back else "switched", at_fault=True, broken=back)
    elif step is Step.SWITCH:
        node = replace(
            node, status="failed", at_fault=True, look=not rollout.going_back, broken=rollout.going_back
        )
    else:
        # What its link names after a preflight or a revert that failed is not known before it has been read.
        look = step in {Step.PREFLIGHT, Step.REVERT}
        node = replace(node, status="failed", at_fault=True, broken=node.touched, look=look)
    first = rollout.error is None
    rollout = replace(
        rollout, error=_error(rollout, step, told), errored=errored if first else rollout.errored
    )
    return advance(_set(rollout, node))


def _error(rollout: Rollout, step: Step, told: str) -> str:
    """The first that went wrong. An abort says nothing of what was wrong with the nodes: so the first of those, too."""
    if rollout.error is None:
        return told
    stops = step in {
        Step.PREFLIGHT,
        Step.UPLOAD,
        Step.OBSERVE,
        Step.PROBE,
    }  # by the abort itself, or only looks
    untold = rollout.aborted and not rollout.aborted_late and not any(n.at_fault for n in rollout.nodes)
    return f"{rollout.error}; {told}" if untold and not stops else rollout.error


def advance(rollout: Rollout) -> Rollout:
    """The next phase, once nothing of this one is in motion any more."""
    if rollout.in_motion or rollout.phase == "done":
        return rollout
    match rollout.phase:
        case "preflight" | "upload":
            return _after_preparing(rollout)
        case "vouch":
            return _finish(rollout) if rollout.error else rollout
        case "once":
            return _finish(rollout) if rollout.error else rollout
        case "switch":
            return _after_switch(rollout)
        case "revert":
            return rollout if due(rollout) else _finish(rollout)
        case "settle":
            return rollout if due(rollout) else _after_settling(rollout)
        case _:
            return rollout


def _after_preparing(rollout: Rollout) -> Rollout:
    if any(n.look for n in rollout.nodes):
        return rollout
    left = any(n.status in {"pending", "checked", "uploaded"} for n in rollout.nodes)
    if rollout.error and not (rollout.going_back and left):
        return _finish(rollout)
    if any(n.status == "pending" for n in rollout.nodes):
        return rollout
    if any(n.status == "checked" for n in rollout.nodes):
        return replace(rollout, phase="upload")
    if rollout.mode == "promote":
        return replace(rollout, phase="vouch")
    return _after_switch(replace(rollout, phase="switch"))


def _after_switch(rollout: Rollout) -> Rollout:
    if due(rollout):
        return rollout
    if rollout.error and not rollout.going_back and not all(n.status == "ok" for n in rollout.nodes):
        back = replace(rollout, phase="revert")
        return back if due(back) else _finish(back)
    return _finish(rollout)


def _after_settling(rollout: Rollout) -> Rollout:
    if all(n.status == "ok" for n in rollout.nodes):
        return _finish(replace(rollout, error=None, recovered=True, interrupted=False))
    back = replace(rollout, phase="revert")
    return back if due(back) else _finish(back)


def _finish(rollout: Rollout) -> Rollout:
    return replace(rollout, phase="done")


def _set(rollout: Rollout, node: NodePlan) -> Rollout:
    return replace(rollout, nodes=tuple(node if n.name == node.name else n for n in rollout.nodes))
