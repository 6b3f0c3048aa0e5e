"""What is read over the main screen: the log of an operation, the history of a tier, the help. It changes nothing. Pure."""

from msgspec.structs import replace

from sando.client.shapes import Operation
from tui.model.effects import AskHistory, Effect, FollowLog, StopLog
from tui.model.messages import HistoryPage, LogMore
from tui.model.screen import Help, History, LogView, Screen, in_flight
from tui.model.steps import Step, noted, numbered, over, stay

MOST_LINES = 50_000
LONGEST = 4000
"""Columns of a line that can be scrolled to; a log is read with `sando log` beyond that."""


# -- the log ------------------------------------------------------------------------------------------------


def open_log(screen: Screen) -> Step:
    """Of what runs on the selected tier, else of what ran there last."""
    tier = screen.tier
    if tier is None:
        return stay(screen)
    return _follow(screen, tier.name, in_flight(screen, tier), None)


def _follow(screen: Screen, tier: str, operation: int | None, back: History | None) -> Step:
    screen, number = numbered(screen)
    log = LogView(
        number, tier, screen.operations.get(operation) if operation is not None else None, back=back
    )
    return over(screen, log), (FollowLog(number, tier, operation),)


def log_more(screen: Screen, told: LogMore) -> Step:
    log = log_of(screen)
    if log is None or log.number != told.number:
        return stay(screen)
    if told.fresh:
        log = replace(log, lines=(), rest="", dropped=0, found=None)
    log = replace(_longer(log, told.text), trouble=told.trouble, complete=log.complete or told.complete)
    log = replace(log, operation=told.operation or log.operation)
    return stay(_with_log(screen, log))


def log_of(screen: Screen) -> LogView | None:
    """The log that is open, also where the help lies over it."""
    match screen.overlay:
        case LogView() as log:
            return log
        case Help(back=LogView() as log):
            return log
        case _:
            return None


def _with_log(screen: Screen, log: LogView) -> Screen:
    held = screen.overlay
    return replace(screen, overlay=replace(held, back=log) if isinstance(held, Help) else log)


def _longer(log: LogView, text: str) -> LogView:
    if not text:
        return log
    *new, rest = (log.rest + text).split("\n")
    lines = (*log.lines, *new)
    gone = max(0, len(lines) - MOST_LINES)
    top = None if log.top is None else max(0, log.top - gone)
    found = None if log.found is None or log.found < gone else log.found - gone
    dropped = log.dropped + gone
    return replace(log, lines=lines[gone:], rest=rest[-LONGEST:], dropped=dropped, top=top, found=found)


def lines_of(log: LogView) -> tuple[str, ...]:
    return (*log.lines, log.rest) if log.rest else log.lines


def scroll_log(screen: Screen, by: int, *, pages: bool = False) -> Step:
    log = screen.overlay
    if not isinstance(log, LogView):
        return stay(screen)
    height = max(1, screen.extents.log)
    last = max(0, len(lines_of(log)) - height)
    at = (last if log.top is None else log.top) + by * (height - 1 if pages else 1)
    return stay(replace(screen, overlay=replace(log, top=None if at >= last else max(0, at), found=None)))


def shift_log(screen: Screen, by: int) -> Step:
    log = screen.overlay
    if not isinstance(log, LogView):
        return stay(screen)
    return stay(replace(screen, overlay=replace(log, left=min(max(0, log.left + by), LONGEST))))


def follow_log(screen: Screen) -> Step:
    log = screen.overlay
    if not isinstance(log, LogView):
        return stay(screen)
    last = max(0, len(lines_of(log)) - max(1, screen.extents.log))
    return stay(replace(screen, overlay=replace(log, top=last if log.top is None else None, found=None)))


def found(screen: Screen, by: int, *, here: bool = False) -> Step:
    """To the next line with the text that is searched for, round the end if need be; the last page is the furthest."""
    log = screen.overlay
    if not isinstance(log, LogView) or not log.search:
        return stay(screen)
    needle, lines = log.search.lower(), lines_of(log)
    places = [i for i, line in enumerate(lines) if needle in line.lower()]
    if not places:
        screen = replace(screen, overlay=replace(log, found=None))
        return stay(noted(screen, f"{log.search!r} is not in this log"))
    last = max(0, len(lines) - max(1, screen.extents.log))
    at = log.found if log.found is not None else last if log.top is None else log.top
    if by > 0:
        to = next((p for p in places if p > at or (here and p == at)), places[0])
    else:
        to = next((p for p in reversed(places) if p < at), places[-1])
    return stay(replace(screen, overlay=replace(log, top=min(to, last), found=to), note=None))


def close_log(screen: Screen) -> Step:
    """Escape lifts a search first; a log that was opened from the history goes back there."""
    log = screen.overlay
    if not isinstance(log, LogView):
        return stay(screen)
    if log.search:
        return stay(replace(screen, overlay=replace(log, search="", found=None)))
    return over(screen, log.back), (StopLog(),)


# -- the history --------------------------------------------------------------------------------------------


def open_history(screen: Screen) -> Step:
    tier = screen.tier
    if tier is None:
        return stay(screen)
    screen, number = numbered(screen)
    return over(screen, History(number, tier.name)), (AskHistory(number, tier.name),)


def history_page(screen: Screen, told: HistoryPage) -> Step:
    match screen.overlay:
        case History() as history:
            return stay(replace(screen, overlay=_longer_history(history, told)))
        case LogView(back=History() as history) as log:
            return stay(replace(screen, overlay=replace(log, back=_longer_history(history, told))))
        case Help(back=History() as history) as help_:
            return stay(replace(screen, overlay=replace(help_, back=_longer_history(history, told))))
        case _:
            return stay(screen)


def _longer_history(history: History, told: HistoryPage) -> History:
    if history.number != told.number:
        return history
    if told.page is None:
        return replace(history, loading=False, trouble=told.trouble)
    known = {o.id for o in history.operations}
    operations = (*history.operations, *(o for o in told.page.operations if o.id not in known))
    return replace(history, operations=operations, more=told.page.next, loading=False, trouble="")


def move_history(screen: Screen, by: int) -> Step:
    """Near the end the next page is asked for."""
    history = screen.overlay
    if not isinstance(history, History):
        return stay(screen)
    last = max(0, len(history.operations) - 1)
    history = replace(history, at=min(max(history.at + by, 0), last))
    wanted: tuple[Effect, ...] = ()
    if history.more is not None and not history.loading and history.at + 5 > last:
        history = replace(history, loading=True)
        wanted = (AskHistory(history.number, history.tier, history.more),)
    return replace(screen, overlay=history), wanted


def chosen(history: History) -> Operation | None:
    return history.operations[history.at] if history.at < len(history.operations) else None


def open_chosen(screen: Screen) -> Step:
    history = screen.overlay
    if not isinstance(history, History) or (operation := chosen(history)) is None:
        return stay(screen)
    screen, wanted = _follow(screen, history.tier, operation.id, history)
    log = screen.overlay
    if isinstance(log, LogView):
        screen = replace(screen, overlay=replace(log, operation=operation))
    return screen, wanted


# -- the help -----------------------------------------------------------------------------------------------


def open_help(screen: Screen) -> Step:
    back = screen.overlay if isinstance(screen.overlay, LogView | History) else None
    return stay(replace(screen, overlay=Help(back=back)))


def close_help(screen: Screen) -> Step:
    help_ = screen.overlay
    return stay(replace(screen, overlay=help_.back if isinstance(help_, Help) else help_))
