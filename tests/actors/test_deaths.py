"""Each actor dies a hundred times, also while its job runs: it is back at once, its job adopted, the others untouched."""

import random
from typing import Any

import pytest

from actors.base import HANG_S, ROUND_S
from actors.messages import FetchBackup, Promote, Rebuild, Tick
from sando.model.events import Event
from sando.model.operation import Status
from tests.actors.calm import check_rest
from tests.actors.steps import up_to
from tests.factories import sha
from tests.harness import InjectedBugError, Stage

DEATHS = 100
APART_S = 61.0 / 5
"""Seconds between two deaths that stay within the budget of five in a minute."""


class InjectedExitError(SystemExit, InjectedBugError):
    """What a library that calls sys.exit would raise."""


class InjectedInterruptError(KeyboardInterrupt, InjectedBugError):
    """What Ctrl-C would raise, if it came to a thread of ours."""


class Hang:
    """No exception at all: the handler does not return, or does so long after the actor was replaced."""


KINDS = (InjectedBugError, InjectedExitError, InjectedInterruptError, Hang)
WHO = ("a", "mm", "b-2", "a-1", "build", "backup", "journal", "supervisor")


def strike(stage: Stage, name: str, kind: type) -> None:
    """The next message that the actor handles ends it; the message is one that does nothing."""
    actor = stage.actor(name)
    if kind is Hang:
        return hang(stage, actor)

    def bug(_message: Any) -> None:
        raise kind(f"{name}: injected")

    actor.handle = bug
    actor.actor_ref.tell(Tick("strike"))
    while not actor.actor_stopped.is_set():
        assert stage.step()
    return None


def hang(stage: Stage, actor: Any) -> None:
    """Its handler does not return until it is replaced; then it goes on and wants to save, which `wake` would see."""

    def late(_message: Any) -> None:
        stage.site.store.save(Event("Locked", stage.clock().at, tier="a", actor="a ghost"))

    actor.handle = late
    stage.drain()
    begun = stage.timer.at
    sleeper = stage.sleep(actor, Tick("strike"))
    assert sleeper.asleep
    while not actor.life.over:
        assert stage.timer.at - begun < HANG_S + 2 * ROUND_S
        stage.timer.to_next()
        stage.drain()
    assert stage.timer.at - begun >= HANG_S
    sleeper.wake()
    assert not [e for e in stage.events("Locked") if e.actor == "a ghost"]


def below(stage: Stage, name: str) -> set[Any]:
    """The actor, and those that it owns: they go with it."""
    found = {stage.actor(name)}
    while True:
        refs = {ref.actor_urn for actor in found for ref in actor.children.values()}
        more = {a for a in stage.actors if a.actor_urn in refs} - found
        if not more:
            return found
        found |= more


@pytest.mark.campaign
@pytest.mark.parametrize("who", WHO)
def test_an_actor_killed_a_hundred_times_is_back_at_once_and_the_others_are_the_same(
    stage: Stage, who: str
) -> None:
    up_to(stage, "b", "1.0")
    chance = random.Random(who)
    for death in range(DEATHS):
        gone = below(stage, who)
        others = set(stage.actors) - gone
        at, kind = stage.timer.at, chance.choice(KINDS)
        strike(stage, who, kind)
        at = stage.timer.at if kind is Hang else at
        stage.drain()
        assert stage.timer.at == at, "no time had to pass"
        assert stage.actor(who) not in gone
        assert stage.actor(who).begun
        assert others <= set(stage.actors)
        assert len(stage.events("ActorRestarted")) == death + 1
        stage.advance(APART_S + 1)
    assert stage.died == []
    stage.finish_all()
    check_rest(stage, [])


BUSY = {
    "a": ("node/a/", lambda: Promote("a", "1.0", force=True)),
    "a-1": ("node/a/", lambda: Promote("a", "1.0", force=True)),
    "build": ("build/", lambda: Rebuild(force=True)),
    "backup": ("backup/", FetchBackup),
    "supervisor": ("node/a/", lambda: Promote("a", "1.0", force=True)),
    "mm": ("tier/mm/", lambda: Rebuild(force=True)),
}


@pytest.mark.campaign
@pytest.mark.parametrize("who", BUSY)
def test_an_actor_killed_while_its_job_runs_adopts_it_and_the_operation_succeeds(
    stage: Stage, who: str
) -> None:
    up_to(stage, "b", "1.0")
    stage.world.push(sha(50), "5.0")
    prefix, ask = BUSY[who]
    for kind in KINDS * (DEATHS // len(KINDS)):
        operation = stage.accepted(ask()).id
        until_at(stage, prefix)
        before = [j.key for j in stage.runner.running(prefix)]
        started = len(stage.runner.started)
        strike(stage, who, kind)
        stage.drain()
        assert set(before) <= {j.key for j in stage.runner.running(prefix)}, "the job goes on"
        begun = stage.runner.started[started:]
        assert not set(begun) & set(before), "nothing is begun twice"
        stage.finish_all()
        assert stage.operation(operation).status is Status.SUCCEEDED
        stage.advance(APART_S + 1)
        stage.finish_all()
    assert stage.died == []
    check_rest(stage, [])


def until_at(stage: Stage, prefix: str) -> None:
    """The operation comes so far that a job of that kind runs."""
    stage.drain()
    while not stage.runner.running(prefix):
        stage.runner.finish(stage.runner.running()[0])
        stage.drain()


@pytest.mark.parametrize("who", ["build", "supervisor", "journal"])
def test_over_the_budget_the_daemon_ends_with_a_line_that_says_why(stage: Stage, who: str) -> None:
    for _ in range(6):
        strike(stage, who, InjectedExitError)
        stage.drain()
    assert len(stage.died) == 1
    assert stage.died[0] == f"{who} failed too often: {who}: InjectedExitError: {who}: injected"
