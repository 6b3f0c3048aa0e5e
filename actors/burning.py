"""The burn-in clock of one tier: a timer, not a poll, records its end (SPEC 5). On the tier's thread."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sando.model.events import Event
from sando.model.gates import GateRun, Outcome
from sando.model.policy import active_green, judge

if TYPE_CHECKING:
    from actors.tier import Tier

LOOK_S = 3600.0
"""So often a burn-in clock is read and kept, so that a jump of a clock costs or gives an hour at most."""
SHORTEST_S = 0.01
"""A clock is read in whole microseconds: what is left of one would be waited for without end."""


def _nothing() -> None:
    """No timer runs."""


class Burning:
    def __init__(self, tier: "Tier") -> None:
        self.tier = tier
        self.stop_timer: Callable[[], None] = _nothing

    def stop(self) -> None:
        self.stop_timer()

    def schedule(self) -> None:
        """A timer, not a poll, records the end of a burn-in.

        The first reading in another boot is made at once: from then on both clocks count.
        """
        self.stop_timer()
        self.stop_timer = _nothing
        tier, current = self.tier, self.tier.state.current
        gate = next((g for g in tier.spec.gates if g.kind == "burn_in"), None)
        if gate is None or current is None or current.burn is None or not active_green(tier.spec, current):
            return
        run, now = current.gate(gate.name), tier.site.clock()
        left = gate.duration_s - current.burnt(now)
        if run is None or left > 0:
            another_boot = current.burn.since.boot != now.boot
            wait = 0.0 if another_boot else max(SHORTEST_S, min(left, LOOK_S))
            self.stop_timer = tier.tick(wait if left > 0 else 0.0, "burn", current.n)

    def tick(self, number: int) -> None:
        tier, current = self.tier, self.tier.state.current
        if current is None or current.n != number or current.burn is None:
            return
        now = tier.site.clock()
        stay = replace(current, burn=current.burn.advance(now))
        view = next((v for v in judge(tier.spec, stay, now) if v.kind == "burn_in"), None)
        if view and view.outcome is Outcome.PASSED and stay.gate(view.name) is None:
            seconds = round(stay.burnt(now), 3)
            run = GateRun(
                tier.name,
                view.name,
                "burn_in",
                stay.version,
                stay.operation,
                1,
                Outcome.PASSED,
                now.at,
                seconds,
            )
            data = {
                "gate": view.name,
                "kind": "burn_in",
                "outcome": "passed",
                "message": "",
                "seconds": seconds,
            }
            told = Event(
                "GateDone", now.at, stay.operation, tier.name, version=stay.version, sha=stay.sha, data=data
            )
            tier.become(tier.state.update(stay.record(run)), run, told)
            tier.publish()
            return
        tier.become(tier.state.update(stay))
        self.schedule()
