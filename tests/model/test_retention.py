"""Retention over random histories: what is current, previous, a target, half held or in use is never removable."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sando.model.clock import Instant
from sando.model.operation import Operation, Status
from sando.model.release import Release
from sando.model.retention import RED_FOR, kept_of, removable
from sando.model.tier import Half, Mark, NodeState, TierState
from sando.model.topology import RepoSpec, TierSpec, Topology

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT = Instant(NOW, "boot", 1000.0)
VERSIONS = [f"{n}.0" for n in range(12)]
TIERS = ("mm", "a", "b")

versions = st.sampled_from(VERSIONS)
moves = st.lists(st.tuples(st.sampled_from(("enter", "back", "lift")), versions), max_size=25)


def release(version, *, green=True, age=timedelta(), present=True):
    return Release(version, version, "0" * 40, version, 1, NOW - age, NOW - age, green=green, present=present)


def history(name, steps):
    """A tier after these promotions and rollbacks, as `TierState` itself makes them."""
    state = TierState(name)
    for number, (kind, version) in enumerate(steps, start=1):
        if kind == "enter":
            state = state.enter(release(version), number, AT.plus(number))
        elif kind == "lift":
            state = state.lifted(version)
        elif state.previous and state.current:
            mark = Mark(state.current.version, NOW, "max", "", number)
            state = state.pop_to(state.previous, mark, AT.plus(number))
    return state


states = st.builds(
    lambda name, steps, half, nodes: _with(history(name, steps), half, nodes),
    st.sampled_from(TIERS), moves, st.none() | versions, st.dictionaries(st.sampled_from(("n-1", "n-2")), versions),
)  # fmt: skip


def _with(state, half, nodes):
    for name, version in nodes.items():
        state = state.with_node(NodeState(name, version, version))
    return TierState(
        state.name, state.stays, state.marks, state.nodes, Half(half, 1) if half else None, migrated_by=state.migrated_by
    )  # fmt: skip


def needed(state):
    """By the words of SPEC 10: current, previous, every rollback target, half held, and what the nodes run."""
    found = {
        state.current_version,
        state.previous and state.previous.version,
        state.half and state.half.version,
    }
    found |= {v for node in state.nodes.values() for v in (node.version, node.observed)}
    return found - {None}


@given(states, st.integers(1, 6))
def test_a_node_keeps_what_it_runs_and_may_go_back_to_and_the_newest_few(state, keep):
    kept = kept_of(state, keep)
    assert needed(state) <= kept
    newest = list(dict.fromkeys(s.version for s in reversed(state.stays)))
    assert set(newest[:keep]) <= kept
    assert len(kept) <= keep + len(needed(state))


@given(st.tuples(*(st.builds(lambda s, n=n: TierState(n, s.stays, s.marks, s.nodes, s.half), states) for n in TIERS)),
       st.integers(1, 4), st.sets(versions), st.sets(versions), st.sets(versions))  # fmt: skip
def test_the_store_removes_nothing_that_a_tier_needs_or_an_operation_uses_and_all_else_in_time(
    three, keep, red, in_use, young
):
    topology = Topology(
        RepoSpec("/r.git"), tuple(TierSpec(n, provisioned=True, keep_releases=keep) for n in TIERS)
    )
    known = [
        release(v, green=v not in red, age=timedelta(hours=1) if v in young else RED_FOR * 2)
        for v in VERSIONS
    ]
    working = [
        Operation(n, "promote", "a", v, None, "max", "", Status.RUNNING, NOW)
        for n, v in enumerate(sorted(in_use))
    ]
    gone = {r.version for r in removable(known, topology, three, working, NOW)}
    assert not gone & set().union(*(needed(s) for s in three))
    assert not gone & in_use
    assert not gone & (red & young)
    kept = set(VERSIONS) - gone
    assert kept <= set().union(*(kept_of(s, keep) for s in three)) | in_use | (red & young)


@given(states, st.integers(1, 3))
def test_a_tier_that_the_file_no_longer_names_keeps_what_it_stood_on(state, keep):
    topology = Topology(RepoSpec("/r.git"), (TierSpec("other", provisioned=True, keep_releases=keep),))
    gone = {r.version for r in removable([release(v) for v in VERSIONS], topology, [state], [], NOW)}
    assert not gone & needed(state)


@given(states)
def test_rolling_back_again_and_again_never_meets_a_release_that_was_removed(state):
    """Each target is kept before the step to it, whatever is pruned in between."""
    number = 100
    while state.previous is not None and state.current is not None:
        kept = kept_of(state, 1)
        target = state.previous
        assert target.version in kept
        number += 1
        state = state.pop_to(target, Mark(state.current.version, NOW, "max", "", number), AT.plus(number))
        assert state.current_version in kept
