"""Every read of the store. One statement a question; the values come back as they were saved."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import peewee as pw

from sando.model import wire
from sando.model.backup import BACKUP, RESTORED, TRIES, LastGood, Restored, Tries
from sando.model.claim import Claim
from sando.model.errors import SandoError, StoreUnavailable
from sando.model.events import Event
from sando.model.gates import GateRun
from sando.model.operation import Operation
from sando.model.policy import Lock
from sando.model.release import Release
from sando.model.rollout import Rollout
from sando.model.safety import Pairs
from sando.model.stay import BurnReset, Stay
from sando.model.tier import TierState
from sando.store.dora import dora

T = TypeVar("T")

# Made while one thread runs: msgspec (0.22) works out a type at its first use, and two threads that use a new type
# at once crash the process.
_decoders: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (
        LastGood,
        BurnReset,
        Claim,
        Event,
        GateRun,
        Lock,
        Operation,
        Release,
        Restored,
        Rollout,
        Stay,
        TierState,
        Tries,
    )
}


class StoreRefusedError(SandoError):
    """The file cannot be this program's store; the text names it and what to do."""


class Reader:
    """Any thread may read; each has a connection of its own."""

    path: str
    _db: Any

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except (pw.OperationalError, pw.InterfaceError, sqlite3.OperationalError) as error:
            # SQLite has rolled back by itself where the disk is full: peewee's own attempt then hides the reason.
            first: BaseException = error
            while first.__context__ is not None:
                first = first.__context__
            raise StoreUnavailable(str(first)) from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One consistent view for several reads."""
        with self._guarded(), self._db.atomic("DEFERRED"):
            yield

    def _rows(self, sql: str, *given: Any) -> list[tuple[Any, ...]]:
        with self._guarded():
            return list(self._db.execute_sql(sql, given))

    def _values(self, kind: type[T], sql: str, *given: Any) -> list[T]:
        decode = _decoders[kind].decode
        rows = self._rows(sql, *given)
        try:
            return [decode(row[0]) for row in rows]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreRefusedError(
                f"{self.path}: holds a {kind.__name__} that cannot be understood ({error}); `sandod fsck` says where it "
                "is damaged; stop sandod and put back the last copy that `sandod backup` made"
            ) from error

    def fact(self, key: str) -> Any:
        row = _first(self._rows("SELECT value FROM meta WHERE key = ?", key))
        return msgspec.json.decode(row[0]) if row else None

    def _fact_of(self, kind: type[T], key: str) -> T | None:
        return _first(self._values(kind, "SELECT value FROM meta WHERE key = ?", key))

    # -- the backup ----------------------------------------------------------------------------------------

    def backup(self) -> LastGood | None:
        """The last good fetch."""
        return self._fact_of(LastGood, BACKUP)

    def tries(self) -> Tries | None:
        """The fetches since then that brought nothing."""
        return self._fact_of(Tries, TRIES)

    def restored(self) -> tuple[Restored, ...]:
        """Of each tier the last rehearsal that restored a backup."""
        sql = "SELECT value FROM meta WHERE key GLOB ? ORDER BY key"
        return tuple(self._values(Restored, sql, f"{RESTORED}*"))

    # -- operations and events -----------------------------------------------------------------------------

    def operation(self, operation: int) -> Operation | None:
        return _first(self._values(Operation, "SELECT body FROM operation WHERE id = ?", operation))

    def operations(
        self,
        *,
        tier: str | None = None,
        kind: str | None = None,
        status: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Operation]:
        """Newest first."""
        asked = {"tier = ?": tier, "kind = ?": kind, "status = ?": status, "id < ?": before}
        where = {clause: value for clause, value in asked.items() if value is not None}
        sql = f"SELECT body FROM operation WHERE {' AND '.join(['1', *where])} ORDER BY id DESC LIMIT ?"  # noqa: S608
        return self._values(Operation, sql, *where.values(), limit)

    def unfinished(self, tier: str | None = None) -> list[Operation]:
        """Queued and running operations, oldest first."""
        sql = "SELECT body FROM operation WHERE status IN ('queued', 'running') AND (?1 IS NULL OR tier = ?1) ORDER BY id"
        return self._values(Operation, sql, tier)

    def rollout(self, operation: int) -> Rollout | None:
        return _first(self._values(Rollout, "SELECT body FROM rollout WHERE operation = ?", operation))

    def gate_runs(self, operation: int) -> list[GateRun]:
        return self._values(GateRun, "SELECT body FROM gate_run WHERE operation = ?", operation)

    def events(self, since: int, limit: int) -> list[Event]:
        """Those after `since`, in order."""
        return self._values(Event, "SELECT body FROM event WHERE seq > ? ORDER BY seq LIMIT ?", since, limit)

    def first_seq(self) -> int:
        return int(self._rows("SELECT min(seq) FROM event")[0][0] or 0)

    def last_seq(self) -> int:
        return int(self._rows("SELECT max(seq) FROM event")[0][0] or 0)

    def newest_operation(self) -> int:
        """Its id; 0 when there is none."""
        return int(self._rows("SELECT max(id) FROM operation")[0][0] or 0)

    def dora(self, tiers: tuple[str, ...], since: datetime, until: datetime, days: int) -> wire.Dora:
        """The four numbers of each tier, of what ended after `since` and up to `until`."""
        with self.reading():
            return dora(lambda sql, asked: list(self._db.execute_sql(sql, asked)), tiers, since, until, days)

    def first_promotion(self, tier: str, version: str) -> int | None:
        """The operation that brought the version to the tier first."""
        sql = (
            "SELECT operation FROM deploy WHERE tier = ? AND mode = 'promote' AND version = ?"
            " AND status = 'succeeded' ORDER BY operation LIMIT 1"
        )
        found = self._rows(sql, tier, version)
        return int(found[0][0]) if found else None

    def claim(self, key: str) -> Claim | None:
        """What was answered to a request with an Idempotency-Key, by the digest of actor and key."""
        return _first(self._values(Claim, "SELECT body FROM claim WHERE key = ?", key))

    # -- releases ------------------------------------------------------------------------------------------

    def release(self, version: str) -> Release | None:
        return _first(self._values(Release, "SELECT body FROM release WHERE version = ?", version))

    def releases(
        self, *, before: int | None = None, limit: int = 50, sha: str | None = None
    ) -> list[Release]:
        """Newest first."""
        return self.release_page(before=before, limit=limit, sha=sha)[0]

    def release_page(
        self, *, before: int | None = None, limit: int = 50, sha: str | None = None
    ) -> tuple[list[Release], int | None]:
        """Newest first, and the cursor that `before` takes for the next page; None: this is the last one."""
        sql = (
            "SELECT body, id FROM release WHERE (?1 IS NULL OR id < ?1) AND (?2 IS NULL OR sha = ?2)"
            " ORDER BY id DESC LIMIT ?3"
        )
        rows = self._rows(sql, before, sha, limit + 1)
        page = [_decoders[Release].decode(body) for body, _ in rows[:limit]]
        return page, rows[limit - 1][1] if len(rows) > limit else None

    def taken(self) -> dict[str, str]:
        """Every version that belongs to a sha for good, with that sha."""
        return dict(self._rows("SELECT version, sha FROM release WHERE green"))

    def safety(self, *new: str) -> Pairs:
        """What is known of the way back from each of these releases."""
        sql = f"SELECT new, old, safe FROM safety WHERE new IN ({', '.join('?' * len(new))})"  # noqa: S608
        return {(new, old): safe for new, old, safe in self._rows(sql, *new)}

    # -- tiers ---------------------------------------------------------------------------------------------

    def tier_names(self) -> list[str]:
        return [row[0] for row in self._rows("SELECT name FROM tier")]

    def tier(self, name: str, *, recent: int | None = None, whole: bool = False) -> TierState:
        """A tier's state with its stays, as `condensed` leaves them.

        `recent`: with the newest so many of its history, where that is enough; `whole`: with every stay that ever was.
        """
        state = _first(self._values(TierState, "SELECT body FROM tier WHERE name = ?", name)) or TierState(
            name
        )
        if whole:
            stays = self._values(Stay, "SELECT body FROM stay WHERE tier = ? ORDER BY n DESC", name)
        elif recent is None:
            stays = self._values(Stay, _CONDENSED, name)
        else:
            sql = "SELECT body FROM stay WHERE tier = ? AND NOT popped ORDER BY n DESC LIMIT ?"
            stays = self._values(Stay, sql, name, recent)
        resets = self._values(BurnReset, "SELECT body FROM burn_reset WHERE tier = ?", name)
        return msgspec.structs.replace(state, stays=tuple(reversed(stays))).with_resets(tuple(resets))

    def last_stay(self, tier: str, version: str) -> Stay | None:
        """The one by which a version is judged there."""
        sql = "SELECT body FROM stay WHERE version = ? AND tier = ? ORDER BY n DESC LIMIT 1"
        return _first(self._values(Stay, sql, version, tier))

    def locks(self) -> list[Lock]:
        return self._values(Lock, "SELECT body FROM lock ORDER BY tier")


_CONDENSED = (
    "SELECT body FROM stay WHERE tier = ?1 AND (NOT popped"
    " OR n IN (SELECT min(n) FROM stay WHERE tier = ?1 GROUP BY version)"
    " OR n IN (SELECT max(n) FROM stay WHERE tier = ?1 GROUP BY version)) ORDER BY n DESC"
)


def _first(values: Iterable[T]) -> T | None:
    return next(iter(values), None)
