"""The backup as it is known: when it is fetched again, how old it is, and whether it was restored, under every clock."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sando.model.backup import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    SLACK_S,
    Fetched,
    LastGood,
    Restored,
    Tries,
    backup_shown,
    due_in,
    freshness,
    stale_in,
    told_age,
    why_now,
)
from sando.model.clock import Instant
from sando.model.topology import BackupSpec
from tests.model.samples import NOON, T0

HOUR, DAY = 3600.0, 86400.0
SPEC = BackupSpec("file:///x", "/b", schedule_s=DAY, max_age_s=2 * DAY)


def good(at: Instant = T0, **fields: Any) -> LastGood:
    base: dict[str, Any] = {"source": "file:///x", "local_path": "/b", "bytes": 7, "sha256": "00"}
    return LastGood(Fetched(**{**base, **fields}), at, 3)


def failed(times: int, at: Instant = T0) -> Tries:
    tries: Tries | None = None
    for _ in range(times):
        tries = Tries.after(tries, "file:///x", at, stopped=False)
    assert tries
    return tries


def test_it_is_due_when_its_time_is_over_and_not_before() -> None:
    assert due_in(SPEC, good(), None, T0.plus(HOUR)) == 23 * HOUR
    assert due_in(SPEC, good(), None, T0.plus(DAY)) == 0.0
    assert due_in(SPEC, good(), None, T0.plus(9 * DAY)) == 0.0
    assert due_in(SPEC, None, None, T0) == 0.0


def test_without_a_schedule_it_never_is() -> None:
    assert due_in(None, good(), None, T0.plus(9 * DAY)) is None
    assert due_in(BackupSpec("file:///x", "/b"), None, None, T0) is None


@pytest.mark.parametrize("other", [{"source": "file:///y"}, {"local_path": "/c"}])
def test_a_backup_of_another_place_is_none(other: dict[str, str]) -> None:
    assert due_in(SPEC, good(**other), None, T0) == 0.0
    assert why_now(SPEC, good(**other), None) == "there is none yet"


def test_after_failures_it_waits_longer_and_longer_but_no_longer_than_an_hour_or_the_schedule() -> None:
    waits = [due_in(SPEC, None, failed(n), T0) for n in range(1, 9)]
    assert waits == [60, 240, 960, 3600, 3600, 3600, 3600, 3600]
    often = replace(SPEC, schedule_s=600.0)
    assert [due_in(often, None, failed(n), T0) for n in range(1, 5)] == [60, 240, 600, 600]
    assert why_now(SPEC, None, failed(3)) == "3 in a row brought nothing"


def test_a_failure_does_not_make_it_due_before_its_time() -> None:
    assert due_in(SPEC, good(), failed(1), T0.plus(HOUR)) == 23 * HOUR


def test_what_a_person_stopped_has_its_whole_time() -> None:
    stopped = Tries.after(failed(2), "file:///x", T0, stopped=True)
    assert (stopped.failures, due_in(SPEC, None, stopped, T0)) == (2, DAY)
    again = Tries.after(stopped, "file:///x", T0, stopped=False)
    assert (again.failures, again.stopped) == (3, False)


def test_another_source_begins_with_no_failures() -> None:
    other = replace(SPEC, source="file:///y")
    assert due_in(other, None, failed(4), T0) == 0.0
    assert Tries.after(failed(4), "file:///y", T0, stopped=False).failures == 1


def wall(seconds: float, up: float = 0.0, boot: str = "one") -> Instant:
    return Instant(NOON + timedelta(seconds=seconds), boot, T0.up + up)


@pytest.mark.parametrize(
    ("now", "age"),
    [
        (wall(HOUR, HOUR), HOUR),
        (wall(-10 * DAY, HOUR), HOUR),  # the wall was set back: the boot clock knows
        (wall(10 * DAY, HOUR), 10 * DAY),  # forward: rather too old than too young
        (wall(HOUR, 5.0, "two"), HOUR),  # another boot: only the wall can tell
        (wall(-SLACK_S, 5.0, "two"), 0.0),
        (wall(-SLACK_S - 1, 5.0, "two"), None),
    ],
)
def test_the_age_is_rather_too_large_and_not_known_where_the_clock_was_set_back(
    now: Instant, age: float | None
) -> None:
    assert good().age(now) == age
    assert due_in(SPEC, good(), None, now) == (0.0 if age is None else max(0.0, DAY - age))
    assert stale_in(SPEC, good(), now) == (0.0 if age is None else max(0.0, 2 * DAY - age))


def test_an_age_that_nobody_knows_is_told_so() -> None:
    assert told_age(None) == "fetched at a time that is yet to come: the clock was set back"
    assert told_age(HOUR) == "fetched 1h ago"


instants = st.builds(wall, st.floats(-1e7, 1e7), st.floats(0, 1e7), st.sampled_from(["one", "two"]))


@given(instants, instants, st.integers(0, 6), st.booleans())
def test_whatever_the_clocks_do_it_is_due_within_the_schedule_and_asked_again_within_the_hour(
    fetched: Instant, tried: Instant, failures: int, stopped: bool
) -> None:
    """Seen from `tried` on: no jump makes it wait longer, and none makes a source be asked without a pause."""
    tries = Tries("file:///x", tried, failures, stopped) if failures or stopped else None
    left = due_in(SPEC, good(fetched), tries, tried)
    assert left is not None
    assert 0 <= left <= DAY + SLACK_S
    if tries and not stopped:
        assert left >= FIRST_WAIT_S
        unknown = due_in(SPEC, None, tries, tried)
        assert unknown is not None
        assert unknown <= LONGEST_WAIT_S


@given(instants, instants)
def test_it_is_never_younger_than_the_boot_clock_says(fetched: Instant, now: Instant) -> None:
    age = good(fetched).age(now)
    assert age is None or age >= 0
    if fetched.boot == now.boot and now.up >= fetched.up:
        assert age is not None
        assert age >= now.up - fetched.up - 1e-6


def test_for_a_plan_its_age_is_a_warning_that_says_what_clears_it() -> None:
    assert freshness(None, good(), T0) is None
    for backup, now, verdict, detail in (
        (good(), T0.plus(HOUR), "ok", "fetched 1h ago, 2d at most"),
        (good(), T0.plus(3 * DAY), "warning", "fetched 3d ago, 2d at most"),
        (None, T0, "warning", "no backup was fetched yet"),
    ):
        check = freshness(SPEC, backup, now)
        assert check
        assert (check.check, check.verdict, check.detail) == ("backup", verdict, detail)
        assert (check.clears == "POST /backup/fetch") is (verdict == "warning")
    plain = freshness(BackupSpec("file:///x", "/b"), good(), T0.plus(3 * DAY))
    assert plain
    assert (plain.verdict, plain.detail) == ("ok", "fetched 3d ago")


def proof(sha256: str, seconds: float = 0.0) -> Restored:
    return Restored("mm", sha256, NOON + timedelta(seconds=seconds), "1.0", 9)


def test_a_proof_is_of_the_bytes_with_its_sha256_and_the_latest_one_is_shown() -> None:
    shown = backup_shown(SPEC, good(), (proof("00"), proof("00", 60), proof("11", 90)), T0)
    assert shown
    assert shown.last_restore_ok_at == "2026-11-23T12:01:00.000Z"
    none = backup_shown(SPEC, good(), (proof("11"),), T0)
    assert none
    assert none.last_restore_ok_at is None
    assert backup_shown(SPEC, None, (proof("00"),), T0) is None


def test_it_is_shown_as_stale_from_its_limit_on() -> None:
    for seconds, stale in ((2 * DAY - 1, False), (2 * DAY, True), (9 * DAY, True)):
        shown = backup_shown(SPEC, good(), (), T0.plus(seconds))
        assert shown
        assert shown.stale is stale
    unlimited = backup_shown(None, good(), (), T0.plus(9 * DAY))
    assert unlimited
    assert not unlimited.stale
