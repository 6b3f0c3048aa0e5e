"""How a release is made small for its way to the nodes: compression where it pays, and patches. It sends nothing."""

import gzip
import mmap
import os
import sys
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
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
_SAMPLE = 2**20
_SAMPLED = 8  # files
_PAYS = 0.9  # a stream that does not get smaller than this is sent as it is
_LEVEL = 1


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
    """A tar as it is written: the headers are those of tarfile, whose own writer takes three times as long."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def add(self, name: str, mode: int, size: int, changed: int, pieces: Iterable[bytes]) -> None:
        """A file, or by its mode a folder. ValueError when it is not as long as was said."""
        info = tarfile.TarInfo(name)
        info.type = tarfile.DIRTYPE if mode & 0o40000 else tarfile.REGTYPE
        info.size, info.mode, info.mtime = size, mode & 0o7777, changed
        self._out.write(info.tobuf(tarfile.GNU_FORMAT))
        left = size
        for piece in pieces:
            self._out.write(piece)
            left -= len(piece)
        if left:
            raise ValueError(f"{name} has changed while it was packed")
        self._out.write(bytes(-size % tarfile.BLOCKSIZE))


@contextmanager
def tape(out: IO[bytes]) -> Iterator[Tape]:
    yield Tape(out)
    out.write(bytes(2 * tarfile.BLOCKSIZE))
