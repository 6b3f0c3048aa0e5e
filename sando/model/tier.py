"""The truth about one tier and every way in which it may change. Each change returns a new state."""

from datetime import datetime
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from sando.model.clock import Instant
from sando.model.gates import GateRun
from sando.model.release import Release
from sando.model.stay import BurnClock, BurnReset, Stay

MOST_MIGRATIONS = 100


class Mark(Struct, frozen=True):
    """A version that a rollback left behind on this tier: not to be deployed again without `force`."""

    version: str
    at: datetime
    actor: str
    reason: str
    operation: int


class NodeState(Struct, frozen=True, omit_defaults=True):
    """`version` is what sando put there, `observed` what its link names; they differ on drift."""

    name: str
    version: str | None = None
    observed: str | None = None
    reachable: bool = True
    status: Literal["ok", "failed", "unknown"] = "ok"
    detail: str = ""
    unproven: str | None = None
    """Of a node that is unknown: the version that it was being moved to when it was lost, and may not have started."""

    def found(self, current: str | None) -> "NodeState":
        """One that was lost can be asked again, and names `current`: what it has, whoever put it there.

        On the version that it was lost under, its restart may have been cut off: a link does not say that it runs.
        """
        if self.unproven is None or current != self.unproven:
            return NodeState(self.name, current, current)
        told = f"it was lost on its way to {current}: nobody knows whether that was started; promote {current} again"
        return NodeState(self.name, current, current, status="failed", detail=told)


class Half(Struct, frozen=True):
    """What a tier half holds after a halt, an abort or a half-failed revert."""

    version: str
    operation: int
    once_done: bool = False


class Gating(Struct, frozen=True):
    """Active gates under way: `running` is at work, `queue` comes after it, the first red one ends it.

    On the build tier `candidate` is the release that becomes current when all are green.
    """

    operation: int
    version: str
    queue: tuple[str, ...]
    running: str | None = None
    attempt: int = 0
    candidate: Release | None = None
    aborted: bool = False
    nodes: dict[str, str | None] = {}
    """Of a gate that runs on the nodes: what each said; None is green, a text red, a missing one is at work."""
    errored: tuple[str, ...] = ()
    """Of these nodes: those on which it could not run."""
    stopped: bool = False
    """Of a gate that runs on the nodes: on one of them it was stopped, so that nothing is known."""


