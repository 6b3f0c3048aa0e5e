"""What the rows and events of a build say when it ends. Pure."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from sando.model.events import Event, EventType
from sando.model.operation import Operation, Status

ATTEMPTS = 2
"""A build that took the daemon with it is tried again once."""

_EVENTS: dict[Status, EventType] = {
    Status.SUCCEEDED: "BuildOk",
    Status.FAILED: "BuildFailed",
    Status.ERRORED: "BuildFailed",
}


def stopping(operation: Operation) -> bool:
    """Somebody wants it to end: a newer request, or a person."""
    return operation.superseded_by is not None or "abort" in operation.details


def attempts(operation: Operation) -> int:
    return int(str(operation.details.get("attempts", 1)))


def pushed_at(operation: Operation) -> datetime:
    """When the push, or the request, was accepted that this build is of: an attempt at the same commit keeps the first."""
    said = operation.details.get("pushed_at")
    return datetime.fromisoformat(said) if isinstance(said, str) else operation.created_at


def of_same_push(before: Operation | None) -> dict[str, object]:
    """Details of a build of a commit whose last build, `before`, was not green: it is still the same push."""
    if before is None or before.status is Status.SUCCEEDED:
        return {}
    return {"pushed_at": pushed_at(before).isoformat()}


def end_events(ended: Operation, tail: str) -> list[Event]:
    """Exactly one for a build; a gate that was run again has told of itself."""
    if ended.kind != "build":
        return []
    at = ended.finished_at or ended.created_at
    seconds = max(0.0, (at - ended.started_at).total_seconds()) if ended.started_at else None
    data: dict[str, Any] = {"seconds": seconds, "status": ended.status}
    if ended.error:
        data |= {"error": ended.error, "tail": tail}
    if ended.superseded_by is not None:
        data |= {"superseded_by": ended.superseded_by}
    about = {"version": ended.version, "sha": ended.sha, "actor": ended.actor}
    kind = _EVENTS.get(ended.status, "BuildAborted")
    return [Event(kind, at, ended.id, ended.tier, **about, data=data)]  # type: ignore[arg-type]


def queued_again(ended: Operation, fresh: Operation, *, drained: bool) -> Operation:
    """What was interrupted, as a new operation; that sandod was told to stop is no attempt that failed."""
    tries = attempts(ended) if drained else attempts(ended) + 1
    details = {**ended.details, **of_same_push(ended), "attempts": tries, "again": ended.id}
    return replace(fresh, details=details)
