"""The rollout machine case by case: the rules of SPEC 6, 7 and 11 that a random walk does not name."""

import pytest
from msgspec.structs import replace

from sando.model.operation import NodeReport
from sando.model.rollout import (
    NodePlan,
    Result,
    Rollout,
    abort,
    advance,
    due,
    ended,
    failed,
    interrupt,
    result,
    start,
    vouched,
)
from sando.model.task import NodeFacts, Step

OLD = {"a": "1.0.0", "b": "1.0.1", "c": None}


def rollout_of(*names: str, mode: str = "promote", **fields: object) -> Rollout:
    nodes = tuple(NodePlan(n) for n in names or ("a", "b", "c"))
    return Rollout(9, "b", mode, "2.0.0", "1.0.0", nodes, **fields)  # type: ignore[arg-type]


def does(rollout: Rollout, name: str, step: Step, **facts: object) -> Rollout:
    assert (name, step) in due(rollout), f"{step} of {name} is not due: {due(rollout)}"
    return ended(start(rollout, name, step), name, step, NodeFacts(**facts))  # type: ignore[arg-type]


def fails(rollout: Rollout, name: str, step: Step, error: str = "no", *, errored: bool = False) -> Rollout:
    assert (name, step) in due(rollout), f"{step} of {name} is not due: {due(rollout)}"
    return failed(start(rollout, name, step), name, step, error, errored=errored)


def ready(rollout: Rollout) -> Rollout:
    """Preflight and upload are done everywhere, and the source has vouched."""
    for name, step in due(rollout):
        rollout = does(rollout, name, step, current=OLD[name])
    for name, step in due(rollout):
        rollout = does(rollout, name, step)
    return vouched(rollout, None) if rollout.phase == "vouch" else rollout


def goes_live(rollout: Rollout, name: str) -> Rollout:
    return does(does(rollout, name, Step.SWITCH), name, Step.START)


def settles(rollout: Rollout, links: dict[str, str | None]) -> Rollout:
    """Every look and every step of the settling goes well; `links` is what the nodes say."""
    for _ in range(20):
        for name, step in due(rollout):
            rollout = does(rollout, name, step, current=links[name], green=True)
            if step is Step.REVERT:
                links[name] = rollout.node(name).former
    return rollout


def statuses(rollout: Rollout) -> list[str]:
    return [n.status for n in rollout.nodes]


def migrated(*unsafe: str, **fields: object) -> Rollout:
    """`once` has run on three nodes with different former releases; `unsafe` ones would not run any more."""
    rollout = ready(rollout_of(once=True, unsafe=unsafe, **fields))
    return does(rollout, "a", Step.ONCE)


# -- the way up ----------------------------------------------------------------------------------------------


def test_all_nodes_are_preflighted_and_uploaded_at_once_before_the_source_is_asked_again() -> None:
    rollout = rollout_of()
    assert due(rollout) == tuple((n, Step.PREFLIGHT) for n in "abc")
    for name in "abc":
        rollout = does(rollout, name, Step.PREFLIGHT, current=OLD[name])
    assert rollout.phase == "upload"
    assert due(rollout) == tuple((n, Step.UPLOAD) for n in "abc")
    for name in "abc":
        rollout = does(rollout, name, Step.UPLOAD)
    assert rollout.phase == "vouch"
    assert due(rollout) == ()
    assert [n.former for n in rollout.nodes] == ["1.0.0", "1.0.1", None]


def test_a_node_that_has_the_release_already_is_not_uploaded_again() -> None:
    rollout = does(rollout_of("a", "b"), "a", Step.PREFLIGHT, has_release=True)
    rollout = does(rollout, "b", Step.PREFLIGHT)
    assert due(rollout) == (("b", Step.UPLOAD),)


