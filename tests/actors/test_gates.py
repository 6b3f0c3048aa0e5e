"""Active gates (SPEC 4): in order, the first red ends them, the latest outcome wins, none is lost or begun twice."""

from collections.abc import Callable

import pytest

from actors.messages import AbortOperation, Promote, Rebuild, Rollback, RunGate
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.operation import Status
from sando.model.task import NodeFacts
from sando.work.outcome import Done, Failed
from tests.actors.steps import built, promoted, running, up_to
from tests.factories import CARGO, SMOKE, gate, sha, tier, topology
from tests.harness import Stage

RED = Done(Verdict(passed=False, message="3 tests failed"))
AGE = gate("backup_fresh", max_age_s=3600.0)


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    return stage_of(topology(tier("mm", 0, CARGO, SMOKE), tier("a", 2, AGE, SMOKE), tier("b", 1)))


def gates(stage: Stage, name: str) -> list[str]:
    return [g["outcome"] for g in stage.tier(name)["gates"]]


def gate_events(stage: Stage, operation: int) -> list[str]:
    return [
        f"{e.type} {e.data['gate']}"
        for e in stage.events("GateStart", "GateDone")
        if e.operation == operation
    ]


def test_gates_run_in_order_and_stop_at_the_first_red_one(stage: Stage) -> None:
    stage.world.push(sha(1), "1.0")
    operation = stage.accepted(Rebuild()).id
    stage.finish(f"build/{operation}")
    stage.finish("cargo_test", RED)
    assert not stage.runner.running("boot_smoke")
    ended = stage.operation(operation)
    assert (ended.status, ended.error) == (Status.FAILED, "gate cargo_test: 3 tests failed")
    assert gate_events(stage, operation) == ["GateStart cargo_test", "GateDone cargo_test"]
    assert [e.type for e in stage.events()][-2:] == ["GateDone", "BuildFailed"]
    assert stage.events("BuildFailed")[-1].data["error"] == "gate cargo_test: 3 tests failed"
    assert stage.events("GateDone")[-1].data["message"] == "3 tests failed"


def test_a_red_candidate_is_shown_under_its_own_version_and_does_not_become_current(stage: Stage) -> None:
    built(stage, "1.0")
    stage.world.push(sha(2), "2.0")
    operation = stage.accepted(Rebuild()).id
    stage.finish(f"build/{operation}")
    stage.finish("cargo_test", RED)
    shown = stage.tier("mm")
    assert shown["current_version"] == "1.0"
    assert [(g["version"], g["outcome"]) for g in shown["gates"]] == [("2.0", "failed"), (None, "pending")]
    assert stage.refused(Promote("a", "2.0")) == (409, "gates_not_passed")


def test_a_gate_that_could_not_run_makes_the_build_errored(stage: Stage) -> None:
    stage.world.push(sha(1), "1.0")
    operation = stage.accepted(Rebuild()).id
    stage.finish(f"build/{operation}")
    stage.finish("cargo_test", Failed(WorkError("gate", "no cargo here", errored=True)))
    assert stage.operation(operation).status is Status.ERRORED
    assert gates(stage, "mm")[0] == "errored"


