"""Tables for people: as wide as the terminal, a sign where something is cut; in a pipe as wide as they are, and whole."""

import io
import sys
from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sando.cli.output import colourful, raw, width
from tui.rows import Segment
from tui.text import cells as cells_of
from tui.text import clean

_STYLES = {
    "ok": "green",
    "bad": "red",
    "warn": "yellow",
    "busy": "cyan",
    "accent": "cyan",
    "strong": "bold",
    "dim": "dim",
}
WHOLE = 100_000
GAP = 2


class Column(NamedTuple):
    """`least`: not narrower than this while others can give; `gives`: it is cut first."""

    title: str
    least: int = 1
    gives: bool = False
    right: bool = False


Cell = Segment | Sequence[Segment] | str


def show(columns: Sequence[Column], cells: Sequence[Sequence[Cell]]) -> None:
    raw(drawn(columns, cells, width(sys.stdout), colour=colourful(sys.stdout)))


def drawn(
    columns: Sequence[Column], cells: Sequence[Sequence[Cell]], size: int | None, *, colour: bool = False
) -> str:
    """The lines. Columns that are empty in every row are left out."""
    texts = [[_text(cell) for cell in row] for row in cells]
    kept = [n for n in range(len(columns)) if any(row[n].plain for row in texts)]
    shown = [columns[n] for n in kept]
    natural = [max(cells_of(columns[n].title), *(row[n].cell_len for row in texts)) for n in kept]
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column, room in zip(shown, widths(shown, natural, size or WHOLE), strict=True):
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.title, no_wrap=True, overflow="ellipsis", justify=justify, width=room)
    for row in texts:
        table.add_row(*(row[n] for n in kept))
    return _printed(table, size or WHOLE, colour=colour)


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


def _text(cell: Cell) -> Text:
    """Never markup: what came from outside may look like it."""
    pieces = [Segment(cell)] if isinstance(cell, str) else [cell] if isinstance(cell, Segment) else cell
    text = Text()
    for piece in pieces:
        text.append(clean(piece.text), _STYLES.get(piece.style))
    return text


def _printed(table: Table, size: int, *, colour: bool) -> str:
    buffer = io.StringIO()
    console = Console(
        file=buffer, width=size, force_terminal=colour, color_system="standard" if colour else None, no_color=not colour,
        highlight=False, markup=False, emoji=False, legacy_windows=False, _environ={},
    )  # fmt: skip
    console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines())