def test_a_source_that_turned_red_meanwhile_ends_it_failed_with_nothing_switched() -> None:
    rollout = rollout_of("a")
    for step in (Step.PREFLIGHT, Step.UPLOAD):
        rollout = does(rollout, "a", step, current="1.0.0")
    rollout = vouched(rollout, "boot_smoke failed on a")
    assert result(rollout) == Result("failed", "boot_smoke failed on a", rolled_back=False, recovered=False)
    assert rollout.nodes[0].now == "1.0.0"


@pytest.mark.parametrize("mode", ["repair", "rollback"])
def test_a_repair_and_a_rollback_ask_no_source_and_run_no_once(mode: str) -> None:
    rollout = ready(rollout_of("a", mode=mode))
    assert due(rollout) == (("a", Step.SWITCH),)


def test_once_runs_on_the_first_node_only_before_the_first_switch() -> None:
    rollout = ready(rollout_of(once=True))
    assert due(rollout) == (("a", Step.ONCE),)
    rollout = does(rollout, "a", Step.ONCE)
    assert rollout.once_ran
    assert due(rollout) == (("a", Step.SWITCH),)


def test_a_failing_once_fails_the_promotion_before_anything_was_switched() -> None:
    rollout = fails(ready(rollout_of(once=True)), "a", Step.ONCE, "migration 7: syntax error")
    end = result(rollout)
    assert end == Result("failed", "a: migration 7: syntax error", rolled_back=False, recovered=False)
    assert not rollout.once_ran
    assert statuses(rollout) == ["failed", "uploaded", "uploaded"]


@pytest.mark.parametrize(
    ("canary", "first", "then"),
    [
        ("sequential", "a", "b"),
        ("parallel", "abc", ""),
        ("first-then-rest", "a", "bc"),
    ],
)
def test_the_canary_decides_who_is_switched_when(canary: str, first: str, then: str) -> None:
    rollout = ready(rollout_of(canary=canary))
    assert due(rollout) == tuple((n, Step.SWITCH) for n in first)
    for name in first:
        rollout = goes_live(rollout, name)
    assert due(rollout) == tuple((n, Step.SWITCH) for n in then)


@pytest.mark.parametrize(
    ("canary", "watched"), [("sequential", "abc"), ("parallel", "abc"), ("first-then-rest", "a")]
)
def test_the_hold_watches_each_node_or_only_the_first(canary: str, watched: str) -> None:
    rollout = ready(rollout_of(canary=canary, hold_s=5.0))
    held = ""
    while steps := due(rollout):
        name, step = steps[0]
        held += name if step is Step.HOLD else ""
        rollout = does(rollout, name, step)
    assert held == watched
    assert result(rollout) == Result("succeeded", None, rolled_back=False, recovered=False)


def test_the_wire_shows_the_statuses_of_the_contract_only() -> None:
    plans = [NodePlan("a", status=s, now="1") for s in ("pending", "checked", "started", "ok", "reverted")]
    assert [p.report().status for p in plans] == ["pending", "pending", "switched", "ok", "reverted"]
    assert NodePlan("a", now="1", detail="d").report() == NodeReport("a", "pending", "1", "d")


# -- failures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [Step.PREFLIGHT, Step.UPLOAD])
@pytest.mark.parametrize(("errored", "status"), [(True, "errored"), (False, "failed")])
def test_a_node_that_cannot_be_prepared_ends_it_before_any_switch(
    step: Step, errored: bool, status: str
) -> None:
    rollout = rollout_of("a", "b")
    if step is Step.UPLOAD:
        rollout = does(does(rollout, "a", Step.PREFLIGHT), "b", Step.PREFLIGHT)
    rollout = fails(rollout, "a", step, "disk full", errored=errored)
    if step is Step.PREFLIGHT:
        rollout = does(rollout, "a", Step.OBSERVE, current="1.0.0")
        assert (rollout.node("a").seen, rollout.node("a").now) == (True, "1.0.0")
    end = result(rollout)
    assert end
    assert (end.status, end.error, end.rolled_back) == (status, "a: disk full", False)


