"""The events as they come, or standing still where somebody reads. Pure."""

from tui.model.screen import Screen
from tui.model.told import Line
from tui.panels.frame import Cell, Column, cell, framed, table
from tui.panels.header import clock
from tui.rows import Row, Segment

COLUMNS = (
    Column("", 8, 8), Column("", 2, 12), Column("", 6, 16), Column("", 10, 400, takes_rest=True),
)  # fmt: skip


def panel(screen: Screen, size: tuple[int, int]) -> list[Row]:
    room = height(size)
    shown, below = screen.stream.shown(screen.needle, room)
    rows = (
        table(COLUMNS, [_row(screen, line) for line in shown], size[0] - 4, titles=False)
        if shown
        else _nothing(screen)
    )
    words = [f"only {screen.filter!r}"] if screen.filter else []
    words.append("following" if screen.stream.following else f"standing still, {below} below")
    return framed("Events", rows, size, right=", ".join(words), focused=screen.focus == "events")


def height(size: tuple[int, int]) -> int:
    return max(1, size[1] - 2)


def _row(screen: Screen, line: Line) -> list[Cell]:
    quiet = line.style == "dim"
    return [
        cell(clock(screen, line.at), "dim"),
        cell(line.tier, "dim" if quiet else "strong"),
        cell(line.kind, "dim" if line.style == "plain" else line.style),
        cell(line.text, line.style if line.style in {"bad", "warn", "dim"} else "plain"),
    ]


def _nothing(screen: Screen) -> list[Row]:
    if screen.filter and screen.stream.lines:
        return [(Segment("nothing that was heard has that text; Esc lifts the filter", "dim"),)]
    if screen.link.feed:
        return [(Segment("nothing has happened yet", "dim"),)]
    why = screen.link.feed_trouble
    return [cell(f"events do not come: {why}" if why else "events have not come yet", "dim")]
