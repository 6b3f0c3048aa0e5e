"""Deaths and restarts (SPEC 11): each actor comes back from the store, within a budget, and nobody waits for ever."""

import pytest

from actors.base import ActorBugError, post
from actors.messages import Confirm, FetchBackup, LockTier, Promote, Rebuild, Rollback, RunGate
from sando.model.answers import Refusal
from sando.model.operation import Status
from tests.actors.calm import check_rest
from tests.actors.steps import built, promoted, up_to
from tests.factories import sha
from tests.harness import Stage


def fail_too_often(stage: Stage, name: str) -> None:
    for _ in range(6):
        stage.crash(stage.actor(name))
        stage.drain()


@pytest.mark.parametrize("who", ["a", "mm", "b-2", "build", "backup", "journal", "supervisor"])
def test_an_actor_that_dies_comes_back_with_its_state_and_is_told_of(stage: Stage, who: str) -> None:
    up_to(stage, "a", "1.0")
    stage.crash(stage.actor(who))
    stage.finish_all()
    assert stage.tier("a")["current_version"] == "1.0"
    assert len(stage.events("ActorRestarted")) == 1
    stage.told(LockTier("b", "why"))
    check_rest(stage, [])


def test_whoever_waits_for_an_actor_that_dies_is_told_to_try_again(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    replies = [
        stage.tell(m) for m in (Confirm("a"), Rollback("a"), RunGate("a", "x"), Promote("a", force=True))
    ]
    for name in ("root", "supervisor"):
        actor = stage.actor(name)
        for _ in range(len(replies)):
            if not actor.actor_inbox.empty():
                stage.handle(actor)
    stage.crash(stage.actor("a"), instead=True)
    stage.crash(stage.actor("mm"), instead=True)
    stage.drain()
    codes = [getattr(r.given, "code", None) for r in replies]
    assert codes == ["restarting", "restarting", "unknown_gate", "restarting"]


def test_what_was_committed_is_answered_though_the_journal_dies(stage: Stage) -> None:
    reply = stage.tell(LockTier("a", "why"))
    while stage.actor("journal").actor_inbox.empty():
        stage.step()
    stage.crash(stage.actor("journal"), instead=True)
    assert getattr(reply.given, "status", None) == 200


def test_an_actor_that_was_told_to_stop_does_nothing_more(stage: Stage) -> None:
    """Its inbox would be handled to the end beside its successor, on the same rows."""
    up_to(stage, "a", "1.0", "2.0")
    message = Rollback("a")
    post(stage.actor("a").actor_ref, message)
    stage.crash(stage.actor("supervisor"))
    stage.drain()
    assert getattr(message.reply.given, "code", None) == "restarting"
    assert stage.tier("a")["current_version"] == "2.0"
    assert stage.store.operations(kind="rollback") == []


def test_a_node_that_dies_lets_go_of_its_connection(stage: Stage) -> None:
    node = stage.actor("a-1")
    stage.crash(node)
    stage.drain()
    assert node.link.closed
    assert not stage.actor("a-1").link.closed


def test_a_child_that_was_stopped_hands_on_its_job(stage: Stage) -> None:
    built(stage, "1.0")
    operation = stage.accepted(Promote("a")).id
    for _ in range(3):
        stage.crash(stage.actor("supervisor"))
        stage.drain()
        stage.advance(61)
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    check_rest(stage, [])


def test_a_tier_over_its_budget_is_parked_and_refuses_with_the_reason(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    fail_too_often(stage, "a")
    for message in (Promote("a", force=True), Rollback("a"), Confirm("a"), RunGate("a", "x"), Promote("b")):
        answer = stage.answer(message)
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (503, "degraded")
        assert "injected" in answer.detail
    assert stage.tier("a")["status"] == "degraded"
    assert stage.tier("a")["current_version"] == "1.0"
    assert stage.died == []
    stage.restart()
    stage.drain()
    assert stage.tier("a")["status"] == "steady"
    promoted(stage, "b")


def test_a_build_does_not_wait_for_a_build_tier_that_is_parked(stage: Stage) -> None:
    stage.world.push(sha(1), "1.0")
    operation = stage.accepted(Rebuild()).id
    fail_too_often(stage, "mm")
    stage.finish_all()
    row = stage.operation(operation)
    assert row.status is Status.ERRORED
    assert "parked" in str(row.error)


def test_a_deploy_does_not_wait_for_the_word_of_a_tier_that_is_parked(stage: Stage) -> None:
    built(stage, "1.0")
    operation = stage.accepted(Promote("a")).id
    fail_too_often(stage, "mm")
    stage.finish_all()
    row = stage.operation(operation)
    assert row.status is Status.FAILED
    assert "parked" in str(row.error)


def test_a_backup_over_its_budget_is_parked(stage: Stage) -> None:
    fail_too_often(stage, "backup")
    assert stage.refused(FetchBackup()) == (503, "degraded")
    assert stage.died == []


@pytest.mark.parametrize("who", ["build", "supervisor", "journal"])
def test_without_these_there_is_no_daemon(stage: Stage, who: str) -> None:
    for _ in range(5):
        stage.crash(stage.actor(who))
        stage.drain()
    assert stage.died == []
    stage.crash(stage.actor(who))
    stage.drain()
    assert len(stage.died) == 1
    assert who in stage.died[0]


def test_deaths_that_lie_apart_are_within_the_budget(stage: Stage) -> None:
    for who in ("build", "a", "journal", "supervisor") * 4:
        stage.crash(stage.actor(who))
        stage.drain()
        stage.advance(16)
    assert stage.died == []
    assert stage.tier("a")["status"] == "empty"


def test_a_parked_tier_is_shown_though_the_store_was_away_when_it_was_parked(stage: Stage) -> None:
    for _ in range(5):
        stage.crash(stage.actor("a"))
        stage.drain()
    stage.crash(stage.actor("a"))
    stage.store.away = 4
    stage.drain()
    stage.advance(10)
    assert stage.tier("a")["status"] == "degraded"


def test_a_bug_right_after_a_commit_loses_nothing_of_it(stage: Stage) -> None:
    """Committed, and nothing posted: whatever should have followed is found in the store."""
    for nth in range(1, 40):
        stage.world.push(sha(nth), f"{nth}.0")
        stage.tell(Rebuild())
        stage.drain()
        stage.store.bug_after = nth
        stage.finish_all()
        stage.tell(Promote("a"))
        stage.finish_all()
        stage.store.bug_after = 0
        stage.advance(65)
        stage.finish_all()
        assert stage.tier("mm")["current_version"] == f"{nth}.0"
    check_rest(stage, [])


def test_a_bug_is_named_by_its_actor(stage: Stage) -> None:
    with pytest.raises(ActorBugError, match="a: TypeError"):
        stage.actor("a").on_receive(object())
