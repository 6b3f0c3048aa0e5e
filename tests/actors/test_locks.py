"""Hand-taken locks (SPEC 10): they block promotions alone, survive restarts, and end by themselves."""

from datetime import timedelta

from actors.messages import LockTier, Promote, Rebuild, Rollback, UnlockTier
from sando.model.operation import Status
from tests.actors.steps import built, promoted, up_to
from tests.factories import sha
from tests.harness import Stage


def test_a_lock_blocks_promotions_and_neither_rollbacks_nor_builds(stage: Stage) -> None:
    up_to(stage, "a", "1.0", "2.0")
    stage.told(LockTier("a", "audit", actor="eva"))
    assert stage.refused(Promote("a", "1.0")) == (423, "locked")
    assert stage.tier("a")["lock"]["actor"] == "eva"
    operation = stage.accepted(Rollback("a"))
    stage.world.push(sha(9), "9.0")
    stage.accepted(Rebuild())
    stage.finish_all()
    assert stage.operation(operation.id).status is Status.SUCCEEDED
    assert stage.tier("mm")["current_version"] == "9.0"


def test_a_lock_of_another_person_is_lifted_first(stage: Stage) -> None:
    stage.told(LockTier("a", "audit", actor="eva"))
    assert stage.refused(LockTier("a", "mine", actor="max")) == (423, "locked")
    stage.told(LockTier("a", "a longer audit", actor="eva"))
    assert stage.told(UnlockTier("a", actor="max"))["unlocked"] == ["a"]
    assert stage.told(UnlockTier("a", actor="max"))["unlocked"] == []
    assert [e.type for e in stage.events("Locked", "Unlocked")] == ["Locked", "Locked", "Unlocked"]


def test_two_people_without_names_do_not_overwrite_each_others_lock(stage: Stage) -> None:
    stage.told(LockTier("a", "migrating by hand"))
    assert stage.refused(LockTier("a", "just looking")) == (423, "locked")
    end = stage.clock().at + timedelta(hours=1)
    stage.told(LockTier("a", "migrating by hand", end))
    assert stage.store.locks()[0].expires == end


def test_all_locks_every_tier_and_lifts_every_lock(stage: Stage) -> None:
    assert stage.told(LockTier("all", "holidays"))["locked"] == ["mm", "a", "b"]
    built(stage, "1.0")
    assert stage.refused(Promote("a")) == (423, "locked")
    assert stage.told(UnlockTier("all"))["unlocked"] == ["mm", "a", "b"]
    promoted(stage, "a")


def test_a_lock_of_an_unknown_tier_or_of_the_past_is_refused(stage: Stage) -> None:
    assert stage.refused(LockTier("x", "why")) == (404, "unknown_tier")
    past = stage.clock().at - timedelta(seconds=1)
    assert stage.refused(LockTier("a", "why", past)) == (422, "bad_field")


def test_a_lock_with_an_end_lifts_itself_and_tells(stage: Stage) -> None:
    built(stage, "1.0")
    stage.told(LockTier("a", "an hour", stage.clock().at + timedelta(hours=1)))
    stage.told(LockTier("b", "two hours", stage.clock().at + timedelta(hours=2)))
    stage.advance(3599)
    assert stage.refused(Promote("a")) == (423, "locked")
    stage.advance(2)
    assert [(e.tier, e.actor) for e in stage.events("Unlocked")] == [("a", "sandod")]
    assert stage.tier("a")["lock"] is None
    promoted(stage, "a")
    stage.advance(3600)
    assert [e.tier for e in stage.events("Unlocked")] == ["a", "b"]


def test_locks_survive_a_restart_and_those_that_are_over_by_then_are_lifted(stage: Stage) -> None:
    stage.told(LockTier("a", "an hour", stage.clock().at + timedelta(hours=1)))
    stage.told(LockTier("b", "for ever"))
    stage.kill()
    stage.clock.advance(7200)
    stage.restart(reboot=True)
    stage.drain()
    assert stage.tier("a")["lock"] is None
    assert stage.tier("b")["lock"]["reason"] == "for ever"
    stage.crash(stage.actor("supervisor"))
    stage.drain()
    assert stage.refused(LockTier("b", "mine", actor="max")) == (423, "locked")
