"""Operations: the intent log. One row per build, promote, rollback, gate run or backup fetch (SPEC 1, 12)."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from msgspec import Struct

Kind = Literal["build", "promote", "rollback", "gate", "backup"]


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    INTERRUPTED = "interrupted"

    @property
    def ended(self) -> bool:
        return self not in {Status.QUEUED, Status.RUNNING}


class NodeReport(Struct, frozen=True):
    """How far an operation came on one node; `version` is what the node runs as far as sando knows."""

    name: str
    status: Literal["pending", "uploaded", "switched", "ok", "failed", "reverted", "unknown"] = "pending"
    version: str | None = None
    detail: str = ""


class Operation(Struct, frozen=True):
    """The operation as every answer carries it. `created_at` is its acceptance, `started_at` its first effect."""

    id: int
    kind: Kind
    tier: str
    version: str | None
    sha: str | None
    actor: str
    reason: str
    status: Status
    created_at: datetime
    step: str = ""
    nodes: tuple[NodeReport, ...] = ()
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    superseded_by: int | None = None
    rolled_back: bool = False
    recovered: bool = False
    log: str = ""
    details: dict[str, object] = {}
    """What else is known and worth keeping: `attempts` of a build, `hotfix` with what was skipped, …"""
