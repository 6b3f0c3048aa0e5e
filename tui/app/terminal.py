"""The terminal as it is found and as it is left: what it can, its size, its modes, and the signals that concern it."""

import contextlib
import curses
import fcntl
import locale
import os
import select
import signal
import struct
import sys
import termios
from collections.abc import Callable, Mapping
from types import FrameType

_PASTE_ON, _PASTE_OFF = b"\x1b[?2004h", b"\x1b[?2004l"
NEEDED = ("cup", "clear")


class TerminalError(Exception):
    """The screen cannot be shown here; the text says why, and what would help."""


def check(environ: Mapping[str, str]) -> None:
    """Before anything is written: raises TerminalError."""
    if not (sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty()):
        raise TerminalError(
            "the screen needs a terminal for its input and output; `sando --help` lists the commands"
        )
    name = environ.get("TERM", "")
    try:
        curses.setupterm(name or "unknown", sys.stdout.fileno())
    except curses.error:
        raise TerminalError(
            f"nothing is known about the terminal TERM={name!r}; try TERM=xterm or TERM=vt100"
        ) from None
    if not all(curses.tigetstr(ability) for ability in NEEDED):
        raise TerminalError(f"the terminal TERM={name!r} cannot place text; use another one")


def knows_unicode() -> bool:
    """As curses will see it: Python's own idea of the encoding is UTF-8 even where the locale is C."""
    locale.setlocale(locale.LC_ALL, "")
    return locale.nl_langinfo(locale.CODESET).upper().replace("-", "") == "UTF8"


def size() -> tuple[int, int]:
    """Columns and lines."""
    with contextlib.suppress(OSError):
        packed = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        lines, columns, _, _ = struct.unpack("HHHH", packed)
        if lines and columns:
            return columns, lines
    return curses.COLS, curses.LINES


class Modes:
    """What curses does not set: pasted text is marked as such, and Ctrl-S stops nothing."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno()

    def enter(self) -> None:
        with contextlib.suppress(termios.error):
            modes = termios.tcgetattr(self._fd)
            modes[0] &= ~termios.IXON
            termios.tcsetattr(self._fd, termios.TCSADRAIN, modes)
            curses.def_prog_mode()
        self._write(_PASTE_ON)

    def leave(self) -> None:
        self._write(_PASTE_OFF)

    def _write(self, code: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), code)


class Bell:
    """Wakes the one who waits for keys, from any thread and from signal handlers."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self._poll = select.poll()
        self._poll.register(sys.stdin.fileno(), select.POLLIN)
        self._poll.register(self._out, select.POLLIN)
        self.hung_up = False

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: somebody has rung already
            os.write(self._in, b"x")

    def wait(self, seconds: float) -> None:
        """Until a key, a ring, or so many seconds."""
        for fd, event in self._poll.poll(max(0.0, seconds) * 1000):
            if fd == self._out:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._out, 4096)
            elif event & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
                self.hung_up = True


ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Signals:
    """They only leave a mark and ring; whoever waits sees to it. A second one that ends does not wait for that."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self.ended_by = 0
        self.resized = False
        self.stopped = False

    def install(self) -> None:
        for number in (*ENDS, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGWINCH, self._mark_size)
        signal.signal(signal.SIGTSTP, self._mark_stop)

    def suspend(self) -> None:
        """As any other program stops; goes on here when it is continued."""
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)
        signal.signal(signal.SIGTSTP, self._mark_stop)
        self.stopped = False
        self.resized = True

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self.ended_by:
            raise SystemExit(128 + number)
        self.ended_by = number
        self._ring()

    def _mark_size(self, _number: int, _frame: FrameType | None) -> None:
        self.resized = True
        self._ring()

    def _mark_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopped = True
        self._ring()
