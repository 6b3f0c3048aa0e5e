"""DORA's numbers: tables of cases, and any history against a reference that reckons them the slow and plain way."""

import itertools
import math
import sqlite3
import statistics
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sando.model import wire
from sando.model.operation import NodeReport, Operation, Status
from sando.model.release import Release
from sando.store import Store, dora
from sando.store.deploys import PUT, microseconds
from sando.store.schema import TABLES, bind

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAYS = 30
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Deed(NamedTuple):
    """One deploy that ended: `ago` before now, after `took`; `back_from` of a rollback that stepped back."""

    version: str
    ago: timedelta
    mode: str = "promote"
    status: str = "succeeded"
    took: timedelta = timedelta(minutes=1)
    stuck: bool = False
    back_from: str | None = None
    tier: str = "a"
    pushed: timedelta = timedelta(hours=2)
    """Before now plus `ago`: when its release was pushed; of a version the first one counts."""

    @property
    def ended(self) -> datetime:
        return NOW - self.ago


def kept(store: Store, *deeds: Deed) -> None:
    """As the actors would have stored it."""
    for deed in deeds:
        rows: list[Any] = []
        if store.release(deed.version) is None:
            pushed = deed.ended - deed.pushed
            rows.append(Release(deed.version, deed.version, "a" * 40, "d", 1, pushed, pushed, green=True))
        store.save(*rows, operation(store.new_operation_id(), deed))


def operation(number: int, deed: Deed) -> Operation:
    kind: Any = "rollback" if deed.mode == "rollback" else "promote"
    details: dict[str, object] = {"kind": deed.mode}
    if deed.status != "succeeded":
        details["stuck"] = deed.stuck
    if deed.back_from:
        details |= {"marks": deed.back_from, "stepped": True}
    return Operation(
        number, kind, deed.tier, deed.version, "a" * 40, "max", "", Status(deed.status), deed.ended - deed.took,
        started_at=deed.ended - deed.took, finished_at=deed.ended, details=details,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "sando.db", synchronous="OFF")
    made.open()
    yield made
    made.close()


def asked(store: Store, tier: str = "a") -> wire.TierDora:
    return store.dora((tier,), NOW - DAYS * DAY, NOW, DAYS).tiers[0]


def test_nothing_was_deployed(store: Store) -> None:
    told = asked(store)
    assert told.deploys == wire.Deploys(0, 0, 0, 0, 0)
    assert told.lead_time == wire.LeadTime(0, None, None)
    assert told.deploy_frequency == wire.Frequency(0, 0.0)
    assert told.change_fail_rate == wire.Changes(0, 0, None)
    assert told.time_to_restore == wire.Restore(0, 0, None, None)


def test_the_lead_time_is_from_the_push_to_the_first_deploy_that_succeeded(store: Store) -> None:
    kept(
        store,
        Deed("1", 5 * DAY, status="failed"),
        Deed("1", 4 * DAY),
        Deed("1", 3 * DAY),  # again, by force
        Deed("2", 2 * DAY, pushed=5 * HOUR),
        Deed("3", DAY, status="failed"),
    )
    told = asked(store).lead_time
    first = (DAY + 2 * HOUR).total_seconds()
    assert told == wire.LeadTime(2, (first + 5 * 3600) / 2, first)


def test_each_tier_has_its_own_numbers_and_they_come_in_the_order_asked_for(store: Store) -> None:
    kept(store, Deed("1", 3 * DAY), Deed("1", 2 * DAY, tier="b"), Deed("2", DAY))
    told = store.dora(("b", "a", "z"), NOW - DAYS * DAY, NOW, DAYS)
    assert [(t.name, t.deploy_frequency.count) for t in told.tiers] == [("b", 1), ("a", 2), ("z", 0)]
    assert told.tiers[0].lead_time.median_s == (DAY + 2 * HOUR).total_seconds()
    assert (told.days, told.since, told.until) == (30, "2026-10-24T12:00:00.000Z", "2026-11-23T12:00:00.000Z")


@pytest.mark.parametrize(
    ("ago", "within"),
    [
        (timedelta(0), True), (timedelta(microseconds=1), True), (DAYS * DAY - timedelta(microseconds=1), True),
        (DAYS * DAY, False), (DAYS * DAY + HOUR, False), (-timedelta(microseconds=1), False),
    ],
)  # fmt: skip
def test_a_deploy_belongs_to_the_window_in_which_it_ended(store: Store, ago: timedelta, within: bool) -> None:
    kept(store, Deed("1", ago))
    assert asked(store).deploy_frequency.count == int(within)
    assert asked(store).deploy_frequency.per_day == int(within) / 30


