"""A stay: one uninterrupted time of a version on a tier, with what belongs to it (SPEC 1, 5)."""

from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from sando.model.clock import Instant
from sando.model.gates import Approval, GateRun, Outcome


class BurnClock(Struct, frozen=True):
    """Seconds burnt so far: `credit` up to the reading `since`, and what has passed from then on."""

    started_at: datetime
    since: Instant
    credit: float = 0.0
    reset_by: int = 0
    """The operation whose `reset_burn_in` started it anew; 0: none has."""

    def elapsed(self, now: Instant) -> float:
        return self.credit + now.since(self.since)

    def advance(self, now: Instant) -> "BurnClock":
        """The same clock read now: a later jump of a clock can only cost or give the time since this reading."""
        return replace(self, since=now, credit=self.elapsed(now))

    @staticmethod
    def start(now: Instant, reset_by: int = 0) -> "BurnClock":
        return BurnClock(now.at, now, reset_by=reset_by)


class BurnReset(Struct, frozen=True):
    """A hotfix restarted the clock of stay `n` of `tier`; written in the transaction of the hotfix's success."""

    tier: str
    n: int
    at: Instant
    operation: int


class Stay(Struct, frozen=True):
    """`n` counts the stays of a tier; `digest` is the release's; a popped stay is off the history for good."""

    tier: str
    n: int
    version: str
    sha: str
    digest: str
    operation: int
    entered_at: datetime
    left_at: datetime | None = None
    popped: bool = False
    gates: tuple[GateRun, ...] = ()
    approvals: tuple[Approval, ...] = ()
    burn: BurnClock | None = None

    def gate(self, name: str) -> GateRun | None:
        return next((g for g in self.gates if g.gate == name), None)

    def record(self, run: GateRun) -> "Stay":
        """The latest attempt is the gate's outcome, also when it turns red."""
        return replace(self, gates=(*(g for g in self.gates if g.gate != run.gate), run))

    def approve(self, approval: Approval) -> "Stay":
        """A person's latest word on a gate counts; a no takes every earlier yes with it."""
        kept = tuple(
            a
            for a in self.approvals
            if a.gate != approval.gate or (a.actor != approval.actor and approval.yes and a.yes)
        )
        return replace(self, approvals=(*kept, approval))

    def leave(self, now: Instant, *, popped: bool = False) -> "Stay":
        """The stay as it ends: its gates and its burn-in are frozen."""
        return replace(self, left_at=now.at, popped=popped, burn=self.burn and self.burn.advance(now))

    def burnt(self, now: Instant) -> float:
        if self.burn is None:
            return 0.0
        return self.burn.credit if self.left_at else self.burn.elapsed(now)

    def restart_burn(self, now: Instant, reset_by: int = 0) -> "Stay":
        """The clock at zero again; a recorded pass of burn-in goes with it."""
        gates = tuple(g for g in self.gates if g.kind != "burn_in")
        return replace(self, burn=BurnClock.start(now, reset_by), gates=gates)

    def abort_running(self) -> "Stay":
        """No gate run outlives its process: what still says running was aborted."""
        return replace(
            self,
            gates=tuple(
                replace(g, outcome=Outcome.ABORTED) if g.outcome is Outcome.RUNNING else g for g in self.gates
            ),
        )
