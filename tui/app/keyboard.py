"""What a terminal sends, as names of keys. Sequences that are no key here, and what is pasted, are never taken for typing.

It knows no terminal: characters come as text, keys that curses has recognised as names.
"""

from typing import TypeAlias

from tui.model.messages import Key, Pasted

Stroke: TypeAlias = Key | Pasted
MOST_PASTED = 4096
_START, _END = "\x1b[200~", "\x1b[201~"
_CONTROL = {
    "\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x08": "backspace", "\x03": "ctrl-c",
    "\x0c": "ctrl-l", "\x15": "ctrl-u", "\x17": "ctrl-w",
}  # fmt: skip
_FINAL = {
    "A": "up", "B": "down", "C": "right", "D": "left", "H": "home", "F": "end", "Z": "shift-tab", "1~": "home", "4~": "end",
    "5~": "page-up", "6~": "page-down", "7~": "home", "8~": "end",
}  # fmt: skip
"""As most terminals send them, for those whose description says otherwise."""


class Keyboard:
    """`feed` characters as they come; `rest` when none has come for a moment."""

    def __init__(self) -> None:
        self._begun = ""
        self._pasted: str | None = None

    @property
    def waiting(self) -> bool:
        """An Escape has come: it is the key, or the beginning of something."""
        return bool(self._begun)

    def feed(self, chars: str) -> list[Stroke]:
        return [stroke for char in chars for stroke in self._one(char)]

    def named(self, name: str) -> list[Stroke]:
        """A key that curses recognised; in the midst of what is pasted it is none."""
        return [] if self._pasted is not None else [*self.rest(), Key(name)]

    def rest(self) -> list[Stroke]:
        """Nothing follows: a lone Escape was the key, a sequence without its end was nothing."""
        begun, self._begun = self._begun, ""
        return [Key("escape")] if begun == "\x1b" else []

    def _one(self, char: str) -> list[Stroke]:
        if self._pasted is not None:
            return self._paste(char)
        if self._begun:
            return self._sequence(char)
        if char == "\x1b":
            self._begun = char
            return []
        if char in _CONTROL:
            return [Key(_CONTROL[char])]
        return [Key(char)] if char.isprintable() else []

    def _sequence(self, char: str) -> list[Stroke]:
        if self._begun == "\x1b" and char == "\x1b":
            return [Key("escape")]
        self._begun += char
        if not _ended(self._begun):
            return []
        whole, self._begun = self._begun, ""
        if whole == _START:
            self._pasted = ""
            return []
        name = _FINAL.get(whole[2:])
        return [Key(name)] if name and whole[1] in "[O" else []

    def _paste(self, char: str) -> list[Stroke]:
        """All of it up to its end, of which a part is kept."""
        text = (self._pasted or "") + char
        if text.endswith(_END):
            self._pasted = None
            return [Pasted(text.removesuffix(_END)[:MOST_PASTED])]
        self._pasted = text[:MOST_PASTED] + text[MOST_PASTED:][-len(_END) :]
        return []


def _ended(begun: str) -> bool:
    """CSI ends with a letter, SS3 with one character, a string with BEL or ST, Alt with the key itself."""
    kind, last = begun[1], begun[-1]
    if kind == "[":
        return len(begun) > 2 and "@" <= last <= "~" and begun != "\x1b[["
    if kind == "O":
        return len(begun) > 2
    if kind in "]PX^_":
        return last == "\x07" or begun.endswith("\x1b\\") or len(begun) > MOST_PASTED
    return True
