"""The tables: a row is the columns that are searched by, and the whole value as JSON in `body`.

peewee makes them and keeps the connections and transactions; the statements are written out, since building
one from Python costs more than SQLite takes to answer it, at every commit and in every snapshot.
"""

from collections.abc import Callable
from typing import Any

import peewee as pw

from sando.model.claim import Claim
from sando.model.gates import GateRun
from sando.model.operation import Operation
from sando.model.policy import Lock
from sando.model.rollout import Rollout
from sando.model.safety import Safety
from sando.model.stay import BurnReset, Stay
from sando.model.tier import TierState
from sando.store.deploys import DeployRow

SCHEMA = 3
"""2: `safety`. 3: `claim`, `deploy`, and the version of a stay; see `upgrade`."""


class Row(pw.Model):
    body = pw.BlobField()


class MetaRow(pw.Model):
    key = pw.TextField(primary_key=True)
    value = pw.BlobField()

    class Meta:
        table_name = "meta"


class EventRow(Row):
    seq = pw.IntegerField(primary_key=True)
    at = pw.FloatField()  # seconds since the epoch
    operation = pw.IntegerField(null=True, index=True)

    class Meta:
        table_name = "event"


class OperationRow(Row):
    id = pw.IntegerField(primary_key=True)
    kind = pw.TextField(index=True)
    tier = pw.TextField()
    status = pw.TextField(index=True)

    class Meta:
        table_name = "operation"
        indexes = ((("tier", "id"), False),)


class RolloutRow(Row):
    operation = pw.IntegerField(primary_key=True)

    class Meta:
        table_name = "rollout"


class ReleaseRow(Row):
    id = pw.IntegerField(primary_key=True)
    version = pw.TextField(unique=True)
    sha = pw.TextField(index=True)
    green = pw.BooleanField(index=True)

    class Meta:
        table_name = "release"


class TierRow(Row):
    name = pw.TextField(primary_key=True)

    class Meta:
        table_name = "tier"


class StayRow(Row):
    tier = pw.TextField()
    n = pw.IntegerField()
    popped = pw.BooleanField()
    version = pw.TextField(null=True)

    class Meta:
        table_name = "stay"
        primary_key = pw.CompositeKey("tier", "n")
        indexes = ((("version", "tier", "n"), False),)


class GateRunRow(Row):
    operation = pw.IntegerField()
    tier = pw.TextField()
    gate = pw.TextField()
    attempt = pw.IntegerField()

    class Meta:
        table_name = "gate_run"
        primary_key = pw.CompositeKey("operation", "tier", "gate", "attempt")


class LockRow(Row):
    tier = pw.TextField(primary_key=True)

    class Meta:
        table_name = "lock"


class BurnResetRow(Row):
    tier = pw.TextField()
    n = pw.IntegerField()

    class Meta:
        table_name = "burn_reset"
        primary_key = pw.CompositeKey("tier", "n")


class SafetyRow(Row):
    new = pw.TextField()
    old = pw.TextField()
    safe = pw.TextField()

    class Meta:
        table_name = "safety"
        primary_key = pw.CompositeKey("new", "old")


class ClaimRow(Row):
    key = pw.TextField(primary_key=True)
    actor = pw.TextField()
    at = pw.FloatField(index=True)  # seconds since the epoch

    class Meta:
        table_name = "claim"
        indexes = ((("actor", "at"), False),)


TABLES = (
    MetaRow,
    EventRow,
    OperationRow,
    RolloutRow,
    ReleaseRow,
    TierRow,
    StayRow,
    GateRunRow,
    LockRow,
    BurnResetRow,
    SafetyRow,
    ClaimRow,
    DeployRow,
)

BODIES = tuple(str(model._meta.table_name) for model in TABLES if issubclass(model, Row))  # noqa: SLF001


def _put(table: str, *columns: str) -> str:
    names = ", ".join((*columns, "body"))
    return f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({', '.join('?' * (len(columns) + 1))})"  # noqa: S608


ROWS: dict[type, tuple[str, Callable[[Any], tuple[Any, ...]]]] = {
    Operation: (
        _put("operation", "id", "kind", "tier", "status"),
        lambda o: (o.id, o.kind, o.tier, o.status),
    ),
    Rollout: (_put("rollout", "operation"), lambda r: (r.operation,)),
    Stay: (_put("stay", "tier", "n", "popped", "version"), lambda s: (s.tier, s.n, s.popped, s.version)),
    GateRun: (
        _put("gate_run", "operation", "tier", "gate", "attempt"),
        lambda g: (g.operation, g.tier, g.gate, g.attempt),
    ),
    Lock: (_put("lock", "tier"), lambda k: (k.tier,)),
    BurnReset: (_put("burn_reset", "tier", "n"), lambda b: (b.tier, b.n)),
    Safety: (_put("safety", "new", "old", "safe"), lambda s: (s.new, s.old, s.safe)),
    TierState: (_put("tier", "name"), lambda t: (t.name,)),
    Claim: (_put("claim", "key", "actor", "at"), lambda c: (c.key, c.actor, c.at.timestamp())),
}
"""Of a value: the statement that writes its row, and the columns beside its body."""


def bind(model: type[pw.Model], database: pw.Database) -> type[pw.Model]:
    """A class of its own per store, so that two stores in one process never share a database."""
    meta = type("Meta", (), {"database": database, "table_name": model._meta.table_name})  # noqa: SLF001
    return type(model.__name__, (model,), {"Meta": meta, "__module__": model.__module__})
