"""One turn after the other: wait, hear what came, reduce, do what is wanted, paint. It knows no curses."""

import queue
import time
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from tui.app.keyboard import Stroke
from tui.app.pace import CALM_S, Pace, rushed
from tui.model.effects import Effect, Leave, Repaint
from tui.model.messages import Message, Painted, Resized, Tick
from tui.model.reduce import reduce
from tui.model.screen import Overlay, Screen
from tui.panels.picture import Picture, draw

FRAME_S = 0.1
"""What happens is shown so often at most; what a key does is shown at once."""
ESCAPE_S = 0.05
"""So long the rest of a sequence may take to come."""
MOST_AT_ONCE = 500


class Window(Protocol):
    """The terminal, as far as this is concerned."""

    def wait(self, seconds: float) -> None: ...

    def strokes(self) -> list[Stroke]: ...

    @property
    def unfinished(self) -> bool:
        """The keyboard waits for the rest of a sequence."""
        ...

    def resized(self) -> tuple[int, int] | None:
        """The new size, once."""
        ...

    def paint(self, picture: Picture, *, whole: bool) -> None: ...


class Show:
    """`post` from any thread; all else on the one that holds the terminal."""

    def __init__(self, address: str, window: Window, ring: Callable[[], None], *, unicode: bool) -> None:
        self.screen = Screen(address)
        self.leaving = False
        self._window = window
        self._ring = ring
        self._unicode = unicode
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._do: Callable[[Effect], None] = lambda _: None
        self._dirty = True
        self._hasty = True
        self._whole = True
        self._painted_at = 0.0
        self._pace = Pace()
        self._struck_at: Overlay | None = None

    def begin(self, size: tuple[int, int], do: Callable[[Effect], None]) -> None:
        self._do = do
        self._tick()
        self._hear(Resized(*size))

    def post(self, message: Message) -> None:
        self._inbox.put(message)
        self._ring()

    def turn(self) -> None:
        self._window.wait(self._patience())
        self._tick()
        for stroke in self._strokes():  # before all else: they were struck at what is on the screen
            self._hasty = True
            self._hear(stroke)
        if size := self._window.resized():
            self._whole = self._hasty = True
            self._hear(Resized(*size))
        self._hear_all()

    def paint(self) -> None:
        """What has changed, if it is time to."""
        now = time.monotonic()
        if not self._dirty or (not self._hasty and now < self._painted_at + FRAME_S):
            return
        picture = draw(self.screen, unicode=self._unicode)
        self._window.paint(picture, whole=self._whole)
        self._dirty = self._hasty = self._whole = False
        self._painted_at = now
        self._hear(Painted(picture.extents))

    def _strokes(self) -> list[Stroke]:
        """An answer is kept back until it is known to be alone; it counts for the question that it was struck at."""
        kept = self._pace.keeps
        strokes = self._pace.struck(self._window.strokes(), time.monotonic())
        if self._pace.keeps and not kept:
            self._struck_at = self.screen.overlay
        elif kept and strokes and self.screen.overlay != self._struck_at:
            return [rushed(strokes[0]), *strokes[1:]]
        return strokes

    def _patience(self) -> float:
        """Until the clock has to be moved, what has changed may be shown, or a key is what it seems to be."""
        if self._pace.keeps:
            return CALM_S
        if self._window.unfinished:
            return ESCAPE_S
        if self._dirty:
            return 0.0 if self._hasty else self._painted_at + FRAME_S - time.monotonic()
        return 1.0 - self.screen.now.microsecond / 1e6 if self.screen.now.microsecond else 1.0

    def _tick(self) -> None:
        """Seconds are what is shown: within one, the clock changes nothing."""
        now = datetime.now().astimezone()
        moved = now.replace(microsecond=0) != self.screen.now.replace(microsecond=0)
        self.screen, _ = reduce(self.screen, Tick(now))
        self._dirty = self._dirty or moved

    def _hear_all(self) -> None:
        for _ in range(MOST_AT_ONCE):
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            self._hear(message)

    def _hear(self, message: Message) -> None:
        before = self.screen
        self.screen, effects = reduce(self.screen, message)
        self._dirty = self._dirty or self.screen != before
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case Leave():
                self.leaving = True
            case Repaint():
                self._whole = self._dirty = self._hasty = True
            case _:
                self._do(effect)
