"""A control group for one job, below the daemon's own, where systemd has delegated that (cgroup v2). It waits for nobody.

What is in it is killed at once and whole, however fast it forks; the keeper's own hunt goes on beside it, since a
build may move itself out. Nothing but the standard library: a bare Python runs this too.
"""

import contextlib
import os
from pathlib import Path

_MOUNTS, _OWN, _VMSTAT = Path("/proc/self/mountinfo"), Path("/proc/self/cgroup"), Path("/proc/vmstat")
_DELEGATED = ("user.delegate", "trusted.delegate")


def own() -> Path | None:
    """The folder of this process's control group; None where there is no cgroup v2."""
    return _own("", "cgroup2")


def _own(controller: str, kind: str) -> Path | None:
    """In the hierarchy of that controller of v1, or in the one of v2, which has no name: cgroups(7)."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = (line.split(":", 2) for line in _OWN.read_text().splitlines())
        group = next(group for _, names, group in lines if controller in names.split(","))
        for line in _MOUNTS.read_text().splitlines():
            before, _, after = line.partition(" - ")
            filesystem, _, more = after.partition(" ")
            options = more.rpartition(" ")[2].split(",")
            if filesystem == kind and (not controller or controller in options):
                root, mounted = before.split()[3:5]
                return Path(mounted, Path(group).relative_to(root))
    return None


def delegated() -> Path | None:
    """The same, where it is ours to divide: systemd says so, or has given it to this user; and it can be killed whole."""
    place = own()
    try:
        if place is None or not (place / "cgroup.kill").exists() or not os.access(place, os.W_OK):
            return None
        if (place / "cgroup.subtree_control").read_text().strip():
            return None  # then no process may stand in it beside its children, and the daemon does
        mine = place.stat().st_uid == os.geteuid() != 0
        return place if mine or any(_says_so(place, name) for name in _DELEGATED) else None
    except OSError:
        return None


def _says_so(place: Path, name: str) -> bool:
    try:
        return os.getxattr(place, name) == b"1"
    except OSError:
        return False


class Cell:
    """The group of the keeper with that pid, below `place`. All of it fails quietly: there is the hunt as well."""

    def __init__(self, place: Path, keeper: int) -> None:
        self._above = place / "cgroup.procs"
        self._folder = place / f"job-{keeper}"
        self.held = False

    def enter(self) -> None:
        """The keeper goes in, so that its leader is born there; that is before it has a job, since it may take a while."""
        with contextlib.suppress(OSError):
            self._folder.mkdir()
            (self._folder / "cgroup.procs").write_text("0")
            self.held = True

    def leave(self) -> None:
        """The keeper alone comes out again, or it would kill itself."""
        try:
            self._above.write_text("0")
        except OSError:
            self.held = False

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            (self._folder / "cgroup.kill").write_text("1")

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def oom_file() -> Path:
    """Where the kernel counts what it kills for lack of memory: in the daemon's group (v2, v1), else on the machine."""
    places = ((own(), "memory.events"), (_own("memory", "cgroup"), "memory.oom_control"))
    files = (place / name for place, name in places if place)
    return next((file for file in files if _counted(file) is not None), _VMSTAT)


def oom_kills(file: Path) -> int:
    """How many processes so far; 0 where nobody counts."""
    return _counted(file) or 0


def _counted(file: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (line.split() for line in file.read_text().splitlines())
        return int(next(words[1] for words in lines if words[0] == "oom_kill"))
    return None
