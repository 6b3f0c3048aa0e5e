"""A question that stays open while what it is about goes on: its plan is asked for anew, and never for nothing."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from sando.client.shapes import NodeReport, Problem
from tests.tui.samples import (
    BACK,
    BLOCKED,
    MM,
    NOON,
    PLAN,
    RUNNING,
    STATE,
    A,
    B,
    after,
    asked,
    on,
    played,
    seen,
    text_of,
)
from tui.model.effects import AskPlan, Send
from tui.model.messages import Arrived, Planned

BUSY = replace(STATE, tiers=(MM, replace(A, operation=44, status="deploying"), B))
HELD = replace(
    BACK, ready=False, code="tier_busy", detail="promote 44 of 0.8.4 by max runs on tier a (step preflight)"
)
AGAIN = AskPlan(1, "rollback", "a", "0.8.2")


@pytest.fixture
def blocked():
    """A rollback that waits for the promotion before it."""
    return asked(after(on("a", state=BUSY), Arrived(BUSY, (RUNNING,))), "R", HELD)


def test_another_step_of_what_is_in_the_way_is_asked_for_once(blocked):
    further = replace(RUNNING, step="switch")
    screen, wanted = played(blocked, Arrived(None, (further,)), Arrived(None, (further,)))
    assert wanted == [AGAIN]
    told = after(screen, Planned(1, (), replace(HELD, detail="promote 44 runs on tier a (step switch)")))
    assert "(step switch)" in text_of(told)
    assert played(told, Arrived(None, (further,)))[1] == []


def test_a_node_that_is_further_is_another_plan(blocked):
    assert played(blocked, Arrived(None, (replace(RUNNING, nodes=(NodeReport("a-1", "switched"),)),)))[1] == [
        AGAIN
    ]


def test_what_ends_while_a_plan_is_under_way_is_asked_for_with_the_next_state(blocked):
    screen, wanted = played(blocked, Arrived(None, (replace(RUNNING, step="switch"),)), Arrived(STATE))
    assert wanted == [AGAIN]
    assert played(screen, Planned(1, (), HELD), Arrived(None))[1] == [AGAIN]


def test_the_end_of_what_was_in_the_way_makes_the_act_possible(blocked):
    screen, wanted = played(blocked, Arrived(STATE))
    assert wanted == [AGAIN]
    free = seen(after(screen, Planned(1, (), BACK)))
    assert "runs on tier a" not in text_of(free)
    assert [e for e in played(free, "y")[1] if isinstance(e, Send)]


OTHERS = {
    "the tier that versions come from": (("p", PLAN), replace(STATE, tiers=(replace(MM, current_version="0.8.5"), A, B)), True),
    "another tier": (("p", PLAN), replace(STATE, tiers=(MM, A, replace(B, lock=None))), False),
    "a clock": (("p", PLAN), replace(STATE, tiers=(MM, replace(A, gates=tuple(
        replace(g, elapsed_s=1.0, ready_at=NOON + timedelta(hours=1)) if g.kind == "burn_in" else g for g in A.gates)), B)), False),
    "the tier after, of a confirmation": (("c", BLOCKED), replace(STATE, tiers=(MM, A, replace(B, lock=None))), True),
}  # fmt: skip


@pytest.mark.parametrize(("question", "state", "again"), OTHERS.values(), ids=OTHERS)
def test_only_what_the_plan_hangs_on_has_it_asked_for_again(question, state, again):
    key, plan = question
    screen = asked(on("a"), key, plan)
    assert len(played(screen, Arrived(STATE))[1]) == 0
    assert len(played(screen, Arrived(state))[1]) == int(again)


@pytest.mark.parametrize(("status", "stays"), [(0, True), (503, True), (404, False)])
def test_a_plan_that_cannot_be_had_now_leaves_the_one_before_and_is_asked_for_again(blocked, status, stays):
    told = after(blocked, Arrived(STATE), Planned(1, problem=Problem(status, "restarting", "ask again")))
    assert ("(step preflight)" in text_of(told)) is stays
    assert played(told, Arrived(None))[1] == ([AGAIN] if stays else [])
