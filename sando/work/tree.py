"""Folders whose content nobody vouches for: opens what a build closed, removes all of it, never follows a link."""

import os
import shutil
import stat
from contextlib import suppress
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
