"""A rollback that stops a promotion first (SPEC 7): one operation, from its acceptance to its end, whatever comes between."""

from collections.abc import Callable

import pytest

from actors.messages import AbortOperation, Promote, Rollback, RunGate
from actors.step_ends import TAKE_UP
from sando.model.answers import Refusal
from sando.model.operation import Status
from tests.actors.steps import built, promoted, step, up_to
from tests.actors.stopping import (
    ON_FAILURE,
    WHOLE,
    ended,
    halfway,
    on_its_way,
    stopped,
    types,
)
from tests.factories import SMOKE, tier, topology
from tests.harness import Stage


@pytest.fixture(params=ON_FAILURE)
def stage(request: pytest.FixtureRequest, stage_of: Callable[..., Stage]) -> Stage:
    """Tier b is on 2.0, 1.0 before; 3.0 has come to one of its three nodes and is being switched on the second."""
    return halfway(stage_of, request.param)


def test_the_answer_is_the_rollback_which_waits_and_is_committed_with_the_word_that_stops_the_promotion(
    stage: Stage,
) -> None:
    answer = stopped(stage)
    assert (answer.kind, answer.version, answer.status, answer.step) == (
        "rollback",
        "2.0",
        "queued",
        "waiting",
    )
    assert (answer.started_at, answer.actor, answer.reason) == (None, "max", "it smells")
    assert stage.operation(answer.id) == answer
    promotion = stage.operation(int(str(answer.details["after"])))
    assert promotion.details["rollback"] == answer.id
    assert stage.tier("b")["operation"] == promotion.id, "it still holds the tier"


def test_it_succeeds_when_the_tier_is_whole_and_the_promotion_was_aborted(stage: Stage) -> None:
    rollback = stopped(stage)
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
    now = stage.operation(rollback.id)
    assert (now.version, now.details["whole"], now.rolled_back) == ("2.0", True, False)
    assert stage.world.links("b") == WHOLE
    shown = stage.tier("b")
    assert (shown["current_version"], shown["previous_version"], shown["status"]) == ("2.0", "1.0", "steady")
    assert types(stage, rollback.id) == ["DeployStart", "DeployOk", "Rollback"]
    assert len(stage.store.operations(kind="rollback")) == 1


def test_a_node_that_the_promotion_has_put_back_itself_is_left_as_it_is(stage: Stage) -> None:
    halts = stage.world.running.tiers[-1].on_failure == "halt"
    rollback = stopped(stage)
    stage.finish_all()
    visited = [n.name for n in stage.operation(rollback.id).nodes]
    assert visited == (["b-1", "b-2"] if halts else [])
    assert stage.tier("b")["marked_bad"] == (["3.0"] if halts else [])
    assert [s for s, _ in stage.world.node("b", "b-3").did if s == "switch"] == ["switch"] * 2, "1.0 and 2.0"


@pytest.mark.parametrize("message", [Rollback("b"), Rollback("b", abort_running=True), Rollback("b", "1.0")])
def test_while_it_waits_another_rollback_is_told_of_it(stage: Stage, message: Rollback) -> None:
    rollback = stopped(stage)
    answer = stage.answer(Rollback("b", message.version, abort_running=message.abort_running))
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.code) == (409, "tier_busy")
    assert answer.operation
    assert answer.operation.id == rollback.id
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)


def test_it_cannot_be_aborted_and_the_promotion_is_aborted_once(stage: Stage) -> None:
    rollback = stopped(stage)
    assert stage.refused(AbortOperation(rollback.id)) == (409, "not_abortable")
    promotion = int(str(rollback.details["after"]))
    again = stage.accepted(AbortOperation(promotion, actor="eva"))
    assert (again.details["abort"], again.details["rollback"]) == ("max", rollback.id)
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)


def test_a_promotion_that_a_person_has_aborted_already_may_be_followed_by_one(stage: Stage) -> None:
    stage.accepted(AbortOperation(stage.store.unfinished("b")[0].id, actor="eva"))
    rollback = stopped(stage)
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
    assert stage.world.links("b") == WHOLE


