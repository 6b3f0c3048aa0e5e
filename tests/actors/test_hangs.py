"""An actor that hangs: it is noticed, deposed and replaced, whoever waits is told, and what it does later counts for nothing."""

import threading
from typing import Any

import pytest

from actors.base import HANG_S, ROUND_S, post
from actors.messages import Begin, Confirm, FetchBackup, LookAfter, Promote, Publish, Rollback, Tick
from actors.messages.lives import DeposedError, Life, acting
from sando.model.answers import Accepted
from sando.model.operation import Status
from tests.actors.calm import check_rest
from tests.actors.steps import up_to
from tests.harness import Stage
from tests.sleeper import Sleeper

NOTICED_S = HANG_S + 2 * ROUND_S
LONG = 60.0


def code(message: Any) -> str | None:
    return getattr(message.reply.given, "code", None)


def sent(stage: Stage, name: str, message: Any) -> Any:
    """The message, in the inbox of this actor; nothing is handled."""
    post(stage.actor(name).actor_ref, message)
    return message


def stuck(stage: Stage, name: str, message: Any = None) -> Sleeper:
    """It hangs with this in hand, and has done nothing for it."""
    stage.drain()
    actor = stage.actor(name)
    actor.handle = lambda _message: stage.site.store.save()
    sleeper = stage.sleep(actor, message or Tick("strike"))
    assert sleeper.asleep
    return sleeper


def restarts(stage: Stage) -> list[str]:
    return [str(e.data["error"]) for e in stage.events("ActorRestarted")]


# -- who waits -----------------------------------------------------------------------------------------------------


