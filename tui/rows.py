"""A row of the screen as pieces of text with a style each: what panels make, and the terminal is given. Pure."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from tui import text as t

Style: TypeAlias = Literal[
    "plain", "dim", "strong", "ok", "bad", "warn", "busy", "accent", "frame", "focus", "found"
]


class Segment(NamedTuple):
    """`lit` is the row that is selected: the terminal gives it another ground."""

    text: str
    style: Style = "plain"
    lit: bool = False


Row: TypeAlias = tuple[Segment, ...]


def width(row: Row) -> int:
    return sum(t.cells(s.text) for s in row)


def fitted(row: Iterable[Segment], size: int, sign: str = t.CUT) -> Row:
    """Exactly so many columns; a cut is signed in the style of what was cut.

    Every row comes through here, so that this is also where no character is left that a terminal would obey.
    """
    made: list[Segment] = []
    left = size
    pieces = [s if t.is_clean(s.text) else s._replace(text=t.clean(s.text)) for s in row if s.text]
    total = sum(t.cells(s.text) for s in pieces)
    if total <= size:
        return (*pieces, *((Segment(" " * (size - total)),) if total < size else ()))
    for piece in pieces:
        used = t.cells(piece.text)
        if used >= left:
            made.append(piece._replace(text=t.fit(piece.text + " ", left, sign) if left else ""))
            break
        made.append(piece)
        left -= used
    return tuple(s for s in made if s.text)


def between(row: Row, start: int, end: int) -> Row:
    """The columns from `start` up to `end`; halves of wide characters are spaces."""
    made: list[Segment] = []
    at = 0
    for piece in row:
        used = t.cells(piece.text)
        first, last = max(start - at, 0), min(end - at, used)
        if first < last:
            text = t.behind(piece.text, first)
            made.append(piece._replace(text=_exactly(text, last - first)))
        at += used
    return tuple(made)


def _exactly(text: str, size: int) -> str:
    text = t.head(text, size)
    return text + " " * (size - t.cells(text))


def lit(row: Row) -> Row:
    return tuple(s._replace(lit=True) for s in row)


def dimmed(row: Row) -> Row:
    """What is no longer known to be so looks like it."""
    return tuple(s._replace(style="dim") for s in row)


def blank(size: int) -> Row:
    return (Segment(" " * size),) if size > 0 else ()
