"""Tells a key that a person strikes from those that come in a rush, as pasted text does where the terminal does not mark it.

It keeps the one key that answers a question for a moment; all others go on at once.
"""

from msgspec.structs import replace

from tui.app.keyboard import Stroke
from tui.model.messages import Key

CALM_S = 0.025
"""Nothing else comes so shortly before or after a key that a hand strikes; what is pasted comes faster than that."""
ANSWER = "y"


class Pace:
    """`struck` with all that came in one read; an answer that was alone comes back once the moment has passed."""

    def __init__(self) -> None:
        self._kept: Key | None = None
        self._last = float("-inf")

    @property
    def keeps(self) -> bool:
        return self._kept is not None

    def struck(self, strokes: list[Stroke], now: float) -> list[Stroke]:
        if not strokes:
            return self._calm(now)
        late, self._kept = self._kept, None
        first, self._last = now >= self._last + CALM_S, now
        if first and len(strokes) == 1 and _answers(strokes[0]):
            self._kept = Key(ANSWER)
            return []
        return [*([rushed(late)] if late else []), *(rushed(s) for s in strokes)]

    def _calm(self, now: float) -> list[Stroke]:
        if self._kept is None or now < self._last + CALM_S:
            return []
        kept, self._kept = self._kept, None
        return [kept]


def _answers(stroke: Stroke) -> bool:
    return stroke == Key(ANSWER)


def rushed(stroke: Stroke) -> Stroke:
    """The same, as one that answers nothing."""
    return replace(stroke, rushed=True) if isinstance(stroke, Key) and _answers(stroke) else stroke
