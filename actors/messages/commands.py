"""Commands from outside: api, timers and signals -> Root -> Supervisor. Each carries a Reply, answered once."""

from dataclasses import dataclass
from datetime import datetime

from actors.messages.reply import Reply, new_reply
from sando.model.names import ANONYMOUS


@dataclass(frozen=True, slots=True)
class Rebuild:
    """api, timer, watch -> Supervisor: build `sha` (any length), or the tip of the branch.

    `moved` asks no more than: is there a tip that was not accepted yet?
    """

    sha: str | None = None
    force: bool = False
    moved: bool = False
    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class Promote:
    """api -> Supervisor: bring a version to `tier`."""

    tier: str
    version: str | None = None
    hotfix: bool = False
    reset_burn_in: bool = False
    force: bool = False
    override_freeze: bool = False
    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class Rollback:
    """api -> Supervisor -> Tier: make the tier whole, or step back."""

    tier: str
    version: str | None = None
    force: bool = False
    abort_running: bool = False
    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class Plan:
    """api -> Supervisor (-> Tier): what would this act do and answer? Nothing is done."""

    wish: Promote | Rollback

    @property
    def reply(self) -> Reply:
        return self.wish.reply


@dataclass(frozen=True, slots=True)
class Confirm:
    """api -> Supervisor -> Tier: a person's yes to the tier's current version."""

    tier: str
    version: str | None = None
    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class Reject:
    """api -> Supervisor -> Tier: a person's no to the tier's current version."""

    tier: str
    version: str | None = None
    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class RunGate:
    """api -> Supervisor -> Tier: run one active gate again."""

    tier: str
    gate: str
    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class FetchBackup:
    """api, timer -> Supervisor -> Backup: fetch the production backup."""

    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class LockTier:
    """api -> Supervisor: block promotions into `tier`, or into `all`."""

    tier: str
    reason: str
    expires: datetime | None = None
    actor: str = ANONYMOUS
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class UnlockTier:
    """api -> Supervisor: lift the lock of `tier`, or of `all`."""

    tier: str
    actor: str = ANONYMOUS
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class Reload:
    """api, SIGHUP -> Supervisor: read the config files again."""

    force: bool = False
    actor: str = ANONYMOUS
    reply: Reply = new_reply()


@dataclass(frozen=True, slots=True)
class AbortOperation:
    """api -> Supervisor -> owner: stop an operation at its next safe point."""

    operation: int
    actor: str = ANONYMOUS
    reason: str = ""
    reply: Reply = new_reply()


Command = (
    Rebuild
    | Promote
    | Rollback
    | Plan
    | Confirm
    | Reject
    | RunGate
    | FetchBackup
    | LockTier
    | UnlockTier
    | Reload
    | AbortOperation
)
