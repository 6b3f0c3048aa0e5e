"""The tables: a row is the columns that are searched by, and the whole value as JSON in `body`."""

from collections.abc import Callable
from typing import Any

import msgspec
import peewee as pw

from sando.model.events import Event
from sando.model.gates import GateRun
from sando.model.operation import Operation
from sando.model.policy import Lock
from sando.model.release import Release
from sando.model.rollout import Rollout
from sando.model.stay import BurnReset, Stay
from sando.model.tier import TierState

SCHEMA = 1

# Made while one thread runs: msgspec (0.22) works out a type at its first use, and two threads that use a new type
# at once crash the process.
DECODERS: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind)
    for kind in (BurnReset, Event, GateRun, Lock, Operation, Release, Rollout, Stay, TierState)
}


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
    kind = pw.TextField()
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

    class Meta:
        table_name = "stay"
        primary_key = pw.CompositeKey("tier", "n")


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
)


ROWS: dict[type, tuple[type[pw.Model], Callable[[Any], dict[str, Any]]]] = {
    Operation: (OperationRow, lambda o: {"id": o.id, "kind": o.kind, "tier": o.tier, "status": o.status}),
    Rollout: (RolloutRow, lambda r: {"operation": r.operation}),
    Stay: (StayRow, lambda s: {"tier": s.tier, "n": s.n, "popped": s.popped}),
    GateRun: (
        GateRunRow,
        lambda g: {"operation": g.operation, "tier": g.tier, "gate": g.gate, "attempt": g.attempt},
    ),
    Lock: (LockRow, lambda k: {"tier": k.tier}),
    BurnReset: (BurnResetRow, lambda b: {"tier": b.tier, "n": b.n}),
}


def bind(model: type[pw.Model], database: pw.Database) -> type[pw.Model]:
    """A class of its own per store, so that two stores in one process never share a database."""
    meta = type("Meta", (), {"database": database, "table_name": model._meta.table_name})  # noqa: SLF001
    return type(model.__name__, (model,), {"Meta": meta, "__module__": model.__module__})
