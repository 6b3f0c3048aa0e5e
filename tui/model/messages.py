"""What the screen hears: time, the size of the terminal, keys, and what the daemon answered. Values only."""

from datetime import datetime
from typing import TypeAlias

from msgspec import Struct

from sando.client.shapes import Event, Operation, Operations, Plan, Problem, State
from tui.model.screen import Extents, Trouble


class Tick(Struct, frozen=True):
    """A reading of the clock, with the offset of the place where it hangs."""

    now: datetime


class Resized(Struct, frozen=True):
    width: int
    height: int


class Key(Struct, frozen=True):
    """A character, or a name like `up`; see `keys`. `rushed`: it came among others, as pasted text does, and answers nothing."""

    name: str
    rushed: bool = False


class Pasted(Struct, frozen=True):
    """Text that was not typed: it goes into a line that is being typed, or nowhere."""

    text: str


class Painted(Struct, frozen=True):
    """The screen has been shown as it stands, with this much room for its parts."""

    extents: Extents


class Asked(Struct, frozen=True):
    """The state has been asked for."""


class Arrived(Struct, frozen=True):
    """The state was answered; None: it is what it was. `operations` are those in flight."""

    state: State | None
    operations: tuple[Operation, ...] = ()


class Lost(Struct, frozen=True):
    """The state was not answered; it is asked for again in so many seconds."""

    trouble: Trouble
    retry_s: float


class Feed(Struct, frozen=True):
    """The events come, or why not."""

    up: bool
    detail: str = ""


class Heard(Struct, frozen=True):
    """Events in their order; a Reset among them stands for what cannot be told any more."""

    events: tuple[Event, ...]


class Planned(Struct, frozen=True):
    """The answer to AskPlan or AskOperation with this number; `options` are those that it was asked with."""

    number: int
    options: tuple[str, ...] = ()
    plan: Plan | None = None
    operation: Operation | None = None
    problem: Problem | None = None


class Outcome(Struct, frozen=True):
    """The answer to AskOutcome of the operation with this number: how it stands, or why that cannot be had."""

    number: int
    operation: Operation | None = None
    problem: Problem | None = None


class Answered(Struct, frozen=True):
    """The answer to an act: what was done, or why not. `unsure`: no answer came, it may have been done.

    `operation` is what it has begun, stopped, or found.
    """

    number: int
    text: str = ""
    operation: Operation | None = None
    problem: Problem | None = None
    unsure: bool = False


class LogMore(Struct, frozen=True):
    """More of a log. `fresh`: it begins anew; `complete`: it is all there is."""

    number: int
    operation: Operation | None = None
    text: str = ""
    fresh: bool = False
    complete: bool = False
    trouble: str = ""


class HistoryPage(Struct, frozen=True):
    number: int
    page: Operations | None = None
    trouble: str = ""


class Broken(Struct, frozen=True):
    """A part of this program failed; the rest goes on."""

    detail: str


Message: TypeAlias = (
    Tick | Resized | Key | Pasted | Painted | Asked | Arrived | Lost | Feed | Heard | Planned | Outcome | Answered
    | LogMore | HistoryPage | Broken
)  # fmt: skip
