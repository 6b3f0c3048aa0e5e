"""The end of an operation whose tier sando.toml no longer names: each of its starts gets its end. Pure."""

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from sando.model.events import Event
from sando.model.gates import GateRun, Outcome
from sando.model.operation import Operation, Status
from sando.model.record import Unset
from sando.model.rollout import Rollout
from sando.model.tier import TierState


def orphaned(operation: Operation, state: TierState, runs: list[GateRun], now: datetime) -> list[Any]:
    """The end of an operation whose tier is gone: each of its starts gets its end."""
    error = f"sando.toml names no tier {operation.tier} any more"
    about: dict[str, Any] = {"version": operation.version, "sha": operation.sha, "actor": operation.actor}
    ended = replace(operation, status=Status.INTERRUPTED, step="", error=error, finished_at=now)
    rows: list[Any] = [ended, Unset(Rollout, operation.id), replace(state, gating=None)]
    data: dict[str, Any] = {"error": error, "status": ended.status, "to": operation.version}
    if operation.kind != "gate" and operation.started_at is not None:
        rows.append(Event("DeployFailed", now, operation.id, operation.tier, **about, data=data))
    if operation.kind == "rollback":
        rows.append(Event("RollbackFailed", now, operation.id, operation.tier, **about, data=data))
    for run in (r for r in runs if r.outcome is Outcome.RUNNING):
        stopped = replace(run, outcome=Outcome.ABORTED, message=error)
        data = {
            "gate": run.gate,
            "kind": run.kind,
            "outcome": "aborted",
            "message": error,
            "attempt": run.attempt,
        }
        rows += [stopped, Event("GateDone", now, operation.id, operation.tier, **about, data=data)]
        rows += [stay.record(stopped) for stay in state.stays if stay.gate(run.gate) == run]
    return rows
