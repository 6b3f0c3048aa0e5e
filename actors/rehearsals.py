"""What a gate is told of the tiers further on, and what it finds out about the way back. On the tier's thread."""

from typing import TYPE_CHECKING

from sando.model.ahead import Ahead
from sando.model.backup import RESTORED, restored
from sando.model.gates import Verdict
from sando.model.record import Fact
from sando.model.safety import Safety, found_out, running_on
from sando.model.tier import Gating

if TYPE_CHECKING:
    from actors.tier import Tier


def ahead(tier: "Tier", version: str) -> Ahead:
    """Read where the gate's start is prepared, before that is saved: a store that is away must not come in between."""
    later = [(spec, tier.site.store.tier(spec.name, recent=1)) for spec in tier.topology.later(tier.name)]
    running = running_on(later)
    others = tuple(v for v in running if v != version)
    return Ahead(others, first_release=not running, fetched=tier.site.store.backup())


def learned(tier: "Tier", gating: Gating, verdict: Verdict | None) -> tuple[Safety | Fact, ...]:
    """The rows that a gate's facts make; they go into the transaction of its end."""
    if verdict is None or not verdict.facts:
        return ()
    now, operation, version = tier.site.clock().at, gating.operation, gating.version
    proof = restored(verdict, tier.name, version, operation, now)
    proven = (Fact(f"{RESTORED}{tier.name}", proof),) if proof else ()
    known = tier.site.store.safety(version)
    return *proven, *found_out(version, verdict.facts, operation, now, known)
