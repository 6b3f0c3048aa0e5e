"""Whether one can go back (SPEC 4, 6, 7): what a rehearsal is told and finds out, and who heeds it."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import AbortOperation, Promote, Rebuild, Reload, Rollback, RunGate
from sando.model.ahead import Ahead
from sando.model.answers import Refusal
from sando.model.gates import Verdict
from sando.model.operation import Status
from sando.model.tier import TierState
from sando.model.topology import Topology
from sando.work.outcome import Done
from tests.actors.steps import RED, built, promoted, step, steps, up_to
from tests.factories import CARGO, REHEARSAL, nodes, sha, tier, topology
from tests.harness import Stage

MM = tier("mm", 0, CARGO, REHEARSAL)


def flow(*tiers: Any) -> Topology:
    return topology(MM, *(tiers or (tier("a", 1), tier("b", 2))))


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    """1.0 and 2.0 came to b one after the other; from 2.0 one cannot go back."""
    stage = stage_of(flow())
    stage.world.safe = {("2.0", "1.0"): "no"}
    up_to(stage, "b", "1.0", "2.0")
    return stage


def known(stage: Stage, *new: str) -> dict[tuple[str, str], str]:
    return dict(stage.store.safety(*new))


def refusal(stage: Stage, message: Any) -> Refusal:
    answer = stage.answer(message)
    assert isinstance(answer, Refusal), answer
    return answer


# -- what the rehearsal is told ------------------------------------------------------------------------------


def test_the_first_release_is_told_that_nothing_runs_further_on(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(flow())
    built(stage, "1.0")
    assert stage.world.rehearsed == [("1.0", Ahead((), first_release=True))]


def test_a_rehearsal_is_told_what_runs_on_each_later_tier_that_is_provisioned(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(flow(tier("a", 1), tier("x", 1, provisioned=False), tier("b", 2)))
    up_to(stage, "a", "1.0")
    promoted(stage, "b")
    up_to(stage, "a", "2.0")
    built(stage, "3.0")
    assert stage.world.rehearsed[-1] == ("3.0", Ahead(("2.0", "1.0"), first_release=False))


def test_a_node_that_was_found_on_something_else_runs_that(stage: Stage) -> None:
    stage.world.node("b", "b-2").current = "1.0"
    stage.advance(200)
    built(stage, "3.0")
    assert stage.world.rehearsed[-1][1].running == ("2.0", "1.0")


def test_the_version_itself_is_no_way_back_from_itself(stage: Stage) -> None:
    stage.accepted(RunGate("mm", "migration_dry_run"))
    stage.finish_all()
    assert stage.world.rehearsed[-1] == ("2.0", Ahead((), first_release=False))


def test_a_rehearsal_that_its_tier_did_not_live_to_begin_is_told_the_same(stage: Stage) -> None:
    rehearsing(stage, 9, "3.0")
    del stage.runner.jobs[
        stage.runner.one("migration_dry_run").key
    ]  # as if it had died right before the start
    stage.crash(stage.actor("mm"))
    stage.finish_all()
    assert stage.world.rehearsed[-1] == ("3.0", Ahead(("2.0",), first_release=False))


# -- what it finds out ---------------------------------------------------------------------------------------


def test_what_a_rehearsal_finds_out_is_kept_with_the_end_of_its_gate(stage: Stage) -> None:
    stage.world.safe = {("3.0", "2.0"): "yes"}
    rehearsing(stage, 9, "3.0")
    assert known(stage, "3.0") == {}
    stage.store.away = 1
    stage.finish("migration_dry_run")
    assert known(stage, "3.0") == {}
    assert stage.events("GateDone")[-1].data["gate"] == "cargo_test"
    stage.advance(2.0)
    assert known(stage, "3.0") == {("3.0", "2.0"): "yes"}
    assert stage.events("GateDone")[-1].data["gate"] == "migration_dry_run"


@pytest.mark.parametrize("reboot", [False, True])
def test_it_outlives_the_daemon(stage: Stage, *, reboot: bool) -> None:
    stage.restart(reboot=reboot)
    stage.drain()
    assert known(stage, "2.0") == {("2.0", "1.0"): "no"}
    assert stage.refused(Rollback("b")) == (409, "schema_incompatible")


def test_a_run_again_replaces_what_it_tells_anew(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(flow())
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    assert known(stage, "2.0") == {("2.0", "1.0"): "unknown"}
    for word, kept in (("no", "no"), ("unknown", "no"), ("yes", "yes")):
        stage.world.safe = {("2.0", "1.0"): word}
        stage.accepted(RunGate("mm", "migration_dry_run"))
        stage.finish_all()
        assert known(stage, "2.0") == {("2.0", "1.0"): kept}


def rehearsing(stage: Stage, number: int, version: str) -> int:
    """The version is built, and its rehearsal is at work; the number of the build."""
    stage.world.push(sha(number), version)
    operation = stage.accepted(Rebuild()).id
    stage.finish_all("build/", "cargo_test")
    return operation


def test_a_red_rehearsal_tells_what_it_found_out_too(stage: Stage) -> None:
    rehearsing(stage, 9, "3.0")
    told = Verdict(passed=False, message="red", facts={"rollback_safe": {"2.0": "no"}})
    stage.finish("migration_dry_run", Done(told))
    assert known(stage, "3.0") == {("3.0", "2.0"): "no"}


def test_a_rehearsal_that_was_stopped_tells_nothing(stage: Stage) -> None:
    stage.accepted(AbortOperation(rehearsing(stage, 9, "3.0")))
    stage.finish("migration_dry_run", Done(Verdict(passed=True, facts={"rollback_safe": {"2.0": "no"}})))
    stage.finish_all()
    assert known(stage, "3.0") == {}


def test_what_was_found_out_about_a_red_release_is_not_said_of_the_next_one_of_its_name(stage: Stage) -> None:
    red = Verdict(passed=False, message="red", facts={"rollback_safe": {"2.0": "no", "1.0": "yes"}})
    rehearsing(stage, 8, "3.0")
    stage.finish("migration_dry_run", Done(red))
    assert known(stage, "3.0") == {("3.0", "2.0"): "no", ("3.0", "1.0"): "yes"}
    stage.world.push(sha(9), "3.0")
    stage.accepted(Rebuild())
    stage.finish_all()
    assert known(stage, "3.0") == {("3.0", "2.0"): "unknown"}


# -- who heeds it --------------------------------------------------------------------------------------------


def test_a_rollback_to_what_would_not_run_is_refused_and_goes_through_with_force(stage: Stage) -> None:
    answer = refusal(stage, Rollback("b"))
    assert (answer.status, answer.code) == (409, "schema_incompatible")
    assert "1.0 does not run on the schema of 2.0" in answer.detail
    assert [c.check for c in answer.blocking] == ["rollback_safe"]
    assert not stage.store.operations(kind="rollback")
    assert set(stage.world.links("b").values()) == {"2.0"}
    operation = stage.accepted(Rollback("b", force=True))
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    assert set(stage.world.links("b").values()) == {"1.0"}


@pytest.mark.parametrize("word", ["yes", "unknown"])
def test_yes_and_unknown_refuse_nothing(stage_of: Callable[..., Stage], word: str) -> None:
    stage = stage_of(flow())
    stage.world.safe = {("2.0", "1.0"): word}
    up_to(stage, "b", "1.0", "2.0")
    stage.accepted(Rollback("b"))


def test_on_the_build_tier_only_the_pointer_moves_whatever_the_schema(stage: Stage) -> None:
    stage.accepted(Rollback("mm"))


def test_after_a_step_back_the_schema_is_still_that_of_the_version_that_was_left(
    stage_of: Callable[..., Stage],
) -> None:
    """2.0 stopped to read a column, 3.0 dropped it: from 3.0 to 2.0 all is well, and then 1.0 would find it gone."""
    stage = stage_of(flow(tier("a", 1), tier("b", 1)))
    stage.world.safe = {("2.0", "1.0"): "yes", ("3.0", "2.0"): "yes", ("3.0", "1.0"): "no"}
    up_to(stage, "b", "1.0")
    up_to(stage, "a", "2.0")
    built(stage, "3.0")  # rehearsed while 2.0 ran on a and 1.0 on b
    promoted(stage, "b", "2.0")
    promoted(stage, "a")
    promoted(stage, "b")
    assert stage.tier("b")["rollback_safe"] == {"2.0": "yes"}
    stage.accepted(Rollback("b"))
    stage.finish_all()
    assert stage.tier("b")["rollback_safe"] == {"1.0": "no"}
    answer = refusal(stage, Rollback("b"))
    assert answer.code == "schema_incompatible"
    assert "1.0 does not run on the schema of 3.0" in answer.detail


def test_a_deploy_that_failed_after_once_has_left_its_schema(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(flow(tier("b", 1, once="./migrate")))
    stage.world.safe = {("3.0", "1.0"): "no", ("2.0", "1.0"): "yes"}
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    promoted(stage, "b")
    built(stage, "3.0")
    stage.accepted(Promote("b"))
    stage.finish_all("preflight", "upload", "once")
    steps(stage, "b-1", "switch")
    step(stage, "b-1", "start", RED)
    stage.finish_all()
    assert stage.tier("b")["current_version"] == "2.0"
    assert stage.actor("b").state.migrated_by == ("1.0", "2.0", "3.0")
    stage.restart()
    stage.drain()
    assert stage.actor("b").state.migrated_by == ("1.0", "2.0", "3.0")
    assert stage.tier("b")["rollback_safe"] == {"1.0": "unknown"}, "3.0 was rehearsed against 2.0 only"


def test_a_deploy_that_failed_before_anything_could_migrate_has_left_nothing(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(flow(tier("b", 1, once="./migrate")))
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    stage.accepted(Promote("b"))
    step(stage, "b-1", "preflight", RED)
    stage.finish_all()
    assert stage.actor("b").state.migrated_by == ("1.0",)


# -- while and after a promotion that migrates ---------------------------------------------------------------


@pytest.fixture
def migrating(stage_of: Callable[..., Stage]) -> Stage:
    """2.0 is on its way to b, `once` has run there, and 1.0 would not run any more."""
    stage = stage_of(flow(tier("b", 3, once="./migrate", confirm_within_s=60.0)))
    stage.world.safe = {("2.0", "1.0"): "no"}
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    stage.accepted(Promote("b"))
    stage.finish_all("preflight", "upload", "once")
    return stage


def test_a_failure_after_once_halts_where_it_is_and_says_why(migrating: Stage) -> None:
    number = migrating.store.unfinished("b")[0].id
    steps(migrating, "b-1", "switch", "start")
    step(migrating, "b-2", "switch")
    step(migrating, "b-2", "start", RED)
    migrating.finish_all()
    ended = migrating.operation(number)
    assert (ended.status, ended.rolled_back) == (Status.FAILED, False)
    assert migrating.world.links("b") == {"b-1": "2.0", "b-2": "1.0", "b-3": "1.0"}
    assert migrating.tier("b")["status"] == "mixed"
    assert ended.details["rollback_safe"] == {"1.0": "no"}
    assert str(ended.details["note"]).startswith("not put back: b-1. 1.0 does not run on the schema of 2.0")


def test_no_dead_man_switch_is_armed_where_one_cannot_go_back(migrating: Stage) -> None:
    for part in ("switch", "start"):
        migrating.drain()
        (task,) = (j.arguments[0] for j in migrating.runner.running("node/b/b-1"))
        assert (task.step, task.confirm_within_s) == (part, None)
        step(migrating, "b-1", part)


def test_a_dead_man_switch_is_armed_where_one_can(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(flow(tier("b", 1, once="./migrate", confirm_within_s=60.0)))
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    stage.accepted(Promote("b"))
    stage.finish_all("preflight", "upload", "once")
    assert stage.runner.one("node/b/b-1").arguments[0].confirm_within_s == 60.0


def test_the_promotion_that_resumes_it_arms_none_either(migrating: Stage) -> None:
    steps(migrating, "b-1", "switch", "start")
    step(migrating, "b-2", "switch", RED)
    migrating.finish_all()
    migrating.accepted(Promote("b"))
    migrating.finish_all("preflight", "upload")
    task = migrating.runner.one("node/b/b-2").arguments[0]
    assert (task.step, task.confirm_within_s) == ("switch", None)
    migrating.finish_all()
    assert migrating.tier("b")["current_version"] == "2.0"


def test_making_it_whole_again_goes_back_over_that_schema_and_needs_force(migrating: Stage) -> None:
    steps(migrating, "b-1", "switch", "start")
    step(migrating, "b-2", "switch", RED)
    migrating.finish_all()
    assert migrating.refused(Rollback("b")) == (409, "schema_incompatible")
    migrating.accepted(Rollback("b", force=True))
    migrating.finish_all()
    assert set(migrating.world.links("b").values()) == {"1.0"}
    assert migrating.tier("b")["status"] == "steady"


def test_a_rollback_that_would_stop_it_is_refused_before_anything_is_stopped(migrating: Stage) -> None:
    steps(migrating, "b-1", "switch")
    answer = refusal(migrating, Rollback("b", abort_running=True))
    assert answer.code == "schema_incompatible"
    assert "abort" not in migrating.store.unfinished("b")[0].details
    migrating.accepted(Rollback("b", force=True, abort_running=True), 202)
    migrating.finish_all()
    assert set(migrating.world.links("b").values()) == {"1.0"}


def test_before_once_has_begun_it_may_be_stopped_as_ever(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(flow(tier("b", 1, once="./migrate")))
    stage.world.safe = {("2.0", "1.0"): "no"}
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    stage.accepted(Promote("b"))
    stage.finish_all("preflight")
    stage.accepted(Rollback("b", abort_running=True), 202)
    stage.finish_all()
    assert stage.tier("b")["current_version"] == "1.0"


def test_an_abort_alone_leaves_it_mixed_and_the_same_version_resumes(migrating: Stage) -> None:
    number = migrating.store.unfinished("b")[0].id
    steps(migrating, "b-1", "switch")
    migrating.accepted(AbortOperation(number))
    migrating.finish_all()
    assert migrating.operation(number).status is Status.ABORTED
    assert migrating.world.links("b") == {"b-1": "2.0", "b-2": "1.0", "b-3": "1.0"}
    migrating.accepted(Promote("b"))
    migrating.finish_all()
    assert set(migrating.world.links("b").values()) == {"2.0"}


def test_making_whole_a_tier_whose_rollback_half_failed_asks_nothing_again(stage: Stage) -> None:
    stage.accepted(Rollback("b", force=True))
    stage.finish_all("preflight")
    step(stage, "b-1", "switch", RED)
    stage.finish_all()
    assert stage.tier("b")["current_version"] == "1.0"
    stage.accepted(Rollback("b"))
    stage.finish_all()
    assert set(stage.world.links("b").values()) == {"1.0"}


# -- what is no way at all -----------------------------------------------------------------------------------


def test_a_tier_with_every_node_left_out_is_not_held_for_ever_by_a_rollback(stage: Stage) -> None:
    mm, a, b = stage.world.running.tiers
    stage.world.declared = replace(
        stage.world.running, tiers=(mm, a, replace(b, nodes=nodes("b", 2, out=True)))
    )
    stage.told(Reload(force=True))
    assert stage.refused(Rollback("b", force=True)) == (409, "no_nodes")
    assert not stage.store.unfinished("b")


def test_an_empty_tier_says_nothing_of_a_way_back(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(flow())
    assert [t["rollback_safe"] for t in stage.board.latest.state["tiers"]] == [{}, {}, {}]  # type: ignore[union-attr]
    assert stage.actor("b").state == TierState("b", nodes=stage.actor("b").state.nodes)
