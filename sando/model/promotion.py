"""The target's decision: does the tier take this version now (SPEC 6)? The order is that of the contract's table."""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from sando.model.answers import Refusal
from sando.model.clock import stamp
from sando.model.names import visible
from sando.model.operation import Operation
from sando.model.release import Release
from sando.model.tier import Mark, TierState
from sando.model.topology import TierSpec
from sando.model.vouch import Vouched


class Lock(Struct, frozen=True):
    """A hand-taken lock of one tier; it blocks promotions into it until lifted or over."""

    tier: str
    actor: str
    reason: str
    at: datetime
    expires: datetime | None = None

    def holds(self, at: datetime) -> bool:
        return self.expires is None or at < self.expires


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
    if release is None:  # whether its folder is there, and right, is looked at before it is promised
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
    return known is not None and known.status == "ok" and known.version == known.observed == version


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
        f"tier {lock.tier} is locked by {lock.actor} since {stamp(lock.at)}{until}: {visible(lock.reason)}",
        f"DELETE /lock/{lock.tier} lifts it",
    )


def _frozen(tier: str, until: datetime) -> Refusal:
    return Refusal(
        423,
        "frozen",
        f"tier {tier} is frozen by a [[freeze]] window of sando.toml until {stamp(until)}",
        "wait, or pass `override_freeze` with a `reason`",
    )
