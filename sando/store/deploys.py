"""The deploys that ended, as rows to reckon with: one for each promotion and rollback, written with its end.

Times are whole microseconds, so that what is reckoned from them is exact. It knows when and how; what counts as a
failure is said in `dora`.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import peewee as pw

from sando.model.operation import Operation, Status

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class DeployRow(pw.Model):
    """`mode` is promote, repair or rollback. `stuck`: some node was not left on what it had before.

    `back_from` is the version that a rollback stepped back from; `pushed` is when the release was pushed.
    """

    operation = pw.IntegerField(primary_key=True)
    tier = pw.TextField()
    mode = pw.TextField()
    version = pw.TextField(null=True)
    status = pw.TextField()
    started = pw.BigIntegerField()
    finished = pw.BigIntegerField()
    pushed = pw.BigIntegerField(null=True)
    stuck = pw.BooleanField()
    back_from = pw.TextField(null=True)

    class Meta:
        table_name = "deploy"
        indexes = (
            (("tier", "mode", "finished"), False),
            (("tier", "mode", "version", "operation"), False),
            (("tier", "status", "operation"), False),
            (("tier", "back_from", "operation"), False),
        )


PUT = (
    "INSERT OR REPLACE INTO deploy (operation, tier, mode, version, status, started, finished, pushed, stuck, back_from)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def microseconds(at: datetime) -> int:
    """Since the epoch."""
    return (at - _EPOCH) // _MICROSECOND


def row_of(operation: Operation, pushed: datetime | None) -> tuple[Any, ...] | None:
    """The row; None where the operation is no deploy, or has not ended."""
    if operation.kind not in {"promote", "rollback"} or operation.finished_at is None:
        return None
    said, ended = operation.details, operation.finished_at
    stepped = operation.kind == "rollback" and said.get("stepped") and not said.get("whole")
    return (
        operation.id,
        operation.tier,
        str(said.get("kind", operation.kind)),
        operation.version,
        operation.status,
        microseconds(operation.started_at or operation.created_at),
        microseconds(ended),
        pushed and microseconds(pushed),
        _stuck(operation),
        said.get("marks") if stepped else None,
    )


def _stuck(operation: Operation) -> bool:
    """Rows of an earlier version do not say it: there it is told by what the nodes were left on."""
    if operation.status is Status.SUCCEEDED:
        return False
    lost = any(n.version == operation.version or n.status == "unknown" for n in operation.nodes)
    return bool(operation.details.get("stuck", lost and not operation.rolled_back))
