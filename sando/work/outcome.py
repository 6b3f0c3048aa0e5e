"""The three ways in which a job ends, as values that travel in messages."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from sando.model.errors import WorkError


@dataclass(frozen=True, slots=True)
class Done:
    """The work returned."""

    value: Any = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The work raised; anything but a WorkError is wrapped as an errored step named `internal`."""

    error: WorkError


@dataclass(frozen=True, slots=True)
class Aborted:
    """The work was cancelled and nothing of it is left running."""


Outcome: TypeAlias = Done | Failed | Aborted
