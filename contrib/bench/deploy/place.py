"""Where a run lies: in memory where there is room, else on disk. It makes no folder.

Sixteen nodes on one machine share one disk, which sixteen machines do not: on a disk all ways wait for it alike.
"""

import os
import shutil
import tempfile
from pathlib import Path

from payloads import Kind

_MEMORY = Path("/dev/shm")
_TREE_TAKES = 30_000_000
_SPARE = 2**30


def place(kinds: list[Kind], count: int) -> Path:
    """The folder to make the run's folder in."""
    enough = 2 * need(kinds, count)
    if _usable() and shutil.disk_usage(_MEMORY).free > enough and _available() > enough:
        return _MEMORY
    return Path(tempfile.gettempdir())


def need(kinds: list[Kind], count: int) -> int:
    """Bytes: two releases on every node, what is staged there, and what lies beside."""
    return 4 * count * max(kind.size or _TREE_TAKES for kind in kinds) + _SPARE


def lacks_room(folder: Path, kinds: list[Kind], count: int) -> str:
    """Empty when there is room, else what to do."""
    if not folder.is_dir():
        return f"{folder} is no folder: make it, or name another with --work"
    if shutil.disk_usage(folder).free >= need(kinds, count):
        return ""
    return f"{need(kinds, count) >> 20} MiB are needed in {folder}: name a roomier folder with --work"


def _usable() -> bool:
    """The health command asks whether a file may be executed."""
    if not os.access(_MEMORY, os.W_OK | os.X_OK):
        return False
    return not os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC


def _available() -> int:
    """Bytes of memory that programs can still have; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)