def test_nobody_gets_in_between(stage: Stage) -> None:
    """Whoever lies in the tier's inbox when the promotion ends comes before the message that begins the rollback."""
    rollback, asked = stopped(stage), []
    promotion, tier_b = int(str(rollback.details["after"])), stage.actor("b")
    while not stage.operation(promotion).status.ended:
        if any(e.message is TAKE_UP for e in tier_b.actor_inbox.queue):
            asked.append(Rollback("b", "1.0"))
            tier_b.actor_ref.tell(asked[-1])
        if not stage.step():
            stage.runner.finish(stage.runner.running()[0])
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
    assert asked
    assert {a.reply.given.code for a in asked if isinstance(a.reply.given, Refusal)} == {"tier_busy"}
    assert stage.tier("b")["current_version"] == "2.0"


# -- where it goes -------------------------------------------------------------------------------------------


def test_a_promotion_that_comes_to_its_end_all_the_same_is_stepped_back_from(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("b", 1, SMOKE)))
    up_to(stage, "b", "1.0", "2.0")
    built(stage, "3.0")
    stage.accepted(Promote("b"))
    stage.finish_all("preflight", "upload")
    step(stage, "b-1", "switch")
    rollback = stopped(stage)
    assert ended(stage, rollback) == (Status.SUCCEEDED, Status.SUCCEEDED)
    now = stage.operation(rollback.id)
    assert (now.version, now.details["whole"], now.details["marks"]) == ("2.0", False, "3.0")
    assert stage.world.links("b") == {"b-1": "2.0"}
    shown = stage.tier("b")
    assert (shown["current_version"], shown["previous_version"], shown["marked_bad"]) == (
        "2.0",
        "1.0",
        ["3.0"],
    )


def test_a_lower_version_that_was_named_is_where_it_goes(stage: Stage) -> None:
    rollback = stopped(stage, "1.0")
    assert rollback.version == "1.0"
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
    assert set(stage.world.links("b").values()) == {"1.0"}


def test_the_version_of_the_question_is_made_whole_like_none(stage: Stage) -> None:
    assert ended(stage, stopped(stage, "2.0")) == (Status.ABORTED, Status.SUCCEEDED)
    assert stage.world.links("b") == WHOLE


def test_what_cannot_be_gone_back_to_stops_nothing(stage: Stage) -> None:
    assert stage.refused(Rollback("b", "9.9", abort_running=True)) == (409, "not_rollbackable")
    stage.finish_all()
    assert stage.tier("b")["current_version"] == "3.0"


def test_a_first_deploy_has_nothing_to_go_back_to_and_goes_on(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("b", 3)))
    promotion = on_its_way(stage, "1.0")
    answer = stage.answer(Rollback("b", abort_running=True))
    assert isinstance(answer, Refusal)
    assert (answer.code, answer.hint) == (
        "no_previous_version", f"POST /operations/{promotion}/abort stops promote {promotion}",
    )  # fmt: skip
    stage.finish_all()
    assert stage.tier("b")["current_version"] == "1.0"


# -- gates ---------------------------------------------------------------------------------------------------


def test_gates_that_the_promotion_cut_short_run_again_on_what_is_current(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("b", 1, SMOKE)))
    up_to(stage, "b", "1.0")
    built(stage, "2.0")
    stage.accepted(RunGate("b", "boot_smoke"))
    stage.accepted(Promote("b"))
    assert stage.tier("b")["gates"][0]["outcome"] == "aborted"
    rollback = stopped(stage)
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
    assert stage.tier("b")["gates"][0]["outcome"] == "passed"


def test_the_next_rollback_steps_back(stage: Stage) -> None:
    stopped(stage)
    stage.finish_all()
    stage.accepted(Rollback("b"))
    stage.finish_all()
    assert set(stage.world.links("b").values()) == {"1.0"}
    promoted(stage, "b", "2.0", force=True)
