"""A stay: its outcomes, its approvals, and the burn-in clock under every jump of the clocks."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.clock import Instant
from sando.model.gates import Approval, GateRun, Outcome
from sando.model.stay import BurnClock, Stay
from tests.model.samples import NOON, T0


def stay(**fields: object) -> Stay:
    base = {"burn": BurnClock.start(T0), **fields}
    return Stay("b", 1, "1.0.0", "a" * 40, "d" * 64, 7, NOON, **base)  # type: ignore[arg-type]


def run(gate: str, outcome: Outcome, attempt: int = 1, kind: str = "boot_smoke") -> GateRun:
    return GateRun("b", gate, kind, "1.0.0", 7, attempt, outcome, NOON)


def said(actor: str, *, yes: bool, gate: str = "manual_confirm") -> Approval:
    return Approval(gate, actor, "", NOON, yes)


def test_the_latest_attempt_is_the_outcome_also_when_it_turns_red() -> None:
    green = stay().record(run("boot_smoke", Outcome.PASSED))
    red = green.record(run("boot_smoke", Outcome.FAILED, 2))
    assert red.gate("boot_smoke") == run("boot_smoke", Outcome.FAILED, 2)
    assert len(red.gates) == 1
    assert red.gate("soak") is None


def test_no_run_outlives_its_process_and_what_had_ended_stays() -> None:
    held = stay().record(run("a", Outcome.RUNNING)).record(run("b", Outcome.PASSED)).abort_running()
    assert [g.outcome for g in held.gates] == [Outcome.ABORTED, Outcome.PASSED]


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ([("max", True)], {"max": True}),
        ([("max", True), ("max", True)], {"max": True}),
        ([("max", True), ("eva", True)], {"max": True, "eva": True}),
        ([("max", True), ("eva", False)], {"eva": False}),
        ([("max", False), ("eva", True)], {"eva": True}),
        ([("max", True), ("eva", True), ("max", False)], {"max": False}),
        ([("max", True), ("eva", False), ("max", True)], {"max": True}),
    ],
)
def test_a_no_takes_every_yes_with_it_and_a_new_yes_lifts_the_no(
    words: list[tuple[str, bool]], left: dict[str, bool]
) -> None:
    held = stay().approve(said("otto", yes=True, gate="other"))
    for actor, yes in words:
        held = held.approve(said(actor, yes=yes))
    assert {a.actor: a.yes for a in held.approvals if a.gate == "manual_confirm"} == left
    assert [a.actor for a in held.approvals if a.gate == "other"] == ["otto"]


def test_what_is_left_is_frozen_with_its_burn_in() -> None:
    left = stay().leave(T0.plus(90))
    assert left.left_at == (NOON + timedelta(seconds=90))
    assert not left.popped
    assert left.burnt(T0.plus(9000)) == 90.0
    assert stay(burn=None).leave(T0).burnt(T0.plus(5)) == 0.0


def test_a_reset_starts_the_clock_at_zero_and_takes_a_recorded_pass_with_it() -> None:
    held = stay().record(run("burn_in", Outcome.PASSED, kind="burn_in")).record(run("x", Outcome.PASSED))
    held = held.restart_burn(T0.plus(500))
    assert held.burnt(T0.plus(500)) == 0.0
    assert held.burnt(T0.plus(560)) == 60.0
    assert [g.gate for g in held.gates] == ["x"]


def test_a_forward_jump_of_the_wall_burns_nothing_within_a_boot() -> None:
    jumped = Instant(NOON + timedelta(days=10), "one", T0.up + 60)
    assert stay().burnt(jumped) == 60.0


def test_a_backward_jump_loses_only_the_time_since_the_last_reading() -> None:
    clock = BurnClock.start(T0).advance(T0.plus(3600))
    back = Instant(NOON - timedelta(days=1), "one", T0.up + 3700)
    assert clock.elapsed(back) == 3600.0
    again = clock.advance(back)
    assert again.elapsed(back.plus(50)) == 3650.0
    assert again.started_at == NOON


def test_across_boots_the_wall_decides() -> None:
    clock = BurnClock.start(T0).advance(T0.plus(100))
    after = Instant(NOON + timedelta(seconds=400), "two", 3.0)
    assert clock.elapsed(after) == 400.0
    before = Instant(NOON - timedelta(seconds=400), "two", 3.0)
    assert clock.elapsed(before) == 100.0


@st.composite
def readings(draw: st.DrawFn) -> list[tuple[Instant, float]]:
    """Readings with what really passed before each: the wall may jump at any, a boot may end at any."""
    at, boot, up, found = NOON, 0, 1000.0, []
    for _ in range(draw(st.integers(1, 12))):
        passed = draw(st.floats(0, 5000))
        at += timedelta(seconds=passed + draw(st.sampled_from([0.0, 0.0, 86400.0, -86400.0, 7.5])))
        if draw(st.integers(0, 4)) == 4:
            boot, up = boot + 1, 0.0
        up += passed
        found.append((Instant(at, f"boot-{boot}", up), passed))
    return found


@given(readings())
def test_the_clock_never_falls_below_a_reading_and_never_outruns_the_time_within_a_boot(
    found: list[tuple[Instant, float]],
) -> None:
    clock, last, boots = BurnClock.start(T0), 0.0, 0
    for now, passed in found:
        before = clock
        clock = clock.advance(now)
        assert clock.credit >= last >= 0
        if now.boot == before.since.boot:
            assert clock.credit - last <= passed + 0.01
        else:
            boots += 1
            wall = (now.at - before.since.at).total_seconds()
            assert clock.credit - last == pytest.approx(max(0.0, wall))
        last = clock.credit


@given(st.lists(st.floats(0, 5000), max_size=10))
def test_without_a_jump_reading_often_and_reading_once_say_the_same(spans: list[float]) -> None:
    clock, now = BurnClock.start(T0), T0
    for seconds in spans:
        now = now.plus(seconds)
        clock = clock.advance(now)
    assert clock.elapsed(now) == pytest.approx(BurnClock.start(T0).elapsed(now), abs=0.01)
