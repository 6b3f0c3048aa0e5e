"""What both faces say of a node: one word, by what sando put there, what is found there, and what its tier is on."""

import pytest
from msgspec.structs import replace

from sando.client.shapes import Node, Tier
from tests.tui.samples import MM, STATE, A, B, on, text_of
from tui.model.nodes import amiss, word

TIER = Tier("p", predecessor="s", status="steady", current_version="7.2.0")
WELL = Node("p-1", "7.2.0", "7.2.0", status="ok")
NODES = {
    "well": (WELL, "ok"),
    "a link that was changed by hand": (Node("p-1", "7.2.0", "6.0.0", status="ok"), "drifted"),
    "nothing was ever put there, and something runs": (Node("p-1", None, "6.0.0", status="empty"), "drifted"),
    "its release is not there": (Node("p-1", "7.2.0", None, status="ok"), "gone"),
    "on another version than the tier": (Node("p-1", "6.2.0", "6.2.0", status="ok"), "on 6.2.0"),
    "new": (Node("p-1", None, None, status="empty"), "lacks 7.2.0"),
    "failed": (Node("p-1", "7.2.0", "7.2.0", status="failed"), "failed"),
    "not known": (Node("p-1", "7.2.0", None, status="unknown"), "unknown"),
    "away": (Node("p-1", "7.2.0", "7.2.0", reachable=False, status="ok"), "not reached"),
    "left out": (Node("p-1", "6.2.0", "6.2.0", status="out"), "out"),
    "left out and away": (Node("p-1", "6.2.0", None, reachable=False, status="out"), "out"),
}


@pytest.mark.parametrize(("node", "expected"), NODES.values(), ids=NODES)
def test_a_node_is_judged_by_what_its_tier_is_on(node, expected):
    assert word(TIER, node) == expected


def test_a_node_without_a_version_is_empty_where_its_tier_is():
    assert word(replace(TIER, current_version=None), Node("p-1", status="empty")) == "empty"


DRIFTED = Node("p-3", "7.2.0", "6.0.0", status="ok")
BEHIND = Node("p-2", "6.2.0", "6.2.0", status="ok")
AHEAD = Node("p-1", "8.0.0", "8.0.0", status="ok")
AWAY = Node("p-4", "6.2.0", "6.2.0", reachable=False, status="ok")
OUT = Node("p-5", "6.2.0", None, reachable=False, status="out")
TIERS = {
    "nodes that a promotion brings back": (
        {"status": "degraded", "nodes": (WELL, BEHIND, DRIFTED, OUT)},
        "degraded: p-2 on 6.2.0, p-3 drifted to 6.0.0; promote 7.2.0 repairs it",
    ),
    "one that is away besides": (
        {"status": "degraded", "nodes": (BEHIND, AWAY)},
        "degraded: p-2 on 6.2.0, p-4 not reached; promote 7.2.0 repairs it once all are reached",
    ),
    "half on a newer one": (
        {"status": "mixed", "nodes": (AHEAD, replace(WELL, name="p-2"))},
        "mixed: p-1 on 8.0.0; promote 8.0.0 goes on with it, rollback goes back to 7.2.0",
    ),
    "half on the first one": (
        {"status": "mixed", "current_version": None, "nodes": (AHEAD, Node("p-2", status="empty"))},
        "mixed: p-1 on 8.0.0; promote 8.0.0 goes on with it",
    ),
    "half on a newer one, and that half is away": (
        {"status": "mixed", "nodes": (replace(AHEAD, reachable=False), replace(WELL, name="p-2"))},
        "mixed: p-1 not reached; promote 8.0.0 goes on with it, rollback makes it whole on 7.2.0 once p-1 is reached",
    ),
    "half on one that no node names": (
        {"status": "mixed", "nodes": (replace(WELL, status="unknown"),)},
        "mixed: p-1 unknown; rollback makes it whole on 7.2.0",
    ),
    "many": (
        {"status": "degraded", "nodes": tuple(replace(BEHIND, name=f"p-{n}") for n in range(1, 9))},
        "degraded: "
        + ", ".join(f"p-{n} on 6.2.0" for n in range(1, 7))
        + ", and 2 more; promote 7.2.0 repairs it",
    ),
    "in the hands of an operation": ({"status": "deploying", "operation": 7, "nodes": (BEHIND,)}, ""),
    "parked": ({"status": "degraded", "detail": "parked: it failed 5 times", "nodes": (BEHIND,)}, ""),
    "well": ({"nodes": (WELL, replace(AWAY, version="7.2.0", observed="7.2.0"))}, ""),
}


@pytest.mark.parametrize(("more", "expected"), TIERS.values(), ids=TIERS)
def test_a_tier_that_is_not_whole_says_which_nodes_and_what_mends_it(more, expected):
    assert amiss(replace(TIER, **more), lambda version: f"promote {version}", "rollback") == expected


SPLIT = replace(A, status="degraded", nodes=(*A.nodes, Node("a-2", "0.8.2", "0.8.2", status="ok")))


def test_the_screen_names_the_key_where_it_would_promote_just_that_version():
    told = "degraded: a-2 on 0.8.2; {} repairs it"
    for built, way in (("0.8.3", "p (promote)"), ("0.8.4", "sando promote a 0.8.3")):
        state = replace(STATE, tiers=(replace(MM, current_version=built), SPLIT, B))
        assert told.format(way) in text_of(on("a", state=state, width=120, height=40))


def test_a_node_that_is_left_out_is_shown_so_and_counted_apart():
    out = Node("a-2", "0.8.2", None, reachable=False, status="out")
    text = text_of(on("a", state=replace(STATE, tiers=(MM, replace(A, nodes=(*A.nodes, out)), B))))
    assert "1 of 1 node reached, 1 left out" in text
    assert "not reached" not in text
