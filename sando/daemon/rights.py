"""Whether this user may keep a state where daemon.toml says, and on what kind of file system. It changes nothing."""

import errno
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from sando.model.errors import SandoError
from sando.model.topology import DaemonSpec

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "gfs2", "glusterfs", "lustre", "ocfs2", "fuse.sshfs",
        "fuse.glusterfs", "fuse.ceph", "fuse.s3fs",
    }
)  # fmt: skip
"""SQLite's journal lives in memory that is shared with every reader, which these do not have; nor do their locks hold."""


def refuse_foreign(daemon: DaemonSpec) -> None:
    """SandoError with a line for each place that cannot be written: whose it is, and what puts that right."""
    wrong = [line for path in _kept(daemon) if (line := _closed(path))]
    if wrong:
        raise SandoError("\n".join(wrong))


def warnings(daemon: DaemonSpec, mounts: Path = MOUNTS) -> Iterator[str]:
    """What works now, and will not for long."""
    for path in _folders(daemon):
        if os.geteuid() == 0 and _is_seen(path) and path.stat().st_uid != 0:
            yield (
                f"{path} belongs to {_owner(path)}, and this sandod runs as root: what it writes there, a sandod of "
                f"{_owner(path)} cannot change; run it as {_owner(path)}"
            )
        kind = file_system(path, mounts)
        if kind in NETWORK:
            yield f"{path} is on {kind}, a network file system: locks and journals do not hold there; use a disk of this machine"


def file_system(path: Path, mounts: Path = MOUNTS) -> str:
    """Its kind as the kernel names it; empty where it does not tell."""
    try:
        lines = mounts.read_text("utf-8", "surrogateescape").splitlines()
        real = Path(os.path.realpath(path))
    except OSError:
        return ""
    found = (_mount(line) for line in lines)  # later ones lie above earlier ones
    above = [
        (len(point.parts), n, kind) for n, (point, kind) in enumerate(found) if real.is_relative_to(point)
    ]
    return max(above)[2] if above else ""


def _mount(line: str) -> tuple[Path, str]:
    """`36 35 98:0 /root /point options - kind source options`; blanks in the point are octal."""
    left, _, right = line.partition(" - ")
    point = left.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape")
    return Path(point), right.split(" ")[0]


# -- rights ------------------------------------------------------------------------------------------------------


def _folders(daemon: DaemonSpec) -> tuple[Path, ...]:
    return Path(daemon.db_path).parent, Path(daemon.workdir), Path(daemon.release_root)


def _kept(daemon: DaemonSpec) -> Iterator[Path]:
    """Every place that is there already, or the one in which it would be made."""
    for folder in _folders(daemon):
        yield _there(folder)
    for path in (
        *(Path(daemon.db_path + end) for end in ("", "-wal", "-shm", ".lock")),
        Path(daemon.workdir, "logs"),
        *(Path(folder, ".sandod.lock") for folder in (daemon.workdir, daemon.release_root)),
    ):
        if _is_seen(path):
            yield path


def _is_seen(path: Path) -> bool:
    """Below a folder that is closed nothing is: that one is told."""
    try:
        return path.exists()
    except OSError:
        return False


def _there(folder: Path) -> Path:
    return folder if _is_seen(folder) or folder == folder.parent else _there(folder.parent)


def _closed(path: Path) -> str | None:
    """Why nothing can be written there; None: it can."""
    wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    if os.access(path, wanted):
        return None
    me, owner = _name(os.geteuid()), _owner(path)
    if _is_read_only(path):
        return (
            f"{path}: its file system is mounted read-only; mount it read-write, or give sandod another place"
        )
    mode = f"{path.stat().st_mode & 0o7777:03o}"
    if owner == me:
        need = "700" if path.is_dir() else "600"
        return f"{path}: has mode {mode} and must be {need} at least; chmod u+rw{'x' if path.is_dir() else ''} {quote(str(path))}"
    return (
        f"{path}: belongs to {owner} (mode {mode}), and sandod runs as {me}, who cannot write there; "
        f"chown -R {me} {quote(str(path))}, or run sandod as {owner}"
    )


def _is_read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError as error:
        return error.errno == errno.EROFS


def _owner(path: Path) -> str:
    return _name(path.stat().st_uid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