def test_rollback_takes_back_the_failing_node_and_the_switched_ones_and_no_other() -> None:
    rollout = goes_live(ready(rollout_of()), "a")
    rollout = fails(does(rollout, "b", Step.SWITCH), "b", Step.START, "probe is red")
    assert due(rollout) == (("a", Step.REVERT), ("b", Step.REVERT))
    rollout = does(does(rollout, "a", Step.REVERT), "b", Step.REVERT)
    assert [n.now for n in rollout.nodes] == ["1.0.0", "1.0.1", None]
    assert statuses(rollout) == ["reverted", "reverted", "uploaded"]
    assert result(rollout) == Result("failed", "b: probe is red", rolled_back=True, recovered=False)


def test_reverting_goes_on_when_one_revert_fails() -> None:
    rollout = goes_live(ready(rollout_of()), "a")
    rollout = fails(does(rollout, "b", Step.SWITCH), "b", Step.START, "probe is red")
    rollout = does(fails(rollout, "a", Step.REVERT, "connection lost", errored=True), "b", Step.REVERT)
    assert [n.broken for n in rollout.nodes] == [True, False, False]
    assert statuses(rollout) == ["failed", "reverted", "uploaded"]
    rollout = does(rollout, "a", Step.OBSERVE, current=OLD["a"])
    assert (rollout.node("a").status, rollout.node("a").now) == ("failed", OLD["a"])
    assert result(rollout) == Result("failed", "b: probe is red", rolled_back=False, recovered=False)


def test_after_once_a_node_is_not_put_back_on_a_release_that_would_not_run() -> None:
    rollout = goes_live(migrated("1.0.0"), "a")
    rollout = fails(goes_live(rollout, "b"), "c", Step.SWITCH, "before_switch: no")
    rollout = does(rollout, "c", Step.OBSERVE, current=None)
    assert due(rollout) == (("b", Step.REVERT),)
    rollout = does(rollout, "b", Step.REVERT)
    assert statuses(rollout) == ["ok", "reverted", "failed"]
    assert [n.name for n in rollout.kept()] == ["a"]
    assert result(rollout) == Result("failed", "c: before_switch: no", rolled_back=False, recovered=False)


def test_after_once_the_node_at_fault_alone_is_put_back_as_with_halt() -> None:
    rollout = goes_live(migrated("1.0.0", "1.0.1"), "a")
    rollout = fails(does(rollout, "b", Step.SWITCH), "b", Step.START, "probe is red")
    assert due(rollout) == (("b", Step.REVERT),)
    assert statuses(does(rollout, "b", Step.REVERT)) == ["ok", "reverted", "uploaded"]


def test_a_node_in_work_that_would_not_be_put_back_is_finished_first() -> None:
    rollout = migrated("1.0.0", canary="parallel")
    for name in "abc":
        rollout = does(rollout, name, Step.SWITCH)
    rollout = fails(rollout, "b", Step.START, "probe is red")
    assert due(rollout) == (("a", Step.START),)


def test_without_once_nothing_has_migrated_and_every_node_is_put_back() -> None:
    rollout = goes_live(ready(rollout_of(unsafe=("1.0.0", "1.0.1"))), "a")
    rollout = fails(does(rollout, "b", Step.SWITCH), "b", Step.START, "probe is red")
    assert due(rollout) == (("a", Step.REVERT), ("b", Step.REVERT))
    assert rollout.kept() == ()


def test_a_promotion_that_resumes_knows_that_once_has_run() -> None:
    rollout = ready(rollout_of("a", "b", once_ran=True, unsafe=("1.0.0",), confirm_within_s=60.0))
    assert [rollout.armed_for(n) for n in rollout.nodes] == [None, 60.0]
    assert rollout.may_have_migrated


def test_the_dead_man_switch_is_armed_only_where_the_former_release_would_still_run() -> None:
    before = ready(rollout_of(once=True, unsafe=("1.0.0",), confirm_within_s=60.0))
    assert [before.armed_for(n) for n in before.nodes] == [60.0, 60.0, 60.0]
    rollout = does(before, "a", Step.ONCE)
    assert [rollout.armed_for(n) for n in rollout.nodes] == [None, 60.0, 60.0]


