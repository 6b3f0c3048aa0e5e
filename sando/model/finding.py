"""What an audit says: the thing, what is wrong with it, and what to do. A finding is a sentence, never an exception."""

from typing import Literal

from msgspec import Struct

Check = Literal[
    "store",
    "operation",
    "stay",
    "gate",
    "release",
    "folder",
    "link",
    "leftover",
    "backup",
    "process",
    "event",
]


class Finding(Struct, frozen=True):
    """`subject` begins the line, `path` is what lies in the way where something does.

    `safe`: `sandod fsck --repair` removes `path`; nobody can miss it.
    """

    check: Check
    subject: str
    detail: str
    next: str
    path: str = ""
    safe: bool = False

    def line(self) -> str:
        return f"{self.subject}: {self.detail}; {self.next}"
