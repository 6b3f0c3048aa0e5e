"""May this version move? Pure answers with reasons: what the source vouches for and what the target admits (SPEC 6-8)."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from sando.model.answers import Check, Refusal
from sando.model.clock import Instant, span, stamp
from sando.model.gates import GateRun, Outcome
from sando.model.operation import Operation
from sando.model.release import Release
from sando.model.stay import Stay
from sando.model.tier import Mark, TierState
from sando.model.topology import GateSpec, TierSpec


class Lock(Struct, frozen=True):
    """A hand-taken lock of one tier; it blocks promotions into it until lifted or over."""

    tier: str
    actor: str
    reason: str
    at: datetime
    expires: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return self.expires is None or at < self.expires


class GateView(Struct, frozen=True):
    """A declared gate as it stands for one stay; the three `*_s`, `ready_at` fields are burn-in's."""

    name: str
    kind: str
    outcome: Outcome
    version: str | None = None
    at: datetime | None = None
    seconds: float | None = None
    message: str = ""
    operation: int | None = None
    required_s: float | None = None
    elapsed_s: float | None = None
    ready_at: datetime | None = None


def judge(
    spec: TierSpec, stay: Stay | None, now: Instant, tried: tuple[GateRun, ...] = ()
) -> tuple[GateView, ...]:
    """Every declared gate of a tier for a stay; runs in `tried` stand in for a candidate that has no stay yet."""
    green = stay is not None and all(
        _view(g, stay.gate(g.name)).outcome is Outcome.PASSED for g in spec.active_gates()
    )
    views = []
    for gate in spec.gates:
        if stay is not None and gate.kind == "burn_in":
            views.append(_burn_view(gate, stay, now, green=green))
        elif stay is not None and gate.kind == "manual_confirm":
            views.append(_confirm_view(gate, stay))
        else:
            run = (
                next((r for r in tried if r.gate == gate.name), None)
                if tried
                else stay and stay.gate(gate.name)
            )
            views.append(_view(gate, run or None))
    return tuple(views)


def _view(gate: GateSpec, run: GateRun | None) -> GateView:
    if run is None:
        return GateView(gate.name, gate.kind, Outcome.PENDING)
    return GateView(
        gate.name, gate.kind, run.outcome, run.version, run.at, run.seconds, run.message, run.operation
    )  # fmt: skip


def _burn_view(gate: GateSpec, stay: Stay, now: Instant, *, green: bool) -> GateView:
    elapsed = stay.burnt(now) if green else 0.0
    left = gate.duration_s - elapsed
    passed = left <= 0 and green
    run = stay.gate(gate.name)
    return GateView(
        gate.name,
        gate.kind,
        Outcome.PASSED if passed else Outcome.PENDING,
        stay.version,
        run.at if run and passed else None,
        message="" if passed else f"{span(elapsed)} of {span(gate.duration_s)}",
        required_s=gate.duration_s,
        elapsed_s=min(elapsed, gate.duration_s) if passed else elapsed,
        ready_at=None if passed or not green or stay.left_at else now.at + timedelta(seconds=left),
    )


def _confirm_view(gate: GateSpec, stay: Stay) -> GateView:
    words = [a for a in stay.approvals if a.gate == gate.name]
    yes = {a.actor for a in words if a.yes}
    last = words[-1] if words else None
    if last and not last.yes:
        outcome, message = (
            Outcome.FAILED,
            f"rejected by {last.actor}" + (f": {last.reason}" if last.reason else ""),
        )
    elif len(yes) >= gate.min_approvals:
        outcome, message = Outcome.PASSED, "confirmed by " + ", ".join(sorted(yes))
    else:
        outcome = Outcome.PENDING
        message = f"{len(yes)} of {gate.min_approvals} approvals" if gate.min_approvals > 1 or yes else ""
    return GateView(gate.name, gate.kind, outcome, stay.version, last.at if last else None, message=message)


def active_green(spec: TierSpec, stay: Stay) -> bool:
    return all(_view(g, stay.gate(g.name)).outcome is Outcome.PASSED for g in spec.active_gates())


def gate_checks(spec: TierSpec, views: tuple[GateView, ...], *, hotfix: bool) -> tuple[Check, ...]:
    """One check a gate: only `passed` lets a version out, or a burn-in that this very hotfix skips."""
    return tuple(_gate_check(spec.name, view, hotfix=hotfix) for view in views)


