"""What the screen wants done: questions to the daemon, and the acts that a `y` has confirmed. Values only."""

from typing import Literal, TypeAlias

from msgspec import Struct


class AskPlan(Struct, frozen=True):
    number: int
    act: Literal["promote", "rollback"]
    tier: str
    version: str | None = None
    options: tuple[str, ...] = ()


class AskOperation(Struct, frozen=True):
    number: int
    operation: int


class AskOutcome(Struct, frozen=True):
    """How that operation, which an act has begun, stands now."""

    operation: int


class Send(Struct, frozen=True):
    """The only effect that changes something."""

    number: int
    method: Literal["POST", "DELETE"]
    path: str
    body: dict[str, object] | None = None


class FollowLog(Struct, frozen=True):
    """The log of an operation, or of the latest of a tier, until `StopLog` or the next one."""

    number: int
    tier: str
    operation: int | None = None


class StopLog(Struct, frozen=True):
    pass


class AskHistory(Struct, frozen=True):
    number: int
    tier: str
    cursor: int | None = None


class Refresh(Struct, frozen=True):
    """Ask for the state now, whatever the clock and the back-off say."""


class Leave(Struct, frozen=True):
    """The person wants to go."""


class Repaint(Struct, frozen=True):
    """Something else may have written on the terminal: draw everything anew."""


Effect: TypeAlias = (
    AskPlan | AskOperation | AskOutcome | Send | FollowLog | StopLog | AskHistory | Refresh | Leave | Repaint
)
