"""Clocks that jump (SPEC 5, 8): a burn-in is neither given nor stuck, a person's word stays, and nothing takes less than no time."""

from collections.abc import Callable
from random import Random

import pytest
from msgspec.structs import replace

from actors.messages import Confirm, Promote, Rebuild
from tests.actors.steps import built, promoted, up_to
from tests.factories import CONFIRM, SMOKE, gate, sha, tier, topology
from tests.harness import Stage

HOUR, DAY = 3600.0, 86400.0


def jump(stage: Stage, seconds: float) -> None:
    """The wall clock alone."""
    now = stage.clock.now
    stage.clock.now = replace(now, at=now.plus(seconds).at)


def burning(stage_of: Callable[..., Stage], hours: float = 3.0) -> Stage:
    """1.0 has just arrived on a, where it has to stay."""
    stage = stage_of(topology(tier("a", 1, gate("burn_in", duration_s=hours * HOUR), CONFIRM), tier("b", 1)))
    up_to(stage, "a", "1.0")
    return stage


def outcome(stage: Stage, number: int = 0) -> str:
    return str(stage.tier("a")["gates"][number]["outcome"])


def passes(stage: Stage) -> int:
    return len([e for e in stage.events("GateDone") if e.data["kind"] == "burn_in"])


def elapsed(stage: Stage) -> float:
    return round(stage.store.tier("a").current.burnt(stage.clock()))  # type: ignore[union-attr]


@pytest.mark.campaign
@pytest.mark.parametrize("days", [1, 10, 5000])
def test_a_forward_jump_gives_a_burn_in_nothing(stage_of: Callable[..., Stage], days: int) -> None:
    stage = burning(stage_of)
    stage.advance(HOUR)
    jump(stage, days * DAY)
    stage.advance(2 * HOUR - 1)
    assert outcome(stage) == "pending"
    assert stage.refused(Promote("b")) == (409, "gates_not_passed")
    stage.advance(1)
    assert (outcome(stage), passes(stage)) == ("passed", 1)


@pytest.mark.campaign
@pytest.mark.parametrize("days", [1, 10, 5000])
def test_a_backward_jump_costs_a_burn_in_an_hour_at_most(stage_of: Callable[..., Stage], days: int) -> None:
    stage = burning(stage_of)
    stage.advance(2.5 * HOUR)
    jump(stage, -days * DAY)
    stage.advance(1.5 * HOUR - 1)  # the half since the last reading is lost, and the half until the next one
    assert outcome(stage) == "pending"
    stage.advance(1)
    assert (outcome(stage), passes(stage)) == ("passed", 1)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(20))
def test_many_jumps_never_give_time_and_never_keep_a_burn_in_from_its_end(
    stage_of: Callable[..., Stage], seed: int
) -> None:
    chance, stage, spent = Random(seed), burning(stage_of), 0.0
    for _ in range(24):
        jump(stage, chance.uniform(-10 * DAY, 10 * DAY))
        step = chance.uniform(0, 0.4 * HOUR)
        spent += step
        stage.advance(step)
        assert elapsed(stage) <= spent + 1
        if chance.random() < 0.1:
            stage.crash(stage.actor("a"))
            stage.drain()
        assert outcome(stage) == "pending" or spent >= 3 * HOUR
    stage.advance(4 * HOUR + 1)
    assert (outcome(stage), passes(stage)) == ("passed", 1)


@pytest.mark.campaign
@pytest.mark.parametrize(("away", "passed"), [(2 * HOUR - 1, False), (2 * HOUR, True), (-10 * DAY, False)])
def test_over_a_reboot_the_wall_clock_counts_and_what_had_been_burnt_stays(
    stage_of: Callable[..., Stage], away: float, *, passed: bool
) -> None:
    stage = burning(stage_of)
    stage.advance(HOUR)
    stage.kill()
    jump(stage, away)
    stage.restart(reboot=True)
    stage.drain()
    stage.advance(0)
    assert outcome(stage) == ("passed" if passed else "pending")
    assert elapsed(stage) == HOUR + max(0.0, away)
    stage.advance(2 * HOUR)
    assert outcome(stage) == "passed"


def test_a_jump_while_sandod_is_down_gives_nothing_within_a_boot(stage_of: Callable[..., Stage]) -> None:
    stage = burning(stage_of)
    stage.advance(HOUR)
    stage.kill()
    stage.clock.advance(0.5 * HOUR)
    jump(stage, 10 * DAY)
    stage.restart()
    stage.drain()
    stage.advance(0)
    assert (outcome(stage), elapsed(stage)) == ("pending", 1.5 * HOUR)


@pytest.mark.parametrize("days", [-10, 10])
def test_a_persons_word_stays_whatever_the_clocks_do_and_ends_with_the_stay(
    stage_of: Callable[..., Stage], days: int
) -> None:
    stage = burning(stage_of, hours=0)
    stage.told(Confirm("a", actor="max"))
    jump(stage, days * DAY)
    stage.restart(reboot=True)
    stage.drain()
    stage.advance(1)
    assert outcome(stage, 1) == "passed"
    promoted(stage, "b")
    up_to(stage, "a", "2.0")
    assert outcome(stage, 1) == "pending"
    stage.told(Confirm("a", actor="max"))
    jump(stage, -2 * days * DAY)
    assert outcome(stage, 1) == "passed"


def test_words_count_in_the_order_in_which_they_were_said_not_by_their_times(
    stage_of: Callable[..., Stage],
) -> None:
    stage = burning(stage_of, hours=0)
    stage.told(Confirm("a", actor="max"))
    jump(stage, -DAY)
    stage.told(Confirm("a", actor="eva"))
    assert stage.tier("a")["gates"][1]["message"] == "confirmed by eva, max"
    assert [e.seq for e in stage.events()] == list(range(1, len(stage.events()) + 1))


def test_nothing_takes_less_than_no_time_when_the_clock_is_set_back_meanwhile(
    stage_of: Callable[..., Stage],
) -> None:
    stage = stage_of(topology(tier("mm", 0, SMOKE), tier("a", 1)))
    stage.world.push(sha(1), "1.0")
    stage.accepted(Rebuild())
    jump(stage, -DAY)
    stage.finish("build/")
    jump(stage, -DAY)
    stage.finish_all()
    stage.accepted(Promote("a"))
    jump(stage, -DAY)
    stage.finish_all()
    told = stage.events("BuildOk", "GateDone", "DeployOk")
    assert [e.type for e in told] == ["GateDone", "BuildOk", "DeployOk"]
    assert all(isinstance(e.data["seconds"], float) and e.data["seconds"] >= 0 for e in told), told


def test_the_latest_operation_is_the_newest_whatever_its_time_says(stage_of: Callable[..., Stage]) -> None:
    stage = burning(stage_of, hours=0)
    jump(stage, -DAY)
    built(stage, "2.0")
    newest = stage.store.operations(limit=1)[0]
    assert (newest.version, stage.tier("mm")["current_version"]) == ("2.0", "2.0")
