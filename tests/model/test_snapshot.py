"""GET /state from facts alone: what ticks, what does not, and what each part says."""

import json
from datetime import UTC, datetime, timedelta

from sando.model.backup import Fetched, LastGood, Restored
from sando.model.clock import Instant, stamp
from sando.model.gates import GateRun, Outcome
from sando.model.operation import Operation, Status
from sando.model.policy import Lock
from sando.model.release import Release
from sando.model.snapshot import Facts, compose
from sando.model.tier import NodeState, TierState
from sando.model.topology import FreezeSpec, GateSpec, NodeSpec, RepoSpec, TierSpec, Topology

NOW = Instant(datetime(2026, 11, 23, 10, tzinfo=UTC), "boot", 1000.0)

SHA = "a" * 40
RUNS = ("boot_smoke",)


def topology(**more):
    gates = (GateSpec("boot_smoke", "boot_smoke"), GateSpec("burn_in", "burn_in", duration_s=100.0))
    tiers = (
        TierSpec("mm", provisioned=True, gates=(GateSpec("cargo_test", "cargo_test"),)),
        TierSpec("a", provisioned=True, gates=gates, nodes=(NodeSpec("a-1", "local", "/srv/a"),)),
        TierSpec("z", provisioned=False),
    )
    return Topology(RepoSpec("/srv/git"), tiers, **more)


def release(version):
    return Release(version, version, SHA, "digest", 1, NOW.at, NOW.at, green=True)


def run(gate, outcome=Outcome.PASSED, version="1"):
    return GateRun("a", gate, gate, version, 1, 1, outcome, NOW.at, 3.2)


def look(facts, now=NOW, **more):
    snapshot = compose(topology(**more), facts, now)
    return json.loads(snapshot.render(now)), snapshot


def facts(*states, **more):
    return Facts(7, {"version": "1.0.0"}, {s.name: s for s in states}, **more)


def on_a(*gates):
    state = TierState("a").enter(release("1"), 2, NOW, gates)
    return state.with_node(NodeState("a-1", "1", "1"))


def test_an_empty_daemon_says_so_for_every_tier():
    state, _ = look(facts())
    assert state["seq"] == 7
    assert state["build"] is None
    assert [(t["name"], t["status"], t["predecessor"]) for t in state["tiers"]] == [
        ("mm", "empty", None),
        ("a", "empty", "mm"),
        ("z", "empty", "a"),
    ]
    assert state["tiers"][1]["nodes"][0]["status"] == "empty"
    assert state["tiers"][0]["promotable"] == {"ready": False, "to": "a", "blocking": ["cargo_test"]}


def test_it_has_the_end_of_what_was_begun_and_works_no_more():
    running = Operation(9, "promote", "a", "2", SHA, "max", "", Status.RUNNING, NOW.at, started_at=NOW.at)
    _, snapshot = look(facts(unfinished=(running,), newest=10))
    assert [snapshot.has_end_of(number) for number in (8, 9, 10, 11)] == [True, False, True, False]


def test_time_passes_in_the_body_and_not_in_the_etag():
    before, first = look(facts(on_a(run("boot_smoke"))))
    later = NOW.plus(40)
    after = json.loads(first.render(later))
    burn_in = [s["tiers"][1]["gates"][1]["elapsed_s"] for s in (before, after)]
    assert burn_in == [0.0, 40.0]
    assert after["now"] > before["now"]
    assert compose(topology(), facts(on_a(run("boot_smoke"))), later).etag == first.etag
    assert compose(topology(), facts(on_a(run("boot_smoke", Outcome.FAILED))), NOW).etag != first.etag


def test_a_burn_in_is_never_shown_beyond_what_is_required():
    _, snapshot = look(facts(on_a(run("boot_smoke"))))
    assert json.loads(snapshot.render(NOW.plus(1000)))["tiers"][1]["gates"][1]["elapsed_s"] == 100.0


def test_a_red_candidate_is_shown_under_its_own_version_and_blocks_nothing_that_is_green():
    green = GateRun("mm", "cargo_test", "cargo_test", "1", 1, 1, Outcome.PASSED, NOW.at)
    red = GateRun("mm", "cargo_test", "cargo_test", "2", 2, 1, Outcome.FAILED, NOW.at)
    mm = TierState("mm").enter(release("1"), 1, NOW, (green,))
    state, _ = look(facts(TierState("mm", stays=mm.stays, tried=(red,))))
    tier = state["tiers"][0]
    assert (tier["current_version"], tier["gates"][0]["version"], tier["gates"][0]["outcome"]) == (
        "1",
        "2",
        "failed",
    )
    assert tier["promotable"] == {"ready": True, "to": "a", "blocking": []}


