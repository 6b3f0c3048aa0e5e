"""What is under way, for `sando status`: which operation, its step, that it was told to stop, and how to watch it."""

import contextlib
from collections.abc import Iterator

from sando.cli.session import Session
from sando.client.caller import Refused, Unreachable
from sando.client.shapes import Operation, State, Tier
from sando.model.clock import span
from tui.model.flight import in_hand
from tui.model.outcome import doing, stopping
from tui.rows import Segment

Line = tuple[Segment, ...]


def running(sandod: Session, state: State, tier: Tier) -> Operation | None:
    """What has the tier in its hands, whole: the state tells its number alone. None where that cannot be had."""
    number = in_hand(state, tier)
    with contextlib.suppress(Refused, Unreachable):  # the number is told all the same
        return None if number is None else sandod.operation(number)
    return None


def lines(state: State, tier: Tier, operation: Operation | None) -> Iterator[Line]:
    """Nothing where nothing runs there; `operation` is what `running` has found."""
    number = in_hand(state, tier)
    if number is None or (operation and operation.ended):
        return
    if operation is None:
        yield Segment(f"operation {number} runs on tier {tier.name}", "busy"), _watched(number)
        return
    since = f", for {_span(state, operation)}" if operation.started_at else ""
    yield Segment(f"{doing(operation)}{since} on tier {tier.name}", "busy"), _watched(number)
    if stops := stopping(operation):
        yield (Segment(f"{operation.kind} {number} was {stops}", "warn"),)


def _span(state: State, operation: Operation) -> str:
    began = operation.started_at or state.now
    return span(max(0.0, (state.now - began).total_seconds()))


def _watched(number: int) -> Segment:
    return Segment(f"; sando wait {number} watches it")
