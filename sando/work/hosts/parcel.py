"""What has to travel so that a node gets a release: made once, sent to many. It talks to no node.

The controller holds the release that the nodes have and the new one, so it compares them once, by hash, for all: what
is the same is linked on the node, a large file that changed is rebuilt there from a patch, and only the rest is sent.
A parcel is one tar: `list/files` and `list/folders` (the paths of the whole release, NUL after each), `same` (those that
are linked), `moved` (old and new path), `fresh` (all others) and `sum` (what their hashes come to), `patches`, `patch/N`,
`tree/…`.
"""

import io
import mmap
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sando.model.errors import WorkError
from sando.model.release import MANIFEST, FileEntry
from sando.work.cancel import CancelToken
from sando.work.hosts.listing import folders, names, state
from sando.work.hosts.packing import Packing, Tape, packed, packing, patch, tape, worth_a_patch

_KEPT = 4
_MOVED = 200
_CHUNK = 2**20
_FOLDER = 0o40755


@dataclass(frozen=True, slots=True)
class Parcel:
    """The bytes of one tar, packed. `base` is the release on the node without which they are no use."""

    packing: Packing
    base: str | None
    data: memoryview

    @property
    def size(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be made. `packing` is the best that the node can unpack, `patches` whether it can apply them.

    `state` tells what is in the release apart from its name: a version may be built again after it was red.
    """

    store: Path
    version: str
    state: tuple[str, ...]
    base: str | None
    packing: Packing
    patches: bool


class Parcels:
    """The parcels of the last few wishes, each made by the first thread that asks while the others wait for it."""

    def __init__(self, folder: str | None = None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._making: dict[Wish, threading.Lock] = {}
        self._made: OrderedDict[Wish, Parcel] = OrderedDict()
        self._forgotten = 0

    def get(
        self, wish: Wish, files: Sequence[FileEntry], old: Sequence[FileEntry], cancel: CancelToken
    ) -> Parcel:
        """`files` is what the release has, `old` what its base has. Raises WorkError, OSError, Cancelled."""
        with self._lock:
            alone = self._making.setdefault(wish, threading.Lock())
        with alone:
            cancel.check()
            with self._lock:
                if known := self._made.get(wish):
                    self._made.move_to_end(wish)
                    return known
            made = self._make(wish, files, old, cancel)
            with self._lock:
                self._made[wish] = made
                for gone in list(self._made)[:-_KEPT]:
                    del self._made[gone]
                    self._making.pop(gone, None)
            return made

    def begin(self, wish: Wish, files: Sequence[FileEntry], old: Sequence[FileEntry]) -> None:
        """Make it while the nodes are still being asked whether they can take it. What goes wrong, `get` will say."""
        with self._lock:
            if wish in self._making:
                return

        forgotten = self._forgotten

        def make() -> None:
            with suppress(WorkError, OSError, ValueError):
                self.get(wish, files, old, CancelToken())
            if self._forgotten != forgotten:  # the operation was over before it was made
                with self._lock:
                    self._made.pop(wish, None)
                    self._making.pop(wish, None)

        with suppress(RuntimeError):  # no thread to be had
            threading.Thread(target=make, name=f"parcel {wish.version}", daemon=True).start()

    def forget(self) -> None:
        """Give the disk back; a parcel that is being sent lives on until it has gone out."""
        with self._lock:
            self._forgotten += 1
            self._made.clear()
            self._making.clear()

    def _make(
        self, wish: Wish, files: Sequence[FileEntry], old: Sequence[FileEntry], cancel: CancelToken
    ) -> Parcel:
        try:
            return _make(wish, files, old, self._folder, cancel)
        except BaseException:
            with self._lock:
                self._making.pop(wish, None)
            raise


@dataclass(frozen=True, slots=True)
class _Difference:
    same: list[FileEntry]
    moved: list[tuple[str, FileEntry]]
    """The same file under another name; few, since each costs the node a process."""
    patched: list[FileEntry]
    sent: list[FileEntry]


def _compare(files: Sequence[FileEntry], old: Sequence[FileEntry], *, patches: bool) -> _Difference:
    known = {f.path: f for f in old}
    contents = {(f.sha256, f.mode): f.path for f in old if f.size}
    found = _Difference([], [], [], [])
    for f in files:
        was = known.get(f.path)
        if was == f:
            found.same.append(f)
        elif (elsewhere := contents.get((f.sha256, f.mode))) and len(found.moved) < _MOVED:
            found.moved.append((elsewhere, f))
        elif patches and was and worth_a_patch(f.size, was.size):
            found.patched.append(f)
        else:
            found.sent.append(f)
    return found


def _make(
    wish: Wish, files: Sequence[FileEntry], old: Sequence[FileEntry], folder: str | None, cancel: CancelToken
) -> Parcel:
    found = _compare(files, old, patches=wish.patches)
    patches = _patches(wish, found, cancel)
    release = wish.store / wish.version
    with tempfile.TemporaryFile(dir=folder) as file:
        how = packing(wish.packing, release, found.sent, names(f.path for f in files))
        with packed(file, how) as out, tape(out) as tar:
            _add_tables(tar, files, found, patches)
            for number, (f, data) in enumerate(patches):
                _member(tar, f"patch/{number}", data, _changed((release / f.path).stat()))
            for path in folders(files):
                _member(tar, f"tree/{path}", b"", mode=_FOLDER)
            for path, mode in ((MANIFEST, 0o644), *((f.path, f.mode) for f in found.sent)):
                cancel.check()
                _add(tar, release, path, mode)
        file.flush()
        whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    uses_base = bool(patches or found.same or found.moved)
    return Parcel(how, wish.base if uses_base else None, whole)


def _patches(wish: Wish, found: _Difference, cancel: CancelToken) -> list[tuple[FileEntry, bytes]]:
    """Those that are worth it; the other files are added to what is sent."""
    patches = []
    for f in found.patched:
        cancel.check()
        data = patch(wish.store / (wish.base or "") / f.path, wish.store / wish.version / f.path)
        if len(data) < f.size // 2:
            patches.append((f, data))
        else:
            found.sent.append(f)
    return patches


def list_alone(files: Sequence[FileEntry]) -> memoryview:
    """A tar for a node that has the release already."""
    with io.BytesIO() as file:
        with tape(file) as tar:
            _add_lists(tar, files)
        return memoryview(file.getvalue())


def _add_tables(
    tar: Tape,
    files: Sequence[FileEntry],
    found: _Difference,
    patches: Sequence[tuple[FileEntry, bytes]],
) -> None:
    """What `receive` of node.sh reads, a line each where it is no list of names."""
    _add_lists(tar, files)
    _member(tar, "same", names(f.path for f in found.same))
    _member(tar, "moved", "".join(f"{was}\t{f.path}\n" for was, f in found.moved).encode())
    fresh = sorted((*found.sent, *(f for f, _ in patches)), key=lambda f: f.path)
    _member(tar, "fresh", names(f.path for f in fresh))
    _member(tar, "sum", state(fresh).sums.encode())
    rows = (f"{number}\t{f.mode:o}\t{f.path}\n" for number, (f, _) in enumerate(patches))
    _member(tar, "patches", "".join(rows).encode())


def _add_lists(tar: Tape, files: Sequence[FileEntry]) -> None:
    _member(tar, "list/files", names(f.path for f in files))
    _member(tar, "list/folders", names(folders(files)))


def _member(tar: Tape, name: str, data: bytes, changed: int = 1, mode: int = 0o600) -> None:
    tar.add(name, mode, len(data), changed, (data,))


def _add(tar: Tape, release: Path, path: str, mode: int) -> None:
    fd = os.open(f"{release}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        tar.add(f"tree/{path}", mode, found.st_size, _changed(found), iter(partial(os.read, fd, _CHUNK), b""))
    finally:
        os.close(fd)


def _changed(found: os.stat_result) -> int:
    """The same on all nodes, and another for another content: web servers make their ETag of it. It decides nothing here."""
    return max(1, int(found.st_mtime))
