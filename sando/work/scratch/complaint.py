"""What PostgreSQL said when it refused something, read from the output of its programs."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from sando.model.names import visible

_SAID = re.compile(r"(?:psql:(?P<file>.*?):(?P<line>[0-9]+): )?\S+:  (?P<state>[0-9A-Z]{5}): (?P<text>.*)")
_PLACE = re.compile(r"LINE (?P<line>[0-9]+): ")
_PROGRAM = re.compile(
    r"(?:psql|pg_restore|initdb|postgres)(?::.*?:[0-9]+)?: (?:error|fatal|FATAL): +(?P<text>.*)"
)
_MORE = re.compile(r"(DETAIL|HINT):  (?P<text>.*)")
_FINE = ("00", "01", "02")  # success, warnings, no data
_NO_VERDICT = ("08", "53", "57", "58", "XX")  # connection lost, no room, stopped, I/O, a bug of the server
_MOST = 400


class Complaint(NamedTuple):
    """`state` is the SQLSTATE, empty where it was not the server that spoke; lines are from 1, 0 where unknown."""

    state: str
    text: str
    line: int = 0
    """Of the script: where psql was when it sent the statement."""
    place: int = 0
    """Of the statement: where in it."""
    more: str = ""
    file: str = ""
    """The script, as psql was given it."""

    def __str__(self) -> str:
        said = f"{self.state}: {self.text}" if self.state else self.text
        return said + (f" ({self.more})" if self.more else "")

    @property
    def says_nothing_of_the_sql(self) -> bool:
        """It failed for a reason that lies with the machine or the connection."""
        return not self.state or self.state.startswith(_NO_VERDICT)


def complaint(output: Sequence[str]) -> Complaint | None:
    """The last error in the output of psql (with VERBOSITY=verbose), pg_restore, initdb or postgres."""
    for number in range(len(output) - 1, -1, -1):
        found = _SAID.match(output[number])
        if found and not found["state"].startswith(_FINE):
            below = output[number + 1 :]
            place = next((m for text in below[:2] if (m := _PLACE.match(text))), None)
            more = next((m["text"] for text in below if (m := _MORE.match(text))), "")
            return Complaint(
                found["state"], _short(found["text"]), int(found["line"] or 0), int(place["line"]) if place else 0,
                _short(more), found["file"] or "",
            )  # fmt: skip
    for text in reversed(output):
        if found := _PROGRAM.match(text):
            return Complaint("", _short(found["text"]))
    return None


def _short(text: str) -> str:
    return visible(text.strip())[:_MOST]
