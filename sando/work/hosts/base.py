"""What a deploy asks of a node, whatever the transport. Paths are the node's; nothing beyond this touches it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Literal, Protocol, TypeAlias

from sando.model.errors import WorkError
from sando.model.gates import Verdict
from sando.model.names import is_version, visible
from sando.model.release import FileEntry
from sando.model.topology import Command, Probe
from sando.work.cancel import CancelToken
from sando.work.environment import command_argv
from sando.work.log import OpLog
from sando.work.process import Exit, Keepers
from sando.work.stream import Stream

RELEASES = "releases"
CURRENT = "current"
PRIVATE = ".sando"
MARGIN = 64 * 2**20  # bytes that stay free beyond twice a release
STALE_S = 3600.0  # an upload that nobody finished is swept by the next one after this time


@dataclass(frozen=True, slots=True)
class Current:
    """What `current` is. At most one of `version` and `foreign` is set; neither: there is none."""

    version: str | None = None
    foreign: str = ""
    """In words, when it is no link into `releases/`."""
    dangling: bool = False
    """It names a release whose folder is not there."""


@dataclass(frozen=True, slots=True)
class DeadMan:
    """What a node does by itself `seconds` after its switch, unless the switch is claimed before: back to `former`.

    `former` None: back to no `current`. `restart` runs then in its folder, with `env` over what the node gives.
    """

    seconds: float
    former: str | None
    restart: Command | None
    env: Mapping[str, str]

    def words(self) -> tuple[str, ...]:
        """What `arm` of node.sh takes: seconds, former, and the command that restarts."""
        argv = command_argv(self.restart) if self.restart is not None and self.former else ()
        env = ("env", *(f"{k}={v}" for k, v in self.env.items())) if argv else ()
        return f"{self.seconds:g}", self.former or "", *env, *argv


Claim: TypeAlias = Literal["ours", "fired", "firing", "none"]
"""Who has the dead-man switch: we (it does nothing any more), it went off (and is done, or at it), nobody armed it."""


class Link(Protocol):
    """The way to one node, kept between jobs."""

    def host(self, cancel: CancelToken) -> "Host":
        """The node for one job: cancelling its token ends every call. It connects when it is first asked."""

    def close(self) -> None:
        """Let go of the connection. The link may be used again: it connects anew."""


class Host(Protocol):
    """One node, for one job. Calls end by a deadline, and raise WorkError (errored) when the node cannot do it."""

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
        """Run a command on the node, `env` over a clean environment; the text is what it wrote, or the last of it.

        WorkError says that `step` was late; see `run_plain`. What it leaves running stays.
        """

    def prepare(self, *, need: int, files: int) -> str:
        """Make the root, prove that files and links can be written there, that `need` bytes and `files` inodes are free.

        The answer is what a person should know of the node all the same; mostly empty.
        """

    def survey(
        self, version: str, source: Path, files: Sequence[FileEntry] | None, *, hurry: bool
    ) -> tuple[Current, str | None]:
        """`read_current`, `check_release`, and where that is right, that the folders can be written: one round trip.

        What is missing begins to be made ready for its way, from the controller's folder `source`. `hurry`: of a release of very many files, whether one was added, taken or replaced is enough to know.
        """

    def read_current(self) -> Current:
        """Look at `current`; nothing is made or changed."""

    def check_release(self, version: str, files: Sequence[FileEntry] | None) -> str | None:
        """None: `releases/<version>` is complete against `files` (None: against its own manifest); else what is wrong."""

    def put_release(
        self, version: str, source: Path, files: Sequence[FileEntry], operation: int, cancel: CancelToken
    ) -> bool:
        """Bring a release from the controller's folder `source`: staged, verified on the node, renamed into place.

        False: it was there already, and right. One of that name that is wrong is replaced, unless `current` names it.
        """

    def switch(
        self, version: str, operation: int, *, force: bool, dead_man: DeadMan | None = None
    ) -> str | None:
        """Point `current` at a release, atomically, and read it back; the dead-man switch is armed before.

        A foreign `current` is refused; with `force` it is kept under the name that is answered.
        """

    def switch_and_run(
        self,
        version: str,
        operation: int,
        *,
        force: bool,
        command: Command,
        env: Mapping[str, str],
        timeout: float,
    ) -> tuple[str | None, tuple[Exit, str] | None]:
        """`switch`, and a first look by `command` in the release's folder: one round trip, so that a rollback takes no two.

        No look, where it did not end in time: that says nothing yet.
        """

    def claim(self, operation: int) -> Claim:
        """Take the dead-man switch of this operation, before it goes off: by a rename that one of two can win."""

    def unlink(self, operation: int) -> str | None:
        """Remove `current`, or put back what `switch` of this operation kept; the answer says what it is now."""

    def releases(self) -> tuple[str, ...]:
        """The names of folders in `releases/` that are versions, and nothing else, sorted."""

    def leftovers(self) -> tuple[str, ...]:
        """The paths of uploads that nobody will finish; over SSH those that are an hour old, and not swept by their shell."""

    def sweep(self) -> None:
        """Remove what a controller that was killed in the middle of an upload left; a node's own shell does it by itself."""

    def remove(self, version: str, operation: int) -> None:
        """Remove one release: renamed away first, so that half a one is never seen. Links are never followed."""

    def open_tcp(self, host: str, port: int, timeout: float) -> Stream:
        """A connection as the node makes it. OSError where nobody listens, WorkError where it may make none."""

    def check_forwarding(self, host: str, port: int) -> None:
        """Find out, before anything is switched, whether `open_tcp` may be asked for this address at all."""

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


def claim_of(said: str) -> Claim:
    """What `claim` of node.sh answered."""
    found = re.search("^@claim (ours|fired|firing)$", said, re.MULTILINE)
    return found[1] if found else "none"  # type: ignore[return-value]


def current_of(target: str | None, root: str, *, through_link: bool, dangling: bool) -> Current:
    """What a `current` is that is a link to `target` (None: there is none)."""
    if target is None:
        return Current()
    version = named_by(target, root)
    if version is None:
        return Current(foreign=describe(target))
    if through_link:
        return Current(foreign=f"{describe(target)}, and {RELEASES} is a link itself")
    return Current(version, dangling=dangling)


def refuse_foreign(root: str, foreign: str) -> WorkError:
    return WorkError(
        "node",
        f"{root}/{CURRENT} is {foreign}, no link into {RELEASES}/: "
        "move it away, or promote with force (it is then kept beside)",
        errored=True,
    )


def refuse_in_use(version: str, wrong: str) -> WorkError:
    return WorkError(
        "node",
        f"{RELEASES}/{version} is what {CURRENT} names and is not as it was built ({wrong}); "
        "it is not replaced under a running service: roll back, or promote another version",
        errored=True,
    )


def describe(target: str) -> str:
    return f"a link to {visible(target)}"
