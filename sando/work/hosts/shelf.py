"""The releases of a node that is a folder of this machine: puts, checks, lists and removes them; knows no `current`.

A link that somebody planted on the way to a release is refused, never followed.
"""

import errno
import fcntl
import os
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from sando.failpoints import reached
from sando.model.errors import WorkError
from sando.model.names import is_version
from sando.model.release import MANIFEST, FileEntry
from sando.work.cancel import CancelToken
from sando.work.digest import compare, verify
from sando.work.hosts.base import PRIVATE, RELEASES, STALE_S
from sando.work.hosts.copying import copy_release, sync
from sando.work.tree import remove_tree

_REMEDY = {
    errno.EROFS: "mount it writable, or, as a service, add ReadWritePaths= for it (systemctl edit sandod)",
    errno.ENOSPC: "make room there: bytes or inodes are used up (df, df -i)",
    errno.EDQUOT: "make room there, or raise the quota of the user of sandod",
}
"""For what no owner mends."""


_COPIES = threading.BoundedSemaphore(8)
"""Releases that are copied at once: hundreds would only wait for each other, at one disk and at Python's lock."""


class Shelf:
    """`releases/` with its staging and trash beside it in `.sando/`, below the release root."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def release(self, version: str) -> Path:
        return self._root / RELEASES / version

    def folder(self, *names: str) -> Path:
        """A folder below the root, made when missing. One that is a link, or anything else, is refused."""
        path = self._root
        for name in names:
            path /= name
            path.mkdir(exist_ok=True, mode=0o755 if name == RELEASES else 0o700)
            if path.is_symlink():
                raise cannot(f"unexpected link: {path} has to be a folder; remove the link")
        return path

    def check(self, version: str, files: Sequence[FileEntry] | None) -> str | None:
        folder = self.release(version)
        if (self._root / RELEASES).is_symlink() or folder.is_symlink():
            return "it is reached through a link"
        if not is_folder(folder):
            return "it is not there"
        if files is None:
            return verify(folder)
        return compare(folder, files) if (folder / MANIFEST).is_file() else f"it has no {MANIFEST}"

    def put(
        self, version: str, source: Path, files: Sequence[FileEntry], operation: int, cancel: CancelToken
    ) -> None:
        with (
            told(f"cannot copy {version} to {self._root}"),
            _locked(self.folder(PRIVATE, "incoming"), fcntl.LOCK_SH),
        ):
            staged = self.folder(PRIVATE, "incoming") / str(operation)
            remove_tree(staged)
            try:
                with _COPIES:
                    copy_release(source, staged, files, cancel)
                if wrong := compare(staged, files):
                    raise cannot(
                        f"{version} differs from its manifest after the copy: {wrong} (store: {source})"
                    )
                cancel.check()
                reached("shelf.staged")
                self._place(staged, version, operation)
            finally:
                remove_tree(staged)

    def versions(self) -> tuple[str, ...]:
        folder = self._root / RELEASES
        with told(f"cannot list {folder}"):
            if not folder.is_symlink() and not folder.exists():
                return ()
            found = [p.name for p in self.folder(RELEASES).iterdir()]
        return tuple(sorted(n for n in found if is_version(n) and is_folder(folder / n)))

    def remove(self, version: str, operation: int) -> None:
        with told(f"cannot remove {RELEASES}/{version}"):
            self.folder(RELEASES)
            if not is_version(version) or not is_folder(self.release(version)):
                raise cannot(f"{RELEASES}/{version} is no release of this node")
            self._discard(version, operation)

    def _place(self, staged: Path, version: str, operation: int) -> None:
        releases = self.folder(RELEASES)
        target = self.release(version)
        if os.path.lexists(target):
            self._discard(version, operation)
        staged.rename(target)
        sync(releases)

    def _discard(self, version: str, operation: int) -> None:
        trash = self.folder(PRIVATE, "trash")
        gone = trash / f"{version}-{operation}-{token_hex(4)}"
        self.release(version).rename(gone)
        sync(self._root / RELEASES)
        for path in trash.iterdir():  # also what an earlier removal did not finish
            remove_tree(path)

    def sweep(self) -> None:
        with told(f"cannot remove what an upload left below {self._root}"):
            for path in self.stale():
                remove_tree(path)

    def stale(self) -> tuple[Path, ...]:
        """Uploads that nobody will finish: who made them lives no more, or they were begun an hour ago.

        Where nothing is a number, it is not mine: an upload over SSH, which holds no lock.
        """
        incoming = self._root / PRIVATE / "incoming"
        if not is_folder(incoming):
            return ()
        found = sorted(incoming.iterdir())
        left = any(path.name.isdigit() for path in found) and _nobody_uploads(incoming)
        return tuple(path for path in found if (left and path.name.isdigit()) or _is_stale(path))


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[bool]:
    """The kernel's lock on a folder, which ends with its process. False: somebody has it, or this file system has none."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, how)
        mine = True
    except OSError:
        mine = False
    try:
        yield mine
    finally:
        os.close(fd)


def _nobody_uploads(incoming: Path) -> bool:
    with _locked(incoming, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
        return alone


def _is_stale(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > STALE_S
    except FileNotFoundError:  # somebody finished it just now
        return False


def is_folder(path: Path) -> bool:
    """A real folder, no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def cannot(detail: str) -> WorkError:
    return WorkError("node", detail, errored=True)


@contextmanager
def told(what: str, hint: str = "") -> Iterator[None]:
    """What the system refuses becomes a sentence that names the thing and the reason."""
    try:
        yield
    except OSError as error:
        hint = _REMEDY.get(error.errno or 0, hint)
        where = f" ({error.filename})" if error.filename and str(error.filename) not in what else ""
        raise cannot(f"{what}: {error.strerror or error}{where}{'; ' + hint if hint else ''}") from error
