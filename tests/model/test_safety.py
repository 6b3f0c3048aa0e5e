"""The way back: what rehearsals found out, what follows from it for a tier, and what is never concluded."""

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sando.model.safety import (
    Pairs,
    Safe,
    Way,
    arrivals,
    asked_of,
    found_out,
    half_back,
    running_on,
    unsafe,
    way_back,
    worst,
)
from sando.model.tier import MOST_MIGRATIONS, Half, Mark, NodeState, TierState
from sando.model.topology import NodeSpec, TierSpec
from tests.model.samples import NOON, T0, node_on, release

B = TierSpec("b", provisioned=True, nodes=tuple(NodeSpec(n, "local", f"/srv/{n}") for n in ("n1", "n2")))


def on(*versions: str) -> TierState:
    """A tier that saw the versions one after the other."""
    state = TierState("b")
    for n, version in enumerate(versions, 1):
        state = state.enter(release(version), n, T0.plus(n))
    return state


def back(state: TierState, to: str) -> TierState:
    """A rollback has arrived at the newest stay of `to`."""
    target, left = state.below(to), str(state.current_version)
    assert target
    return state.pop_to(target, Mark(left, NOON, "max", "", 90), T0.plus(90))


def safe(state: TierState, to: str, pairs: dict[tuple[str, str], str]) -> str:
    return way_back(state, to, pairs).safe  # type: ignore[arg-type]


# -- what a gate says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({}, {}),
        ({"rollback_safe": {"1": "yes", "2": "no", "3": "unknown"}}, {"1": "yes", "2": "no", "3": "unknown"}),
        ({"rollback_safe": {"1": "maybe", "2": True, "3": None}}, {}),
        ({"rollback_safe": "yes"}, {}),
        ({"rollback_safe": ["1"]}, {}),
    ],
)
def test_only_what_is_a_verdict_is_taken_from_the_facts_of_a_gate(
    facts: dict[str, object], told: dict[str, str]
) -> None:
    assert {s.old: s.safe for s in found_out("4", facts, 9, NOON, {})} == told


def test_a_later_run_replaces_what_it_newly_tells_and_an_unknown_tells_nothing() -> None:
    before: Pairs = {("4", "1"): "yes", ("4", "2"): "no", ("4", "3"): "unknown"}
    facts: dict[str, object] = {"rollback_safe": {"1": "no", "2": "unknown", "3": "unknown"}}
    assert [(s.new, s.old, s.safe, s.operation) for s in found_out("4", facts, 9, NOON, before)] == [
        ("4", "1", "no", 9),
        ("4", "3", "unknown", 9),
    ]


def test_what_runs_further_on_is_the_current_version_of_each_tier_and_what_single_nodes_are_on() -> None:
    astray = on("1", "2").with_node(node_on("n1", "2")).with_node(NodeState("n2", "1", "0"))
    gone = astray.with_node(node_on("n9", "0.1"))  # a node that sando.toml does not name any more
    assert running_on([(B, gone), (B, on("3"))]) == ("2", "1", "0", "3")
    assert running_on([(B, TierState("b"))]) == ()


# -- what follows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["yes", "no", "unknown"])
def test_what_was_rehearsed_for_the_very_pair_counts(known: str) -> None:
    assert safe(on("1", "2"), "1", {("2", "1"): known}) == known
    assert safe(on("1", "2", "3"), "1", {("3", "1"): known, ("3", "2"): "yes", ("2", "1"): "yes"}) == known


def test_what_nobody_rehearsed_is_not_known() -> None:
    assert safe(on("1", "2"), "1", {}) == "unknown"
    assert safe(on("1", "2"), "1", {("1", "2"): "yes"}) == "unknown"


@pytest.mark.parametrize(
    ("pairs", "answer"),
    [
        ({("3", "2"): "yes", ("2", "1"): "yes"}, "unknown"),  # 3 may drop what 2 had stopped to read
        ({("3", "2"): "no", ("2", "1"): "yes"}, "no"),
        ({("3", "2"): "yes", ("2", "1"): "no"}, "no"),
        (
            {("3", "1"): "yes", ("3", "2"): "yes", ("2", "1"): "no"},
            "yes",
        ),  # 3 brought back what 2 had dropped
    ],
)
def test_over_several_versions_one_no_on_the_way_is_a_no_and_many_a_yes_is_no_yes(
    pairs: dict[tuple[str, str], str], answer: str
) -> None:
    assert safe(on("1", "2", "3"), "1", pairs) == answer


def test_what_a_rollback_left_is_still_in_the_database() -> None:
    """Expand and contract: 2 stopped to read the column, 3 dropped it. From 3 to 2 all is well; then 1 is gone."""
    pairs = {("2", "1"): "yes", ("3", "2"): "yes", ("3", "1"): "no"}
    assert safe(on("1", "2", "3"), "2", pairs) == "yes"
    stepped = back(on("1", "2", "3"), "2")
    assert way_back(stepped, "1", pairs) == Way("no", "3", "1")  # type: ignore[arg-type]
    assert safe(stepped, "1", {**pairs, ("3", "1"): "yes"}) == "yes"
    assert safe(stepped, "1", {("2", "1"): "yes"}) == "unknown"