def test_a_once_that_failed_may_have_migrated_all_the_same() -> None:
    assert not ready(rollout_of(once=True)).may_have_migrated
    rollout = fails(ready(rollout_of(once=True)), "a", Step.ONCE, "migration 7: syntax error")
    assert (rollout.once_ran, rollout.may_have_migrated) == (False, True)
    assert does(ready(rollout_of("a")), "a", Step.SWITCH).may_have_migrated


def test_after_a_crash_a_node_that_would_not_run_any_more_is_not_put_back() -> None:
    rollout = goes_live(migrated("1.0.0", "1.0.1"), "a")
    rollout = does(rollout, "b", Step.SWITCH)
    rollout = settles(interrupt(rollout, "sandod died"), {"a": "2.0.0", "b": "2.0.0", "c": None})
    assert statuses(rollout) == ["ok", "ok", "pending"]
    assert result(rollout) == Result("interrupted", "sandod died", rolled_back=False, recovered=False)
    assert [n.name for n in rollout.kept()] == ["a", "b"]


def test_halt_takes_back_the_failing_node_only() -> None:
    rollout = goes_live(ready(rollout_of(on_failure="halt")), "a")
    rollout = fails(does(rollout, "b", Step.SWITCH), "b", Step.START)
    assert due(rollout) == (("b", Step.REVERT),)
    rollout = does(rollout, "b", Step.REVERT)
    assert statuses(rollout) == ["ok", "reverted", "uploaded"]
    assert result(rollout) == Result("failed", "b: no", rolled_back=False, recovered=False)


def test_a_switch_that_failed_is_looked_at_before_anything_is_said_of_the_node() -> None:
    rollout = fails(ready(rollout_of("a")), "a", Step.SWITCH, "connection lost", errored=True)
    assert due(rollout) == (("a", Step.OBSERVE),)
    moved = does(rollout, "a", Step.OBSERVE, current="2.0.0")
    assert due(moved) == (("a", Step.REVERT),)
    still = does(rollout, "a", Step.OBSERVE, current="1.0.0")
    assert result(still) == Result("errored", "a: connection lost", rolled_back=False, recovered=False)


def test_a_resumed_promotion_visits_only_the_nodes_that_it_was_given() -> None:
    rollout = ready(rollout_of("b", "c"))
    rollout = goes_live(goes_live(rollout, "b"), "c")
    assert result(rollout) == Result("succeeded", None, rolled_back=False, recovered=False)


# -- abort ---------------------------------------------------------------------------------------------------


def test_an_abort_waits_for_the_node_in_work_then_acts_as_a_failure() -> None:
    rollout = does(ready(rollout_of()), "a", Step.SWITCH)
    rollout = abort(rollout, "aborted by max")
    assert due(rollout) == (("a", Step.START),)
    rollout = does(rollout, "a", Step.START)
    assert due(rollout) == (("a", Step.REVERT),)
    rollout = does(rollout, "a", Step.REVERT)
    assert result(rollout) == Result("aborted", "aborted by max", rolled_back=True, recovered=False)


@pytest.mark.parametrize("on_failure", ["halt", "rollback"])
def test_a_node_that_fails_after_the_abort_is_told_beside_it_and_only_the_first(on_failure: str) -> None:
    rollout = rollout_of(on_failure=on_failure, canary="parallel")
    rollout = does(does(ready(rollout), "a", Step.SWITCH), "b", Step.SWITCH)
    rollout = abort(start(start(rollout, "a", Step.START), "b", Step.START), "aborted by max")
    rollout = failed(rollout, "a", Step.START, "the probe stayed red: 503\nlast words", errored=False)
    rollout = failed(rollout, "b", Step.START, "the probe stayed red too", errored=False)
    while (now := result(rollout)) is None:
        rollout = does(rollout, *due(rollout)[0])
    told = "aborted by max; a: the probe stayed red: 503\nlast words"
    assert (now.status, now.error) == ("aborted", told)