def test_whoever_waits_for_an_actor_that_hangs_is_told_to_try_again(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    held = Promote("a", force=True)
    stage.tell(held)
    stage.drain()
    stage.runner.one("/verify/")
    in_hand = stuck(stage, "a", Rollback("a"))
    behind = sent(stage, "a", Confirm("a"))
    stage.advance(NOTICED_S)
    assert [code(m) for m in (held, in_hand.message, behind)] == ["restarting"] * 3
    in_hand.wake()
    stage.finish_all()
    stage.accepted(Promote("a", force=True))
    stage.finish_all()
    check_rest(stage, [])


def test_what_is_sent_to_the_old_address_is_answered_as_well(stage: Stage) -> None:
    sleeper = stuck(stage, "a")
    stage.advance(NOTICED_S)
    late = Confirm("a")
    assert not post(sleeper.actor.actor_ref, late)
    assert code(late) == "restarting"


def test_what_is_committed_is_answered_though_the_journal_hangs(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stuck(stage, "journal")
    answer = Accepted(stage.store.operations(limit=1)[0])
    told = sent(stage, "journal", Publish(Confirm("a").reply, answer))
    stage.advance(NOTICED_S)
    assert told.reply.given == answer


def test_a_hang_is_told_with_what_hangs_and_in_what(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stuck(stage, "a", Rollback("a"))
    stage.advance(NOTICED_S)
    told = stage.events("ActorRestarted")
    assert [(e.tier, e.data["actor"]) for e in told] == [("a", "tier")]
    assert restarts(stage)[0].startswith("a: hangs, Rollback in hand for ")


# -- who hangs, and who does not -------------------------------------------------------------------------------------


def test_one_that_comes_back_in_time_goes_on_as_if_nothing_had_been(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    sleeper = stage.sleep(stage.actor("a"), Rollback("a"))
    assert sleeper.asleep
    stage.advance(HANG_S - 0.1)
    sleeper.wake()
    stage.advance(60)
    assert code(sleeper.message) == "no_previous_version"
    assert restarts(stage) == []


def test_a_machine_that_slept_for_an_hour_has_no_actor_that_hangs(stage: Stage) -> None:
    """Who had just taken a message seems to have had it for an hour."""
    sleeper = stuck(stage, "b")
    stage.clock.advance(3600)
    stage.timer.to_next()
    stage.drain()
    sleeper.wake()
    stage.advance(60)
    assert restarts(stage) == []


def test_messages_of_which_each_takes_its_time_are_no_hang(stage: Stage) -> None:
    actor = stage.actor("b")
    actor.handle = lambda _message: stage.clock.advance(HANG_S)
    for _ in range(10):
        sent(stage, "b", Tick("work"))
        stage.advance(ROUND_S)
    assert stage.actor("b") is actor


def test_one_that_hangs_in_the_middle_of_a_save_is_left_to_the_watchdog(stage: Stage) -> None:
    """What it waits for there (a disk, a lock) would hold up its successor as well."""
    life, entered, go = stage.actor("b").life, threading.Event(), threading.Event()

    def saves() -> None:
        with life.turn(Tick("strike"), stage.clock().up), acting():
            entered.set()
            go.wait(LONG)

    thread = threading.Thread(target=saves, daemon=True)
    thread.start()
    assert entered.wait(LONG)
    for _ in range(3):
        stage.clock.advance(NOTICED_S)
        stage.actor("supervisor").look_after()
    assert not life.over
    go.set()
    thread.join(LONG)
    stage.drain()
    assert restarts(stage) == []


def test_one_round_looks_after_all_and_only_parents_hear_of_it(stage: Stage) -> None:
    heard = []
    for actor in stage.actors:
        plain = actor._handle

        def noted(message: Any, name: str = actor.name, plain: Any = plain) -> None:
            heard.append((name, type(message)))
            plain(message)

        actor._handle = noted
    stage.advance(ROUND_S)
    assert sorted(heard, key=str) == [
        *((name, LookAfter) for name in ("a", "b")), ("root", Tick), ("supervisor", LookAfter)
    ]  # fmt: skip


# -- families --------------------------------------------------------------------------------------------------------


def test_a_child_that_hangs_below_a_parent_that_hangs_goes_with_it(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    node, tier = stuck(stage, "a-1"), stuck(stage, "a", Rollback("a"))
    waits = sent(stage, "a", Confirm("a"))
    stage.advance(NOTICED_S)
    assert code(waits) == "restarting"
    assert {stage.actor("a"), stage.actor("a-1")}.isdisjoint({node.actor, tier.actor})
    for sleeper in (node, tier):
        sleeper.wake()
    stage.finish_all()
    check_rest(stage, [])


def test_a_parent_that_dies_does_not_wait_for_a_child_that_hangs(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    sleeper = stuck(stage, "a", Rollback("a"))
    waits = sent(stage, "a", Confirm("a"))
    stage.crash(stage.actor("supervisor"))
    assert [code(m) for m in (sleeper.message, waits)] == ["restarting"] * 2
    stage.drain()
    assert stage.actor("a") is not sleeper.actor
    sleeper.wake()
    stage.finish_all()
    check_rest(stage, [])


def test_one_that_hangs_at_its_birth_is_replaced_as_well(stage: Stage) -> None:
    up_to(stage, "a", "1.0")
    stage.crash(stage.actor("a"))
    stage.handle(stage.actor("supervisor"))
    newborn = stage.actor("a")
    sleeper = stage.sleep(newborn)
    assert isinstance(sleeper.message, Begin)
    stage.advance(NOTICED_S)
    assert stage.actor("a") is not newborn
    assert stage.actor("a").begun
    sleeper.wake()
    stage.finish_all()
    check_rest(stage, [])


def test_a_deploy_goes_on_over_a_tier_and_a_node_that_hang_in_the_middle_of_it(stage: Stage) -> None:
    up_to(stage, "b", "1.0")
    operation = stage.accepted(Promote("b", force=True)).id
    stage.drain()
    before = [job.key for job in stage.runner.running("node/b/")]
    sleepers = [stuck(stage, name) for name in ("b-2", "b")]
    stage.advance(NOTICED_S)
    assert [job.key for job in stage.runner.running("node/b/")] == before
    stage.finish_all()
    for sleeper in sleepers:
        sleeper.wake()
    stage.finish_all()
    assert stage.operation(operation).status is Status.SUCCEEDED
    check_rest(stage, [])


def test_state_never_goes_back_to_what_a_journal_saw_that_hung(stage: Stage) -> None:
    journal = stage.actor("journal")
    plain = journal._facts

    def slowly() -> Any:
        facts = plain()
        stage.site.store.save()  # here it hangs, with the facts of now
        return facts

    journal._facts = slowly
    sleeper = stage.sleep(journal, Tick("fresh"))
    assert sleeper.asleep
    stage.advance(NOTICED_S)
    up_to(stage, "a", "1.0")
    sleeper.wake()
    assert stage.tier("a")["current_version"] == "1.0"
    check_rest(stage, [])


# -- the door --------------------------------------------------------------------------------------------------------


def test_after_the_end_of_a_life_its_thread_does_nothing_more_that_others_see(stage: Stage) -> None:
    site, life = stage.site, stage.actor("b").life
    acts = (
        site.store.save,
        lambda: site.runner.start("key", no_work, no_work),
        lambda: site.runner.adopt("key", no_work),
        lambda: site.runner.cancel("key"),
        lambda: site.runner.forget("key"),
        lambda: site.timer.after(1.0, no_work),
        lambda: site.work.adopt(None),
        lambda: post(stage.root, FetchBackup()),
        lambda: stage.actor("b").raise_child("b-9", type(stage.actor("b-1")), fresh=False),
    )
    before = dict(stage.runner.jobs)
    with life.turn(Tick("strike"), 0.0):
        assert life.end()[0] is life
        for act in acts:
            with pytest.raises(DeposedError):
                act()
    assert life.cut
    assert stage.runner.jobs == before


def no_work(*_: Any) -> None:
    """Of a job that never is."""


def test_an_end_waits_for_an_act_and_for_nothing_else() -> None:
    life, entered, go, over = Life(), threading.Event(), threading.Event(), threading.Event()
    done: list[str] = []

    def handles() -> None:
        with life.turn("message", 0.0):
            with acting():
                entered.set()
                go.wait(LONG)
                done.append("act")
            over.wait(LONG)
            done.append("rest")

    thread = threading.Thread(target=handles, daemon=True)
    thread.start()
    assert entered.wait(LONG)
    hand = life.hand
    assert hand is not None
    assert life.depose(hand) == [], "not in the middle of an act"
    go.set()
    assert life.end() == [life]
    assert done == ["act"]
    over.set()
    thread.join(LONG)
    assert done == ["act", "rest"]


def test_who_has_come_back_meanwhile_is_not_deposed() -> None:
    life = Life()
    with life.turn("first", 0.0):
        assert life.hangs(20.0, HANG_S) is None
        hand = life.hangs(25.0, HANG_S)
        assert hand is not None
    with life.turn("second", 25.0):
        assert life.depose(hand) == []
        assert not life.over
