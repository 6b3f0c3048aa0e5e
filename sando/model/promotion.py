"""The target's decision: does the tier take this version now (SPEC 6)? The order is that of the contract's table."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from sando.model import hurdles
from sando.model.answers import Refusal, Ruling, first_refusal
from sando.model.lock import Lock
from sando.model.names import ANONYMOUS
from sando.model.operation import Operation
from sando.model.release import Release
from sando.model.tier import Mark, TierState
from sando.model.topology import TierSpec
from sando.model.vouch import Vouched


class Wish(Struct, frozen=True):
    """What a person asked of a promotion, without the reply."""

    tier: str
    version: str | None = None
    hotfix: bool = False
    reset_burn_in: bool = False
    force: bool = False
    override_freeze: bool = False
    actor: str = ANONYMOUS
    reason: str = ""


class Admission(Struct, frozen=True):
    """What the target would do: a `promote` of all `nodes`, or a `repair` of those that lack the current version."""

    kind: str
    version: str
    nodes: tuple[str, ...]


class Weighed(Struct, frozen=True):
    """Every precondition of a promotion as it stands, and what is done where all hold."""

    rulings: tuple[Ruling, ...]
    admission: Admission

    @property
    def verdict(self) -> Admission | Refusal:
        return first_refusal(self.rulings) or self.admission


def lacking(spec: TierSpec, state: TierState) -> tuple[str, ...]:
    """The nodes in service that are not, as far as is known, on the tier's current version."""
    return tuple(n.name for n in spec.nodes_in() if not _is_on(state, n.name, state.current_version))


def away_elsewhere(spec: TierSpec, state: TierState) -> tuple[str, ...]:
    """The nodes in service that were left on another version, where nobody who is reached lacks the current one.

    A rollback has nothing to make whole then, and steps the others back (SPEC 7 asks the reachable ones only).
    """
    lacks = [state.nodes[n] for n in lacking(spec, state) if n in state.nodes]
    if any(node.reachable for node in lacks):
        return ()
    return tuple(node.name for node in lacks if node.version != state.current_version)


def weigh(
    spec: TierSpec,
    state: TierState,
    wish: Wish,
    vouched: Vouched,
    release: Release | None,
    *,
    marks: Mapping[str, tuple[Mark, ...]],
    busy: Operation | None,
    lock: Lock | None,
    frozen_until: datetime | None,
) -> Weighed:
    """Everything that the act looks at, and the plan shows: the first that does not hold is what the act answers.

    `marks` are by tier, this one and the earlier ones.
    """
    version, force = vouched.version, wish.force
    repair = version == state.current_version and state.half is None and not force
    lacks = lacking(spec, state)
    nodes = lacks if repair else _to_visit(spec, state, wish, version)
    overridden = wish.override_freeze and bool(wish.reason.strip())
    rulings = (
        *hurdles.the_word_of_the_source(vouched, repair=repair),
        *hurdles.a_release(vouched, release),
        hurdles.something_new(spec.name, state, version, lacks, force=force),
        hurdles.no_mark(version, marks, force=force, repair=repair),
        hurdles.no_other_half(spec.name, state, version, away_elsewhere(spec, state)),
        hurdles.not_busy(spec.name, busy),
        hurdles.no_lock(spec.name, lock),
        hurdles.no_freeze(spec.name, frozen_until, overridden=overridden),
        hurdles.some_node(spec.name, nodes, in_service=bool(spec.nodes_in())),
    )
    return Weighed(rulings, Admission("repair" if repair else "promote", version, nodes))


def _to_visit(spec: TierSpec, state: TierState, wish: Wish, version: str) -> tuple[str, ...]:
    """All nodes in service; a promotion that is resumed after a halt leaves those alone that have arrived."""
    resumed = state.half is not None and state.half.version == version and not wish.force
    nodes = tuple(n.name for n in spec.nodes_in())
    left = tuple(n for n in nodes if not (resumed and _is_on(state, n, version)))
    return left or nodes


def _is_on(state: TierState, node: str, version: str | None) -> bool:
    known = state.nodes.get(node)
    return known is not None and known.status == "ok" and known.version == known.observed == version
