"""What a server that was killed may leave: itself, where its keeper died first, and memory that no process holds any more."""

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_SEGMENTS = Path("/proc/sysvipc/shm")  # key, id, perms, size, pid of the creator, ...: proc(5)
_IPC_RMID = 0  # <linux/ipc.h>
_libc = ctypes.CDLL(None, use_errno=True)


def bury(data: Path) -> None:
    """End the server of the folder `data` and free its memory, before the folder goes and with it all that tells of them.

    A pid says nothing after a reboot: its working folder does. PostgreSQL frees the System V segment of a killed server
    when it starts again on the same data, which these never do; a kernel has room for 4,096 of them.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        said = (data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
        pid = int(said[0])
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cwd").samefile(data):
                os.kill(pid, signal.SIGKILL)
        key, segment = (
            int(word) for word in said[6].split()
        )  # PostgreSQL, miscadmin.h: LOCK_FILE_LINE_SHMEM_KEY
        if (key, segment, pid) in _segments():
            _libc.shmctl(segment, _IPC_RMID, None)


def _segments() -> set[tuple[int, int, int]]:
    """The key, the id, and the pid of the creator of each on this machine."""
    rows = [line.split() for line in _SEGMENTS.read_text("ascii").splitlines()[1:]]
    return {(int(row[0]), int(row[1]), int(row[4])) for row in rows}
