"""`sando status`: whether a version can go on, as the tier after stands now, and what waits for a person."""

from datetime import datetime

import pytest

from sando.cli.wording import when
from tests.client.puppet import a_tier

GREEN = {"current_version": "0.8.3", "promotable": {"ready": True, "to": "a", "blocking": []}}
UNTIL = "2026-11-28T00:00:00.000Z"
LOCKED = {"actor": "max", "reason": "audit", "at": "2026-11-23T10:00:00.000Z", "expires": None}
STANDS = {
    "free": ({}, "→ a: ready; sando promote a"),
    "locked": ({"lock": LOCKED}, "→ a: gates green; tier a is locked by max"),
    "frozen": (
        {"freeze": {"until": UNTIL}},
        f"→ a: gates green; tier a is frozen until {when(datetime.fromisoformat(UNTIL))}",
    ),
    "up to date": ({"current_version": "0.8.3"}, "→ a: gates green; tier a has it already"),
}


@pytest.mark.parametrize(("more", "told"), STANDS.values(), ids=STANDS)
def test_it_says_ready_only_where_the_tier_after_would_take_it(puppet, run, more, told):
    puppet.tiers = [a_tier("mm", **GREEN), a_tier("a", predecessor="mm", **more)]
    ran = run("status", "mm")
    assert told in ran.out.splitlines()
    assert ran.code == 0


@pytest.mark.parametrize(("current", "sign"), [("0.8.3", "?"), (None, "·")])
def test_only_where_something_runs_it_waits_for_a_person(puppet, run, current, sign):
    gate = {"kind": "manual_confirm", "name": "manual_confirm", "outcome": "pending"}
    puppet.tiers = [a_tier("mm"), a_tier("a", predecessor="mm", current_version=current, gates=[gate])]
    assert f" {sign}manual_confirm" in run("status").out
