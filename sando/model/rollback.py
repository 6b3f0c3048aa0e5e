"""The way back: where a rollback of a tier goes, on which nodes, what it marks, and what stands against it (SPEC 7)."""

from msgspec import Struct
from msgspec.structs import replace

from sando.model.answers import Refusal, Ruling, bars, first_refusal, holds, warns
from sando.model.hurdles import a_release_to_go_back_to, every_node_is_out, its_end, tier_busy
from sando.model.operation import Operation
from sando.model.promotion import away_elsewhere, lacking
from sando.model.release import Release
from sando.model.safety import Pairs, Way
from sando.model.schema import ruled, way_over, way_to
from sando.model.stay import Stay
from sando.model.tier import TierState
from sando.model.topology import TierSpec


class RollbackPlan(Struct, frozen=True):
    """Where a rollback goes: `stay` is the target, `whole` says that it only makes the tier whole."""

    stay: Stay
    nodes: tuple[str, ...]
    whole: bool = False
    marks: str | None = None


class Return(Struct, frozen=True):
    """What a person asked of a rollback, without the reply."""

    version: str | None = None
    force: bool = False
    abort_running: bool = False


class Holder(Struct, frozen=True):
    """What has the tier in its hands; `begun` says that it may have migrated the database."""

    operation: Operation
    begun: bool = False


class WayBack(Struct, frozen=True):
    """Every precondition of a rollback as it stands, and what is done where all hold; `plan` is None where one does not."""

    rulings: tuple[Ruling, ...]
    plan: RollbackPlan | None = None
    way: Way | None = None
    """What is known of the schema that is left behind; None: it is not asked for."""
    first: Operation | None = None
    """The promotion that has to be stopped first. What the rollback finds when that has ended is weighed anew."""

    @property
    def verdict(self) -> RollbackPlan | Refusal:
        found = first_refusal(self.rulings) or self.plan
        if found is None:
            raise RuntimeError("neither a way back nor a reason against it")
        return found


def weigh_back(
    spec: TierSpec,
    state: TierState,
    wish: Return,
    holder: Holder | None,
    pairs: Pairs,
    *,
    pointer: bool,
    rehearsed: bool,
) -> WayBack:
    """Everything that the act looks at, and the plan shows: the first that does not hold is what the act answers.

    `pointer`: on the build tier only the pointer moves, so that neither nodes nor a database are in the way.
    """
    busy = holder.operation if holder else None
    if holder and busy and busy.kind == "promote":
        return _weigh_stop(spec, state, wish, holder, pairs, rehearsed=rehearsed)
    free = (
        bars("busy", tier_busy(spec.name, busy), its_end(busy))
        if busy
        else holds("busy", f"nothing holds tier {spec.name}")
    )
    plan = plan_rollback(spec, state, wish.version)
    if isinstance(plan, Refusal):
        return WayBack((free, bars("target", plan)))
    target = holds("target", _where_to(spec.name, plan))
    if pointer:
        return WayBack((free, target), plan)
    way = way_to(state, plan.stay.version, pairs, whole=plan.whole)
    schema = ruled(spec.name, way, plan.stay.version, force=wish.force, rehearsed=rehearsed)
    left = () if wish.version or plan.whole else _left_elsewhere(spec, state, plan)
    return WayBack((free, target, *left, _nodes(spec.name, plan.nodes), schema), plan, way)


def _left_elsewhere(spec: TierSpec, state: TierState, plan: RollbackPlan) -> tuple[Ruling, ...]:
    """Nobody can be made whole with, so the tier steps back: not what is wanted after a promotion that has failed."""
    away = away_elsewhere(spec, state)
    if not away or state.half is None:
        return ()
    told = (
        f"{', '.join(away)} may be on {state.half.version} and is not reached: this does not make tier {spec.name} whole, "
        f"it takes the others from {state.current_version} back to {plan.stay.version}"
    )
    return (warns("whole", told, f"the return of {', '.join(away)}: then the tier is made whole first"),)


def weigh_release(way: WayBack, release: Release | None, *, force: bool) -> WayBack:
    """Whether what a rollback steps back to is still kept. A tier that is made whole stands on what it needs already."""
    if way.plan is None or way.plan.whole:
        return way
    ruling = a_release_to_go_back_to(way.plan.stay.version, release, force=force)
    return replace(way, rulings=(*way.rulings, ruling))


def _weigh_stop(
    spec: TierSpec,
    state: TierState,
    wish: Return,
    holder: Holder,
    pairs: Pairs,
    *,
    rehearsed: bool,
) -> WayBack:
    """A promotion is stopped first, if that is wished: the way is judged beforehand, by what that may have done already."""
    running = holder.operation
    busy = _busy(spec.name, running, stop=wish.abort_running, whole=state.current is not None)
    plan = plan_after(spec, state, wish.version, state.current_version)
    if isinstance(plan, Refusal):
        if state.current is None:
            plan = replace(plan, hint=f"POST /operations/{running.id}/abort stops promote {running.id}")
        return WayBack((busy, bars("target", plan)), first=running)
    to = plan.stay.version
    told = f"then tier {spec.name} is made whole on {to}" if plan.whole else _where_to(spec.name, plan)
    way = way_over(state, running.version, wish.version, pairs, begun=holder.begun)
    schema = ruled(spec.name, way, to, force=wish.force, rehearsed=rehearsed)
    return WayBack((busy, holds("target", told), _then(spec, plan), schema), plan, way, running)