@pytest.mark.parametrize("step", [Step.PREFLIGHT, Step.UPLOAD])
def test_what_the_abort_itself_has_stopped_is_no_failure_of_a_node(step: Step) -> None:
    rollout = rollout_of("a") if step is Step.PREFLIGHT else does(rollout_of("a"), "a", Step.PREFLIGHT)
    rollout = abort(start(rollout, "a", step), "aborted by max")
    rollout = failed(rollout, "a", step, "stopped", errored=True)
    assert rollout.error == "aborted by max"


def test_an_abort_during_the_last_node_comes_too_late() -> None:
    rollout = abort(does(ready(rollout_of("a")), "a", Step.SWITCH), "aborted by max")
    assert result(does(rollout, "a", Step.START)) == Result(
        "succeeded", None, rolled_back=False, recovered=False
    )


def test_an_abort_does_not_rename_what_failed_or_ended_before_it() -> None:
    fault = fails(does(ready(rollout_of("a")), "a", Step.SWITCH), "a", Step.START, "probe is red")
    late = abort(fault, "too late")
    assert late.aborted
    end = result(does(late, "a", Step.REVERT))
    assert end == Result("failed", "a: probe is red", rolled_back=True, recovered=False)
    done = goes_live(ready(rollout_of("a")), "a")
    assert abort(done, "too late") == done


def test_a_word_of_the_source_that_comes_after_the_abort_starts_nothing() -> None:
    rollout = rollout_of("a")
    for step in (Step.PREFLIGHT, Step.UPLOAD):
        rollout = does(rollout, "a", step)
    rollout = abort(rollout, "aborted by max")
    assert vouched(rollout, None) == rollout
    died = interrupt(rollout_of("a"), "sandod died")
    assert vouched(died, None) == died
    assert result(rollout) == Result("aborted", "aborted by max", rolled_back=False, recovered=False)


# -- rollback ------------------------------------------------------------------------------------------------


def test_a_rollback_takes_all_nodes_at_once_and_goes_on_without_those_that_fail() -> None:
    rollout = rollout_of(mode="rollback", hold_s=9.0)
    rollout = fails(rollout, "a", Step.PREFLIGHT, "connection refused", errored=True)
    rollout = does(rollout, "a", Step.OBSERVE, current="3.0.0")
    for name in "bc":
        rollout = does(rollout, name, Step.PREFLIGHT, has_release=True, current="3.0.0")
    assert due(rollout) == (("b", Step.SWITCH), ("c", Step.SWITCH))
    rollout = fails(does(rollout, "b", Step.SWITCH), "b", Step.START)
    rollout = goes_live(rollout, "c")
    assert statuses(rollout) == ["failed", "failed", "ok"]
    assert result(rollout) == Result("failed", "a: connection refused", rolled_back=False, recovered=False)


def test_a_rollback_that_died_with_the_daemon_tries_a_node_that_had_failed_once_more() -> None:
    rollout = ready(rollout_of("a", "b", mode="rollback"))
    rollout = fails(does(rollout, "a", Step.SWITCH), "a", Step.START)
    assert rollout.node("a").broken
    rollout = interrupt(rollout, "sandod died")
    assert due(rollout) == (("a", Step.PREFLIGHT), ("b", Step.PREFLIGHT))
    assert not rollout.node("a").broken
    rollout = goes_live(goes_live(ready(rollout), "a"), "b")
    assert result(rollout) == Result("succeeded", None, rolled_back=False, recovered=True)


def test_a_rollback_that_died_remembers_what_each_node_had_at_first() -> None:
    rollout = does(ready(rollout_of("c", mode="rollback")), "c", Step.SWITCH)
    rollout = does(interrupt(rollout, "sandod died"), "c", Step.PREFLIGHT, current="2.0.0")
    assert rollout.node("c").former is None


