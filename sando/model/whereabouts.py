"""Where a release is and how it stands there: what runs it, its gates on each tier, who has marked it bad. Pure."""

from collections.abc import Mapping

from sando.model import wire
from sando.model.clock import Instant, stamp
from sando.model.gates import GateRun
from sando.model.judge import judge
from sando.model.names import visible
from sando.model.snapshot import gate_shown
from sando.model.stay import Stay
from sando.model.tier import TierState
from sando.model.topology import Topology


def runs_on(topology: Topology, states: Mapping[str, TierState], version: str) -> tuple[wire.RunsOn, ...]:
    """The tiers in their order; of the nodes those that are on it as far as is known, whatever was meant to be there."""
    found = []
    for spec in topology.tiers:
        state = states[spec.name]
        known = [state.nodes[n.name] for n in spec.nodes if n.name in state.nodes]
        nodes = tuple(n.name for n in known if n.observed == version)
        current = state.current_version == version
        if current or nodes:
            found.append(wire.RunsOn(spec.name, current, nodes))
    return tuple(found)


def gates_of(
    topology: Topology,
    states: Mapping[str, TierState],
    stays: Mapping[str, Stay],
    tried: tuple[GateRun, ...],
    now: Instant,
) -> dict[str, tuple[wire.Gate, ...]]:
    """By tier, for the release's last stay there. `tried` are the runs of its build, which may not have let it stay."""
    found = {}
    for spec in topology.tiers:
        current, last = states[spec.name].current, stays.get(spec.name)
        stay = current if current and last and current.n == last.n else last
        runs = tried if spec is topology.build_tier and stay is None else ()
        if stay or runs:
            found[spec.name] = tuple(gate_shown(view) for view in judge(spec, stay, now, runs))
    return found


def marks_on(topology: Topology, states: Mapping[str, TierState], version: str) -> tuple[wire.Mark, ...]:
    of_tiers = ((t.name, states[t.name].marks.get(version)) for t in topology.tiers)
    return tuple(
        wire.Mark(tier, stamp(mark.at), visible(mark.actor), visible(mark.reason), mark.operation)
        for tier, mark in of_tiers
        if mark
    )
