"""Promotions (SPEC 6): every row of the table, every way to fail, and what a restart makes of it."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import (
    AbortOperation,
    Confirm,
    LockTier,
    NodeDone,
    Promote,
    Rebuild,
    Reload,
    Rollback,
    RunGate,
    Tick,
)
from actors.node_pruning import PRUNE_S
from sando.model.answers import Accepted, Refusal
from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.operation import Operation, Status
from sando.model.task import NodeFacts
from sando.model.topology import FreezeSpec
from sando.work.outcome import Aborted, Done, Failed
from tests.actors.steps import LOST, RED, built, promoted, running, step, steps, up_to
from tests.factories import CARGO, CONFIRM, DAY, nodes, sha, tier, topology
from tests.harness import Stage

OLD, NEW = "1.0", "2.0"


def of(stage_of: Callable[..., Stage], **more: Any) -> Stage:
    """Tier b with three nodes on the old version, and the new one ready to go there."""
    stage = stage_of(topology(tier("b", 3, **more)))
    up_to(stage, "b", OLD)
    built(stage, NEW)
    return stage


def begun(stage: Stage, **more: Any) -> int:
    """The promotion of the new version has prepared every node."""
    operation = stage.accepted(Promote("b", **more))
    stage.finish_all("preflight", "upload")
    return operation.id


def ended(stage: Stage, operation: int) -> Operation:
    stage.finish_all()
    return stage.operation(operation)


def statuses(operation: Operation) -> list[str]:
    return [n.status for n in operation.nodes]


# -- the table ---------------------------------------------------------------------------------------------------


def test_tiers_that_cannot_be_promoted_into(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1), tier("c", 1, provisioned=False)))
    assert stage.refused(Promote("x")) == (404, "unknown_tier")
    assert stage.refused(Promote("mm")) == (409, "not_promotable")
    assert stage.refused(Promote("c")) == (409, "not_provisioned")
    assert stage.refused(Promote("a")) == (409, "nothing_to_promote")
    assert stage.refused(Promote("a", reset_burn_in=True)) == (400, "bad_request")
    assert stage.refused(Promote("a", "9.9")) == (404, "unknown_version")


def test_an_empty_tier_is_filled_as_it_can_be_the_build_tier_by_no_promotion(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("mm", 0, CONFIRM), tier("a", 1), tier("b", 1)))
    pushed = "push a commit, or POST /rebuild, and wait until it is green on mm"
    assert hint(stage, Promote("a")) == pushed
    assert hint(stage, Confirm("mm")) == pushed
    assert hint(stage, Promote("b")) == "promote into a first"


def hint(stage: Stage, wish: Any) -> str:
    answer = stage.ask(wish)
    assert isinstance(answer, Refusal)
    return answer.hint


def test_a_version_that_was_never_on_the_tier_before_may_not_pass_it(stage: Stage) -> None:
    built(stage, OLD)
    assert stage.refused(Promote("b", OLD)) == (409, "gates_not_passed")


def test_a_predecessor_gate_that_is_not_green_blocks_and_says_what_clears_it(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("a", 1, CONFIRM, DAY), tier("b", 1)))
    up_to(stage, "a", OLD)
    answer = stage.answer(Promote("b"))
    assert isinstance(answer, Refusal)
    assert answer.code == "gates_not_passed"
    assert [(c.gate, c.outcome) for c in answer.blocking] == [
        ("manual_confirm", "pending"),
        ("burn_in", "pending"),
    ]
    assert "POST /confirm/a" in str(answer.blocking[0].clears)


def test_a_hotfix_skips_burn_in_and_nothing_else(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1, CONFIRM, DAY), tier("b", 1)))
    up_to(stage, "a", OLD)
    assert stage.refused(Promote("b", hotfix=True)) == (409, "gates_not_passed")


def test_a_hotfix_tells_what_it_skipped_and_may_restart_the_clock_of_its_source(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("a", 1, DAY), tier("b", 1)))
    up_to(stage, "a", OLD)
    stage.advance(3600)
    operation = promoted(stage, "b", hotfix=True, reset_burn_in=True)
    assert "1h of 1d" in str(operation.details["skipped"])
    assert [e.tier for e in stage.events("HotfixUsed", "BurnInReset")] == ["b", "a"]
    stage.advance(3600)
    mine = stage.actor("a").state.current
    assert round(mine.burnt(stage.clock())) == 3600
    stage.crash(stage.actor("a"))
    stage.drain()
    assert round(stage.actor("a").state.current.burnt(stage.clock())) == 3600


def test_a_release_that_could_not_be_looked_at_is_not_called_corrupt(stage: Stage) -> None:
    built(stage, OLD)
    reply = stage.tell(Promote("a"))
    stage.drain()
    stage.finish("verify/", Failed(WorkError("internal", "no thread to be had", errored=True)))
    assert isinstance(reply.given, Refusal)
    assert (reply.given.status, reply.given.code) == (503, "store_unavailable")
    assert stage.accepted(Promote("a")).version == OLD


def test_a_release_that_is_gone_or_changed_is_not_promoted(stage: Stage) -> None:
    built(stage, OLD)
    stage.world.wrong[OLD] = ("release_corrupt", "server has another hash")
    assert stage.refused(Promote("a")) == (409, "release_corrupt")
    del stage.world.wrong[OLD]
    stage.world.folders.clear()
    assert stage.refused(Promote("a")) == (409, "release_missing")
    assert stage.store.operations(kind="promote") == []


def test_a_version_that_is_current_is_deployed_again_by_force_only(stage: Stage) -> None:
    up_to(stage, "a", OLD)
    assert stage.refused(Promote("a")) == (409, "already_current")
    promoted(stage, "a", force=True)
    assert [d for d in stage.world.node("a", "a-1").did if d == ("switch", OLD)] == [("switch", OLD)] * 2


def test_the_same_artifact_deployed_again_begins_nothing_anew(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 2, DAY, CONFIRM), tier("b", 1)))
    up_to(stage, "a", OLD)
    stage.told(Confirm("a", actor="max"))
    stage.advance(3600)
    before = stage.tier("a")
    promoted(stage, "a", force=True)
    after = stage.tier("a")
    for key in ("gates", "since", "burn_in_started_at", "previous_version"):
        assert after[key] == before[key], key


@pytest.mark.parametrize("aborted", [False, True])
def test_a_redeploy_that_a_kill_cut_off_is_not_said_to_be_on_nodes_that_it_did_not_reach(
    stage: Stage, *, aborted: bool
) -> None:
    """Their links named the version before it, too."""
    up_to(stage, "b", OLD)
    operation = stage.accepted(Promote("b", force=True)).id
    stage.finish_all("preflight")
    steps(stage, "b-1", "switch", "start")
    steps(stage, "b-2", "switch")
    if aborted:
        stage.accepted(AbortOperation(operation, actor="max"))
    stage.restart()
    row = ended(stage, operation)
    assert row.status is (Status.ABORTED if aborted else Status.INTERRUPTED)
    assert stage.world.node("b", "b-3").did.count(("switch", OLD)) == 1, "the one that brought it"
    told = [e.node for e in stage.events("NodeDeployed") if e.operation == operation]
    assert told == ["b-1", "b-2"]
    assert stage.tier("b")["current_version"] == OLD
    assert stage.tier("b")["status"] == "steady"


def test_a_node_is_told_to_be_deployed_once_however_often_sandod_starts(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of)
    operation = begun(stage)
    steps(stage, "b-1", "switch", "start")
    stage.restart()
    stage.restart()
    ended(stage, operation)
    assert [e.node for e in stage.events("NodeDeployed") if e.operation == operation] == ["b-1"]


def test_a_version_that_was_rolled_back_is_marked_bad_and_force_lifts_the_mark(stage: Stage) -> None:
    up_to(stage, "a", OLD, NEW)
    stage.accepted(Rollback("a"))
    stage.finish_all()
    assert stage.refused(Promote("a", NEW)) == (409, "version_marked_bad")
    promoted(stage, "a", NEW, force=True)
    assert stage.tier("a")["marked_bad"] == []


def test_a_mark_of_an_earlier_tier_counts_and_is_lifted_there(stage: Stage) -> None:
    up_to(stage, "a", OLD, NEW)
    stage.accepted(Rollback("a"))
    stage.finish_all()
    assert stage.refused(Promote("b", NEW)) == (409, "version_marked_bad")
    promoted(stage, "b", NEW, force=True)
    assert stage.tier("a")["marked_bad"] == []


def test_a_tier_at_work_is_busy_and_names_its_operation(stage: Stage) -> None:
    built(stage, OLD)
    operation = stage.accepted(Promote("a"))
    answer = stage.answer(Promote("a"))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.operation and answer.operation.id) == ("tier_busy", operation.id)


def test_two_promotions_at_the_same_time_make_one_operation(stage: Stage) -> None:
    built(stage, OLD)
    replies = [stage.tell(Promote("a")) for _ in range(2)]
    stage.drain()
    stage.finish_all("verify/")
    answers = [r.given for r in replies]
    assert isinstance(answers[0], Accepted)
    assert isinstance(answers[1], Refusal)
    assert answers[1].code == "tier_busy"


def test_a_lock_and_a_freeze_block_and_a_reason_passes_the_freeze(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1), freezes=(FreezeSpec(("a",), ()),)))
    built(stage, OLD)
    assert stage.refused(Promote("a")) == (423, "frozen")
    assert stage.refused(Promote("a", override_freeze=True)) == (423, "frozen")
    stage.told(LockTier("a", "audit", actor="eva"))
    answer = stage.answer(Promote("a", override_freeze=True, reason="fire"))
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.code) == (423, "locked")
    assert "eva" in answer.detail


def test_the_default_version_is_fixed_when_the_promotion_is_accepted(stage: Stage) -> None:
    built(stage, OLD)
    operation = stage.accepted(Promote("a"))
    built(stage, NEW)
    assert ended(stage, operation.id).version == OLD


# -- how it goes ---------------------------------------------------------------------------------------------------


def test_all_nodes_are_prepared_before_the_first_is_switched(stage_of: Callable[..., Stage]) -> None:
    stage = of(stage_of)
    stage.accepted(Promote("b"))
    assert running(stage) == ["b-1/preflight", "b-2/preflight", "b-3/preflight"]
    steps(stage, "b-1", "preflight")
    steps(stage, "b-2", "preflight")
    assert running(stage) == ["b-3/preflight"]
    steps(stage, "b-3", "preflight")
    assert running(stage) == ["b-1/upload", "b-2/upload", "b-3/upload"]
    stage.finish_all("upload")
    assert running(stage) == ["b-1/switch"]


@pytest.mark.parametrize(
    ("canary", "first", "second"),
    [
        ("sequential", ["b-1/switch"], ["b-2/switch"]),
        ("parallel", ["b-1/switch", "b-2/switch", "b-3/switch"], ["b-2/switch", "b-3/switch"]),
        ("first-then-rest", ["b-1/switch"], ["b-2/switch", "b-3/switch"]),
    ],
)
def test_the_canary_says_whose_turn_it_is(
    stage_of: Callable[..., Stage], canary: str, first: list[str], second: list[str]
) -> None:
    stage = of(stage_of, canary=canary)
    begun(stage)
    assert running(stage) == first
    steps(stage, "b-1", "switch", "start")
    assert running(stage) == second


def test_a_hold_watches_each_node_of_a_sequence_before_the_next(stage_of: Callable[..., Stage]) -> None:
    stage = of(stage_of, canary_hold_s=30.0)
    begun(stage)
    steps(stage, "b-1", "switch", "start")
    assert running(stage) == ["b-1/hold"]
    steps(stage, "b-1", "hold")
    assert running(stage) == ["b-2/switch"]


def test_the_version_is_current_only_when_every_node_has_it(stage_of: Callable[..., Stage]) -> None:
    stage = of(stage_of)
    operation = begun(stage)
    for node in ("b-1", "b-2"):
        steps(stage, node, "switch", "start")
    steps(stage, "b-3", "switch")
    assert stage.tier("b")["current_version"] == OLD
    steps(stage, "b-3", "start")
    shown = stage.tier("b")
    assert (shown["current_version"], shown["previous_version"]) == (NEW, OLD)
    told = [e.type for e in stage.events() if e.operation == operation]
    assert told == ["DeployStart", *["NodeDeployed"] * 3, "DeployOk", "PromoteComplete"]


def test_once_runs_on_the_first_node_before_any_switch_and_not_again_when_resumed(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of, once="./server migrate", on_failure="halt")
    begun(stage)
    assert running(stage) == ["b-1/once"]
    steps(stage, "b-1", "once", "switch", "start")
    step(stage, "b-2", "switch", RED)
    stage.finish_all()
    assert stage.tier("b")["status"] == "mixed"
    promoted(stage, "b", NEW)
    did = [s for _, node in stage.world.nodes.items() for s, v in node.did if v == NEW and s == "once"]
    assert len(did) == 1


def test_a_failing_once_fails_the_promotion_before_anything_is_switched(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of, once="./server migrate")
    operation = begun(stage)
    step(stage, "b-1", "once", RED)
    row = ended(stage, operation)
    assert (row.status, row.rolled_back) == (Status.FAILED, False)
    assert set(stage.world.links("b").values()) == {OLD}


@pytest.mark.parametrize("what", ["preflight", "upload"])
def test_a_node_that_cannot_be_prepared_ends_it_before_anything_is_switched(
    stage_of: Callable[..., Stage], what: str
) -> None:
    stage = of(stage_of)
    operation = stage.accepted(Promote("b")).id
    if what == "upload":
        stage.finish_all("preflight")
    step(stage, "b-2", what, LOST)
    row = ended(stage, operation)
    assert row.status is Status.ERRORED
    assert set(stage.world.links("b").values()) == {OLD}
    assert stage.tier("b")["status"] == "steady"


@pytest.mark.parametrize("canary", ["sequential", "parallel", "first-then-rest"])
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("where", ["switch", "start"])
def test_a_failing_node_takes_every_switched_node_back(
    stage_of: Callable[..., Stage], canary: str, k: int, where: str
) -> None:
    stage = of(stage_of, canary=canary)
    operation = begun(stage)
    for other in range(1, k):
        steps(stage, f"b-{other}", "switch", "start")
    if where == "start":
        steps(stage, f"b-{k}", "switch")
    step(stage, f"b-{k}", where, RED)
    row = ended(stage, operation)
    assert row.status is Status.FAILED
    assert row.error is not None
    assert "last words" in row.error
    assert set(stage.world.links("b").values()) == {OLD}
    assert stage.tier("b")["current_version"] == OLD
    assert row.rolled_back == ("reverted" in statuses(row))
    assert [e.type for e in stage.events() if e.operation == operation][-1] == "DeployFailed"


@pytest.mark.parametrize("canary", ["sequential", "parallel", "first-then-rest"])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_halt_takes_back_only_the_failing_node_and_may_be_resumed(
    stage_of: Callable[..., Stage], canary: str, k: int
) -> None:
    stage = of(stage_of, canary=canary, on_failure="halt")
    operation = begun(stage)
    for other in range(1, k):
        steps(stage, f"b-{other}", "switch", "start")
    steps(stage, f"b-{k}", "switch")
    step(stage, f"b-{k}", "start", RED)
    row = ended(stage, operation)
    links = stage.world.links("b")
    assert row.status is Status.FAILED
    assert links[f"b-{k}"] == OLD
    assert [links[f"b-{o}"] for o in range(1, k)] == [NEW] * (k - 1)
    mixed = NEW in links.values()
    assert stage.tier("b")["status"] == ("mixed" if mixed else "steady")
    if mixed:
        built(stage, "3.0")
        assert stage.refused(Promote("b", "3.0")) == (409, "tier_mixed")
    promoted(stage, "b", NEW)
    assert set(stage.world.links("b").values()) == {NEW}


def test_a_halted_tier_is_made_whole_by_a_rollback(stage_of: Callable[..., Stage]) -> None:
    stage = of(stage_of, on_failure="halt")
    begun(stage)
    steps(stage, "b-1", "switch", "start")
    step(stage, "b-2", "switch", RED)
    stage.finish_all()
    rollback = stage.accepted(Rollback("b"))
    assert ended(stage, rollback.id).status is Status.SUCCEEDED
    assert set(stage.world.links("b").values()) == {OLD}
    assert stage.tier("b")["marked_bad"] == [NEW]
    assert stage.tier("b")["status"] == "steady"
    assert stage.refused(Promote("b", NEW)) == (409, "version_marked_bad")


def test_a_node_that_cannot_be_taken_back_does_not_keep_the_others(stage_of: Callable[..., Stage]) -> None:
    stage = of(stage_of, canary="parallel")
    operation = begun(stage)
    for node in ("b-1", "b-2", "b-3"):
        steps(stage, node, "switch")
    step(stage, "b-3", "start", RED)
    steps(stage, "b-1", "start")
    steps(stage, "b-2", "start")
    step(stage, "b-1", "revert", LOST)
    row = ended(stage, operation)
    assert row.status is Status.FAILED
    assert stage.world.links("b") == {"b-1": NEW, "b-2": OLD, "b-3": OLD}
    assert stage.tier("b")["status"] in {"mixed", "degraded"}


def test_a_first_deploy_that_fails_leaves_no_current(stage: Stage) -> None:
    built(stage, OLD)
    operation = stage.accepted(Promote("a"))
    stage.finish_all("preflight", "upload", "switch")
    step(stage, "a-1", "start", RED)
    row = ended(stage, operation.id)
    assert row.status is Status.FAILED
    assert stage.world.links("a") == {"a-1": None}
    assert stage.tier("a")["status"] == "empty"
    promoted(stage, "a", OLD)


def test_a_node_found_on_another_release_is_told_and_reverts_to_what_it_had(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of)
    stage.world.node("b", "b-1").current = "0.9"
    operation = begun(stage)
    steps(stage, "b-1", "switch")
    step(stage, "b-1", "start", RED)
    ended(stage, operation)
    told = stage.events("DriftDetected")
    assert [(e.node, e.data["recorded"], e.data["observed"]) for e in told] == [("b-1", OLD, "0.9")]
    assert stage.world.links("b")["b-1"] == "0.9"
    assert stage.tier("b")["status"] == "degraded"


def test_only_the_node_that_lacks_the_version_is_repaired(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 2, once="./migrate")))
    up_to(stage, "a", OLD)
    stays = len(stage.actor("a").state.stays)
    stage.world.declared = replace(
        stage.world.running, tiers=(stage.world.running.tiers[0], tier("a", 3, once="./migrate"))
    )
    stage.told(Reload())
    row = promoted(stage, "a")
    assert [n.name for n in row.nodes] == ["a-3"]
    assert row.details["kind"] == "repair"
    assert stage.world.links("a")["a-3"] == OLD
    assert len(stage.actor("a").state.stays) == stays
    assert not [s for s, v in stage.world.node("a", "a-3").did if s == "once"]


def test_a_reload_that_takes_a_node_away_while_the_release_is_checked(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 2)))
    built(stage, OLD)
    stage.tell(Promote("a"))
    stage.drain()
    stage.world.declared = replace(stage.world.running, tiers=(stage.world.running.tiers[0], tier("a", 1)))
    stage.tell(Reload())
    stage.finish_all("reload/")
    stage.finish_all()
    assert stage.tier("a")["current_version"] == OLD
    assert stage.world.links("a") == {"a-1": OLD, "a-2": None}


# -- the source is asked once more -----------------------------------------------------------------------------------


def test_a_gate_that_turned_red_meanwhile_ends_it_before_the_first_switch(stage: Stage) -> None:
    built(stage, OLD)
    operation = stage.accepted(Promote("a"))
    stage.finish_all("preflight")
    stage.accepted(RunGate("mm", "cargo_test"))
    stage.finish("cargo_test", Done(Verdict(passed=False, message="red")))
    row = ended(stage, operation.id)
    assert row.status is Status.FAILED
    assert "does not vouch" in str(row.error)
    assert stage.world.links("a") == {"a-1": None}


def test_a_rollback_of_the_source_meanwhile_ends_it_too(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1), tier("b", 1)))
    up_to(stage, "a", OLD, NEW)
    operation = stage.accepted(Promote("b"))
    stage.accepted(Rollback("a"))
    stage.finish_all("/a-1/")
    row = ended(stage, operation.id)
    assert row.status is Status.FAILED
    assert "marked bad on a" in str(row.error)


@pytest.mark.parametrize("who", ["a", "mm", "supervisor"])
def test_the_question_is_asked_again_when_one_of_those_who_carry_it_dies(stage: Stage, who: str) -> None:
    built(stage, OLD)
    operation = stage.accepted(Promote("a"))
    stage.finish_all("preflight")
    stage.drain()
    stage.runner.finish("/upload")
    while stage.store.rollout(operation.id).phase != "vouch":  # type: ignore[union-attr]
        assert stage.step()
    stage.crash(stage.actor(who), instead=True)
    assert ended(stage, operation.id).status is Status.SUCCEEDED


# -- stopping it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["preflight", "upload", "switch", "start", "hold"])
def test_an_abort_stops_at_the_next_node_boundary(stage_of: Callable[..., Stage], at: str) -> None:
    stage = of(stage_of, canary_hold_s=30.0)
    operation = stage.accepted(Promote("b")).id
    order = ["preflight", "upload", "switch", "start", "hold"]
    stage.finish_all(*order[: min(order.index(at), 2)]) if at != "preflight" else None
    for before in order[2 : order.index(at)]:
        steps(stage, "b-1", before)
    assert any(s.endswith(at) for s in running(stage))
    answer = stage.answer(AbortOperation(operation, actor="max", reason="wrong one"))
    assert isinstance(answer, Accepted)
    cancelled = any(j.token.cancelled for j in stage.runner.running("node/"))
    assert cancelled == (at in {"preflight", "upload", "hold"})
    row = ended(stage, operation)
    assert row.status is Status.ABORTED
    assert "aborted by max: wrong one" in str(row.error)
    assert set(stage.world.links("b").values()) == {OLD}
    assert not [d for d in stage.world.node("b", "b-2").did if d == ("switch", NEW)]
    assert stage.refused(AbortOperation(operation)) == (409, "not_running")


def test_an_abort_of_what_does_not_exist_is_not_found(stage: Stage) -> None:
    assert stage.refused(AbortOperation(77)) == (404, "not_found")


# -- restarts ----------------------------------------------------------------------------------------------------------


def test_a_promotion_that_was_on_its_target_everywhere_is_finished_after_a_kill(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of)
    operation = begun(stage)
    for node in ("b-1", "b-2"):
        steps(stage, node, "switch", "start")
    steps(stage, "b-3", "switch")
    stage.restart()
    row = ended(stage, operation)
    assert (row.status, row.recovered) == (Status.SUCCEEDED, True)
    assert stage.tier("b")["current_version"] == NEW


@pytest.mark.parametrize("on_failure", ["rollback", "halt"])
def test_a_promotion_that_was_half_way_is_settled_by_looking(
    stage_of: Callable[..., Stage], on_failure: str
) -> None:
    stage = of(stage_of, on_failure=on_failure)
    operation = begun(stage)
    steps(stage, "b-1", "switch", "start")
    stage.world.node("b", "b-2").current = NEW  # the switch was done, and nobody heard of it
    stage.restart(reboot=True)
    row = ended(stage, operation)
    assert row.status is Status.INTERRUPTED
    back = on_failure == "rollback"
    assert row.rolled_back is back
    assert stage.world.links("b") == {"b-1": OLD if back else NEW, "b-2": OLD if back else NEW, "b-3": OLD}
    assert stage.tier("b")["status"] == ("steady" if back else "mixed")


@pytest.mark.parametrize("who", ["b", "b-1", "b-2", "supervisor", "journal", "mm"])
def test_a_deploy_survives_the_death_of_any_actor_at_any_step(
    stage_of: Callable[..., Stage], who: str
) -> None:
    stage = of(stage_of)
    operation = stage.accepted(Promote("b")).id
    for _ in range(4):
        stage.crash(stage.actor(who))
        stage.drain()
        stage.advance(70)
        for job in stage.runner.running("node/"):
            stage.runner.finish(job)
            stage.crash(stage.actor(who), instead=True)
            stage.drain()
            stage.advance(70)
    row = ended(stage, operation)
    assert row.status is Status.SUCCEEDED
    assert not row.recovered
    for name in ("b-1", "b-2", "b-3"):
        done = [s for s, v in stage.world.node("b", name).did if v == NEW and s in {"switch", "start"}]
        assert done == ["switch", "start"], "each step was done once"
    assert stage.runner.held() == ()


def test_a_node_that_is_parked_fails_its_steps_instead_of_keeping_the_deploy(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of)
    for _ in range(6):
        stage.crash(stage.actor("b-2"))
        stage.drain()
    operation = stage.accepted(Promote("b"))
    row = ended(stage, operation.id)
    assert row.status is Status.ERRORED
    assert "parked" in str(row.error)


def test_a_job_of_a_node_that_is_parked_meanwhile_still_counts(stage_of: Callable[..., Stage]) -> None:
    stage = of(stage_of)
    operation = stage.accepted(Promote("b")).id
    for _ in range(6):
        stage.crash(stage.actor("b-2"))
        stage.drain()
    stage.finish_all("preflight")
    assert stage.operation(operation).step in {"upload", ""}
    stage.finish_all()
    assert stage.runner.held() == ()
    assert stage.operation(operation).status is Status.ERRORED


def test_what_a_deploy_was_told_while_it_stops_is_left_for_the_next_start(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of)
    operation = begun(stage)
    reply = stage.shut_down()
    stage.drain()
    assert reply.given is None, "the node in work is finished first"
    step(stage, "b-1", "switch")
    assert running(stage) == ["b-1/start"], "a node that was switched is also started"
    step(stage, "b-1", "start")
    assert reply.given is not None
    assert running(stage) == []
    assert stage.operation(operation).status is Status.RUNNING
    stage.restart()
    assert ended(stage, operation).status is Status.INTERRUPTED


def test_a_job_that_the_end_of_sandod_cut_off_says_nothing_about_its_operation(
    stage_of: Callable[..., Stage],
) -> None:
    stage = of(stage_of)
    operation = begun(stage)
    reply = stage.shut_down()
    stage.finish("b-1", Aborted())
    assert reply.given is not None
    assert stage.operation(operation).status is Status.RUNNING
    stage.restart()
    assert ended(stage, operation).status is Status.INTERRUPTED


def test_a_tier_without_nodes_is_promoted_by_its_pointer_alone_or_says_why_not(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("a", 1, nodes=nodes("a", 1, out=True))))
    built(stage, OLD)
    assert stage.refused(Promote("a")) == (409, "no_nodes")


def test_old_releases_are_pruned_after_a_success_and_what_is_needed_stays(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("mm", 0, CARGO, keep_releases=1), tier("a", 1, keep_releases=2)))
    up_to(stage, "a", "1.0", "2.0", "3.0", "4.0")
    assert stage.world.node("a", "a-1").releases == {"3.0", "4.0"}
    assert stage.world.folders == {"3.0", "4.0"}
    told = [e for e in stage.events("Pruned") if e.data.get("where") == "store"]
    assert [v for e in told for v in e.data["versions"]] == ["1.0", "2.0"]  # type: ignore[attr-defined]


def test_nodes_are_pruned_after_the_answer_and_not_while_an_operation_has_them(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stage.accepted(Promote("a", force=True))
    stage.finish_all()
    assert stage.tier("a")["operation"] is None
    assert stage.runner.running("prune") == []
    stage.accepted(Promote("a", force=True))
    stage.advance(3 * PRUNE_S)
    assert [j.key for j in stage.runner.running("node/")] == ["node/a/a-1/4/1/preflight"]
    stage.finish_all()
    stage.advance(PRUNE_S)
    assert [j.key for j in stage.runner.running("node/")] == ["node/a/a-1/4/prune"]


def test_a_release_built_anew_while_its_red_predecessor_was_pruned_is_there(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("a", 1)))
    stage.world.push(sha(1), "1.0")
    stage.accepted(Rebuild())
    stage.finish_all("build/")
    stage.finish("cargo_test", Done(Verdict(passed=False)))
    stage.clock.advance(25 * 3600)
    stage.actor("supervisor").actor_ref.tell(Tick("prune"))
    stage.drain()
    prune = stage.runner.one("prune/")
    stage.world.push(sha(2), "1.0")
    stage.accepted(Rebuild())
    stage.finish_all("build/", "cargo_test")
    stage.runner.finish(prune)
    stage.drain()
    release = stage.store.release("1.0")
    assert release is not None
    assert (release.green, release.present) == (True, True)


def test_a_late_word_of_a_node_of_another_operation_is_dropped(stage: Stage) -> None:
    built(stage, OLD)
    stage.accepted(Promote("a"))
    a = stage.actor("a")
    a.actor_ref.tell(NodeDone("a-1", "node/a/a-1/1/1/switch", Done(NodeFacts(current="9.9"))))
    stage.finish_all()
    assert stage.tier("a")["current_version"] == OLD
