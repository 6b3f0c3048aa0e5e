"""Moving a release: the source vouches, the target admits (SPEC 6)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from actors.messages.commands import Promote
from actors.messages.reply import Ref, Reply
from sando.model.policy import Lock, Vouched
from sando.model.topology import Topology


@dataclass(frozen=True, slots=True)
class Vouch:
    """Supervisor -> source Tier: judge what `wish` wants, and pass your word on to `target`.

    `dry`: what would come of it is asked, and nothing is done.
    """

    wish: Promote
    target: Ref
    marks: dict[str, tuple[Any, ...]]
    lock: Lock | None
    frozen_until: datetime | None
    dry: bool = False

    @property
    def reply(self) -> Reply:
        return self.wish.reply


@dataclass(frozen=True, slots=True)
class Admit:
    """source Tier -> target Tier: my word on this promotion; you decide and answer. `dry`: you only say what you would do."""

    wish: Promote
    vouched: Vouched
    marks: dict[str, tuple[Any, ...]]
    lock: Lock | None
    frozen_until: datetime | None
    dry: bool = False

    @property
    def reply(self) -> Reply:
        return self.wish.reply


@dataclass(frozen=True, slots=True)
class AskAgain:
    """target Tier -> Supervisor: have the source vouch again, right before my first switch."""

    operation: int
    tier: str
    version: str
    hotfix: bool
    force: bool


@dataclass(frozen=True, slots=True)
class VouchAgain:
    """Supervisor -> source Tier: does your word still hold? Tell `target`."""

    operation: int
    target: Ref
    version: str
    hotfix: bool
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class VouchedAgain:
    """source Tier (or Supervisor) -> target Tier: None, or why it holds no more."""

    operation: int
    refusal: str | None


@dataclass(frozen=True, slots=True)
class Promoted:
    """target Tier -> Supervisor: a promotion ended well; tell those whom it concerns."""

    tier: str
    version: str
    lift: bool
    reset: str | None


@dataclass(frozen=True, slots=True)
class LiftMark:
    """Supervisor -> earlier Tier: `force` has overridden your mark on this version."""

    version: str


@dataclass(frozen=True, slots=True)
class BurnWasReset:
    """Supervisor -> source Tier: a hotfix restarted your burn-in clock; read it from the store."""


@dataclass(frozen=True, slots=True)
class Configured:
    """Supervisor -> Tier, Build, Backup, Journal, Root: the topology was reloaded, as the event at `seq` tells."""

    topology: Topology
    seq: int
