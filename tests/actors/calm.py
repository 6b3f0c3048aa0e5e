"""What must hold whatever has happened: at the start of every job, and when all has come to rest."""

import json
from collections import Counter
from typing import Any

from sando.model.events import Event
from sando.model.operation import Operation, Status
from sando.model.safety import asked_of
from sando.model.snapshot import Facts, compose
from tests.harness import Job, Stage

BUILD_ENDS = {"BuildOk", "BuildFailed", "BuildAborted"}
DEPLOY_ENDS = {"DeployOk", "DeployFailed"}


def check_start(stage: Stage, job: Job) -> None:
    """One build at a time, its gates included; one job at a time on a node."""
    others = [j for j in stage.runner.running() if j is not job]
    if _of_lane(job):
        lane = [j.key for j in others if _of_lane(j)]
        assert not lane, f"{job.key} beside {lane}"
    if job.kind == "perform":
        node = job.key.split("/")[:3]
        beside = [j.key for j in others if j.key.split("/")[:3] == node]
        assert not beside, f"{job.key} beside {beside}"


def _of_lane(job: Job) -> bool:
    return job.kind == "build" or (job.kind == "gate" and job.key.startswith("tier/mm/"))


def check_rest(stage: Stage, replies: list[tuple[Any, Any]]) -> None:
    unanswered = [m for m, r in replies if r.given is None]
    assert not unanswered, f"never answered: {unanswered}"
    assert not stage.runner.jobs, f"jobs still held: {list(stage.runner.jobs)}"
    assert not stage.died, stage.died
    unfinished = stage.store.unfinished()
    assert not unfinished, (
        f"left unfinished: {[(o.id, o.kind, o.tier, o.status, o.step) for o in unfinished]}"
    )
    check_events(stage.events())
    check_fetches(stage)
    check_stops(stage)
    check_last_push(stage)
    check_links(stage)
    check_memory(stage)
    check_snapshot(stage)


def check_events(events: list[Event]) -> None:
    assert [e.seq for e in events] == list(range(1, len(events) + 1)), "seq has gaps"
    building: int | None = None
    deploys: dict[int, str] = {}
    gates: dict[tuple[Any, ...], str] = {}
    ended: set[int | None] = set()
    for event in events:
        which = f"{event.seq} {event.type} of operation {event.operation}"
        if event.type == "BuildStart":
            assert building is None, f"{which} while {building} builds"
            assert event.operation not in ended, which
            building = event.operation
        elif event.type in BUILD_ENDS:
            assert building == event.operation, f"{which} while {building} builds"
            building = None
            ended.add(event.operation)
        elif event.type == "DeployStart":
            assert event.operation not in deploys, which
            deploys[event.operation or 0] = "open"
        elif event.type in DEPLOY_ENDS:
            assert deploys.get(event.operation or 0) == "open", which
            deploys[event.operation or 0] = "ended"
        elif event.type in {"GateStart", "GateDone"} and "attempt" in event.data:
            key = (event.operation, event.tier, event.data["gate"], event.data["attempt"])
            wanted = None if event.type == "GateStart" else "open"
            assert gates.get(key) == wanted, f"{which} {key}"
            gates[key] = "open" if wanted is None else "ended"
            assert event.operation not in ended, f"{which} after the end of its build"
    assert building is None, f"build {building} has no end"
    left = Counter(deploys.values())["open"] + Counter(gates.values())["open"]
    assert not left, f"no end: {deploys} {gates}"


def check_fetches(stage: Stage) -> None:
    """Each has exactly one end, also when the store was away or its actor died around it."""
    told = [e.operation for e in stage.events("BackupFetched", "BackupFailed")]
    assert sorted(told, key=str) == sorted(
        (o.id for o in stage.store.operations(kind="backup", limit=1000)), key=str
    )


def check_stops(stage: Stage) -> None:
    """A rollback that stopped a promotion comes after its end, and has one of its own, which is told once."""
    for rollback in stage.store.operations(kind="rollback", limit=1000):
        if not (after := rollback.details.get("after")):
            continue
        promotion = stage.operation(int(str(after)))
        which = f"rollback {rollback.id} ({rollback.status}) after {after} ({promotion.status})"
        assert promotion.details["rollback"] == rollback.id, which
        assert promotion.finished_at, which
        assert rollback.finished_at, which
        assert promotion.finished_at <= rollback.finished_at, which
        assert rollback.status in {Status.SUCCEEDED, Status.FAILED, Status.INTERRUPTED}, which
        told = [e.type for e in stage.events("Rollback", "RollbackFailed") if e.operation == rollback.id]
        assert told == ["Rollback" if rollback.status is Status.SUCCEEDED else "RollbackFailed"], which


