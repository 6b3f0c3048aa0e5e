"""Gate outcomes and approvals: the facts that `policy` judges by (SPEC 4, 8)."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Outcome(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"
    ABORTED = "aborted"


class GateRun(Struct, frozen=True):
    """One attempt of one gate for one version on one tier; the latest attempt is the gate's outcome."""

    tier: str
    gate: str
    kind: str
    version: str
    operation: int
    attempt: int
    outcome: Outcome
    at: datetime
    """When it started; with an end, `seconds` is how long it took."""
    seconds: float | None = None
    message: str = ""
    actor: str = ""
    facts: dict[str, object] = {}
    """What a rehearsal has proven: the backup's age and sha256, seconds of its steps, rows of the largest tables."""


class Verdict(Struct, frozen=True):
    """What a gate function returns when it ran: green or red, and the sentence that says why."""

    passed: bool
    message: str = ""
    facts: dict[str, object] = {}


class Approval(Struct, frozen=True):
    """A person's yes or no to the version of a stay."""

    gate: str
    actor: str
    reason: str
    at: datetime
    yes: bool