def _gate_check(tier: str, view: GateView, *, hotfix: bool) -> Check:
    skipped = hotfix and view.kind == "burn_in" and view.outcome is not Outcome.PASSED
    ok = view.outcome is Outcome.PASSED
    return Check(
        f"gate:{view.name}",
        "ok" if ok else "warning" if skipped else "blocked",
        view.message or f"{view.outcome} on tier {tier}",
        view.name,
        Outcome.SKIPPED if skipped else view.outcome,
        *(() if ok else (_clears(tier, view),)),
    )


def _clears(tier: str, view: GateView) -> str:
    if view.kind == "burn_in":
        when = stamp(view.ready_at) if view.ready_at else f"when the active gates of {tier} are green"
        return f"{when} or hotfix"
    if view.kind == "manual_confirm":
        return f"POST /confirm/{tier}"
    if view.outcome is Outcome.RUNNING:
        return "when it has ended"
    return f"POST /gates/{tier}/{view.name}/run"


class Vouched(Struct, frozen=True):
    """The source's word on a version: who it is, how its gates stand, and the refusal if they do not hold.

    `stay` is the number of the source's current stay, whose burn-in clock `reset_burn_in` restarts.
    """

    source: str
    version: str
    checks: tuple[Check, ...] = ()
    refusal: Refusal | None = None
    stay: int = 0
    skipped: str = ""


def vouch(
    spec: TierSpec,
    state: TierState,
    wanted: str | None,
    release: Release | None,
    now: Instant,
    *,
    hotfix: bool,
) -> Vouched | Refusal:
    """What the tier says of `wanted` (or of its current version) leaving it; a bare refusal names no version."""
    version = wanted or state.current_version
    if version is None:
        return Refusal(
            409,
            "nothing_to_promote",
            f"tier {spec.name} has no version yet",
            f"push a commit and wait until it is green on {spec.name}, or promote into {spec.name} first",
        )
    stay = state.judged(version)
    tried = () if stay else tuple(r for r in state.tried if r.version == version)
    current = state.current.n if state.current else 0
    if stay is None and not tried and release is None:
        hint = "GET /releases lists what there is"
        return Vouched(
            spec.name,
            version,
            refusal=Refusal(404, "unknown_version", f"no release is called {version}", hint),
        )
    checks = gate_checks(spec, judge(spec, stay, now, tried), hotfix=hotfix)
    if stay is None:
        never = Check(
            "source",
            "blocked",
            f"{version} was never on tier {spec.name}",
            clears=f"bring it to {spec.name} first",
        )
        checks = (never, *checks)
    blocking = tuple(c for c in checks if c.verdict == "blocked")
    skipped = "; ".join(f"{c.gate}: {c.detail}" for c in checks if c.verdict == "warning")
    refusal = _not_passed(spec.name, version, blocking) if blocking else None
    return Vouched(spec.name, version, checks, refusal, current, skipped)


def _not_passed(tier: str, version: str, blocking: tuple[Check, ...]) -> Refusal:
    names = ", ".join(f"{c.gate} {c.outcome}" if c.gate else c.detail for c in blocking)
    clears = "; ".join(f"{c.gate or 'source'}: {c.clears}" for c in blocking if c.clears)
    return Refusal(
        409,
        "gates_not_passed",
        f"{version} may not leave tier {tier}: {names}",
        f"clears by {clears}",
        blocking=blocking,
    )


class Wish(Struct, frozen=True):
    """What a person asked of a promotion, without the reply."""

    tier: str
    version: str | None = None
    hotfix: bool = False
    reset_burn_in: bool = False
    force: bool = False
    override_freeze: bool = False
    actor: str = "anonymous"
    reason: str = ""


class Admission(Struct, frozen=True):
    """The target takes it: a `promote` of all `nodes`, or a `repair` of those that lack the current version."""

    kind: str
    version: str
    nodes: tuple[str, ...]


def lacking(spec: TierSpec, state: TierState) -> tuple[str, ...]:
    """The nodes in service that are not, as far as is known, on the tier's current version."""
    return tuple(n.name for n in spec.nodes_in() if not _is_on(state, n.name, state.current_version))


