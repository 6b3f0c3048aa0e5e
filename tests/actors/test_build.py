"""Pushes and builds (SPEC 3): the latest wins, none is lost, each start has its end."""

from collections.abc import Callable

from actors.messages import AbortOperation, Rebuild, Rollback, RunGate
from sando.model.answers import Accepted, Refusal
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.operation import Status
from sando.work.outcome import Aborted, Done, Failed
from tests.factories import CARGO, SMOKE, sha, tier, topology
from tests.harness import Stage


def push(stage: Stage, number: int, declared: str = "1.0", *, force: bool = False) -> int:
    stage.world.push(sha(number), declared)
    return stage.accepted(Rebuild(force=force)).id


def green(stage: Stage, number: int, declared: str = "1.0") -> int:
    operation = push(stage, number, declared)
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    return operation


def test_a_push_is_built_its_gates_run_and_its_version_is_current(stage: Stage) -> None:
    operation = green(stage, 1, "0.8.2")
    assert stage.tier("mm")["current_version"] == "0.8.2"
    assert [e.type for e in stage.events()][1:] == [
        "RebuildRequested", "BuildStart", "GateStart", "GateDone", "BuildOk",
    ]  # fmt: skip
    assert {e.operation for e in stage.events()[1:]} == {operation}


def test_of_three_pushes_the_last_is_built_and_the_others_are_superseded(stage: Stage) -> None:
    first, second, third = (push(stage, n) for n in (1, 2, 3))
    assert stage.runner.one(f"build/{first}").token.cancelled
    assert [j.key for j in stage.runner.running("build/")] == [f"build/{first}"]
    stage.finish_all()
    rows = [stage.operation(n) for n in (first, second, third)]
    assert [r.status for r in rows] == [Status.SUPERSEDED, Status.SUPERSEDED, Status.SUCCEEDED]
    assert [r.superseded_by for r in rows] == [second, third, None]
    told = [(e.type, e.operation) for e in stage.events("BuildStart", "BuildAborted", "BuildOk")]
    assert told == [("BuildStart", first), ("BuildAborted", first), ("BuildStart", third), ("BuildOk", third)]


def test_a_push_while_the_gates_run_aborts_them_before_the_next_build_starts(stage: Stage) -> None:
    first = push(stage, 1)
    stage.finish(f"build/{first}")
    second = push(stage, 2)
    assert stage.runner.one("cargo_test").token.cancelled
    assert not stage.runner.running(f"build/{second}")
    stage.finish_all()
    told = [e.type for e in stage.events() if e.operation in {first, second}]
    assert told[2:7] == ["GateStart", "RebuildRequested", "GateDone", "BuildAborted", "BuildStart"]
    assert stage.operation(first).superseded_by == second


def test_a_build_that_ended_in_the_instant_of_the_newer_push_is_superseded_and_runs_no_gates(
    stage: Stage,
) -> None:
    first = push(stage, 1)
    job = stage.runner.one(f"build/{first}")
    done = Done(stage.world.build(stage.world.running, stage.operation(first), {}, job.token))
    second = push(stage, 2)
    stage.finish(f"build/{first}", done)
    assert stage.operation(first).status is Status.SUPERSEDED
    release = stage.store.release("1.0")
    assert release is not None
    assert not release.green
    stage.finish_all()
    assert stage.operation(second).version == "1.0"
    assert {e.operation for e in stage.events("GateStart")} == {second}


def test_a_newer_push_goes_before_one_that_waits_while_nothing_is_in_flight(stage: Stage) -> None:
    first, second = push(stage, 1), push(stage, 2)
    stage.world.push(sha(3), "1.0")
    reply = stage.tell(Rebuild())
    stage.drain()
    stage.runner.finish(f"build/{first}")
    stage.runner.finish("lookup")
    stage.drain()
    answer = reply.given
    assert isinstance(answer, Accepted)
    stage.finish_all()
    assert stage.operation(second).status is Status.SUPERSEDED
    assert stage.operation(second).superseded_by == answer.operation.id
    assert stage.world.built[-1] == sha(3)


def test_the_same_sha_that_is_building_is_found_and_not_built_twice(stage: Stage) -> None:
    operation = push(stage, 1)
    assert stage.accepted(Rebuild(), 200).id == operation
    assert stage.accepted(Rebuild(sha(1)[:7]), 200).id == operation
    stage.finish_all()
    assert stage.world.built == [sha(1)]


def test_force_builds_the_same_sha_again_under_another_name(stage: Stage) -> None:
    green(stage, 1, "1.0")
    again = push(stage, 1, "1.0", force=True)
    stage.finish_all()
    assert stage.operation(again).version == "1.0+g0000001.2"


def test_the_declared_version_belongs_to_the_first_sha_that_was_green_with_it(stage: Stage) -> None:
    green(stage, 1, "1.0")
    second = green(stage, 2, "1.0")
    assert stage.operation(second).version == "1.0+g0000002"