def test_what_was_first_deployed_before_the_window_has_no_lead_time_in_it(store: Store) -> None:
    kept(store, Deed("1", 40 * DAY), Deed("1", DAY))
    assert asked(store).lead_time.count == 0
    assert asked(store).deploy_frequency.count == 1


def test_repairs_and_rollbacks_are_no_deploys_of_a_change(store: Store) -> None:
    kept(
        store,
        Deed("1", 5 * DAY),
        Deed("1", 4 * DAY, "repair"),
        Deed("1", 3 * DAY, "repair", "failed"),
        Deed("1", 2 * DAY, "rollback"),
        Deed("1", DAY, "rollback", "failed"),
    )
    told = asked(store)
    assert told.deploys == wire.Deploys(1, 0, 0, 0, 0)
    assert told.change_fail_rate == wire.Changes(0, 1, 0.0)
    assert told.rollbacks == 1


@pytest.mark.parametrize(
    ("status", "counted"), [("failed", 1), ("errored", 0), ("aborted", 0), ("interrupted", 0)]
)
def test_only_what_came_to_a_verdict_counts_in_the_change_fail_rate(
    store: Store, status: str, counted: int
) -> None:
    kept(store, Deed("1", 2 * DAY), Deed("2", DAY, status=status))
    told = asked(store)
    assert getattr(told.deploys, status) == 1
    assert told.change_fail_rate == wire.Changes(counted, 1 + counted, counted / (1 + counted))


def test_a_deploy_that_was_rolled_back_from_failed_whenever_that_was(store: Store) -> None:
    kept(store, Deed("1", 6 * DAY), Deed("2", 5 * DAY), Deed("1", 2 * HOUR, "rollback", back_from="2"))
    told = asked(store)
    assert told.change_fail_rate == wire.Changes(1, 2, 0.5)
    took = (5 * DAY - 2 * HOUR + timedelta(minutes=1)).total_seconds()
    assert told.time_to_restore == wire.Restore(1, 0, took, took)


def test_a_rollback_leaves_the_last_deploy_of_its_version_and_no_other(store: Store) -> None:
    kept(
        store,
        Deed("1", 9 * DAY),
        Deed("2", 8 * DAY),
        Deed("1", 7 * DAY, "rollback", back_from="2"),
        Deed("2", 6 * DAY),  # by force, and this time it stays
        Deed("3", 5 * DAY),
        Deed("2", 4 * DAY, "rollback", back_from="3"),
    )
    told = asked(store)
    assert told.change_fail_rate == wire.Changes(2, 4, 0.5)
    day = DAY.total_seconds() + 60
    assert told.time_to_restore == wire.Restore(2, 0, day, day)


def test_a_rollback_of_another_tier_says_nothing_here(store: Store) -> None:
    kept(store, Deed("1", 3 * DAY), Deed("0", DAY, "rollback", back_from="1", tier="b"))
    assert asked(store).change_fail_rate == wire.Changes(0, 1, 0.0)


def test_a_failed_deploy_that_put_its_nodes_back_was_right_again_at_its_end(store: Store) -> None:
    kept(store, Deed("1", DAY, status="failed", took=timedelta(seconds=90)))
    assert asked(store).time_to_restore == wire.Restore(1, 0, 90.0, 90.0)


def test_one_that_left_the_tier_mixed_was_right_again_when_the_next_operation_succeeded(store: Store) -> None:
    halted = Deed("2", 5 * HOUR, status="failed", stuck=True, took=timedelta(0))
    kept(store, Deed("1", DAY), halted)
    assert asked(store).time_to_restore == wire.Restore(0, 1, None, None)
    kept(store, Deed("1", 3 * HOUR, "rollback", "failed", back_from=None))
    assert asked(store).time_to_restore.open == 1
    kept(store, Deed("1", HOUR, "rollback"))
    assert asked(store).time_to_restore == wire.Restore(1, 0, 4 * 3600.0, 4 * 3600.0)


def test_a_rollback_that_failed_half_way_left_the_version_but_put_nothing_right(store: Store) -> None:
    kept(
        store,
        Deed("1", DAY),
        Deed("2", 5 * HOUR, took=timedelta(0)),
        Deed("1", 4 * HOUR, "rollback", "failed", stuck=True, back_from="2"),
    )
    told = asked(store)
    assert (told.change_fail_rate.count, told.time_to_restore.open, told.rollbacks) == (1, 1, 0)
    kept(store, Deed("1", 3 * HOUR, "rollback"))
    assert asked(store).time_to_restore == wire.Restore(1, 0, 2 * 3600.0, 2 * 3600.0)