class TierState(Struct, frozen=True):
    """`stays`, oldest first: those not popped are the history, its last the current one; see `condensed` for the others.

    `tried` are the gate runs of the build tier's latest candidate that is not, or not yet, current.
    """

    name: str
    stays: tuple[Stay, ...] = ()
    marks: dict[str, Mark] = {}
    nodes: dict[str, NodeState] = {}
    half: Half | None = None
    tried: tuple[GateRun, ...] = ()
    gating: Gating | None = None
    parked: str | None = None
    migrated_by: tuple[str, ...] = ()
    """The versions that began to run here, by their first time: each may have migrated the database, whatever became
    of it. The last of them, as far back as anybody goes."""

    @property
    def stack(self) -> tuple[Stay, ...]:
        return tuple(s for s in self.stays if not s.popped)

    @property
    def current(self) -> Stay | None:
        return next((s for s in reversed(self.stays) if not s.popped), None)

    @property
    def current_version(self) -> str | None:
        return self.current.version if self.current else None

    @property
    def previous(self) -> Stay | None:
        """Where a rollback would go: the newest stay below the current one that is not marked bad."""
        return next((s for s in reversed(self.stack[:-1]) if self._may_return(s)), None)

    def _may_return(self, stay: Stay) -> bool:
        return stay.version not in self.marks and stay.version != self.current_version

    def judged(self, version: str) -> Stay | None:
        """The stay by which a version is judged: the current one, else its last."""
        return next((s for s in reversed(self.stays) if s.version == version), None)

    def below(self, version: str) -> Stay | None:
        """The newest stay of `version` in the history under the current one."""
        return next((s for s in reversed(self.stack[:-1]) if s.version == version), None)

    def condensed(self) -> "TierState":
        """Without the stays that nothing is judged by: off the history, and neither the first nor the last of a version.

        So a tier that goes back and forth for years is no larger than its versions. The store keeps them all.
        """
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for stay in self.stays:
            first.setdefault(stay.version, stay.n)
            last[stay.version] = stay.n
        ends = {*first.values(), *last.values()}
        kept = tuple(s for s in self.stays if not s.popped or s.n in ends)
        return self if len(kept) == len(self.stays) else replace(self, stays=kept)

    def update(self, stay: Stay) -> "TierState":
        return replace(self, stays=tuple(stay if s.n == stay.n else s for s in self.stays))

    def enter(
        self, release: Release, operation: int, now: Instant, gates: tuple[GateRun, ...] = ()
    ) -> "TierState":
        """A promotion (or a build on the build tier) has arrived: push a new stay with its clock at zero."""
        left = tuple(s.leave(now) if s is self.current else s for s in self.stays)
        stay = Stay(
            tier=self.name,
            n=max((s.n for s in self.stays), default=0) + 1,
            version=release.version,
            sha=release.sha,
            digest=release.digest,
            operation=operation,
            entered_at=now.at,
            gates=gates,
            burn=BurnClock.start(now),
        )
        state = replace(self, stays=(*left, stay), half=None, tried=self._still_tried())
        return state.began(release.version)

    def arrive(self, release: Release, operation: int, now: Instant) -> "TierState":
        """The same artifact once more begins nothing anew: what was judged and confirmed of it stays (SPEC 5)."""
        current = self.current
        if current and (current.version, current.digest) == (release.version, release.digest):
            return replace(self, half=None)
        return self.enter(release, operation, now)

    @property
    def settled(self) -> bool:
        """Every node has been on the current stay at one time: its burn-in has begun."""
        return self.current is None or self.current.burn is not None

    def settle(self, now: Instant) -> "TierState":
        """Now every node is on the current stay: the clock of its burn-in starts (SPEC 5). One that has begun goes on."""
        current = self.current
        if current is None or current.burn is not None:
            return self
        return self.update(replace(current, burn=BurnClock.start(now)))

    def began(self, version: str) -> "TierState":
        """A deploy of the version came so far that it may have migrated the database."""
        if version in self.migrated_by:
            return self
        return replace(self, migrated_by=(*self.migrated_by, version)[-MOST_MIGRATIONS:])

    def _still_tried(self) -> tuple[GateRun, ...]:
        """A candidate whose gates are under way keeps them, whatever becomes current meanwhile."""
        return self.tried if self.gating and self.gating.candidate else ()

    def pop_to(
        self, target: Stay, mark: Mark | None, now: Instant, *, keep_gates: bool = False
    ) -> "TierState":
        """A rollback has its first node on `target`: what lay above it is off the history, its own stay begins anew.

        Its burn-in does not, before every node is on it; on the build tier (`keep_gates`) there are none.
        """
        stays = tuple(s if s.popped or s.n < target.n else _popped(s, now) for s in self.stays)
        fresh = Stay(
            tier=self.name,
            n=max(s.n for s in self.stays) + 1,
            version=target.version,
            sha=target.sha,
            digest=target.digest,
            operation=mark.operation if mark else target.operation,
            entered_at=now.at,
            gates=target.gates if keep_gates else (),
            burn=BurnClock.start(now) if keep_gates else None,
        )
        state = replace(self, stays=(*stays, fresh), half=None, tried=self._still_tried())
        return state.marked(mark) if mark else state

    def marked(self, mark: Mark) -> "TierState":
        return replace(self, marks={**self.marks, mark.version: mark})

    def lifted(self, version: str) -> "TierState":
        return replace(self, marks={v: m for v, m in self.marks.items() if v != version})

    def with_node(self, node: NodeState) -> "TierState":
        return replace(self, nodes={**self.nodes, node.name: node})

    def with_resets(self, resets: tuple[BurnReset, ...]) -> "TierState":
        """Resets that were committed with another tier's success and are not in this state yet.

        Told by their operations, not by times: the wall may have jumped back in between.
        """
        state = self
        for reset in resets:
            stay = next((s for s in state.stays if (s.tier, s.n) == (reset.tier, reset.n)), None)
            if stay and stay.burn and not stay.left_at and reset.operation > stay.burn.reset_by:
                state = state.update(stay.restart_burn(reset.at, reset.operation))
        return state


def _popped(stay: Stay, now: Instant) -> Stay:
    return replace(stay, popped=True) if stay.left_at else stay.leave(now, popped=True)
