"""What is said of the way back: before a promotion, as a warning; when a rollback goes it, as a reason against it."""

from sando.model.answers import Refusal, Ruling, bars, holds, warns
from sando.model.promotion import Admission
from sando.model.safety import Pairs, Way, arrivals, direct, half_back, way_back, worst
from sando.model.tier import TierState
from sando.model.topology import TierSpec

CHECK = "rollback_safe"


def way_to(state: TierState, target: str, pairs: Pairs, *, whole: bool) -> Way | None:
    """A rollback to `target`; None: nothing is asked.

    What is current runs there already: to make the tier `whole` only asks for the nodes that half hold another version.
    """
    return half_back(state, pairs) if whole else way_back(state, target, pairs)


def way_over(
    state: TierState, running: str | None, target: str | None, pairs: Pairs, *, begun: bool
) -> Way | None:
    """A rollback that stops a promotion of `running` first; `begun` says that it may have migrated already."""
    current = state.current_version
    to = target or current
    if to is None:
        return None
    ways = [way_back(state, to, pairs)] if to != current else []
    if begun and running and running != to:
        ways.append(direct(running, to, pairs))
    return worst(ways) if ways else None


def ruled(tier: str, way: Way | None, target: str | None, *, force: bool, rehearsed: bool) -> Ruling:
    """`rehearsed`: some tier declares a rehearsal of migrations. Without one nobody expects to know."""
    if way is None:
        return holds(CHECK, f"{target or 'nothing'} is what tier {tier} is on already")
    if way.safe == "yes":
        return holds(CHECK, f"{way.old} starts on the schema of {way.new}: that was rehearsed")
    if way.safe == "unknown":
        told = f"it is not known whether {way.old} runs on the schema of {way.new}"
        return warns(CHECK, told) if rehearsed else holds(CHECK, f"{told}: no gate rehearses migrations")
    told = f"{way.old} does not run on the schema of {way.new}: that was rehearsed"
    if force:
        return warns(CHECK, f"{told}; `force` goes back to {target} all the same")
    hint = "promote a version that runs on it; or `force` goes back all the same (no migration is undone)"
    detail = f"tier {tier} cannot go back to {target}: {told}"
    return bars(CHECK, Refusal(409, "schema_incompatible", detail, hint), "`force`, or another version")


def coming_again(state: TierState, version: str, pairs: Pairs, *, rehearsed: bool) -> tuple[Ruling, ...]:
    """A promotion to a version that others came after is a way back too, though never refused for the schema."""
    order = arrivals(state)
    if version not in order or version in {state.current_version, order[-1]}:
        return ()
    way = way_back(state, version, pairs)
    told = {
        "yes": f"{way.old} starts on the schema of {way.new}: that was rehearsed",
        "no": f"{way.old} does not run on the schema of {way.new}, which stays: that was rehearsed",
        "unknown": f"it is not known whether {way.old} runs on the schema of {way.new}, which stays",
    }
    holding = way.safe == "yes" or (way.safe == "unknown" and not rehearsed)
    return ((holds if holding else warns)("schema", told[way.safe]),)


def nothing_came(way: Way, current: str | None, migrations: tuple[str, ...] | None) -> Ruling | None:
    """Where nobody has rehearsed it: a version that brought no migration has changed no schema."""
    if way.safe == "unknown" and way.new == current and migrations == ():
        return holds(CHECK, f"{way.new} brought no migration that {way.old} has not")
    return None


def going_out(
    spec: TierSpec,
    state: TierState,
    admission: Admission,
    pairs: Pairs,
    migrations: tuple[str, ...] | None,
    *,
    rehearsed: bool,
) -> Ruling:
    """A promotion, beforehand. `migrations` are those that would go out; None: nobody knows."""
    new, formers = admission.version, formers_of(state, admission)
    if admission.kind == "repair" or not formers:
        return holds(CHECK, f"nothing but {new} would be left behind")
    way = worst(direct(new, old, pairs) for old in formers)
    if way.safe == "yes":
        return holds(CHECK, f"{', '.join(formers)} starts on the schema of {new}: that was rehearsed")
    if way.safe == "no":
        told = f"{way.old} does not run on the schema of {new}: that was rehearsed"
        return warns(CHECK, f"{told}; {_no_way_back(spec, state, admission, pairs)}")
    if migrations == ():
        return holds(CHECK, f"no migration goes out with {new}")
    told = f"it is not known whether {way.old} runs on the schema of {new}"
    return warns(CHECK, told) if rehearsed else holds(CHECK, f"{told}: no gate rehearses migrations")


def _no_way_back(spec: TierSpec, state: TierState, admission: Admission, pairs: Pairs) -> str:
    if not stays_put(spec, state, admission, pairs):
        return "a rollback would need `force`"
    armed = " and no dead-man switch is armed" if spec.confirm_within_s is not None else ""
    return f"after `once`, a failure puts back the node at fault alone{armed}; a rollback would need `force`"


def formers_of(state: TierState, admission: Admission) -> tuple[str, ...]:
    """What runs on the nodes that would be switched, as far as is known."""
    nodes = [state.nodes[n] for n in admission.nodes if n in state.nodes]
    found = dict.fromkeys(v for n in nodes for v in (n.version, n.observed) if v and v != admission.version)
    return tuple(found)


def stays_put(spec: TierSpec, state: TierState, admission: Admission, pairs: Pairs) -> bool:
    """A failure after `once` would leave some node where it is: its former release would not run any more (SPEC 6)."""
    half = state.half
    once = spec.once is not None or (
        half is not None and half.version == admission.version and half.once_done
    )
    formers = formers_of(state, admission) if admission.kind == "promote" and once else ()
    return any(direct(admission.version, old, pairs).safe == "no" for old in formers)