def check_last_push(stage: Stage) -> None:
    """The last accepted request was carried out: built to an end of its own, or its version is current again."""
    assert stage.store.fact("tip") == stage.world.tip, "the tip of the branch was never accepted"
    asked = stage.events("RebuildRequested")[-1]
    last = _last_life(stage, stage.operation(asked.operation or 0))
    allowed = {Status.SUCCEEDED, Status.FAILED, Status.ERRORED, Status.ABORTED}
    if not asked.data.get("already_built"):
        assert last.status in allowed, f"the last request ended {last.status}: {last}"
    moved = [e for e in stage.events("Rollback") if e.tier == "mm" and e.seq > asked.seq]
    if last.status is Status.SUCCEEDED and not moved:
        current = stage.store.tier("mm").current_version
        assert current == last.version, f"mm is on {current}, the last request made {last.version}"


def _last_life(stage: Stage, operation: Operation) -> Operation:
    for other in reversed(stage.store.operations(kind="build", limit=1000)):
        if other.details.get("again") == operation.id:
            return _last_life(stage, other)
    return operation


def check_links(stage: Stage) -> None:
    assert stage.board.latest is not None
    for shown in stage.board.latest.state["tiers"]:
        if shown["status"] in {"mixed", "degraded"} or shown["name"] == "mm":
            continue
        for node in shown["nodes"]:
            link = stage.world.node(shown["name"], node["name"]).current
            where = f"{node['name']} of {shown['name']} ({shown['status']})"
            assert link == shown["current_version"], (
                f"{where} is on {link}, not on {shown['current_version']}"
            )


def check_memory(stage: Stage) -> None:
    """What each actor believes is what a restart would load."""
    supervisor = stage.actor("supervisor")
    assert supervisor.locks.held == {lock.tier: lock for lock in stage.store.locks()}
    assert not supervisor.leaving
    assert supervisor.reloads.wish is None
    build = stage.actor("build")
    assert (build.flight, build.waiting, build.lookups.looking, list(build.lookups.asked)) == (
        None,
        None,
        "",
        [],
    )
    assert stage.actor("backup").operation is None
    for spec in supervisor.topology.tiers:
        tier = stage.actor(spec.name)
        assert tier.state == stage.store.tier(spec.name), spec.name
        assert tier.topology is supervisor.topology
        assert (tier.deploys.operation, tier.deploys.rollout, tier.deploys.admissions.checking) == (
            None,
            None,
            None,
        )
        assert (tier.deploys.admissions.stashed, tier.state.gating) == ([], None)
        assert set(tier.children) == {n.name for n in spec.nodes}
        for node in spec.nodes:
            actor = stage.actor(node.name, spec.name)
            assert (actor.running, list(actor.waiting), actor.spec) == (set(), [], node)


def check_snapshot(stage: Stage) -> None:
    """What is published is what the store says."""
    store, topology, latest = stage.store, stage.actor("supervisor").topology, stage.board.latest
    assert latest is not None
    tiers = {t.name: store.tier(t.name) for t in topology.tiers}
    facts = Facts(
        seq=store.last_seq(),
        daemon=latest.state["daemon"],
        tiers=tiers,
        unfinished=(),
        locks={lock.tier: lock for lock in store.locks()},
        backup=store.backup(),
        restored=store.restored(),
        safety=store.safety(*{v for state in tiers.values() for v in asked_of(state)}),
    )
    fresh = compose(topology, facts, stage.clock())
    shown, wanted = (json.loads(s.render(stage.clock())) for s in (latest, fresh))
    assert shown == wanted, differences(shown, wanted)
    assert not stage.board.events or stage.board.events[-1].seq == store.last_seq()


def differences(shown: Any, wanted: Any, at: str = "") -> list[str]:
    if isinstance(shown, dict) and isinstance(wanted, dict):
        keys = shown.keys() | wanted.keys()
        return [d for k in keys for d in differences(shown.get(k), wanted.get(k), f"{at}.{k}")]
    if isinstance(shown, list) and isinstance(wanted, list) and len(shown) == len(wanted):
        return [
            d
            for i, (s, w) in enumerate(zip(shown, wanted, strict=True))
            for d in differences(s, w, f"{at}[{i}]")
        ]
    return [] if shown == wanted else [f"{at}: {shown!r}, not {wanted!r}"]
