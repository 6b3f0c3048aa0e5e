"""Freeze windows: inside or outside, until when, over midnight, joined, and on the days of a clock change."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.freeze import FOREVER, frozen_until
from sando.model.topology import FreezeSpec

MON, FRI, SAT, SUN = 0, 4, 5, 6
WEEKEND = FreezeSpec(("b", "c"), (FRI, SAT, SUN), 16 * 60, 24 * 60, "Europe/Berlin")


def berlin(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo("Europe/Berlin"))


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (berlin(20, 15, 59), None),  # a Friday
        (berlin(20, 16), berlin(21, 0)),
        (berlin(20, 23, 59), berlin(21, 0)),
        (berlin(21, 0), None),
        (berlin(22, 20), berlin(23, 0)),
        (berlin(23, 16), None),  # a Monday
    ],
)
def test_the_window_of_the_contract_begins_and_ends_by_the_wall(at: datetime, until: datetime | None) -> None:
    assert frozen_until([WEEKEND], "b", at) == until
    assert frozen_until([WEEKEND], "b", at.astimezone(UTC)) == until


def test_a_freeze_holds_its_own_tiers_and_one_without_tiers_holds_all() -> None:
    at = berlin(20, 17)
    assert frozen_until([WEEKEND], "a", at) is None
    everywhere = FreezeSpec((), (FRI,), 16 * 60, 18 * 60, "Europe/Berlin")
    assert frozen_until([WEEKEND, everywhere], "a", at) == berlin(20, 18)
    assert frozen_until([], "a", at) is None


@pytest.mark.parametrize(
    ("at", "until"),
    [
        (berlin(20, 21, 59), None),
        (berlin(20, 22), berlin(21, 6)),
        (berlin(21, 5, 59), berlin(21, 6)),
        (berlin(21, 6), None),
        (berlin(20, 3), None),  # the night that began on Thursday is not frozen
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(
    at: datetime, until: datetime | None
) -> None:
    night = FreezeSpec((), (FRI,), 22 * 60, 30 * 60, "Europe/Berlin")
    assert frozen_until([night], "b", at) == until


def test_overlapping_and_touching_windows_are_one() -> None:
    zone = "Europe/Berlin"
    windows = [
        FreezeSpec((), (FRI,), 10 * 60, 12 * 60, zone),
        FreezeSpec((), (FRI,), 11 * 60, 14 * 60, zone),
        FreezeSpec((), (FRI,), 14 * 60, 24 * 60, zone),
        FreezeSpec((), (SAT,), 0, 90, zone),
        FreezeSpec((), (SAT,), 91, 120, zone),
    ]
    assert frozen_until(windows, "b", berlin(20, 10)) == berlin(21, 1, 30)
    assert frozen_until(list(reversed(windows)), "b", berlin(20, 10)) == berlin(21, 1, 30)


def test_whole_days_join_to_the_end_of_the_weekend() -> None:
    days = FreezeSpec((), (SAT, SUN), tz="Europe/Berlin")
    assert frozen_until([days], "b", berlin(21, 0)) == berlin(23, 0)
    assert frozen_until([days], "b", berlin(23, 0)) is None


@pytest.mark.parametrize(
    "windows",
    [
        [FreezeSpec((), ())],
        [FreezeSpec((), (), start_min=m, end_min=m + 30) for m in range(0, 1440, 30)],
        [FreezeSpec((), tuple(range(7)), start_min=720, end_min=2160)],
    ],
    ids=["whole days", "half hours that touch", "over midnight"],
)
@pytest.mark.campaign
def test_windows_without_a_gap_have_no_end(windows: list[FreezeSpec]) -> None:
    assert frozen_until(windows, "b", berlin(20, 10)) == FOREVER


def test_a_gap_of_a_minute_a_week_is_an_end() -> None:
    days = FreezeSpec((), tuple(range(1, 7)), tz="Europe/Berlin")
    monday = FreezeSpec((), (0,), start_min=1, end_min=1440, tz="Europe/Berlin")
    assert frozen_until([days, monday], "b", berlin(20, 10)) == berlin(23, 0)


CHANGES = {
    "Europe/Berlin": [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)],
    "America/New_York": [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)],
    "America/Havana": [datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)],  # at midnight
    "Asia/Beirut": [
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 10, 25, tzinfo=UTC),
    ],  # back into the day before
    "Australia/Lord_Howe": [
        datetime(2026, 10, 4, tzinfo=UTC),
        datetime(2026, 4, 5, tzinfo=UTC),
    ],  # by half an hour
    "Pacific/Apia": [datetime(2011, 12, 30, tzinfo=UTC)],  # a day that never was
}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (3, 29), 23),
        ("Europe/Berlin", (10, 25), 25),
        ("America/New_York", (3, 8), 23),
        ("America/New_York", (11, 1), 25),
    ],
)
def test_a_frozen_day_of_a_clock_change_is_as_long_as_it_is(
    zone: str, day: tuple[int, int], hours: int
) -> None:
    midnight = datetime(2026, *day, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    spec = [FreezeSpec((), (SUN,), tz=zone)]
    assert frozen_until(spec, "b", midnight) == midnight + timedelta(hours=hours)
    assert frozen_until(spec, "b", midnight - timedelta(seconds=1)) is None


@pytest.mark.parametrize(("zone", "day"), [("Europe/Berlin", (10, 25)), ("America/New_York", (11, 1))])
def test_an_hour_that_the_wall_shows_twice_is_frozen_both_times(zone: str, day: tuple[int, int]) -> None:
    local = ZoneInfo(zone)
    spec = [FreezeSpec((), (SUN,), 30, 150, zone)]  # 00:30-02:30
    month, date = day
    shown = 2 if zone == "Europe/Berlin" else 1
    end = datetime(2026, month, date, 2, 30, fold=1, tzinfo=local).astimezone(UTC)
    for fold in (0, 1):
        at = datetime(2026, month, date, shown, 15, fold=fold, tzinfo=local)
        assert frozen_until(spec, "b", at) == end


@pytest.mark.parametrize(
    ("start", "end", "begins", "ends"),
    [
        (90, 150, (0, 30), (1, 0)),  # 01:30-02:30: over when the wall jumps over its end
        (135, 240, (1, 0), (2, 0)),  # 02:15-04:00: begins when the wall jumps over its start
        (120, 180, None, None),  # 02:00-03:00: the wall never shows it
        (150, 165, None, None),
        (180, 240, (1, 0), (2, 0)),
    ],
)
def test_a_window_that_begins_or_ends_in_the_hour_that_spring_leaves_out_goes_by_the_wall(
    start: int, end: int, begins: tuple[int, int] | None, ends: tuple[int, int] | None
) -> None:
    spec = [FreezeSpec((), (SUN,), start, end, "Europe/Berlin")]
    day = datetime(2026, 3, 29, tzinfo=UTC)
    minutes = [day + timedelta(minutes=m) for m in range(-120, 360)]
    frozen = [at for at in minutes if frozen_until(spec, "b", at)]
    if begins is None or ends is None:
        assert frozen == []
        return
    first, last = day.replace(hour=begins[0], minute=begins[1]), day.replace(hour=ends[0], minute=ends[1])
    assert (frozen[0], frozen[-1]) == (first, last - timedelta(minutes=1))
    assert {frozen_until(spec, "b", at) for at in frozen} == {last}


def _by_the_wall(spec: FreezeSpec, at: datetime) -> bool:
    wall = at.astimezone(ZoneInfo(spec.tz))
    minute = wall.hour * 60 + wall.minute
    days = spec.days or range(7)
    today = wall.weekday() in days and spec.start_min <= minute < spec.end_min
    yesterday = (wall.date() - timedelta(days=1)).weekday()
    return today or (yesterday in days and spec.start_min <= minute + 1440 < spec.end_min)


@st.composite
def moments(draw: st.DrawFn) -> tuple[FreezeSpec, datetime]:
    zone = draw(st.sampled_from(sorted(CHANGES)))
    start = draw(st.integers(0, 1439))
    end = draw(st.integers(start + 1, start + 1440))
    days = tuple(draw(st.sets(st.sampled_from([MON, FRI, SAT, SUN]))))
    day = draw(st.sampled_from([*CHANGES[zone], datetime(2026, 7, 5, tzinfo=UTC)]))
    at = day + timedelta(minutes=draw(st.integers(-2 * 1440, 3 * 1440)))
    return FreezeSpec((), days, start, end, zone), at


def _put_back(zone: ZoneInfo, at: datetime) -> bool:
    """Within a day the clocks are put back: between the two times of an hour a window stays what it was before."""
    day = timedelta(days=1)
    before, after = (at - day).astimezone(zone).utcoffset(), (at + day).astimezone(zone).utcoffset()
    return before is not None and after is not None and before > after


@given(moments())
def test_a_moment_is_frozen_when_the_wall_says_so(moment: tuple[FreezeSpec, datetime]) -> None:
    spec, at = moment
    until = frozen_until([spec], "b", at)
    if _by_the_wall(spec, at):
        assert until is not None
        assert until > at
    elif not _put_back(ZoneInfo(spec.tz), at):
        assert until is None
    if until is not None and until < at + timedelta(days=30):
        assert frozen_until([spec], "b", until) is None
