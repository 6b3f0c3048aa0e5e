"""Transports to the nodes: one `Host` interface, one room a transport."""

from sando.model.topology import LOCAL, NodeSpec
from sando.work.hosts.base import Host, Link
from sando.work.hosts.local import LocalHost
from sando.work.hosts.parcel import Parcels

__all__ = ["Host", "Link", "Parcels", "connect"]


def connect(node: NodeSpec, parcels: Parcels) -> Link:
    """The way to a node that its `ssh_target` names; nothing is opened before the first call."""
    if node.ssh_target == LOCAL:
        return LocalHost(node.release_root)
    # Here, since paramiko takes a sixth of the time in which sandod starts: only who has such a node pays it.
    from sando.work.hosts.ssh.host import SshLink  # noqa: PLC0415

    return SshLink(node, parcels)
