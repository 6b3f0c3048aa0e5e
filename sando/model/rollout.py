"""One deploy or rollback as a pure machine: which step is due on which node, and what its end means (SPEC 6, 7, 11).

The tier's actor stores the rollout with its operation before each step starts, so that a restarted
daemon, or a restarted actor, goes on from the row and from what the nodes themselves say.
"""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from sando.model.operation import NodeReport
from sando.model.task import NodeFacts, Step
from sando.model.topology import Canary, OnFailure

Phase = Literal["preflight", "upload", "vouch", "once", "switch", "revert", "settle", "done"]
Mode = Literal["promote", "repair", "rollback"]


class NodePlan(Struct, frozen=True):
    """How far one node is. `doing` is the step whose job runs; `former` is what its link named before."""

    name: str
    status: Literal[
        "pending", "checked", "uploaded", "switched", "started", "ok", "failed", "reverted", "unknown"
    ] = "pending"
    doing: Step | None = None
    former: str | None = None
    now: str | None = None
    has_release: bool = False
    at_fault: bool = False
    look: bool = False
    """Its link has to be read before anything is said of it (its switch failed, or the daemon died)."""
    detail: str = ""
    touched: bool = False
    """Its switch was begun in this operation: only such a node is ever restarted or taken back."""
    proof: Step | None = None
    """After a crash, with its link on the new version: the step that says whether the release runs there."""
    broken: bool = False
    """It was moved and then failed, or could not be moved back: it is not known to be well."""
    tries: int = 0
    """Steps begun on this node, so that each job has a number of its own."""

    @property
    def moved(self) -> bool:
        """Its link names the new version, as far as is known."""
        return self.status in {"switched", "started", "ok"}

    def report(self) -> NodeReport:
        wire = {"checked": "pending", "started": "switched"}.get(self.status, self.status)
        return NodeReport(self.name, wire, self.now, self.detail)  # type: ignore[arg-type]


class Rollout(Struct, frozen=True):
    operation: int
    tier: str
    mode: Mode
    version: str
    previous: str | None
    nodes: tuple[NodePlan, ...]
    phase: Phase = "preflight"
    canary: Canary = "sequential"
    hold_s: float = 0.0
    on_failure: OnFailure = "rollback"
    once: bool = False
    """The tier declares a `once` command and it has not run for this promotion yet."""
    once_ran: bool = False
    error: str | None = None
    errored: bool = False
    aborted: bool = False
    aborted_late: bool = False
    """The abort found it failed, or being settled, already: it ends as what it was."""
    interrupted: bool = False
    recovered: bool = False

    def node(self, name: str) -> NodePlan:
        return next(n for n in self.nodes if n.name == name)

    @property
    def in_motion(self) -> bool:
        return any(n.doing for n in self.nodes)

    @property
    def going_back(self) -> bool:
        return self.mode == "rollback"

    @property
    def first_moved(self) -> bool:
        return any(n.moved for n in self.nodes)


class Result(Struct, frozen=True):
    """How it ended."""

    status: Literal["succeeded", "failed", "errored", "aborted", "interrupted"]
    error: str | None
    rolled_back: bool
    recovered: bool


def due(rollout: Rollout) -> tuple[tuple[str, Step], ...]:
    """The steps to start now. Each is a job of its own; nothing is due twice while `doing` says so."""
    match rollout.phase:
        case "preflight":
            return _all(rollout, "pending", Step.PREFLIGHT)
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
        return tuple(n for n in waiting if n.moved and not (fault and rollout.on_failure == "rollback"))
    if rollout.canary == "parallel":
        return waiting
    if rollout.canary == "first-then-rest" and rollout.nodes[0] not in waiting:
        return waiting
    return waiting[:1]


def _to_revert(rollout: Rollout, node: NodePlan) -> bool:
    if node.doing:
        return False
    if node.look:
        return True
    if rollout.on_failure == "halt":
        return node.at_fault and node.touched and node.moved
    return node.touched and node.moved


def start(rollout: Rollout, node: str, step: Step) -> Rollout:
    plan = rollout.node(node)
    touched = plan.touched or step is Step.SWITCH
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
        return advance(replace(rollout, nodes=_again(nodes), phase="preflight", recovered=True))
    return replace(rollout, nodes=nodes, phase="settle", interrupted=True, error=rollout.error or why)


def _again(nodes: tuple[NodePlan, ...]) -> tuple[NodePlan, ...]:
    """A rollback goes on to its target: every step may be repeated without harm, what is done stays done."""
    return tuple(
        replace(n, look=False)
        if n.status == "ok"
        else replace(n, status="pending", look=False, at_fault=False, broken=False, detail="")
        for n in nodes
    )


