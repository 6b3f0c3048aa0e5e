"""What a deploy asks of a node, whatever the transport. Paths are the node's; nothing beyond this touches it."""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Protocol

from sando.model.gates import Verdict
from sando.model.names import is_version, visible
from sando.model.release import FileEntry
from sando.model.topology import Command, Probe
from sando.work.cancel import CancelToken
from sando.work.log import OpLog
from sando.work.process import Exit, Keepers

RELEASES = "releases"
CURRENT = "current"
PRIVATE = ".sando"
MARGIN = 64 * 2**20  # bytes that stay free beyond twice a release
STALE_S = 24 * 3600.0  # an upload that nobody finished is swept after this time


@dataclass(frozen=True, slots=True)
class Current:
    """What `current` is. At most one of `version` and `foreign` is set; neither: there is none."""

    version: str | None = None
    foreign: str = ""
    """In words, when it is no link into `releases/`."""
    dangling: bool = False
    """It names a release whose folder is not there."""


class Host(Protocol):
    """One node. Every call has a deadline, and raises WorkError (errored) when the node cannot do it."""

    def close(self) -> None:
        """Let go of the connection. The host may be used again: it connects anew."""

    @property
    def root(self) -> str:
        """The release root, absolute."""

    def run(
        self,
        command: Command,
        *,
        cwd: str,
        env: Mapping[str, str],
        log: OpLog | None,
        cancel: CancelToken,
        timeout: float,
        step: str,
    ) -> tuple[Exit, str]:
        """Run a command on the node, `env` over a clean environment; see `run_plain`. What it leaves running stays."""

    def prepare(self, *, need: int, files: int) -> None:
        """Make the root, prove that files and links can be written there, that `need` bytes and `files` inodes are free."""

    def read_current(self) -> Current:
        """Look at `current`; nothing is made or changed."""

    def check_release(self, version: str, files: Sequence[FileEntry] | None) -> str | None:
        """None: `releases/<version>` is complete against `files` (None: against its own manifest); else what is wrong."""

    def put_release(
        self, version: str, source: Path, files: Sequence[FileEntry], operation: int, cancel: CancelToken
    ) -> None:
        """Bring a release from the controller's folder `source`: staged, verified on the node, renamed into place.

        One of that name that is there and wrong is replaced. The caller knows that it is not `current`.
        """

    def switch(self, version: str, operation: int) -> str | None:
        """Point `current` at a release, atomically, and read it back.

        A foreign `current` is kept under the name that is answered. The caller has asked whether it may be moved.
        """

    def unlink(self, operation: int) -> str | None:
        """Remove `current`, or put back what `switch` of this operation kept; the answer says what it is now."""

    def releases(self) -> tuple[str, ...]:
        """The names of folders in `releases/` that are versions, and nothing else, sorted."""

    def remove(self, version: str, operation: int) -> None:
        """Remove one release: renamed away first, so that half a one is never seen. Links are never followed."""

    def open_tcp(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connection as the node makes it."""

    def boot(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        probe: Probe | None,
        settle_s: float,
        timeout_s: float,
        log: OpLog,
        keepers: Keepers,
        cancel: CancelToken,
    ) -> Verdict:
        """`sando.work.boot.boot` on the node, `env` over a clean environment."""


def release_path(host: Host, version: str) -> str:
    return str(PurePosixPath(host.root, RELEASES, version))


def named_by(target: str, root: str) -> str | None:
    """The version that a link of this target, standing in `root`, names; None when it leads elsewhere."""
    path = PurePosixPath(normpath(PurePosixPath(root, target)))
    inside = path.parent == PurePosixPath(normpath(root), RELEASES)
    return path.name if inside and is_version(path.name) else None


def describe(target: str) -> str:
    return f"a link to {visible(target)}"