def test_a_green_sha_is_not_built_again_and_its_version_becomes_current_again(stage: Stage) -> None:
    first = green(stage, 1, "1.0")
    green(stage, 2, "2.0")
    stage.world.tip = sha(1)
    answer = stage.answer(Rebuild())
    assert isinstance(answer, Accepted)
    assert (answer.status, answer.code, answer.operation.id) == (200, "already_built", first)
    assert stage.tier("mm")["current_version"] == "1.0"
    assert stage.tier("mm")["gates"][0]["outcome"] == "passed"
    assert len(stage.world.built) == 2


def test_a_force_push_back_to_a_green_sha_supersedes_what_is_building(stage: Stage) -> None:
    green(stage, 1, "1.0")
    second = push(stage, 2, "2.0")
    stage.world.tip = sha(1)
    stage.accepted(Rebuild(), 200)
    stage.finish_all()
    assert stage.operation(second).status is Status.SUPERSEDED
    assert stage.tier("mm")["current_version"] == "1.0"


def test_a_return_to_a_green_sha_survives_that_sandod_is_killed_before_the_tier_heard_of_it(
    stage: Stage,
) -> None:
    green(stage, 1, "1.0")
    green(stage, 2, "2.0")
    stage.world.tip = sha(1)
    stage.tell(Rebuild())
    stage.drain()
    stage.runner.finish("lookup")
    build = stage.actor("build")
    while stage.store.fact("returning") is None:
        stage.handle(build)
    stage.restart()
    stage.finish_all()
    assert stage.tier("mm")["current_version"] == "1.0"


def test_a_late_return_does_not_undo_a_newer_build(stage: Stage) -> None:
    green(stage, 1, "1.0")
    green(stage, 2, "2.0")
    mm = stage.actor("mm")
    stage.world.tip = sha(1)
    stage.accepted(Rebuild(), 200)
    green(stage, 3, "3.0")
    build = stage.actor("build")
    build.requests.tell_return(stage.store.release("1.0"), Rebuild().reply)
    stage.drain()
    assert mm.state.current_version == "3.0"


def test_an_empty_repository_and_an_unknown_sha_change_nothing(stage: Stage) -> None:
    assert stage.refused(Rebuild()) == (409, "empty_repository")
    running = push(stage, 1)
    assert stage.refused(Rebuild("f" * 40)) == (404, "unknown_sha")
    assert not stage.runner.one(f"build/{running}").token.cancelled


def test_red_and_errored_and_aborted_shas_build_again(stage: Stage) -> None:
    for error in (WorkError("build", "no"), WorkError("build", "disk full", errored=True), None):
        operation = push(stage, 1)
        stage.finish(f"build/{operation}", Failed(error) if error else Aborted())
        ended = stage.operation(operation).status
        assert ended is (
            Status.ERRORED if error and error.errored else Status.FAILED if error else Status.INTERRUPTED
        )
    stage.finish_all()
    assert stage.tier("mm")["current_version"] == "1.0"


def test_a_build_that_a_person_aborts_is_aborted_and_not_built_again(stage: Stage) -> None:
    operation = push(stage, 1)
    stage.accepted(AbortOperation(operation, actor="max"))
    stage.finish_all()
    assert stage.operation(operation).status is Status.ABORTED
    assert [e.type for e in stage.events("BuildAborted")] == ["BuildAborted"]
    stage.advance(120)
    stage.finish_all()
    assert stage.world.built == []


def test_a_build_that_a_person_aborted_is_not_queued_again_by_a_crash(stage: Stage) -> None:
    operation = push(stage, 1)
    stage.accepted(AbortOperation(operation, actor="max"))
    stage.restart()
    stage.finish_all()
    assert stage.operation(operation).status is Status.ABORTED
    assert stage.world.built == []


def test_a_waiting_build_can_be_aborted(stage: Stage) -> None:
    push(stage, 1)
    second = push(stage, 2)
    stage.accepted(AbortOperation(second))
    stage.finish_all()
    assert stage.operation(second).status is Status.ABORTED
    assert stage.refused(AbortOperation(second)) == (409, "not_running")


def test_an_interrupted_build_is_queued_again_once_and_then_errored(stage: Stage) -> None:
    first = push(stage, 1)
    stage.restart()
    stage.drain()
    again = stage.store.unfinished()[-1]
    assert (stage.operation(first).status, again.details["again"]) == (Status.INTERRUPTED, first)
    stage.restart()
    stage.drain()
    assert stage.operation(again.id).status is Status.ERRORED
    assert [e.type for e in stage.events("BuildAborted", "BuildFailed")] == ["BuildAborted", "BuildFailed"]
    stage.finish_all()
    assert not stage.store.unfinished()


def test_a_build_that_is_interrupted_in_its_gates_is_built_again(stage: Stage) -> None:
    operation = push(stage, 1)
    stage.finish(f"build/{operation}")
    stage.restart()
    stage.finish_all()
    assert stage.operation(operation).status is Status.INTERRUPTED
    assert stage.tier("mm")["current_version"] == "1.0"
    assert [e.data["outcome"] for e in stage.events("GateDone")] == ["aborted", "passed"]


