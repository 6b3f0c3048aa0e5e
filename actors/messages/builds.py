"""Between Build, the Supervisor and the build tier."""

from dataclasses import dataclass, field

from actors.messages.reply import Reply
from sando.model.answers import Answer
from sando.model.operation import Operation
from sando.model.release import Release


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
