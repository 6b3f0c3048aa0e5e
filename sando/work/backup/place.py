"""A new file or folder takes the place of an old one at once; whoever opens the name finds the one or the other.

What a killed fetch left is put right by the next one. It never replaces a folder that is no dump.
"""

import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from sando.model.errors import WorkError
from sando.work.backup.source import STEP

_TOC = "toc.dat"
_FORMER = "former"
HELD = "held"
_AT_FDCWD = -100
_EXCHANGE = 2
_NOT_HERE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV})
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # since glibc 2.28


def stage(target: Path) -> Path:
    """A new folder of ours beside the target, for all that a fetch needs; what killed ones left is gone."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(target)
    folder = target.with_name(f".{target.name}.fetch-{secrets.token_hex(8)}")
    folder.mkdir(0o700)
    return folder


def sweep(target: Path) -> None:
    """Only one fetch runs at a time. An old backup that one of them had already set aside gets its name back."""
    pattern = _ours(target)
    for path in target.parent.iterdir():
        match pattern.fullmatch(path.name):
            case re.Match() as found if found[1] == HELD:
                _let_go(path)
            case re.Match():
                former = path / _FORMER
                if not os.path.lexists(target) and os.path.lexists(former):
                    former.rename(target)
                remove(path)


def left(target: Path) -> list[Path]:
    """Folders of fetches beside the target, and nothing of what a reader holds or an old backup that has no name."""
    beside = sorted(target.parent.iterdir()) if target.parent.is_dir() else []
    found = [p for p in beside if (m := _ours(target).fullmatch(p.name)) and m[1] != HELD]
    return [p for p in found if not os.path.lexists(p / _FORMER)]


def _ours(target: Path) -> re.Pattern[str]:
    return re.compile(re.escape(f".{target.name}.") + f"(fetch|{HELD})-[0-9a-f]{{16}}")


def _let_go(path: Path) -> None:
    """Unless its reader lives."""
    with suppress(OSError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        finally:
            os.close(fd)


def remove(path: Path) -> None:
    """A file or folder of ours, gone already or not; what cannot be removed stays for the next time."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def check(target: Path) -> None:
    """WorkError where something else than a backup has the name."""
    try:
        mode = target.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(mode):
        names = list(target.iterdir())
        if not names or ((target / _TOC).is_file() and all(name.is_file() for name in names)):
            return
        why = "is a folder and no dump of pg_dump -Fd"
    elif stat.S_ISREG(mode):
        return
    else:
        why = "is neither a file nor a folder"
    raise WorkError(
        STEP, f"{target} ([backup] local_path) {why}: name a path of its own for the backup", errored=True
    )


def size_of(path: Path) -> int:
    """Bytes of a file, or of the files in a folder; 0 where nothing is."""
    try:
        if path.is_dir():
            with os.scandir(path) as entries:
                return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
        return path.stat().st_size
    except OSError:  # not there yet, or no more
        return 0


def put(new: Path, target: Path) -> None:
    """`new` becomes `target`; a former one is left in `new`'s place or beside it, for its folder to be removed."""
    folders = target.is_dir() or (new.is_dir() and os.path.lexists(target))
    if not folders:
        new.replace(target)
    elif not _swap(new, target):
        _set_aside(new, target)


def _swap(new: Path, target: Path) -> bool:
    """False where the file system cannot do it (NFS)."""
    if _renameat2 is None:
        return False
    if _renameat2(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(target), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NOT_HERE:
        return False
    raise OSError(number, os.strerror(number), str(target))


def _set_aside(new: Path, target: Path) -> None:
    """For a moment nothing has the name; a crash just then is put right by `sweep`."""
    former = new.with_name(_FORMER)
    target.rename(former)
    try:
        new.rename(target)
    except BaseException:
        former.rename(target)
        raise


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
