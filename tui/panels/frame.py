"""Frames and tables: titles, columns that fit, and the signs of what does not. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from tui import text as t
from tui.glyphs import ACROSS, CORNERS, DOWN
from tui.rows import Row, Segment, Style, blank, fitted, width


class Flex(NamedTuple):
    """A cell that is made for the room that there is; `wanted` is what it would take."""

    wanted: int
    make: Callable[[int], Row]


Cell: TypeAlias = Row | Flex


class Column(NamedTuple):
    """`most` bounds what it may take, `least` what is left of it where there is little room; one may get the rest."""

    title: str
    least: int = 3
    most: int = 24
    takes_rest: bool = False


def cell(text: str, style: Style = "plain") -> Row:
    return (Segment(t.clean(text), style),)


def framed(
    title: str,
    rows: Sequence[Row],
    size: tuple[int, int],
    *,
    right: str = "",
    focused: bool = False,
    style: Style = "strong",
) -> list[Row]:
    """A box of exactly that width and height; rows that do not fit are left out, so whoever calls says how many."""
    columns, lines = size
    ink: Style = "focus" if focused else "frame"
    inner = max(0, columns - 4)
    body = [*rows[: max(0, lines - 2)], *((),) * max(0, lines - 2 - len(rows))]
    side, end = Segment(DOWN + " ", ink), Segment(" " + DOWN, ink)
    top = _edge(CORNERS[0], CORNERS[1], title, right, columns, ink, style)
    bottom = _edge(CORNERS[2], CORNERS[3], "", "", columns, ink, style)
    return [top, *((side, *fitted(row, inner), end) for row in body), bottom][:lines]


def _edge(left: str, last: str, title: str, right: str, columns: int, ink: Style, style: Style) -> Row:
    room = max(0, columns - 4)
    aside = f" {t.cut(right, room - 6)} " if right and room > 12 else ""
    name = f" {t.cut(title, room - t.cells(aside) - 3)} " if title else ""
    line = ACROSS * (room - t.cells(name) - t.cells(aside))
    return fitted(
        (Segment(left + ACROSS, ink), Segment(name, style), Segment(line, ink), Segment(aside, "dim"),
         Segment(ACROSS + last, ink)),
        columns,
    )  # fmt: skip


def table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], size: int, *, titles: bool = True
) -> list[Row]:
    """Lines of exactly `size` columns, the titles first. A column that is empty throughout is left out."""
    used = [i for i, c in enumerate(columns) if c.takes_rest or any(_natural(r[i], c) for r in rows)]
    columns, rows = [columns[i] for i in used], [[r[i] for i in used] for r in rows]
    sizes = _sizes(columns, rows, size)
    gaps = [_gap(c) for c in columns]
    made = [_line(row, sizes, gaps, size) for row in rows]
    if not titles:
        return made
    return [_line([cell(c.title, "dim") for c in columns], sizes, gaps, size), *made]


GAP = 2
AFTER_SIGN = 1
"""A column for a sign belongs to the one behind it."""


def _line(row: Sequence[Cell], sizes: Sequence[int], gaps: Sequence[int], size: int) -> Row:
    pieces: list[Segment] = []
    for made, room, gap in zip(row, sizes, gaps, strict=True):
        pieces += [*fitted(made.make(room) if isinstance(made, Flex) else made, room), *blank(gap)]
    return fitted(pieces[: -1 if sizes else None], size)


def _gap(column: Column) -> int:
    return AFTER_SIGN if column.most == 1 else GAP


def _natural(made: Cell, column: Column) -> int:
    return min(made.wanted if isinstance(made, Flex) else width(made), column.most)


def _sizes(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], size: int) -> list[int]:
    """Natural sizes where they fit; else the widest gives way first, none below its least."""
    sizes = [
        min(c.most, max([t.cells(c.title), *(_natural(r[i], c) for r in rows)]))
        for i, c in enumerate(columns)
    ]
    room = size - sum(_gap(c) for c in columns[:-1])
    while sum(sizes) > room:
        over = [i for i, c in enumerate(columns) if sizes[i] > c.least]
        if not over:
            break
        sizes[max(over, key=lambda i: sizes[i] - columns[i].least)] -= 1
    for i in (i for i, c in enumerate(columns) if c.takes_rest):
        sizes[i] += max(0, room - sum(sizes))
    return sizes
