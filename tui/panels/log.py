"""The output of an operation, line by line, cut with a sign where a line is longer; what was searched for is lit. Pure."""

from sando.client.shapes import Operation
from tui import text as t
from tui.model.outcome import doing, standing
from tui.model.reading import lines_of
from tui.model.screen import LogView, Screen
from tui.panels.frame import framed
from tui.rows import Row, Segment, Style

_STATUS: dict[str, Style] = {
    "succeeded": "ok",
    "failed": "bad",
    "errored": "bad",
    "running": "busy",
    "queued": "busy",
}


def height(size: tuple[int, int]) -> int:
    return max(1, size[1] - 2)


def panel(_screen: Screen, log: LogView, size: tuple[int, int]) -> list[Row]:
    every, room = lines_of(log), height(size)
    last = max(0, len(every) - room)
    top = last if log.top is None else min(log.top, last)
    shown = [_line(line, log, size[0] - 4) for line in every[top : top + room]]
    below = max(0, len(every) - top - room)
    title = (
        f"Log of {doing(log.operation)}, {standing(log.operation)}"
        if log.operation
        else f"Log of tier {log.tier}"
    )
    style = _STATUS.get(log.operation.status, "warn") if log.operation else "strong"
    return framed(
        title, shown or _nothing(log), size, right=_words(log, len(every), below), focused=True, style=style
    )


def _words(log: LogView, count: int, below: int) -> str:
    words = [t.counted(count + log.dropped, "line")]
    if log.dropped:
        words.append(f"the first {log.dropped} are not kept here")
    if log.left:
        words.append(f"from column {log.left + 1}")
    if log.search:
        words.append(f"search {log.search!r}{_found_at(log)}")
    ended = log.complete or ended_of(log.operation)
    words.append(
        f"{below} below"
        if below
        else "the end"
        if ended
        else "following"
        if log.top is None
        else "standing still"
    )
    return ", ".join(words)


def _found_at(log: LogView) -> str:
    """Where it is not the first line that is shown: on the last page."""
    return "" if log.found is None or log.found == log.top else f" in line {log.dropped + log.found + 1}"


def ended_of(operation: Operation | None) -> bool:
    return operation is not None and operation.ended


def _line(line: str, log: LogView, room: int) -> Row:
    text = t.line_of_log(line)
    if log.left:
        text = t.CUT + t.behind(text, log.left + 1) if t.cells(text) > log.left else ""
    text = t.cut(text, room)
    style: Style = "dim" if line.startswith("sando: ") else "plain"
    return _lit(text, log.search, style)


def _lit(text: str, needle: str, style: Style) -> Row:
    """The search is blind to upper and lower case; where that changes the length of a text, nothing is lit."""
    low = text.lower()
    if not needle or len(low) != len(text):
        return (Segment(text, style),)
    made, at = [], 0
    while (place := low.find(needle.lower(), at)) >= 0:
        end = place + len(needle)
        made += [Segment(text[at:place], style), Segment(text[place:end], "found")]
        at = end
    return tuple(s for s in [*made, Segment(text[at:], style)] if s.text)


def _nothing(log: LogView) -> list[Row]:
    if log.trouble:
        return [(Segment(line, "bad"),) for line in t.wrap(log.trouble, 70)]
    return [(Segment("it has written nothing" if log.complete else "reading ...", "dim"),)]
