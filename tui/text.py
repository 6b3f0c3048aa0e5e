"""Text as a terminal shows it: what came from outside made harmless, measured in cells, cut with a sign, wrapped. Pure."""

import re
import unicodedata
from functools import lru_cache

from wcwidth import wcwidth

from sando.model.names import visible

CUT = "…"
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]"
)
_LETTERS = {0x1F1E6 + n: chr(ord("A") + n) for n in range(26)}
"""Halves of flags: some terminals show two as one picture, others as two letters."""
_GONE = dict.fromkeys(
    [*range(0xFE00, 0xFE10), *range(0x1F3FB, 0x1F400), 0x20E3, 0xAD, *range(0xE0000, 0xE0080)]
)
"""What only changes the look of the character before it, and is measured differently everywhere."""
_PLAIN = str.maketrans({**_LETTERS, **_GONE})
_UNSURE = {"Cf", "Cn", "Co", "Cs"}
_SPACE = "Zs"
"""Wide, narrow and unbreakable ones are told apart by no one who reads a screen: each is so many plain ones."""
_MOST_MARKS = 2


def is_clean(text: str) -> bool:
    """Plain ASCII, as nearly everything is; what is not has to be looked at."""
    return text.isascii() and text.isprintable()


@lru_cache(maxsize=8192)
def clean(text: str) -> str:
    """One line that does nothing to a terminal: what it would obey is made visible, so that nothing hides (SPEC 13)."""
    if is_clean(text):
        return text
    text = visible(text).replace("\n", " ").replace("\t", " ")
    return text if text.isascii() else _measurable(unicodedata.normalize("NFC", text.translate(_PLAIN)))


def _measurable(text: str) -> str:
    """Every mark has a character to stand on, and every character a width that terminals agree about."""
    shown: list[str] = []
    marks = _MOST_MARKS
    for char in text:
        width = _cell(char)
        marks = marks + 1 if width == 0 else 0
        category = unicodedata.category(char)
        if width < 0 or category in _UNSURE:
            shown.append(ascii(char)[1:-1])
        elif category == _SPACE:
            shown.append(" " * width)
        elif marks <= _MOST_MARKS:
            shown.append(char)
    return "".join(shown)


def line_of_log(text: str) -> str:
    """A line of a program's output as its terminal would have left it: colours and what a bar wrote over are gone."""
    text = _ESCAPES.sub("", text).rstrip("\r\n")
    return clean(text.rpartition("\r")[2].expandtabs(8))


@lru_cache(maxsize=4096)
def _cell(char: str) -> int:
    return int(wcwidth(char))


@lru_cache(maxsize=16384)
def cells(text: str) -> int:
    """How many columns a clean text takes."""
    return len(text) if text.isascii() else sum(_cell(c) for c in text)


def head(text: str, width: int) -> str:
    """As much of its beginning as fits; no sign where it is cut."""
    if text.isascii():
        return text[: max(0, width)]
    taken, used = [], 0
    for char in text:
        used += _cell(char)
        if used > width:
            break
        taken.append(char)
    return "".join(taken)


def behind(text: str, width: int) -> str:
    """What is left of it behind so many columns; a character that is cut in halves is a space."""
    if text.isascii():
        return text[max(0, width) :]
    used = 0
    for place, char in enumerate(text):
        if used >= width and _cell(char):
            return " " * (used - width) + text[place:]
        used += _cell(char)
    return " " * max(0, used - width)


def cut(text: str, width: int, sign: str = CUT) -> str:
    """At most so many columns; where something is missing, the last one says so."""
    text = clean(text)
    if cells(text) <= width:
        return text
    return head(text, width - cells(sign)) + sign if width > 0 else ""


def fit(text: str, width: int, sign: str = CUT) -> str:
    """Exactly so many columns."""
    text = cut(text, width, sign)
    return text + " " * (width - cells(text))


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most so many columns, broken between words where that is possible; line feeds of the text stay."""
    width = max(1, width)
    return [line for part in text.split("\n") for line in _wrapped(clean(part), width)]


def _wrapped(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while cells(word) > width:
            piece = head(word, width) or word[0]
            lines.append(piece)
            word = word[len(piece) :]  # noqa: PLW2901  (what is left of it)
        line = word
    return [*lines, line] if line or not lines else lines


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def ascii_only(text: str) -> str:
    """For a terminal that knows no more: `?` for each column of what it cannot show."""
    return text if text.isascii() else "".join(c if c.isascii() else "?" * max(0, _cell(c)) for c in text)
