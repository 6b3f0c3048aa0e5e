"""Freeze windows as time passes (SPEC 10): told in /state, asked at the start of a deploy, and of nothing that runs."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from actors.messages import Promote, Rollback
from sando.model.answers import Refusal
from sando.model.operation import Status
from sando.model.topology import FreezeSpec
from tests.actors.steps import built, promoted
from tests.factories import tier, topology
from tests.harness import Stage

NIGHT = FreezeSpec(tiers=("a",), days=(), start_min=13 * 60, end_min=26 * 60)
"""From 13:00 to 02:00 UTC; a stage's clock begins at noon."""


def frozen(stage: Stage, name: str = "a") -> Any:
    told = stage.tier(name)["freeze"]
    return told and told["until"]


@pytest.mark.campaign
def test_state_tells_a_freeze_while_it_holds_and_until_when(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("a", 1), tier("b", 1), freezes=(NIGHT,)))
    until = (stage.clock().at + timedelta(hours=14)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert frozen(stage) is None
    stage.advance(3600 + 60)  # nothing is committed meanwhile; a minute later at the most it is told
    assert (frozen(stage), frozen(stage, "b")) == (until, None)
    etag = stage.board.latest.etag
    stage.advance(3600)
    assert stage.board.latest.etag == etag, "only the time has changed"
    stage.advance(12 * 3600)
    assert frozen(stage) is None
    assert stage.board.latest.etag != etag


@pytest.mark.campaign
def test_a_deploy_that_began_before_the_freeze_finishes_and_the_next_one_waits(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("a", 1), tier("b", 1), freezes=(NIGHT,)))
    built(stage, "1.0")
    promoted(stage, "a")
    built(stage, "2.0")
    operation = stage.accepted(Promote("a"))
    stage.advance(2 * 3600)
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    built(stage, "3.0")
    answer = stage.answer(Promote("a"))
    assert isinstance(answer, Refusal)
    assert (answer.status, answer.code) == (423, "frozen")
    assert "until 2026-11-24T02:00:00.000Z" in answer.detail
    promoted(stage, "b", version="2.0")
    back = stage.accepted(Rollback("a"))
    stage.finish_all()
    assert stage.operation(back.id).status is Status.SUCCEEDED
    stage.advance(12 * 3600)
    promoted(stage, "a", version="3.0")
