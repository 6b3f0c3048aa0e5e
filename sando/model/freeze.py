"""Freeze windows: is a tier frozen at an instant, and until when. Pure; zone data is the standard library's."""

from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sando.model.topology import FreezeSpec

_WEEKS_AHEAD = 5


def frozen_until(freezes: Iterable[FreezeSpec], tier: str, at: datetime) -> datetime | None:
    """When the freeze of `tier` that holds at `at` ends (touching and overlapping windows joined), or None."""
    mine = [f for f in freezes if not f.tiers or tier in f.tiers]
    end = at
    for _ in range(7 * _WEEKS_AHEAD):
        later = max((e for f in mine if (e := _end_of_window(f, end)) is not None), default=None)
        if later is None:
            break
        end = later
    return end if end > at else None


def _end_of_window(freeze: FreezeSpec, at: datetime) -> datetime | None:
    zone = ZoneInfo(freeze.tz)
    today = at.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        if freeze.days and day.weekday() not in freeze.days:
            continue
        midnight = datetime.combine(day, time(0), zone)
        begin = _at_minute(midnight, freeze.start_min)
        end = max(_at_minute(midnight, freeze.end_min, fold) for fold in (0, 1))
        if begin <= at < end:
            return end
    return None


def _at_minute(midnight: datetime, minute: int, fold: int = 0) -> datetime:
    """The wall-clock minute of that day, as UTC; `fold` 1 is the second time that the wall shows it."""
    days, minute = divmod(minute, 1440)
    shown = time(minute // 60, minute % 60, fold=fold)
    local = datetime.combine(midnight.date() + timedelta(days=days), shown, midnight.tzinfo)
    return local.astimezone(UTC)
