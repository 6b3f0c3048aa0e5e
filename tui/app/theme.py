"""The colours of the styles: 256, 8, or none. What is said by colour is said by a sign or a word, too."""

import curses
from typing import Any, NamedTuple

import npyscreen

from tui.rows import Segment, Style


class Ink(NamedTuple):
    """Colours on the terminal's own ground: of 256, of 8, on the ground of the selected row; and what all have."""

    rich: int
    plain: int
    lit: int
    bold: bool = False
    faint: bool = False
    turned: bool = False


_OWN = -1
_GROUND = 237
INKS: dict[Style, Ink] = {
    "plain": Ink(_OWN, _OWN, 252),
    "dim": Ink(245, _OWN, 248, faint=True),
    "strong": Ink(_OWN, _OWN, 255, bold=True),
    "ok": Ink(curses.COLOR_GREEN, curses.COLOR_GREEN, 114),
    "bad": Ink(curses.COLOR_RED, curses.COLOR_RED, 210, bold=True),
    "warn": Ink(curses.COLOR_YELLOW, curses.COLOR_YELLOW, 221),
    "busy": Ink(curses.COLOR_CYAN, curses.COLOR_CYAN, 117),
    "accent": Ink(curses.COLOR_CYAN, curses.COLOR_CYAN, 117, bold=True),
    "frame": Ink(240, _OWN, 240, faint=True),
    "focus": Ink(curses.COLOR_CYAN, curses.COLOR_CYAN, 117),
    "found": Ink(curses.COLOR_YELLOW, curses.COLOR_YELLOW, 221, turned=True),
}
RICH = 256


def choose(*, colourless: bool) -> int:
    """How many colours are used. The terminal's own ground is asked for first: else curses paints all of it black."""
    if not curses.has_colors():
        return 0
    try:
        curses.use_default_colors()
    except curses.error:
        return 0
    return 0 if colourless else RICH if curses.COLORS >= RICH and curses.COLOR_PAIRS >= RICH else 8


class Theme:
    """The attribute of each segment, through the colour pairs of an npyscreen theme."""

    def __init__(self, colours: int) -> None:
        self._colours = colours
        npyscreen.setTheme(_manager(colours))
        manager = npyscreen.proto_fm_screen_area.getTheme()
        self._pairs = {name: manager.findPair(None, name) for name, _, _ in _pairs(colours)}
        self._known: dict[tuple[Style, bool], int] = {}

    def attribute(self, segment: Segment) -> int:
        key = segment.style, segment.lit
        if key not in self._known:
            self._known[key] = self._made(segment.style, lit=segment.lit)
        return self._known[key]

    def _made(self, style: Style, *, lit: bool) -> int:
        ink = INKS[style]
        if lit and self._colours < RICH:
            return int(curses.A_REVERSE)  # one bar: badges in reversed colours would be a rainbow
        attribute = int(self._pairs.get(f"{style} lit" if lit else style, 0))
        attribute |= curses.A_BOLD if ink.bold else 0
        attribute |= curses.A_DIM if ink.faint and self._colours < RICH else 0
        attribute |= curses.A_UNDERLINE if style == "bad" and not self._colours else 0
        return attribute | (curses.A_REVERSE if ink.turned else 0)


def _pairs(colours: int) -> list[tuple[str, int, int]]:
    """A name, its colour, its ground."""
    if not colours:
        return []
    if colours < RICH:
        return [(style, ink.plain, _OWN) for style, ink in INKS.items()]
    own = [(style, ink.rich, _OWN) for style, ink in INKS.items()]
    return own + [(f"{style} lit", ink.lit, _GROUND) for style, ink in INKS.items()]


def _manager(colours: int) -> Any:
    """The colours of a theme are read from its class."""
    pairs = _pairs(colours)
    names = {name: name for name, _, _ in pairs} | {"DEFAULT": "WHITE_BLACK", "FORMDEFAULT": "WHITE_BLACK"}
    return type(
        "SandoTheme", (npyscreen.ThemeManager,), {"_colors_to_define": tuple(pairs), "default_colors": names}
    )
