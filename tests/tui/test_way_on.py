"""What keeps a version with green gates from the tier after, on the screen: as that tier stands, not as its gates do."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from sando.client.shapes import Freeze, Lock, Node
from tests.tui.samples import MM, NOON, STATE, A, ago, on, text_of

HAS_IT = {"current_version": "0.8.4", "nodes": (Node("a-1", "0.8.4", "0.8.4", True, "ok"),)}
LOCKED = Lock("max", "audit", ago(hours=2))
STANDS = {
    "it is free": ({}, "it may go on to tier a"),
    "it is locked": ({"lock": LOCKED}, "its gates are green; tier a is locked by max"),
    "it is locked for a while": (
        {"lock": replace(LOCKED, expires=NOON + timedelta(hours=3))},
        "its gates are green; tier a is locked by max until 15:00:00",
    ),
    "it is frozen": (
        {"freeze": Freeze(NOON + timedelta(hours=3))},
        "its gates are green; tier a is frozen until 15:00:00",
    ),
    "it is frozen for ever": ({"freeze": Freeze()}, "its gates are green; tier a is frozen without end"),
    "it has it, and is locked": (HAS_IT | {"lock": LOCKED}, "its gates are green; tier a has it already"),
    "a node of it has it not": (
        HAS_IT | {"nodes": (Node("a-1", "0.8.4", "0.8.3", True, "ok"),)},
        "it may go on to tier a",
    ),
    "all but one that is out have it": (
        HAS_IT | {"nodes": (*HAS_IT["nodes"], Node("a-2", None, None, True, "out"))},
        "its gates are green; tier a has it already",
    ),
    "it is held": ({"operation": 44}, "its gates are green; operation 44 runs on tier a"),
    "it is half on another version": (
        {"status": "mixed"},
        "its gates are green; tier a is mixed, and no node of it is on 0.8.4",
    ),
    "it is half on this version": (
        {"status": "mixed", "nodes": (*A.nodes, Node("a-2", "0.8.4", "0.8.4", True, "ok"))},
        "it may go on to tier a",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("more", "told"), STANDS.values(), ids=STANDS)
def test_a_version_with_green_gates_is_told_what_the_tier_after_says_to_it(more, told):
    state = replace(STATE, tiers=(MM, replace(A, **more)))
    assert told in text_of(on("mm", state=state, width=120, height=40))
