"""Which operation has a tier in its hands, as the state tells it. Pure."""

from sando.client.shapes import State, Tier


def in_hand(state: State, tier: Tier) -> int | None:
    """The operation that runs on the tier: a deploy, a build, or a gate that is run there."""
    if tier.operation is not None:
        return tier.operation
    if state.build and state.tiers[0].name == tier.name:
        return state.build.operation
    running = next((g for g in tier.gates if g.outcome == "running" and g.operation is not None), None)
    return running.operation if running else None
