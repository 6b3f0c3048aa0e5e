"""The whole screen: where each panel stands, and what lies over what. Rows of exactly the terminal's width. Pure."""

from typing import NamedTuple

from msgspec.structs import replace

from tui import text as t
from tui.glyphs import in_ascii
from tui.model.screen import (
    LEAST_HEIGHT,
    LEAST_WIDTH,
    Extents,
    Help,
    History,
    LogView,
    Question,
    Screen,
    status,
)
from tui.panels import events, footer, header, history, log, nodes, question, tiers
from tui.panels import help as helping
from tui.panels.frame import framed
from tui.rows import Row, Segment, Style, between, blank, fitted, width

WIDE = 160
"""From here on the tier and the events stand side by side."""


class Picture(NamedTuple):
    """`extents` is what the model is told once this has been seen."""

    rows: tuple[Row, ...]
    extents: Extents


def draw(screen: Screen, *, unicode: bool = True) -> Picture:
    picture = _small(screen) if screen.size.small else _whole(screen)
    if unicode:
        return picture
    return Picture(
        tuple(tuple(s._replace(text=in_ascii(s.text)) for s in row) for row in picture.rows), picture.extents
    )


def _whole(screen: Screen) -> Picture:
    columns, lines = screen.size.width, screen.size.height
    notes = footer.notes(screen)
    room = (columns, lines - 2 - len(notes))
    body, extents = _body(screen, room)
    match screen.overlay:
        case Question() as asked:
            box, bottom = question.box(screen, asked, room)
        case Help() as help_:
            box, bottom = helping.box(help_, room)
        case _:
            box, bottom = [], 0
    rows = (header.row(screen), *_laid_over(body, box, columns), *notes, footer.row(screen))
    return Picture(rows, replace(extents, overlay_bottom=bottom))


def _body(screen: Screen, room: tuple[int, int]) -> tuple[list[Row], Extents]:
    """Between the first row and the last: the main panels, or what is read over them."""
    held = screen.overlay.back if isinstance(screen.overlay, Help) else screen.overlay
    if isinstance(held, LogView):
        return log.panel(screen, held, room), Extents(log=log.height(room))
    if isinstance(held, History):
        return history.panel(screen, held, room), screen.extents
    if screen.state is None:
        return _unknown(screen, room), screen.extents
    return _panels(screen, room)


def _panels(screen: Screen, room: tuple[int, int]) -> tuple[list[Row], Extents]:
    columns, lines = room
    upper = min(len(screen.tiers) + 3, max(4, lines * 2 // 5))
    top, rest = tiers.panel(screen, (columns, upper)), lines - upper
    if columns >= WIDE:
        left = max(60, columns * 9 // 20)
        sizes = (left, rest), (columns - left, rest)
        about, bottom = nodes.panel(screen, sizes[0])
        lower = [(*a, *b) for a, b in zip(about, events.panel(screen, sizes[1]), strict=True)]
    else:
        wanted = len(nodes.lines(screen, columns - 4)) + 2
        middle = max(3, min(wanted, rest * 3 // 5))
        sizes = (columns, middle), (columns, rest - middle)
        about, bottom = nodes.panel(screen, sizes[0])
        lower = [*about, *events.panel(screen, sizes[1])]
    return [*top, *lower], Extents(events=events.height(sizes[1]), nodes_bottom=bottom)


def _laid_over(rows: list[Row], box: list[Row], columns: int) -> list[Row]:
    """In the middle, with an empty ring around it, so that its frame stands apart from those beneath.

    What takes the whole width stands at the bottom: the tiers are still seen above it.
    """
    if not box:
        return rows
    wide = width(box[0])
    left, most = (columns - wide) // 2, len(rows) - len(box)
    top = max(0, most // 2 if left else most)
    side = blank(min(1, left))
    ring = [blank(wide + 2 * len(side)), *((*side, *row, *side) for row in box), blank(wide + 2 * len(side))]
    made = list(rows)
    for n, row in enumerate(ring, top - 1):
        if 0 <= n < len(made):
            under = made[n]
            made[n] = (
                *between(under, 0, left - len(side)),
                *row,
                *between(under, left + wide + len(side), columns),
            )
    return made


# -- when there is nothing to show --------------------------------------------------------------------------


def _unknown(screen: Screen, room: tuple[int, int]) -> list[Row]:
    """Before the first answer: what is tried, and what a person can do about it."""
    trouble = screen.link.trouble
    said: list[tuple[str, Style]] = [("", "plain")]
    if trouble is None:
        said.append((f"connecting to {screen.address} ...", "busy"))
    else:
        said += [
            (trouble.detail, "bad"),
            (trouble.hint, "plain"),
            (header.retry(screen), "dim"),
            ("", "plain"),
        ]
        said.append(("SANDO_DAEMON names the daemon, SANDO_TOKEN the token; r asks at once.", "dim"))
    rows = [(Segment(line, style),) for text, style in said for line in t.wrap(text, room[0] - 4)]
    return framed("sando", rows, room)


def _small(screen: Screen) -> Picture:
    """Too small for the whole: it says so, and what matters most as far as there is room."""
    columns, lines = screen.size.width, screen.size.height
    said: list[tuple[str, Style]] = [
        (f"too small: {columns}x{lines}, needs {LEAST_WIDTH}x{LEAST_HEIGHT}", "warn"),
        ("q quits", "dim"),
        (" ".join(header.connection(screen)[:2]), header.connection(screen)[2]),
    ]
    said += [
        (f"{tier.name} {tier.current_version or '-'} {status(screen, tier)}", "plain")
        for tier in (screen.state.tiers if screen.state else ())
    ]
    rows = [fitted((Segment(t.clean(text), style),), columns) for text, style in said[:lines]]
    rows += [blank(columns)] * (lines - len(rows))
    return Picture(tuple(rows), screen.extents)
