"""What the HTTP side is given: readers, a way to post commands, the time. It holds references, and makes nothing."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from api.board import Board
from sando.model import wire
from sando.model.claim import Claim
from sando.model.clock import Clock
from sando.model.events import Event
from sando.model.gates import GateRun
from sando.model.operation import Operation
from sando.model.release import Manifest, Release
from sando.model.safety import Pairs
from sando.model.stay import Stay
from sando.model.tier import TierState
from sando.model.topology import TokenSpec


class Reader(Protocol):
    """The store as far as HTTP reads it, from any thread. Raises StoreUnavailable."""

    def operation(self, operation: int, /) -> Operation | None: ...

    def operations(
        self,
        *,
        tier: str | None = None,
        kind: str | None = None,
        status: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[Operation]:
        """Newest first, with ids below `before`."""
        ...

    def release(self, version: str, /) -> Release | None: ...

    def reading(self) -> AbstractContextManager[None]:
        """One consistent view for several reads."""
        ...

    def tier(self, name: str, /, *, recent: int | None = None) -> TierState:
        """The newest `recent` of its history only where that is enough."""
        ...

    def last_stay(self, tier: str, version: str, /) -> Stay | None: ...

    def gate_runs(self, operation: int, /) -> list[GateRun]:
        """By gate and attempt."""
        ...

    def dora(self, tiers: tuple[str, ...], since: datetime, until: datetime, days: int, /) -> wire.Dora: ...

    def claim(self, key: str, /) -> Claim | None:
        """What was answered to a request with an Idempotency-Key, by its digest."""
        ...

    def safety(self, *new: str) -> Pairs:
        """By (new, old): whether `old` runs on the schema of `new`."""
        ...

    def release_page(self, *, before: int | None = None, limit: int = 50) -> tuple[list[Release], int | None]:
        """Newest first, and the cursor of the next page."""
        ...

    def events(self, since: int, limit: int, /) -> list[Event]:
        """Ascending, with `seq` above `since`."""
        ...

    def first_seq(self) -> int:
        """The oldest event that is kept; 0 when there is none."""
        ...

    def last_seq(self) -> int: ...


class Trials(Protocol):
    """A test of notifiers that is under way."""

    def done(self) -> Sequence[Struct] | None:
        """`name`, `ok`, `detail`, `seconds` of each, once all of them have ended."""
        ...


ReadLog = Callable[[int, int, int], tuple[bytes, int]]
"""Operation, offset, limit -> bytes and the offset to go on from; no bytes where there are none (yet)."""


def _no_hosts() -> Collection[str]:
    return ()


def _no_tokens() -> Sequence[TokenSpec]:
    return ()


def _forget(_: Claim) -> None:
    """Nothing is kept."""


def _no_notifiers() -> Collection[str]:
    return ()


def _no_trials(_names: Collection[str], _actor: str) -> Trials:
    raise LookupError("there are no notifiers")


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Everything that resources stand on; one instance for the life of the server, shared by all threads."""

    store: Reader
    board: Board
    tell: Callable[[object], None]
    """Posts a command of `actors.messages`; never blocks, never raises."""
    clock: Clock
    read_log: ReadLog
    manifest: Callable[[str], Manifest | None]
    metrics: Callable[[], tuple[bytes, str] | None]
    """The exposition of /metrics and its content type; None: there is none yet."""
    listen: tuple[str, int]
    allowed_hosts: Callable[[], Collection[str]] = _no_hosts
    """Extra Host names, asked for each request: a reload may change them."""
    tokens: Callable[[], Sequence[TokenSpec]] = _no_tokens
    """Asked for each request, like the hosts. None at all: everybody is anonymous and may do everything."""
    keep: Callable[[Claim], object] = _forget
    """Stores what a request with an Idempotency-Key was answered. Raises StoreUnavailable."""
    notifiers: Callable[[], Collection[str]] = _no_notifiers
    """The names of the configured ones."""
    test_notifiers: Callable[[Collection[str], str], Trials] = _no_trials
    """Names (none: all of them), and who wants it; returns at once."""
    answer_within: float = 5.0
    """Seconds until a command that nobody answered is told as `outcome_unknown`."""
