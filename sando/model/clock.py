"""Time as an argument: an instant carries wall clock and boot clock, so that a jump of one can be told."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from msgspec import Struct


class Instant(Struct, frozen=True):
    """One reading of the clocks: `at` in UTC, `up` seconds of CLOCK_BOOTTIME within the boot named `boot`."""

    at: datetime
    boot: str
    up: float

    def since(self, earlier: "Instant") -> float:
        """Seconds of progress: the smaller of both clocks within one boot, else the wall clock; never below 0."""
        wall = (self.at - earlier.at).total_seconds()
        if self.boot == earlier.boot:
            wall = min(wall, self.up - earlier.up)
        return max(0.0, wall)

    def most_since(self, earlier: "Instant") -> float:
        """Seconds that may have passed: the larger of both clocks within one boot, else the wall clock.

        Below 0 where the wall clock was set back between two boots: then nobody can tell.
        """
        wall = (self.at - earlier.at).total_seconds()
        return max(wall, self.up - earlier.up) if self.boot == earlier.boot else wall

    def plus(self, seconds: float) -> "Instant":
        return Instant(self.at + timedelta(seconds=seconds), self.boot, self.up + seconds)


Clock: TypeAlias = Callable[[], Instant]

EPOCH = Instant(datetime(1970, 1, 1, tzinfo=UTC), "", 0.0)


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as every answer shows it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stamp_of(at: datetime | None) -> str | None:
    """Of a time that may not have come."""
    return None if at is None else stamp(at)


def span(seconds: float) -> str:
    """A duration for people, two units at most: `45s`, `3m 20s`, `21h`, `2d 4h`."""
    left = max(0, round(seconds))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0s"
