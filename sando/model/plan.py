"""A deploy or rollback as values: how far each node is, how far the whole is, and how it ended (SPEC 6, 7, 11).

It decides nothing: `turn` says which step is due, `rollout` what an ended step changes.
"""

from typing import Literal

from msgspec import Struct

from sando.model.operation import NodeReport
from sando.model.task import Step
from sando.model.topology import Canary, OnFailure

Phase = Literal["preflight", "upload", "vouch", "once", "switch", "revert", "settle", "done"]
Mode = Literal["promote", "repair", "rollback"]


class NodePlan(Struct, frozen=True, omit_defaults=True):
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
    seen: bool = False
    """Its link was read in this operation: `now` is what it named, also where it named nothing."""
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
    confirm_within_s: float | None = None
    """The dead-man switch of each node; a rollback, which is never reverted, arms none."""
    on_failure: OnFailure = "rollback"
    once: bool = False
    """The tier declares a `once` command and it has not run for this promotion yet."""
    once_ran: bool = False
    once_begun: bool = False
    """It was started here, and may have migrated the database even where it failed."""
    unsafe: tuple[str, ...] = ()
    """Releases that do not run on the schema of `version`, as its rehearsal found out."""
    error: str | None = None
    errored: bool = False
    aborted: bool = False
    aborted_late: bool = False
    """The abort found it failed, or being settled, already: it ends as what it was."""
    interrupted: bool = False
    recovered: bool = False

    def node(self, name: str) -> NodePlan:
        return next(n for n in self.nodes if n.name == name)

    def since(self, before: "Rollout | None") -> tuple[tuple[NodePlan | None, NodePlan], ...]:
        """The nodes with which it is another one than `before`, each with what it was there."""
        was = {n.name: n for n in before.nodes} if before else {}
        return tuple((was.get(n.name), n) for n in self.nodes if was.get(n.name) is not n)

    def reports(self, told: tuple[NodeReport, ...], *moved: NodePlan) -> tuple[NodeReport, ...]:
        """Of each node; of those that have not moved since, what was told is told again."""
        known = {r.name: r for r in told}
        known |= {n.name: n.report() for n in moved}
        return tuple(known.get(n.name) or n.report() for n in self.nodes)

    @property
    def in_motion(self) -> bool:
        return any(n.doing for n in self.nodes)

    @property
    def going_back(self) -> bool:
        return self.mode == "rollback"

    @property
    def redeploys(self) -> bool:
        """It brings the version that is current already: then a link says nothing of how far it came."""
        return self.mode == "promote" and self.previous == self.version

    def no_way_back(self, node: NodePlan) -> bool:
        """The node's former release would not run any more, now that `once` has changed the database (SPEC 6)."""
        return self.once_ran and node.former in self.unsafe

    def halts(self, node: NodePlan) -> bool:
        """After a fault the node stays where it is, unless the fault is its own."""
        return self.on_failure == "halt" or self.no_way_back(node)

    def armed_for(self, node: NodePlan) -> float | None:
        """The seconds of the node's dead-man switch; None: it must not go back by itself, or the tier has none."""
        return None if self.no_way_back(node) else self.confirm_within_s

    def kept(self) -> tuple[NodePlan, ...]:
        """The nodes that a failed deploy did not put back because their former release would not run any more."""
        if self.phase != "done" or self.on_failure == "halt" or self.all_well:
            return ()
        return tuple(n for n in self.nodes if n.moved and n.touched and self.no_way_back(n))

    @property
    def may_have_migrated(self) -> bool:
        """`once` was started, here or before this resumed, or a node was switched."""
        return self.once_begun or self.once_ran or any(n.touched for n in self.nodes)

    @property
    def all_well(self) -> bool:
        return all(n.status == "ok" for n in self.nodes)

    @property
    def first_moved(self) -> bool:
        return any(n.moved for n in self.nodes)


class Result(Struct, frozen=True):
    """How it ended."""

    status: Literal["succeeded", "failed", "errored", "aborted", "interrupted"]
    error: str | None
    rolled_back: bool
    recovered: bool


def result(rollout: Rollout) -> Result | None:
    """How it ended, or None while it goes on. A deploy that was rolled back is never a success."""
    if rollout.phase != "done":
        return None
    if rollout.all_well and (rollout.going_back or rollout.aborted or not rollout.error):
        return Result("succeeded", None, rolled_back=False, recovered=rollout.recovered)
    # After a halt some nodes stay on the new version, and one may not come back: then it is not rolled back.
    stuck = rollout.first_moved or any(n.broken for n in rollout.nodes)
    reverted = any(n.status == "reverted" for n in rollout.nodes) and not stuck
    error = rollout.error or "not every node is on the target"
    return Result(_bad_status(rollout), error, rolled_back=reverted, recovered=rollout.recovered)


def _bad_status(rollout: Rollout) -> Literal["failed", "errored", "aborted", "interrupted"]:
    if rollout.aborted and not rollout.aborted_late:
        return "aborted"
    if rollout.interrupted:
        return "interrupted"
    return "errored" if rollout.errored and not rollout.going_back else "failed"