def ended(rollout: Rollout, name: str, step: Step, facts: NodeFacts) -> Rollout:
    """A step did what it should."""
    node = replace(rollout.node(name), doing=None, proof=None, detail=facts.detail)
    match step:
        case Step.PREFLIGHT:
            former = node.former if node.touched else facts.current
            ready = "uploaded" if facts.has_release else "checked"
            node = replace(
                node, status=ready, former=former, now=facts.current, has_release=facts.has_release
            )
        case Step.UPLOAD:
            node = replace(node, status="uploaded", has_release=True)
        case Step.ONCE:
            rollout = replace(rollout, once=False, once_ran=True, phase="switch")
        case Step.SWITCH:
            node = replace(node, status="switched", now=rollout.version)
        case Step.START:
            node = replace(node, status="started" if _holds(rollout, name) else "ok")
        case Step.HOLD:
            node = replace(node, status="ok")
        case Step.REVERT:
            node = replace(node, status="reverted", now=node.former, detail=facts.detail)
        case Step.OBSERVE:
            node = _observed(rollout, node, facts)
        case Step.PROBE:
            node = _probed(node, facts)
        case _:
            raise ValueError(step)
    return advance(_set(rollout, node))


def _holds(rollout: Rollout, name: str) -> bool:
    if rollout.hold_s <= 0 or rollout.going_back or rollout.phase == "settle":
        return False
    return rollout.canary != "first-then-rest" or rollout.nodes[0].name == name


def _observed(rollout: Rollout, node: NodePlan, facts: NodeFacts) -> NodePlan:
    """The node said what its link names: moved or not is now known, and what has to be done about it."""
    known = replace(node, now=facts.current, look=False)
    if facts.current != rollout.version:
        return _not_there(known, was_there=node.touched and (node.moved or node.now == rollout.version))
    if rollout.phase != "settle" or node.at_fault:
        return replace(known, status="switched" if node.touched else "failed")
    if node.touched and node.status not in {"started", "ok"}:
        return replace(known, status="switched", proof=Step.START)  # its restart may not have run
    return replace(known, status="started", proof=Step.PROBE)


def _not_there(node: NodePlan, *, was_there: bool) -> NodePlan:
    """A link that was on the version and is no more: its revert was cut off, and its restart may not have run."""
    if was_there:
        return replace(node, status="switched", at_fault=True)
    if node.status == "reverted":
        return node
    return replace(node, status="failed" if node.at_fault else "pending")


def _probed(node: NodePlan, facts: NodeFacts) -> NodePlan:
    return _red(node, facts.detail) if facts.green is False else replace(node, status="ok")


def _red(node: NodePlan, why: str) -> NodePlan:
    """Its link names the version, and it does not run there; one that was never switched is only told."""
    return replace(node, status="switched" if node.touched else "failed", at_fault=True, detail=why)


def failed(rollout: Rollout, name: str, step: Step, error: str, *, errored: bool) -> Rollout:
    """A step said no, or could not run."""
    node = replace(rollout.node(name), doing=None, proof=None, detail=error)
    told = f"{name}: {error}"
    if step is Step.PROBE and not errored:
        node = _red(node, error)
    elif step in {Step.OBSERVE, Step.PROBE}:
        node = replace(node, status="unknown", look=False)
    elif step in {Step.START, Step.HOLD}:
        back = rollout.going_back
        node = replace(node, status="failed" if back else "switched", at_fault=True, broken=back)
    elif step is Step.SWITCH:
        node = replace(
            node, status="failed", at_fault=True, look=not rollout.going_back, broken=rollout.going_back
        )
    else:
        node = replace(node, status="failed", at_fault=True, broken=step is Step.REVERT)
    first = rollout.error is None
    rollout = replace(rollout, error=rollout.error or told, errored=errored if first else rollout.errored)
    return advance(_set(rollout, node))


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


def result(rollout: Rollout) -> Result | None:
    """How it ended, or None while it goes on. A deploy that was rolled back is never a success."""
    if rollout.phase != "done":
        return None
    if all(n.status == "ok" for n in rollout.nodes) and (
        rollout.going_back or rollout.aborted or not rollout.error
    ):
        return Result("succeeded", None, rolled_back=False, recovered=rollout.recovered)
    reverted = any(n.status == "reverted" for n in rollout.nodes)
    error = rollout.error or "not every node is on the target"
    return Result(_bad_status(rollout), error, rolled_back=reverted, recovered=rollout.recovered)


def _bad_status(rollout: Rollout) -> Literal["failed", "errored", "aborted", "interrupted"]:
    if rollout.aborted and not rollout.aborted_late:
        return "aborted"
    if rollout.interrupted:
        return "interrupted"
    return "errored" if rollout.errored and not rollout.going_back else "failed"
