"""Whether a file system is full, asked right after a command has failed there; it makes no room.

Nothing but the standard library: a bare Python runs this too.
"""

import contextlib
import os

_LEAST = 16 * 2**20
"""Bytes. What did not fit is mostly gone again when its command ends: less than this is none for a build."""
_LEAST_FILES = 16


def no_room(path: str) -> str:
    """What is to be said of it; empty where there is room, or nobody can tell."""
    with contextlib.suppress(OSError):
        room = os.statvfs(path)
        if room.f_flag & os.ST_RDONLY or not room.f_blocks:
            return ""
        root = os.geteuid() == 0  # it may use what is kept back from others
        free = room.f_frsize * (room.f_bfree if root else room.f_bavail)
        files = room.f_ffree if root else room.f_favail
        if free < _LEAST:
            return f"no room left in {path}: {free // 2**20} MiB free"
        if room.f_files and files < _LEAST_FILES:
            return f"no room left in {path}: {files} inodes free"
    return ""
