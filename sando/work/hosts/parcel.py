"""What has to travel so that a node gets a release: made once, sent to many. It talks to no node.

The controller holds the release that the nodes have and the new one, so it compares them once, by hash, for all: what
is the same is linked on the node, a large file that changed is rebuilt there from a patch, and only the rest is sent.
A parcel is one tar: `list` (the paths of the whole release, NUL after each), `same` (those that are linked), `moved`
(old and new path), `patches`, `patch/N`, `tree/…`.
"""

import gzip
import hashlib
import io
import mmap
import os
import sys
import tarfile
import tempfile
import threading
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, cast

from sando.model.errors import WorkError
from sando.model.release import MANIFEST, FileEntry
from sando.work.cancel import CancelToken

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Packing = Literal["zstd", "gzip", "plain"]

_PATCH_FROM = 128 * 2**10  # bytes: below that a patch saves less than starting zstd costs
_PATCH_TO = 2**30  # the old file and the new one are held in memory for it
_SAMPLE = 2**20
_PAYS = 0.9  # a stream that does not get smaller than this is sent as it is
_LEVEL = 1
_KEPT = 4
_MOVED = 200
_REGULAR = 0o100000


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
    """What is to be made. `packing` is the best that the node can unpack, `patches` whether it can apply them."""

    store: Path
    version: str
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
            made = _make(wish, files, old, self._folder, cancel)
            with self._lock:
                self._made[wish] = made
                for gone in list(self._made)[:-_KEPT]:
                    del self._made[gone], self._making[gone]
            return made

    def forget(self) -> None:
        """Give the disk back; a parcel that is being sent lives on until it has gone out."""
        with self._lock:
            self._made.clear()
            self._making.clear()


def listing(files: Iterable[FileEntry]) -> bytes:
    """The paths that a node is asked about, in the order in which it answers."""
    return b"".join(f.path.encode() + b"\0" for f in files)


def state(files: Sequence[FileEntry]) -> str:
    """The digest that `state` of node.sh prints for a complete release: modes, sizes and names, then hashes."""
    digest = hashlib.sha256()
    for f in files:
        digest.update(f"{_REGULAR | f.mode:x} {f.size} {f.path}\n".encode())
    for f in files:
        digest.update(f"{f.sha256}  {f.path}\n".encode())
    return digest.hexdigest()


def refuse_odd_names(files: Iterable[FileEntry]) -> None:
    """Names that the tools of a node print in a way of their own. None is usual; all are told before anything is sent."""
    for f in files:
        if "\\" in f.path or not f.path.isprintable():
            raise WorkError(
                "release", f"{f.path!r} cannot be sent over ssh: rename it in the build", errored=True
            )


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
        elif patches and was and _worth_a_patch(f.size, was.size):
            found.patched.append(f)
        else:
            found.sent.append(f)
    return found


def _worth_a_patch(*sizes: int) -> bool:
    return min(sizes) >= _PATCH_FROM and max(sizes) <= _PATCH_TO


def _make(
    wish: Wish, files: Sequence[FileEntry], old: Sequence[FileEntry], folder: str | None, cancel: CancelToken
) -> Parcel:
    difference = _compare(files, old, patches=wish.patches)
    release = wish.store / wish.version
    patches: list[tuple[FileEntry, bytes]] = []
    for f in difference.patched:
        cancel.check()
        patch = _patch(wish.store / (wish.base or "") / f.path, release / f.path)
        if len(patch) < f.size // 2:
            patches.append((f, patch))
        else:
            difference.sent.append(f)
    uses_base = bool(patches or difference.same or difference.moved)
    with tempfile.TemporaryFile(dir=folder) as file:
        packing = _packing(wish.packing, release, difference.sent)
        with (
            _packed(file, packing) as out,
            tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar,
        ):
            _member(tar, "list", listing(files))
            _member(tar, "same", listing(difference.same))
            _member(tar, "moved", "".join(f"{was}\t{f.path}\n" for was, f in difference.moved).encode())
            _member(tar, "patches", _table(f for f, _ in patches))
            for number, (_, patch) in enumerate(patches):
                _member(tar, f"patch/{number}", patch)
            made_there = [f for f, _ in patches] + [f for _, f in difference.moved]
            for path, mode in _to_send(difference.sent, made_there):
                cancel.check()
                _add(tar, release, path, mode)
        file.flush()
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return Parcel(packing, wish.base if uses_base else None, memoryview(data))


def _to_send(sent: Sequence[FileEntry], made_there: Sequence[FileEntry]) -> list[tuple[str, int]]:
    """Paths with modes; also the folders of what is made on the node, so that they are there."""
    folders = sorted({str(p) for f in [*sent, *made_there] for p in Path(f.path).parents} - {"."})
    return [*((p, 0o40755) for p in folders), (MANIFEST, 0o644), *((f.path, f.mode) for f in sent)]


def _table(patched: Iterable[FileEntry]) -> bytes:
    """A line for `reuse` of node.sh: number, mode, path."""
    return "".join(f"{n}\t{f.mode:o}\t{f.path}\n" for n, f in enumerate(patched)).encode()


def _member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    tar.addfile(info, io.BytesIO(data))


def _add(tar: tarfile.TarFile, release: Path, path: str, mode: int) -> None:
    info = tarfile.TarInfo(f"tree/{path}")
    if mode & 0o40000:
        info.type, info.mode = tarfile.DIRTYPE, mode & 0o7777
        tar.addfile(info)
        return
    with os.fdopen(os.open(release / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        info.size, info.mode = os.fstat(file.fileno()).st_size, mode
        info.mtime = 1  # the same for all: a node's clock and the builder's say nothing here
        tar.addfile(info, file)


def _patch(old: Path, new: Path) -> bytes:
    """What `zstd -d --patch-from=OLD` makes NEW of."""
    was, now = old.read_bytes(), new.read_bytes()
    window = max(20, min(31, max(len(was), len(now)).bit_length() + 1))
    options: dict[int, int] = {
        zstd.CompressionParameter.compression_level: 3,
        zstd.CompressionParameter.window_log: window,
        zstd.CompressionParameter.enable_long_distance_matching: 1,
    }
    return zstd.compress(now, options=options, zstd_dict=zstd.ZstdDict(was, is_raw=True).as_prefix)


def _packing(best: Packing, release: Path, sent: Sequence[FileEntry]) -> Packing:
    """Compression where it pays: tried on the middle of the largest file that is sent."""
    if best == "plain" or not sent:
        return "plain"
    largest = max(sent, key=lambda f: f.size)
    with (release / largest.path).open("rb") as file:
        file.seek(max(0, (largest.size - _SAMPLE) // 2))
        sample = file.read(_SAMPLE)
    small = zstd.compress(sample, _LEVEL) if best == "zstd" else zlib.compress(sample, 1)
    return best if len(small) < _PAYS * len(sample) else "plain"


def _packed(file: IO[bytes], packing: Packing) -> AbstractContextManager[IO[bytes]]:
    """Where the tar is written; closing it leaves `file` open."""
    if packing == "zstd":
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: _LEVEL,
            zstd.CompressionParameter.nb_workers: 2,
        }
        return cast("AbstractContextManager[IO[bytes]]", zstd.ZstdFile(file, "w", options=options))
    if packing == "gzip":
        packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0)
        return cast("AbstractContextManager[IO[bytes]]", packed)
    return nullcontext(file)
