"""Holds the backup as it is now while a long reader is at work: a fetch that ends meanwhile takes nothing away from it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from sando.work.backup.place import HELD, remove

_ATTEMPTS = 5


@contextmanager
def held(local_path: str) -> Iterator[Path]:
    """Another name of the same file, or a folder with others of the same files, which cost nothing; gone at the end.

    FileNotFoundError where there is no backup. On a file system without hard links it is the backup itself.
    """
    path = Path(local_path).resolve()
    for attempt in range(_ATTEMPTS):
        folder = path.with_name(f".{path.name}.{HELD}-{token_hex(8)}")
        folder.mkdir(0o700)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            found = _linked(path, folder / path.name, last=attempt == _ATTEMPTS - 1)
            if found:
                yield found
                return
        finally:
            os.close(lock)
            remove(folder)


def _linked(path: Path, new: Path, *, last: bool) -> Path | None:
    """None: it was replaced just now, and what was there is gone."""
    try:
        if path.is_dir():
            _link_files(path, new)
        else:
            os.link(path, new)
    except FileNotFoundError:
        if last or not os.path.lexists(path):
            raise
        return None
    except OSError:
        return path
    return new


def _link_files(path: Path, new: Path) -> None:
    """All from the one folder that is there now, whatever takes its name meanwhile."""
    new.mkdir(0o700)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in os.listdir(fd):  # noqa: PTH208  (it is this folder, whatever its name is now)
            os.link(name, new / name, src_dir_fd=fd)
    finally:
        os.close(fd)
