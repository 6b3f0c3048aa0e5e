"""The small changes that every answer to a key is made of. Pure."""

from typing import TypeAlias

from msgspec.structs import replace

from tui.model.effects import Effect
from tui.model.screen import Note, Overlay, Screen
from tui.rows import Style

Step: TypeAlias = tuple[Screen, tuple[Effect, ...]]
"""The next screen, and what it wants done."""


def stay(screen: Screen) -> Step:
    return screen, ()


def noted(screen: Screen, text: str, style: Style = "warn") -> Screen:
    return replace(screen, note=Note(text, style, screen.now))


def over(screen: Screen, overlay: Overlay | None) -> Screen:
    return replace(screen, overlay=overlay, typing=None)


def numbered(screen: Screen) -> tuple[Screen, int]:
    """A number for a question whose answer will be told from those of older ones."""
    return replace(screen, serial=screen.serial + 1), screen.serial + 1
