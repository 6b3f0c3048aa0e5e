"""Copies a release, file by file and durably, into a folder of its own; it follows no link and overwrites nothing."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from sando.model.release import MANIFEST, FileEntry
from sando.work.cancel import CancelToken

_CHUNK = 8 * 2**20
_AT_ONCE = 8
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_release(source: Path, target: Path, files: Sequence[FileEntry], cancel: CancelToken) -> None:
    """Make `target` with the manifest and the files that it lists; all of it is on disk at the return.

    The manifest comes last, so that half a copy has none. Raises OSError, Cancelled.
    """
    _make(target)
    folders = {target}
    for entry in files:
        path = target / entry.path
        folders |= _make_parents(path, target, folders)
        _copy(source / entry.path, path, entry.mode, cancel)
    _copy(source / MANIFEST, target / MANIFEST, 0o644, cancel)
    made = [*folders, target / MANIFEST, *(target / entry.path for entry in files)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a journal commits many waiting at the price of one
        list(pool.map(sync, made))


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    with _opened(path, _READ) as fd:
        os.fsync(fd)


def _copy(source: Path, target: Path, mode: int, cancel: CancelToken) -> None:
    with _opened(source, _READ) as given, _opened(target, _WRITE) as made:
        offset = 0
        while sent := os.sendfile(made, given, offset, _CHUNK):
            cancel.check()
            offset += sent
        os.fchmod(made, mode)  # not left to the umask: the service may run as another user


def _make_parents(path: Path, top: Path, known: set[Path]) -> set[Path]:
    missing = [p for p in path.parents if p.is_relative_to(top) and p not in known]
    for folder in reversed(missing):
        _make(folder)
    return set(missing)


def _make(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o755)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    fd = os.open(path, flags, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
