"""The SQLite store: rows of model values, and transactions that write state and event together.

It owns the file and a connection per thread, and nothing else: no rule lives here.
"""

import itertools
import sqlite3
import threading
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import peewee as pw

from sando.failpoints import reached_each
from sando.model.claim import KEPT, MOST, Claim
from sando.model.errors import StoreUnavailable
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.policy import Lock
from sando.model.record import Fact, Unset
from sando.model.release import Release
from sando.model.rollout import Rollout
from sando.model.safety import Safety
from sando.model.tier import TierState
from sando.store.copy import copy_store
from sando.store.reading import Reader, StoreRefusedError
from sando.store.schema import ROWS, SCHEMA, TABLES, bind
from sando.store.upgrade import add_columns, fill, put_deploy

__all__ = ["Store", "StoreRefusedError"]

LOOKED_THROUGH = 64 * 2**20
"""A file up to this size is checked by SQLite at each start (0.1 s); a larger one by `sandod fsck`."""

PAGES_KIB = 256
"""Of the file, in memory, for each connection: SQLite's own 2 MB times twenty threads is what a daemon grows by in a year."""

BUSY_MS = 2500
"""How long a save waits for another program's lock: less than an answer may take, so that it says what came of it."""

HEADER = 100
"""Bytes at the beginning of every file of SQLite."""

_encode = msgspec.json.Encoder().encode


