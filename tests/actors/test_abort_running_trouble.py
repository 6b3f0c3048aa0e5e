"""A rollback that stops a promotion first, in trouble: nodes, the store, actors and the daemon may fail around it (SPEC 7, 11)."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from actors.messages import Rollback
from sando.model.operation import Status
from tests.actors.steps import LOST, RED, running, step, up_to
from tests.actors.stopping import (
    ON_FAILURE,
    WHOLE,
    ended,
    halfway,
    on_its_way,
    stopped,
    types,
    up_to_the_end_of_the_promotion,
)
from tests.factories import nodes, tier, topology
from tests.harness import Stage


@pytest.fixture(params=ON_FAILURE)
def stage(request: pytest.FixtureRequest, stage_of: Callable[..., Stage]) -> Stage:
    """Tier b is on 2.0, 1.0 before; 3.0 has come to one of its three nodes and is being switched on the second."""
    return halfway(stage_of, request.param)


# -- when it goes wrong --------------------------------------------------------------------------------------


def test_a_node_that_does_not_come_back_makes_it_fail_and_whoever_waits_is_told(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("b", 3, on_failure="halt")))
    up_to(stage, "b", "1.0", "2.0")
    on_its_way(stage, "3.0")
    rollback = stopped(stage)
    step(stage, "b-2", "switch")
    step(stage, "b-2", "start")
    stage.finish_all("preflight")
    step(stage, "b-1", "switch", RED)
    stage.finish_all()
    assert stage.operation(rollback.id).status is Status.FAILED
    assert types(stage, rollback.id) == ["DeployStart", "DeployFailed", "RollbackFailed"]
    assert stage.tier("b")["status"] == "mixed"


def test_a_node_that_the_promotion_lost_is_not_passed_over(stage_of: Callable[..., Stage]) -> None:
    stage = stage_of(topology(tier("b", 3)))
    up_to(stage, "b", "1.0", "2.0")
    on_its_way(stage, "3.0")
    rollback = stopped(stage)
    step(stage, "b-2", "switch", LOST)
    while stage.operation(rollback.id).status is Status.QUEUED:
        for job in stage.runner.running():
            stage.runner.finish(job, LOST if "/b-2/" in job.key else None)
        stage.drain()
    assert running(stage) == ["b-2/preflight"]
    step(stage, "b-2", "preflight", LOST)
    assert stage.operation(rollback.id).status is Status.RUNNING, "its link is asked for"
    step(stage, "b-2", "observe", LOST)
    assert stage.operation(rollback.id).status is Status.FAILED
    assert stage.tier("b")["status"] == "degraded"


def test_a_way_that_is_gone_when_the_promotion_has_ended_is_told_once(stage: Stage) -> None:
    mm, b = stage.world.running.tiers
    rollback = stopped(stage)
    stage.kill()
    stage.world.declared = replace(stage.world.running, tiers=(mm, replace(b, nodes=nodes("b", 3, out=True))))
    stage.restart()
    assert ended(stage, rollback)[1] is Status.FAILED
    assert "every node of tier b is left out" in str(stage.operation(rollback.id).error)
    assert types(stage, rollback.id) == ["RollbackFailed"]


def test_a_tier_that_the_file_names_no_more_ends_it(stage: Stage) -> None:
    mm, _ = stage.world.running.tiers
    rollback = stopped(stage)
    stage.world.declared = replace(stage.world.running, tiers=(mm, tier("c", 1)))
    stage.restart()
    stage.finish_all()
    assert stage.operation(rollback.id).status is Status.INTERRUPTED
    assert types(stage, rollback.id) == ["RollbackFailed"]


def test_what_the_store_does_not_take_is_not_accepted(stage: Stage) -> None:
    stage.store.away = 1
    assert stage.refused(Rollback("b", abort_running=True)) == (503, "store_unavailable")
    stage.finish_all()
    assert stage.tier("b")["current_version"] == "3.0"
    assert not stage.store.operations(kind="rollback")


# -- over restarts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reboot", [False, True])
def test_it_is_not_lost_with_the_daemon(stage: Stage, *, reboot: bool) -> None:
    rollback = stopped(stage)
    stage.restart(reboot=reboot)
    promotion, now = ended(stage, rollback)
    assert promotion in {Status.ABORTED, Status.INTERRUPTED}
    assert now is Status.SUCCEEDED
    assert stage.world.links("b") == WHOLE
    assert stage.tier("b")["current_version"] == "2.0"


def test_a_promotion_that_is_found_on_its_target_is_stepped_back_from(stage: Stage) -> None:
    rollback = stopped(stage)
    for name in WHOLE:
        stage.world.node("b", name).current = "3.0"
    stage.restart()
    assert ended(stage, rollback) == (Status.SUCCEEDED, Status.SUCCEEDED)
    assert stage.world.links("b") == WHOLE
    assert stage.tier("b")["marked_bad"] == ["3.0"]


def test_a_shutdown_leaves_it_for_the_next_start(stage: Stage) -> None:
    rollback = stopped(stage)
    stage.shut_down()
    stage.finish_all()
    assert stage.operation(rollback.id).status is Status.QUEUED
    stage.restart()
    assert ended(stage, rollback)[1] is Status.SUCCEEDED
    assert stage.world.links("b") == WHOLE


@pytest.mark.campaign
@pytest.mark.parametrize("who", ["b", "b-1", "b-2", "supervisor", "journal"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_it_survives_the_death_of_an_actor(stage: Stage, who: str, after: int) -> None:
    rollback = stopped(stage)
    for _ in range(after):
        for job in stage.runner.running()[:1]:
            stage.runner.finish(job)
    stage.crash(stage.actor(who))
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
    assert stage.world.links("b") == WHOLE


def test_it_survives_a_death_between_the_end_of_the_promotion_and_its_own_beginning(stage: Stage) -> None:
    rollback = stopped(stage)
    up_to_the_end_of_the_promotion(stage, rollback)
    assert stage.operation(rollback.id).status is Status.QUEUED
    assert stage.store.unfinished("b") == [stage.operation(rollback.id)]
    stage.crash(stage.actor("b"), instead=True)
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
    assert stage.world.links("b") == WHOLE


def test_a_store_that_is_away_when_it_would_begin_only_delays_it(stage: Stage) -> None:
    rollback = stopped(stage)
    up_to_the_end_of_the_promotion(stage, rollback)
    stage.store.away = 1
    stage.finish_all()
    assert stage.operation(rollback.id).status is Status.QUEUED
    stage.advance(1.5)
    assert ended(stage, rollback) == (Status.ABORTED, Status.SUCCEEDED)