def admit(
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
) -> Admission | Refusal:
    """The target's decision, in the order of SPEC 6's table. `marks` are by tier, this one and the earlier ones."""
    version = vouched.version
    repair = version == state.current_version and state.half is None and not wish.force
    missing = lacking(spec, state)
    if not repair and vouched.refusal:
        return vouched.refusal
    if release is None or not release.present:
        return Refusal(
            409,
            "release_missing",
            f"the release {version} is not in the store any more",
            "build its sha again with POST /rebuild",
        )
    if repair and not missing:
        return Refusal(
            409,
            "already_current",
            f"{version} is current on every node of tier {spec.name}",
            "`force` deploys it again",
        )
    if not wish.force and not repair and (bad := _marked(version, marks)):
        return bad
    if state.half and state.half.version != version:
        return _mixed(spec.name, state, version)
    if busy:
        return tier_busy(spec.name, busy)
    if lock:
        return _locked(lock)
    if frozen_until and not (wish.override_freeze and wish.reason):
        return _frozen(spec.name, frozen_until)
    nodes = missing if repair else _to_visit(spec, state, wish, version)
    if not nodes:
        hint = "take `out = true` from at least one node of it in sando.toml, then POST /reload"
        return Refusal(409, "no_nodes", f"every node of tier {spec.name} is left out", hint)
    return Admission("repair" if repair else "promote", version, nodes)


def _to_visit(spec: TierSpec, state: TierState, wish: Wish, version: str) -> tuple[str, ...]:
    """All nodes in service; a promotion that is resumed after a halt leaves those alone that have arrived."""
    resumed = state.half is not None and state.half.version == version and not wish.force
    nodes = tuple(n.name for n in spec.nodes_in())
    left = tuple(n for n in nodes if not (resumed and _is_on(state, n, version)))
    return left or nodes


def _is_on(state: TierState, node: str, version: str | None) -> bool:
    known = state.nodes.get(node)
    return known is not None and known.status == "ok" and known.version == version


def _marked(version: str, marks: Mapping[str, tuple[Mark, ...]]) -> Refusal | None:
    for tier, of_tier in marks.items():
        for mark in of_tier:
            if mark.version == version:
                why = f": {mark.reason}" if mark.reason else ""
                return Refusal(
                    409,
                    "version_marked_bad",
                    f"{version} was marked bad on tier {tier} by {mark.actor}'s rollback at {stamp(mark.at)}{why}",
                    "`force` deploys it all the same and lifts the mark",
                )
    return None


def _mixed(tier: str, state: TierState, version: str) -> Refusal:
    held = state.half.version if state.half else ""
    return Refusal(
        409,
        "tier_mixed",
        f"some nodes of tier {tier} are on {held}, others on {state.current_version}: {version} has to wait",
        f"promote {held} again to resume, or roll back tier {tier} to make it whole",
    )


def tier_busy(tier: str, busy: Operation) -> Refusal:
    return Refusal(
        409,
        "tier_busy",
        f"{busy.kind} {busy.id} of {busy.version} by {busy.actor} runs on tier {tier} (step {busy.step or 'start'})",
        f"wait for /operations/{busy.id}, or abort it",
        busy,
    )


def _locked(lock: Lock) -> Refusal:
    until = f" until {stamp(lock.expires)}" if lock.expires else ""
    return Refusal(
        423,
        "locked",
        f"tier {lock.tier} is locked by {lock.actor} since {stamp(lock.at)}{until}: {lock.reason}",
        f"DELETE /lock/{lock.tier} lifts it",
    )


def _frozen(tier: str, until: datetime) -> Refusal:
    return Refusal(
        423,
        "frozen",
        f"tier {tier} is frozen by a [[freeze]] window of sando.toml until {stamp(until)}",
        "wait, or pass `override_freeze` with a `reason`",
    )


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


def confirmable(
    spec: TierSpec, state: TierState, version: str | None, kind: str = "manual_confirm"
) -> GateSpec | Refusal:
    """The gate that a person's word is for, or why there is none (SPEC 8)."""
    gate = next((g for g in spec.gates if g.kind == kind), None)
    if gate is None:
        return Refusal(
            409,
            "no_such_gate",
            f"tier {spec.name} declares no {kind} gate",
            "add one to its gates in sando.toml",
        )
    current = state.current_version
    if current is None:
        return Refusal(
            409, "tier_empty", f"nothing runs on tier {spec.name} yet", f"promote into {spec.name} first"
        )
    if version is not None and version != current:
        return Refusal(
            412,
            "not_current",
            f"the current version of tier {spec.name} is {current}, not {version}",
            "look at what is there now, and confirm that if it is right",
        )
    return gate
