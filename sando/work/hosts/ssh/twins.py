"""Nodes with one release_root that may be one machine under two names: told from what the files say, nobody is asked."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from ipaddress import ip_address
from itertools import combinations
from typing import NamedTuple

from sando.model.errors import WorkError
from sando.model.target import target_of
from sando.model.topology import LOCAL, NodeSpec, Topology


class _Place(NamedTuple):
    tier: str
    node: NodeSpec

    @property
    def name(self) -> str:
        return f"{self.node.name} of tier {self.tier}"


def twins(topology: Topology) -> Iterator[str]:
    """A sentence a pair. That two have the same ssh_target and release_root is refused with the file, not told here."""
    _keys.cache_clear()
    places = [_Place(tier.name, node) for tier in topology.tiers for node in tier.nodes]
    for one, other in combinations(places, 2):
        if one.node.release_root == other.node.release_root and (why := _same(one.node, other.node)):
            yield (
                f"{one.name} and {other.name} have the same release_root {one.node.release_root}, and {why}: on one "
                "machine each deploy takes the other's place; give each a folder of its own"
            )


def _same(one: NodeSpec, other: NodeSpec) -> str:
    """Why they look like one machine; empty: they do not."""
    if LOCAL in {one.ssh_target, other.ssh_target}:
        far = one.ssh_target if other.ssh_target == LOCAL else other.ssh_target
        return f"{far} is this machine" if far != LOCAL and _is_here(target_of(far).host) else ""
    return "known_hosts has one host key for both" if _keys(one) & _keys(other) else ""


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


@cache
def _keys(node: NodeSpec) -> frozenset[bytes]:
    from sando.work.hosts.ssh.trust import Trust  # noqa: PLC0415  (paramiko, which a start without such a pair does not need)

    with suppress(WorkError):  # whoever wants to log in there hears of it
        return Trust(target_of(node.ssh_target), node.known_hosts).vouched()
    return frozenset()
