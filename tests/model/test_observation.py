"""A look at a node: what is recorded stays, what is observed is told once, and who was lost is found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.observation import lost, seen
from sando.model.stay import Stay
from sando.model.tier import Half, NodeState, TierState
from tests.harness import NOON

ON_OLD = NodeState("a-1", "1.0", "1.0")


def tier(*nodes: NodeState, half: Half | None = None, current: str | None = "1.0") -> TierState:
    stays = (Stay("a", 1, current, "a" * 40, "d" * 64, 7, NOON),) if current else ()
    return TierState("a", stays=stays, nodes={n.name: n for n in nodes}, half=half)


def test_a_node_that_is_where_it_should_be_changes_nothing() -> None:
    state = tier(ON_OLD)
    assert seen(state, "a-1", "1.0").state is state


def test_another_link_is_drift_and_is_told_once_per_change() -> None:
    first = seen(tier(ON_OLD), "a-1", "0.9")
    assert first.drift
    assert first.state.nodes["a-1"] == NodeState("a-1", "1.0", "0.9")
    again = seen(first.state, "a-1", "0.9")
    assert (again.drift, again.state is first.state) == (False, True)
    assert seen(first.state, "a-1", None).drift


def test_a_link_that_is_put_right_again_is_no_drift() -> None:
    drifted = seen(tier(ON_OLD), "a-1", "0.9").state
    back = seen(drifted, "a-1", "1.0")
    assert (back.drift, back.state.nodes["a-1"]) == (False, ON_OLD)


def test_a_node_on_which_something_runs_that_sando_never_put_there_is_drift() -> None:
    found = seen(tier(current=None), "a-1", "0.8")
    assert (found.drift, found.state.nodes["a-1"].version, found.state.nodes["a-1"].observed) == (
        True,
        None,
        "0.8",
    )


def test_a_strange_current_is_described() -> None:
    node = seen(tier(ON_OLD), "a-1", None, "current is a folder, no link into releases/").state.nodes["a-1"]
    assert "a folder" in node.detail
    assert seen(tier(node), "a-1", "1.0").state.nodes["a-1"].detail == ""


def test_a_node_that_is_away_keeps_what_is_known_of_it_and_says_why() -> None:
    away = lost(tier(ON_OLD), "a-1", "connection refused")
    assert away.state.nodes["a-1"] == NodeState(
        "a-1", "1.0", "1.0", reachable=False, detail="connection refused"
    )
    assert lost(away.state, "a-1", "connection refused").state is away.state
    assert seen(away.state, "a-1", "1.0").state.nodes["a-1"] == ON_OLD


def test_a_node_that_failed_keeps_its_reason_through_looks() -> None:
    failed = NodeState("a-1", "2.0", "2.0", status="failed", detail="the probe stayed red")
    node = seen(tier(failed), "a-1", "1.0").state.nodes["a-1"]
    assert (node.version, node.observed, node.status, node.detail) == (
        "2.0",
        "1.0",
        "failed",
        "the probe stayed red",
    )


UNKNOWN = NodeState("a-1", "2.0", "2.0", reachable=False, status="unknown", detail="connection lost")


def test_a_node_that_went_back_by_itself_makes_the_tier_whole() -> None:
    found = seen(tier(UNKNOWN, half=Half("2.0", 7)), "a-1", "1.0")
    assert (found.back, found.drift) == (True, False)
    assert (found.state.nodes["a-1"], found.state.half) == (ON_OLD, None)


def test_a_tier_stays_mixed_while_another_node_is_on_the_new_version() -> None:
    other = NodeState("a-2", "2.0", "2.0")
    assert seen(tier(UNKNOWN, other, half=Half("2.0", 7)), "a-1", "1.0").state.half is not None


def test_a_node_that_stayed_on_the_new_version_is_known_to_be_there() -> None:
    found = seen(tier(UNKNOWN, half=Half("2.0", 7)), "a-1", "2.0")
    assert (found.back, found.drift) == (False, False)
    assert (found.state.nodes["a-1"], found.state.half) == (NodeState("a-1", "2.0", "2.0"), Half("2.0", 7))


def test_a_node_that_is_found_somewhere_else_is_drift() -> None:
    assert seen(tier(UNKNOWN), "a-1", "0.7").drift


VERSIONS = st.sampled_from([None, "0.9", "1.0", "2.0"])
NODES = st.builds(
    NodeState,
    st.just("a-1"),
    VERSIONS,
    VERSIONS,
    reachable=st.booleans(),
    status=st.sampled_from(["ok", "failed", "unknown"]),
)


@given(NODES, VERSIONS)
def test_a_second_equal_look_never_says_anything_new(node: NodeState, current: str | None) -> None:
    once = seen(tier(node), "a-1", current)
    again = seen(once.state, "a-1", current)
    assert (again.drift, again.back) == (False, False)
    assert again.state is once.state
    assert once.state.nodes["a-1"].observed == current


@pytest.mark.parametrize("status", ["ok", "failed", "unknown"])
def test_what_is_lost_and_found_unchanged_is_as_before_or_known(status: str) -> None:
    node = NodeState("a-1", "1.0", "1.0", status=status)  # type: ignore[arg-type]
    found = seen(lost(tier(node), "a-1", "away").state, "a-1", "1.0").state.nodes["a-1"]
    assert (found.version, found.observed, found.reachable) == ("1.0", "1.0", True)
