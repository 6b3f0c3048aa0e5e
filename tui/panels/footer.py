"""The last row: the keys that work now, or the line that is being typed. Above it, what was answered. Pure."""

from tui import text as t
from tui.glyphs import CARET
from tui.model.keys import TABLE, Binding, place
from tui.model.screen import Screen
from tui.panels import header
from tui.rows import Row, Segment, Style, fitted

MOST_LINES = 3


def row(screen: Screen) -> Row:
    size = screen.size.width
    hints = [b for b in TABLE[place(screen)] if b.word(screen) and not b.lacks(screen)]
    typed = _typed(screen, size // 2)
    room = size - 1 - sum(t.cells(s.text) for s in typed)
    return fitted((Segment(" "), *typed, *_hints(screen, hints, room)), size)


def _hints(screen: Screen, hints: list[Binding], room: int) -> list[Segment]:
    """The least needed give way; what stays keeps its order."""
    words = {b.keys: (b.name, b.word(screen)) for b in hints}
    kept: list[Binding] = []
    for hint in sorted(hints, key=lambda b: b.rank):
        used = sum(t.cells(" ".join(words[b.keys])) + 2 for b in [*kept, hint])
        if used - 2 <= room:
            kept.append(hint)
    made: list[Segment] = []
    for hint in (b for b in hints if b in kept):
        name, word = words[hint.keys]
        made += [Segment("  " if made else ""), Segment(name, "accent"), Segment(f" {word}", "dim")]
    return made


def _typed(screen: Screen, room: int) -> list[Segment]:
    """The end of what is typed is what is seen; a reason is shown in its question."""
    typing = screen.typing
    if typing is None or typing.what == "reason":
        return []
    return [Segment(f"{typing.what}: ", "accent"), *caret(typing.text, room), Segment("  ")]


def caret(text: str, room: int) -> list[Segment]:
    text = t.clean(text)
    over = t.cells(text) - room + 1
    shown = t.CUT + t.behind(text, over + 1) if over > 0 else text
    return [Segment(shown, "strong"), Segment(CARET, "accent")]


def notes(screen: Screen) -> list[Row]:
    """What is wrong with the daemon, then what was answered last: told whole, or in one row where it is of an operation."""
    made: list[tuple[list[str], Style]] = []
    size = screen.size.width - 2
    trouble, note = screen.link.trouble, screen.note
    if trouble and screen.state is not None:
        told = f"{trouble.detail}; {header.retry(screen)}{f' — {trouble.hint}' if trouble.hint else ''}"
        made.append((_few(told, size), "bad"))
    if note:
        made.append(
            (_few(note.text, size) if note.operation is None else [t.cut(note.text, size)], note.style)
        )
    return [
        fitted((Segment(" "), Segment(line, style)), screen.size.width)
        for lines, style in made
        for line in lines
    ]


def _few(text: str, size: int) -> list[str]:
    lines = t.wrap(text, size)
    if len(lines) > MOST_LINES:
        lines = [*lines[: MOST_LINES - 1], t.cut(" ".join(lines[MOST_LINES - 1 :]), size)]
    return lines
