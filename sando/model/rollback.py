"""The way back: where a rollback of a tier goes, on which nodes, and what it marks (SPEC 7)."""

from msgspec import Struct

from sando.model.answers import Refusal
from sando.model.promotion import lacking
from sando.model.stay import Stay
from sando.model.tier import TierState
from sando.model.topology import TierSpec


class RollbackPlan(Struct, frozen=True):
    """Where a rollback goes: `stay` is the target, `whole` says that it only makes the tier whole."""

    stay: Stay
    nodes: tuple[str, ...]
    whole: bool = False
    marks: str | None = None


def plan_rollback(spec: TierSpec, state: TierState, version: str | None) -> RollbackPlan | Refusal:
    """SPEC 7: without a version a tier that is not whole is made whole first; only a whole one steps back."""
    current = state.current
    if version is None and current is not None and spec.nodes and (lacks := _to_make_whole(spec, state)):
        marks = state.half.version if state.half and state.half.version != current.version else None
        return RollbackPlan(current, lacks, whole=True, marks=marks)
    if version is not None:
        return _named(spec, state, version)
    target = state.previous
    if target is None or current is None:
        return Refusal(
            409,
            "no_previous_version",
            f"tier {spec.name} has no earlier version to go back to that is not marked bad",
            "promote a good version instead",
        )
    return RollbackPlan(target, _everywhere(spec), marks=current.version)


def _to_make_whole(spec: TierSpec, state: TierState) -> tuple[str, ...]:
    return tuple(n for n in lacking(spec, state) if n not in state.nodes or state.nodes[n].reachable)


def _everywhere(spec: TierSpec) -> tuple[str, ...]:
    return tuple(n.name for n in spec.nodes_in())


def _named(spec: TierSpec, state: TierState, version: str) -> RollbackPlan | Refusal:
    current = state.current
    if current and version == current.version:
        if lacks := _to_make_whole(spec, state):
            marks = state.half.version if state.half and state.half.version != version else None
            return RollbackPlan(current, lacks, whole=True, marks=marks)
        return Refusal(
            409,
            "already_current",
            f"{version} is current on tier {spec.name} already",
            "nothing has to be done",
        )
    stay = state.below(version)
    if stay is None or current is None or version in state.marks:
        why = (
            "is marked bad there"
            if version in state.marks
            else "is not below the current version in its history"
        )
        return Refusal(
            409,
            "not_rollbackable",
            f"tier {spec.name} cannot go back to {version}: it {why}",
            "GET /state names the previous one",
        )
    return RollbackPlan(stay, _everywhere(spec), marks=current.version)
