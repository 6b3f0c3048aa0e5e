"""What a release folder holds, by hash: lists it, and compares it with its manifest; it never changes a file."""

import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.model.release import MANIFEST, FileEntry, Files
from sando.work.failure import of_the_machine

_STEP = "release"
_NO_FOLLOW = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO must not hold the open
_CHUNK = 2**20
_MISSING = "missing"
_TICK_NS = 50_000_000  # longer than a kernel's clock stands still
_LISTS = 8
_HASHES = 20_000  # files; a few MB

_files = msgspec.json.Decoder(Files).decode
_hashes: dict["Seen", str] = {}
"""What was read since sandod started: a release is looked at again for each promotion, and is mostly the same."""


def scan(folder: Path) -> tuple[FileEntry, ...]:
    """Every regular file below `folder`, sorted by path, the manifest left out.

    WorkError names what has no place in a release: a link, a device, a name that is not UTF-8.
    """
    try:
        return tuple(sorted(_walk(folder), key=lambda entry: entry.path))
    except OSError as error:
        name = visible(os.fsdecode(error.filename or folder))
        raise _unread(name, error) from error


def _walk(folder: Path) -> Iterator[FileEntry]:
    for where, folders, files, fd in os.fwalk(folder, onerror=_raise):
        inner = PurePosixPath(os.path.relpath(where, folder))
        for name in folders:
            _refuse_link(inner / name, os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
        for name in files:
            path = inner / name
            if str(path) != MANIFEST:
                yield _entry(path, name, fd, os.stat(name, dir_fd=fd, follow_symlinks=False))


def digest_of(files: Sequence[FileEntry]) -> str:
    """The sha256 of the canonical list: sorted by path, one JSON array a line."""
    rows = ((f.path, f.size, f.mode, f.sha256) for f in sorted(files, key=lambda f: f.path))
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def listed(folder: Path) -> tuple[FileEntry, ...]:
    """The file list of the folder's manifest, the same object as long as that file is the same.

    WorkError (errored) when there is none that can be used.
    """
    path = folder / MANIFEST
    try:
        return _listed(path, Seen.of(path.stat()))
    except FileNotFoundError:
        raise WorkError(_STEP, f"no {MANIFEST} in {folder}", errored=True) from None
    except OSError as error:
        raise _unread(str(path), error) from error


class Seen(NamedTuple):
    """A file as it was when it was read. Nobody changes content without changing its ctime, which no tool sets back."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, info: os.stat_result) -> "Seen":
        return cls(info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)

    @property
    def settled(self) -> bool:
        """A change right after a look could carry the same time: then the look is not remembered."""
        return time.time_ns() - max(self.mtime_ns, self.ctime_ns) > _TICK_NS


@lru_cache(_LISTS)
def _listed(path: Path, _seen: Seen) -> tuple[FileEntry, ...]:
    """Many nodes are asked about the same release, each several times."""
    try:
        files = _files(path.read_bytes()).files
    except (ValueError, msgspec.MsgspecError) as error:
        raise WorkError(_STEP, f"{path} cannot be understood: {visible(str(error))}", errored=True) from error
    for entry in files:
        if not _stays_inside(entry.path):
            raise WorkError(
                _STEP, f"{path} lists {visible(entry.path)!r}, which leads out of it", errored=True
            )
    return files


def verify(folder: Path) -> str | None:
    """None when every file that the manifest lists is there and right, else what is wrong.

    Files that it does not list are no fault: a service may write beside its program (`__pycache__`, a socket).
    """
    if not (folder / MANIFEST).is_file():
        return f"no {MANIFEST}"
    try:
        return compare(folder, listed(folder))
    except WorkError as error:
        return error.detail


def compare(folder: Path, files: Iterable[FileEntry]) -> str | None:
    """The first thing in which `folder` differs from `files`, or None."""
    links: dict[str, bool] = {}
    for wanted in files:
        if wrong := _wrong(str(folder), wanted, links):
            return f"{wanted.path}: {wrong}" if wrong != _MISSING else f"missing: {wanted.path}"
    return None


def _wrong(folder: str, wanted: FileEntry, links: dict[str, bool]) -> str | None:
    """`links` has the folders that were looked at: whether they are links, or below one."""
    above, name = wanted.path.rpartition("/")[0], f"{folder}/{wanted.path}"
    try:
        if above and _is_linked(folder, above, links):
            return "is reached through a link"
        info = os.lstat(name)
        if stat.S_ISLNK(info.st_mode):
            return "is reached through a link"
        return _difference(_entry(PurePosixPath(wanted.path), name, None, info), wanted)
    except FileNotFoundError:
        return _MISSING
    except OSError as error:
        if of_the_machine(error):
            raise _unread(visible(name), error) from error
        return error.strerror or type(error).__name__
    except WorkError as error:
        return error.detail


def _is_linked(folder: str, path: str, links: dict[str, bool]) -> bool:
    if path not in links:
        above = path.rpartition("/")[0]
        links[path] = bool(above and _is_linked(folder, above, links)) or stat.S_ISLNK(
            os.lstat(f"{folder}/{path}").st_mode
        )
    return links[path]


def _difference(found: FileEntry, wanted: FileEntry) -> str | None:
    if found.size != wanted.size:
        return f"has {found.size} bytes, not {wanted.size}"
    if found.sha256 != wanted.sha256:
        return "sha256 differs"
    if found.mode != wanted.mode:
        return f"mode is {found.mode:04o}, not {wanted.mode:04o}"
    return None


def learn(written: os.stat_result, sha256: str) -> None:
    """Of a file that sando itself has just written, under a name that nobody knows yet."""
    _remember(Seen.of(written), sha256)


def _remember(seen: Seen, sha256: str) -> None:
    if len(_hashes) >= _HASHES:
        _hashes.clear()
    _hashes[seen] = sha256


def _entry(path: PurePosixPath, name: str, dir_fd: int | None, info: os.stat_result) -> FileEntry:
    """`info` is what lstat says of it."""
    _refuse_link(path, info.st_mode)
    _refuse_special(path, info.st_mode)
    known = _hashes.get(Seen.of(info))
    if known is not None:
        return FileEntry(str(path), info.st_size, info.st_mode & 0o777, known)
    fd = os.open(name, _NO_FOLLOW, dir_fd=dir_fd)
    try:
        info = os.fstat(fd)
        _refuse_special(path, info.st_mode)
        return FileEntry(str(path), info.st_size, info.st_mode & 0o777, _sha256(fd, Seen.of(info)))
    finally:
        os.close(fd)


def _sha256(fd: int, seen: Seen) -> str:
    settled = seen.settled
    digest = hashlib.sha256()
    while data := os.read(fd, _CHUNK):
        digest.update(data)
    if settled and Seen.of(os.fstat(fd)) == seen:
        _remember(seen, digest.hexdigest())
    return digest.hexdigest()


def _refuse_link(path: PurePosixPath, mode: int) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        name = visible(str(path))
        raise WorkError(_STEP, f"the name {name} is not UTF-8: rename it in the build") from None
    if stat.S_ISLNK(mode):
        raise WorkError(
            _STEP, f"{visible(str(path))} is a symbolic link: a release holds files only, copy it"
        )


def _refuse_special(path: PurePosixPath, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise WorkError(_STEP, f"{visible(str(path))} is no regular file: a release holds files only")


def _stays_inside(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path


def _unread(name: str, error: OSError) -> WorkError:
    return WorkError(_STEP, f"cannot read {name}: {error.strerror}", errored=True, lost=of_the_machine(error))


def _raise(error: OSError) -> None:
    raise error
