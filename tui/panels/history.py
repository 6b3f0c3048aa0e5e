"""What was done on a tier, newest first: when, what, to which version, how it ended, who wanted it and why. Pure."""

from sando.client.shapes import Operation
from sando.model.clock import span
from tui import text as t
from tui.glyphs import MARK, NONE
from tui.model.commands import in_keys
from tui.model.outcome import standing, stopping
from tui.model.screen import History, Screen
from tui.panels.frame import Cell, Column, Flex, cell, framed, table
from tui.panels.header import moment
from tui.rows import Row, Segment, Style, lit

COLUMNS = (
    Column("", 1, 1), Column("WHEN", 12, 12), Column("ID", 3, 9), Column("WHAT", 7, 8), Column("VERSION", 7, 24),
    Column("STATUS", 13, 24), Column("TOOK", 4, 8), Column("WHO", 6, 16), Column("WHY", 8, 200, takes_rest=True),
)  # fmt: skip
DETAIL = 3
"""Rows at the bottom that are kept free for what is said of the selected one, so that nothing moves when it is."""
_STATUS: dict[str, Style] = {
    "succeeded": "ok", "failed": "bad", "errored": "bad", "running": "busy", "queued": "busy", "superseded": "dim",
}  # fmt: skip


def panel(screen: Screen, history: History, size: tuple[int, int]) -> list[Row]:
    room = max(1, size[1] - 3 - DETAIL)
    every = history.operations
    first = min(max(0, history.at - room // 2), max(0, len(every) - room))
    title = f"History of tier {history.tier}"
    if not every:
        return framed(title, _nothing(history), size, focused=True)
    part = every[first : first + room]
    heading, *rows = table(
        COLUMNS, [_row(screen, o, chosen=o == every[history.at]) for o in part], size[0] - 4
    )
    chosen = history.at - first
    below = _detail(part[chosen], rows[chosen], size[0] - 4)
    rows[chosen] = lit(rows[chosen])
    shown = [heading, *rows, *((),) * (room - len(rows)), *below]
    return framed(title, shown, size, right=_words(history, first, room), focused=True)


def _detail(operation: Operation, row: Row, width: int) -> list[Row]:
    """Why, of the one that is selected, where its row has no room for it."""
    if not "".join(s.text for s in row).rstrip().endswith(t.CUT):
        return []
    first, *rest = t.wrap(_why(operation), width)
    lines = [first, t.cut(" ".join(rest), width)] if rest else [first]
    return [(), *((Segment(line),) for line in lines)]


def _words(history: History, first: int, room: int) -> str:
    below = max(0, len(history.operations) - first - room)
    more = "+" if history.more is not None else ""
    words = [f"{history.at + 1} of {len(history.operations)}{more}"]
    words += [f"{below}{more} older below"] if below else []
    words += ["reading ..."] if history.loading else [history.trouble] if history.trouble else []
    return ", ".join(words)


def _row(screen: Screen, operation: Operation, *, chosen: bool) -> list[Cell]:
    return [
        cell(MARK if chosen else "", "accent"), cell(moment(screen, operation.created_at), "dim"), cell(str(operation.id), "dim"),
        cell(operation.kind), cell(operation.version or (operation.sha or "")[:7] or NONE, "strong"),
        _status(operation),
        cell(_took(operation), "dim"), cell(operation.actor), cell(_why(operation)),
    ]  # fmt: skip


def _status(operation: Operation) -> Cell:
    """Where there is little room, the going back and the stop are said shorter, and never left out."""
    whole, style = standing(operation), _STATUS.get(operation.status, "warn")
    if whole == operation.status:
        return cell(whole, style)

    def made(room: int) -> Row:
        short = f"{t.cut(operation.status, room - 6)}, back" if operation.rolled_back else "stopping"
        return cell(whole if t.cells(whole) <= room else short, style)

    return Flex(t.cells(whole), made)


def _took(operation: Operation) -> str:
    if operation.started_at is None or operation.finished_at is None:
        return ""
    return span((operation.finished_at - operation.started_at).total_seconds())


def _why(operation: Operation) -> str:
    subject = operation.details.get("subject")
    error = in_keys((operation.error or "").partition("\n")[0])
    words = [operation.reason, str(subject) if subject else "", error, stopping(operation)]
    if operation.superseded_by is not None:
        words.append(f"superseded by {operation.superseded_by}")
    if operation.recovered:
        words.append("recovered")
    return "; ".join(w for w in words if w)


def _nothing(history: History) -> list[Row]:
    if history.trouble:
        return [(Segment(line, "bad"),) for line in t.wrap(history.trouble, 70)]
    return [(Segment("reading ..." if history.loading else "nothing was ever done on this tier", "dim"),)]
