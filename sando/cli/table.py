"""Tables for people: as wide as the terminal, a sign where something is cut; in a pipe as wide as they are, and whole.

Drawn with the screen's own measure of text. rich, which draws bars here, would take a third of `sando status`'s time.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from sando.cli.output import rows, width
from tui.rows import Row, Segment, fitted
from tui.rows import width as size_of
from tui.text import cells as cells_of
from tui.text import clean

WHOLE = 100_000
GAP = 2


class Column(NamedTuple):
    """`least`: not narrower than this while others can give; `gives`: it is cut first."""

    title: str
    least: int = 1
    gives: bool = False
    right: bool = False


Cell: TypeAlias = Segment | Sequence[Segment] | str


def show(columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> None:
    rows(drawn(columns, cells, width(sys.stdout)))


def drawn(columns: Sequence[Column], cells: Sequence[Sequence[Cell]], size: int | None) -> list[Row]:
    """The heading and the rows. Columns that are empty in every row are left out."""
    lines = [[_row(cell) for cell in line] for line in cells]
    kept = [n for n in range(len(columns)) if any(size_of(line[n]) for line in lines)]
    shown = [columns[n] for n in kept]
    natural = [max(cells_of(columns[n].title), *(size_of(line[n]) for line in lines)) for n in kept]
    rooms = widths(shown, natural, size or WHOLE)
    heading: list[Row] = [(Segment(column.title, "strong"),) for column in shown]
    return [_line(shown, line, rooms) for line in [heading, *([line[n] for n in kept] for line in lines)]]


def widths(columns: Sequence[Column], natural: Sequence[int], size: int) -> list[int]:
    """What each column gets: first those that give, then the widest ones, are cut; at the very last below their least."""
    found = list(natural)
    for floor in (
        [c.least if c.gives else n for c, n in zip(columns, natural, strict=True)],
        [c.least for c in columns],
        [1 for _ in columns],
    ):
        over = sum(found) + GAP * (len(found) - 1) - size
        while over > 0 and any(n > least for n, least in zip(found, floor, strict=True)):
            widest = max(range(len(found)), key=lambda n: found[n] if found[n] > floor[n] else 0)
            found[widest] -= 1
            over -= 1
    return found


def _row(cell: Cell) -> Row:
    pieces = [Segment(cell)] if isinstance(cell, str) else [cell] if isinstance(cell, Segment) else cell
    return tuple(piece._replace(text=clean(piece.text)) for piece in pieces)


def _line(columns: Sequence[Column], line: Sequence[Row], rooms: Sequence[int]) -> Row:
    made: list[Segment] = []
    for column, cell, room in zip(columns, line, rooms, strict=True):
        blank = Segment(" " * (room - size_of(cell)))
        made += [blank, *cell] if column.right and blank.text else fitted(cell, room)
        made.append(Segment(" " * GAP))
    return tuple(made)
