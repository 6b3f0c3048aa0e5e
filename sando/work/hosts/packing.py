"""How a release is made small for its way to the nodes: compression where it pays, and patches. It sends nothing."""

import gzip
import mmap
import os
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal, cast

from sando.model.release import FileEntry

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Packing = Literal["zstd", "gzip", "plain"]

_PATCH_FROM = 128 * 2**10  # bytes: below that a patch saves less than starting zstd costs
_PATCH_TO = 2**30  # the old file and the new one are in memory for it, here and on the node
_SAMPLE = 2**18
_SAMPLED = 8  # files
_PAYS = 0.9  # a stream that does not get smaller than this is sent as it is
_LEVEL = 1
_PIECE = 2**18
_FOLDER = 0o40000
_NAME = 100  # bytes of it that a header of tar holds
_DIGITS = 8**11 - 1  # the largest number in one


def worth_a_patch(*sizes: int) -> bool:
    return min(sizes) >= _PATCH_FROM and max(sizes) <= _PATCH_TO


def patch(old: Path, new: Path) -> bytes:
    """What `zstd -d --patch-from=OLD` makes NEW of."""
    with _mapped(old) as was, _mapped(new) as now:
        window = max(20, min(31, max(len(was), len(now)).bit_length() + 1))
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: 3,
            zstd.CompressionParameter.window_log: window,
            zstd.CompressionParameter.enable_long_distance_matching: 1,
        }
        prefix = zstd.ZstdDict(was, is_raw=True).as_prefix
        return zstd.compress(now, options=options, zstd_dict=prefix)


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with (
        os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield data


def packing(best: Packing, release: Path, sent: Sequence[FileEntry], names: bytes) -> Packing:
    """Compression where it pays: tried on the middle of the largest files that are sent, and on the names of all."""
    if best == "plain":
        return best
    largest = sorted(sent, key=lambda f: f.size)[-_SAMPLED:]
    sample = names + b"".join(_middle(release / f.path, f.size, _SAMPLE // len(largest)) for f in largest)
    small = zstd.compress(sample, _LEVEL) if best == "zstd" else zlib.compress(sample, 1)
    return best if len(small) < _PAYS * len(sample) else "plain"


def _middle(path: Path, size: int, most: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, (size - most) // 2))
        return file.read(most)


def packed(file: IO[bytes], how: Packing) -> AbstractContextManager[IO[bytes]]:
    """Where the tar is written; closing it leaves `file` open."""
    if how == "zstd":
        options: dict[int, int] = {
            zstd.CompressionParameter.compression_level: _LEVEL,
            zstd.CompressionParameter.nb_workers: 2,
        }
        return cast("AbstractContextManager[IO[bytes]]", zstd.ZstdFile(file, "w", options=options))
    if how == "gzip":
        zipped = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0)
        return cast("AbstractContextManager[IO[bytes]]", zipped)
    return nullcontext(file)


class Tape:
    """A tar as it is written: the headers are those of tarfile, whose own writer takes five times as long.

    It goes out in large pieces: each call of a compressor costs as much as a small file.
    """

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._held: list[bytes] = []
        self._size = 0

    def add(self, name: str, mode: int, size: int, changed: int, pieces: Iterable[bytes]) -> None:
        """A file, or by its mode a folder. ValueError when it is not as long as was said."""
        self._write(_header(name, mode, size, changed))
        left = size
        for piece in pieces:
            self._write(piece)
            left -= len(piece)
        if left:
            raise ValueError(f"{name} has changed while it was packed")
        self._write(bytes(-size % tarfile.BLOCKSIZE))

    def end(self) -> None:
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._flush()

    def _write(self, data: bytes) -> None:
        self._held.append(data)
        self._size += len(data)
        if self._size >= _PIECE:
            self._flush()

    def _flush(self) -> None:
        self._out.write(b"".join(self._held))
        self._held, self._size = [], 0


@contextmanager
def tape(out: IO[bytes]) -> Iterator[Tape]:
    found = Tape(out)
    yield found
    found.end()


def _header(name: str, mode: int, size: int, changed: int) -> bytes:
    raw = name.encode() + (b"/" if mode & _FOLDER else b"")
    if len(raw) >= _NAME or size > _DIGITS or not 0 <= changed <= _DIGITS:
        return _info(name, mode, size, changed).tobuf(tarfile.GNU_FORMAT)
    head, tail, rest = _template(mode)
    numbers = b"%011o\0%011o\0" % (size, changed)
    checksum = b"%06o\0 " % (rest + sum(raw) + sum(numbers))
    return raw.ljust(_NAME, b"\0") + head + numbers + checksum + tail


@lru_cache(64)
def _template(mode: int) -> tuple[bytes, bytes, int]:
    """What stands between name and numbers in a header, what comes after its checksum, and what both add to that."""
    block = _info("", mode, 0, 0).tobuf(tarfile.GNU_FORMAT)
    head, tail = block[_NAME:124], block[156:]
    return head, tail, sum(head) + sum(tail) + 8 * ord(" ")


def _info(name: str, mode: int, size: int, changed: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE if mode & _FOLDER else tarfile.REGTYPE
    info.size, info.mode, info.mtime = size, mode & 0o7777, changed
    return info
