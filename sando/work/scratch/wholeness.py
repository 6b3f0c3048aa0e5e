"""Whether an archive is whole, where pg_restore would not notice: it takes half a tar, and half a file of a folder.

Of a custom archive, and of what is packed, it notices by itself.
"""

import os
import tarfile

from sando.work.scratch.dump import Dump, files, not_whole
from sando.work.scratch.job import Job

_BLOCK = 512
_ROWS_END = b"\\.\n\n\n"  # with which pg_dump ends the rows of a table


def check(dump: Dump, fd: int, job: Job) -> None:
    """WorkError (errored) says what is missing; `fd` is the archive unpacked."""
    if dump.kind.form == "tar" and (why := _half_a_tar(fd)):
        raise not_whole(dump, job, why)
    if dump.kind.form == "directory":
        for name in files(fd):
            if name[:1].isdigit() and name.endswith(".dat") and not _ends(fd, name):
                raise not_whole(dump, job, f"{name} ends before its rows do")


def _half_a_tar(fd: int) -> str:
    """A tar ends with a block of zeros; each file in it says how long it is."""
    at = 0
    while header := os.pread(fd, _BLOCK, at):
        if len(header) == _BLOCK and not any(header):
            return ""
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.TarError:
            return "it ends, or is damaged, inside the list of its files"
        at += _BLOCK + -(-member.size // _BLOCK) * _BLOCK
    return "it ends before its last file does"


def _ends(folder: int, name: str) -> bool:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        size = os.fstat(fd).st_size
        return os.pread(fd, len(_ROWS_END), max(0, size - len(_ROWS_END))) == _ROWS_END
    finally:
        os.close(fd)
