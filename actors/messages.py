"""Every message between the actors, and the protocol in one page.

Imperative names are commands, past tense are facts. The docstring of each begins "Sender -> Receiver:".
A command from outside carries a `Reply`; whichever actor decides answers it, once.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sando.model.answers import Answer
from sando.model.events import Event
from sando.model.operation import Operation
from sando.model.policy import Lock, Vouched
from sando.model.release import Release
from sando.model.task import NodeTask
from sando.model.topology import Topology
from sando.work.outcome import Outcome

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
    """api, timer, watch -> Supervisor: build `sha` (any length), or the tip of the branch.

    `moved` asks no more than: is there a tip that was not accepted yet?
    """

    sha: str | None = None
    force: bool = False
    moved: bool = False
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


# -- life of the actors -------------------------------------------------------------------------------------


class Life:
    """One life of an actor, held by its parent: once it is over, nothing more is done in it, nor in those below.

    An actor that is told to stop would first handle all that its inbox holds. Its successor may already be
    at work on the same rows by then, so each message is handled in a `turn`, and there are none after the end.
    """

    __slots__ = ("_below", "_over", "_turn")

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._over = False
        self._below: list[Life] = []

    def begin_below(self) -> "Life":
        """The life of a child; called by its parent, in a turn of the parent's own."""
        life = Life()
        self._below = [*(b for b in self._below if not b.over), life]
        return life

    @property
    def over(self) -> bool:
        return self._over

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """One message is handled, if what this gives is true."""
        with self._turn:
            yield not self._over

    def end(self) -> None:
        """The message in hand is finished first; that takes as long as a handler does, which never waits."""
        with self._turn:
            self._over = True
            below, self._below = self._below, []
        for life in below:
            life.end()


@dataclass(frozen=True, slots=True)
class Begin:
    """parent -> child: load your state and take up what is unfinished.

    `fresh` says that the daemon has just started: what was running then died with the old one.
    """

    fresh: bool = False
    life: Life = field(default_factory=Life, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ChildFailed:
    """dying child -> parent: a bug ended me; `name` is what the parent calls me, `ref` which of my lives it was."""

    name: str
    ref: Any
    error: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Supervisor -> Root: an actor without which there is no daemon failed too often."""

    why: str


@dataclass(frozen=True, slots=True)
class Shutdown:
    """daemon -> Root -> Supervisor -> children: begin nothing more, and say when you are idle."""

    reply: Reply = _reply()


@dataclass(frozen=True, slots=True)
class Drained:
    """child -> parent: nothing of mine is in motion any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Note:
    """any -> itself: a fact to keep as soon as the store takes it; what it tells of has happened already."""

    event: Event


@dataclass(frozen=True, slots=True)
class JobDone:
    """job thread -> owner: the one end of the job `key`."""

    key: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Tick:
    """timer -> actor: the time for `what` has come; `number` tells an outdated one from the one waited for."""

    what: str
    number: int = 0


# -- builds -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnterBuildTier:
    """Build -> Supervisor -> build tier: run your active gates for this build; `again` after a restart of Build."""

    operation: Operation
    release: Release
    again: bool = False


@dataclass(frozen=True, slots=True)
class GateAgain:
    """Build -> Supervisor -> build tier: run one active gate of the current version in this operation."""

    operation: Operation
    gate: str


@dataclass(frozen=True, slots=True)
class AbortGates:
    """Build -> Supervisor -> build tier: stop the gates of this operation."""

    operation: int


@dataclass(frozen=True, slots=True)
class GatesDone:
    """build tier -> Supervisor -> Build: the gates of this operation have ended, and nothing of them is left."""

    operation: int
    outcome: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ReturnTo:
    """Build -> Supervisor -> build tier: a sha that is green already was pushed again; make it current."""

    release: Release
    reply: Reply = field(compare=False, repr=False)
    answer: Answer
    fact: str = ""
    """Names the version as long as this is still to be done; a newer request has cleared it."""


# -- moving a release ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Vouch:
    """Supervisor -> source Tier: judge what `wish` wants, and pass your word on to `target`."""

    wish: Promote
    target: Ref
    marks: dict[str, tuple[Any, ...]]
    lock: Lock | None
    frozen_until: datetime | None

    @property
    def reply(self) -> Reply:
        return self.wish.reply


@dataclass(frozen=True, slots=True)
class Admit:
    """source Tier -> target Tier: my word on this promotion; you decide and answer."""

    wish: Promote
    vouched: Vouched
    marks: dict[str, tuple[Any, ...]]
    lock: Lock | None
    frozen_until: datetime | None

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
    """Supervisor -> Tier, Build, Backup: the topology was reloaded."""

    topology: Topology


# -- nodes --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Do:
    """Tier -> Node: work on this step; `key` numbers the job.

    `adopt` after a death: it is taken up where it runs. Where nobody holds it, it was never begun, and begins now:
    the Runner forgets no job before the tier has committed its end.
    """

    key: str
    task: NodeTask
    adopt: bool = False


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Tier -> Node: stop the job `key`; its end comes as NodeDone."""

    key: str


@dataclass(frozen=True, slots=True)
class NodeDone:
    """Node -> Tier: the end of the job `key`."""

    node: str
    key: str
    outcome: Outcome
