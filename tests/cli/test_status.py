"""`sando status`: whether a version can go on, as the tier after stands now, and what waits for a person."""

from datetime import datetime

import pytest

from sando.cli.wording import when
from tests.cli.samples import an_operation
from tests.client.puppet import Answer, a_tier

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
    assert "tier p: p-5 out" in lines
    assert not [line for line in lines if line.startswith("tier p: p-2")]


# -- what is under way ---------------------------------------------------------------------------------------

BUSY = {"predecessor": "mm", "current_version": "7.2.0", "status": "deploying", "operation": 44}
SWITCHING = an_operation(
    tier="p",
    version="8.0.0",
    step="switch",
    nodes=[{"name": "p-1", "status": "switched", "detail": "restarts"}],
)
TOLD = {"abort": "eva", "abort_reason": "wrong one"}


@pytest.fixture
def busy(puppet):
    puppet.tiers = [a_tier("mm"), a_tier("p", **BUSY, nodes=[a_node("p-1", "8.0.0", "8.0.0")])]
    puppet.answers["GET", "/operations/44"] = Answer(body=SWITCHING)


@pytest.mark.parametrize("words", [["status"], ["status", "p"]])
def test_what_is_under_way_is_named_with_its_step_and_how_to_watch_it(busy, run, words):
    (line,) = [x for x in run(*words).out.splitlines() if "promote 44" in x]
    assert line.startswith("promote 44 of 8.0.0 by max: switch, for ")
    assert line.endswith(" on tier p; sando wait 44 watches it")


def test_a_node_in_hand_is_shown_as_the_operation_says(busy, run):
    (line,) = [x for x in run("status", "p").out.splitlines() if x.startswith("p-1")]
    assert line.split() == ["p-1", "8.0.0", "8.0.0", "●", "switched", "restarts"]


@pytest.mark.parametrize(("report", "told"), [("switched", []), ("reverted", ["tier p: p-1 reverted"])])
def test_the_summary_names_a_node_in_hand_only_where_something_is_wrong_with_it(
    puppet, busy, run, report, told
):
    nodes = [{"name": "p-1", "status": report}]
    puppet.answers["GET", "/operations/44"] = Answer(body=SWITCHING | {"nodes": nodes})
    assert [line for line in run("status").out.splitlines() if "p-1" in line] == told


@pytest.mark.parametrize("words", [["status"], ["status", "p"]])
def test_that_a_stop_was_asked_for_is_told_with_who_did_and_when_it_ends(puppet, busy, run, words):
    puppet.answers["GET", "/operations/44"] = Answer(body=SWITCHING | {"details": TOLD})
    told = "promote 44 was told to stop by eva (wrong one): it ends at the next node, once what runs on this one has ended"
    assert told in run(*words).out.splitlines()


def test_the_build_that_runs_is_told_of_its_own_tier(puppet, run):
    puppet.more["build"] = {"operation": 45, "sha": "f" * 40, "phase": "gates", "started_at": None}
    assert "operation 45 runs on tier mm; sando wait 45 watches it" in run("status", "mm").out
    assert "operation 45" not in run("status", "a").out
