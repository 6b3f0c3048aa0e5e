"""The one widget of the one form: rows onto the terminal, keys off it. All that npyscreen would do itself is left out."""

import codecs
import curses
import time
from typing import Any

import npyscreen

from tui.app import terminal
from tui.app.keyboard import Keyboard, Stroke
from tui.app.show import ESCAPE_S, Show
from tui.app.theme import Theme
from tui.panels.picture import Picture
from tui.rows import Row
from tui.text import cells

LAST_BYTE = 255
SPARE = 8
"""Columns beyond the last: a character that this terminal takes for wider than we do must not break its row."""
_NAMES = {
    curses.KEY_UP: "up", curses.KEY_DOWN: "down", curses.KEY_LEFT: "left", curses.KEY_RIGHT: "right",
    curses.KEY_PPAGE: "page-up", curses.KEY_NPAGE: "page-down", curses.KEY_HOME: "home", curses.KEY_END: "end",
    curses.KEY_BTAB: "shift-tab", curses.KEY_ENTER: "enter", curses.KEY_BACKSPACE: "backspace",
}  # fmt: skip
_MORE_NAMES = {b"kcbt2": "shift-tab"}
"""Keys that have no number of their own, by the name that the terminal's description gives them."""


class Canvas(npyscreen.widget.Widget):  # type: ignore[misc]
    """npyscreen's key loop runs here, with our way to wait: for keys and news at once, and for sequences whole."""

    how_exited = None
    show: Show

    def __init__(self, screen: Any, **words: Any) -> None:
        super().__init__(screen, check_value_change=False, check_cursor_move=False, **words)
        self._keyboard = Keyboard()
        self._decoder = codecs.getincrementaldecoder("utf-8" if terminal.knows_unicode() else "ascii")(
            "ignore"
        )
        self._struck_at = 0.0
        self._shown: tuple[Row, ...] = ()

    def set_size(self) -> None:
        """Stock widgets raise where there is little room; here the picture says so."""
        self.height, self.width = self.parent.curses_pad.getmaxyx()

    def set_up_handlers(self) -> None:
        """None: a handler of npyscreen is looked for by seven bits of a key, so that PageDown would be `R`."""
        self.handlers: dict[int, Any] = {}
        self.complex_handlers: list[Any] = []

    def update(self, clear: bool = False) -> None:
        """Painted by `display`, as a whole."""

    def clear(self, usechar: str = " ") -> None:
        pass

    def display(self) -> None:
        self.show.paint()

    def get_and_use_key_press(self) -> None:
        self.show.turn()
        program = self.parent.parentApp
        if self.parent.signals.stopped:
            self.parent.suspend()
            self._shown = ()
        if self.show.leaving or self.parent.signals.ended_by or self.parent.bell.hung_up:
            program.switchForm(None)

    # -- a window, as the show knows it ----------------------------------------------------------------------

    @property
    def unfinished(self) -> bool:
        return self._keyboard.waiting

    def wait(self, seconds: float) -> None:
        self.parent.bell.wait(seconds)

    def strokes(self) -> list[Stroke]:
        """All that was struck by now; what comes after the signal that ends it is the shell's.

        Bytes are put together here: curses would drop a character that comes in two pieces, and swallow what follows
        a byte that is none.
        """
        pad, made = self.parent.curses_pad, []
        pad.keypad(True)
        pad.nodelay(True)
        while not self.parent.signals.ended_by and (got := pad.getch()) >= 0:
            self._struck_at = time.monotonic()
            if got <= LAST_BYTE:
                made += self._keyboard.feed(self._decoder.decode(bytes([got])))
            elif name := _NAMES.get(got) or _MORE_NAMES.get(curses.keyname(got)):
                made += self._keyboard.named(name)
        if self._keyboard.waiting and time.monotonic() >= self._struck_at + ESCAPE_S:
            made += self._keyboard.rest()
        return made

    def resized(self) -> tuple[int, int] | None:
        if not self.parent.signals.resized:
            return None
        self.parent.signals.resized = False
        self.parent.fit()
        self.set_size()
        self._shown = ()
        return self.size

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as curses was told them: the terminal may have others by now, and a signal under way."""
        columns, lines = self.parent.size
        return int(columns), int(lines)

    def paint(self, picture: Picture, *, whole: bool) -> None:
        """The rows that have changed; curses sends the characters of them that have."""
        pad = self.parent.curses_pad
        if whole:
            pad.erase()
            pad.clearok(True)
            self._shown = ()
        for place, row in enumerate(picture.rows):
            if place >= len(self._shown) or self._shown[place] != row:
                self._put(place, row)
        self._shown = picture.rows
        self.parent.refresh()

    def _put(self, place: int, row: Row) -> None:
        pad, theme, column = self.parent.curses_pad, self.parent.theme, 0
        pad.move(place, 0)
        pad.clrtoeol()
        for segment in row:
            pad.addstr(place, column, segment.text, theme.attribute(segment))
            column += cells(segment.text)


class Face(npyscreen.FormBaseNew):  # type: ignore[misc]
    """As large as the terminal, without a frame; it repaints nothing of its own accord."""

    FRAMED = False
    ALLOW_RESIZE = False
    FIX_MINIMUM_SIZE_WHEN_CREATED = False
    size = (0, 0)

    def __init__(self, **words: Any) -> None:
        self.theme: Theme = words.pop("theme")
        self.bell: terminal.Bell = words.pop("bell")
        self.signals: terminal.Signals = words.pop("signals")
        self.modes: terminal.Modes = words.pop("modes")
        super().__init__(minimum_lines=1, minimum_columns=1, **words)

    def create(self) -> None:
        self.canvas = self.add(Canvas)

    def set_up_handlers(self) -> None:
        self.handlers: dict[int, Any] = {}
        self.complex_handlers: list[Any] = []

    def fit(self) -> None:
        """A pad for the size that the terminal has now. curses is told: it believes LINES and COLUMNS, wherever set."""
        self.size = columns, lines = terminal.size()
        curses.resizeterm(lines, columns)
        self.curses_pad = curses.newpad(lines + 1, columns + SPARE)

    def _create_screen(self) -> None:
        self.fit()

    def _max_physical(self) -> tuple[int, int]:
        columns, lines = self.size
        return lines - 1, columns - 1

    def display(self, clear: bool = False) -> None:
        pass

    def DISPLAY(self) -> None:  # noqa: N802  (npyscreen's name)
        pass

    def on_screen(self) -> None:
        pass

    def refresh(self) -> None:
        last_line, last_column = self._max_physical()
        npyscreen.npyspmfuncs.hide_cursor()
        self.curses_pad.noutrefresh(0, 0, 0, 0, last_line, last_column)
        curses.doupdate()

    def suspend(self) -> None:
        """Ctrl-Z: the shell gets its terminal as it was, and we take it again as it is then."""
        self.modes.leave()
        curses.endwin()
        self.signals.suspend()
        curses.reset_prog_mode()
        self.modes.enter()
