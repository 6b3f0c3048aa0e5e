"""GET /state as a pure function of what is stored: composed once a commit, filled in with the time when sent."""

import hashlib
import math
from typing import Any

import msgspec
from msgspec import Struct

from sando.model.backup import LastGood, Restored, backup_shown
from sando.model.clock import Instant, span, stamp
from sando.model.freeze import frozen_until
from sando.model.names import visible
from sando.model.operation import Operation
from sando.model.policy import GateView, Lock, active_green, judge
from sando.model.safety import Pairs, way_back
from sando.model.stay import Stay
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


class Snapshot:
    """The published state: `render` gives the body for now, `etag` is over everything that does not tick."""

    __slots__ = ("_clocks", "_parts", "etag", "seq", "state")

    def __init__(self, seq: int, state: dict[str, Any], clocks: list[tuple[Stay, float]]) -> None:
        self.seq = seq
        self.state = state
        self._clocks = clocks
        body = msgspec.json.encode(state)
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        self._parts = self._split(body)

    def _split(self, body: bytes) -> list[bytes | int]:
        """The body cut at its placeholders; -1 stands for the time, n for the n-th burn-in clock."""
        parts: list[bytes | int] = []
        for number, marker in [(-1, _NOW), *((i, f"{_ELAPSED}{i}") for i in range(len(self._clocks)))]:
            before, _, body = body.partition(msgspec.json.encode(marker))
            parts += [before, number]
        return [*parts, body]

    def render(self, now: Instant) -> bytes:
        return b"".join(part if isinstance(part, bytes) else self._fill(part, now) for part in self._parts)

    def _fill(self, number: int, now: Instant) -> bytes:
        if number < 0:
            return msgspec.json.encode(stamp(now.at))
        stay, most = self._clocks[number]
        return msgspec.json.encode(
            math.floor(min(stay.burnt(now), most) * 10) / 10
        )  # never more than has passed


def compose(topology: Topology, facts: Facts, now: Instant) -> Snapshot:
    clocks: list[tuple[Stay, float]] = []
    build = next((o for o in facts.unfinished if o.kind == "build" and o.started_at), None)
    state = {
        "seq": facts.seq,
        "now": _NOW,
        "daemon": facts.daemon,
        "build": build and _build(build),
        "tiers": [_tier(topology, spec, facts, now, clocks) for spec in topology.tiers],
        "backup": backup_shown(topology.backup, facts.backup, facts.restored, now),
        "fetch": next((_fetch(o) for o in facts.unfinished if o.kind == "backup"), None),
    }
    return Snapshot(facts.seq, state, clocks)


def _build(operation: Operation) -> dict[str, Any]:
    phase = "gates" if operation.step == "gates" else "build"
    started = operation.started_at and stamp(operation.started_at)
    return {"operation": operation.id, "sha": operation.sha, "phase": phase, "started_at": started}


def _fetch(operation: Operation) -> dict[str, Any]:
    """How far it is, as it said last; `of` where the whole is known."""
    started = operation.started_at and stamp(operation.started_at)
    arrived = {key: operation.details.get(key) for key in ("bytes", "of")}
    return {"operation": operation.id, "step": operation.step, "started_at": started, **arrived}


def _tier(
    topology: Topology, spec: TierSpec, facts: Facts, now: Instant, clocks: list[tuple[Stay, float]]
) -> dict[str, Any]:
    state = facts.tiers.get(spec.name) or TierState(spec.name)
    current, previous = state.current, state.previous
    before = topology.predecessor(spec.name)
    views = judge(spec, current, now, state.tried)
    holder = next(
        (o for o in facts.unfinished if o.tier == spec.name and o.kind in {"promote", "rollback"}), None
    )
    frozen = frozen_until(topology.freezes, spec.name, now.at)
    lock = facts.locks.get(spec.name)
    return {
        "name": spec.name,
        "provisioned": spec.provisioned,
        "predecessor": before and before.name,
        "status": _status(spec, state, holder),
        "current_version": current and current.version,
        "previous_version": previous and previous.version,
        "sha": current and current.sha,
        "since": current and stamp(current.entered_at),
        "burn_in_started_at": current.burn and stamp(current.burn.started_at) if current else None,
        "gates": [_gate(spec, view, current, clocks) for view in views],
        "promotable": _promotable(topology, facts, spec, current, judge(spec, current, now)),
        "lock": _lock(lock) if lock and lock.holds(now.at) else None,
        "freeze": frozen and {"until": stamp(frozen)},
        "operation": holder and holder.id,
        "nodes": [_node(state, node.name, out=node.out) for node in spec.nodes],
        "marked_bad": sorted(state.marks),
        "rollback_safe": {} if before is None else _rollback_safe(state, facts.safety),
        "detail": state.parked or "",
    }


def _rollback_safe(state: TierState, pairs: Pairs) -> dict[str, str]:
    """Whether a rollback to the previous version would find a database that it runs on."""
    target = state.previous
    return {target.version: way_back(state, target.version, pairs).safe} if target else {}


def _status(spec: TierSpec, state: TierState, holder: Operation | None) -> str:
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


def _gate(
    spec: TierSpec, view: GateView, stay: Stay | None, clocks: list[tuple[Stay, float]]
) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": view.name,
        "kind": view.kind,
        "outcome": view.outcome,
        "version": view.version,
        "at": view.at and stamp(view.at),
        "seconds": view.seconds,
        "message": visible(view.message),
        "operation": view.operation,
    }
    if view.kind != "burn_in" or stay is None or view.required_s is None:
        return shown
    elapsed: float | str = view.elapsed_s or 0.0
    if active_green(spec, stay) and view.outcome != "passed":
        elapsed = f"{_ELAPSED}{len(clocks)}"
        clocks.append((stay, view.required_s))
        shown["message"] = f"of {span(view.required_s)}"
    ready = view.ready_at and stamp(view.ready_at)
    return {**shown, "required_s": view.required_s, "elapsed_s": elapsed, "ready_at": ready}


def _promotable(
    topology: Topology, facts: Facts, spec: TierSpec, current: Stay | None, views: tuple[GateView, ...]
) -> dict[str, Any]:
    """What keeps the current version here: gates that are not green, and a mark on the way to the next tier."""
    after = topology.successor(spec.name)
    blocking = [v.name for v in views if v.outcome != "passed"]
    on_the_way = (*topology.earlier(after.name), after) if after else ()
    marked = {v for t in on_the_way if t.name in facts.tiers for v in facts.tiers[t.name].marks}
    if current and current.version in marked:
        blocking.append("version_marked_bad")
    ready = after is not None and current is not None and spec.provisioned and not blocking
    return {"ready": ready, "to": after and after.name, "blocking": blocking}


def _lock(lock: Lock) -> dict[str, Any]:
    return {
        "actor": visible(lock.actor),
        "reason": visible(lock.reason),
        "at": stamp(lock.at),
        "expires": lock.expires and stamp(lock.expires),
    }


def _node(state: TierState, name: str, *, out: bool) -> dict[str, Any]:
    node = state.nodes.get(name)
    shown = {
        "name": name,
        "version": None,
        "observed": None,
        "reachable": True,
        "status": "empty",
        "detail": "",
    }
    if node is not None:
        shown |= {
            "version": node.version,
            "observed": node.observed,
            "reachable": node.reachable,
            "status": node.status if node.version or node.status != "ok" else "empty",
            "detail": visible(node.detail),
        }
    return {**shown, "status": "out"} if out else shown