def test_what_failed_half_way_is_in_the_database_too() -> None:
    state = on("1", "2").began("3")
    assert arrivals(state) == ("1", "2", "3")
    assert safe(state, "1", {("2", "1"): "yes", ("3", "1"): "no"}) == "no"


def test_a_version_that_came_again_migrates_nothing_anew() -> None:
    state = on("1", "2", "3", "1")
    assert arrivals(state) == ("1", "2", "3")
    assert safe(state, "3", {("1", "3"): "yes"}) == "yes"
    assert safe(state, "2", {("1", "2"): "yes"}) == "unknown", "3 has migrated after 2"


def test_a_state_of_an_older_sando_is_told_by_its_stays() -> None:
    state = replace(on("1", "2", "3"), migrated_by=())
    assert arrivals(state) == ("1", "2", "3")
    assert arrivals(state.began("4")) == ("1", "2", "3", "4")


def test_the_versions_that_are_kept_do_not_grow_for_ever() -> None:
    state = on(*(str(n) for n in range(MOST_MIGRATIONS + 20)))
    assert len(state.migrated_by) == MOST_MIGRATIONS
    assert state.migrated_by[-1] == str(MOST_MIGRATIONS + 19)


def test_an_empty_tier_has_no_way_back() -> None:
    assert safe(TierState("b"), "1", {("2", "1"): "yes"}) == "unknown"
    assert asked_of(on("1")) == ()


def test_making_whole_asks_only_for_the_nodes_that_half_hold_another_version() -> None:
    state, pairs = on("1", "2"), {("3", "2"): "no", ("2", "1"): "no"}
    assert half_back(state, pairs) is None  # type: ignore[arg-type]
    half = replace(state, half=Half("3", 9))
    assert half_back(half, pairs) == Way("no", "3", "2")  # type: ignore[arg-type]
    assert half_back(replace(state, half=Half("2", 9)), pairs) is None  # type: ignore[arg-type]


def test_those_that_one_cannot_go_back_to_are_named() -> None:
    pairs: Pairs = {("3", "2"): "no", ("3", "1"): "yes", ("2", "1"): "no", ("3", "0"): "no"}
    assert unsafe(pairs, "3") == ("0", "2")


# -- whatever the history ------------------------------------------------------------------------------------

VERSIONS = ("1", "2", "3", "4", "5")
words = st.sampled_from(["yes", "no", "unknown", None])


@st.composite
def histories(draw: st.DrawFn) -> tuple[TierState, dict[Any, Safe]]:
    """Promotions, rollbacks and deploys that failed, in any order; and some knowledge of some pairs."""
    state = TierState("b")
    for n in range(draw(st.integers(1, 9))):
        act = draw(st.sampled_from(["enter", "enter", "back", "fail"]))
        version = draw(st.sampled_from(VERSIONS))
        if act == "back" and state.previous:
            state = back(state, state.previous.version)
        elif act == "fail":
            state = state.began(version)
        else:
            state = state.enter(release(version), n + 1, T0.plus(n))
    pairs = [p for a, b in combinations(VERSIONS, 2) for p in ((a, b), (b, a))]
    known = {pair: word for pair in pairs if (word := draw(words))}
    return state, known  # type: ignore[return-value]


@given(histories())
def test_more_is_never_said_than_what_was_rehearsed(given_: tuple[TierState, dict[Any, Safe]]) -> None:
    state, pairs = given_
    for target in {s.version for s in state.stack} - {state.current_version}:
        way = way_back(state, target, pairs)
        if way.safe == "yes":
            assert pairs[(way.new, target)] == "yes", "only a pair that was rehearsed is a yes"
            assert pairs[(str(state.current_version), target)] == "yes"
        if way.safe == "no":
            assert pairs[(way.new, way.old)] == "no", "a no names the pair that was rehearsed"
        if pairs.get((str(state.current_version), target)) == "no":
            assert way.safe == "no", "what is known of the current version always counts"


@given(histories())
def test_knowing_one_more_no_never_opens_a_way(given_: tuple[TierState, dict[Any, Safe]]) -> None:
    state, pairs = given_
    order = ("yes", "unknown", "no")
    for target in {s.version for s in state.stack} - {state.current_version}:
        now = way_back(state, target, pairs).safe
        for pair in pairs:
            if pairs[pair] == "unknown":
                then = way_back(state, target, {**pairs, pair: "no"}).safe
                assert order.index(then) >= order.index(now)


@given(histories())
def test_the_versions_that_have_a_say_are_all_that_is_asked_for(
    given_: tuple[TierState, dict[Any, Safe]],
) -> None:
    state, pairs = given_
    if state.previous is None:
        return
    asked = asked_of(state)
    few = {(new, old): word for (new, old), word in pairs.items() if new in asked}
    assert way_back(state, state.previous.version, few) == way_back(state, state.previous.version, pairs)


def test_the_worst_is_told() -> None:
    ways = [Way("yes", "a", "b"), Way("unknown", "c", "d"), Way("no", "e", "f")]
    assert [worst(ways[:n]).safe for n in (1, 2, 3)] == ["yes", "unknown", "no"]
