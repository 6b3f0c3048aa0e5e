"""The log file of one operation: bytes, append-only, capped on disk; it never interprets what is in it.

The cap is kept by punching a hole between head and tail, so offsets of followers stay valid while it grows.
"""

import contextlib
import ctypes
import errno
import os
from pathlib import Path

_KEEP_SIZE = 1
_PUNCH_HOLE = 2
_TAIL_BYTES = 65536
_OURS = "sando: "

SHARD = ".shard-"
"""Follows the name of an operation's log in that of one of its shards, which is gone when its gate has ended."""

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = getattr(_libc, "fallocate64", None) or _libc.fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


class OpLog:
    """Any number of these may stand for one file: all that they know is in the file."""

    def __init__(self, path: str | Path, cap: int = 20 * 2**20) -> None:
        self.path = Path(path)
        self.cap = cap

    def say(self, text: str) -> None:
        """A line of sando's own; a full disk loses it and nothing else."""
        with contextlib.suppress(OSError):
            fd = self.open()
            try:
                start = b"" if _ends_a_line(fd) else b"\n"
                os.write(fd, start + _OURS.encode() + text.encode("utf-8", "replace") + b"\n")
            finally:
                os.close(fd)

    def open(self) -> int:
        """A fresh descriptor for a child's output; the caller closes it. Raises OSError."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(self.path, flags, 0o640)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags, 0o640)

    def size(self) -> int:
        """All bytes ever written, cut ones included; 0 while there is no file."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def trim(self) -> None:
        """Give the middle back to the disk once more than `cap` bytes are kept; quiet where it cannot be done."""
        if self.size() <= self.cap:
            return
        with contextlib.suppress(OSError):
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._punch(fd)
            finally:
                os.close(fd)

    def _punch(self, fd: int) -> None:
        # A quarter for the head, half for the tail: the last quarter is room to grow until the next punch.
        # Only whole blocks: the rest of a partly punched one would be read as NULs.
        info = os.fstat(fd)
        block = max(4096, min(info.st_blksize, 2**20))
        head = -(-self.cap // 4 // block) * block
        kept = head + info.st_size - max(head, _hole_end(fd, head, info.st_size))
        end = (info.st_size - self.cap // 2) // block * block
        if kept > self.cap and end > head:
            _fallocate(fd, _PUNCH_HOLE | _KEEP_SIZE, head, end - head)


def read_log(path: str | Path, offset: int, limit: int = 65536) -> tuple[bytes, int]:
    """Bytes from `offset` and the offset to go on from; what was cut is answered by one line that says how much."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b"", 0
    try:
        return _read(fd, max(0, offset), limit)
    finally:
        os.close(fd)


def tail(path: str | Path, lines: int = 50) -> str:
    """The last lines as text, 64 KiB at most; empty when there is no file."""
    return last_lines(end_of(path), lines)


def said_since(path: str | Path, offset: int) -> str:
    """The last fifty lines from `offset` on that are not sando's own: what the one command that wrote there has said."""
    theirs = [line for line in end_of(path, offset).splitlines() if not line.startswith(_OURS)]
    return last_lines("\n".join(theirs))


def last_lines(text: str, lines: int = 50) -> str:
    return "\n".join(text.splitlines()[-lines:])


def end_of(path: str | Path, since: int = 0) -> str:
    """The last 64 KiB of what was written from `since` on, without half a line at their beginning."""
    try:
        end = Path(path).stat().st_size
        offset = start = max(since, end - _TAIL_BYTES)
        data = b""
        while offset < end:
            piece, offset = read_log(path, offset, end - offset)
            if not piece:
                break
            data += piece
    except OSError:
        return ""
    if start > since:  # the first line is most likely half a line
        data = data.partition(b"\n")[2] or data
    return data.decode("utf-8", "replace")


def _read(fd: int, offset: int, limit: int) -> tuple[bytes, int]:
    # Read first, look for holes after: bytes before a hole that is seen now were bytes when they were read.
    data = os.pread(fd, limit, offset)
    size = os.fstat(fd).st_size
    if not data:
        return b"", offset
    hole = _seek(fd, offset, os.SEEK_HOLE, size)
    if hole > offset:
        data = data[: hole - offset]
        return data, offset + len(data)
    end = _hole_end(fd, offset, size)
    start = b"" if offset == 0 or os.pread(fd, 1, offset - 1) in {b"\n", b"\0"} else b"\n"
    return start + b"[... %d bytes cut ...]\n" % (end - offset), end


def _hole_end(fd: int, offset: int, size: int) -> int:
    """Where data begins again at or after `offset`."""
    return _seek(fd, offset, os.SEEK_DATA, size)


def _seek(fd: int, offset: int, whence: int, size: int) -> int:
    try:
        return os.lseek(fd, offset, whence)
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing of that kind up to the end
            return size
        return size if whence == os.SEEK_HOLE else offset  # a file system without holes: all is data


def _ends_a_line(fd: int) -> bool:
    size = os.fstat(fd).st_size
    return size == 0 or os.pread(fd, 1, size - 1) == b"\n"
