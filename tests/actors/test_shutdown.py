"""SIGTERM (SPEC 11): new work is refused, builds and gates are interrupted, and it says when it is idle."""

from collections.abc import Callable

import pytest

from actors.messages import (
    Confirm,
    FetchBackup,
    LockTier,
    Promote,
    Rebuild,
    Reload,
    Rollback,
    RunGate,
)
from sando.model import wire
from sando.model.answers import Told
from sando.model.operation import Status
from tests.actors.steps import built, up_to
from tests.factories import CONFIRM, SMOKE, sha, tier, topology
from tests.harness import Stage


@pytest.fixture
def stage(stage_of: Callable[..., Stage]) -> Stage:
    stage = stage_of(topology(tier("a", 1, SMOKE, CONFIRM), tier("b", 1)))
    up_to(stage, "a", "1.0")
    built(stage, "2.0")
    return stage


def test_an_idle_sandod_is_drained_at_once(stage: Stage) -> None:
    reply = stage.shut_down()
    stage.drain()
    assert reply.given == Told(wire.Drained())
    assert stage.events()[-1].type == "DaemonStopping"


def test_new_work_is_refused(stage: Stage) -> None:
    stage.accepted(Rebuild(force=True))
    stage.shut_down()
    stage.drain()
    for message in (
        Rebuild(force=True), Promote("a"), Rollback("a"), Confirm("a"), RunGate("a", "boot_smoke"),
        RunGate("mm", "cargo_test"), FetchBackup(), LockTier("a", "why"), Reload(),
    ):  # fmt: skip
        assert stage.refused(message) == (503, "draining"), message


def test_what_was_on_its_way_when_it_came_is_answered_too(stage: Stage) -> None:
    replies = [stage.tell(m) for m in (Rebuild(force=True), Promote("a"), Reload(), Promote("a", force=True))]
    stage.drain()
    stage.shut_down()
    stage.finish_all()
    assert [getattr(r.given, "code", None) for r in replies] == ["draining"] * 3 + ["draining"]
    assert [o.kind for o in stage.store.unfinished()] == []


def test_a_build_is_interrupted_and_built_by_the_next_start(stage: Stage) -> None:
    stage.world.push(sha(9), "9.0")
    operation = stage.accepted(Rebuild()).id
    reply = stage.shut_down()
    stage.drain()
    assert reply.given is None
    stage.finish_all()
    assert reply.given is not None
    assert stage.operation(operation).status is Status.INTERRUPTED
    for _ in range(3):
        stage.restart()
        stage.drain()
        stage.shut_down()
        stage.finish_all()
    stage.restart()
    stage.finish_all()
    assert stage.tier("mm")["current_version"] == "9.0", "stopping it often is no reason to give up"


def test_a_build_that_ended_in_that_instant_begins_no_gates(stage: Stage) -> None:
    stage.world.push(sha(9), "9.0")
    operation = stage.accepted(Rebuild()).id
    job = stage.runner.one(f"build/{operation}")
    stage.shut_down()
    stage.drain()
    job.token.__init__()  # type: ignore[misc]
    stage.finish_all()
    assert stage.operation(operation).status is Status.INTERRUPTED
    assert not stage.runner.running()


def test_a_fetch_is_interrupted(stage: Stage) -> None:
    operation = stage.accepted(FetchBackup()).id
    stage.shut_down()
    stage.finish_all()
    assert stage.operation(operation).status is Status.INTERRUPTED


@pytest.mark.parametrize("who", ["a", "build", "backup", "supervisor", "a-1", "journal"])
def test_an_actor_that_dies_meanwhile_does_not_keep_it(stage: Stage, who: str) -> None:
    stage.accepted(Promote("a"))
    stage.accepted(FetchBackup())
    reply = stage.shut_down()
    stage.drain()
    stage.crash(stage.actor(who))
    stage.finish_all()
    assert reply.given is not None
