"""What sandod answers, as typed values (SPEC 12, 14). Lenient: a key that is not known yet is passed over."""

from datetime import datetime
from typing import Any

from msgspec import Struct


class Gate(Struct, frozen=True):
    kind: str
    name: str = ""
    outcome: str = "pending"
    version: str | None = None
    at: datetime | None = None
    seconds: float | None = None
    message: str = ""
    operation: int | None = None
    required_s: float | None = None
    elapsed_s: float | None = None
    ready_at: datetime | None = None
    facts: dict[str, Any] = {}


class Node(Struct, frozen=True):
    name: str
    version: str | None = None
    observed: str | None = None
    reachable: bool = True
    status: str = ""
    detail: str = ""


class Promotable(Struct, frozen=True):
    ready: bool = False
    to: str | None = None
    blocking: tuple[str, ...] = ()


class Lock(Struct, frozen=True):
    actor: str = ""
    reason: str = ""
    at: datetime | None = None
    expires: datetime | None = None


class Freeze(Struct, frozen=True):
    until: datetime | None = None


class Tier(Struct, frozen=True):
    name: str
    provisioned: bool = True
    predecessor: str | None = None
    status: str = ""
    current_version: str | None = None
    previous_version: str | None = None
    sha: str | None = None
    since: datetime | None = None
    burn_in_started_at: datetime | None = None
    gates: tuple[Gate, ...] = ()
    promotable: Promotable = Promotable()
    lock: Lock | None = None
    freeze: Freeze | None = None
    operation: int | None = None
    nodes: tuple[Node, ...] = ()
    marked_bad: tuple[str, ...] = ()
    rollback_safe: dict[str, str] = {}
    detail: str = ""


class Build(Struct, frozen=True):
    operation: int
    sha: str | None = None
    phase: str = "build"
    started_at: datetime | None = None


class Daemon(Struct, frozen=True):
    version: str = ""
    started_at: datetime | None = None
    draining: bool = False


class Backup(Struct, frozen=True):
    fetched_at: datetime | None = None
    bytes: int | None = None
    sha256: str | None = None
    last_restore_ok_at: datetime | None = None


class State(Struct, frozen=True):
    """GET /state."""

    seq: int
    now: datetime
    tiers: tuple[Tier, ...]
    daemon: Daemon = Daemon()
    build: Build | None = None
    backup: Backup | None = None

    def tier(self, name: str | None) -> Tier | None:
        return next((t for t in self.tiers if t.name == name), None)


class Event(Struct, frozen=True):
    """A frame of /events. `Reset` is the one that has no place: `state` stands in for what is gone."""

    type: str
    seq: int = 0
    at: datetime | None = None
    operation: int | None = None
    tier: str | None = None
    node: str | None = None
    version: str | None = None
    sha: str | None = None
    actor: str | None = None
    data: dict[str, Any] = {}
    state: State | None = None


class NodeReport(Struct, frozen=True):
    name: str
    status: str = ""
    version: str | None = None
    detail: str = ""


class Operation(Struct, frozen=True):
    id: int
    kind: str
    tier: str
    status: str
    version: str | None = None
    sha: str | None = None
    actor: str = ""
    reason: str = ""
    step: str = ""
    nodes: tuple[NodeReport, ...] = ()
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    superseded_by: int | None = None
    rolled_back: bool = False
    recovered: bool = False
    details: dict[str, Any] = {}

    @property
    def ended(self) -> bool:
        return self.status not in {"queued", "running"}


class Operations(Struct, frozen=True):
    """GET /operations, newest first; `next` is the cursor of the page after."""

    operations: tuple[Operation, ...]
    next: int | None = None


class Release(Struct, frozen=True):
    """`green`: the build tier's gates passed once; `present`: its folder is still in the store."""

    version: str
    sha: str
    operation: int
    built_at: datetime | None = None
    author: str = ""
    subject: str = ""
    bytes: int = 0
    green: bool = False
    present: bool = True


class Releases(Struct, frozen=True):
    """GET /releases, newest first; `next` is the cursor of the page after."""

    releases: tuple[Release, ...]
    next: int | None = None


class RunsOn(Struct, frozen=True):
    tier: str
    current: bool = True
    nodes: tuple[str, ...] = ()


class Mark(Struct, frozen=True):
    """A rollback has left the release there."""

    tier: str
    actor: str = ""
    reason: str = ""


class Manifest(Struct, frozen=True):
    files: tuple[Any, ...] = ()


class ReleaseDetail(Release, frozen=True):
    """GET /releases/{version}; `gates` by tier."""

    manifest: Manifest | None = None
    runs_on: tuple[RunsOn, ...] = ()
    gates: dict[str, tuple[Gate, ...]] = {}
    marks: tuple[Mark, ...] = ()
    rollback_safe: dict[str, str] = {}


class Check(Struct, frozen=True):
    check: str
    verdict: str
    detail: str = ""
    gate: str | None = None
    outcome: str | None = None
    clears: str = ""


class Change(Struct, frozen=True):
    """A commit."""

    sha: str
    author: str = ""
    subject: str = ""


class PlannedNode(Struct, frozen=True):
    name: str
    version: str | None = None
    observed: str | None = None
    reachable: bool = True
    out: bool = False
    does: str = "switch"
    uploads: bool = False
    detail: str = ""


class Plan(Struct, frozen=True, rename={"from_": "from"}):
    """GET /plan: what the act would do, and answer."""

    act: str
    tier: str
    ready: bool
    status: int
    code: str | None = None
    detail: str = ""
    hint: str = ""
    kind: str | None = None
    source: str | None = None
    from_: str | None = None
    to: str | None = None
    sha: str | None = None
    whole: bool = False
    marks_bad: str | None = None
    operation: int | None = None
    on_failure: str | None = None
    confirm_within_s: float | None = None
    nodes: tuple[PlannedNode, ...] = ()
    commits: tuple[Change, ...] | None = None
    commits_more: bool = False
    commits_back: tuple[Change, ...] | None = None
    commits_back_more: bool = False
    migrations: tuple[str, ...] | None = None
    migrations_back: tuple[str, ...] | None = None
    rollback_safe: dict[str, str] = {}
    checks: tuple[Check, ...] = ()


class Problem(Struct, frozen=True):
    """`application/problem+json`."""

    status: int
    code: str
    detail: str = ""
    hint: str = ""
    operation: Operation | None = None
    blocking: tuple[Check, ...] = ()
