"""A line that is being typed: the filter, a search in a log, the reason of an act. Typed keys are text and nothing else."""

from msgspec.structs import replace

from tui.model import reading
from tui.model.moving import settled
from tui.model.screen import LogView, Question, Screen, Typing
from tui.model.steps import Step, stay

MOST = {"filter": 80, "search": 80, "reason": 1000}


def begin_filter(screen: Screen) -> Step:
    return stay(replace(screen, typing=Typing("filter", screen.filter, screen.filter, screen.selected)))


def begin_search(screen: Screen) -> Step:
    log = screen.overlay
    if not isinstance(log, LogView):
        return stay(screen)
    return stay(replace(screen, typing=Typing("search", "", log.search)))


def begin_reason(screen: Screen) -> Step:
    question = screen.overlay
    if not isinstance(question, Question) or question.phase not in {"asking", "ready"}:
        return stay(screen)
    return stay(replace(screen, typing=Typing("reason", question.reason, question.reason)))


def typed(screen: Screen, text: str) -> Step:
    """Characters, one or pasted; what is no text is a space."""
    typing = screen.typing
    if typing is None:
        return stay(screen)
    text = "".join(c if c.isprintable() else " " for c in text)
    return stay(_with(screen, (typing.text + text)[: MOST[typing.what]]))


def erase(screen: Screen) -> Step:
    return stay(_with(screen, screen.typing.text[:-1])) if screen.typing else stay(screen)


def erase_word(screen: Screen) -> Step:
    return (
        stay(_with(screen, screen.typing.text.rstrip().rpartition(" ")[0])) if screen.typing else stay(screen)
    )


def erase_all(screen: Screen) -> Step:
    return stay(_with(screen, ""))


def _with(screen: Screen, text: str) -> Screen:
    """The filter narrows with each key, from the tier that was selected; the other two count when they are finished."""
    typing = screen.typing
    if typing is None:
        return screen
    screen = replace(screen, typing=replace(typing, text=text))
    if typing.what != "filter":
        return screen
    return settled(replace(screen, filter=text, selected=typing.selected))


def finish(screen: Screen) -> Step:
    typing, overlay = screen.typing, screen.overlay
    screen = replace(screen, typing=None)
    match typing, overlay:
        case Typing(what="reason"), Question():
            return stay(replace(screen, overlay=replace(overlay, reason=typing.text.strip(), seen=False)))
        case Typing(what="search"), LogView():
            overlay = replace(overlay, search=typing.text)
            return reading.found(replace(screen, overlay=overlay), 1, here=True)
        case _:
            return stay(screen)


def give_up(screen: Screen) -> Step:
    """As it was before; a filter is lifted."""
    typing, overlay = screen.typing, screen.overlay
    screen = replace(screen, typing=None)
    match typing, overlay:
        case Typing(what="filter"), _:
            return stay(settled(replace(screen, filter="", selected=typing.selected)))
        case Typing(what="search"), LogView():
            return stay(replace(screen, overlay=replace(overlay, search="")))
        case Typing(what="reason"), Question(act="lock", reason=""):
            return stay(replace(screen, overlay=None))
        case _:
            return stay(screen)