def test_a_clock_that_was_set_back_makes_no_negative_time(store: Store) -> None:
    kept(store, Deed("1", DAY, pushed=-HOUR, status="succeeded"))
    assert asked(store).lead_time.median_s == 0.0


@pytest.mark.parametrize(
    ("hours", "median", "p90"),
    [
        ([3], 3, 3), ([1, 3], 2, 3), ([1, 2, 9], 2, 9), (list(range(1, 11)), 5.5, 9), (list(range(1, 12)), 6, 10),
    ],
)  # fmt: skip
def test_the_middle_of_two_is_their_mean_and_p90_is_one_of_them(
    store: Store, hours: list[int], median: float, p90: int
) -> None:
    kept(store, *(Deed(str(h), DAY, pushed=h * HOUR) for h in hours))
    assert asked(store).lead_time == wire.LeadTime(len(hours), median * 3600.0, p90 * 3600.0)


# -- against a reference -----------------------------------------------------------------------------------------------

VERSIONS = st.sampled_from(["1", "2", "3"])
AGO = st.timedeltas(timedelta(0), timedelta(days=45))
ENDS = st.sampled_from(["succeeded", "succeeded", "failed", "errored", "aborted", "interrupted"])


@st.composite
def histories(draw: st.DrawFn) -> list[Deed]:
    """Deeds of two tiers in the order of their ends; each ends after the one before it."""
    count = draw(st.integers(0, 14))
    ends = sorted((draw(AGO) for _ in range(count)), reverse=True)
    return [draw(_deed(ago)) for ago in ends]


@st.composite
def _deed(draw: st.DrawFn, ago: timedelta) -> Deed:
    mode = draw(st.sampled_from(["promote", "promote", "promote", "repair", "rollback"]))
    return Deed(
        draw(VERSIONS), ago, mode, draw(ENDS), draw(st.timedeltas(timedelta(0), DAY)), draw(st.booleans()),
        draw(st.none() | VERSIONS) if mode == "rollback" else None, draw(st.sampled_from(["a", "b"])),
        draw(st.timedeltas(-HOUR, 9 * DAY)),
    )  # fmt: skip


def reference(deeds: list[Deed], tier: str) -> wire.TierDora:
    """Word by word what the docstring of `sando.store.dora` says."""
    pushed: dict[str, datetime] = {}
    for deed in deeds:
        pushed.setdefault(deed.version, deed.ended - deed.pushed)
    mine = [d for d in deeds if d.tier == tier]
    promotes = [(n, d) for n, d in enumerate(mine) if d.mode == "promote"]
    window = [(n, d) for n, d in promotes if NOW - DAYS * DAY < d.ended <= NOW]
    ok = [(n, d) for n, d in window if d.status == "succeeded"]
    failed = [(n, d) for n, d in window if d.status == "failed"]
    lead = [
        seconds(d.ended - pushed[d.version])
        for n, d in ok
        if not any(e.version == d.version and e.status == "succeeded" and m < n for m, e in promotes)
    ]
    took, open_ = [], 0
    leavers = {n: leaver(mine, n, d) for n, d in ok}
    for n, d in [*failed, *((n, d) for n, d in ok if leavers[n] is not None)]:
        if d.status == "failed" and not d.stuck:
            took.append(seconds(d.took))
            continue
        since = n + 1 if d.status == "failed" else leavers[n]
        righted = next((e for e in mine[since:] if e.status == "succeeded"), None)
        if righted:
            took.append(seconds(righted.ended - (d.ended - d.took)))
        open_ += righted is None
    bad = len(failed) + sum(1 for r in leavers.values() if r is not None)
    verdicts = len(ok) + len(failed)
    counts = [sum(1 for _, d in window if d.status == s) for s in wire.Deploys.__struct_fields__]
    back = [
        d for d in mine if d.mode == "rollback" and d.status == "succeeded" and d.ended > NOW - DAYS * DAY
    ]
    return wire.TierDora(
        tier,
        wire.Deploys(*counts),
        len(back),
        wire.LeadTime(len(lead), *spread(lead)),
        wire.Frequency(len(ok), len(ok) / DAYS),
        wire.Changes(bad, verdicts, bad / verdicts if verdicts else None),
        wire.Restore(len(took), open_, *spread(took)),
    )


