"""The declared flow: who stands before and after whom, and which nodes and gates take part."""

import pytest

from sando.model.topology import (
    GATE_KINDS,
    PASSIVE,
    BuildSpec,
    GateSpec,
    NodeSpec,
    RepoSpec,
    TierSpec,
    Topology,
)


def flow(*tiers: tuple[str, bool]) -> Topology:
    return Topology(RepoSpec("/srv/git/a.git"), tuple(TierSpec(n, p) for n, p in tiers))


FLOW = flow(("mm", True), ("a", False), ("b", True), ("c", False), ("d", True))


@pytest.mark.parametrize(
    ("tier", "before", "after"),
    [
        ("mm", None, "b"),
        ("a", "mm", None),
        ("b", "mm", "d"),
        ("c", "b", None),
        ("d", "b", None),
        ("nowhere", None, None),
    ],
)
def test_the_neighbours_of_a_tier_are_the_nearest_provisioned_ones(
    tier: str, before: str | None, after: str | None
) -> None:
    predecessor, successor = FLOW.predecessor(tier), FLOW.successor(tier)
    if tier != "nowhere":
        assert (predecessor.name if predecessor else None) == before
    assert (successor.name if successor else None) == after


def test_the_first_tier_is_the_build_tier_and_earlier_ones_are_in_file_order() -> None:
    assert FLOW.build_tier.name == "mm"
    assert [t.name for t in FLOW.earlier("c")] == ["mm", "a", "b"]
    assert FLOW.earlier("mm") == FLOW.earlier("nowhere") == ()
    assert FLOW.tier("nowhere") is None


def test_a_node_that_is_left_out_takes_no_part_and_is_still_known() -> None:
    tier = TierSpec(
        "b",
        provisioned=True,
        nodes=(NodeSpec("n1", "local", "/srv/1"), NodeSpec("n2", "local", "/srv/2", out=True)),
    )
    assert [n.name for n in tier.nodes_in()] == ["n1"]
    assert tier.node("n2")
    assert tier.node("n3") is None


def test_only_a_person_and_the_clock_are_passive_gates() -> None:
    gates = tuple(GateSpec(kind, kind) for kind in GATE_KINDS)
    tier = TierSpec("b", provisioned=True, gates=gates)
    assert {g.name for g in gates if not g.active} == PASSIVE == {"manual_confirm", "burn_in"}
    assert [g.name for g in tier.active_gates()] == [k for k in GATE_KINDS if k not in PASSIVE]
    assert tier.gate("burn_in") is gates[GATE_KINDS.index("burn_in")]
    assert tier.gate("soak") is None


@pytest.mark.parametrize(
    ("build", "command"),
    [
        (BuildSpec(), ("./server",)),
        (BuildSpec(artifact="dist/app/"), ("./app",)),
        (BuildSpec(artifact="app"), ("./app",)),
        (BuildSpec(run=("python3", "-m", "app")), ("python3", "-m", "app")),
    ],
)
def test_the_artifact_starts_by_its_name_unless_told(build: BuildSpec, command: tuple[str, ...]) -> None:
    assert build.start_command() == command
