"""What may stand in the way of a promotion, one ruling each, in words for whoever asked; `promotion` has their order."""

from collections.abc import Mapping
from datetime import datetime

from sando.model.answers import Refusal, Ruling, bars, holds, warns
from sando.model.clock import stamp
from sando.model.freeze import FOREVER
from sando.model.lock import Lock
from sando.model.names import visible
from sando.model.operation import Operation, Status
from sando.model.release import Release
from sando.model.tier import Mark, TierState
from sando.model.vouch import Vouched


def the_word_of_the_source(vouched: Vouched, *, repair: bool) -> tuple[Ruling, ...]:
    if repair:
        return (holds("source", f"not asked: {vouched.version} has arrived already, and is only repaired"),)
    said = tuple(Ruling(c, vouched.refusal if c.verdict == "blocked" else None) for c in vouched.checks)
    if vouched.refusal and not any(r.refusal for r in said):
        return (*said, bars("version", vouched.refusal))
    return said


def a_release(vouched: Vouched, release: Release | None) -> tuple[Ruling, ...]:
    """Whether its folder is there, and right, is looked at before it is promised."""
    if release is None and vouched.refusal and vouched.refusal.code == "unknown_version":
        return ()
    if release is None:
        return (bars("release", _gone(vouched.version), "POST /rebuild with its sha"),)
    told = f"{vouched.version} was built from {release.sha[:7]} at {stamp(release.built_at)}"
    return (holds("release", told),)


def _gone(version: str) -> Refusal:
    return Refusal(
        409,
        "release_missing",
        f"the release {version} is not in the store any more",
        "build its sha again with POST /rebuild",
    )


def a_release_to_go_back_to(version: str, release: Release | None, *, force: bool) -> Ruling:
    """Further back than retention keeps, the history still tells what ran; only nodes it did not reach may have that."""
    if release is None or release.at_hand:
        return holds("release", f"{version} is kept")
    if release.present:
        told = f"the folder of {version} was not in the store when it was last looked for; a node that has it needs none"
        return warns("release", told)
    told = f"{version} is further back than releases are kept: retention has removed it from the store and the nodes"
    if force:
        return warns("release", f"{told}; `force` tries it with what a node may still have")
    hint = "promote another version; `force` tries it all the same, for nodes that still have it"
    return bars(
        "release", Refusal(409, "release_missing", told, hint), "a promotion of another version, or `force`"
    )


def a_good_release(version: str, code: str, problem: str) -> Ruling:
    """Its folder was looked at, and is not what was built, or is not there. What is built again has a name of its own."""
    gone = code == "release_missing"
    wrong = "is not in the store any more" if gone else "in the store is not what was built"
    clears = "POST /rebuild with its sha, and `force`"
    hint = f"build it again, as a version of its own: {clears}"
    return bars("release", Refusal(409, code, f"the release {version} {wrong}: {problem}", hint), clears)


def something_new(
    tier: str, state: TierState, version: str, lacks: tuple[str, ...], *, force: bool
) -> Ruling:
    """`lacks` are the nodes that are not on the current version."""
    if version != state.current_version or (state.half and not force):
        return holds("current", f"{state.current_version or 'nothing'} is current on tier {tier}")
    if force:
        return holds("current", f"{version} is current on tier {tier}, and is deployed again")
    if lacks:
        return holds("current", f"{version} is current on tier {tier}, and {', '.join(lacks)} lacks it")
    return bars(
        "current",
        Refusal(
            409,
            "already_current",
            f"{version} is current on every node of tier {tier}",
            # What the nodes hold is looked at by the preflight alone; it replaces no file under a running service.
            "`force` deploys it again, unless its files were changed on a node: then roll back, or promote another version",
        ),
        "`force`",
    )


def no_mark(version: str, marks: Mapping[str, tuple[Mark, ...]], *, force: bool, repair: bool) -> Ruling:
    found = next(((t, m) for t, of_tier in marks.items() for m in of_tier if m.version == version), None)
    if found is None:
        return holds("marks", f"{version} is not marked bad")
    tier, mark = found
    why = f": {visible(mark.reason)}" if mark.reason else ""
    told = f"{version} was marked bad on tier {tier} by {mark.actor}'s rollback at {stamp(mark.at)}{why}"
    if force:
        return warns("marks", f"{told}; `force` lifts the mark")
    if repair:
        return warns("marks", told)
    hint = "`force` deploys it all the same and lifts the mark"
    return bars("marks", Refusal(409, "version_marked_bad", told, hint), "`force`")