def test_a_deploy_starts_the_gates_of_its_tier_as_an_operation_of_their_own(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    assert gates(stage, "a") == ["passed", "passed"]
    operation = stage.store.operations(tier="a", kind="gate")[0]
    assert operation.status is Status.SUCCEEDED
    assert gate_events(stage, operation.id) == [
        "GateStart backup_fresh", "GateDone backup_fresh", "GateStart boot_smoke", "GateDone boot_smoke",
    ]  # fmt: skip


def test_a_gate_on_nodes_is_green_only_when_it_is_green_on_each(stage: Stage) -> None:
    built(stage, "1.0")
    stage.accepted(Promote("a"))
    stage.finish_all("preflight", "upload", "switch", "start", "prune", "backup_fresh")
    stage.finish("/a-1/", Done(NodeFacts("1.0", green=True)))
    assert gates(stage, "a")[1] == "running"
    stage.finish("/a-2/", Done(NodeFacts("1.0", green=False, detail="it ended at once")))
    shown = stage.tier("a")["gates"][1]
    assert (shown["outcome"], shown["message"]) == ("failed", "a-2: it ended at once")


def test_what_one_node_said_survives_the_death_of_its_tier(stage: Stage) -> None:
    built(stage, "1.0")
    stage.accepted(Promote("a"))
    stage.finish_all("preflight", "upload", "switch", "start", "prune", "backup_fresh")
    stage.finish("/a-1/", Done(NodeFacts("1.0", green=False, detail="red here")))
    stage.crash(stage.actor("a"))
    stage.drain()
    assert len(stage.runner.running("boot_smoke")) == 1
    stage.finish("/a-2/")
    assert stage.tier("a")["gates"][1]["message"] == "a-1: red here"
    assert [e.data.get("attempt") for e in stage.events("GateStart") if e.tier == "a"] == [1, 1]


def test_a_gate_that_is_run_again_counts_its_attempts_and_its_latest_outcome_holds(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    operation = stage.accepted(RunGate("a", "backup_fresh"))
    stage.finish("backup_fresh", RED)
    assert stage.operation(operation.id).status is Status.FAILED
    assert gates(stage, "a")[0] == "failed"
    assert stage.events("GateStart")[-1].data["attempt"] == 2
    assert stage.refused(Promote("b")) == (409, "gates_not_passed")
    stage.accepted(RunGate("a", "backup_fresh"))
    stage.finish_all()
    promoted(stage, "b")


def test_what_cannot_be_run_is_refused_with_its_reason(stage: Stage) -> None:
    assert stage.refused(RunGate("a", "backup_fresh")) == (409, "tier_empty")
    assert stage.refused(RunGate("a", "bakcup_fresh")) == (404, "unknown_gate")
    assert stage.refused(RunGate("x", "backup_fresh")) == (404, "unknown_tier")
    up_to(stage, "a", "1.0")
    running_one = stage.accepted(RunGate("a", "backup_fresh")).id
    assert stage.accepted(RunGate("a", "backup_fresh"), 200).id == running_one
    assert stage.refused(RunGate("a", "boot_smoke")) == (409, "tier_busy")


def test_a_promotion_aborts_the_gates_that_run_on_its_tier(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    built(stage, "2.0")
    rerun = stage.accepted(RunGate("a", "boot_smoke")).id
    stage.accepted(Promote("a"))
    assert stage.operation(rerun).status is Status.ABORTED
    assert all(j.token.cancelled for j in stage.runner.running("boot_smoke"))
    assert running(stage) == ["a-1/2", "a-2/2"], "the deploy waits until the nodes are free"
    stage.finish_all()
    assert stage.tier("a")["current_version"] == "2.0"
    assert gates(stage, "a") == ["passed", "passed"]


def test_the_gates_run_after_a_step_back_too(stage: Stage) -> None:
    up_to(stage, "a", "1.0", "2.0")
    stage.accepted(Rollback("a"))
    stage.finish_all()
    assert stage.tier("a")["current_version"] == "1.0"
    assert gates(stage, "a") == ["passed", "passed"]
    assert stage.events("GateStart")[-1].version == "1.0"


def test_a_gate_run_can_be_aborted_by_a_person(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    for name in ("backup_fresh", "boot_smoke"):
        operation = stage.accepted(RunGate("a", name)).id
        stage.accepted(AbortOperation(operation))
        stage.finish_all()
        assert stage.operation(operation).status is Status.ABORTED
    assert gates(stage, "a") == ["aborted", "aborted"]


def test_gates_that_a_restart_cut_short_are_run_again_once(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    first = stage.accepted(RunGate("a", "backup_fresh")).id
    for _ in range(3):
        stage.restart()
        stage.drain()
    assert stage.operation(first).status is Status.INTERRUPTED
    assert len([o for o in stage.store.operations(tier="a", kind="gate") if o.id > first]) == 1
    assert stage.runner.running("backup_fresh") == []
    assert stage.store.unfinished() == []


def test_a_red_gate_is_not_run_again_by_a_restart(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stage.accepted(RunGate("a", "backup_fresh"))
    stage.finish("backup_fresh", RED)
    stage.restart()
    stage.drain()
    assert not stage.runner.running("tier/a")


@pytest.mark.parametrize("name", ["backup_fresh", "boot_smoke"])
def test_a_shutdown_interrupts_gates_and_the_next_start_runs_them_again(stage: Stage, name: str) -> None:
    up_to(stage, "a", "1.0")
    operation = stage.accepted(RunGate("a", name)).id
    reply = stage.shut_down()
    stage.finish_all()
    assert reply.given is not None
    assert stage.operation(operation).status is Status.INTERRUPTED
    assert "aborted" in gates(stage, "a")
    stage.restart()
    stage.finish_all()
    assert gates(stage, "a") == ["passed", "passed"]


def test_no_further_gate_begins_while_sandod_stops(stage: Stage) -> None:
    stage.world.push(sha(1), "1.0")
    operation = stage.accepted(Rebuild()).id
    stage.finish(f"build/{operation}")
    stage.shut_down()
    stage.drain()
    stage.finish("cargo_test", Done(Verdict(passed=True)))
    assert not stage.runner.running()
    assert stage.operation(operation).status is Status.INTERRUPTED
    stage.restart()
    stage.finish_all()
    assert stage.tier("mm")["current_version"] == "1.0"


@pytest.mark.parametrize("who", ["mm", "build", "supervisor", "journal"])
def test_the_gates_of_a_build_survive_the_death_of_an_actor(stage: Stage, who: str) -> None:
    stage.world.push(sha(1), "1.0")
    operation = stage.accepted(Rebuild()).id
    stage.finish(f"build/{operation}")
    stage.crash(stage.actor(who))
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    assert len(gate_events(stage, operation)) == 4


def test_a_gate_whose_start_was_saved_and_then_the_tier_died_is_started(stage: Stage) -> None:
    stage.world.push(sha(1), "1.0")
    operation = stage.accepted(Rebuild()).id
    stage.drain()
    stage.runner.finish(f"build/{operation}")
    while not stage.store.gate_runs(operation):
        stage.store.bug_after = 1 if stage.actor("mm").actor_inbox.qsize() else 0
        stage.step()
    stage.store.bug_after = 0
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    assert len(gate_events(stage, operation)) == 4
