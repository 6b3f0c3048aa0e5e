"""Folders whose content nobody vouches for: opens what a build closed, removes all of it, never follows a link."""

import os
import shutil
import stat
from contextlib import suppress
from itertools import count
from pathlib import Path


def remove_tree(path: str | Path) -> None:
    """Remove a folder with everything in it, a file or a link; one that is not there is fine. Raises OSError."""
    path = Path(path)
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    with suppress(OSError):
        shutil.rmtree(path)
        return
    open_up(path)
    shutil.rmtree(path)


def move_tree(path: Path, to: Path) -> None:
    """Rename whatever stands at `path`, also a folder that its owner may not write to. Raises OSError."""
    if not path.is_symlink():
        _open(path)  # its `..` changes with its parent
    path.rename(to)


def has_foreign(path: str | Path) -> bool:
    """Whether a folder in it is another user's: what lies there may be his alone to remove (a container's root)."""
    found = (Path(at, name) for at, folders, _files in os.walk(path) for name in folders)
    return any(folder.lstat().st_uid != os.geteuid() for folder in found)


def put_aside(path: Path) -> Path:
    """Rename it out of the way, and remove of it what can be; answers where the rest lies. Raises OSError."""
    aside = next(p for n in count(1) if not os.path.lexists(p := path.with_name(f"{path.name}.aside-{n}")))
    path.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)
    return aside


def open_up(path: str | Path) -> None:
    """Give the owner every folder back that is closed to him (`chmod 000`); what cannot be changed stays."""
    if Path(path).is_symlink():
        return
    _open(Path(path))
    for folder, folders, _files in os.walk(path):
        for name in folders:
            _open(Path(folder, name))


def _open(folder: Path) -> None:
    with suppress(OSError):
        mode = folder.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IRWXU != stat.S_IRWXU:
            folder.chmod(stat.S_IMODE(mode) | stat.S_IRWXU)
