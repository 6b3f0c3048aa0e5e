"""GET /state: everything that is known now."""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType

from sando.model.gates import Outcome
from sando.model.safety import Safe
from sando.model.wire.stamp import Stamp


class Daemon(Struct, frozen=True):
    """sandod itself; while it is `draining` it takes no new work."""

    version: str = ""
    started_at: Stamp = ""
    draining: bool = False


class Build(Struct, frozen=True):
    """The build in flight."""

    operation: int
    sha: str | None
    phase: Literal["build", "gates"]
    started_at: Stamp | None


class Gate(Struct, frozen=True):
    """A gate as it stands for one stay of a version; `facts` is what a rehearsal has proven, the last three are a burn-in's."""

    name: str
    kind: str
    outcome: Outcome
    version: str | None
    at: Stamp | None
    seconds: float | None
    message: str
    operation: int | None
    facts: dict[str, Any] | UnsetType = UNSET
    required_s: float | UnsetType = UNSET
    elapsed_s: float | UnsetType = UNSET
    ready_at: Stamp | UnsetType | None = UNSET


class Promotable(Struct, frozen=True):
    """Whether the current version may leave for tier `to`, as far as this tier is concerned."""

    ready: bool
    to: str | None
    blocking: tuple[str, ...]


class Lock(Struct, frozen=True):
    """A hand-taken lock."""

    actor: str
    reason: str
    at: Stamp
    expires: Stamp | None


class Freeze(Struct, frozen=True):
    """A [[freeze]] window that holds now; `until` is of the year 9999 where the windows leave no gap."""

    until: Stamp


class Hold(Struct, frozen=True):
    """The canary is watched for `seconds` on these nodes before the deploy goes on."""

    nodes: tuple[str, ...]
    seconds: float


class Node(Struct, frozen=True):
    """`version` is what sando put there, `observed` what its link names; they differ on drift."""

    name: str
    version: str | None
    observed: str | None
    reachable: bool
    status: Literal["ok", "failed", "unknown", "empty", "out"]
    detail: str


class Tier(Struct, frozen=True):
    """A tier; `operation` is the promotion or rollback that holds it, `rollback_safe` says whether it can go back."""

    name: str
    provisioned: bool
    predecessor: str | None
    status: Literal["empty", "steady", "deploying", "gating", "mixed", "degraded"]
    current_version: str | None
    previous_version: str | None
    sha: str | None
    since: Stamp | None
    burn_in_started_at: Stamp | None
    gates: tuple[Gate, ...]
    promotable: Promotable
    lock: Lock | None
    freeze: Freeze | None
    operation: int | None
    hold: Hold | None
    nodes: tuple[Node, ...]
    marked_bad: tuple[str, ...]
    rollback_safe: dict[str, Safe]
    detail: str


class Backup(Struct, frozen=True):
    """The last good fetch; `stale`: it is older than `max_age`."""

    fetched_at: Stamp
    bytes: int
    sha256: str
    last_restore_ok_at: Stamp | None
    kind: str
    source: str
    seconds: float
    warnings: tuple[str, ...]
    operation: int
    stale: bool


class Fetch(Struct, frozen=True):
    """The fetch that runs, as it said last; `of` where the whole is known."""

    operation: int
    step: str
    started_at: Stamp | None
    bytes: int | None
    of: int | None


class State(Struct, frozen=True):
    """Whoever reads it and then asks for the events `since` its `seq` misses nothing."""

    seq: int
    now: Stamp
    daemon: Daemon
    build: Build | None
    tiers: tuple[Tier, ...]
    backup: Backup | None
    fetch: Fetch | None