def test_a_rollback_with_nothing_left_to_do_ends() -> None:
    done = Rollout(9, "b", "rollback", "1", "2", (NodePlan("a", status="ok", now="1"),))
    assert result(advance(done)) == Result("succeeded", None, rolled_back=False, recovered=False)


# -- after a crash -------------------------------------------------------------------------------------------


def test_what_ended_before_the_crash_stays_as_it_ended() -> None:
    done = goes_live(ready(rollout_of("a")), "a")
    assert interrupt(done, "sandod died") == done


def test_a_promotion_that_was_complete_is_finished_after_a_look_and_a_probe() -> None:
    rollout = does(goes_live(ready(rollout_of("a", "b", hold_s=5.0)), "a"), "a", Step.HOLD)
    rollout = goes_live(rollout, "b")
    rollout = interrupt(start(rollout, "b", Step.HOLD), "sandod died")
    assert due(rollout) == (("a", Step.OBSERVE), ("b", Step.OBSERVE))
    for name in "ab":
        rollout = does(rollout, name, Step.OBSERVE, current="2.0.0")
    assert due(rollout) == (("a", Step.PROBE), ("b", Step.PROBE))
    for name in "ab":
        rollout = does(rollout, name, Step.PROBE, green=True)
    assert result(rollout) == Result("succeeded", None, rolled_back=False, recovered=True)


@pytest.mark.parametrize("step", [Step.SWITCH, Step.START])
def test_a_node_that_died_before_its_restart_is_restarted_and_not_only_probed(step: Step) -> None:
    rollout = ready(rollout_of("a"))
    if step is Step.START:
        rollout = does(rollout, "a", Step.SWITCH)
    rollout = interrupt(start(rollout, "a", step), "sandod died")
    rollout = does(rollout, "a", Step.OBSERVE, current="2.0.0")
    assert due(rollout) == (("a", Step.START),)
    assert result(does(rollout, "a", Step.START)) == Result(
        "succeeded", None, rolled_back=False, recovered=True
    )


def test_a_promotion_that_was_half_done_is_taken_back() -> None:
    rollout = interrupt(goes_live(ready(rollout_of()), "a"), "sandod died")
    rollout = settles(rollout, {**OLD, "a": "2.0.0"})
    assert statuses(rollout) == ["reverted", "pending", "pending"]
    assert result(rollout) == Result("interrupted", "sandod died", rolled_back=True, recovered=False)


@pytest.mark.parametrize("red", ["said", "failed"])
def test_a_red_probe_after_a_crash_takes_the_promotion_back(red: str) -> None:
    rollout = interrupt(goes_live(ready(rollout_of("a", hold_s=5.0)), "a"), "sandod died")
    rollout = does(rollout, "a", Step.OBSERVE, current="2.0.0")
    if red == "said":
        rollout = does(rollout, "a", Step.PROBE, green=False)
    else:
        rollout = fails(rollout, "a", Step.PROBE, "503")
    assert due(rollout) == (("a", Step.REVERT),)


def test_a_node_that_cannot_be_asked_after_a_crash_is_unknown() -> None:
    rollout = interrupt(does(ready(rollout_of("a")), "a", Step.SWITCH), "sandod died")
    rollout = fails(rollout, "a", Step.OBSERVE, "no route to host", errored=True)
    assert statuses(rollout) == ["unknown"]
    assert result(rollout) == Result("interrupted", "sandod died", rolled_back=False, recovered=False)


def test_a_node_that_was_never_switched_is_not_taken_back_whatever_its_link_says() -> None:
    rollout = interrupt(rollout_of("a", "b", mode="repair"), "sandod died")
    rollout = settles(rollout, {"a": "2.0.0", "b": "1.0.0"})
    assert statuses(rollout) == ["ok", "pending"]
    assert result(rollout) == Result("interrupted", "sandod died", rolled_back=False, recovered=False)