def test_a_lock_a_freeze_and_an_operation_are_told_where_they_hold():
    lock = Lock("a", "max\x1b[2J", "no\u202edeploys", NOW.at, NOW.at + timedelta(hours=1))
    running = Operation(9, "promote", "a", "2", SHA, "max", "", Status.RUNNING, NOW.at, started_at=NOW.at)
    freeze = FreezeSpec(("a",), (NOW.at.weekday(),), 0, 1440)
    state, _ = look(facts(on_a(), locks={"a": lock}, unfinished=(running,)), freezes=(freeze,))
    tier = state["tiers"][1]
    assert tier["status"] == "deploying"
    assert tier["operation"] == 9
    assert tier["lock"]["actor"] == "max\\x1b[2J"
    assert tier["lock"]["reason"] == "no\\u202edeploys"
    assert tier["freeze"]["until"].endswith("Z")
    endless, _ = look(facts(on_a()), freezes=(FreezeSpec(("a",), (), 0, 1440),))
    assert endless["tiers"][1]["freeze"] == {"until": "9999-12-31T00:00:00.000Z"}
    expired, _ = look(facts(on_a(), locks={"a": lock}), NOW.plus(7200))
    assert expired["tiers"][1]["lock"] is None


def test_a_node_that_lacks_the_version_makes_its_tier_degraded():
    state, _ = look(facts(on_a().with_node(NodeState("a-1", "0", "0"))))
    assert state["tiers"][1]["status"] == "degraded"
    parked, _ = look(facts(TierState("a", parked="a bug")))
    assert (parked["tiers"][1]["status"], parked["tiers"][1]["detail"]) == ("degraded", "a bug")


def test_the_build_in_flight_tells_its_phase():
    build = Operation(
        3, "build", "mm", None, SHA, "git", "", Status.RUNNING, NOW.at, step="gates", started_at=NOW.at
    )
    waiting = Operation(4, "build", "mm", None, SHA, "git", "", Status.QUEUED, NOW.at)
    state, _ = look(facts(unfinished=(build, waiting)))
    assert (state["build"]["operation"], state["build"]["phase"]) == (3, "gates")


def test_a_tier_says_whether_its_previous_version_would_still_run():
    state = on_a().enter(release("2"), 3, NOW)
    known, _ = look(facts(state, safety={("2", "1"): "no", ("2", "0"): "yes"}))
    assert known["tiers"][1]["rollback_safe"] == {"1": "no"}
    unknown, _ = look(facts(state))
    assert unknown["tiers"][1]["rollback_safe"] == {"1": "unknown"}
    alone, _ = look(facts(on_a(), safety={("1", "0"): "no"}))
    assert alone["tiers"][1]["rollback_safe"] == {}


def test_the_build_tier_has_no_database_to_go_back_over():
    mm = TierState("mm").enter(release("1"), 2, NOW).enter(release("2"), 3, NOW)
    state, _ = look(facts(mm, safety={("2", "1"): "no"}))
    assert state["tiers"][0]["previous_version"] == "1"
    assert state["tiers"][0]["rollback_safe"] == {}


def test_a_fetch_is_shown_while_it_runs_and_the_backup_once_it_is_there():
    running = Operation(
        9, "backup", "", None, None, "max", "", Status.RUNNING, NOW.at, step="fetch", started_at=NOW.at,
        details={"source": "file:///x", "bytes": 3, "of": 7},
    )  # fmt: skip
    state, _ = look(facts(unfinished=(running,)))
    assert (state["backup"], state["build"]) == (None, None)
    started = stamp(NOW.at)
    assert state["fetch"] == {"operation": 9, "step": "fetch", "started_at": started, "bytes": 3, "of": 7}
    known = LastGood(Fetched("file:///x", "/b", 7, "00", "plain", 0.5, ("odd",)), NOW, 9)
    state, _ = look(facts(backup=known, restored=(Restored("mm", "00", NOW.at, "1", 8),)))
    assert state["fetch"] is None
    assert state["backup"] == {
        "fetched_at": started, "bytes": 7, "sha256": "00", "last_restore_ok_at": started, "kind": "plain",
        "source": "file:///x", "seconds": 0.5, "warnings": ["odd"], "operation": 9, "stale": False,
    }  # fmt: skip
