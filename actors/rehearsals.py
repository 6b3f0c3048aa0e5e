"""What a gate is told of the tiers further on, and what it finds out about the way back. On the tier's thread."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sando.model.gates import Ahead
from sando.model.safety import Safety, found_out, running_on
from sando.model.tier import Gating

if TYPE_CHECKING:
    from actors.tier import Tier


def ahead(tier: "Tier", version: str) -> Ahead:
    """Read where the gate's start is prepared, before that is saved: a store that is away must not come in between."""
    later = [(spec, tier.site.store.tier(spec.name, recent=1)) for spec in tier.topology.later(tier.name)]
    running = running_on(later)
    return Ahead(tuple(v for v in running if v != version), first_release=not running)


def learned(tier: "Tier", gating: Gating, facts: Mapping[str, object] | None) -> tuple[Safety, ...]:
    """The rows that a gate's facts make; they go into the transaction of its end."""
    if not facts:
        return ()
    before = tier.site.store.safety(gating.version)
    return found_out(gating.version, facts, gating.operation, tier.site.clock().at, before)
