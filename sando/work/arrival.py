"""How long a file may take to arrive and how much of the disk it may fill; it only looks, it ends nothing."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from sando.model.clock import span

_TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, and the bytes that a fetch leaves free: the store lies on the same disk, most likely."""

    total_s: float = 4 * 3600.0
    idle_s: float = 60.0
    grace_s: float = 5.0
    room: int = 32 * 2**20


LIMITS = Limits()


class Watch:
    """The limits of one fetch: total time, time without a new byte, room. `why` says which of them was over."""

    def __init__(self, file: Path, limits: Limits) -> None:
        self.why = ""
        self._file = file
        self._limits = limits
        self._began = self._grown_at = time.monotonic()
        self._size = 0

    def tick(self) -> float:
        left = min(self._began + self._limits.total_s, self._grown_at + self._limits.idle_s)
        return max(0.0, min(_TICK_S, left - time.monotonic()))

    def over(self) -> bool:
        now, size = time.monotonic(), _size(self._file)
        if size > self._size:
            self._size, self._grown_at = size, now
        if now - self._began >= self._limits.total_s:
            self.why = f"timed out after {span(self._limits.total_s)}, with {size} bytes"
        elif now - self._grown_at >= self._limits.idle_s:
            self.why = f"nothing arrived for {span(self._limits.idle_s)}, after {size} bytes"
        else:
            self.why = no_room(self._file.parent, self._limits.room)
        return bool(self.why)


def no_room(folder: Path, room: int) -> str:
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize >= room:
        return ""
    return f"less than {room // 2**20} MiB are left in {folder}: make room"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
