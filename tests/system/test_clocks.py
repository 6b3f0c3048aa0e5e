"""Clocks of a real sandod that jump, forward and back, while it runs and while it is down, within a boot and over one."""

import random
import time
from datetime import UTC, datetime

import pytest

from tests.system import clocks as clock_tools
from tests.system.sandod import until
from tests.system.workspace import tier

wall, clocks = clock_tools.wall, clock_tools.clocks
DAY = 86400.0
CONFIRM = '{ kind = "manual_confirm" }'


def burn(duration, *more):
    gates = ", ".join([f'{{ kind = "burn_in", duration = "{duration}" }}', *more])
    return f"gates = [ {gates} ]\n"


def gate(sandod, kind, name="a"):
    return next(g for g in sandod.tier(name)["gates"] if g["kind"] == kind)


def arrived(sandod, *tiers):
    """1.0 is on a, and the moment before it was promoted, by our own clock."""
    sandod.configure(*tiers).start()
    sandod.green("1.0")
    before = time.monotonic()
    assert sandod.post("/promote/a?wait=60").status == 200
    return before


def burnt_honestly(sandod, before, seconds):
    """It passes, once, and not before that much time has really passed."""
    sandod.wait_event("GateDone", tier="a", gate="burn_in")
    assert time.monotonic() - before >= seconds
    assert sandod.told("GateDone").count("GateDone") == 2  # cargo_test, burn_in
    assert sandod.post("/promote/b?wait=60").status == 200


@pytest.mark.parametrize("days", [-10, 10])
def test_a_jump_neither_ends_a_burn_in_nor_holds_it_up_for_ever(sandod, clocks, days):
    before = arrived(sandod, tier("a", 1, burn("5s")), tier("b"))
    clocks.jump(days * DAY)
    early = sandod.post("/promote/b")
    assert early.code == (409, "gates_not_passed")
    burnt_honestly(sandod, before, 5)


def test_twenty_four_jumps_within_a_burn_in_give_it_nothing(sandod, clocks):
    seed = time.time_ns() % 1_000_000
    print("seed", seed)  # noqa: T201
    chance = random.Random(seed)
    before = arrived(sandod, tier("a", 1, burn("6s")), tier("b"))
    for number in range(24):
        clocks.jump(chance.uniform(-10 * DAY, 10 * DAY) - clocks.offset / 2)
        until(lambda n=number: time.monotonic() - before > n / 6)
        shown = gate(sandod, "burn_in")
        assert shown["elapsed_s"] <= time.monotonic() - before
        assert shown["outcome"] == "pending" or time.monotonic() - before >= 6
    burnt_honestly(sandod, before, 6)


@pytest.mark.parametrize(("hours", "outcome"), [(2, "passed"), (-2, "pending")])
def test_over_a_reboot_a_burn_in_counts_the_time_that_the_wall_clock_says(sandod, clocks, hours, outcome):
    clocks.reboot()
    arrived(sandod, tier("a", 1, burn("1h", CONFIRM)), tier("b"))
    sandod.post("/confirm/a")
    started = sandod.tier("a")["burn_in_started_at"]
    sandod.kill()
    clocks.jump(hours * 3600)
    clocks.reboot()
    sandod.start()
    if outcome == "passed":
        sandod.wait_event("GateDone", tier="a", gate="burn_in")
    shown = gate(sandod, "burn_in")
    assert (shown["outcome"], gate(sandod, "manual_confirm")["outcome"]) == (outcome, "passed")
    assert 0 <= shown["elapsed_s"] <= 3600
    assert sandod.tier("a")["burn_in_started_at"] == started
    assert sandod.post("/promote/b?wait=60").status == (200 if outcome == "passed" else 409)


def test_a_jump_while_sandod_is_down_gives_a_burn_in_nothing_within_a_boot(sandod, clocks):
    arrived(sandod, tier("a", 1, burn("1h")), tier("b"))
    sandod.kill()
    clocks.jump(10 * DAY)
    sandod.start()
    shown = gate(sandod, "burn_in")
    assert shown["outcome"] == "pending"
    assert shown["elapsed_s"] < 600
    assert sandod.post("/promote/b").code == (409, "gates_not_passed")


def test_a_persons_word_stays_over_jumps_and_a_reboot_and_ends_with_the_stay(sandod, clocks):
    clocks.reboot()
    arrived(sandod, tier("a", 1, f"gates = [ {CONFIRM} ]\n"), tier("b"))
    sandod.post("/confirm/a")
    for days in (10, -20):
        clocks.jump(days * DAY)
        assert gate(sandod, "manual_confirm")["outcome"] == "passed"
        sandod.kill()
        clocks.reboot()
        sandod.start()
    assert gate(sandod, "manual_confirm")["outcome"] == "passed"
    sandod.bring("1.1", "a")
    assert gate(sandod, "manual_confirm")["outcome"] == "pending"
    newest = sandod.operations()[0]
    assert (newest["kind"], newest["version"]) == ("promote", "1.1"), "the order is that of the numbers"
    sandod.hear()  # without a gap


def test_after_2038_and_2106_a_version_is_built_goes_on_and_back_and_its_times_are_told(sandod, clocks):
    """A second more than 32 bits hold, signed and unsigned."""
    clocks.jump(datetime(2106, 2, 8, tzinfo=UTC).timestamp() - time.time())
    sandod.configure(tier("a", 1, burn("1s")), tier("b")).start()
    for version in ("1.0", "1.1"):
        sandod.bring(version, "a")
        until(lambda: gate(sandod, "burn_in")["outcome"] == "passed")
        assert sandod.post("/promote/b?wait=60").status == 200
    assert sandod.post("/rollback/b?wait=60").status == 200
    sandod.stop()
    sandod.start()
    shown = sandod.tier("b")
    assert (shown["current_version"], shown["since"][:8]) == ("1.0", "2106-02-")
    assert sandod.get("/dora?days=1").status == 200
