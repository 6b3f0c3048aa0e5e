"""The piece of a text that a lexer has before it: what was read, what was answered, and which line it is in."""

from sando.work.scratch.judge import Unreadable


class Window:
    """`at` is how far it was read. What stands before `hold` (or `at`, when nothing is held) is answered by `take`."""

    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self.hold: int | None = None
        self._kept = 0  # answered up to here
        self._out: list[bytes] = []
        self._line = 1  # of _counted
        self._counted = 0
        self._last = b"\n"

    def add(self, more: bytes) -> None:
        nul = more.find(b"\0")
        if nul >= 0:
            raise Unreadable(
                self.line(len(self.data)) + more.count(b"\n", 0, nul), "has a NUL byte: this is no SQL"
            )
        self.data += more

    def before(self) -> bytes:
        """The byte before `at`; a line feed at the very beginning."""
        return self.data[self.at - 1 : self.at] if self.at else self._last

    def line(self, place: int) -> int:
        """The number of the line, from 1; places are asked in ascending order."""
        if place > self._counted:
            self._line += self.data.count(b"\n", self._counted, place)
            self._counted = place
        return self._line

    def leave_out(self, start: int) -> None:
        """What stands between `start` and `at` is not answered, but for its line feeds."""
        self._out += [self.data[self._kept : start], b"\n" * self.data.count(b"\n", start, self.at)]
        self._kept = self.at

    def waiting(self) -> int:
        """Bytes that are kept because they were not read to an end."""
        return len(self.data) - (self.at if self.hold is None else self.hold)

    def take(self) -> bytes:
        """What may go on; it is forgotten here."""
        upto = self.at if self.hold is None else self.hold
        self.line(upto)
        out = b"".join([*self._out, self.data[self._kept : upto]])
        self._out = []
        if upto:
            self._last = self.data[upto - 1 : upto]
            self.data = self.data[upto:]
            self.at -= upto
            self.hold = None if self.hold is None else 0
        self._kept = 0
        self._counted -= upto
        return out
