"""What a tier says that died too often."""

from sando.model.answers import Refusal
from sando.model.tier import TierState


def parked(state: TierState) -> Refusal:
    return Refusal(
        503,
        "degraded",
        f"tier {state.name} is parked: {state.parked}",
        "see the log of sandod; restarting it tries again",
    )
