"""Transports to the nodes: one `Host` interface, one module a transport."""

from sando.model.errors import WorkError
from sando.model.topology import LOCAL, NodeSpec
from sando.work.hosts.base import Host
from sando.work.hosts.local import LocalHost

__all__ = ["Host", "connect"]


def connect(node: NodeSpec) -> Host:
    """The transport that the node's `ssh_target` asks for. WorkError (errored) when it cannot be reached."""
    if node.ssh_target == LOCAL:
        return LocalHost(node.release_root)
    raise WorkError(
        "connect", f"{node.name}: ssh nodes are not supported yet ({node.ssh_target})", errored=True
    )
