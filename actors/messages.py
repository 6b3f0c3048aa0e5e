"""Every message between the actors, and the protocol in one page.

Imperative names are commands, past tense are facts. The docstring of each begins "Sender -> Receiver:".
A command from outside carries a `Reply`; whichever actor decides answers it, once.
"""

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sando.model.answers import Answer

log = logging.getLogger(__name__)


class Ref(Protocol):
    """The address of an actor, as far as messages know it."""

    def tell(self, message: Any) -> None: ...


class Reply:
    """A one-shot answer. Any actor down the line may give it; a second one is logged and dropped."""

    __slots__ = ("_answer", "_answered", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._answer: Answer | None = None

    def answer(self, answer: Answer) -> None:
        with self._lock:
            if self._answer is not None:
                log.debug("second answer dropped: %r", answer)
                return
            self._answer = answer
        self._answered.set()

    def wait(self, timeout: float) -> Answer:
        """The answer; TimeoutError when none came within `timeout` seconds. Only for HTTP threads and tests."""
        if not self._answered.wait(timeout) or self._answer is None:
            raise TimeoutError
        return self._answer

    @property
    def given(self) -> Answer | None:
        return self._answer


def _reply() -> Any:
    return field(default_factory=Reply, compare=False, repr=False)


# -- commands from outside: api -> Root -> Supervisor -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rebuild:
    """api, timer -> Supervisor: build `sha` (any length), or the tip of the branch."""

    sha: str | None = None
    force: bool = False
    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class Promote:
    """api -> Supervisor: bring a version to `tier`."""

    tier: str
    version: str | None = None
    hotfix: bool = False
    reset_burn_in: bool = False
    force: bool = False
    override_freeze: bool = False
    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class Rollback:
    """api -> Supervisor -> Tier: make the tier whole, or step back."""

    tier: str
    version: str | None = None
    force: bool = False
    abort_running: bool = False
    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class Confirm:
    """api -> Supervisor -> Tier: a person's yes to the tier's current version."""

    tier: str
    version: str | None = None
    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class Reject:
    """api -> Supervisor -> Tier: a person's no to the tier's current version."""

    tier: str
    version: str | None = None
    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class RunGate:
    """api -> Supervisor -> Tier: run one active gate again."""

    tier: str
    gate: str
    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class FetchBackup:
    """api, timer -> Supervisor -> Backup: fetch the production backup."""

    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class LockTier:
    """api -> Supervisor: block promotions into `tier`, or into `all`."""

    tier: str
    reason: str
    expires: datetime | None = None
    actor: str = "anonymous"
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class UnlockTier:
    """api -> Supervisor: lift the lock of `tier`, or of `all`."""

    tier: str
    actor: str = "anonymous"
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class Reload:
    """api, SIGHUP -> Supervisor: read the config files again."""

    force: bool = False
    actor: str = "anonymous"
    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class AbortOperation:
    """api -> Supervisor -> owner: stop an operation at its next safe point."""

    operation: int
    actor: str = "anonymous"
    reason: str = ""
    reply: Reply = _reply()


Command = (
    Rebuild
    | Promote
    | Rollback
    | Confirm
    | Reject
    | RunGate
    | FetchBackup
    | LockTier
    | UnlockTier
    | Reload
    | AbortOperation
)


@dataclass(frozen=True, slots=True)
class Publish:
    """any -> Journal: something was committed; publish it, then give `answer` to `reply`."""

    reply: Reply | None = field(default=None, compare=False, repr=False)
    answer: Answer | None = None
