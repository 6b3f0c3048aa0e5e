"""The sha256 of a backup, as it is recorded and compared; of a folder it is that of a list that anybody can make again."""

import hashlib
import os
import stat
from pathlib import Path

from sando.work.backup.reader import PIECE, Look
from sando.work.backup.trouble import NoDump


def fingerprint(path: Path, look: Look, *, seal: bool = False) -> tuple[int, str]:
    """Bytes and sha256. Of a folder: of the lines `SHA256  NAME`, by name, as `sha256sum *` prints them.

    `seal` makes it private and brings it to the disk. NoDump where a folder holds more than files.
    """
    if not path.is_dir():
        return _of_file(path, look, seal=seal)
    total, lines = 0, hashlib.sha256()
    for name in sorted(os.fsencode(entry) for entry in path.iterdir()):
        size, digest = _of_file(Path(os.fsdecode(name)), look, seal=seal)
        total += size
        lines.update(digest.encode() + b"  " + name.rpartition(b"/")[2] + b"\n")
    if seal:
        _keep(path, 0o700)
    return total, lines.hexdigest()


def _of_file(path: Path, look: Look, *, seal: bool) -> tuple[int, str]:
    fd = os.open(
        path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    )  # a FIFO must not hold the open
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NoDump(f"{path.name} is no regular file: name the folder of one dump")
        digest, size = hashlib.sha256(), 0
        while data := os.read(fd, PIECE):
            look()
            digest.update(data)
            size += len(data)
    finally:
        os.close(fd)
    if seal:
        _keep(path, 0o600)
    return size, digest.hexdigest()


def _keep(path: Path, mode: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(fd, mode)
        os.fsync(fd)
    finally:
        os.close(fd)
