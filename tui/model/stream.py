"""The latest events of the screen, which part of them is shown, and what a filter leaves. Pure."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from sando.client.shapes import Event
from tui.model.told import Line, line

MOST = 2000


class Stream(Struct, frozen=True):
    """`seq` is the place of the last event that was heard: what comes again is dropped.

    `top` is the line that is shown first while it does not follow: its number, so that what falls off the old end
    moves nothing.
    """

    lines: tuple[Line, ...] = ()
    seq: int = 0
    top: int | None = None

    @property
    def following(self) -> bool:
        return self.top is None

    def heard(self, events: Iterable[Event]) -> "Stream":
        n, seq = self._next, self.seq
        new: list[Line] = []
        for event in events:
            if event.seq > seq:
                new.append(line(event, n))
                n, seq = n + 1, event.seq
        return replace(self, lines=(*self.lines, *new)[-MOST:], seq=seq) if new else self

    def anew(self, seq: int, why: str) -> "Stream":
        """What lies between is gone; the next one that counts is the one after `seq`."""
        told = Line(self._next, None, "", "", why, "warn", why)
        lines = (*self.lines, told)[-MOST:] if self.lines else ()
        return replace(self, lines=lines, seq=seq)

    @property
    def _next(self) -> int:
        return self.lines[-1].n + 1 if self.lines else 1

    def shown(self, needle: str, height: int) -> tuple[tuple[Line, ...], int]:
        """The lines that are seen, and how many come after them."""
        if self.top is None:
            return self._last(needle, height), 0
        rest = [x for x in matching(self.lines, needle) if x.n >= self.top]
        return tuple(rest[:height]), max(0, len(rest) - height)

    def _last(self, needle: str, height: int) -> tuple[Line, ...]:
        found: list[Line] = []
        for one in reversed(self.lines):
            if len(found) >= height:
                break
            if needle in one.hay:
                found.append(one)
        return tuple(reversed(found))

    def scrolled(self, needle: str, height: int, by: int) -> "Stream":
        """Up (negative) leaves the end; down to the end follows again."""
        lines = matching(self.lines, needle)
        last = max(0, len(lines) - height)
        at = last if self.top is None else next((i for i, x in enumerate(lines) if x.n >= self.top), last)
        at = max(0, at + by)
        return replace(self, top=lines[at].n if at < last else None)


def matching(lines: tuple[Line, ...], needle: str) -> list[Line]:
    return [x for x in lines if needle in x.hay] if needle else list(lines)