def no_other_half(tier: str, state: TierState, version: str, away: tuple[str, ...]) -> Ruling:
    """`away`: see `promotion.away_elsewhere`."""
    half = state.half
    if half is None:
        return holds("mixed", f"tier {tier} is not between two versions")
    if half.version == version:
        told = f"some nodes of tier {tier} are on {version} since operation {half.operation}: this resumes it"
        return warns("mixed", told)
    told = f"some nodes of tier {tier} are on {half.version}, others on {state.current_version}: {version} has to wait"
    back, clears = f"roll back tier {tier} to make it whole", f"POST /rollback/{tier}"
    if away:  # a rollback would step the others back now
        back = f"wait until {', '.join(away)} is reached, and then {back}"
        clears = f"the return of {', '.join(away)} and then {clears}"
    return bars(
        "mixed",
        Refusal(409, "tier_mixed", told, f"promote {half.version} again to resume, or {back}"),
        f"a promotion of {half.version}, which resumes it, or {clears}",
    )


def not_busy(tier: str, busy: Operation | None) -> Ruling:
    if busy is None:
        return holds("busy", f"nothing holds tier {tier}")
    return bars("busy", tier_busy(tier, busy), its_end(busy))


def its_end(busy: Operation) -> str:
    """What clears a tier that is held; a rollback cannot be aborted."""
    return "its end" if busy.kind == "rollback" else f"its end, or POST /operations/{busy.id}/abort"


def tier_busy(tier: str, busy: Operation) -> Refusal:
    return Refusal(
        409,
        "tier_busy",
        f"{busy.kind} {busy.id} of {busy.version} by {busy.actor} {_is_there(tier, busy)}",
        f"wait for /operations/{busy.id}" + ("" if busy.kind == "rollback" else ", or abort it"),
        busy,
    )


def _is_there(tier: str, busy: Operation) -> str:
    if busy.status is Status.QUEUED:
        return f"waits on tier {tier} for the promotion that it stops"
    return f"runs on tier {tier} (step {busy.step or 'start'})"


def no_lock(tier: str, lock: Lock | None) -> Ruling:
    if lock is None:
        return holds("lock", f"tier {tier} is not locked")
    until = f" until {stamp(lock.expires)}" if lock.expires else ""
    told = f"tier {lock.tier} is locked by {lock.actor} since {stamp(lock.at)}{until}: {visible(lock.reason)}"
    hint = f"DELETE /lock/{lock.tier} lifts it"
    when = (
        f"{stamp(lock.expires)} or DELETE /lock/{lock.tier}" if lock.expires else f"DELETE /lock/{lock.tier}"
    )
    return bars("lock", Refusal(423, "locked", told, hint), when)


def no_freeze(tier: str, until: datetime | None, *, overridden: bool) -> Ruling:
    if until is None:
        return holds("freeze", f"tier {tier} is not frozen")
    ends = stamp(until) if until != FOREVER else ""
    when = f"until {ends}" if ends else "without end"
    told = f"tier {tier} is frozen by a [[freeze]] window of sando.toml {when}"
    if overridden:
        return warns("freeze", f"{told}; `override_freeze` passes it", ends)
    hint = "wait, or pass" if ends else "change sando.toml, or pass"
    clears = f"{ends or 'a change of sando.toml'} or override_freeze with a reason"
    return bars("freeze", Refusal(423, "frozen", told, f"{hint} `override_freeze` with a `reason`"), clears)


def some_node(tier: str, nodes: tuple[str, ...], *, in_service: bool) -> Ruling:
    if in_service:
        return holds("nodes", f"goes to {', '.join(nodes) or 'no node: each has it'}")
    return every_node_is_out(tier)


def every_node_is_out(tier: str) -> Ruling:
    hint = "take `out = true` from at least one node of it in sando.toml, then POST /reload"
    refusal = Refusal(409, "no_nodes", f"every node of tier {tier} is left out", hint)
    return bars("nodes", refusal, "a node of it without `out = true` in sando.toml, and POST /reload")
