"""The events (SPEC 14): every start has exactly one end, and the row is written with the state it tells of."""

from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

EventType = Literal[
    "RebuildRequested", "BuildStart", "BuildOk", "BuildFailed", "BuildAborted",
    "GateStart", "GateDone",
    "DeployStart", "DeployOk", "DeployFailed", "PromoteComplete", "Rollback", "RollbackFailed",
    "NodeDeployed", "NodeReverted", "DriftDetected",
    "BackupFetched", "BackupFailed",
    "ManualConfirm", "Rejected", "BurnInReset", "HotfixUsed", "Locked", "Unlocked",
    "ConfigReloaded", "ConfigRejected", "Pruned",
    "DaemonStarted", "DaemonStopping", "ActorRestarted", "NotifyFailed",
]  # fmt: skip

EVENT_TYPES: tuple[str, ...] = get_args(EventType)


class Event(Struct, frozen=True):
    """A fact as stored and sent; `seq` is 0 until the store has given it its place."""

    type: EventType
    at: datetime
    operation: int | None = None
    tier: str | None = None
    node: str | None = None
    version: str | None = None
    sha: str | None = None
    actor: str | None = None
    data: dict[str, object] = {}
    seq: int = 0
