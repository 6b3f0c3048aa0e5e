"""The answer of /plan: what an act would do and answer, from the rulings that the act itself goes by (SPEC 12). Pure."""

from typing import Any, Literal

from msgspec import Struct

from sando.model.answers import Check, Refusal, Ruling, first_refusal, warns
from sando.model.hurdles import a_good_release
from sando.model.names import visible
from sando.model.operation import Operation
from sando.model.promotion import Weighed
from sando.model.retention import kept_of
from sando.model.rollback import WayBack
from sando.model.safety import Pairs, Safe
from sando.model.schema import coming_again, formers_of, going_out, nothing_came, stays_put
from sando.model.survey import Change, Changes, Survey
from sando.model.tier import NodeState, TierState
from sando.model.topology import TierSpec, Topology

Act = Literal["promote", "rollback"]


class NodeForecast(Struct, frozen=True):
    """A node as it was last seen, and what would happen to it.

    `uploads`: the release is not there yet, as far as is known, and would be sent first.
    """

    name: str
    version: str | None
    observed: str | None
    reachable: bool
    out: bool
    does: Literal["switch", "stay"]
    uploads: bool
    detail: str


class Forecast(Struct, frozen=True, rename={"from_": "from"}):
    """`ready`, `status`, `code`, `detail` and `hint` are the answer that the act would give now."""

    act: Act
    tier: str
    ready: bool
    status: int
    code: str | None
    detail: str
    hint: str
    kind: str | None = None
    """`promote`, `repair`, `rollback`, or `pointer` on the build tier."""
    source: str | None = None
    from_: str | None = None
    to: str | None = None
    sha: str | None = None
    whole: bool = False
    """A rollback that only brings the nodes back to what is current."""
    marks_bad: str | None = None
    operation: int | None = None
    """What holds the tier."""
    on_failure: str | None = None
    confirm_within_s: float | None = None
    nodes: tuple[NodeForecast, ...] = ()
    commits: tuple[Change, ...] | None = None
    commits_more: bool = False
    commits_back: tuple[Change, ...] | None = None
    commits_back_more: bool = False
    migrations: tuple[str, ...] | None = None
    migrations_back: tuple[str, ...] | None = None
    """Of the release that is left; they stay in the database."""
    rollback_safe: dict[str, Safe] = {}
    checks: tuple[Check, ...] = ()


def bare(act: Act, tier: str, ruling: Ruling, wanted: str | None = None) -> Forecast:
    """Where the act is refused before any tier is asked, there is no more to say."""
    return Forecast(act, tier, **_answer(ruling.refusal), to=wanted, checks=(ruling.check,))


def of_promotion(
    topology: Topology,
    spec: TierSpec,
    state: TierState,
    weighed: Weighed,
    source: str,
    sha: str | None,
    pairs: Pairs,
    survey: Survey,
    busy: Operation | None,
    backup: Check | None = None,
) -> Forecast:
    """`sha` is the release's; `pairs` what is known of the way back from it, and from what was there before.

    `backup` says how fresh the one is that migrations are rehearsed on.
    """
    admission = weighed.admission
    promote = admission.kind == "promote"
    known = {old: safe for (new, old), safe in pairs.items() if new == admission.version}
    ahead: dict[str, Safe] = {old: known.get(old, "unknown") for old in formers_of(state, admission)}
    halts = spec.on_failure == "halt" or stays_put(spec, state, admission, pairs)
    rehearsed = topology.rehearsal() is not None
    schema = (
        going_out(spec, state, admission, pairs, survey.migrations, rehearsed=rehearsed),
        *coming_again(state, admission.version, pairs, rehearsed=rehearsed),
    )
    looked = a_good_release(admission.version, *survey.problem) if survey.problem else None
    refusal = first_refusal(weighed.rulings) or (looked.refusal if looked else None)
    unwell = _unwell(state, admission.nodes, back=False)
    return Forecast(
        "promote", spec.name, **_answer(refusal), kind=admission.kind, source=source, from_=state.current_version,
        to=admission.version, sha=sha, operation=_number(busy), on_failure="halt" if halts else "rollback",
        confirm_within_s=None if stays_put(spec, state, admission, pairs) else spec.confirm_within_s,
        nodes=_nodes(spec, state, admission.version, admission.nodes),
        **_changes(survey if promote else _NOTHING), rollback_safe=ahead | known,
        checks=_checks(
            _looked(weighed.rulings, looked), schema, (Ruling(backup),) if backup else (), _gates(state), unwell
        ),
    )  # fmt: skip


