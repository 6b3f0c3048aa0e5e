"""Whether a semicolon ends a CREATE FUNCTION, or stands in its body: told from its words, as psql tells it."""

import re

_INITIALS = {b"create": b"c", b"function": b"f", b"procedure": b"p", b"or": b"o", b"replace": b"r"}
_ROUTINE = re.compile(rb"c(?:f|p|orf|orp)")
_ENOUGH = 4  # words, which tell whether it is a routine at all


class Routine:
    """A statement that begins with CREATE. `depth` counts what is open of BEGIN ATOMIC … END and CASE … END."""

    def __init__(self) -> None:
        self.depth = 0
        self._initials = b""

    @property
    def matters(self) -> bool:
        """False once its words show that it is no routine."""
        return len(self._initials) < _ENOUGH or bool(_ROUTINE.match(self._initials))

    def word(self, word: bytes, *, in_parentheses: bool) -> None:
        """The next word, in lower case."""
        if len(self._initials) < _ENOUGH:
            self._initials += _INITIALS.get(word, b"-")
        if in_parentheses or not _ROUTINE.match(self._initials):
            return
        if word == b"begin" or (word == b"case" and self.depth):
            self.depth += 1
        elif word == b"end":
            self.depth = max(0, self.depth - 1)
