"""daemon.toml and sando.toml -> the values of `sando.model.topology`, completely validated. It starts and writes nothing.

Every problem of a file is told at once, as `FILE:LINE: key: what is wrong; next step`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from shutil import which

from sando.config.daemon import read_daemon
from sando.config.document import open_document
from sando.config.habits import habits
from sando.config.topology import read_topology
from sando.model.errors import ConfigError
from sando.model.topology import LOCAL, DaemonSpec, NotifySpec, Topology

__all__ = ["check", "load_daemon", "load_topology", "warnings"]


def load_daemon(path: str | Path) -> DaemonSpec:
    """daemon.toml, or a ConfigError with all that is wrong in it."""
    document = open_document(path)
    spec = read_daemon(document)
    document.check()
    return spec


def load_topology(path: str | Path, *, tokens: bool, store: str = "") -> Topology:
    """sando.toml, or a ConfigError with all that is wrong in it.

    `tokens`: daemon.toml has tokens, so approvals can be counted by person. `store`: the daemon's
    `release_root`, which no local node may share; without it that one check is left out.
    """
    document = open_document(path)
    topology = read_topology(document, tokens=tokens, store=store)
    document.check()
    return topology


def warnings(topology: Topology, daemon: DaemonSpec | None = None) -> tuple[str, ...]:
    """Bad habits worth telling; none of them stops anything. Without daemon.toml, those of sando.toml alone."""
    tokens, notifiers = (daemon.tokens, daemon.notify) if daemon else ((), ())
    return (*habits(topology, tokens), *_not_there(topology), *_not_found(notifiers))


def _not_there(topology: Topology) -> Iterator[str]:
    """Files that logins need: they may come later, so a missing one stops nothing yet."""
    for tier in topology.tiers:
        for node in tier.nodes:
            for key, path in (("identity_file", node.identity_file), ("known_hosts", node.known_hosts)):
                if path and node.ssh_target != LOCAL and not Path(path).exists():
                    yield f"tier {tier.name}: {node.name}: {key} {path} is not there; nobody can log in on it"
    backup = topology.backup
    if backup and backup.source.startswith("ssh://"):
        for key, path in (("identity_file", backup.identity_file), ("known_hosts", backup.known_hosts)):
            if path and not Path(path).exists():
                yield f"backup: {key} {path} is not there; no backup can be fetched"


def _not_found(notifiers: Iterable[NotifySpec]) -> Iterator[str]:
    """A shell's words may be anything; a program alone is there or not."""
    for spec in notifiers:
        if isinstance(spec.command, tuple) and not which(spec.command[0]):
            yield f"notify {spec.name}: its program {spec.command[0]} is not found, or may not be run; nothing would be told"


def check(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Problems and warnings of daemon.toml and of the sando.toml that it names: what `sandod --check` prints."""
    try:
        document = open_document(path)
        spec = read_daemon(document)
    except ConfigError as error:
        return error.problems, ()
    problems = document.problems()
    if not spec.topology_path:
        return problems, ()
    try:
        topology = load_topology(spec.topology_path, tokens=bool(spec.tokens), store=spec.release_root)
    except ConfigError as error:
        return (*problems, *error.problems), ()
    return problems, warnings(topology, spec)
