"""Freeze windows: is a tier frozen at an instant, and until when. Pure; zone data is the standard library's."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from sando.model.topology import FreezeSpec

FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
"""When a freeze ends whose windows leave no gap."""

_AHEAD = timedelta(weeks=5)
"""Windows repeat by the week: what holds for so long, whatever the clocks do meanwhile, holds for ever."""


def frozen_until(freezes: Iterable[FreezeSpec], tier: str, at: datetime) -> datetime | None:
    """When the freeze of `tier` that holds at `at` ends (touching and overlapping windows joined); None: it is not frozen.

    FOREVER where the windows cover the whole week.
    """
    mine = [f for f in freezes if not f.tiers or tier in f.tiers]
    end = at
    while end - at < _AHEAD:
        later = max((e for f in mine if (e := _end_of_window(f, end)) is not None), default=None)
        if later is None:
            return end if end > at else None
        end = later
    return FOREVER


def _end_of_window(freeze: FreezeSpec, at: datetime) -> datetime | None:
    zone = ZoneInfo(freeze.tz)
    today = at.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if freeze.days and day.weekday() not in freeze.days:
            continue
        midnight = datetime.combine(day, time(0), zone)
        begin = min(_at_minute(midnight, freeze.start_min))
        end = max(_at_minute(midnight, freeze.end_min))
        if begin <= at < end:
            return end
    return None


def _at_minute(midnight: datetime, minute: int) -> tuple[datetime, datetime]:
    """The wall-clock minute of that day, as UTC: both times that the wall shows it, which are one but on a day in autumn.

    What the wall never shows, in the hour that spring leaves out, is when that hour is skipped.
    """
    days, minute = divmod(minute, 1440)
    shown = datetime.combine(
        midnight.date() + timedelta(days=days), time(minute // 60, minute % 60), midnight.tzinfo
    )
    first, second = (shown.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:
        first = second = _change(second, first, shown.tzinfo)
    return first, second


def _change(early: datetime, late: datetime, zone: tzinfo | None) -> datetime:
    """When between these two the clocks of the zone are changed, to the second."""
    before = early.astimezone(zone).utcoffset()
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)
