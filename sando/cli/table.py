"""Tables for people: as wide as the terminal, a sign where something is cut; in a pipe as wide as they are, and whole."""

import io
import sys
from collections.abc import Sequence
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sando.cli.output import colourful, raw, width
from tui.rows import Segment
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


class Column(NamedTuple):
    """`least`: never narrower than this; `gives`: it is the one that is cut first."""

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
    kept = [n for n in range(len(columns)) if any(_text(row[n]).plain for row in cells)]
    table = Table(
        box=None,
        show_edge=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        header_style="bold" if colour else "",
    )
    for column in (columns[n] for n in kept):
        table.add_column(
            column.title, no_wrap=True, overflow="ellipsis", justify="right" if column.right else "left",
            min_width=None if column.gives else max(column.least, 1), ratio=None,
        )  # fmt: skip
    for row in cells:
        table.add_row(*(_text(row[n]) for n in kept))
    return _printed(table, size or WHOLE, colour=colour)


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
