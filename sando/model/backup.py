"""The backup as it is known (SPEC 9): what was fetched, when it is fetched again, how old it is, and that it restores.

Three records, each of one owner: `LastGood` and `Tries` are Backup's, `Restored` is the tier's that rehearsed.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sando.model import wire
from sando.model.answers import Check
from sando.model.clock import Instant, span, stamp
from sando.model.events import Event
from sando.model.gates import Verdict
from sando.model.operation import Operation, Status
from sando.model.record import Fact, Unset
from sando.model.topology import BackupSpec

BACKUP, TRIES, RESTORED = "backup", "backup/tries", "restored/"
"""The keys of the records as facts; the last one goes on with the name of the tier."""
FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0
SLACK_S = 300.0
"""So far a clock is set right at a boot; a fetch that lies further in the future tells of a clock that jumped."""


class Fetched(Struct, frozen=True):
    """What one fetch brought to `local_path`; `kind` is what its bytes are."""

    source: str
    local_path: str
    bytes: int
    sha256: str
    kind: str = "unknown"
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()


class Arriving(Struct, frozen=True):
    """How far a fetch is; `of` is the whole, where it is known."""

    step: str
    bytes: int
    of: int | None = None


class LastGood(Struct, frozen=True):
    """The last good fetch: the operation that made it, and when it ended."""

    fetched: Fetched
    at: Instant
    operation: int

    def is_of(self, spec: BackupSpec) -> bool:
        """Whether the config still names the place that it came from, and the one where it lies."""
        return (self.fetched.source, self.fetched.local_path) == (spec.source, spec.local_path)

    def age(self, now: Instant) -> float | None:
        """Seconds, rather too many than too few; None: the clock was set back since, so that nobody can tell."""
        passed = now.most_since(self.at)
        return max(0.0, passed) if passed >= -SLACK_S else None


class Tries(Struct, frozen=True):
    """The fetches since the last good one: how many failed in a row, and how the latest of them ended."""

    source: str
    at: Instant
    failures: int = 0
    stopped: bool = False
    """A person stopped it: no schedule begins it again at once."""

    @staticmethod
    def after(former: "Tries | None", source: str, now: Instant, *, stopped: bool) -> "Tries":
        """What is known after one more that brought nothing."""
        failed = former.failures if former and former.source == source else 0
        return Tries(source, now, failed + (not stopped), stopped)

    def wait_s(self, schedule_s: float) -> float:
        """How long the schedule leaves the source alone: a minute, then longer and longer, an hour at most."""
        if self.stopped or not self.failures:
            return schedule_s
        longest: float = FIRST_WAIT_S * 4 ** min(self.failures - 1, 8)
        return min(longest, LONGEST_WAIT_S, schedule_s)


class Restored(Struct, frozen=True):
    """A rehearsal on `tier` has restored the backup with this sha256, in the operation, for the version."""

    tier: str
    sha256: str
    at: datetime
    version: str
    operation: int


def due_in(
    spec: BackupSpec | None, backup: LastGood | None, tries: Tries | None, now: Instant
) -> float | None:
    """Seconds until the schedule fetches; None: it never does.

    A clock that was set back since makes it due rather than wait until it is late again.
    """
    if spec is None or spec.schedule_s is None:
        return None
    known = backup.age(now) if backup and backup.is_of(spec) else None
    left = 0.0 if known is None else spec.schedule_s - known
    if tries and tries.source == spec.source:
        passed = now.most_since(tries.at)
        left = max(left, tries.wait_s(spec.schedule_s) - passed if passed >= -SLACK_S else 0.0)
    return max(0.0, left)


def why_now(spec: BackupSpec, known: LastGood | None, tries: Tries | None) -> str:
    """The reason of a fetch that the schedule begins."""
    if tries and tries.source == spec.source and tries.failures:
        return f"{tries.failures} in a row brought nothing"
    if known is None or not known.is_of(spec):
        return "there is none yet"
    return f"every {span(spec.schedule_s or 0.0)}"


def stale_in(spec: BackupSpec | None, backup: LastGood | None, now: Instant) -> float | None:
    """Seconds until the backup is older than `max_age`, 0 when it is; None: it has none, or there is no backup."""
    if spec is None or spec.max_age_s is None or backup is None:
        return None
    age = backup.age(now)
    return 0.0 if age is None else max(0.0, spec.max_age_s - age)


def freshness(spec: BackupSpec | None, backup: LastGood | None, now: Instant) -> Check | None:
    """For a plan: is the backup that rehearsals restore young enough? It warns, and blocks nothing."""
    if spec is None:
        return None
    if backup is None:
        return Check("backup", "warning", "no backup was fetched yet", clears="POST /backup/fetch")
    detail, most = told_age(backup.age(now)), spec.max_age_s
    if most is None:
        return Check("backup", "ok", detail)
    if stale_in(spec, backup, now):
        return Check("backup", "ok", f"{detail}, {span(most)} at most")
    return Check("backup", "warning", f"{detail}, {span(most)} at most", clears="POST /backup/fetch")


def told_age(age: float | None) -> str:
    return (
        "fetched at a time that is yet to come: the clock was set back"
        if age is None
        else f"fetched {span(age)} ago"
    )


def brought(operation: Operation, fetched: Fetched, now: Instant) -> tuple[Any, ...]:
    """The rows of a fetch that ended well."""
    names = ("bytes", "sha256", "kind", "warnings", "source", "seconds")
    told: dict[str, object] = {name: getattr(fetched, name) for name in names}
    details = {**operation.details, **told, "of": fetched.bytes}
    ended = replace(operation, status=Status.SUCCEEDED, step="", finished_at=now.at, details=details)
    event = Event("BackupFetched", now.at, operation.id, actor=operation.actor, data=told)
    return ended, Fact(BACKUP, LastGood(fetched, now, operation.id)), Unset(Fact, TRIES), event


def brought_nothing(
    operation: Operation, status: Status, error: str, tail: str, at: datetime
) -> tuple[Any, ...]:
    """The rows of one that did not."""
    ended = replace(operation, status=status, error=error, finished_at=at)
    data: dict[str, object] = {"error": error, "status": status, "tail": tail}
    return ended, Event("BackupFailed", at, operation.id, actor=operation.actor, data=data)


def restored(verdict: Verdict, tier: str, version: str, operation: int, at: datetime) -> Restored | None:
    """The proof that a rehearsal's verdict carries, whichever way its migrations went."""
    sha256 = verdict.facts.get("backup_sha256")
    if verdict.facts.get("restore_ok") is not True or not isinstance(sha256, str):
        return None
    return Restored(tier, sha256, at, version, operation)


def backup_shown(
    spec: BackupSpec | None, backup: LastGood | None, proofs: tuple[Restored, ...], now: Instant
) -> wire.Backup | None:
    """`backup` of GET /state. A proof is of the bytes with its sha256: other bytes have none until they restore."""
    if backup is None:
        return None
    fetched = backup.fetched
    proven = [proof.at for proof in proofs if proof.sha256 == fetched.sha256]
    return wire.Backup(
        fetched_at=stamp(backup.at.at),
        bytes=fetched.bytes,
        sha256=fetched.sha256,
        last_restore_ok_at=stamp(max(proven)) if proven else None,
        kind=fetched.kind,
        source=fetched.source,
        seconds=fetched.seconds,
        warnings=fetched.warnings,
        operation=backup.operation,
        stale=stale_in(spec, backup, now) == 0.0,
    )
