"""What acts answer that make no operation."""

from typing import Literal

from msgspec import Struct

from sando.model.wire.stamp import Stamp


class Confirmation(Struct, frozen=True):
    """A person's word was recorded on the version that is current; `outcome` is what the gate says now."""

    tier: str
    version: str
    gate: str
    outcome: Literal["passed", "failed", "pending"]
    actor: str
    reason: str
    at: Stamp
    message: str


class Locked(Struct, frozen=True):
    """The tiers that are locked now."""

    locked: tuple[str, ...]
    actor: str
    at: Stamp
    reason: str
    expires: Stamp | None


class Unlocked(Struct, frozen=True):
    """The tiers whose lock was lifted; empty where none was locked."""

    unlocked: tuple[str, ...]


class Reloaded(Struct, frozen=True):
    """Names of tiers, what of the files only a restart would change, and the other sections that changed."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]
    added: tuple[str, ...]
    needs_restart: tuple[str, ...]
    sections: tuple[str, ...] = ()


class Tried(Struct, frozen=True):
    """A notifier that was sent a test event; `detail` says what came of it."""

    name: str
    ok: bool
    detail: str
    seconds: float


class Notified(Struct, frozen=True):
    """The notifiers that were tried; empty where they took longer than anybody waits."""

    notifiers: tuple[Tried, ...]


class Drained(Struct, frozen=True):
    """Nothing is in motion any more; what sandod tells itself when it stops."""

    drained: Literal[True] = True


class Health(Struct, frozen=True):
    """The server answers."""

    status: Literal["ok"] = "ok"
