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


# -- nodes ---------------------------------------------------------------------------------------------------


def a_node(name: str, version: str | None = "7.2.0", observed: str | None = "7.2.0", **more) -> dict:
    return {
        "name": name,
        "version": version,
        "observed": observed,
        "reachable": True,
        "status": "ok",
        "detail": "",
    } | more


@pytest.fixture
def split(puppet):
    nodes = [
        a_node("p-1"), a_node("p-2", "6.2.0", "6.2.0"), a_node("p-3", observed="6.0.0"),
        a_node("p-4", observed=None, detail="current names 7.2.0, whose folder is not there"),
        a_node("p-5", reachable=False, status="out"),
    ]  # fmt: skip
    more = {"predecessor": "mm", "current_version": "7.2.0", "status": "degraded", "nodes": nodes}
    puppet.tiers = [a_tier("mm"), a_tier("p", **more)]


WHY = "degraded: p-2 on 6.2.0, p-3 drifted to 6.0.0, p-4 gone; sando promote p 7.2.0 repairs it"


def test_a_tier_in_full_judges_its_nodes_as_the_screen_does(split, run):
    out = run("status", "p").out
    assert WHY in out.splitlines()
    rows = [line.split()[3:5] for line in out.splitlines() if line.startswith("p-")]
    assert rows == [["●", "ok"], ["●", "on"], ["●", "drifted"], ["●", "gone"], ["○", "out"]]


def test_the_summary_says_why_a_tier_is_degraded_and_what_mends_it(split, run):
    lines = run("status").out.splitlines()
    assert f"tier p: {WHY}" in lines
    assert "tier p: p-4 gone: current names 7.2.0, whose folder is not there" in lines
    assert not [line for line in lines if "p-5" in line or line.startswith("tier p: p-2")]
