"""A person's word (SPEC 8) and burn-in (SPEC 5)."""

from collections.abc import Callable

import pytest

from actors.messages import Confirm, Promote, Reject, Rollback
from tests.actors.steps import built, promoted, up_to
from tests.factories import CONFIRM, gate, tier, topology
from tests.harness import Stage

HOUR = gate("burn_in", duration_s=3600.0)


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    return stage_of(topology(tier("a", 1, CONFIRM), tier("b", 1)))


def outcome(stage: Stage, name: str = "a", number: int = 0) -> str:
    return str(stage.tier(name)["gates"][number]["outcome"])


def test_a_confirm_opens_the_way_and_is_told_with_who_and_why(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    assert stage.refused(Promote("b")) == (409, "gates_not_passed")
    body = stage.told(Confirm("a", "1.0", actor="max", reason="looks good"))
    assert (body["outcome"], body["version"], body["actor"]) == ("passed", "1.0", "max")
    told = stage.events("ManualConfirm")[0]
    assert (told.tier, told.version, told.actor, told.data["reason"]) == ("a", "1.0", "max", "looks good")
    promoted(stage, "b")


def test_what_cannot_be_confirmed_says_why(stage: Stage) -> None:
    assert stage.refused(Confirm("a")) == (409, "tier_empty")
    assert stage.refused(Confirm("x")) == (404, "unknown_tier")
    up_to(stage, "a", "1.0")
    assert stage.refused(Confirm("a", "2.0")) == (412, "not_current")
    assert stage.refused(Confirm("mm")) == (409, "no_such_gate")
    assert stage.events("ManualConfirm") == []


def test_a_reject_closes_the_way_until_a_new_confirm(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stage.told(Confirm("a"))
    stage.told(Reject("a", reason="no"))
    assert outcome(stage) == "failed"
    assert stage.refused(Promote("b")) == (409, "gates_not_passed")
    stage.told(Confirm("a"))
    promoted(stage, "b")


def test_a_word_ends_with_the_stay_and_survives_restarts(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stage.told(Confirm("a"))
    stage.crash(stage.actor("a"))
    stage.restart()
    stage.drain()
    assert outcome(stage) == "passed"
    up_to(stage, "a", "2.0")
    assert outcome(stage) == "pending"
    stage.accepted(Rollback("a"))
    stage.finish_all()
    assert outcome(stage) == "pending", "the way back begins a new stay"


def test_a_version_that_has_left_is_judged_by_its_last_stay(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stage.told(Confirm("a"))
    up_to(stage, "a", "2.0")
    promoted(stage, "b", "1.0")
    assert stage.refused(Promote("b", "2.0")) == (409, "gates_not_passed")


def test_approvals_count_distinct_people(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1, gate("manual_confirm", min_approvals=2)), tier("b", 1)))
    up_to(stage, "a", "1.0")
    for _ in range(2):
        told = stage.told(Confirm("a", actor="max"))
        assert (told["outcome"], told["message"]) == ("pending", "1 of 2 approvals")
        assert outcome(stage) == "pending"
    told = stage.told(Confirm("a", actor="eva"))
    assert (told["outcome"], told["message"]) == ("passed", "confirmed by eva, max")
    assert outcome(stage) == "passed"


def test_burn_in_turns_green_by_its_timer_and_says_so_once(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1, HOUR), tier("b", 1)))
    up_to(stage, "a", "1.0")
    stage.advance(3599)
    assert stage.refused(Promote("b")) == (409, "gates_not_passed")
    stage.advance(2)
    stage.advance(7200)
    assert [e.data["outcome"] for e in stage.events("GateDone") if e.tier == "a"] == ["passed"]
    promoted(stage, "b")


@pytest.mark.parametrize("reboot", [False, True])
def test_burn_in_goes_on_over_restarts_and_deaths(stage_of: Callable[..., Stage], *, reboot: bool) -> None:
    stage = stage_of(topology(tier("a", 1, HOUR), tier("b", 1)))
    up_to(stage, "a", "1.0")
    stage.advance(1800)
    stage.crash(stage.actor("a"))
    stage.drain()
    stage.advance(600)
    stage.restart(reboot=reboot)
    stage.drain()
    stage.advance(1100)
    assert outcome(stage) == "pending"
    stage.advance(101)
    assert outcome(stage) == "passed"


def test_burn_in_that_is_over_while_sandod_is_down_is_told_at_start(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1, HOUR), tier("b", 1)))
    up_to(stage, "a", "1.0")
    stage.kill()
    stage.clock.advance(4000)
    stage.restart()
    stage.drain()
    stage.advance(0)
    assert outcome(stage) == "passed"
    assert len([e for e in stage.events("GateDone") if e.tier == "a"]) == 1


def test_burn_in_begins_anew_with_a_new_stay(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1, HOUR), tier("b", 1)))
    up_to(stage, "a", "1.0")
    stage.advance(3000)
    built(stage, "2.0")
    promoted(stage, "a")
    stage.advance(1000)
    assert outcome(stage) == "pending"
    stage.advance(2700)
    assert outcome(stage) == "passed"
