"""A fetched backup that is open: what it is, how old, and its bytes, hashed while they are read. It reaches no database."""

import contextlib
import gzip
import hashlib
import io
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sando.model.errors import WorkError
from sando.model.names import visible
from sando.work.now import read_clock
from sando.work.scratch.job import Job
from sando.work.scratch.kinds import GZIP, HEAD, ZSTD, Kind, archive_kind, kind_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 64 * 2**10
_TAIL = 4096
_END = b"\n-- PostgreSQL database dump complete"
_NOT_WHOLE = "is not whole: {why}. Fetch it again; if that does not help, look at what writes it"


@dataclass(frozen=True, slots=True)
class Dump:
    """`fd` is what was looked at: a fetch that replaces the file meanwhile changes nothing here."""

    path: Path
    fd: int
    kind: Kind
    packing: str
    """gzip, zstd, or empty."""
    bytes: int
    """On disk."""
    age_s: float

    @property
    def shown(self) -> str:
        form = {"plain": "plain SQL", "custom": "custom format", "tar": "tar format", "directory": "a folder"}
        packed = f" in {self.packing}" if self.packing else ""
        return f"{form[self.kind.form]}{packed}, {megabytes(self.bytes)}"


class Reading:
    """Reads a dump's file from its beginning, unpacked; `sha256` is of the file, true once the end was read."""

    def __init__(self, dump: Dump) -> None:
        self._raw = _Hashed(dump.fd)
        self._dump = dump
        file = io.BufferedReader(self._raw, 2**20)
        match dump.packing:
            case "gzip":
                self._file: IO[bytes] = gzip.GzipFile(fileobj=file)  # type: ignore[assignment]
            case "zstd":
                self._file = zstd.ZstdFile(file)  # type: ignore[assignment]
            case _:
                self._file = file

    @property
    def done(self) -> int:
        """Bytes of the file that were read."""
        return self._raw.count

    def read(self, size: int) -> bytes:
        """Raises what the unpacking raises."""
        return self._file.read(size)

    def pieces(self, job: Job, size: int = PIECE) -> Iterator[bytes]:
        """WorkError (errored) where what it is packed with says that something is missing or wrong."""
        while True:
            job.left()
            try:
                piece = self.read(size)
            except (EOFError, zlib.error, zstd.ZstdError, gzip.BadGzipFile) as error:
                raise not_whole(
                    self._dump, job, f"{self._dump.packing} says {visible(str(error))}"
                ) from error
            if not piece:
                break
            yield piece

    def sha256(self) -> str:
        while self._raw.read(2**20):
            pass
        return self._raw.digest.hexdigest()


class _Hashed(io.RawIOBase):
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.count = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        got = os.preadv(self._fd, [buffer], self.count)
        self.count += got
        self.digest.update(memoryview(buffer)[:got])
        return got


@contextmanager
def opened(path: Path, job: Job) -> Iterator[Dump]:
    """WorkError (errored): what lies there is no dump that could be restored, and what it is."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a FIFO must not hold the open
    except OSError as error:
        raise job.cannot(f"cannot read the backup {path}: {error.strerror}") from error
    try:
        yield _look(path, fd, job)
    finally:
        os.close(fd)


def not_whole(dump: Dump, job: Job, why: str) -> WorkError:
    return job.cannot(f"the backup {dump.path} " + _NOT_WHOLE.format(why=why))


def digest_of_folder(dump: Dump, job: Job) -> str:
    """What `sha256sum * | sha256sum` prints in that folder, in the order of the bytes of the names."""
    listed = hashlib.sha256()
    for name in files(dump.fd):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dump.fd)
        with os.fdopen(fd, "rb") as file:
            digest = hashlib.sha256()
            while piece := file.read(2**20):
                job.left()
                digest.update(piece)
        listed.update(f"{digest.hexdigest()}  ".encode() + os.fsencode(name) + b"\n")
    return listed.hexdigest()


def files(fd: int) -> list[str]:
    """The names in a folder, in the order of their bytes."""
    own = os.open(
        ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd
    )  # two that list one descriptor share its place
    try:
        with os.scandir(own) as entries:
            return sorted((entry.name for entry in entries), key=os.fsencode)
    finally:
        os.close(own)


def megabytes(count: float) -> str:
    if count < 1e6:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _look(path: Path, fd: int, job: Job) -> Dump:
    info = os.fstat(fd)
    age = max(0.0, read_clock().at.timestamp() - info.st_mtime)
    try:
        if stat.S_ISDIR(info.st_mode):
            return Dump(path, fd, _folder_kind(path, fd), "", _folder_bytes(fd), age)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError("neither a file nor a folder")  # noqa: TRY301  (one place says it)
        if not info.st_size:
            raise ValueError("empty: look at what writes it, and fetch it again")  # noqa: TRY301
        packing, head = _head(path, fd)
        marked = not packing and _END in b"\n" + os.pread(fd, _TAIL, max(0, info.st_size - _TAIL))
        dump = Dump(path, fd, kind_of(head, marked=marked), packing, info.st_size, age)
    except ValueError as error:
        raise job.cannot(f"the backup {path} is {error}") from error
    if dump.kind.form == "plain" and not packing and not marked:
        raise not_whole(
            dump, job, "the line with which pg_dump ends, `-- PostgreSQL database dump complete`, is missing"
        )
    return dump


def _head(path: Path, fd: int) -> tuple[str, bytes]:
    """How it is packed, and how it begins unpacked; where that fails, reading all of it will say why."""
    head = os.pread(fd, HEAD, 0)
    packing = "gzip" if head.startswith(GZIP) else "zstd" if head.startswith(ZSTD) else ""
    if packing:
        reading = Reading(Dump(path, fd, Kind(""), packing, 0, 0.0))
        with contextlib.suppress(EOFError, zlib.error, zstd.ZstdError, gzip.BadGzipFile):
            return packing, reading.read(HEAD)
        raise ValueError(f"damaged: it begins as {packing}, and cannot be unpacked; fetch it again")
    return packing, head


def _folder_kind(path: Path, fd: int) -> Kind:
    try:
        toc = os.open("toc.dat", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
    except OSError:
        raise ValueError(
            f"a folder without toc.dat, and so none of `pg_dump -Fd`: fetch all of {path}"
        ) from None
    try:
        return archive_kind(os.pread(toc, HEAD, 0), "directory")
    finally:
        os.close(toc)


def _folder_bytes(fd: int) -> int:
    return sum(os.stat(name, dir_fd=fd, follow_symlinks=False).st_size for name in files(fd))
