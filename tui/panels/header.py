"""The first row: which daemon this is, whether it answers, how old what is shown is, what time it is. Pure."""

from datetime import datetime

from tui import text as t
from tui.glyphs import FAILED, UP
from tui.model.screen import Screen
from tui.rows import Row, Segment, Style, fitted

SLOW_S = 3.0


def row(screen: Screen) -> Row:
    sign, word, style = connection(screen)
    right = [
        Segment(f"{sign} {word}", style),
        Segment("   "),
        *_age(screen),
        Segment(f"{clock(screen, screen.now)} "),
    ]
    room = screen.size.width - sum(t.cells(s.text) for s in right)
    left = (Segment(" sando  ", "accent"), Segment(t.clean(screen.address), "strong"))
    return (*fitted(left, room - 2), Segment("  "), *right)


def connection(screen: Screen) -> tuple[str, str, Style]:
    """A sign, a word and its colour."""
    link, state = screen.link, screen.state
    if link.trouble and link.trouble.refused:
        return FAILED, "refused", "bad"
    if link.trouble:
        return FAILED, "away", "bad"
    if state is None:
        return UP, "connecting", "busy"
    if link.asked_at and (screen.now - link.asked_at).total_seconds() > SLOW_S:
        return UP, "slow", "warn"
    if state.daemon.draining:
        return UP, "stopping", "warn"
    return (UP, "live", "ok") if link.feed else (UP, "no events", "warn")


def retry(screen: Screen) -> str:
    """When the daemon is asked again."""
    at = screen.link.retry_at
    left = (at - screen.now).total_seconds() if at else 0.0
    return f"asked again in {left:.0f}s" if left >= 1 else "asking again"


def _age(screen: Screen) -> list[Segment]:
    at = screen.link.answered_at
    if at is None:
        return []
    if screen.stale:
        return [Segment(f"stale since {clock(screen, at)}", "bad"), Segment("   ")]
    return [Segment(f"state {screen.age_s:.0f}s ago", "dim"), Segment("   ")]


def clock(screen: Screen, at: datetime | None) -> str:
    """The time of day where the screen hangs."""
    return f"{at.astimezone(screen.now.tzinfo):%H:%M:%S}" if at else ""


def moment(screen: Screen, at: datetime | None) -> str:
    """With the day, where it was another one."""
    if at is None:
        return ""
    there = at.astimezone(screen.now.tzinfo)
    return f"{there:%H:%M:%S}" if there.date() == screen.now.date() else f"{there:%d %b %H:%M}"
