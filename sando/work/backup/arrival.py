"""How long a backup may take to arrive, how much of the disk it may fill, and who is told how far it is; it ends nothing."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sando.model.backup import Arriving
from sando.model.clock import span
from sando.work.log import OpLog

_TICK_S = 0.25
_TELL_S = 2.0
_SAY_S = 10.0

Tell = Callable[[Arriving], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, and the bytes that a fetch leaves free: the store lies on the same disk, most likely.

    Half a terabyte takes its time; what does not move is ended long before.
    """

    total_s: float = 86400.0
    idle_s: float = 60.0
    grace_s: float = 5.0
    room: int = 32 * 2**20


LIMITS = Limits()


class Progress:
    """Tells how far it is, every two seconds at most; the log is told less often."""

    def __init__(self, tell: Tell, log: OpLog) -> None:
        self._tell = tell
        self._log = log
        self._began = self._told = self._said = time.monotonic()

    def at(self, step: str, size: int, of: int | None) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_S:
            self._told = now
            self._tell(Arriving(step, size, of))
        if now - self._said >= _SAY_S:
            self._said = now
            self._log.say(f"backup: {step}: {amount(size, of)}, {span(now - self._began)} so far")


class Watch:
    """The limits of one fetch: total time, time without a new byte, room. `why` says which of them was over.

    `size` says how much has come; `of` is the whole, where it is known. Without `progress` nobody is told.
    """

    def __init__(
        self, size: Callable[[], int], folder: Path, limits: Limits, progress: Progress | None
    ) -> None:
        self.why = ""
        self.of: int | None = None
        self._size_now = size
        self._folder = folder
        self._limits = limits
        self._progress = progress
        self._began = self._grown_at = time.monotonic()
        self._size = 0

    def tick(self) -> float:
        left = min(self._began + self._limits.total_s, self._grown_at + self._limits.idle_s)
        return max(0.0, min(_TICK_S, left - time.monotonic()))

    def over(self) -> bool:
        """Whether a limit is."""
        now, size = time.monotonic(), self._size_now()
        if size > self._size:
            self._size, self._grown_at = size, now
        if self._progress:
            self._progress.at("fetch", size, self.of)
        if now - self._began >= self._limits.total_s:
            self.why = f"timed out after {span(self._limits.total_s)}, with {amount(size, self.of)}"
        elif now - self._grown_at >= self._limits.idle_s:
            self.why = f"nothing arrived for {span(self._limits.idle_s)}, after {amount(size, self.of)}"
        else:
            self.why = no_room(self._folder, self._limits.room)
        return bool(self.why)


def no_room(folder: Path, room: int) -> str:
    found = os.statvfs(folder)
    if found.f_bavail * found.f_frsize >= room:
        return ""
    return f"less than {room // 2**20} MiB are left in {folder}: make room"


def too_large(folder: Path, whole: int | None, room: int) -> str:
    """Why it is of no use to begin: told before hours have passed."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if whole is None or whole + room <= free:
        return ""
    return f"it has {told(whole)}, and {told(free)} are free in {folder} (the old one stays until the new one is whole): make room"


def amount(size: int, of: int | None = None) -> str:
    return told(size) if of is None else f"{told(size)} of {told(of)}"


def told(size: int) -> str:
    """A size for people: `6 bytes`, `1.2 MB`, `340 GB`."""
    if size < 10_000:
        return f"{size} bytes"
    value, unit = float(size), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