def weigh_after(
    spec: TierSpec, state: TierState, wish: Return, was: str | None, pairs: Pairs, *, rehearsed: bool
) -> WayBack:
    """A rollback that was accepted while a promotion ran, once that has ended; `was`: see `plan_after`.

    Nothing holds the tier any more. A plan without nodes is a tier that the promotion itself has made whole.
    """
    plan = plan_after(spec, state, wish.version, was)
    if isinstance(plan, Refusal):
        return WayBack((bars("target", plan),))
    way = way_to(state, plan.stay.version, pairs, whole=plan.whole)
    schema = ruled(spec.name, way, plan.stay.version, force=wish.force, rehearsed=rehearsed)
    return WayBack((_then(spec, plan), schema), plan, way)


def _busy(tier: str, running: Operation, *, stop: bool, whole: bool) -> Ruling:
    """At 3 a.m. the next step is what counts: a rollback may stop a promotion where the tier has been `whole` before it."""
    if stop:
        who = f"promote {running.id} of {running.version} by {running.actor}"
        return warns("busy", f"{who} is stopped first, at its next node boundary")
    refusal = tier_busy(tier, running)
    if not whole:
        return bars("busy", refusal, its_end(running))
    hint = f"`abort_running`: true stops it at its next node; or wait for /operations/{running.id}"
    return bars("busy", replace(refusal, hint=hint), "`abort_running`, or its end")


def _where_to(tier: str, plan: RollbackPlan) -> str:
    if plan.whole:
        return f"{', '.join(plan.nodes)} is not on {plan.stay.version}: tier {tier} is made whole, and does not step back"
    return f"tier {tier} steps back to {plan.stay.version}"


def _nodes(tier: str, nodes: tuple[str, ...]) -> Ruling:
    if nodes:
        return holds("nodes", f"goes to {', '.join(nodes)}")
    return every_node_is_out(tier)


def _then(spec: TierSpec, plan: RollbackPlan) -> Ruling:
    """Which nodes a promotion that is stopped will have left elsewhere is not known before its end; none is well, too."""
    if plan.whole and spec.nodes_in():
        return holds("nodes", f"goes to the nodes that are not on {plan.stay.version} then")
    return _nodes(spec.name, plan.nodes)


def plan_rollback(spec: TierSpec, state: TierState, version: str | None) -> RollbackPlan | Refusal:
    """SPEC 7: without a version a tier that is not whole is made whole first; only a whole one steps back."""
    current = state.current
    if version is None and current is not None and spec.nodes and (lacks := _to_make_whole(spec, state)):
        return _whole(state, current, lacks)
    if version is not None:
        return _named(spec, state, version)
    target = state.previous
    if target is None or current is None:
        return _nowhere(spec, state)
    return RollbackPlan(target, _everywhere(spec), marks=current.version)


def _nowhere(spec: TierSpec, state: TierState) -> Refusal:
    """A tier that is between two versions is made whole as soon as there is anybody to make it whole with."""
    detail = f"tier {spec.name} has no earlier version to go back to that is not marked bad"
    hint = "promote a good version instead"
    away = lacking(spec, state) if state.current else ()
    if away:
        detail += f", and nobody knows what {', '.join(away)} runs: not reached"
        hint = "sandod goes on looking for it: roll back once it is there, or take it out with `out = true` and POST /reload"
    return Refusal(409, "no_previous_version", detail, hint)


def plan_after(
    spec: TierSpec, state: TierState, version: str | None, was: str | None
) -> RollbackPlan | Refusal:
    """Where a rollback goes that has a promotion stopped first; `was` is what was current when it was accepted.

    Stopped, a promotion leaves current what was: the rollback makes the tier whole on it and goes no further back, also
    where the promotion's own revert has left nothing to do. A node that is away is gone to all the same: it is not
    known to be well. Where the stop came too late, the promotion has succeeded and the tier is whole on the new version:
    then it steps back as any rollback does (SPEC 7), which mostly is to what was.
    """
    current = state.current
    if current is not None and current.version == (version or was):
        return _whole(state, current, lacking(spec, state))
    return plan_rollback(spec, state, version)


def _whole(state: TierState, current: Stay, nodes: tuple[str, ...]) -> RollbackPlan:
    marks = state.half.version if state.half and state.half.version != current.version else None
    return RollbackPlan(current, nodes, whole=True, marks=marks)


def _to_make_whole(spec: TierSpec, state: TierState) -> tuple[str, ...]:
    return tuple(n for n in lacking(spec, state) if n not in state.nodes or state.nodes[n].reachable)


def _everywhere(spec: TierSpec) -> tuple[str, ...]:
    return tuple(n.name for n in spec.nodes_in())


def _named(spec: TierSpec, state: TierState, version: str) -> RollbackPlan | Refusal:
    current = state.current
    if current and version == current.version:
        if lacks := _to_make_whole(spec, state):
            return _whole(state, current, lacks)
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
