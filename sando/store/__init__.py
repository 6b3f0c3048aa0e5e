"""The SQLite store: rows of model values, and transactions that write state and event together.

It owns the file and a connection per thread, and nothing else: no rule lives here.
"""

import itertools
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import peewee as pw

from sando.model.errors import SandoError, StoreUnavailable
from sando.model.events import Event
from sando.model.gates import GateRun
from sando.model.operation import Operation, Status
from sando.model.policy import Lock
from sando.model.record import Fact, Unset
from sando.model.release import Release
from sando.model.rollout import Rollout
from sando.model.stay import BurnReset, Stay
from sando.model.tier import TierState
from sando.store.schema import (
    DECODERS,
    ROWS,
    SCHEMA,
    TABLES,
    BurnResetRow,
    EventRow,
    GateRunRow,
    LockRow,
    MetaRow,
    OperationRow,
    ReleaseRow,
    RolloutRow,
    StayRow,
    TierRow,
    bind,
)

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class StoreRefusedError(SandoError):
    """The file cannot be this program's store; the text names it and what to do."""


class Store:
    """Every read and write of sando's state. Any thread may use it; each closes what it opened with `close`."""

    def __init__(self, path: str | Path, *, synchronous: str = "FULL") -> None:
        self.path = str(path)
        pragmas = {"journal_mode": "wal", "synchronous": synchronous, "busy_timeout": 5000, "foreign_keys": 1}
        self._db = pw.SqliteDatabase(self.path, pragmas=pragmas, autoconnect=True)
        self._models: dict[type[pw.Model], Any] = {m: bind(m, self._db) for m in TABLES}
        self._ids = itertools.count(1)
        self._numbering = threading.Lock()
        self.revision = 0

    def open(self) -> None:
        """Creates or checks the schema; StoreRefusedError where the file is none of ours, or newer than we are."""
        try:
            Path(self.path).touch(mode=0o600)  # its journals get the same mode from SQLite
            self._db.connect(reuse_if_open=True)
            version = self._db.pragma("user_version")
            if version > SCHEMA:
                raise StoreRefusedError(
                    f"{self.path}: written by a newer sando (schema {version}, this one knows {SCHEMA}); install that one again"
                )
            with self._db.atomic("IMMEDIATE"):
                self._db.create_tables([self._models[m] for m in TABLES])
                self._db.pragma("user_version", SCHEMA)
            last = self._one(OperationRow).select(pw.fn.MAX(self._one(OperationRow).id)).scalar() or 0
            self._ids = itertools.count(last + 1)
        except (pw.DatabaseError, sqlite3.Error, OSError) as error:
            raise StoreRefusedError(
                f"{self.path}: cannot be opened as the store of sando ({error}); "
                "check its owner and mode and the disk, or put back the last good copy"
            ) from error

    def close(self) -> None:
        """Closes this thread's connection."""
        self._db.close()

    def _one(self, model: type[pw.Model]) -> Any:
        return self._models[model]

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
        self.revision += 1
        return told

    def _put(self, value: Any) -> Event | None:
        match value:
            case Event():
                return self._put_event(value)
            case Unset():
                self._drop(value)
            case TierState():
                self._put_tier(value)
            case Fact():
                self._upsert(MetaRow, key=value.key, value=_encode(value.value))
            case Release():
                self._put_release(value)
            case _:
                model, columns = ROWS[type(value)]
                self._upsert(model, **columns(value), body=_encode(value))
        return None

    def _put_event(self, event: Event) -> Event:
        seq = (self._one(EventRow).select(pw.fn.MAX(self._one(EventRow).seq)).scalar() or 0) + 1
        told = msgspec.structs.replace(event, seq=seq)
        self._one(EventRow).insert(
            seq=seq, at=event.at.timestamp(), operation=event.operation, body=_encode(told)
        ).execute()
        return told

    def _put_release(self, release: Release) -> None:
        body = _encode(release)
        model = self._one(ReleaseRow)
        update = {"sha": release.sha, "green": release.green, "body": body}
        model.insert(version=release.version, **update).on_conflict(
            conflict_target=[model.version], update=update
        ).execute()

    def _put_tier(self, state: TierState) -> None:
        """The stays of a tier are rows of their own, saved beside it by whoever changed them."""
        self._upsert(TierRow, name=state.name, body=_encode(msgspec.structs.replace(state, stays=())))

    def _upsert(self, model: type[pw.Model], **columns: Any) -> None:
        self._one(model).insert(**columns).on_conflict_replace().execute()

    def _drop(self, unset: Unset) -> None:
        if unset.of is Lock:
            self._one(LockRow).delete().where(self._one(LockRow).tier == unset.key).execute()
        elif unset.of is Rollout:
            self._one(RolloutRow).delete().where(self._one(RolloutRow).operation == unset.key).execute()
        else:
            raise TypeError(unset)

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

    def forget_events(self, before: datetime, most: int, least: int) -> int:
        """Removes the oldest events: those before the time, and what is beyond `most`; the newest `least` stay.

        Returns how many went. In small transactions, so that nobody waits long for the store.
        """
        model = self._one(EventRow)
        with self._guarded():
            last = self.last_seq()
            old = model.select(pw.fn.MAX(model.seq)).where(model.at < before.timestamp()).scalar() or 0
            edge = min(max(old, last - most), last - least)
            gone = 0
            while removed := self._forget_some(edge):
                gone += removed
        return gone

    def _forget_some(self, edge: int) -> int:
        model = self._one(EventRow)
        some = model.select(model.seq).where(model.seq <= edge).order_by(model.seq).limit(5000)
        with self._db.atomic("IMMEDIATE"):
            return int(model.delete().where(model.seq.in_(some)).execute())

    # -- reading -------------------------------------------------------------------------------------------

    def _values(self, query: Any, kind: type[T]) -> list[T]:
        with self._guarded():
            return [DECODERS[kind].decode(bytes(row[0])) for row in query.tuples()]

    def fact(self, key: str) -> Any:
        meta = self._one(MetaRow)
        with self._guarded():
            row = meta.select(meta.value).where(meta.key == key).tuples().first()
        return msgspec.json.decode(bytes(row[0])) if row else None

    def operation(self, operation: int) -> Operation | None:
        model = self._one(OperationRow)
        return _first(self._values(model.select(model.body).where(model.id == operation), Operation))

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
        model = self._one(OperationRow)
        query = model.select(model.body).order_by(model.id.desc()).limit(limit)
        for column, wanted in ((model.tier, tier), (model.kind, kind), (model.status, status)):
            if wanted is not None:
                query = query.where(column == wanted)
        return self._values(query.where(model.id < before) if before is not None else query, Operation)

    def unfinished(self, tier: str | None = None) -> list[Operation]:
        """Queued and running operations, oldest first."""
        model = self._one(OperationRow)
        query = (
            model.select(model.body)
            .where(model.status.in_([Status.QUEUED, Status.RUNNING]))
            .order_by(model.id)
        )
        return self._values(query if tier is None else query.where(model.tier == tier), Operation)

    def rollout(self, operation: int) -> Rollout | None:
        model = self._one(RolloutRow)
        return _first(self._values(model.select(model.body).where(model.operation == operation), Rollout))

    def release(self, version: str) -> Release | None:
        model = self._one(ReleaseRow)
        return _first(self._values(model.select(model.body).where(model.version == version), Release))

    def releases(
        self, *, before: int | None = None, limit: int = 50, sha: str | None = None
    ) -> list[Release]:
        """Newest first."""
        return self.release_page(before=before, limit=limit, sha=sha)[0]

    def release_page(
        self, *, before: int | None = None, limit: int = 50, sha: str | None = None
    ) -> tuple[list[Release], int | None]:
        """Newest first, and the cursor that `before` takes for the next page; None: this is the last one."""
        model = self._one(ReleaseRow)
        query = model.select(model.id, model.body).order_by(model.id.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(model.id < before)
        if sha is not None:
            query = query.where(model.sha == sha)
        with self._guarded():
            rows = list(query.tuples())
        page = [DECODERS[Release].decode(bytes(body)) for _, body in rows[:limit]]
        return page, rows[limit - 1][0] if len(rows) > limit else None

    def events(self, since: int, limit: int) -> list[Event]:
        """Those after `since`, in order."""
        model = self._one(EventRow)
        return self._values(
            model.select(model.body).where(model.seq > since).order_by(model.seq).limit(limit), Event
        )

    def first_seq(self) -> int:
        return self._edge(pw.fn.MIN)

    def last_seq(self) -> int:
        return self._edge(pw.fn.MAX)

    def _edge(self, edge: Any) -> int:
        with self._guarded():
            return int(self._one(EventRow).select(edge(self._one(EventRow).seq)).scalar() or 0)

    def tier_names(self) -> list[str]:
        with self._guarded():
            return [row[0] for row in self._one(TierRow).select(self._one(TierRow).name).tuples()]

    def tier(self, name: str, *, recent: int | None = None) -> TierState:
        """A tier's state with its stays, the newest `recent` of its history only where that is enough."""
        model, stays = self._one(TierRow), self._one(StayRow)
        state = _first(
            self._values(model.select(model.body).where(model.name == name), TierState)
        ) or TierState(name)
        query = stays.select(stays.body).where(stays.tier == name).order_by(stays.n.desc())
        if recent is not None:
            query = query.where(~stays.popped).limit(recent)
        state = msgspec.structs.replace(state, stays=tuple(reversed(self._values(query, Stay))))
        return state.with_resets(self._resets(name))

    def _resets(self, tier: str) -> tuple[BurnReset, ...]:
        model = self._one(BurnResetRow)
        return tuple(self._values(model.select(model.body).where(model.tier == tier), BurnReset))

    def taken(self) -> dict[str, str]:
        """Every version that belongs to a sha for good, with that sha."""
        model = self._one(ReleaseRow)
        with self._guarded():
            return dict(model.select(model.version, model.sha).where(model.green).tuples())

    def locks(self) -> list[Lock]:
        model = self._one(LockRow)
        return self._values(model.select(model.body).order_by(model.tier), Lock)

    def gate_runs(self, operation: int) -> list[GateRun]:
        model = self._one(GateRunRow)
        return self._values(model.select(model.body).where(model.operation == operation), GateRun)


def _first(values: Iterable[T]) -> T | None:
    return next(iter(values), None)