class Store(Reader):
    """Every read and write of sando's state. Any thread may use it; each closes what it opened with `close`."""

    def __init__(self, path: str | Path, *, synchronous: str = "FULL") -> None:
        self.path = str(path)
        pragmas = {
            "journal_mode": "wal",
            "synchronous": synchronous,
            "busy_timeout": BUSY_MS,
            "foreign_keys": 1,
            "cache_size": -PAGES_KIB,
        }
        self._db: Any = pw.SqliteDatabase(self.path, pragmas=pragmas, autoconnect=True)
        self._ids = itertools.count(1)
        self._numbering = threading.Lock()
        self.revision = 0

    def open(self) -> None:
        """Creates, checks or upgrades the schema; StoreRefusedError where the file is none of ours, or damaged."""
        try:
            Path(self.path).touch(mode=0o600)  # its journals get the same mode from SQLite
            if 0 < Path(self.path).stat().st_size < HEADER:  # which SQLite takes for an empty one
                raise sqlite3.DatabaseError("it was cut off")
            self._db.connect(reuse_if_open=True)
            version = self._db.pragma("user_version")
            self._refuse(version)
            if version < SCHEMA:
                self._upgrade(version)
            last = self._rows("SELECT max(id) FROM operation")[0][0] or 0
            self._ids = itertools.count(last + 1)
        except (pw.DatabaseError, sqlite3.Error, OSError, StoreUnavailable) as error:
            raise StoreRefusedError(
                f"{self.path}: cannot be opened as the store of sando ({error}); check its owner and mode and the disk, "
                "or stop here and put back the last copy that `sandod backup` made"
            ) from error

    def _refuse(self, version: int) -> None:
        if version > SCHEMA:
            raise StoreRefusedError(
                f"{self.path}: written by a newer sando (schema {version}, this one knows {SCHEMA}); install that one again"
            )
        if not version and self._rows("SELECT count(*) FROM sqlite_master")[0][0]:
            raise StoreRefusedError(
                f"{self.path}: is another program's database; give sandod a `db_path` of its own"
            )
        if version and Path(self.path).stat().st_size <= LOOKED_THROUGH:
            said = self._rows("PRAGMA quick_check(1)")[0][0]
            if said != "ok":
                raise sqlite3.DatabaseError(said)

    def _upgrade(self, version: int) -> None:
        """In one transaction; a file that had a schema is copied first, for whoever has to go back."""
        if version:
            copy_store(self.path, Path(f"{self.path}.schema-{version}"))
        with self._db.atomic("IMMEDIATE"):
            add_columns(self._db, version)
            self._db.create_tables([bind(m, self._db) for m in TABLES])
            fill(self._db, version)
            self._db.pragma("user_version", SCHEMA)

    def finish(self) -> None:
        """The last close of a daemon: what the journal has goes into the file, so that the file alone is the state."""
        with suppress(pw.DatabaseError, sqlite3.Error):  # it stays in the journal, which the next start reads
            self._db.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self._db.close()

    def close(self) -> None:
        """Closes this thread's connection."""
        self._db.close()

    def count_from(self, last: int) -> None:
        """No operation gets a number up to this one: something of it is left, though the store knows it not (a copy was put back)."""
        with self._numbering:
            self._ids = itertools.count(max(next(self._ids), last + 1))

    # -- writing -------------------------------------------------------------------------------------------

    def new_operation_id(self) -> int:
        with self._numbering:
            return next(self._ids)

    def save(self, *values: Any) -> tuple[Event, ...]:
        """Writes all values in one transaction; events get their `seq` in it, and come back with it.

        Raises StoreUnavailable when nothing could be written.
        """
        with self._guarded(), self._db.atomic("IMMEDIATE"):
            told = tuple(e for e in (self._put(v) for v in values) if e is not None)
            reached_each("commit", (e.type for e in told))
        reached_each("committed", (e.type for e in told))
        with self._numbering:  # it must never be seen to go back
            self.revision += 1
        return told

    def _put(self, value: Any) -> Event | None:
        match value:
            case Event():
                return self._put_event(value)
            case Unset(of=of, key=key):
                self._db.execute_sql(_VANISH[of], (key,))
            case Fact(key=key, value=fact):
                self._db.execute_sql(
                    "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, _encode(fact))
                )
            case Release():
                self._put_release(value)
            case Operation():
                self._put_row(value)
                put_deploy(self._db, value)
            case Claim():
                self._put_row(value)
                self._forget_claims(value)
            case TierState():  # its stays are rows of their own, saved beside it by whoever changed them
                self._put_row(msgspec.structs.replace(value, stays=()))
            case _:
                self._put_row(value)
        return None

    def _put_row(self, value: Any) -> None:
        sql, columns = ROWS[type(value)]
        self._db.execute_sql(sql, (*columns(value), _encode(value)))

    def _put_event(self, event: Event) -> Event:
        told = msgspec.structs.replace(event, seq=self.last_seq() + 1)
        self._db.execute_sql(
            "INSERT INTO event (seq, at, operation, body) VALUES (?, ?, ?, ?)",
            (told.seq, event.at.timestamp(), event.operation, _encode(told)),
        )
        return told

    def _put_release(self, release: Release) -> None:
        """A version keeps its place in the order of builds, whatever is built under its name again."""
        self._db.execute_sql(
            "INSERT INTO release (version, sha, green, body) VALUES (?, ?, ?, ?) ON CONFLICT (version)"
            " DO UPDATE SET sha = excluded.sha, green = excluded.green, body = excluded.body",
            (release.version, release.sha, release.green, _encode(release)),
        )

    def _forget_claims(self, claim: Claim) -> None:
        """They are kept by age, and by count of each actor."""
        self._db.execute_sql("DELETE FROM claim WHERE at <= ?", ((claim.at - KEPT).timestamp(),))
        sql = (
            "DELETE FROM claim WHERE actor = ?1 AND at <= (SELECT at FROM claim WHERE actor = ?1"
            " ORDER BY at DESC LIMIT 1 OFFSET ?2)"
        )
        self._db.execute_sql(sql, (claim.actor, MOST))

    def forget_events(self, before: datetime, most: int, least: int) -> int:
        """Removes the oldest events: those before the time, and what is beyond `most`; the newest `least` stay.

        Returns how many went. In small transactions, so that nobody waits long for the store.
        """
        last = self.last_seq()
        old = self._rows("SELECT max(seq) FROM event WHERE at < ?", before.timestamp())[0][0] or 0
        edge = min(max(old, last - most), last - least)
        gone = 0
        while removed := self._forget_some(edge):
            gone += removed
        return gone

    def _forget_some(self, edge: int) -> int:
        sql = "DELETE FROM event WHERE seq IN (SELECT seq FROM event WHERE seq <= ? ORDER BY seq LIMIT 5000)"
        with self._guarded(), self._db.atomic("IMMEDIATE"):
            return int(self._db.execute_sql(sql, (edge,)).rowcount)


_VANISH: dict[Any, str] = {
    Fact: "DELETE FROM meta WHERE key = ?",
    Lock: "DELETE FROM lock WHERE tier = ?",
    Rollout: "DELETE FROM rollout WHERE operation = ?",
    Safety: "DELETE FROM safety WHERE new = ?",
}
