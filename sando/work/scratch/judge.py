"""Who decides about what a lexer finds: the interface between reading SQL and knowing what it means."""

from enum import Enum
from typing import Protocol


class Unreadable(Exception):
    """What is wrong with the text, and in which line (from 1) it stands."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


class Fate(Enum):
    KEEP = "keep"
    LEAVE_OUT = "leave out"
    DATA = "data"
    """Kept, and COPY data follows it, up to a line with `\\.` alone."""


class Judge(Protocol):
    """Decides what goes on; each may raise Unreadable."""

    def wants(self, word: bytes, /) -> bool:
        """A statement begins with this word (lower case, may be empty): is it to be judged, in one piece?"""

    def statement(self, text: bytes, line: int, /) -> Fate:
        """A whole statement, from its first word to its `;` if it has one."""

    def comment(self, text: bytes, /) -> None:
        """A comment up to the end of its line, between two statements."""

    def command(self, text: bytes, line: int, /) -> None:
        """A line of its own that begins with a backslash, between two statements: left out, unless this raises."""
