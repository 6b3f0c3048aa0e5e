"""All that the screen knows at one moment. Values only; `reduce` makes the next one."""

from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

from msgspec import Struct

from sando.client.shapes import Operation, Plan, Problem, State, Tier
from tui.model.flight import in_hand
from tui.model.stream import Stream
from tui.rows import Style

LEAST_WIDTH = 80
LEAST_HEIGHT = 24
STALE_S = 6.0
"""Three questions without an answer: from then on what is shown may not be so any more."""

Act: TypeAlias = Literal["promote", "rollback", "confirm", "abort", "lock", "unlock", "backup"]
Focus: TypeAlias = Literal["tiers", "nodes", "events"]


class Size(Struct, frozen=True):
    width: int = LEAST_WIDTH
    height: int = LEAST_HEIGHT

    @property
    def small(self) -> bool:
        return self.width < LEAST_WIDTH or self.height < LEAST_HEIGHT


class Extents(Struct, frozen=True):
    """How much room the last painting had: lines of a page, and how far down one can scroll."""

    events: int = 8
    log: int = LEAST_HEIGHT - 4
    nodes_bottom: int = 0
    overlay_bottom: int = 0


class Trouble(Struct, frozen=True):
    """Why there is no state; `answered`: sandod says so itself, `refused`: it says no to whoever asks."""

    detail: str
    hint: str = ""
    refused: bool = False
    answered: bool = False


class Link(Struct, frozen=True):
    """The daemon as it is reached. `answered_at` is by the clock of this machine; `ahead` is the daemon's clock to it."""

    answered_at: datetime | None = None
    asked_at: datetime | None = None
    """Of a question that has no answer yet."""
    ahead: timedelta = timedelta()
    trouble: Trouble | None = None
    retry_at: datetime | None = None
    feed: bool = False
    feed_trouble: str = ""


class Note(Struct, frozen=True):
    """What was answered or why nothing was done; a good one goes by itself, a bad one with the next key.

    `question` is the number of the one in which it was said, and with which it ends; `operation` is what it tells of.
    `passing`: how what was begun has ended may take its place.
    """

    text: str
    style: Style
    at: datetime
    question: int | None = None
    operation: int | None = None
    passing: bool = False


class Watch(Struct, frozen=True):
    """An operation that an act has begun, as it was last seen. `asking`: how it stands now is being asked for."""

    operation: Operation
    asking: bool = False


class Typing(Struct, frozen=True):
    """A line that is being typed; `before` is what it was, for Escape, and `selected` the tier at which it began."""

    what: Literal["filter", "search", "reason"]
    text: str = ""
    before: str = ""
    selected: str | None = None


class Question(Struct, frozen=True):
    """An act that waits for a `y`. What the daemon plans is `plan`, and `version` is what will be sent.

    `seen`: it has been on the screen as it stands; a `y` that was struck before that says nothing.
    """

    number: int
    act: Act
    tier: str
    phase: Literal["asking", "ready", "sending", "refused"] = "asking"
    version: str | None = None
    options: tuple[str, ...] = ()
    reason: str = ""
    plan: Plan | None = None
    operation: Operation | None = None
    problem: Problem | None = None
    seen: bool = False
    again: bool = False
    """A newer plan, or how what would be aborted stands now, has been asked for."""
    about: tuple[object, ...] = ()
    """How what its plan hangs on stood when that was asked for last."""
    top: int = 0


class LogView(Struct, frozen=True):
    """The output of an operation. `top` None follows its end; `dropped` lines at the beginning are not kept."""

    number: int
    tier: str
    operation: Operation | None = None
    lines: tuple[str, ...] = ()
    rest: str = ""
    dropped: int = 0
    complete: bool = False
    top: int | None = None
    left: int = 0
    search: str = ""
    found: int | None = None
    """The line to which the search has gone, until it is scrolled."""
    trouble: str = ""
    back: "History | None" = None


class History(Struct, frozen=True):
    """The operations of a tier, newest first; `more` is the cursor of what is older."""

    number: int
    tier: str
    operations: tuple[Operation, ...] = ()
    more: int | None = None
    loading: bool = True
    at: int = 0
    trouble: str = ""


class Help(Struct, frozen=True):
    top: int = 0
    back: "LogView | History | None" = None


Overlay: TypeAlias = Question | LogView | History | Help


class Screen(Struct, frozen=True):
    address: str
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    size: Size = Size()
    extents: Extents = Extents()
    link: Link = Link()
    state: State | None = None
    operations: dict[int, Operation] = {}
    """Those that run, as the daemon last told of them."""
    selected: str | None = None
    focus: Focus = "tiers"
    nodes_top: int = 0
    stream: Stream = Stream()
    filter: str = ""
    typing: Typing | None = None
    overlay: Overlay | None = None
    note: Note | None = None
    watch: Watch | None = None
    """Of the last act, until its end has been told."""
    serial: int = 0
    """The number of the last thing that was asked for: an answer to an older one is late."""

    @property
    def tier(self) -> Tier | None:
        """The selected one; none that is not shown, so that nothing is done to what nobody sees."""
        return next((t for t in self.tiers if t.name == self.selected), None)

    @property
    def tiers(self) -> tuple[Tier, ...]:
        """Those that are shown: all that a filter leaves, which may be none."""
        every = self.state.tiers if self.state else ()
        return tuple(t for t in every if self.needle in _hay(self, t)) if self.filter else every

    @property
    def needle(self) -> str:
        return self.filter.lower()

    @property
    def reached(self) -> bool:
        return self.state is not None and self.link.trouble is None

    @property
    def age_s(self) -> float:
        """Since the daemon last answered."""
        at = self.link.answered_at
        return max(0.0, (self.now - at).total_seconds()) if at else 0.0

    @property
    def stale(self) -> bool:
        return self.state is not None and (self.age_s > STALE_S or self.link.trouble is not None)

    @property
    def daemon_now(self) -> datetime:
        return self.now + self.link.ahead

    def build_tier(self) -> Tier | None:
        return self.state.tiers[0] if self.state and self.state.tiers else None


def status(screen: Screen, tier: Tier) -> str:
    """One word: what goes on there, else what stands in the way of the next promotion."""
    build, first = screen.state.build if screen.state else None, screen.build_tier()
    if build and first and first.name == tier.name:
        return "building" if build.phase == "build" else "gating"
    if not tier.provisioned:
        return "not in use"
    if tier.status in {"steady", "empty"}:
        return "locked" if tier.lock else "frozen" if tier.freeze else tier.status
    return tier.status


def _hay(screen: Screen, tier: Tier) -> str:
    """What stands in its row, and its nodes."""
    words = [tier.name, tier.current_version or "", tier.previous_version or "", status(screen, tier)]
    return " ".join([*words, *(n.name for n in tier.nodes)]).lower()


def in_flight(screen: Screen, tier: Tier) -> int | None:
    """The operation that runs on the tier."""
    return in_hand(screen.state, tier) if screen.state else None
