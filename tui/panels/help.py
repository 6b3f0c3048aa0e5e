"""All keys, from the table that the keys themselves go by. Pure."""

from collections.abc import Iterator

from tui import text as t
from tui.model.keys import TABLE, Place
from tui.model.screen import Help
from tui.panels.frame import framed
from tui.panels.question import NARROW
from tui.rows import Row, Segment

SECTIONS: dict[Place, str] = {
    "main": "Keys",
    "question": "In a question",
    "log": "In a log",
    "history": "In the history",
    "typing": "While typing",
}
WIDEST = 100
KEY = 19


def box(help_: Help, size: tuple[int, int]) -> tuple[list[Row], int]:
    """The framed help, and how far down it can be scrolled."""
    columns = size[0] if size[0] < NARROW else WIDEST
    every = [(), *_lines(), ()]
    room = max(1, min(len(every), size[1] - 2))
    bottom = max(0, len(every) - room)
    top = min(help_.top, bottom)
    below = len(every) - top - room
    right = f"{t.counted(below, 'line')} more" if below > 0 else ""
    return framed("Help", every[top : top + room], (columns, room + 2), right=right, focused=True), bottom


def _lines() -> Iterator[Row]:
    for where, title in SECTIONS.items():
        if where != "main":
            yield ()
        yield (Segment(title, "strong"),)
        for binding in TABLE[where]:
            yield (Segment(" " + t.fit(binding.every, KEY), "accent"), Segment(binding.help))
