"""GET /state as a pure function of what is stored: composed once a commit, filled in with the time when sent."""

import hashlib
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from sando.model import wire
from sando.model.backup import LastGood, Restored, backup_shown
from sando.model.clock import Instant, span, stamp, stamp_of
from sando.model.freeze import frozen_until
from sando.model.harmless import harmless
from sando.model.names import visible
from sando.model.operation import Operation
from sando.model.plan import Rollout
from sando.model.policy import GateView, Lock, active_green, judge
from sando.model.safety import Pairs, Safe, way_back
from sando.model.stay import Stay
from sando.model.task import Step
from sando.model.tier import TierState
from sando.model.topology import TierSpec, Topology

_NOW = "\x00now"
_ELAPSED = "\x00elapsed"


class Facts(Struct, frozen=True):
    """What the store said in one read transaction."""

    seq: int
    daemon: dict[str, Any]
    tiers: dict[str, TierState]
    unfinished: tuple[Operation, ...] = ()
    locks: dict[str, Lock] = {}
    backup: LastGood | None = None
    restored: tuple[Restored, ...] = ()
    safety: Pairs = {}
    """What is known of the way back from the versions that `asked_of` names, of each tier."""
    rollouts: dict[int, Rollout] = {}
    """By operation, of the tiers that hold after each node."""
    newest: int = 0
    """The operation that was begun last."""


class Snapshot:
    """The published state: `render` gives the body for now, `etag` is over everything that does not tick.

    `topology` is the one that it was composed for.
    """

    __slots__ = ("_clocks", "_composed", "_newest", "_parts", "_state", "_working", "etag", "seq", "topology")

    def __init__(
        self, composed: wire.State, topology: Topology, facts: Facts, clocks: list[tuple[Stay, float]]
    ) -> None:
        self.seq = composed.seq
        self.topology = topology
        self._working = frozenset(o.id for o in facts.unfinished)
        self._newest = facts.newest
        self._composed = composed
        self._state: dict[str, Any] | None = None
        self._clocks = clocks
        body = harmless(msgspec.json.encode(composed))
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        self._parts = self._split(body)

    @property
    def state(self) -> dict[str, Any]:
        """As plain values, for those who look up a thing or two; times that run are not filled in."""
        if self._state is None:
            self._state = msgspec.json.decode(msgspec.json.encode(self._composed))
        return self._state

    def has_end_of(self, operation: int) -> bool:
        """Whether this operation had ended when the facts were read."""
        return operation <= self._newest and operation not in self._working

    def _split(self, body: bytes) -> list[bytes | int]:
        """The body cut at its placeholders; -1 stands for the time, n for the n-th burn-in clock."""
        parts: list[bytes | int] = []
        for number, marker in [(-1, _NOW), *((i, f"{_ELAPSED}{i}") for i in range(len(self._clocks)))]:
            before, _, body = body.partition(msgspec.json.encode(marker))
            parts += [before, number]
        return [*parts, body]

    def render(self, now: Instant) -> bytes:
        return b"".join([p if isinstance(p, bytes) else self._fill(p, now) for p in self._parts])

    def _fill(self, number: int, now: Instant) -> bytes:
        if number < 0:
            return b'"%b"' % stamp(now.at).encode()
        stay, most = self._clocks[number]
        return msgspec.json.encode(
            math.floor(min(stay.burnt(now), most) * 10) / 10
        )  # never more than has passed


def compose(topology: Topology, facts: Facts, now: Instant) -> Snapshot:
    clocks: list[tuple[Stay, float]] = []
    build = next((o for o in facts.unfinished if o.kind == "build" and o.started_at), None)
    composed = wire.State(
        seq=facts.seq,
        now=_NOW,
        daemon=wire.Daemon(**facts.daemon),
        build=_build(build) if build else None,
        tiers=tuple(_tier(topology, spec, facts, now, clocks) for spec in topology.tiers),
        backup=backup_shown(topology.backup, facts.backup, facts.restored, now),
        fetch=next((_fetch(o) for o in facts.unfinished if o.kind == "backup"), None),
    )
    return Snapshot(composed, topology, facts, clocks)


def _build(operation: Operation) -> wire.Build:
    phase: Literal["build", "gates"] = "gates" if operation.step == "gates" else "build"
    return wire.Build(operation.id, operation.sha, phase, stamp_of(operation.started_at))


def _fetch(operation: Operation) -> wire.Fetch:
    """How far it is, as it said last; `of` where the whole is known."""
    arrived = (cast("int | None", operation.details.get(key)) for key in ("bytes", "of"))
    return wire.Fetch(operation.id, operation.step, stamp_of(operation.started_at), *arrived)


