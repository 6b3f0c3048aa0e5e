"""What an operator is told at each start of the configuration and the machine, a line each. It changes nothing."""

from collections.abc import Iterable, Iterator

from sando import config
from sando.model.topology import DaemonSpec, Topology
from sando.work import cell
from sando.work.hosts.ssh.twins import twins


def warnings(topology: Topology, daemon: DaemonSpec, stored: Iterable[str]) -> Iterator[str]:
    """`stored` are the tiers that the store knows."""
    for orphan in sorted(set(stored) - {tier.name for tier in topology.tiers}):
        yield f"tier {orphan} is orphaned: the store knows it, {daemon.topology_path} does not name it"
    yield from config.warnings(topology, daemon)
    yield from twins(topology)


def containment() -> str:
    group = cell.delegated()
    below = f" and by control groups below {group}" if group else ""
    return f"builds are contained by a keeper each{below}"
