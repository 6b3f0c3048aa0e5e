"""What keeps a version from the tier after: the word of a person, or with green gates that tier as it stands. Pure."""

import re
from collections.abc import Callable
from datetime import datetime

from sando.client.shapes import Gate, State, Tier

Clock = Callable[[datetime], str]
"""How a moment is shown."""
_APPROVALS = re.compile(r"(\d+) of (\d+) approvals")


def waits_for_a_person(tier: Tier, gate: Gate) -> bool:
    """Where nothing runs there is nothing to say yes to."""
    return gate.kind == "manual_confirm" and gate.outcome == "pending" and tier.current_version is not None


def approvals(tier: Tier) -> tuple[int, int]:
    """How many have said yes to what is there, and how many must, as the gate says where it is more than one."""
    said = next((g.message for g in tier.gates if g.kind == "manual_confirm"), "")
    found = _APPROVALS.fullmatch(said)
    return (int(found[1]), int(found[2])) if found else (0, 1)


def in_the_way(state: State, tier: Tier, shown: Clock) -> str:
    """Empty where nothing is: what `promotable` says is the word of the gates alone, and the tier after has one too."""
    after = state.tier(tier.promotable.to)
    if after is None or not tier.promotable.ready:
        return ""
    if _has(after, tier.current_version):
        return f"tier {after.name} has it already"
    return _closed(after, shown) or _held(after, tier.current_version)


def _has(tier: Tier, version: str | None) -> bool:
    """On every node that is not left out: where one lacks it, a promotion brings it there."""
    wanted = [n for n in tier.nodes if n.status != "out"]
    return tier.current_version == version and all(n.version == n.observed == version for n in wanted)


def _closed(tier: Tier, shown: Clock) -> str:
    if lock := tier.lock:
        until = f" until {shown(lock.expires)}" if lock.expires else ""
        return f"tier {tier.name} is locked by {lock.actor}{until}"
    if tier.freeze:
        return f"tier {tier.name} is frozen {f'until {shown(tier.freeze.until)}' if tier.freeze.until else 'without end'}"
    return ""


def _held(tier: Tier, version: str | None) -> str:
    if tier.operation:
        return f"operation {tier.operation} runs on tier {tier.name}"
    if tier.status == "mixed" and version not in {n.version for n in tier.nodes}:
        return f"tier {tier.name} is mixed, and no node of it is on {version}"
    return ""