def test_a_red_node_that_was_never_switched_is_told_and_left_alone() -> None:
    rollout = does(
        interrupt(rollout_of("a", mode="repair"), "sandod died"), "a", Step.OBSERVE, current="2.0.0"
    )
    rollout = does(rollout, "a", Step.PROBE, green=False, detail="503")
    assert statuses(rollout) == ["failed"]
    assert result(rollout) == Result("interrupted", "sandod died", rolled_back=False, recovered=False)


@pytest.mark.parametrize("on_failure", ["rollback", "halt"])
def test_a_node_at_fault_before_the_crash_is_taken_back_though_its_probe_is_green_now(
    on_failure: str,
) -> None:
    rollout = does(ready(rollout_of("a", on_failure=on_failure)), "a", Step.SWITCH)
    rollout = fails(rollout, "a", Step.START, "restart exited with 1")
    rollout = settles(interrupt(rollout, "sandod died"), {"a": "2.0.0"})
    assert statuses(rollout) == ["reverted"]
    end = result(rollout)
    assert end == Result("interrupted", "a: restart exited with 1", rolled_back=True, recovered=False)


@pytest.mark.parametrize("crashes", [1, 2])
@pytest.mark.parametrize("on_failure", ["rollback", "halt"])
def test_a_revert_that_the_crash_cut_off_is_done_again(on_failure: str, crashes: int) -> None:
    rollout = does(ready(rollout_of("a", on_failure=on_failure)), "a", Step.SWITCH)
    rollout = start(fails(rollout, "a", Step.START), "a", Step.REVERT)
    for _ in range(crashes):
        rollout = does(interrupt(rollout, "sandod died"), "a", Step.OBSERVE, current="1.0.0")
        assert due(rollout) == (("a", Step.REVERT),)
        rollout = start(rollout, "a", Step.REVERT)
    rollout = ended(rollout, "a", Step.REVERT, NodeFacts())
    assert statuses(rollout) == ["reverted"]


def test_a_node_that_was_reverted_before_the_crash_is_still_called_reverted() -> None:
    rollout = goes_live(ready(rollout_of()), "a")
    rollout = fails(does(rollout, "b", Step.SWITCH), "b", Step.START, "probe is red")
    rollout = does(rollout, "a", Step.REVERT)
    rollout = settles(interrupt(rollout, "sandod died"), {**OLD, "b": "2.0.0"})
    assert statuses(rollout) == ["reverted", "reverted", "pending"]
    assert result(rollout) == Result("interrupted", "b: probe is red", rolled_back=True, recovered=False)


def test_a_link_is_read_before_its_node_is_probed_after_a_crash_in_a_revert() -> None:
    rollout = ready(rollout_of("a", "b", canary="parallel", hold_s=5.0))
    rollout = goes_live(does(rollout, "b", Step.SWITCH), "a")
    rollout = fails(rollout, "b", Step.START)
    rollout = interrupt(start(rollout, "a", Step.REVERT), "sandod died")
    assert set(due(rollout)) == {("a", Step.OBSERVE), ("b", Step.OBSERVE)}


def test_the_machine_knows_no_other_step() -> None:
    rollout = rollout_of("a")
    with pytest.raises(ValueError, match="prune"):
        ended(rollout, "a", Step.PRUNE, NodeFacts())


def test_a_rollout_says_whether_its_first_node_has_moved() -> None:
    rollout = ready(rollout_of("a"))
    assert not rollout.first_moved
    assert replace(does(rollout, "a", Step.SWITCH), canary="parallel").first_moved


def test_what_has_changed_is_told_with_what_it_was_and_only_that_is_reported_anew():
    before = rollout_of("a", "b", "c")
    after = start(before, "b", Step.PREFLIGHT)
    assert after.since(before) == ((before.node("b"), after.node("b")),)
    assert [now.name for was, now in after.since(None) if was is None] == ["a", "b", "c"]
    told = tuple(NodeReport(name, detail="as told") for name in ("a", "b"))
    assert after.reports(told, after.node("b")) == (
        told[0],
        after.node("b").report(),
        after.node("c").report(),
    )
