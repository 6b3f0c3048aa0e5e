"""The signs of the screen. Each is one column wide everywhere, and has one ASCII character that stands for it. Pure."""

from tui.text import CUT, ascii_only

CORNERS = "╭╮╰╯"
ACROSS = "─"
DOWN = "│"
ARROW = "→"
MARK = "▌"  # before the row that is selected
UP = "●"
AWAY = "○"
NONE = "—"
PASSED = "✓"
FAILED = "✗"
RUNNING = "»"
PENDING = "·"
WAITING = "?"  # a gate that waits for a person
FULL = "█"
EMPTY = "░"
CARET = "▏"

_ASCII = str.maketrans(
    {
        **dict.fromkeys(CORNERS, "+"),
        ACROSS: "-", DOWN: "|", ARROW: ">", MARK: ">", UP: "*", AWAY: "o", NONE: "-", CUT: "~", PASSED: "+", FAILED: "x",
        RUNNING: ">", PENDING: ".", FULL: "#", EMPTY: ".", CARET: "_", "↑": "^", "↓": "v", "←": "<",
    }
)  # fmt: skip


def in_ascii(text: str) -> str:
    """The same columns for a terminal without Unicode; what has no sign of its own is `?`."""
    return text if text.isascii() else ascii_only(text.translate(_ASCII))
