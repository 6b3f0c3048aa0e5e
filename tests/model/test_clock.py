"""The clocks: what counts as progress when one of them jumps, and how times and spans are written."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sando.model.clock import EPOCH, Instant, span, stamp
from tests.model.samples import NOON

HOUR = 3600.0
jumps = st.floats(-1e6, 1e6, allow_nan=False)


def instant(wall_s: float, up: float, boot: str = "one") -> Instant:
    return Instant(NOON + timedelta(seconds=wall_s), boot, up)


@pytest.mark.parametrize(
    ("then", "now", "seconds"),
    [
        (instant(0, 10), instant(60, 70), 60.0),
        (instant(0, 10), instant(7 * 86400, 70), 60.0),  # the wall jumped forward
        (instant(0, 10), instant(-HOUR, 70), 0.0),  # the wall jumped back
        (instant(0, 10), instant(60, 5), 0.0),
        (instant(0, 10_000), instant(60, 5, "two"), 60.0),  # another boot: only the wall can tell
        (instant(0, 10), instant(-HOUR, 99_999, "two"), 0.0),
    ],
)
def test_progress_is_the_smaller_of_both_clocks_within_a_boot_and_the_wall_across_boots(
    then: Instant, now: Instant, seconds: float
) -> None:
    assert now.since(then) == seconds


@given(jumps, jumps, st.sampled_from(["one", "two"]))
def test_progress_is_never_below_zero_and_never_more_than_the_wall_says(
    wall: float, up: float, boot: str
) -> None:
    then, now = instant(0, 0), instant(wall, up, boot)
    assert 0 <= now.since(then) <= max(0.0, wall) + 1e-6
    if boot == "one":
        assert now.since(then) <= max(0.0, up)


def test_plus_moves_both_clocks() -> None:
    assert instant(0, 5).plus(90) == instant(90, 95)
    assert EPOCH.plus(1).since(EPOCH) == 1.0


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (NOON, "2026-11-23T12:00:00.000Z"),
        (datetime(2026, 11, 23, 13, tzinfo=timezone(timedelta(hours=1))), "2026-11-23T12:00:00.000Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC), "2026-01-02T03:04:05.678Z"),
    ],
)
def test_a_time_is_written_in_utc_with_milliseconds(at: datetime, text: str) -> None:
    assert stamp(at) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (0.4, "0s"),
        (45, "45s"),
        (59.7, "1m"),
        (200, "3m 20s"),
        (3600, "1h"),
        (3605, "1h"),
        (21 * 3600, "21h"),
        (2 * 86400 + 4 * 3600 + 59, "2d 4h"),
        (86400 + 60, "1d"),
    ],
)
def test_a_span_has_two_neighbouring_units_at_most(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("then", "now", "seconds"),
    [
        (instant(0, 10), instant(60, 70), 60.0),
        (
            instant(0, 10),
            instant(7 * 86400, 70),
            7 * 86400.0,
        ),  # the wall jumped forward, or was behind before
        (instant(0, 10), instant(-HOUR, 70), 60.0),  # the wall jumped back
        (instant(0, 10_000), instant(60, 5, "two"), 60.0),
        (instant(0, 10), instant(-HOUR, 99_999, "two"), -HOUR),  # nobody can tell
    ],
)
def test_what_may_have_passed_at_most_is_the_larger_of_both_clocks_within_a_boot(
    then: Instant, now: Instant, seconds: float
) -> None:
    assert now.most_since(then) == seconds
    assert now.most_since(then) >= 0 or now.since(then) == 0
