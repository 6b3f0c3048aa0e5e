"""A full disk or a locked store (SPEC 11): commands are refused and nothing has changed, facts are kept."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import (
    AbortOperation,
    Confirm,
    FetchBackup,
    LockTier,
    Promote,
    Rebuild,
    Reject,
    Reload,
    Rollback,
    RunGate,
    UnlockTier,
)
from sando.model.operation import Status
from tests.actors.calm import check_rest
from tests.actors.steps import built, up_to
from tests.factories import CONFIRM, SMOKE, sha, tier, topology
from tests.harness import Stage


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    stage = stage_of(topology(tier("a", 1, SMOKE, CONFIRM), tier("b", 1)))
    up_to(stage, "a", "1.0", "2.0")
    stage.world.push(sha(9), "9.0")
    return stage


COMMANDS: list[Any] = [
    Rebuild, lambda: Rebuild(sha(1)), lambda: Promote("a", "1.0", force=True), lambda: Rollback("a"),
    lambda: Rollback("mm"), lambda: Confirm("a"), lambda: Reject("a"), lambda: RunGate("a", "boot_smoke"),
    lambda: RunGate("mm", "cargo_test"), FetchBackup, lambda: LockTier("a", "why"), lambda: UnlockTier("b"), Reload,
]  # fmt: skip


@pytest.mark.parametrize("make", COMMANDS)
@pytest.mark.parametrize("reads_too", [False, True])
def test_a_command_is_refused_and_nothing_has_changed(stage: Stage, make: Any, *, reads_too: bool) -> None:
    stage.told(LockTier("b", "held"))
    before = (stage.events(), stage.store.operations(), stage.store.tier("a"), stage.store.tier("mm"))
    stage.store.away, stage.store.reads_too = -1, reads_too
    command = make()
    reply = stage.tell(command)
    stage.finish_all("lookup/", "verify/", "reload/")
    given = reply.given
    stage.store.away = 0
    assert given is not None
    assert getattr(given, "code", None) == "store_unavailable"
    assert getattr(given, "status", None) == 503
    assert (stage.events(), stage.store.operations(), stage.store.tier("a"), stage.store.tier("mm")) == before
    stage.advance(5)
    assert not stage.runner.running("node/")
    assert stage.actor("build").flight is None
    stage.finish_all()
    check_rest_but_tip(stage)


def check_rest_but_tip(stage: Stage) -> None:
    stage.advance(70)
    stage.finish_all()
    check_rest(stage, [])


def test_the_end_of_a_build_is_kept_and_stored_when_it_is_possible_again(stage: Stage) -> None:
    operation = stage.accepted(Rebuild()).id
    stage.store.away = -1
    stage.finish(f"build/{operation}")
    stage.advance(30)
    assert stage.operation(operation).step == "build"
    stage.store.away = 0
    stage.advance(2)
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    check_rest_but_tip(stage)


@pytest.mark.parametrize("at", range(6))
def test_a_deploy_goes_on_where_the_store_was_away(stage: Stage, at: int) -> None:
    built(stage, "3.0")
    operation = stage.accepted(Promote("a")).id
    for n in range(30):
        stage.drain()
        jobs = stage.runner.running()
        if not jobs:
            break
        if n == at:
            stage.store.away = 2
        stage.runner.finish(jobs[0])
        stage.advance(5)
    assert stage.operation(operation).status is Status.SUCCEEDED
    assert stage.world.node("a", "a-1").current == "3.0"
    check_rest_but_tip(stage)


def test_a_build_that_waits_is_not_lost_when_its_start_cannot_be_saved(stage: Stage) -> None:
    first = stage.accepted(Rebuild()).id
    stage.world.push(sha(10), "10.0")
    second = stage.accepted(Rebuild()).id
    stage.runner.finish(f"build/{first}")
    while stage.actor("build").flight is not None:
        stage.step()
    stage.store.away = 3
    stage.drain()
    assert stage.operation(second).status is Status.QUEUED
    stage.advance(10)
    stage.finish_all()
    assert stage.operation(second).status is Status.SUCCEEDED


def test_a_push_that_was_refused_takes_nothing_from_what_builds_and_waits(stage: Stage) -> None:
    first = stage.accepted(Rebuild()).id
    stage.world.push(sha(10), "10.0")
    second = stage.accepted(Rebuild()).id
    stage.store.away = 1
    stage.world.push(sha(11), "11.0")
    assert stage.refused(Rebuild()) == (503, "store_unavailable")
    stage.finish_all()
    assert stage.operation(first).superseded_by == second
    assert stage.operation(second).status is Status.SUCCEEDED
    stage.advance(61)
    stage.finish_all()
    assert stage.tier("mm")["current_version"] == "11.0", "the push is found within the minute"


def test_an_abort_that_was_refused_aborts_nothing(stage: Stage) -> None:
    operation = stage.accepted(Rebuild()).id
    stage.store.away = 1
    assert stage.refused(AbortOperation(operation)) == (503, "store_unavailable")
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED


def test_an_actor_that_cannot_read_its_state_at_birth_does_nothing_until_it_can(stage: Stage) -> None:
    operation = stage.accepted(Promote("a", force=True)).id
    stage.store.away, stage.store.reads_too = -1, True
    stage.crash(stage.actor("a"))
    reply = stage.tell(Rollback("a"))
    stage.drain()
    assert getattr(reply.given, "code", None) == "store_unavailable"
    stage.store.away = 0
    stage.advance(5)
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    check_rest_but_tip(stage)


def test_what_was_committed_is_answered_also_when_the_journal_cannot_read(stage: Stage) -> None:
    stage.store.reads_too = True
    reply = stage.tell(LockTier("a", "why"))
    while not stage.events("Locked"):
        stage.step()
    stage.store.away = 2
    stage.drain()
    assert reply.given is None
    stage.advance(5)
    assert getattr(reply.given, "status", None) == 200


def test_a_lock_that_ends_while_the_store_is_away_ends_later(stage: Stage) -> None:
    stage.told(LockTier("a", "why", stage.clock().at + timedelta(seconds=10)))
    stage.store.away = 3
    stage.advance(11)
    assert stage.events("Unlocked") == []
    stage.advance(5)
    assert [e.tier for e in stage.events("Unlocked")] == ["a"]


def test_sandod_stops_also_when_the_store_is_away(stage: Stage) -> None:
    stage.store.away = -1
    reply = stage.shut_down()
    stage.drain()
    assert getattr(reply.given, "status", None) == 200


def test_a_topology_that_is_told_again_later_does_not_bring_back_the_old_one(stage: Stage) -> None:
    base, replies = stage.world.running, []
    for tiers in ((*base.tiers, tier("c", 1)), base.tiers):
        stage.world.declared = replace(base, tiers=tiers)
        reply = stage.tell(Reload(force=True))
        while not stage.runner.running("reload/"):
            stage.step()
        stage.runner.finish("reload/")
        supervisor = stage.actor("supervisor")
        stage.handle(supervisor)
        stage.store.away, stage.store.reads_too = 1, True
        while stage.store.away:
            stage.handle(stage.actor("journal"))
        replies.append(reply)
        stage.drain()
    stage.advance(5)
    assert stage.board.latest is not None
    assert [t["name"] for t in stage.board.latest.state["tiers"]] == ["mm", "a", "b"]
    assert all(r.given is not None for r in replies)
