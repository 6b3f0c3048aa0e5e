"""The one function of the screen: what it was, and what it hears, make what it is, and what it wants done. Pure."""

from typing import assert_never

from msgspec.structs import replace

from tui.model import arrivals, asking, keys, reading, watching, writing
from tui.model.messages import (
    Answered,
    Arrived,
    Asked,
    Broken,
    Feed,
    Heard,
    HistoryPage,
    Key,
    LogMore,
    Lost,
    Message,
    Outcome,
    Painted,
    Pasted,
    Planned,
    Resized,
    Tick,
)
from tui.model.screen import Help, Question, Screen, Size
from tui.model.steps import Step, replied, stay

NOTE_S = 1.0
"""A note is read this long at least before a key takes it away."""
RUSHED = "that y came among other keys, or before the question stood as it does now: strike it alone"


def reduce(screen: Screen, told: Message) -> Step:
    after, wanted = _heard(screen, told)
    return _still_so(screen, after), wanted


def _heard(screen: Screen, told: Message) -> Step:
    match told:
        case Key(_, rushed=True) if keys.place(screen) == "question":
            return stay(replied(_read(screen), RUSHED))
        case Key(name):
            return keys.struck(_read(screen), name)
        case Pasted(text):
            return writing.typed(screen, text) if keys.place(screen) == "typing" else stay(screen)
        case Tick():
            return arrivals.ticked(screen, told)
        case Painted():
            return stay(_painted(screen, told))
        case Resized(width, height):
            return stay(_resized(screen, Size(width, height)))
        case Asked():
            return arrivals.asked(screen)
        case Arrived():
            return arrivals.arrived(screen, told)
        case Lost():
            return arrivals.lost(screen, told)
        case Feed():
            return arrivals.feed(screen, told)
        case Heard():
            return arrivals.heard(screen, told)
        case Planned():
            return asking.planned(screen, told)
        case Outcome():
            return watching.told(screen, told)
        case Answered():
            return asking.answered(screen, told)
        case LogMore():
            return reading.log_more(screen, told)
        case HistoryPage():
            return reading.history_page(screen, told)
        case Broken():
            return arrivals.broken(screen, told)
        case _:
            assert_never(told)


def _still_so(before: Screen, after: Screen) -> Screen:
    """A note of a question ends with it; one that says what is missing ends when that is not missing any more."""
    note = after.note
    if note is None or note.question is None or note != before.note:
        return after
    was, now = _asked(before, note.question), _asked(after, note.question)
    if now is None or (
        was and note.text == asking.why_not(before, was) and note.text != asking.why_not(after, now)
    ):
        return replace(after, note=None)
    return after


def _asked(screen: Screen, number: int) -> Question | None:
    question = screen.overlay
    return question if isinstance(question, Question) and question.number == number else None


def _read(screen: Screen) -> Screen:
    note = screen.note
    if note and (screen.now - note.at).total_seconds() >= NOTE_S:
        return replace(screen, note=None)
    return screen


def _resized(screen: Screen, size: Size) -> Screen:
    """A question that was hidden, or will look otherwise, has to be seen again: a key may be older than that."""
    overlay = screen.overlay
    if isinstance(overlay, Question):
        overlay = replace(overlay, seen=False)
    return replace(screen, size=size, overlay=overlay)


def _painted(screen: Screen, told: Painted) -> Screen:
    """Only what has been on the screen can be agreed to, or scrolled past."""
    extents, overlay = told.extents, screen.overlay
    if isinstance(overlay, Question) and not screen.size.small:
        top = min(overlay.top, extents.overlay_bottom)
        overlay = replace(overlay, top=top, seen=overlay.phase == "ready" and screen.typing is None)
    elif isinstance(overlay, Help):
        overlay = replace(overlay, top=min(overlay.top, extents.overlay_bottom))
    top = min(screen.nodes_top, extents.nodes_bottom)
    return replace(screen, extents=extents, overlay=overlay, nodes_top=top)