def leaver(mine: list[Deed], n: int, deploy: Deed) -> int | None:
    """The rollback that left this very deploy: none other of the version has come before it."""
    for m, later in itertools.islice(enumerate(mine), n + 1, None):
        if later.mode == "promote" and later.version == deploy.version and later.status == "succeeded":
            return None
        if later.back_from == deploy.version:
            return m
    return None


def seconds(span: timedelta) -> float:
    return max(0, span // timedelta(microseconds=1)) / 1e6


def spread(values: list[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    micros = sorted(round(v * 1e6) for v in values)
    return statistics.median(micros) / 1e6, micros[math.ceil(len(micros) * 9 / 10) - 1] / 1e6


@pytest.mark.campaign
@settings(max_examples=100)
@given(deeds=histories())
def test_any_history_is_reckoned_as_the_reference_reckons_it(deeds: list[Deed]) -> None:
    store = Store(":memory:", synchronous="OFF")
    store._db.create_tables([bind(t, store._db) for t in TABLES])
    kept(store, *deeds)
    told = store.dora(("a", "b"), NOW - DAYS * DAY, NOW, DAYS)
    assert list(told.tiers) == [reference(deeds, "a"), reference(deeds, "b")]
    store.close()


# -- 100,000 operations ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sql", [dora._COUNTS, dora._ROLLBACKS, dora._FIRST, dora._OPEN, dora._TOOK])
def test_every_question_is_answered_from_an_index(store: Store, sql: str) -> None:
    """No table is read from one end to the other, and none is sorted: what is older than the window costs nothing."""
    told = [
        row[3]
        for row in store._db.execute_sql(f"EXPLAIN QUERY PLAN {sql}", {"tier": "a", "since": 0, "until": 1})
    ]
    reads = [line for line in told if "deploy" in line or line.startswith(("SEARCH", "SCAN"))]
    assert reads, told
    assert all("USING" in line and "INDEX" in line for line in reads if line.startswith("SEARCH")), told
    assert not [line for line in reads if line.startswith("SCAN") and "deploy" in line], told
    assert not [line for line in told if "TEMP B-TREE" in line and "GROUP BY" not in line], told


def test_a_rollback_that_made_the_tier_whole_or_never_switched_has_left_nothing(store: Store) -> None:
    for more in ({"whole": True, "stepped": True}, {}):
        details: dict[str, object] = {"kind": "rollback", "marks": "2", **more}
        row = Operation(
            store.new_operation_id(), "rollback", "a", "1", "a" * 40, "max", "", Status.SUCCEEDED, NOW,
            finished_at=NOW, details=details, nodes=(NodeReport("a-1", "ok", "1"),),
        )  # fmt: skip
        store.save(row)
    assert [r[0] for r in store._rows("SELECT back_from FROM deploy")] == [None, None]


def work(store: Store) -> int:
    """How many hundreds of SQLite's own instructions /dora takes."""
    counted = itertools.count()
    connection = store._db.connection()
    connection.set_progress_handler(lambda: next(counted) < 0, 100)
    asked(store)
    connection.set_progress_handler(None, 0)
    return next(counted)


def test_a_hundred_thousand_deploys_of_former_years_cost_nothing(store: Store) -> None:
    kept(store, Deed("1", 9 * DAY), *(Deed(str(n), 8 * DAY - n * HOUR) for n in range(50)))
    kept(store, Deed("1", HOUR, "rollback", back_from="49"))
    before, alone = asked(store), work(store)
    year = microseconds(NOW - 365 * DAY)
    old = (
        (
            10**6 + n if n % 7 else -n,
            "a",
            "promote",
            f"old-{n}",
            "succeeded",
            year - n,
            year - n,
            year - n,
            0,
            None,
        )
        for n in range(100_000)
    )
    with store._db.atomic():
        store._db.connection().executemany(PUT, old)
    assert asked(store) == before
    assert work(store) <= 2 * alone


def test_deploys_of_a_file_of_an_earlier_schema_are_counted_too(store: Store, tmp_path: Path) -> None:
    kept(store, Deed("1", 3 * DAY), Deed("2", 2 * DAY, status="failed"), Deed("1", DAY, "repair"))
    before = asked(store)
    store.close()
    with sqlite3.connect(tmp_path / "sando.db") as file:
        file.execute("DROP TABLE deploy")
        file.execute("PRAGMA user_version = 2")
    file.close()
    again = Store(tmp_path / "sando.db")
    again.open()
    assert (asked(again), before.deploys.failed) == (before, 1)
    again.close()
