"""The small changes that every answer to a key is made of. Pure."""

from typing import TypeAlias

from msgspec.structs import replace

from tui.model.effects import Effect
from tui.model.screen import Note, Overlay, Question, Screen
from tui.rows import Style

Step: TypeAlias = tuple[Screen, tuple[Effect, ...]]
"""The next screen, and what it wants done."""


def stay(screen: Screen) -> Step:
    return screen, ()


def noted(screen: Screen, text: str, style: Style = "warn") -> Screen:
    return replace(screen, note=Note(text, style, screen.now))


def replied(screen: Screen, text: str, style: Style = "warn") -> Screen:
    """To a key: where that was struck in a question, it is said there."""
    number = screen.overlay.number if isinstance(screen.overlay, Question) else None
    return replace(screen, note=Note(text, style, screen.now, number))


def over(screen: Screen, overlay: Overlay | None) -> Screen:
    return replace(screen, overlay=overlay, typing=None)


def numbered(screen: Screen) -> tuple[Screen, int]:
    """A number for a question whose answer will be told from those of older ones."""
    return replace(screen, serial=screen.serial + 1), screen.serial + 1
