"""The four numbers of DORA by tier, from the rows of `deploys`, by SQL alone: what each of them counts is said here.

DORA (dora.dev, the four keys; Forsgren, Humble, Kim: Accelerate, 2018, chapter 2) measures how fast changes reach
production and how often that goes wrong. sando knows each push, each arrival and each step back, so nothing is sampled.
A tier is asked for a window of time, and a deploy belongs to the window in which it ended. Repairs of single nodes and
rollbacks are no deploys of a change.

- Change lead time: from the change in version control to its running in production. Here from the push of the release
  (`pushed_at`: when sando first accepted the commit) to its first promotion to the tier that succeeded.
- Deployment frequency: how often changes are deployed. Here the promotions that succeeded, and that by day.
- Change fail rate: the part of the deploys that degraded the service, so that somebody had to step in (a rollback, a
  hotfix). Here, of the promotions that came to a verdict (succeeded or failed), those that failed, and those that
  succeeded and that a rollback left later. What could not run (errored), was aborted or interrupted says nothing about
  the change, and counts in neither.
- Failed deployment recovery time (time to restore): how long until the service was right again. Here from the start of
  each promotion that the change fail rate counts to its own end where it put its nodes back or had touched none, else
  to the end of the next operation that succeeded on the tier; where a rollback left it, from that rollback on. One that
  is not right again yet is `open`.
"""

from datetime import datetime
from typing import Any

from sando.model import wire
from sando.model.clock import stamp
from sando.store.deploys import microseconds

_SECOND = 1e6
_DAY = 86400.0

_WINDOW = "tier = :tier AND mode = 'promote' AND finished > :since AND finished <= :until"

_COUNTS = f"SELECT status, count(*) FROM deploy WHERE {_WINDOW} GROUP BY status"  # noqa: S608

_ROLLBACKS = (
    "SELECT count(*) FROM deploy WHERE tier = :tier AND mode = 'rollback' AND status = 'succeeded'"
    " AND finished > :since AND finished <= :until"
)

_FIRST = f"""
    SELECT max(0, finished - pushed) AS took FROM deploy AS d
    WHERE {_WINDOW} AND status = 'succeeded' AND pushed IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM deploy AS e WHERE e.tier = d.tier AND e.mode = 'promote' AND e.version = d.version
        AND e.operation < d.operation AND e.status = 'succeeded')
"""  # noqa: S608

# Of each promotion that failed, and of each that a rollback left: when it began, and when the tier was right again.
# A rollback leaves the latest promotion of the version before it.
_FAILED = f"""
    SELECT d.started AS began, CASE
        WHEN d.status = 'failed' AND NOT d.stuck THEN d.finished
        WHEN d.status = 'failed' THEN (
            SELECT e.finished FROM deploy AS e WHERE e.tier = d.tier AND e.status = 'succeeded'
            AND e.operation > d.operation ORDER BY e.operation LIMIT 1)
        ELSE (
            SELECT e.finished FROM deploy AS e WHERE e.tier = d.tier AND e.status = 'succeeded'
            AND e.operation >= d.leaver ORDER BY e.operation LIMIT 1)
    END AS righted
    FROM (
        SELECT *, CASE WHEN status = 'succeeded' THEN (
            SELECT r.operation FROM deploy AS r WHERE r.tier = o.tier AND r.back_from = o.version
            AND r.operation > o.operation AND r.operation < coalesce((
                SELECT n.operation FROM deploy AS n WHERE n.tier = o.tier AND n.mode = 'promote'
                AND n.version = o.version AND n.operation > o.operation AND n.status = 'succeeded'
                ORDER BY n.operation LIMIT 1), {2**62})
            ORDER BY r.operation LIMIT 1) END AS leaver
        FROM deploy AS o WHERE {_WINDOW}
    ) AS d
    WHERE d.status = 'failed' OR d.leaver IS NOT NULL
"""  # noqa: S608

_TOOK = f"SELECT max(0, righted - began) AS took FROM ({_FAILED}) WHERE righted IS NOT NULL"  # noqa: S608
_OPEN = f"SELECT count(*), sum(righted IS NULL) FROM ({_FAILED})"  # noqa: S608

# The median is the mean of the middle two where there is no middle one; p90 is the nearest rank.
_SPREAD = """
    SELECT count(*), avg(took) FILTER (WHERE place IN ((size + 1) / 2, (size + 2) / 2)),
        max(took) FILTER (WHERE place = (9 * size + 9) / 10)
    FROM (SELECT took, row_number() OVER (ORDER BY took) AS place, count(*) OVER () AS size FROM ({}))
"""

Rows = Any
"""Asks one statement with named parameters, and answers its rows."""


def dora(rows: Rows, tiers: tuple[str, ...], since: datetime, until: datetime, days: int) -> wire.Dora:
    """Of these tiers, in this order; the window ends at `until`, and what ended at `since` is outside."""
    window = {"since": microseconds(since), "until": microseconds(until)}
    told = tuple(_tier(rows, {"tier": tier, **window}, days) for tier in tiers)
    return wire.Dora(days, stamp(since), stamp(until), told)


def _tier(rows: Rows, asked: dict[str, Any], days: int) -> wire.TierDora:
    counts = dict(rows(_COUNTS, asked))
    names = ("succeeded", "failed", "errored", "aborted", "interrupted")
    deploys = wire.Deploys(*(counts.get(name, 0) for name in names))
    (failed, open_) = rows(_OPEN, asked)[0]
    of = deploys.succeeded + deploys.failed
    return wire.TierDora(
        name=asked["tier"],
        deploys=deploys,
        rollbacks=rows(_ROLLBACKS, asked)[0][0],
        lead_time=wire.LeadTime(*_spread(rows, _FIRST, asked)),
        deploy_frequency=wire.Frequency(deploys.succeeded, deploys.succeeded / days),
        change_fail_rate=wire.Changes(failed, of, failed / of if of else None),
        time_to_restore=_restore(open_ or 0, *_spread(rows, _TOOK, asked)),
    )


def _restore(open_: int, count: int, median: float | None, p90: float | None) -> wire.Restore:
    return wire.Restore(count, open_, median, p90)


def _spread(rows: Rows, of: str, asked: dict[str, Any]) -> tuple[int, float | None, float | None]:
    """How many, their median and their 90th percentile, in seconds."""
    count, median, p90 = rows(_SPREAD.format(of), asked)[0]
    return count, _seconds(median), _seconds(p90)


def _seconds(micros: float | None) -> float | None:
    return None if micros is None else micros / _SECOND
