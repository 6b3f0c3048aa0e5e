"""What a command sends through a pipe, put down as a file or as the files of one folder. It starts and ends no command.

A folder comes as a tar. It is from another machine, so that nothing in it is believed: regular files with plain names,
each made anew, and nothing else.
"""

import fcntl
import os
import select
import tarfile
from pathlib import Path
from typing import IO, Self, cast

from sando.model.names import visible
from sando.work.backup.arrival import Watch
from sando.work.backup.source import HEADER
from sando.work.backup.trouble import NoDump
from sando.work.cancel import CancelToken
from sando.work.running import Running

PIECE = 2**20
MOST_FILES = 100_000
_NOISE = 2**16  # bytes that a login shell may say before the first of ours
_LONG_NAME = 2**16
_END = 1024  # zeros of a tar


class LimitOver(Exception):
    """A limit of the watch was over, which knows its name."""


class Inflow:
    """The reading end of a pipe that `job` writes to; every wait looks at the limits and at a cancel."""

    def __init__(self, pipe: Path) -> None:
        self.size = 0
        self._fd = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._back = b""
        self._job: Running | None = None
        self._watch: Watch | None = None
        self._cancel = CancelToken()

    def begin(self, job: Running, watch: Watch, cancel: CancelToken) -> None:
        self._job, self._watch, self._cancel = job, watch, cancel
        try:
            fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, PIECE)
        except OSError:  # more than this user may have: it goes on with what there is
            return

    def close(self) -> None:
        os.close(self._fd)

    def read(self, size: int = PIECE) -> bytes:
        """Some bytes, `size` at most; none at the end. Raises Cancelled, and LimitOver."""
        if self._back:
            data, self._back = self._back[:size], self._back[size:]
            return data
        while True:
            self._cancel.check()
            if self._watch and self._watch.over():
                raise LimitOver
            ended = self._job is None or self._job.poll() is not None
            if self._poll.poll(0 if ended else 250) or ended:
                return self._take(size)

    def _take(self, size: int) -> bytes:
        try:
            data = os.read(self._fd, min(size, PIECE))
        except BlockingIOError:  # it was opened, and nothing was written
            return b""
        self.size += len(data)
        return data

    def unread(self, data: bytes) -> None:
        self._back = data + self._back


def header(inflow: Inflow, word: str) -> tuple[str, int | None]:
    """`file` or `folder`, and its size where it is known; what stands before that line is a login shell's greeting.

    Without one the other side sends what it likes, as a key that is bound to a command does: then it is a file.
    """
    mark = f"{HEADER} {word} ".encode()
    seen = b""
    while (data := inflow.read(_NOISE)) and len(seen) <= _NOISE:
        seen += data
        at = seen.find(mark)
        line, found, rest = seen[at:].partition(b"\n") if at >= 0 else (b"", b"", b"")
        if found:
            inflow.unread(rest)
            inflow.size = len(rest)
            _, _, kind, size, *_ = [*line.decode("ascii", "replace").split(), "-", "-"]
            return kind, int(size) or None if size.isdecimal() else None
    inflow.unread(seen + data)
    return "file", None


def put_file(inflow: Inflow, path: Path, word: str) -> None:
    """All that comes is one file."""
    mark, before = f"{HEADER} {word} ".encode(), b""
    with _new(path) as file:
        while data := inflow.read():
            if mark in before + data:
                raise NoDump(
                    "the login shell on the other side says more than 64 KiB before it obeys: make its start-up files "
                    "silent, or bind the key to `cat FILE` in authorized_keys",
                )
            file.write(data)
            before = data[-len(mark) :]


def put_folder(inflow: Inflow, folder: Path) -> None:
    """The files of a tar become those of this folder. tarfile.TarError where it is none, or ends too early."""
    folder.mkdir(0o700)
    names: set[str] = set()
    with tarfile.open(
        fileobj=cast("IO[bytes]", _Stream(inflow)), mode="r|", bufsize=PIECE, tarinfo=_Member
    ) as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            if member.isdir() and name in {".", ""}:
                continue
            _check(member, name, names)
            names.add(name)
            content = tar.extractfile(member)
            if content is not None:
                _copy(content, folder / name)
    while inflow.read():
        """What follows the end of a tar is only zeros; unread, they would end the sender."""
    if inflow.size < tar.offset + _END:
        raise tarfile.ReadError("it ends too early")


class _Member(tarfile.TarInfo):
    """tarfile holds a long name in memory, however long it says it is."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if member.type not in tarfile.REGULAR_TYPES and member.size > _LONG_NAME:
            raise tarfile.ReadError("a name without end")
        return member


class _Stream:
    """What tarfile needs of a file: as many bytes as it asks for."""

    def __init__(self, inflow: Inflow) -> None:
        self._inflow = inflow

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size and (data := self._inflow.read(size - len(found))):
            found += data
        return bytes(found)


def _check(member: tarfile.TarInfo, name: str, names: set[str]) -> None:
    told = visible(name)[:200]
    if not member.isfile() or member.issparse():
        raise NoDump(f"there is {told} in the folder, which is no regular file: name the folder of one dump")
    plain = name and "/" not in name and "\0" not in name and name not in {".", ".."}
    if not plain or name in names or len(names) >= MOST_FILES:
        raise NoDump(f"there is {told} in the folder, which belongs to no dump: name the folder of one dump")


def _copy(content: IO[bytes], path: Path) -> None:
    with _new(path) as file:
        while data := content.read(PIECE):
            file.write(data)


def _new(path: Path) -> IO[bytes]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")