def _tier(
    topology: Topology, spec: TierSpec, facts: Facts, now: Instant, clocks: list[tuple[Stay, float]]
) -> wire.Tier:
    state = facts.tiers.get(spec.name) or TierState(spec.name)
    current, previous = state.current, state.previous
    before = topology.predecessor(spec.name)
    views = judge(spec, current, now, state.tried)
    holder = next(
        (o for o in facts.unfinished if o.tier == spec.name and o.kind in {"promote", "rollback"}), None
    )
    frozen = frozen_until(topology.freezes, spec.name, now.at)
    lock = facts.locks.get(spec.name)
    return wire.Tier(
        name=spec.name,
        provisioned=spec.provisioned,
        predecessor=before.name if before else None,
        status=_status(spec, state, holder),
        current_version=state.current_version,
        previous_version=previous.version if previous else None,
        sha=current.sha if current else None,
        since=stamp(current.entered_at) if current else None,
        burn_in_started_at=stamp(current.burn.started_at) if current and current.burn else None,
        gates=tuple(_gate(spec, view, current, clocks) for view in views),
        promotable=_promotable(topology, facts, spec, current, judge(spec, current, now)),
        lock=_lock(lock) if lock and lock.holds(now.at) else None,
        freeze=_freeze(frozen),
        operation=holder.id if holder else None,
        hold=_hold(facts.rollouts, holder),
        nodes=tuple(_node(state, node.name, out=node.out) for node in spec.nodes),
        marked_bad=tuple(sorted(state.marks)),
        rollback_safe={} if before is None else _rollback_safe(state, facts.safety),
        detail=state.parked or "",
    )


def _rollback_safe(state: TierState, pairs: Pairs) -> dict[str, Safe]:
    """Whether a rollback to the previous version would find a database that it runs on."""
    target = state.previous
    return {target.version: way_back(state, target.version, pairs).safe} if target else {}


def _status(spec: TierSpec, state: TierState, holder: Operation | None) -> Any:
    if state.parked:
        return "degraded"
    if holder:
        return "deploying"
    if state.half:
        return "mixed"
    if state.gating:
        return "gating"
    if state.current is None:
        return "empty"
    return "degraded" if any(_off(state, n.name) for n in spec.nodes_in()) else "steady"


def _off(state: TierState, name: str) -> bool:
    """It is not, or not known to be, on the tier's version; one that merely is away stays what it was."""
    node = state.nodes.get(name)
    return node is None or node.status != "ok" or not node.version == node.observed == state.current_version


def gate_shown(view: GateView) -> wire.Gate:
    """A gate as it stood when it was judged."""
    shown = wire.Gate(
        name=view.name,
        kind=view.kind,
        outcome=view.outcome,
        version=view.version,
        at=stamp_of(view.at),
        seconds=view.seconds,
        message=visible(view.message),
        operation=view.operation,
        facts=view.facts or UNSET,
    )
    if view.kind != "burn_in" or view.required_s is None:
        return shown
    return replace(
        shown, required_s=view.required_s, elapsed_s=view.elapsed_s or 0.0, ready_at=stamp_of(view.ready_at)
    )


def _gate(spec: TierSpec, view: GateView, stay: Stay | None, clocks: list[tuple[Stay, float]]) -> wire.Gate:
    """A burn-in that goes on is filled in when it is sent."""
    shown = gate_shown(view)
    ticks = view.kind == "burn_in" and view.required_s is not None and view.outcome != "passed"
    if stay is None or view.required_s is None or not ticks or not active_green(spec, stay):
        return shown
    marker = cast("float", f"{_ELAPSED}{len(clocks)}")  # it leaves as the number that takes its place
    clocks.append((stay, view.required_s))
    return replace(shown, elapsed_s=marker, message=f"of {span(view.required_s)}")


def _promotable(
    topology: Topology, facts: Facts, spec: TierSpec, current: Stay | None, views: tuple[GateView, ...]
) -> wire.Promotable:
    """What keeps the current version here: gates that are not green, and a mark on the way to the next tier."""
    after = topology.successor(spec.name)
    blocking = [v.name for v in views if v.outcome != "passed"]
    on_the_way = (*topology.earlier(after.name), after) if after else ()
    marked = {v for t in on_the_way if t.name in facts.tiers for v in facts.tiers[t.name].marks}
    if current and current.version in marked:
        blocking.append("version_marked_bad")
    ready = after is not None and current is not None and spec.provisioned and not blocking
    return wire.Promotable(ready, after.name if after else None, tuple(blocking))


def _lock(lock: Lock) -> wire.Lock:
    return wire.Lock(visible(lock.actor), visible(lock.reason), stamp(lock.at), stamp_of(lock.expires))


def _freeze(until: datetime | None) -> wire.Freeze | None:
    return wire.Freeze(stamp(until)) if until else None


def _hold(rollouts: Mapping[int, Rollout], holder: Operation | None) -> wire.Hold | None:
    rollout = rollouts.get(holder.id) if holder else None
    held = tuple(n.name for n in rollout.nodes if n.doing is Step.HOLD) if rollout else ()
    return wire.Hold(held, rollout.hold_s) if rollout and held else None


def _node(state: TierState, name: str, *, out: bool) -> wire.Node:
    node = state.nodes.get(name)
    shown = wire.Node(name, None, None, reachable=True, status="empty", detail="")
    if node is not None:
        status = node.status if node.version or node.status != "ok" else "empty"
        shown = wire.Node(name, node.version, node.observed, node.reachable, status, visible(node.detail))
    return replace(shown, status="out") if out else shown
