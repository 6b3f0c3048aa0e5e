"""`sando` without arguments: the screen from its first byte to the last, and the terminal whole after any end."""

import contextlib
import curses
import os
import sys
from typing import Any

import npyscreen

from sando.client.address import Address, AddressError, of_environment
from tui.app import terminal
from tui.app.canvas import Canvas, Face
from tui.app.show import Show
from tui.app.theme import Theme, choose
from tui.client.crew import Crew

USAGE = 2


class Program(npyscreen.NPSAppManaged):  # type: ignore[misc]
    """npyscreen starts and ends curses, and runs the one form; all else is elsewhere."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self.address = address
        self.bell = terminal.Bell()
        self.signals = terminal.Signals(self.bell.ring)
        self.modes = terminal.Modes()
        self.crew: Crew | None = None

    def onStart(self) -> None:  # noqa: N802  (npyscreen's name)
        curses.mousemask(0)  # npyscreen has taken it, and with it the terminal's own way to copy text
        self.signals.install()
        self.modes.enter()
        theme = Theme(choose(colourless=bool(os.environ.get("NO_COLOR"))))
        face: Any = self.addForm(
            "MAIN", Face, theme=theme, bell=self.bell, signals=self.signals, modes=self.modes
        )
        canvas: Canvas = face.canvas
        show = Show(self.address.url, canvas, self.bell.ring, unicode=terminal.knows_unicode())
        self.crew = Crew(self.address, show.post)
        show.begin(canvas.size, self.crew.do)
        canvas.show = show
        self.crew.start()


def main() -> int:
    """The exit code: 0, 2 where it cannot be shown at all, 128 and more when a signal ended it."""
    try:
        address = of_environment(os.environ)
        terminal.check(os.environ)
    except (AddressError, terminal.TerminalError) as error:
        print(f"sando: {error}", file=sys.stderr)  # noqa: T201  (there is no screen to say it on)
        return USAGE
    os.environ.setdefault("ESCDELAY", "25")  # curses would wait a second after each Escape
    program = Program(address)
    try:
        program.run(fork=False)
    except curses.error as error:
        if not program.bell.hung_up:
            raise
        program.signals.ended_by = program.signals.ended_by or 1
        del error
    finally:
        if program.crew:
            program.crew.stop()
        with contextlib.suppress(OSError):
            program.modes.leave()
    return _code(program)


def _code(program: Program) -> int:
    """Ctrl-C is one of the ways to quit; a terminal that is gone has said so by SIGHUP."""
    number = program.signals.ended_by
    return 0 if number in {0, 2} else 128 + number
