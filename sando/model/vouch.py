"""The source's word: may this version leave the tier (SPEC 6)? It knows nothing of the target."""

from msgspec import Struct
from msgspec.structs import replace

from sando.model.answers import Check, Refusal
from sando.model.clock import Instant
from sando.model.judge import gate_checks, how_to_fill, judge
from sando.model.release import Release
from sando.model.tier import TierState
from sando.model.topology import TierSpec


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
    built: bool = False,
) -> Vouched | Refusal:
    """What the tier says of `wanted` (or of its current version) leaving it; a bare refusal names no version.

    `built`: it is the build tier.
    """
    version = wanted or state.current_version
    if version is None:
        return Refusal(
            409,
            "nothing_to_promote",
            f"tier {spec.name} has no version yet",
            how_to_fill(spec, built=built),
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
    again = _again(spec, version, built=built) if stay and version != state.current_version else ""
    checks = gate_checks(spec, judge(spec, stay, now, tried), hotfix=hotfix, again=again)
    if stay is None:
        never = Check(
            "source",
            "blocked",
            f"{version} was never on tier {spec.name}",
            clears=f"its arrival on tier {spec.name}",
        )
        # A gate that is run there now would run for another version: it clears nothing.
        checks = (never, *(replace(c, clears=never.clears) for c in checks))
    blocking = tuple(c for c in checks if c.verdict == "blocked")
    skipped = "; ".join(f"{c.gate}: {c.detail}" for c in checks if c.verdict == "warning")
    refusal = _not_passed(spec.name, version, blocking) if blocking else None
    return Vouched(spec.name, version, checks, refusal, current, skipped)


def _again(spec: TierSpec, version: str, *, built: bool) -> str:
    """What makes a version current that has left the tier; a thing, so that it reads after "clears by"."""
    return "POST /rebuild with its sha" if built else f"another promotion of {version} into {spec.name}"


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
