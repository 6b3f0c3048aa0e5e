"""The gates of a tier as they stand for a stay, what each would need, and whom a person's word is for (SPEC 4, 5, 8)."""

from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct

from sando.model.answers import Check, Refusal
from sando.model.clock import Instant, span, stamp
from sando.model.gates import GateRun, Outcome
from sando.model.names import nearest, visible
from sando.model.stay import Stay
from sando.model.tier import TierState
from sando.model.topology import GateSpec, TierSpec


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
    facts: dict[str, object] = {}
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
        gate.name, gate.kind, run.outcome, run.version, run.at, run.seconds, run.message, run.operation, run.facts
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
        ready_at=None
        if passed or not green or stay.left_at or stay.burn is None
        else now.at + timedelta(seconds=left),
    )


def approved(gate: GateSpec, stay: Stay) -> tuple[Literal["passed", "failed", "pending"], str]:
    """What the words of people make of a manual_confirm, and whose they are."""
    words = [a for a in stay.approvals if a.gate == gate.name]
    yes = {a.actor for a in words if a.yes}
    last = words[-1] if words else None
    if last and not last.yes:
        return "failed", f"rejected by {last.actor}" + (f": {last.reason}" if last.reason else "")
    if len(yes) >= gate.min_approvals:
        return "passed", "confirmed by " + ", ".join(sorted(yes))
    return "pending", f"{len(yes)} of {gate.min_approvals} approvals" if gate.min_approvals > 1 or yes else ""


def _confirm_view(gate: GateSpec, stay: Stay) -> GateView:
    last = next((a for a in reversed(stay.approvals) if a.gate == gate.name), None)
    outcome, message = approved(gate, stay)
    return GateView(
        gate.name, gate.kind, Outcome(outcome), stay.version, last.at if last else None, message=message
    )


def not_run(spec: TierSpec, name: str) -> Refusal | None:
    """Why a gate of that name cannot be run there; None: it can."""
    gate = spec.gate(name)
    if gate is None:
        names = [g.name for g in spec.gates]
        hint = nearest(name, names) or f"it declares {', '.join(names) or 'none'}"
        return Refusal(404, "unknown_gate", f"tier {spec.name} declares no gate {name}", hint)
    if gate.active:
        return None
    by_hand = gate.kind == "manual_confirm"
    hint = f"POST /confirm/{spec.name}" if by_hand else "it turns green by itself when its time is over"
    return Refusal(409, "gate_not_active", f"{gate.name} is not a gate that is run", hint)


def active_green(spec: TierSpec, stay: Stay) -> bool:
    return all(_view(g, stay.gate(g.name)).outcome is Outcome.PASSED for g in spec.active_gates())


def gate_checks(
    spec: TierSpec, views: tuple[GateView, ...], *, hotfix: bool, again: str = ""
) -> tuple[Check, ...]:
    """One check a gate: only `passed` lets a version out, or a burn-in that this very hotfix skips.

    `again` is what brings a version back that has left the tier: whatever is done there before is for another one.
    """
    return tuple(_gate_check(spec.name, view, again, hotfix=hotfix) for view in views)


def _gate_check(tier: str, view: GateView, again: str, *, hotfix: bool) -> Check:
    skipped = hotfix and view.kind == "burn_in" and view.outcome is not Outcome.PASSED
    ok = view.outcome is Outcome.PASSED
    return Check(
        f"gate:{view.name}",
        "ok" if ok else "warning" if skipped else "blocked",
        _told(tier, view, left=bool(again)),
        view.name,
        Outcome.SKIPPED if skipped else view.outcome,
        "" if ok or skipped else _clears(tier, view, again),
    )


def _told(tier: str, view: GateView, *, left: bool) -> str:
    """What it said; with when, where something has happened."""
    said = visible(view.message)
    if view.at is None or view.outcome is Outcome.PENDING:
        return said or f"{view.outcome} {'when it left' if left else 'on'} tier {tier}"
    begun = "since" if view.outcome is Outcome.RUNNING else "at"
    return f"{view.outcome} {begun} {stamp(view.at)}" + (f": {said}" if said else "")


def _clears(tier: str, view: GateView, again: str) -> str:
    if view.kind == "burn_in":
        if view.ready_at:
            return f"{stamp(view.ready_at)} or hotfix"
        first = f"{again}, then " if again else ""
        return f"{first}{span(view.required_s or 0)} on tier {tier} with its active gates green, or hotfix"
    if view.kind == "manual_confirm":
        return f"{again}, then POST /confirm/{tier}" if again else f"POST /confirm/{tier}"
    if again:
        return f"{again}, where it runs anew"
    if view.outcome is Outcome.RUNNING:
        return "the end of its run"
    return f"POST /gates/{tier}/{view.name}/run"


def how_to_fill(spec: TierSpec, *, built: bool) -> str:
    """What brings the tier its first version."""
    if built:
        return f"push a commit, or POST /rebuild, and wait until it is green on {spec.name}"
    return f"promote into {spec.name} first"


def confirmable(
    spec: TierSpec,
    state: TierState,
    version: str | None,
    kind: str = "manual_confirm",
    *,
    built: bool = False,
) -> GateSpec | Refusal:
    """The gate that a person's word is for, or why there is none (SPEC 8); `built`: it is the build tier's."""
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
            409, "tier_empty", f"nothing runs on tier {spec.name} yet", how_to_fill(spec, built=built)
        )
    if version is not None and version != current:
        return Refusal(
            412,
            "not_current",
            f"the current version of tier {spec.name} is {current}, not {version}",
            "look at what is there now, and confirm that if it is right",
        )
    return gate
