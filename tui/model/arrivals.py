"""What the daemon told: the state, its absence, events. It keeps what is known, and says how old that is. Pure."""

from datetime import timedelta

from msgspec.structs import replace

from sando.client.shapes import Event, State
from tui.model import aborting, asking, lacking, replanning, watching
from tui.model.effects import Refresh
from tui.model.messages import Arrived, Broken, Feed, Heard, Lost, Tick
from tui.model.moving import settled
from tui.model.screen import Note, Question, Screen
from tui.model.steps import Step, noted, stay

GOOD_NEWS_S = 8.0
ASKING = "asking sandod ..."


def ticked(screen: Screen, told: Tick) -> Step:
    screen = replace(screen, now=told.now)
    note = screen.note
    if note and note.style == "ok" and (told.now - note.at).total_seconds() > GOOD_NEWS_S:
        screen = replace(screen, note=None)
    return stay(screen)


def refresh(screen: Screen) -> Step:
    """A person wants to know, and is told until the answer has come."""
    return replace(screen, note=Note(ASKING, "busy", screen.now, passing=True)), (Refresh(),)


def asked(screen: Screen) -> Step:
    return stay(replace(screen, link=replace(screen.link, asked_at=screen.now)))


def arrived(screen: Screen, told: Arrived) -> Step:
    screen = _not_silent(screen)
    link = replace(screen.link, answered_at=screen.now, asked_at=None, trouble=None, retry_at=None)
    if told.state:
        link = replace(link, ahead=told.state.now - screen.now)
        screen = replace(screen, state=told.state)
    screen = replace(screen, link=link, operations={o.id: o for o in told.operations})
    screen, wanted = watching.looked(settled(screen))
    screen, more = aborting.looked(screen)
    screen, plans = replanning.looked(screen)
    return screen, (*wanted, *more, *plans)


def _not_silent(screen: Screen) -> Screen:
    """Who wanted to know is told that sandod has answered; that it does not is said no longer."""
    if _was_wanted(screen):
        said = f"sandod answered at {screen.now:%H:%M:%S}"
        return replace(screen, note=Note(said, "ok", screen.now, passing=True))
    silent = screen.note is not None and screen.note.text == lacking.unreached(screen)
    return replace(screen, note=None) if silent else screen


def lost(screen: Screen, told: Lost) -> Step:
    """What is wrong is shown as long as it is: there is nothing left to say to whoever wanted to know."""
    if _was_wanted(screen):
        screen = replace(screen, note=None)
    retry = screen.now + timedelta(seconds=told.retry_s)
    return stay(
        replace(screen, link=replace(screen.link, asked_at=None, trouble=told.trouble, retry_at=retry))
    )


def _was_wanted(screen: Screen) -> bool:
    """By a person, and asked since: an answer that was under way before is to an older question."""
    note, at = screen.note, screen.link.asked_at
    return note is not None and note.text == ASKING and at is not None and at >= note.at


def feed(screen: Screen, told: Feed) -> Step:
    return stay(replace(screen, link=replace(screen.link, feed=told.up, feed_trouble=told.detail)))


def heard(screen: Screen, told: Heard) -> Step:
    """A Reset brings the state itself; what was heard before it stays to be read."""
    stream, state = screen.stream, screen.state
    run: list[Event] = []
    for event in told.events:
        if event.type == "Reset" and event.state is not None:
            stream = stream.heard(run).anew(event.state.seq, "what happened in between is not known any more")
            run, state = [], event.state
        else:
            run.append(event)
    screen = replace(screen, stream=stream.heard(run))
    if state is not screen.state:
        screen = _taken(screen, state)
    wanted = asking.shaken(screen, told.events)
    if wanted and isinstance(screen.overlay, Question):
        screen = replace(screen, overlay=replace(screen.overlay, again=True))
    return screen, wanted


def _taken(screen: Screen, state: State | None) -> Screen:
    return settled(replace(screen, state=state))


def broken(screen: Screen, told: Broken) -> Step:
    return stay(noted(screen, f"a part of this screen failed: {told.detail}", "bad"))