def test_an_interrupted_build_with_a_newer_one_behind_it_is_superseded(stage: Stage) -> None:
    first, second = push(stage, 1), push(stage, 2)
    stage.restart()
    stage.finish_all()
    assert stage.operation(first).status is Status.SUPERSEDED
    assert stage.operation(second).status is Status.SUCCEEDED


def test_a_push_that_nobody_told_of_is_built_at_start_and_within_the_minute(stage: Stage) -> None:
    stage.world.push(sha(1), "1.0")
    stage.restart()
    stage.finish_all()
    assert stage.world.built == [sha(1)]
    stage.world.push(sha(2), "1.1")
    stage.advance(61)
    stage.finish_all()
    assert stage.world.built == [sha(1), sha(2)]


def test_the_watch_of_the_tip_builds_nothing_else(stage: Stage) -> None:
    green(stage, 1, "1.0")
    green(stage, 2, "2.0")
    stage.accepted(Rebuild(sha(1)), 200)
    for _ in range(3):
        stage.advance(61)
        stage.finish_all()
    assert stage.tier("mm")["current_version"] == "1.0"
    assert stage.world.built == [sha(1), sha(2)]


def test_a_red_tip_is_not_built_again_by_itself(stage: Stage) -> None:
    operation = push(stage, 1)
    stage.finish(f"build/{operation}", Failed(WorkError("build", "no")))
    stage.advance(200)
    stage.finish_all()
    assert stage.store.unfinished() == []
    assert len(stage.events("BuildStart")) == 1


def test_a_repeated_word_of_the_hook_says_what_came_of_the_push(stage: Stage) -> None:
    operation = green(stage, 1)
    assert stage.accepted(Rebuild(moved=True), 200).id == operation


def test_a_build_whose_actor_dies_goes_on(stage: Stage) -> None:
    operation = push(stage, 1)
    stage.crash(stage.actor("build"))
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    assert len(stage.events("BuildStart")) == 1


def test_a_cancel_that_died_with_the_actor_is_given_again(stage: Stage) -> None:
    first = push(stage, 1)
    push(stage, 2)
    stage.runner.one(f"build/{first}").token.__init__()  # type: ignore[misc]
    stage.crash(stage.actor("build"))
    stage.drain()
    assert stage.runner.one(f"build/{first}").token.cancelled


def test_look_ups_of_an_earlier_life_are_heard_to_their_end(stage: Stage) -> None:
    stage.world.push(sha(1), "1.0")
    reply = stage.tell(Rebuild())
    stage.drain()
    stage.crash(stage.actor("build"))
    stage.drain()
    assert isinstance(reply.given, Refusal)
    assert reply.given.code == "restarting"
    stage.finish_all()
    assert stage.runner.held() == ()
    assert stage.tier("mm")["current_version"] == "1.0"


def test_a_gate_of_mm_is_run_again_only_while_nothing_builds(stage: Stage) -> None:
    green(stage, 1)
    running = push(stage, 2)
    answer = stage.answer(RunGate("mm", "cargo_test"))
    assert isinstance(answer, Refusal)
    assert answer.code == "build_running"
    assert answer.operation is not None
    assert answer.operation.id == running


def test_a_gate_of_mm_that_turns_red_revokes_the_earlier_green(stage: Stage) -> None:
    green(stage, 1)
    operation = stage.accepted(RunGate("mm", "cargo_test"))
    stage.finish("cargo_test", Done(Verdict(passed=False, message="flaky after all")))
    assert stage.operation(operation.id).status is Status.FAILED
    assert stage.tier("mm")["gates"][0]["outcome"] == "failed"
    assert not stage.tier("mm")["promotable"]["ready"]


def test_a_push_supersedes_a_gate_of_mm_that_runs_again(stage: Stage) -> None:
    green(stage, 1)
    rerun = stage.accepted(RunGate("mm", "cargo_test"))
    second = push(stage, 2, "2.0")
    stage.finish_all()
    assert stage.operation(rerun.id).superseded_by == second
    assert stage.tier("mm")["current_version"] == "2.0"
    assert [o.id for o in stage.board.ended if o.id == rerun.id]


def test_mm_rolled_back_while_a_build_is_in_its_gates_keeps_what_they_said(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("mm", 0, CARGO, SMOKE), tier("a", 1)))
    green(stage, 1, "1.0")
    green(stage, 2, "2.0")
    third = push(stage, 3, "3.0")
    stage.finish(f"build/{third}")
    stage.finish("cargo_test")
    stage.accepted(Rollback("mm"))
    stage.finish_all()
    assert stage.tier("mm")["current_version"] == "3.0"
    assert [g["outcome"] for g in stage.tier("mm")["gates"]] == ["passed", "passed"]
    gates = [e.type for e in stage.events("GateStart", "GateDone") if e.operation == third]
    assert gates == ["GateStart", "GateDone"] * 2