def of_rollback(
    topology: Topology,
    spec: TierSpec,
    state: TierState,
    way: WayBack,
    wanted: str | None,
    survey: Survey,
    busy: Operation | None,
) -> Forecast:
    refusal, plan = first_refusal(way.rulings), way.plan
    pointer = topology.build_tier.name == spec.name
    to = plan.stay.version if plan else wanted
    nodes = plan.nodes if plan else ()
    return Forecast(
        "rollback", spec.name, **_answer(refusal, aborting=way.first is not None),
        kind="pointer" if pointer else "rollback", from_=_left(state, way), to=to,
        sha=plan.stay.sha if plan else None, whole=plan.whole if plan else False,
        marks_bad=plan.marks if plan else None, operation=_number(busy),
        nodes=_nodes(spec, state, to or "", nodes), **_changes(survey if plan else Survey()),
        rollback_safe={to: way.way.safe} if to and way.way else {},
        checks=_checks(
            _known(state, way, survey), () if pointer else (*_gates(state), *_kept(to, survey)),
            _unwell(state, nodes, back=True),
        ),
    )  # fmt: skip


def _known(state: TierState, way: WayBack, survey: Survey) -> tuple[Ruling, ...]:
    """What nobody rehearsed may be plain from the migrations of both releases."""
    plain = nothing_came(way.way, state.current_version, survey.migrations_back) if way.way else None
    return tuple(plain if plain and r.check.check == plain.check.check else r for r in way.rulings)


def _number(busy: Operation | None) -> int | None:
    return busy.id if busy else None


_NOTHING = Survey(None, Changes(), Changes(), (), ())


def _left(state: TierState, way: WayBack) -> str | None:
    """To make whole is to leave what the nodes half hold, or are about to."""
    if way.plan is None or not way.plan.whole:
        return state.current_version
    if way.first is not None:
        return way.first.version
    return state.half.version if state.half else state.current_version


def _answer(refusal: Refusal | None, *, aborting: bool = False) -> dict[str, Any]:
    if refusal:
        said = {"code": refusal.code, "detail": refusal.detail, "hint": refusal.hint}
        return {"ready": False, "status": refusal.status, **said}
    return {"ready": True, "status": 202, "code": "aborting" if aborting else None, "detail": "", "hint": ""}


def _checks(*rulings: tuple[Ruling, ...]) -> tuple[Check, ...]:
    return tuple(r.check for several in rulings for r in several)


def _looked(rulings: tuple[Ruling, ...], looked: Ruling | None) -> tuple[Ruling, ...]:
    """What the look at its folder said stands where the release itself stands."""
    return tuple(looked if looked and r.check.check == "release" and not r.refusal else r for r in rulings)


def _kept(to: str | None, survey: Survey) -> tuple[Ruling, ...]:
    """A rollback does not ask for the release's folder: only a node that lacks the release would."""
    if survey.problem is None or to is None:
        return ()
    told = f"{to} in the store is not what was built ({survey.problem[1]}): a node that lacks it cannot get it again"
    return (warns("release", told, "POST /rebuild with its sha, and `force`"),)


def _gates(state: TierState) -> tuple[Ruling, ...]:
    gating = state.gating
    if gating is None:
        return ()
    return (
        warns("gates", f"{gating.running or 'a gate'} of {gating.version} is running, and would be aborted"),
    )


def _unwell(state: TierState, nodes: tuple[str, ...], *, back: bool) -> tuple[Ruling, ...]:
    """The nodes that would be visited, and that are not as they should be."""
    known = (state.nodes[n] for n in nodes if n in state.nodes)
    return tuple(r for node in known if (r := _node(node, back=back)))


def _node(node: NodeState, *, back: bool) -> Ruling | None:
    check, why = f"node:{node.name}", f": {visible(node.detail)}" if node.detail else ""
    if not node.reachable:
        so = "it would be left out" if back else "its preflight would fail before anything is switched"
        told = f"{node.name} could not be reached when it was last looked at{why}; {so}"
        return warns(check, told, "its return, or `out = true` on it and POST /reload")
    if node.version != node.observed:
        return warns(
            check,
            f"{node.name} is on {node.observed or 'nothing'}, recorded is {node.version or 'nothing'}{why}",
        )
    return warns(check, f"{node.name} is {node.status}{why}") if node.status != "ok" else None


def _nodes(spec: TierSpec, state: TierState, to: str, visited: tuple[str, ...]) -> tuple[NodeForecast, ...]:
    kept = kept_of(state, spec.keep_releases)
    shown = []
    for node in spec.nodes:
        known = state.nodes.get(node.name) or NodeState(node.name)
        switches = node.name in visited
        lacks = to not in kept or known.version is None or known.observed is None  # its folder may be gone
        shown.append(
            NodeForecast(
                node.name, known.version, known.observed, known.reachable, node.out,
                "switch" if switches else "stay", switches and lacks, visible(known.detail),
            )
        )  # fmt: skip
    return tuple(shown)


def _changes(survey: Survey) -> dict[str, Any]:
    out, back = survey.out, survey.back
    return {
        "commits": out and out.commits, "commits_more": bool(out and out.more),
        "commits_back": back and back.commits, "commits_back_more": bool(back and back.more),
        "migrations": survey.migrations, "migrations_back": survey.migrations_back,
    }  # fmt: skip
