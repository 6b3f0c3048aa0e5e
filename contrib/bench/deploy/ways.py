"""The ways of shell: tar through warm ssh (the floor), rsync cold and warm, and the parallel ssh loops.

Every way does the same work on the node: the release beside the others, every sha256 checked, `current` switched by
a rename, the health command. A way only does; the clock is elsewhere.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nodes import Node, Nodes
from payloads import SUMS, Kind, Release
from shell import NotInstalled, at_once, quote


@dataclass
class Cell:
    """One payload on so many nodes."""

    nodes: list[Node]
    kind: Kind
    tiny: Callable[[], Release]


@dataclass
class Way:
    """Empty labels say what it is not measured for: `first` deploy, `next` with 1 % changed, roll`back`."""

    name: str
    first_label: str = ""
    next_label: str = ""
    back_label: str = ""
    needed: bool = False
    """A bar stands on it: it is measured in every round, however slow."""
    cell: Cell = field(init=False)

    def install(self) -> None:
        """Once, before all. NotInstalled when it cannot be had."""

    def open(self, cell: Cell) -> None:
        """Before a cell: whatever is warm between deploys is warm when this returns."""
        self.cell = cell

    def prepare(self, release: Release) -> None:
        """Before the clock: what a build would have done."""

    def first(self, release: Release) -> None:
        raise NotImplementedError

    def next(self, former: Release, release: Release) -> None:
        raise NotImplementedError

    def back(self, former: Release) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """After a cell, also after one that failed."""

    def root(self, node: Node) -> Path:
        return node.root(self.name)

    def on_nodes(self, script: Callable[[Node], str]) -> None:
        at_once(script(node) for node in self.cell.nodes)


def health(kind: Kind) -> str:
    """Run in the release root."""
    return f"test -x current/{kind.entry}"


def switch(version: str, kind: Kind) -> str:
    """New link, rename, health command; run in the release root."""
    return f"ln -s releases/{version} .next && mv -T .next current && {health(kind)}"


def finish(release: Release) -> str:
    """What follows the upload, run in the release root."""
    check = f"(cd releases/{release.version} && sha256sum -c --quiet --strict {SUMS})"
    return f"{check} && {switch(release.version, release.kind)}"


def unpack(root: Path, release: Release, archive: str = "-") -> str:
    """The whole work on the node, given the archive of the release: a file in its root, or its standard input."""
    folder = f"releases/{release.version}"
    remove = "" if archive == "-" else f" && rm {archive}"
    return f"cd {quote(str(root))} && mkdir -p {folder} && tar xf {archive} -C {folder}{remove} && {finish(release)}"


def step_back(root: Path, former: Release) -> str:
    return f"cd {quote(str(root))} && {switch(former.version, former.kind)}"


class Tar(Way):
    """`tar | ssh` over warm ControlMasters: the floor; its rollback is the warm ssh loop."""

    def __init__(self, nodes: Nodes) -> None:
        label = "tar \\| ssh, warm ControlMaster (floor)"
        super().__init__(
            "tar", label, "tar \\| ssh, warm, all of it", "ssh loop, warm ControlMaster", needed=True
        )
        self.ssh = f"ssh -F {quote(str(nodes.warm))}"

    def first(self, release: Release) -> None:
        source = quote(str(release.folder))
        self.on_nodes(
            lambda n: f"tar cf - -C {source} . | {self.ssh} {n.name} {quote(unpack(self.root(n), release))}"
        )

    def next(self, former: Release, release: Release) -> None:
        del former
        self.first(release)

    def back(self, former: Release) -> None:
        self.on_nodes(lambda n: f"{self.ssh} -n {n.name} {quote(step_back(self.root(n), former))}")


class Rsync(Way):
    """rsync in parallel, a second ssh for the work after it; its rollback is the cold ssh loop."""

    def __init__(self, nodes: Nodes, *, warm: bool) -> None:
        again = "rsync --checksum --link-dest, " + ("warm ControlMaster" if warm else "cold")
        if warm:
            super().__init__("rsync-warm", next_label=again)
        else:
            super().__init__("rsync", "rsync -e ssh, parallel", again, "ssh loop, cold", needed=True)
        self.ssh = f"ssh -F {quote(str(nodes.warm if warm else nodes.cold))}"

    def install(self) -> None:
        if shutil.which("rsync") is None:
            raise NotInstalled("rsync is not installed")

    def first(self, release: Release) -> None:
        self._send(release, lambda _: ["--mkpath"])

    def next(self, former: Release, release: Release) -> None:
        self._send(release, lambda n: link_dest(self.root(n), former))

    def back(self, former: Release) -> None:
        self.on_nodes(lambda n: f"{self.ssh} -n {n.name} {quote(step_back(self.root(n), former))}")

    def _send(self, release: Release, options: Callable[[Node], Iterable[str]]) -> None:
        def script(node: Node) -> str:
            root = self.root(node)
            flags = " ".join(["-a", *map(quote, options(node))])
            goal = f"{node.name}:{root}/releases/{release.version}/"
            sent = f"rsync {flags} -e {quote(self.ssh)} {quote(str(release.folder))}/ {quote(goal)}"
            return (
                f"{sent} && {self.ssh} -n {node.name} {quote(f'cd {quote(str(root))} && {finish(release)}')}"
            )

        self.on_nodes(script)


def link_dest(root: Path, former: Release) -> list[str]:
    return ["--checksum", f"--link-dest={root}/releases/{former.version}"]
